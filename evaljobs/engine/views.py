"""Views in a run: which images they change, and what is done to those."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from evaljobs.config import Set as DeclaredSet
from evaljobs.config import Step as DeclaredStep
from evaljobs.config import View, lineage
from evaljobs.errors import UsageError
from evaljobs.images.views.chain import Chain, Change, Step
from evaljobs.images.views.drawing import chosen
from evaljobs.schemas import DIGEST

Numbers = npt.NDArray[np.int32]
Mask = np.ndarray[tuple[int], np.dtype[np.bool_]]

_ROWS_AT_A_TIME = 2**16


@dataclasses.dataclass(frozen=True)
class Seen:
    """How a view shows the samples of the set whose images it has.

    Attributes
    ----------
    of
        The set that it is made of, and what is done to that.
    views
        All that are between the images and this set, the first that acts first.
    samples
        schemas.SAMPLES: those of the images, with the image digests that they have here.
    chains
        What is done to images; the last ends with the steps of this view.
    numbers
        ``[n]``: which of the chains is done to a sample; -1 for those that are as in their file.
    by_itself
        ``[n]`` bool: the samples that this view changes, whatever those before it did.
    """

    of: str
    views: tuple[View, ...]
    samples: pa.Table
    chains: tuple[Chain, ...]
    numbers: Numbers
    by_itself: Mask

    @property
    def own(self) -> tuple[Step, ...]:
        """The steps of this view."""
        return self.chains[-1].steps[-len(self.views[-1].steps) :]

    @property
    def changed(self) -> Mask:
        """``[n]`` bool: the samples that are not as in their file."""
        return self.numbers >= 0


def see(name: str, sets: Mapping[str, DeclaredSet], samples: Mapping[str, pa.Table]) -> Seen:
    """Return how a view shows its samples.

    Parameters
    ----------
    name
        Of the view.
    sets
        All sets of the configuration.
    samples
        Those of the sets that have images of their own (schemas.SAMPLES).

    Raises
    ------
    UsageError
        If it changes no image.
    """
    root, views = lineage(sets, name)
    seen = _as_they_are(samples[root])
    for depth, view in enumerate(views):
        seen = _through(seen, view, depth)
    readable = seen.samples.num_rows - seen.samples["image_digest"].null_count
    # Where no image at all can be read, the run says why of each.
    if readable and not seen.by_itself.any():
        raise UsageError(f"sets.{name}.view: {_changes_none(views[-1], str(sets[name].of), readable)}")
    return dataclasses.replace(seen, of=str(sets[name].of))


def _changes_none(view: View, of: str, readable: int) -> str:
    if view.share is None:
        return (
            f"none of the first {view.first:,} images of {of!r} can be read, and only those would be changed; mend "
            "their files, or take a larger `first`"
        )
    return (
        f"the share {view.share} holds none of the {readable:,} images of {of!r} that can be read; take a larger one, "
        "another `seed`, or `first: 1`"
    )


def _as_they_are(samples: pa.Table) -> Seen:
    n = samples.num_rows
    return Seen("", (), samples, (), np.full(n, -1, np.int32), np.zeros(n, bool))


def _through(seen: Seen, view: View, depth: int) -> Seen:
    """Return the same seen through one more view."""
    own = tuple(_step(step, f"{view.seed}/{depth}/{place}") for place, step in enumerate(view.steps))
    digests = seen.samples["image_digest"]
    mask = _selected(view, digests, depth)
    before: list[Chain | None] = [*seen.chains, None]
    after = [Chain((*(() if chain is None else chain.steps), *own)) for chain in before]
    chains = (*seen.chains, *after)
    # The last one before is that of images as they are, by the number -1.
    following = len(seen.chains) + np.arange(len(after), dtype=np.int32)
    chains, numbers = _used(chains, np.where(mask, following[seen.numbers], seen.numbers))
    changed = _digests(digests, seen.samples["file_digest"], numbers, mask, chains)
    place = seen.samples.schema.get_field_index("image_digest")
    samples = seen.samples.set_column(place, seen.samples.schema.field(place), changed)
    return Seen(seen.of, (*seen.views, view), samples, chains, numbers, mask)


def _used(chains: Sequence[Chain], numbers: Numbers) -> tuple[tuple[Chain, ...], Numbers]:
    """Leave out the chains that no image has, since views of views would double them; the last has the view's steps."""
    used = np.union1d(numbers[numbers >= 0], [len(chains) - 1])
    places = np.searchsorted(used, numbers).astype(np.int32)
    return tuple(chains[number] for number in used.tolist()), np.where(numbers >= 0, places, np.int32(-1))


