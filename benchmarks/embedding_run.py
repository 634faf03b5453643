"""One run of evaljobs in a process of its own, as a command: its configuration, and when each stage began and ended.

    python benchmarks/embedding_run.py CONFIG.yaml [--object-store-mb 256] [--cores 1]

Prints a line of JSON: unix seconds of each stage's start, first and last step, and the run's own `execution`. Makes the
file `running` beside the configuration once all that is needed runs.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import json
import os
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from embedding_data import ARCHITECTURES
from embedding_turns import RUNNING
from embedding_watch import Watched, watch


class Marks:
    """Progress that is not shown, but kept: ``times[stage]`` is ``[start, first step, last step]``.

    Parameters
    ----------
    running
        A file that is made when a second block of embeddings is there: from then on all that is needed runs.
    """

    def __init__(self, running: Path) -> None:
        self.times: dict[str, list[float]] = {}
        self._running = running

    def start(self, stage: str, total: int) -> None:  # noqa: ARG002 - as Progress has it
        """Keep when a stage began."""
        self.times.setdefault(stage, [time.time()])

    def advance(self, stage: str, steps: int = 1) -> None:  # noqa: ARG002 - as Progress has it
        """Keep when its first and its last step were done."""
        began, *done = self.times[stage]
        now = time.time()
        self.times[stage] = [began, done[0] if done else now, now]
        if stage == "embedding" and done:
            self._running.touch()

    def say(self, text: str) -> None:
        """Pass on what is said."""
        print(text, file=sys.stderr)

    def models(self, counts: object, changed: object = None) -> None:
        """Ignore it."""


def write_config(
    folder: Path,
    architecture: str,
    images: Sequence[Path],
    models: Sequence[Path],
    cluster: Mapping[str, Any] | None = None,
) -> Path:
    """Write a configuration, and the manifest of its images, into a new folder; its store and output lie there too."""
    folder.mkdir(parents=True)
    with (folder / "images.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["uri", "label"])
        writer.writerows([path.absolute(), path.parent.name] for path in images)
    design = ARCHITECTURES[architecture]
    config = {
        "version": 1,
        "images": {"manifest": "images.csv"},
        "models": [{"path": str(path.absolute())} for path in models],
        "preprocessing": {"size": list(design.size), **design.preprocessing},
        "fpr": ["1e-3"],
        "jobs": [{"name": "verification"}],
        "store": "store",
        "out": "out",
        "cluster": {"device": "cpu", **(cluster or {})},
    }
    path = folder / "config.yaml"
    path.write_text(json.dumps(config, indent=1))  # YAML holds JSON
    return path


def command_of(config: Path) -> list[str]:
    """Return the command that carries a configuration out."""
    return [sys.executable, __file__, str(config)]


def run_evaljobs(config: Path, *, object_store_mb: int | None = None, cores: int | None = None) -> Watched:
    """Carry a configuration out in a process of its own; bound to so many cores, where that is said."""
    command = command_of(config)
    for option, value in (("--object-store-mb", object_store_mb), ("--cores", cores)):
        if value is not None:
            command += [option, str(value)]
    return watch(command)


def main() -> None:
    """Carry a configuration out, and print when what was done."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("config", type=Path)
    parser.add_argument("--object-store-mb", type=int, help="of the embedded Ray, in place of Ray's own choice")
    parser.add_argument("--cores", type=int, help="bind the run to so many of the cores that there are")
    options = parser.parse_args()

    if options.cores is not None:
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: options.cores])
    # As the command does it: what is heavy is imported where it is needed.
    from evaljobs.config import load
    from evaljobs.run import Options, run

    marks = Marks(options.config.with_name(RUNNING))
    with contextlib.ExitStack() as stack:
        if options.object_store_mb is not None:
            from raycluster.connection.connect import connect

            stack.enter_context(connect(object_store_mb=options.object_store_mb))
        finished = run(load(options.config), options.config, marks, Options())
    print(json.dumps({"marks": marks.times, "execution": finished.results["execution"]}))


if __name__ == "__main__":
    main()
