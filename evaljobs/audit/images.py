"""What an audit asks of the images, whatever models make of them."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from evaljobs.audit.classes import check_classes
from evaljobs.audit.duplicates import check_duplicates
from evaljobs.audit.finding import Checked
from evaljobs.audit.metadata import check_metadata
from evaljobs.audit.pictures import check_pictures
from evaljobs.audit.prints import Prints
from evaljobs.audit.told import PAIRS_A_PICTURE, SET, TRAINING, Told, tell
from evaljobs.audit.training import Training, check_training
from evaljobs.audit.words import counted
from evaljobs.errors import InputError
from evaljobs.pairs.work import Rounds, total_of

if TYPE_CHECKING:
    from evaljobs.images.pictures import Pictures

# Images that are decoded at a time: a task of some seconds.
_AT_A_TIME = 256


class Audited(NamedTuple):
    """A set of images: labels and image digests, what their files say (schemas.SAMPLES), and the images themselves."""

    labels: Sequence[str]
    digests: pa.Array
    facts: pa.Table
    pictures: Pictures

    def take(self, rows: NDArray[np.int64]) -> Audited:
        """Return the same of some images, in their order."""
        wanted = pa.array(rows, pa.int64())
        labels = [self.labels[row] for row in rows.tolist()]
        return Audited(labels, self.digests.take(wanted), self.facts.take(wanted), self.pictures.of(rows.tolist()))


@dataclasses.dataclass(frozen=True)
class Sides:
    """The sets by role: ``set``, and ``training`` where there are training images. Picklable."""

    of: Mapping[str, Audited]

    @property
    def n_pairs(self) -> int:
        """What looking at all of them costs, in pairs."""
        return sum(len(side.labels) for side in self.of.values()) * PAIRS_A_PICTURE


class Question(NamedTuple):
    """What is asked.

    Attributes
    ----------
    pictures
        Whether images are decoded.
    near
        Bits by which the hashes of near duplicates differ at most.
    columns
        People's own columns that are asked like facts of files.
    seed
        Of permutations, splits and samples of large sets.
    training
        What a list says of training images, where they are no set.
    """

    pictures: bool
    near: int
    columns: tuple[str, ...]
    seed: int
    training: Training | None = None


@dataclasses.dataclass(frozen=True)
class Printed:
    """Fingerprints of some images, and the reasons of those that have none: by role and row, in any order."""

    parts: tuple[tuple[str, NDArray[np.int64], Prints], ...]
    damaged: tuple[tuple[str, int, str], ...] = ()

    def __add__(self, other: Printed) -> Printed:
        return Printed(self.parts + other.parts, self.damaged + other.damaged)

    def of(self, role: str, n: int) -> Prints:
        """Return the fingerprints of a set of n images, in order."""
        own = [(rows, prints) for name, rows, prints in self.parts if name == role]
        if not own:
            return Prints.none(n)
        order = np.argsort(np.concatenate([rows for rows, _ in own]))
        joined = Prints(*(np.concatenate([getattr(p, f.name) for _, p in own]) for f in dataclasses.fields(Prints)))
        return joined.take(order)

    def damaged_of(self, role: str) -> dict[int, str]:
        """Return the rows of a set whose images cannot be decoded, with the kind of the reason."""
        return dict(sorted((row, kind) for name, row, kind in self.damaged if name == role))


@dataclasses.dataclass(frozen=True)
class Printing:
    """The pass that decodes images and takes their fingerprints.

    Attributes
    ----------
    roles, sizes
        The sets, and how many images each has.
    """

    roles: tuple[str, ...]
    sizes: tuple[int, ...]

    def parts(self, at_least: int) -> list[range]:
        """Cut the images of all sets, one after the other, into parts."""
        n = sum(self.sizes)
        step = max(1, min(_AT_A_TIME, -(-n // at_least)))
        return [range(start, min(start + step, n)) for start in range(0, n, step)]

    def pairs(self, part: range, /) -> int:
        """Return what a part costs."""
        return len(part) * PAIRS_A_PICTURE

    def run(self, samples: Sides, part: range, onto: Printed | None = None) -> Printed:
        """Decode some images.

        Raises
        ------
        ImageError
            If one was changed or went away since it was looked at.
        """
        found, start = onto or Printed(()), 0
        for role, size in zip(self.roles, self.sizes, strict=True):
            rows = range(max(part.start - start, 0), min(part.stop - start, size))
            if rows:
                found += _printed(role, samples.of[role].pictures, rows)
            start += size
        return found


def _printed(role: str, pictures: Pictures, rows: range) -> Printed:
    from evaljobs.images.fingerprint import GEOMETRY, fingerprint

    block = pictures.block(rows, GEOMETRY)
    # Copies in one part have one digest, and are decoded or not alike.
    by_digest = {d: fingerprint(pixels) for d, pixels in zip(block.digests, block.pixels, strict=True)}
    kinds = {failure.digest: str(failure.kind) for failure in block.failures}
    digests = pictures.digests[rows.start : rows.stop].to_pylist()
    damaged = tuple((role, row, kinds[d]) for row, d in zip(rows, digests, strict=True) if d in kinds)
    numbers = np.arange(rows.start, rows.stop, dtype=np.int64)
    return Printed(((role, numbers, Prints.of([by_digest.get(digest) for digest in digests])),), damaged)


def rounds(several: Sides, asked: Question) -> Rounds[Told]:
    """Audit images: yield the pass that looks at them, if it is asked for, and return what was found.

    Raises
    ------
    InputError
        If no image of the set can be used.
    """
    sides = several.of
    prints: dict[str, Prints | None] = dict.fromkeys(sides)
    # What begins like no image is told without decoding it.
    usable = np.array(pc.is_valid(sides[SET].facts["format"]), np.bool_)
    damaged: dict[int, str] = {}
    if asked.pictures:
        found = yield from total_of(Printing(tuple(sides), tuple(len(one.labels) for one in sides.values())))
        prints |= {role: found.of(role, len(one.labels)) for role, one in sides.items()}
        damaged = found.damaged_of(SET)
        usable &= found.of(SET, len(usable)).known
    rows = np.flatnonzero(usable)
    if not len(rows):
        raise InputError(f"none of the {len(usable):,} images can be decoded; an audit needs images to look at")
    side, own = sides[SET].take(rows), prints[SET]
    own = None if own is None else own.take(rows)
    training = _training(sides, prints) or asked.training
    checks = [
        check_metadata(side.facts, side.labels, side.digests, own=asked.columns, seed=asked.seed),
        check_duplicates(side.digests, side.labels, own, bound=asked.near),
        check_training(side.digests, side.labels, own, training, bound=asked.near),
        check_classes(side.labels),
    ]
    notes = []
    if own is not None:
        checks.append(check_pictures(own, side.labels, Counter(damaged.values())))
    elif len(rows) < len(usable):
        notes.append(f"{len(usable) - len(rows):,} of {counted(len(usable), 'file')} are no images, and left out")
    about = {
        "part": "images",
        "n_samples": len(side.labels),
        "n_labels": len(set(side.labels)),
        "n_training": len(sides[TRAINING].labels) if TRAINING in sides else None,
    }
    named = [Checked(check.findings, _renumbered(check.tables, rows)) for check in checks]
    left = {"damaged": _damaged_table(damaged, sides[SET].labels)} if asked.pictures else {}
    return tell(about, [*named, Checked((), left)], notes)


def _renumbered(tables: Mapping[str, pa.Table], rows: NDArray[np.int64]) -> dict[str, pa.Table]:
    """Return tables about some images of the set with the rows that these have in the set."""
    found = dict(tables)
    for name, table in tables.items():
        columns = ("row", "row_a") if name.startswith(TRAINING) else ("row", "row_a", "row_b")
        for column in set(columns) & set(table.column_names):
            place = table.column_names.index(column)
            found[name] = found[name].set_column(place, column, pa.array(rows[table[column].to_numpy()], pa.int64()))
    return found


def _damaged_table(damaged: Mapping[int, str], labels: Sequence[str]) -> pa.Table:
    columns = {
        "row": pa.array(list(damaged), pa.int64()),
        "label": pa.array([labels[row] for row in damaged], pa.string()),
        "kind": pa.array(list(damaged.values()), pa.string()),
    }
    return pa.table(columns)


def _training(sides: Mapping[str, Audited], prints: Mapping[str, Prints | None]) -> Training | None:
    if TRAINING not in sides:
        return None
    side = sides[TRAINING]
    return Training(frozenset(side.labels), side.digests, prints[TRAINING], side.labels)
