"""Measure how often audits flag clean sets, what leaks they catch, and which versions of an image look alike to them.

    python benchmarks/audit.py [--splits 1000] [--repetitions 25] [--processes 2] [--data FOLDER] [--only NAME]

Prints Markdown tables. Sets are real images: scikit-learn's handwritten digits, each saved in a way that is drawn at
random, and 5,796 icons as their makers saved them (npm package cryptocurrency-icons, CC0; needs `npm`), fetched into
--data. Labels are drawn at random, so nothing can tell them; what is flagged is a false alarm.
"""

from __future__ import annotations

import argparse
import functools
import io
import itertools
import multiprocessing
import os
import platform
import subprocess
import sys
import tarfile
import time
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from PIL import Image
from threadpoolctl import threadpool_limits

from evaljobs import schemas
from evaljobs.audit.alike import alike
from evaljobs.audit.finding import Finding, Verdict
from evaljobs.audit.metadata import check_metadata
from evaljobs.audit.prints import Prints
from evaljobs.demo.images import load
from evaljobs.errors import ImageError
from evaljobs.images.decode import decode
from evaljobs.images.facts import Facts, facts_of
from evaljobs.images.fingerprint import GEOMETRY, Fingerprint, fingerprint

ICONS = "cryptocurrency-icons@0.18.1"
ALLOWED = 0.02
SHARES = (1.0, 0.5, 0.2, 0.1, 0.05, 0.02)
VERSIONS: dict[str, Callable[[Image.Image], bytes]] = {
    "JPEG, quality 75": lambda image: encoded(image, "JPEG", quality=75),
    "JPEG, quality 30": lambda image: encoded(image, "JPEG", quality=30),
    "half the size": lambda image: encoded(image.resize((image.width // 2, image.height // 2)), "PNG"),
    "10% brighter": lambda image: encoded(image.point(lambda value: min(255, int(value * 1.1))), "PNG"),
    "gray": lambda image: encoded(image.convert("L"), "PNG"),
    "2% cropped on each side": lambda image: encoded(cropped(image, 0.02), "PNG"),
    "10% cropped on each side": lambda image: encoded(cropped(image, 0.1), "PNG"),
}


class Design(NamedTuple):
    """A set of labels: how many images of each, and what the set looks like."""

    name: str
    images: str
    sizes: tuple[int, ...]


DESIGNS = (
    Design("2 labels x 300", "digits", (300, 300)),
    Design("570 and 30", "digits", (570, 30)),
    Design("10 labels x 60", "digits", (60,) * 10),
    Design("200 labels x 3", "digits", (3,) * 200),
    Design("2 labels x 500", "icons", (500, 500)),
    Design("50 labels x 20", "icons", (20,) * 50),
    Design("sizes 1 to 200", "icons", (*(200, 150, 100, 80, 60, 40, 30, 20), *((10,) * 10), *((1,) * 30))),
    Design("20 and 20", "icons", (20, 20)),
)


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    """Save an image."""
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def cropped(image: Image.Image, share: float) -> Image.Image:
    """Cut a share of its width and height off each side."""
    x, y = round(image.width * share), round(image.height * share)
    return image.crop((x, y, image.width - x, image.height - y))


def digits() -> list[Image.Image]:
    """Return the digits in colour, 32 x 32."""
    found = (Image.fromarray(np.stack([p, p, 255 - p], axis=2)) for p in load().pixels)
    return [image.resize((32, 32), Image.Resampling.BICUBIC) for image in found]


def saved_at_random(image: Image.Image, rng: np.random.Generator) -> bytes:
    """Save an image in one of many ways: format, quality, subsampling, size, mode, camera, and turn."""
    side = int(rng.choice([28, 32, 40]))
    image = image.resize((side, int(rng.integers(28, 36)))).convert(str(rng.choice(["RGB", "L"], p=[0.8, 0.2])))
    tags = Image.Exif()
    if rng.random() < 0.5:
        tags[0x0110] = f"camera {rng.integers(0, 8)}"
    if rng.random() < 0.3:
        tags[0x0112] = int(rng.integers(1, 9))
    kind = str(rng.choice(["JPEG", "PNG", "WEBP"], p=[0.6, 0.3, 0.1]))
    return encoded(
        image, kind, quality=int(rng.choice([75, 85, 90, 95])), subsampling=int(rng.integers(0, 3)), exif=tags
    )


def icons(folder: Path) -> list[bytes]:
    """Return the icons as they are, fetched if they are not there."""
    archive = folder / "cryptocurrency-icons-0.18.1.tgz"
    if not archive.exists():
        folder.mkdir(parents=True, exist_ok=True)
        subprocess.run(["npm", "pack", "--silent", ICONS], cwd=folder, check=True)  # noqa: S607
    with tarfile.open(archive) as files:
        members = sorted((member for member in files if member.name.endswith(".png")), key=lambda one: one.name)
        found = (files.extractfile(member) for member in members)
        return [file.read() for file in found if file is not None]


def samples_of(files: Sequence[bytes]) -> pa.Table:
    """Return the facts of files, as they stand in samples.arrow."""
    facts = [facts_of(data) for data in files]
    columns = {name: [getattr(one, name) for one in facts] for name in Facts._fields}
    return pa.table({name: pa.array(values, schemas.SAMPLES.field(name).type) for name, values in columns.items()})


@functools.cache
def sets(folder: Path) -> dict[str, pa.Table]:
    """Return the facts of both image sets."""
    rng = np.random.default_rng(0)
    return {
        "digits": samples_of([saved_at_random(image, rng) for image in digits()]),
        "icons": samples_of(icons(folder)),
    }


def audited(samples: pa.Table, labels: Sequence[str], seed: int) -> tuple[Finding, ...]:
    """Ask whether metadata tell labels."""
    with threadpool_limits(1):
        digests = samples["image_digest"].combine_chunks()
        return check_metadata(samples, labels, digests, seed=seed).findings


def worst(findings: Sequence[Finding]) -> Verdict:
    """Return the worst verdict."""
    return min((finding.verdict for finding in findings), key=list(Verdict).index)


def random_split(job: tuple[Design, int, Path]) -> Verdict:
    """Draw images and labels at random, and audit them."""
    design, seed, folder = job
    samples = sets(folder)[design.images]
    rng = np.random.default_rng([seed, *design.name.encode()])
    rows = rng.permutation(samples.num_rows)[: sum(design.sizes)]
    labels = [str(label) for label, size in enumerate(design.sizes) for _ in range(size)]
    return worst(audited(samples.take(pa.array(rows)), labels, seed))


def planted(job: tuple[float, int]) -> tuple[Verdict, str | None]:
    """Save a share of 100 defects as PNG, and all other images, 400 of them normal, as JPEG."""
    share, seed = job
    rng = np.random.default_rng([seed, round(1000 * share)])
    images = digits()
    chosen = rng.permutation(len(images))[:500]
    png = np.zeros(500, bool)
    png[rng.permutation(100)[: round(100 * share)]] = True
    files = [encoded(images[n], "PNG") if p else encoded(images[n], "JPEG") for n, p in zip(chosen, png, strict=True)]
    found = audited(samples_of(files), ["defect"] * 100 + ["normal"] * 400, seed)
    return worst(found), found[0].evidence.get("field")


def printed(data: bytes) -> Fingerprint | None:
    """Return the fingerprint of an encoded image, None where it cannot be decoded."""
    try:
        return fingerprint(decode(data, GEOMETRY))
    except ImageError:
        return None


def near(a: Fingerprint, b: Fingerprint) -> bool:
    """Say whether audits call two images near duplicates."""
    both = Prints.of([a, b])
    return bool(len(alike(both, np.arange(2)).a))


def table(heading: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print a Markdown table."""
    for row in (heading, ["---"] * len(heading), *rows):
        print("| " + " | ".join(str(value) for value in row) + " |")
    print()


def clean_splits(pool: multiprocessing.pool.Pool, n: int, folder: Path) -> None:
    """Count false alarms over all designs, n splits together."""
    print("## Clean sets\n")
    each = [n // len(DESIGNS) + (number < n % len(DESIGNS)) for number in range(len(DESIGNS))]
    jobs = [(design, seed, folder) for design, times in zip(DESIGNS, each, strict=True) for seed in range(times)]
    found = []
    for verdict in pool.imap(random_split, jobs):
        found.append(verdict)
        print(f"\r{len(found):,} of {n:,} splits", end="", file=sys.stderr)
    rows, flagged = [], 0
    for design, start, times in zip(DESIGNS, itertools.accumulate(each, initial=0), each, strict=False):
        counts = Counter(found[start : start + times])
        wrong = counts[Verdict.SUSPICIOUS] + counts[Verdict.LEAK]
        flagged += wrong
        row = [design.images, design.name, times, wrong, counts[Verdict.LEAK], counts[Verdict.UNKNOWN]]
        rows.append(row)
    rows.append(["all", "", len(found), flagged, found.count(Verdict.LEAK), found.count(Verdict.UNKNOWN)])
    table(["images", "labels", "splits", "flagged", "of these as a leak", "unknown"], rows)
    print(f"Flagged: {flagged} of {len(found):,}; at most {ALLOWED:.0%} are allowed, 1% expected.\n")


def leaks(pool: multiprocessing.pool.Pool, repetitions: int) -> None:
    """Count which leaks are caught."""
    print("## The format leak\n")
    jobs = [(share, seed) for share in SHARES for seed in range(repetitions)]
    found = dict(zip(jobs, pool.map(planted, jobs, chunksize=1), strict=True))
    rows = []
    for share in SHARES:
        of_share = [found[share, seed] for seed in range(repetitions)]
        counts = Counter(verdict for verdict, _ in of_share)
        named = sum(field == "format" for verdict, field in of_share if verdict is not Verdict.CLEAN)
        rows.append([f"{share:.0%}", *(counts[verdict] for verdict in Verdict), named])
    table(["defects saved as PNG", *(str(verdict) for verdict in Verdict), "`format` named"], rows)


def duplicates(folder: Path) -> None:
    """Count which versions of images look alike, and how many different images do."""
    print("## Near duplicates\n")
    originals = {"digits": [encoded(image, "PNG") for image in digits()[:500]], "icons": icons(folder)[:1932:4]}
    rows, pairs = [], []
    for name, files in originals.items():
        every = [(data, one) for data in files if (one := printed(data)) is not None]
        telling = Prints.of([one for _, one in every]).telling
        prints = [both for both, tells in zip(every, telling.tolist(), strict=True) if tells]
        for version, made in VERSIONS.items():
            others = [(one, printed(made(Image.open(io.BytesIO(data)).convert("RGB")))) for data, one in prints]
            found = sum(other is not None and near(one, other) for one, other in others)
            rows.append([name, version, f"{found} of {len(others)}"])
        n, different = len(prints), alike(Prints.of([one for _, one in prints]), np.arange(len(prints)))
        pairs.append([name, len(every) - n, len(different.a), f"{n * (n - 1) // 2:,}"])
    table(["images", "version", "alike"], rows)
    table(["images", "blank, not compared", "pairs of different images alike", "of"], pairs)


def main() -> None:
    """Measure all, and print it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--splits", type=int, default=1000)
    parser.add_argument("--repetitions", type=int, default=25)
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    parser.add_argument("--data", type=Path, default=Path("benchmarks/.data"))
    parser.add_argument("--only", choices=["clean", "leaks", "duplicates"])
    options = parser.parse_args()
    # Pillow's advice on palettes with transparency.
    warnings.filterwarnings("ignore", module=r"PIL\.")
    started = time.perf_counter()
    folder = options.data.resolve()
    icons(folder)
    with multiprocessing.get_context("spawn").Pool(options.processes) as pool:
        if options.only in {None, "clean"}:
            clean_splits(pool, options.splits, folder)
        if options.only in {None, "leaks"}:
            leaks(pool, options.repetitions)
    if options.only in {None, "duplicates"}:
        duplicates(folder)
    print(f"{platform.machine()}, numpy {np.__version__}, {(time.perf_counter() - started) / 60:.0f} minutes.")


if __name__ == "__main__":
    main()
