"""Probes against a gallery: every probe with every sample of the gallery, except itself."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from evaljobs.errors import InputError
from evaljobs.pairs.given import values
from evaljobs.pairs.labels import factorise
from evaljobs.pairs.samples import Grouping, Samples, arranged, as_rows, expect_lengths, grouped

Int64 = NDArray[np.int64]


def prepare_cross(  # noqa: PLR0913, PLR0917 - two of each
    probes: object,
    probe_labels: object,
    gallery: object,
    gallery_labels: object,
    probe_ids: Sequence[object] | None = None,
    gallery_ids: Sequence[object] | None = None,
    *,
    n_groups: int = 0,
) -> Samples:
    """Check probes and a gallery and make them ready.

    Parameters
    ----------
    probes, gallery
        ``[p, d]``, ``[g, d]`` real numbers, at least one row each.
    probe_labels, gallery_labels
        ``p`` and ``g`` texts, or integers.
    probe_ids, gallery_ids
        Sample ids, each once: a probe is not compared with the gallery's sample of equal id. Both or none.
    n_groups
        How many groups are made for confidence intervals; 0 for none.

    Raises
    ------
    InputError
        If they are not what is expected.
    NonFiniteError
        If a row is not finite, or all zero; rows of the gallery are counted after the probes.
    """
    left, right = as_rows(probes, "probes"), as_rows(gallery, "gallery")
    rows, notes = _stacked(left, right)
    n_probes = len(left[0])
    labels = [
        *_listed(probe_labels, n_probes, "probe_labels"),
        *_listed(gallery_labels, len(rows) - n_probes, "gallery_labels"),
    ]
    codes, names = factorise(labels)
    probe_ids, gallery_ids = (
        None if ids is None else values(ids, what)
        for ids, what in ((probe_ids, "probe_ids"), (gallery_ids, "gallery_ids"))
    )
    twins = _twins(probe_ids, gallery_ids, n_probes, len(rows) - n_probes)
    grouping = _with_twins(grouped(codes, names, n_groups), twins)
    order = np.lexsort((codes, grouping.groups, np.arange(len(rows)) >= n_probes))
    ids = None if probe_ids is None or gallery_ids is None else [*probe_ids, *gallery_ids]
    samples = arranged(
        rows, order, codes, names, grouping, ids, notes, gallery=n_probes, twins=_by_position(twins, order, n_probes)
    )
    if not samples.n_pairs:
        raise InputError("found no pair: the only probe is the only sample of the gallery; expected others")
    return samples


def _stacked(
    probes: tuple[NDArray[np.float32], tuple[str, ...]], gallery: tuple[NDArray[np.float32], tuple[str, ...]]
) -> tuple[NDArray[np.float32], tuple[str, ...]]:
    for what, (rows, _) in (("probes", probes), ("gallery", gallery)):
        if not len(rows):
            raise InputError(f"found no sample among the {what}; expected at least one")
    if probes[0].shape[1] != gallery[0].shape[1]:
        found = f"{probes[0].shape[1]} and {gallery[0].shape[1]}"
        raise InputError(f"found probes and gallery of {found} dimensions; expected the same model's embeddings")
    return np.concatenate((probes[0], gallery[0])), tuple(dict.fromkeys(probes[1] + gallery[1]))


def _listed(labels: object, n: int, what: str) -> list[str | int]:
    codes, names = factorise(labels)
    expect_lengths(n, **{what: len(codes)})
    return [names[code] for code in codes.tolist()]


def _twins(
    probe_ids: Sequence[object] | None, gallery_ids: Sequence[object] | None, n_probes: int, n_gallery: int
) -> Int64 | None:
    """Return the row of the sample of equal id, for each row; -1 where there is none. None without any."""
    if probe_ids is None and gallery_ids is None:
        return None
    if probe_ids is None or gallery_ids is None:
        raise InputError("found sample ids of the probes or of the gallery alone; expected ids of both, or of none")
    expect_lengths(n_probes, probe_ids=len(probe_ids))
    expect_lengths(n_gallery, gallery_ids=len(gallery_ids))
    places = [_places(ids, what) for ids, what in ((probe_ids, "probe_ids"), (gallery_ids, "gallery_ids"))]
    twins = np.full(n_probes + n_gallery, -1, np.int64)
    for id_, probe in places[0].items():
        if id_ in places[1]:
            twins[probe] = n_probes + places[1][id_]
            twins[n_probes + places[1][id_]] = probe
    return twins if (twins >= 0).any() else None


def _places(ids: Sequence[object], what: str) -> dict[object, int]:
    places = {id_: place for place, id_ in enumerate(ids)}
    if len(places) < len(ids):
        twice = next(id_ for place, id_ in enumerate(ids) if places[id_] != place)
        raise InputError(f"found id {twice!r} more than once in {what}; expected each once")
    return places


def _with_twins(grouping: Grouping, twins: Int64 | None) -> Grouping:
    """Put a sample that stands on both sides into one group."""
    if twins is None:
        return grouping
    # The gallery's side follows the probe's; for labels, that changes nothing where both have the same label.
    groups = grouping.groups.copy()
    gallery = np.flatnonzero((twins >= 0) & (twins < np.arange(len(twins))))
    groups[gallery] = groups[twins[gallery]]
    return grouping._replace(groups=groups)


def _by_position(twins: Int64 | None, order: Int64, n_probes: int) -> Int64 | None:
    if twins is None:
        return None
    position = np.empty(len(order), np.int64)
    position[order] = np.arange(len(order))
    by_position = twins[order]
    by_position[n_probes:] = -1  # a pair is told by its probe
    return np.where(by_position >= 0, position[by_position], -1)
