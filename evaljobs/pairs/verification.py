"""The public door: verify embeddings against their labels, over every pair, exactly."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np

from evaljobs.config import DEFAULT_TARGETS, parse_target, unique_targets
from evaljobs.errors import UsageError
from evaljobs.pairs.closer import Wanted
from evaljobs.pairs.curve import Curve
from evaljobs.pairs.findings import Findings, Pair, findings_of
from evaljobs.pairs.given import array, boolean, checked_groups, integer
from evaljobs.pairs.gpu.device import open_device
from evaljobs.pairs.gpu.execute import verify_on
from evaljobs.pairs.histogram import EMPTY, Histogram
from evaljobs.pairs.intervals import auroc_ends, interval
from evaljobs.pairs.points import Flag, Point
from evaljobs.pairs.rounds import Limits, Outcome, rounds
from evaljobs.pairs.samples import Samples, prepare, with_filter
from evaljobs.pairs.threads import Progress, run_rounds

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Curve", "Findings", "Flag", "Intervals", "Pair", "Point", "Verification", "verify"]

GROUPS = 20  # as many as the coverage of the intervals was measured with
MAX_HARDEST = 10_000
MAX_THREADS = 1024


@dataclasses.dataclass(frozen=True)
class Intervals:
    """What differences to other models follow from: the results without one group of samples at a time.

    Attributes
    ----------
    unit
        What was dealt to the groups: `label`; or `sample`, where there are fewer labels than groups.
    groups
        Number of groups.
    replicates_auroc
        For each group, the AUROC without it.
    replicates_tpr
        For each point, likewise; each replicate finds its own threshold.
    """

    unit: str
    groups: int
    replicates_auroc: tuple[float | None, ...]
    replicates_tpr: tuple[tuple[float | None, ...], ...]

    def to_json(self) -> dict[str, Any]:
        """Return them as they stand in results.json."""
        replicates = {"auroc": list(self.replicates_auroc), "tpr": [list(tpr) for tpr in self.replicates_tpr]}
        return {"unit": self.unit, "groups": self.groups, "replicates": replicates}


@dataclasses.dataclass(frozen=True)
class Verification:
    """The result of comparing samples.

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
    protocol
        Which pairs were compared: `all`, `cross` or `pairs`.
    auroc_ci
        95% confidence interval of the AUROC; None where there is none.
    intervals
        What differences to other models follow from; None where there are no groups.
    findings
        The hardest pairs, and the errors by label; None where they were not asked for.
    notes
        What was changed about the input.
    curve
        The ROC curve, for drawing.
    curve_error
        How far the scores behind `curve` and `histogram` can be from those of the definition: 0 where all were
        scored. The operating points are exact on the curve, too.
    histogram
        The distribution of the scores, for drawing.
    """

    points: tuple[Point, ...]
    auroc: float | None
    auroc_bounds: tuple[float, float] | None
    auroc_exact: bool
    n_samples: int
    n_labels: int
    n_genuine: int
    n_impostor: int
    protocol: str = "all"
    auroc_ci: tuple[float, float] | None = None
    intervals: Intervals | None = None
    findings: Findings | None = None
    notes: tuple[str, ...] = ()
    curve: Curve = dataclasses.field(compare=False, repr=False, default=Curve(np.empty(0), np.empty(0), np.empty(0)))
    curve_error: float = dataclasses.field(compare=False, default=0.0)
    histogram: Histogram = dataclasses.field(compare=False, repr=False, default=EMPTY)

    def to_json(self) -> dict[str, Any]:
        """Return the result as it stands in results.json: valid JSON, undefined is null."""
        return {
            "protocol": self.protocol,
            "n_samples": self.n_samples,
            "n_genuine": self.n_genuine,
            "n_impostor": self.n_impostor,
            "auroc": self.auroc,
            "auroc_exact": self.auroc_exact,
            "auroc_bounds": None if self.auroc_bounds is None else list(self.auroc_bounds),
            "auroc_ci": None if self.auroc_ci is None else list(self.auroc_ci),
            "curve_error": self.curve_error,
            "points": [
                point.to_json() | {"spread": None if self.findings is None else self.findings.spread(number)}
                for number, point in enumerate(self.points)
            ],
            "intervals": None if self.intervals is None else self.intervals.to_json(),
        }

    def curve_table(self) -> pa.Table:
        """Return the ROC curve as a table of float64 columns threshold, fpr and tpr."""
        import pyarrow as pa

        return pa.table(self.curve._asdict())

    def scores_table(self) -> pa.Table:
        """Return the distribution of the scores: float64 score_low and score_high, int64 genuine and impostor."""
        import pyarrow as pa

        return pa.table(self.histogram._asdict())

    def tables(self) -> dict[str, pa.Table]:
        """Return all tables by name: roc and scores; where errors were looked at, hardest, labels and label_pairs."""
        found = {"roc": self.curve_table(), "scores": self.scores_table()}
        if self.findings is not None:
            found["hardest"] = self.findings.hardest_table()
            found["labels"] = self.findings.labels_table(self.points)
            found["label_pairs"] = self.findings.label_pairs_table(self.points)
        return found


def verify(  # noqa: PLR0913 - the public signature
    embeddings: object,
    labels: object,
    fpr: object = DEFAULT_TARGETS,
    *,
    tile: int | None = None,
    threads: int | None = None,
    ids: Sequence[object] | None = None,
    groups: int = GROUPS,
    hardest: int = 0,
    by_label: bool = False,
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
    groups
        Of how many groups of labels one is left out at a time for the confidence intervals; 0 for no intervals.
    hardest
        How many of the impostor pairs with the highest, and of the genuine pairs with the lowest scores are found.
    by_label
        Whether errors are counted by label, and by pair of labels.
    progress
        Called with the pairs done and the pairs known so far, from any thread, one at a time.
    device
        `cuda` or `cuda:N`: where the pairs are compared, with torch; `cpu` does the same without a GPU, for tests.
        Points, counts and findings are those of the CPU; bounds of the AUROC are wider, and intervals differ a
        little. Without it, torch is not needed.

    Raises
    ------
    InputError
        If embeddings, labels or a number are not what is expected.
    NonFiniteError
        If an embedding is not finite, or all zero; with how many and the first ids.
    UsageError
        If a target is no decimal in (0, 1], or stands twice; or the device, or torch, is not there.
    """
    targets = targets_of(fpr)
    opened = None if device is None else open_device(device)
    tile = None if tile is None else integer(tile, "tile", 1)
    limits = Limits(tile=tile)
    threads = checked_threads(threads)
    groups, wanted = checked_groups(groups), checked_wanted(hardest, by_label=by_label)
    if opened is not None:
        samples = prepare(embeddings, labels, ids, for_filter=False, n_groups=groups)
        return conclude(samples, verify_on(opened, samples, targets, tile, threads, progress, wanted=wanted))
    samples = with_filter(prepare(embeddings, labels, ids, for_filter=False, n_groups=groups), threads)
    return conclude(samples, run_rounds(rounds(samples, targets, limits, wanted), samples, threads, progress))


