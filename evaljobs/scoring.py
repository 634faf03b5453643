"""Verification of vectors that somebody already has: tables in, a result out; all pairs, a gallery, or listed pairs."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from evaljobs.errors import InputError, UsageError
from evaljobs.jobs.beside import check_itself, notes_of
from evaljobs.pairs.protocols import verify_cross, verify_pairs
from evaljobs.pairs.verification import Verification, targets_of, verify
from evaljobs.pairs_file import find_rows, read_pairs
from evaljobs.remote import AnyPath, is_remote, locate
from evaljobs.vectors import Columns, Vectors, read_vectors

_NAMED = 3


@dataclasses.dataclass(frozen=True)
class Asked:
    """What is asked.

    Attributes
    ----------
    table
        Of the samples, on this machine or on S3; of the probes, where there is a gallery.
    gallery
        Table of the gallery: every probe is compared with each of its samples, except that of equal id.
    pairs
        File of the pairs that are compared, by id; by row, where the table has no ids.
    columns
        What the columns of the tables are called.
    fpr
        Targets.
    groups, hardest, threads
        As `verify` takes them.
    self_check
        On how many samples the fast way is checked against scikit-learn; 0 for none.
    """

    table: AnyPath
    gallery: AnyPath | None
    pairs: AnyPath | None
    columns: Columns
    fpr: Sequence[str | float]
    groups: int
    hardest: int
    self_check: int
    threads: int | None


@dataclasses.dataclass(frozen=True)
class Scored:
    """What was found.

    Attributes
    ----------
    verification
        The result.
    ids_a, ids_b
        Ids of the samples of either side, where the tables have them.
    notes
        What was changed about the input, and what was left out.
    self_check
        How the self-check ended; None where none was asked for.
    """

    verification: Verification
    ids_a: Sequence[str] | None
    ids_b: Sequence[str] | None
    notes: Sequence[str]
    self_check: dict[str, Any] | None

    def hardest(self) -> list[dict[str, Any]]:
        """Return the hardest pairs: kind, rank, score, rows, labels, and ids, null where there are none."""
        findings = self.verification.findings
        rows = [] if findings is None else findings.hardest_table().to_pylist()
        for row in rows:
            for side, ids in (("a", self.ids_a), ("b", self.ids_b)):
                row[f"id_{side}"] = None if ids is None else ids[row[f"row_{side}"]]
        return rows

    def to_json(self) -> dict[str, Any]:
        """Return everything as JSON: as in results.json, with the hardest pairs beside it."""
        beside = {"notes": [*self.notes], "self_check": self.self_check, "hardest": self.hardest()}
        return {**self.verification.to_json(), **beside}


def score_tables(asked: Asked, progress: Callable[[int, int], None]) -> Scored:
    """Read tables and verify what is in them.

    Raises
    ------
    InputError, UsageError
        If they cannot be read or compared, or what is asked does not go together.
    ModelError
        If the self-check found a difference.
    """
    if asked.gallery is not None and asked.pairs is not None:
        raise UsageError("found --gallery beside --pairs; pairs are listed of one table: leave one of the two out")
    if asked.pairs is not None and asked.self_check:
        raise UsageError("found --self-check beside --pairs, which are not compared in the fast way that it checks")
    how: dict[str, Any] = {"groups": asked.groups, "hardest": asked.hardest, "by_label": True}
    how |= {"threads": asked.threads, "progress": progress}
    if asked.gallery is not None:
        return _cross(asked, asked.gallery, how)
    return _all(asked, how) if asked.pairs is None else _listed(asked, asked.pairs, how)


def _all(asked: Asked, how: dict[str, Any]) -> Scored:
    vectors = read_vectors(asked.table, asked.columns)
    found = verify(vectors.embeddings, vectors.labels, asked.fpr, ids=vectors.ids, **how)
    checked = _checked(asked, vectors.embeddings, vectors.labels)
    return Scored(found, vectors.ids, vectors.ids, notes_of(found, asked.hardest), checked)


def _checked(asked: Asked, embeddings: object, labels: object) -> dict[str, Any] | None:
    return check_itself(embeddings, labels, targets_of(asked.fpr), asked.self_check) if asked.self_check else None


def _cross(asked: Asked, gallery: AnyPath, how: dict[str, Any]) -> Scored:
    probes, others = (read_vectors(path, asked.columns) for path in (asked.table, gallery))
    if _are_same(gallery, asked.table):
        raise UsageError(f"{gallery} is the table itself; for all its pairs, each once, leave --gallery out")
    if (probes.ids is None) != (others.ids is None):
        without = asked.table if probes.ids is None else gallery
        raise InputError(
            f"{without} has no column {asked.columns.id!r}, and the other table has one: samples of equal id are not "
            "compared. Give both ids, or name with --id a column that neither has"
        )
    found = verify_cross(
        probes.embeddings, probes.labels, others.embeddings, others.labels, asked.fpr,
        probe_ids=probes.ids, gallery_ids=others.ids, **how,
    )  # fmt: skip
    embeddings = np.concatenate((probes.embeddings, others.embeddings))
    checked = _checked(asked, embeddings, [*(probes.labels or ()), *(others.labels or ())])
    notes = notes_of(found, asked.hardest, n_probes=len(probes.embeddings))
    return Scored(found, probes.ids, others.ids, notes, checked)


def _are_same(a: AnyPath, b: AnyPath) -> bool:
    if is_remote(a) and is_remote(b):
        return locate(a, Path()) == locate(b, Path())
    return not is_remote(a) and not is_remote(b) and Path(a).samefile(b)


def _listed(asked: Asked, place: AnyPath, how: dict[str, Any]) -> Scored:
    pairs = read_pairs(place)
    vectors = read_vectors(asked.table, asked.columns, labelled=pairs.genuine is None)
    notes = []
    if vectors.ids is None:
        notes.append(f"{asked.table} has no column {asked.columns.id!r}: id_a and id_b are its rows, counted from 0")
    listed = find_rows(pairs, _ids(vectors, asked), str(asked.table))
    found = verify_pairs(
        vectors.embeddings, listed.rows, vectors.labels, asked.fpr, genuine=listed.genuine, ids=vectors.ids, **how
    )
    return Scored(found, vectors.ids, vectors.ids, [*notes, *notes_of(found, asked.hardest)], None)


def _ids(vectors: Vectors, asked: Asked) -> Sequence[str]:
    """Return the ids by which pairs are listed: row numbers, where the table has none."""
    if vectors.ids is None:
        return [str(row) for row in range(len(vectors.embeddings))]
    last = {id_: row for row, id_ in enumerate(vectors.ids)}
    if len(last) < len(vectors.ids):
        twice = list(dict.fromkeys(id_ for row, id_ in enumerate(vectors.ids) if last[id_] != row))
        named = ", ".join(map(repr, twice[:_NAMED]))
        raise InputError(
            f"{asked.table}: {len(twice):,} id(s) stand more than once, the first: {named}; pairs are listed by id, so "
            "give each sample one of its own, or name another column with --id"
        )
    return vectors.ids
