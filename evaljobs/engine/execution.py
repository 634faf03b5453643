"""What happened while a run was carried out: all that may differ between two equal runs stands under `execution`."""

from __future__ import annotations

import datetime as dt
import importlib.metadata
import os
import platform
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

import evaljobs

if TYPE_CHECKING:
    # A plan counts too, and does without the runtime of the models.
    from evaljobs.engine.decoding import DecodeReport
    from evaljobs.engine.embedding import Embedded
    from evaljobs.engine.todo import Evaluation

# Comparing fewer takes less time than getting ready for it: compiling, reading tables.
MEASURED_PAIRS = 10_000_000
# When the rate of a model was measured.
THIS_RUN, EARLIER = "this run", "earlier"

_PACKAGES = ("ray", "numpy", "numba", "pyarrow", "pillow", "onnx")


class Clock:
    """When a run began, and how long it has taken."""

    def __init__(self) -> None:
        self.started = dt.datetime.now(dt.UTC)
        self._start = time.perf_counter()

    def seconds(self) -> float:
        """Return the seconds since the start."""
        return time.perf_counter() - self._start


class Record:
    """Counts of what was computed in this run, and what was lost.

    Attributes
    ----------
    provider, command, config
        Execution provider, command line, and the configuration as text.
    lost
        By name of what is loaded: the error (kind, message) of a model that could not be run.
    unevaluated
        By names of job and model: the error of an evaluation that has no result, for a reason that may pass.
    paused_seconds
        That processes have waited for others on their machines.
    """

    def __init__(self, provider: str, command: str | None = None, config: str | None = None) -> None:
        self.provider = provider
        self.command = command
        self.config = config
        self.lost: dict[str, dict[str, Any]] = {}
        self.unevaluated: dict[tuple[str, str | None], dict[str, Any]] = {}
        self.images_decoded = 0
        self.decode_seconds = 0.0
        self.evaluations = 0
        self.pairs = 0
        self.evaluation_seconds = 0.0
        self.paused_seconds = 0.0
        # By kind of job: pairs, and the seconds that they took.
        self.measured: dict[str, tuple[int, float]] = {}
        self.models: dict[str, dict[str, Any]] = {}
        # Of the rows of each model, those that a call has told its seconds for.
        self._timed: Counter[str] = Counter()

    def decoded(self, report: DecodeReport) -> None:
        """Count a decoded shard."""
        self.images_decoded += report.decoded
        self.decode_seconds += report.seconds

    def embedded(self, name: str, embedded: Embedded) -> None:
        """Count an embedded block, unless its rows were there."""
        if not embedded.computed:
            return
        model = self._model(name)
        model["provider"] = embedded.provider
        model["rows"] += embedded.computed
        model["load_seconds"] += embedded.load_seconds
        model["embed_seconds"] += embedded.embed_seconds
        self._timed[name] += embedded.computed
        model["images_per_s"] = self._timed[name] / max(model["embed_seconds"], 1e-9)
        model["measured"] = THIS_RUN

    def found(self, name: str, rows: int) -> None:
        """Count rows that this run has committed without an answer that said so: nobody knows the seconds they took."""
        if rows:
            self._model(name)["rows"] += rows

    def _model(self, name: str) -> dict[str, Any]:
        nothing = {"rows": 0, "load_seconds": 0.0, "embed_seconds": 0.0, "provider": self.provider}
        return self.models.setdefault(name, nothing)

    def rates(self) -> list[tuple[str, float, int]]:
        """Return what was measured: the name of a model, the seconds for an image, and of how many images."""
        return [(name, self.models[name]["embed_seconds"] / rows, rows) for name, rows in self._timed.items()]

    def remembered(self, name: str, seconds: float) -> None:
        """Take the seconds for an image that the store remembers, where they are not those of this run.

        A model whose rows were all in the store has a rate then, too; and one of which this run computed but a few
        keeps that of a longer measurement.
        """
        model, timed = self._model(name), self._timed[name]
        if not timed or seconds != model["embed_seconds"] / timed:
            model["images_per_s"] = 1 / max(seconds, 1e-9)
            model["measured"] = EARLIER

    def error_of(self, evaluation: Evaluation) -> dict[str, Any] | None:
        """Return why an evaluation has no result in this run; None where it may still have one."""
        lost = None if evaluation.load is None else self.lost.get(evaluation.load)
        return lost or self.unevaluated.get((evaluation.job.name, evaluation.name))

    def given_up(self, evaluation: Evaluation) -> bool:
        """Whether an evaluation will have no result in this run."""
        return self.error_of(evaluation) is not None

    def evaluated(self, evaluation: Evaluation, seconds: float) -> None:
        """Count a finished evaluation."""
        kind = evaluation.job.kind
        before = self.measured.get(kind, (0, 0.0))
        self.measured[kind] = before[0] + evaluation.pairs, before[1] + seconds
        self.evaluations += 1
        self.pairs += evaluation.compared
        self.evaluation_seconds += seconds

    def as_json(self, clock: Clock) -> dict[str, Any]:
        """Return the `execution` object; seconds are summed over workers but for `seconds`, which is the wall's."""
        return {
            "started": clock.started.isoformat(timespec="seconds"),
            "seconds": clock.seconds(),
            "command": self.command,
            "config": self.config,
            "host": platform.node(),
            "cores": os.cpu_count(),
            "provider": self.provider,
            "computed": {
                "images_decoded": self.images_decoded,
                "decode_seconds": self.decode_seconds,
                "rows_embedded": sum(model["rows"] for model in self.models.values()),
                "evaluations": self.evaluations,
                "pairs": self.pairs,
                "evaluation_seconds": self.evaluation_seconds,
            },
            "paused_seconds": self.paused_seconds,
            "models": dict(sorted(self.models.items())),
            "versions": versions(),
        }


def versions() -> dict[str, str]:
    """Return the versions that a result was made with."""
    found = {"evaljobs": evaljobs.__version__, "python": platform.python_version()}
    for package in (*_PACKAGES, "onnxruntime-gpu", "onnxruntime"):
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