def conclude(samples: Samples, outcome: Outcome) -> Verification:
    """Put the result together from what the rounds ended with."""
    auroc = None if outcome.auroc is None else outcome.auroc.value
    findings = None if outcome.closer is None else findings_of(samples, outcome.closer)
    intervals, auroc_ci, tpr_cis = _intervals(samples, outcome, auroc)
    points = tuple(
        dataclasses.replace(point, tpr_ci=tpr_ci, tpr_balanced=None if findings is None else findings.balanced(number))
        for number, (point, tpr_ci) in enumerate(zip(outcome.points, tpr_cis, strict=True))
    )
    return Verification(
        points=points,
        auroc=auroc,
        auroc_bounds=None if outcome.auroc is None else outcome.auroc.bounds,
        auroc_exact=outcome.auroc is not None and outcome.auroc.exact,
        n_samples=samples.n,
        n_labels=samples.n_labels,
        n_genuine=samples.n_genuine,
        n_impostor=samples.n_impostor,
        protocol=samples.protocol,
        auroc_ci=auroc_ci,
        intervals=intervals,
        findings=findings,
        notes=samples.notes,
        curve=outcome.curve,
        curve_error=outcome.curve_error,
        histogram=outcome.histogram,
    )


Interval = tuple[float, float] | None


def _intervals(
    samples: Samples, outcome: Outcome, auroc: float | None
) -> tuple[Intervals | None, Interval, list[Interval]]:
    found = outcome.replicates
    if found is None:
        return None, None, [None] * len(outcome.points)
    intervals = Intervals(samples.unit_of_groups, samples.n_groups, found.auroc, found.tpr)
    return intervals, interval(auroc, found.auroc, auroc_ends), list(found.tpr_cis)


def checked_wanted(hardest: int, *, by_label: bool) -> Wanted:
    """Return what is wanted beside the points; refuse what is not usable."""
    return Wanted(integer(hardest, "hardest", 0, MAX_HARDEST), boolean(by_label, "by_label"))


def checked_threads(threads: int | None) -> int:
    """Return the number of threads: all cores that this process may use, where none is given."""
    return _cores() if threads is None else integer(threads, "threads", 1, MAX_THREADS)


def _cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def targets_of(fpr: object) -> tuple[float, ...]:
    """Return the target FPRs, each once."""
    if hasattr(fpr, "__array__") and not isinstance(fpr, np.generic):
        fpr = np.atleast_1d(array(fpr, "fpr", "decimals in (0, 1]")).ravel().tolist()
    several = list(fpr) if isinstance(fpr, list | tuple | set) else [fpr]
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
