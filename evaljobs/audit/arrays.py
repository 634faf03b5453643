"""The public door: audit embeddings against what is known of the files that they were made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from evaljobs.audit.models import EVENED, Asked, Recoding, rounds
from evaljobs.audit.several import several_of
from evaljobs.audit.told import SET, Told
from evaljobs.errors import InputError
from evaljobs.pairs.given import checked_groups, values
from evaljobs.pairs.samples import as_rows, expect_lengths
from evaljobs.pairs.threads import run_rounds
from evaljobs.pairs.verification import GROUPS, checked_threads, checked_wanted, targets_of

_FPR = ("1e-4", "1e-3", "1e-2", "1e-1")


def audit_embeddings(  # noqa: PLR0913 - the public signature
    embeddings: object,
    labels: Sequence[str],
    facts: Mapping[str, Sequence[object]] | pa.Table,
    *,
    recoded: Mapping[str, object] | None = None,
    fpr: object = _FPR,
    groups: int = GROUPS,
    hardest: int = 1000,
    threads: int | None = None,
) -> Told:
    """Ask whether the numbers of a model can be believed: by format, when files are alike, without likely label errors.

    Parameters
    ----------
    embeddings
        ``[n, d]`` real numbers.
    labels
        ``n`` texts.
    facts
        Of the files that they were made of, by name, `n` each, as samples.arrow has them: ``format``; for what
        `recoded` says also ``jpeg_tables`` and ``subsampling``, ``width`` and ``height``, or ``mode``.
    recoded
        ``[n, d]`` embeddings of the same images, all encoded in one way, by its title: the first word is ``jpeg``,
        ``resize`` or ``grayscale``, such as ``jpeg 75``.
    fpr
        Target false-positive rates, as `evaljobs.verify` takes them.
    groups
        Of how many groups of labels one is left out at a time for the intervals of differences.
    hardest
        How many of the hardest pairs of each kind are searched for likely label errors; 0: none.
    threads
        How many compare at a time; all available cores where absent.

    Returns
    -------
    Told
        Findings with their verdicts, and tables: ``by_format``, ``label_errors``, ``counterfactual``.

    Raises
    ------
    InputError
        If these are not what is expected.
    NonFiniteError
        If an embedding is not finite, or all zero.
    """
    groups, hardest = checked_groups(groups), checked_wanted(hardest, by_label=False).hardest
    ways = _ways(recoded)
    labels = values(labels, "labels", "a list of texts")
    table = _facts(facts, ways)
    matrices = {SET: as_rows(embeddings)[0], **{title: as_rows(given)[0] for title, given in ways.items()}}
    for title, matrix in matrices.items():
        expect_lengths(len(matrix), labels=len(labels), **{f"facts (of {title})": table.num_rows})
    ids = [str(number) for number in np.arange(len(labels))]
    several = several_of(matrices, {title: (ids, list(labels)) for title in matrices}, groups)
    recodings = tuple(Recoding(title, title, (title.split()[0],)) for title in ways)
    asked = Asked(recodings, png=False, fpr=targets_of(fpr), hardest=hardest)
    samples: Any = several  # of it, what carries passes out asks how many pairs there are
    return run_rounds(rounds(several, table, asked), samples, checked_threads(threads))


def _ways(recoded: object) -> Mapping[str, object]:
    if recoded is not None and not (isinstance(recoded, Mapping) and all(isinstance(title, str) for title in recoded)):
        raise InputError(
            f"found recoded of type {type(recoded).__name__}; expected embeddings by the title of the way, such as "
            "'jpeg 75'"
        )
    return recoded or {}


def _facts(facts: Mapping[str, Sequence[object]] | pa.Table, ways: Mapping[str, object]) -> pa.Table:
    """Return facts as a table; refuse ways that are not known, and facts that they need and are not there."""
    try:
        table = facts if isinstance(facts, pa.Table) else pa.table(dict(facts))
    except (pa.ArrowException, TypeError, ValueError) as error:
        raise InputError(f"facts are no table: {error}; expected values of one type, as many for each name") from None
    needed = ["format"]
    for title in ways:
        kind = (title.split() or [""])[0]
        if kind not in EVENED:
            raise InputError(f"found the way to encode images {title!r}; expected one of {', '.join(EVENED)} first")
        needed += EVENED[kind][1]
    if lacking := [name for name in needed if name not in table.column_names]:
        raise InputError(f"found facts {', '.join(table.column_names)}; expected also {', '.join(lacking)}")
    place = table.column_names.index("format")
    return table.set_column(place, "format", table["format"].cast(pa.string()))
