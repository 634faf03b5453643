"""Images that stand in a set more than once, byte for byte or nearly, and whether they have one label."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from evaljobs.audit.alike import BOUND, Alike, alike
from evaljobs.audit.finding import Checked, Finding, Verdict
from evaljobs.audit.prints import Prints
from evaljobs.audit.words import counted, share

Int64 = NDArray[np.int64]

CHECK = "duplicates"
# Copies with one label are genuine pairs that every model gets right. A hundredth of the images is more than the
# difference between most models.
MUCH = 0.01
# One image under two labels has a wrong one, and is an impostor pair of score 1: one in a thousand images decides the
# threshold at low FPR.
CONTRADICTING = 0.001
# Rows of a table; the counts are of all.
MOST_ROWS = 10_000


class Copies(NamedTuple):
    """Pairs of images of equal bytes.

    Of k copies each is paired with the first, and not with every other: k - 1 pairs, ``a`` < ``b``, ``[m]`` int64.
    """

    a: Int64
    b: Int64


def check_duplicates(digests: pa.Array, labels: Sequence[str], prints: Prints | None, *, bound: int = BOUND) -> Checked:
    """Find images that stand in a set more than once.

    Parameters
    ----------
    digests
        ``[n]`` image digests: equal ones are images of equal bytes.
    labels
        ``n`` texts.
    prints
        Fingerprints of the n images; None where nobody looked at pixels: then nothing is known of near duplicates.
    bound
        In how many bits of 64 the hashes of near duplicates differ at most.

    Returns
    -------
    A finding on copies and one on near duplicates. Tables ``exact`` and ``near``, a row a pair: ``row_a``, ``row_b``,
    ``label_a``, ``label_b``, ``same_label``, and ``distance`` in bits; different labels first, at most `MOST_ROWS`.
    """
    numbers = _numbers(pa.array(labels, pa.string()))
    copies = copies_of(digests)
    found = [_exact(copies, numbers)]
    tables = {"exact": pairs_table(copies.a, copies.b, labels, labels, None)}
    if prints is None:
        return Checked((*found, _not_looked()), tables)
    firsts = np.setdiff1d(np.arange(len(labels)), copies.b)
    near = alike(prints, firsts, bound)
    return Checked(
        (*found, _near(near, numbers, bound)),
        {**tables, "near": pairs_table(near.a, near.b, labels, labels, near.distance)},
    )


def copies_of(digests: pa.Array) -> Copies:
    """Return the images whose bytes another one before them has, with the first of these."""
    numbers = _numbers(digests)
    _, first, inverse = np.unique(numbers, return_index=True, return_inverse=True)
    rows = np.arange(len(numbers))
    later = first[inverse] != rows
    return Copies(first[inverse][later].astype(np.int64), rows[later])


def pairs_table(
    a: Int64, b: Int64, labels: Sequence[str], other_labels: Sequence[str] | None, distance: NDArray[np.uint8] | None
) -> pa.Table:
    """Return pairs as rows, those with different labels first; `MOST_ROWS` at most."""
    left = np.array(labels, object)[a]
    right = np.full(len(b), None, object) if other_labels is None else np.array(other_labels, object)[b]
    same = np.array(left == right, np.bool_)
    order = np.argsort(same, kind="stable")[:MOST_ROWS]
    columns = {
        "row_a": pa.array(a[order], pa.int64()),
        "row_b": pa.array(b[order], pa.int64()),
        "label_a": pa.array(left[order].tolist(), pa.string()),
        "label_b": pa.array(right[order].tolist(), pa.string()),
        "same_label": pa.array(same[order], pa.bool_())
        if other_labels is not None
        else pa.nulls(len(order), pa.bool_()),
    }
    if distance is not None:
        columns["distance"] = pa.array(distance[order], pa.int64())
    return pa.table(columns)


def _numbers(values: pa.Array) -> Int64:
    """Return a number for each value, the same for equal ones."""
    found: Int64 = pc.dictionary_encode(values).indices.to_numpy(zero_copy_only=False).astype(np.int64)
    return found


def _exact(copies: Copies, labels: Int64) -> Finding:
    n, concerned = len(labels), len(np.union1d(copies.a, copies.b))
    contrary = labels[copies.a] != labels[copies.b]
    n_contrary = len(np.union1d(copies.a[contrary], copies.b[contrary]))
    evidence = {
        "n_images": n,
        "n_copies": len(copies.b),
        "n_images_with_copies": concerned,
        "n_images_with_contradicting_labels": n_contrary,
    }
    if not len(copies.b):
        return Finding(CHECK, Verdict.CLEAN, f"No two of the {n:,} images are equal, byte for byte.", evidence)
    much = len(copies.b) >= MUCH * n or n_contrary >= CONTRADICTING * n
    claim = f"{counted(len(copies.b), 'image')} of {n:,} ({share(len(copies.b), n)}) repeat another one, byte for byte"
    if not n_contrary:
        claim += ", under the same label: such pairs score 1 with every model."
        advice = "Keep one of each: copies make every model look better than it is."
    else:
        claim += f"; {counted(n_contrary, 'image')} stand under more than one label, so some labels are wrong."
        advice = "Correct the labels of the pairs in the table, then keep one image of each."
    return Finding(CHECK, Verdict.LEAK if much else Verdict.SUSPICIOUS, claim, evidence, advice)


def _near(near: Alike, labels: Int64, bound: int) -> Finding:
    n, concerned = len(labels), len(np.union1d(near.a, near.b))
    contrary = labels[near.a] != labels[near.b]
    n_contrary = len(np.union1d(near.a[contrary], near.b[contrary]))
    evidence = {
        "n_images": n,
        "n_pairs": len(near.a),
        "n_pairs_complete": near.complete,
        "n_images_alike": concerned,
        "n_pairs_with_different_labels": int(contrary.sum()),
        "n_images_with_different_labels": n_contrary,
        "bound_bits": bound,
    }
    many = "" if near.complete else "more than "
    claim = f"{many}{counted(len(near.a), 'pair')} of images look alike ({concerned:,} of {n:,} images, "
    claim += f"{share(concerned, n)}; hashes that differ in at most {bound} of 64 bits)"
    claim = claim[0].upper() + claim[1:]
    if n_contrary:
        return Finding(
            CHECK,
            Verdict.SUSPICIOUS,
            f"{claim}; {int(contrary.sum()):,} of these pairs have different labels.",
            evidence,
            "Look at the pairs in the table, different labels first: one image under two labels is a wrong label.",
        )
    if (concerned >= MUCH * n and concerned) or not near.complete:
        return Finding(
            CHECK,
            Verdict.SUSPICIOUS,
            f"{claim}, all under the same label.",
            evidence,
            "Look at the pairs in the table: versions of one picture are genuine pairs that are too easy; keep one of "
            "each.",
        )
    if not concerned:
        claim = f"No two of the {n:,} images look alike (hashes that differ in at most {bound} of 64 bits)"
    return Finding(CHECK, Verdict.CLEAN, f"{claim}.", evidence)


def _not_looked() -> Finding:
    return Finding(
        CHECK,
        Verdict.UNKNOWN,
        "Whether images look alike is not known: pixels were not looked at.",
        {"n_pairs": None},
        "Let the audit look at pixels.",
    )
