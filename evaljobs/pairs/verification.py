"""The public door: verify embeddings against their labels, over every pair, exactly."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np

from evaljobs.config import DEFAULT_TARGETS, parse_target, unique_targets
from evaljobs.errors import InputError, UsageError
from evaljobs.pairs.curve import Curve
from evaljobs.pairs.gpu.device import open_device
from evaljobs.pairs.gpu.execute import verify_on
from evaljobs.pairs.points import Flag, Point
from evaljobs.pairs.rounds import DEFAULT_TILE, Limits, Outcome, rounds
from evaljobs.pairs.samples import Samples, prepare
from evaljobs.pairs.threads import Progress, run_rounds

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Curve", "Flag", "Point", "Verification", "verify"]


@dataclasses.dataclass(frozen=True)
class Verification:
    """The result of comparing every pair of samples.

    Attributes
    ----------
    points
        An operating point for each target, by rising target.
    auroc
        Area under the ROC curve, ties one half; None without genuine or without impostor pairs. The middle of its
        bounds where it is not exact.
    auroc_bounds
        Certified bounds of the AUROC: not a confidence interval.
    auroc_exact
        Whether `auroc` is the AUROC itself.
    n_samples, n_labels, n_genuine, n_impostor
        Numbers of samples, of different labels, of pairs with equal and with different labels.
    notes
        What was changed about the input.
    curve
        The ROC curve, for drawing.
    """

    points: tuple[Point, ...]
    auroc: float | None
    auroc_bounds: tuple[float, float] | None
    auroc_exact: bool
    n_samples: int
    n_labels: int
    n_genuine: int
    n_impostor: int
    notes: tuple[str, ...] = ()
    curve: Curve = dataclasses.field(compare=False, repr=False, default=Curve(np.empty(0), np.empty(0), np.empty(0)))

    def to_json(self) -> dict[str, Any]:
        """Return the result as it stands in results.json: valid JSON, undefined is null."""
        return {
            "protocol": "all",
            "n_samples": self.n_samples,
            "n_genuine": self.n_genuine,
            "n_impostor": self.n_impostor,
            "auroc": self.auroc,
            "auroc_exact": self.auroc_exact,
            "auroc_bounds": None if self.auroc_bounds is None else list(self.auroc_bounds),
            "auroc_ci": None,
            "points": [point.to_json() for point in self.points],
            "intervals": None,
        }

    def curve_table(self) -> pa.Table:
        """Return the ROC curve as a table of float64 columns threshold, fpr and tpr."""
        import pyarrow as pa

        return pa.table(self.curve._asdict())


def verify(  # noqa: PLR0913 - the public signature
    embeddings: object,
    labels: object,
    fpr: object = DEFAULT_TARGETS,
    *,
    tile: int | None = None,
    threads: int | None = None,
    ids: Sequence[object] | None = None,
    progress: Progress | None = None,
    device: str | None = None,
) -> Verification:
    """Compare every pair of samples, and find the exact operating point for each target FPR.

    The integers and thresholds are a property of the embeddings as float32: the same for any tile, number of threads,
    order of the samples, and matrix library. docs/exact-verification.md says how.

    Parameters
    ----------
    embeddings
        ``[n, d]`` real numbers, n at least 2. What float32 cannot hold is rounded to it, and noted.
    labels
        ``n`` texts or integers: pairs with equal labels are genuine, the others impostors.
    fpr
        Target false-positive rates in (0, 1], one or several: numbers, or decimals as text.
    tile
        Samples a tile is wide and high, 1 to 2048; on a device 1 to 16384.
    threads
        How many compare tiles at a time; all available cores where absent. BLAS is held to one thread each meanwhile.
    ids
        ``n`` sample ids for messages.
    progress
        Called with the pairs done and the pairs known so far, from any thread, one at a time.
    device
        `cuda` or `cuda:N`: where the pairs are compared, with torch; `cpu` does the same without a GPU, for tests.
        Points and counts are those of the CPU; bounds of the AUROC are wider. Without it, torch is not needed.

    Raises
    ------
    InputError
        If embeddings, labels or a number are not what is expected.
    NonFiniteError
        If an embedding is not finite, or all zero; with how many and the first ids.
    UsageError
        If a target is no decimal in (0, 1], or stands twice; or the device, or torch, is not there.
    """
    targets = _targets(fpr)
    opened = None if device is None else open_device(device)
    limits = Limits(tile=DEFAULT_TILE if tile is None else tile)
    threads = _cores() if threads is None else threads
    if threads < 1:
        raise InputError(f"found threads={threads}; expected at least 1")
    samples = prepare(embeddings, labels, ids, for_filter=opened is None)
    if opened is not None:
        return conclude(samples, verify_on(opened, samples, targets, tile, threads, progress))
    outcome = run_rounds(rounds(samples, targets, limits), samples, threads, progress)
    return conclude(samples, outcome)


def conclude(samples: Samples, outcome: Outcome) -> Verification:
    """Put the result together from what the rounds ended with."""
    return Verification(
        points=outcome.points,
        auroc=None if outcome.auroc is None else outcome.auroc.value,
        auroc_bounds=None if outcome.auroc is None else outcome.auroc.bounds,
        auroc_exact=outcome.auroc is not None and outcome.auroc.exact,
        n_samples=samples.n,
        n_labels=samples.n_labels,
        n_genuine=samples.n_genuine,
        n_impostor=samples.n_impostor,
        notes=samples.notes,
        curve=outcome.curve,
    )


def _cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _targets(fpr: object) -> tuple[float, ...]:
    several = list(fpr) if isinstance(fpr, list | tuple | set | np.ndarray) else [fpr]
    try:
        return unique_targets(tuple(parse_target(_decimal(target)) for target in several))
    except ValueError as error:
        raise UsageError(f"fpr: {error}") from None


def _decimal(target: object) -> object:
    """Turn other numbers into what has the repr of a decimal."""
    if isinstance(target, np.generic):
        return target.item()
    if isinstance(target, Fraction) and Fraction(repr(float(target))) == target:
        return float(target)
    return target
