"""The public doors beside `verify`: probes against a gallery, and listed pairs."""

from __future__ import annotations

from collections.abc import Sequence

from evaljobs.config import DEFAULT_TARGETS
from evaljobs.pairs.cross import prepare_cross
from evaljobs.pairs.given import checked_groups, integer
from evaljobs.pairs.listed import listed_rounds, prepare_listed
from evaljobs.pairs.rounds import Limits, rounds
from evaljobs.pairs.threads import Progress, run_rounds
from evaljobs.pairs.verification import (
    GROUPS,
    Verification,
    checked_threads,
    checked_wanted,
    conclude,
    targets_of,
)


def verify_cross(  # noqa: PLR0913 - the public signature
    probes: object,
    probe_labels: object,
    gallery: object,
    gallery_labels: object,
    fpr: object = DEFAULT_TARGETS,
    *,
    probe_ids: Sequence[object] | None = None,
    gallery_ids: Sequence[object] | None = None,
    tile: int | None = None,
    threads: int | None = None,
    groups: int = GROUPS,
    hardest: int = 0,
    by_label: bool = False,
    progress: Progress | None = None,
) -> Verification:
    """Compare every probe with every sample of a gallery, and find the exact operating point for each target FPR.

    As `verify`, which says what the other parameters are. Rows of the gallery are counted from its own first one.

    Parameters
    ----------
    probes, gallery
        ``[p, d]``, ``[g, d]`` real numbers, at least one row each.
    probe_labels, gallery_labels
        ``p`` and ``g`` texts, or integers.
    probe_ids, gallery_ids
        Sample ids, each once: a probe is not compared with the gallery's sample of equal id. Both or none.

    Raises
    ------
    InputError, NonFiniteError, UsageError
        As `verify`.
    """
    targets = targets_of(fpr)
    threads = checked_threads(threads)
    limits = Limits(tile=None if tile is None else integer(tile, "tile", 1))
    groups, wanted = checked_groups(groups), checked_wanted(hardest, by_label=by_label)
    samples = prepare_cross(probes, probe_labels, gallery, gallery_labels, probe_ids, gallery_ids, n_groups=groups)
    return conclude(samples, run_rounds(rounds(samples, targets, limits, wanted), samples, threads, progress))


def verify_pairs(  # noqa: PLR0913 - the public signature
    embeddings: object,
    pairs: object,
    labels: object = None,
    fpr: object = DEFAULT_TARGETS,
    *,
    genuine: object = None,
    ids: Sequence[object] | None = None,
    threads: int | None = None,
    groups: int = GROUPS,
    hardest: int = 0,
    by_label: bool = False,
    progress: Progress | None = None,
) -> Verification:
    """Compare listed pairs, and find the exact operating point for each target FPR.

    As `verify`, which says what the other parameters are. Memory grows with the list: about 50 bytes a pair. A genuine
    pair whose samples have different labels counts for the label of its first.

    Parameters
    ----------
    embeddings
        ``[n, d]`` real numbers.
    pairs
        ``[p, 2]`` integers: two different rows each.
    labels
        ``n`` texts or integers. Where absent, `genuine` must say which pairs are genuine.
    genuine
        ``p`` booleans; by the labels where absent.

    Raises
    ------
    InputError, NonFiniteError, UsageError
        As `verify`.
    """
    targets = targets_of(fpr)
    threads = checked_threads(threads)
    groups, wanted = checked_groups(groups), checked_wanted(hardest, by_label=by_label)
    listed = prepare_listed(embeddings, pairs, labels, genuine, ids=ids, n_groups=groups)
    return conclude(listed, run_rounds(listed_rounds(listed, targets, wanted), listed, threads, progress))