def _step(step: DeclaredStep, seed: str) -> Step:
    values = {name: tuple(value) if isinstance(value, list) else value for name, value in step.values.items()}
    return Step(step.kind, step.point, tuple(sorted(values.items())), seed if step.noise is not None else "")


def _selected(view: View, digests: pa.ChunkedArray, depth: int) -> Mask:
    """Return the readable images that a view changes."""
    mask: Mask = digests.is_valid().to_numpy().copy()
    if view.first is not None:
        mask[view.first :] = False
    if view.share is not None:
        # An image that the views before left alone has the digest that it had there: of one seed it is drawn anew.
        seed = f"{view.seed}/{depth}" if depth else str(view.seed)
        mask &= np.concatenate([_chosen(seed, some, view.share) for some in _pieces(digests)] or [np.empty(0, bool)])
    return mask


def _chosen(seed: str, digests: pa.ChunkedArray, share: float) -> Mask:
    return chosen(seed, [digest or b"" for digest in digests.to_pylist()], share)


def _digests(
    digests: pa.ChunkedArray, files: pa.ChunkedArray, numbers: Numbers, mask: Mask, chains: Sequence[Chain]
) -> pa.ChunkedArray:
    """Return the image digests, those of changed images anew."""

    def some(digests: pa.ChunkedArray, files: pa.ChunkedArray, start: int) -> pa.Array:
        part = slice(start, start + len(digests))
        rows = zip(digests.to_pylist(), files.to_pylist(), numbers[part].tolist(), mask[part].tolist(), strict=True)
        return pa.array([chains[n].of(file) if changed else digest for digest, file, n, changed in rows], DIGEST)

    starts = range(0, len(digests), _ROWS_AT_A_TIME)
    pieces = zip(_pieces(digests), _pieces(files), starts, strict=True)
    return pa.chunked_array([some(*piece) for piece in pieces], DIGEST)


def _pieces(column: pa.ChunkedArray) -> Iterator[pa.ChunkedArray]:
    """Cut a column, so that few of its values are Python objects at a time."""
    for start in range(0, len(column), _ROWS_AT_A_TIME):
        yield column.slice(start, _ROWS_AT_A_TIME)


@dataclasses.dataclass(frozen=True)
class Changes:
    """What is done to the distinct images of a run.

    Attributes
    ----------
    chains
        All that are done to some image.
    files
        ``[n]`` digests of the bytes of the images' files.
    numbers
        ``[n]``: which of the chains; -1 for images as they are.
    """

    chains: tuple[Chain, ...]
    files: pa.Array
    numbers: Numbers

    def of(self, images: pa.Array, places: npt.NDArray[np.int64]) -> dict[bytes, Change]:
        """Return what is done to some images, by image digest; nothing for those that are as they are.

        Parameters
        ----------
        images
            ``[n]`` digests of the distinct images.
        places
            Indices of some of them.
        """
        changed = places[self.numbers[places] >= 0]
        rows = zip(
            images.take(changed).to_pylist(),
            self.files.take(changed).to_pylist(),
            self.numbers[changed].tolist(),
            strict=True,
        )
        return {digest: Change(self.chains[number], file) for digest, file, number in rows}


def joined(numbers: Iterable[Seen | None], lengths: Iterable[int]) -> tuple[tuple[Chain, ...], Numbers]:
    """Return the chains of several sets as one list, and for each sample of the sets its number there, or -1.

    Parameters
    ----------
    numbers
        By set; None for a set that is no view.
    lengths
        Samples of each set.
    """
    known: dict[Chain, int] = {}
    found = [np.empty(0, np.int32)]
    for seen, n in zip(numbers, lengths, strict=True):
        if seen is None:
            found.append(np.full(n, -1, np.int32))
            continue
        places = [known.setdefault(chain, len(known)) for chain in seen.chains]
        # The last one answers for -1.
        found.append(np.array([*places, -1], np.int32)[seen.numbers])
    return tuple(known), np.concatenate(found)
