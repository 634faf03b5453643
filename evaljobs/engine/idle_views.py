"""Whether views change anything: tried on some images, before a run computes the same numbers twice."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterable, Mapping

import numpy as np

from evaljobs.engine.image_sets import ImageSet
from evaljobs.engine.views import Seen
from evaljobs.errors import ImageError, UsageError
from evaljobs.images.decode import decode
from evaljobs.images.geometry import Geometry
from evaljobs.images.reading import digest_of, read_images
from evaljobs.images.views.chain import Chain, Change, Step
from evaljobs.models.model import Model

# Images that are tried at most, before it is said that a view changes nothing.
_TRIED = 64


def refuse_idle(sets: Mapping[str, ImageSet], models: Iterable[Model], may_idle: Collection[str] = ()) -> list[str]:
    """Try views on some of the images that they change, in every geometry of the models.

    Parameters
    ----------
    sets
        By name; those that are no views are passed over.
    may_idle
        Names of views that are not refused.

    Returns
    -------
    Sentences that name the models for which a view changes nothing, as far as was tried.

    Raises
    ------
    UsageError
        If a view changes nothing for any model, and each of its images was tried, or none of them can be decoded.
    RemoteError
        If S3 denies an image or does not answer.
    """
    seen = {name: image_set.seen for name, image_set in sets.items() if image_set.seen is not None}
    geometries: dict[Geometry, list[str]] = {}
    for model in models:
        geometries.setdefault(model.pixels.geometry, []).append(model.name)
    notes = []
    for name, view in seen.items():
        tried = {geometry: _tried(view, geometry) for geometry in geometries}
        idle = [geometry for geometry, (n, differs) in tried.items() if n and not differs]
        n_changed = int(view.by_itself.sum())
        if n_changed <= _TRIED and n_changed < len(view.by_itself) and not any(n for n, _ in tried.values()):
            raise UsageError(
                f"sets.{name}.view changes nothing: none of the {n_changed:,} image(s) that it changes can be decoded; "
                "mend their files, or change more images"
            )
        # What was not tried may differ: then it is said, and no run is refused that makes sense.
        if idle and len(idle) == len(geometries) and n_changed <= _TRIED and name not in may_idle:
            raise UsageError(
                f"sets.{name}.view changes nothing: {max(n for n, _ in tried.values()):,} image(s) of {n_changed:,} "
                f"were tried, and the pixels that models get are those of {view.of!r}; "
                f"leave it out, or change it more ({'; '.join(map(str, view.own))})"
            )
        for geometry in idle:
            whose = ", ".join(geometries[geometry])
            n = f"{tried[geometry][0]:,} of {n_changed:,}"
            notes.append(f"set {name}: the view changes nothing for {whose}, on {n} images tried")
    return notes


def _tried(view: Seen, geometry: Geometry) -> tuple[int, bool]:
    """Return how many images were tried, and whether one of them differs from what the set shows of it otherwise."""
    places = np.flatnonzero(view.by_itself)
    # From all over the set: one that begins with grey images may hold others.
    places = places[np.unique(np.linspace(0, len(places) - 1, min(_TRIED, len(places))).astype(np.int64))]
    rows = view.samples.select(["uri", "file_digest"]).take(places)
    uris, files = (column.to_pylist() for column in rows.columns)
    last = len(view.own)
    n = 0
    with contextlib.closing(read_images(uris)) as answers:
        for data, file, place in zip(answers, files, places.tolist(), strict=True):
            steps = view.chains[view.numbers[place]].steps
            different = _differs(data, file, (steps[:-last], steps), geometry)
            n += different is not None
            if different:
                return n, True
    return n, False


def _differs(
    data: bytes | ImageError, file: bytes, steps: tuple[tuple[Step, ...], tuple[Step, ...]], geometry: Geometry
) -> bool | None:
    """Return whether the pixels of an image differ with more steps; None where it cannot be told."""
    if isinstance(data, ImageError) or digest_of(data) != file:
        return None
    try:
        before, after = (decode(data, geometry, Change(Chain(some), file)) for some in steps)
    except ImageError:
        return None
    return not np.array_equal(before, after)
