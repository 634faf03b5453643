"""What an audit asks of one model: its numbers with all files alike, by format, and without likely label errors."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from evaljobs.audit.by_format import by_format
from evaljobs.audit.counterfactual import Recoded, counterfactual
from evaljobs.audit.finding import Checked
from evaljobs.audit.label_errors import Suspect, label_errors, operating_point, suspects
from evaljobs.audit.several import Several, left_out, within
from evaljobs.audit.tie import Tie, tie_of
from evaljobs.audit.told import SET, Told, tell
from evaljobs.errors import InputError
from evaljobs.pairs import rounds as pair_rounds
from evaljobs.pairs.closer import Wanted
from evaljobs.pairs.rounds import Limits
from evaljobs.pairs.verification import Verification, conclude
from evaljobs.pairs.work import Rounds

# What files have in common after a step, by its kind: in words, and the facts that say it.
EVENED = {
    "jpeg": ("encoding", ("format", "jpeg_tables", "subsampling")),
    "resize": ("size", ("width", "height")),
    "grayscale": ("colour mode", ("mode",)),
}
_NONE = Wanted()


class Recoding(NamedTuple):
    """A way to encode all images anew: the role of that set, what it is called, and the kinds of its steps."""

    role: str
    title: str
    steps: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Asked:
    """What is asked of a model.

    Attributes
    ----------
    recodings
        The ways that change pixels.
    png
        Whether PNG is one of those that are asked for.
    fpr
        Target FPRs.
    hardest
        Pairs of each kind that are searched for label errors; 0: none.
    """

    recodings: tuple[Recoding, ...]
    png: bool
    fpr: tuple[float, ...]
    hardest: int


def rounds(several: Several, facts: pa.Table, asked: Asked) -> Rounds[Told]:
    """Audit a model: yield passes over its samples, and return what was found.

    Parameters
    ----------
    several
        Its samples by role: ``set``, and those of the recodings.
    facts
        Of the images of the set, a row each (schemas.SAMPLES), as they were before some were left out.
    asked
        What is asked.

    Raises
    ------
    InputError
        If there is no pair to tell from others.
    """
    samples = several.of[SET]
    if not samples.n_genuine or not samples.n_impostor:
        raise InputError(
            f"found {samples.n:,} images with {samples.n_genuine:,} genuine and {samples.n_impostor:,} impostor pairs; "
            "an audit of models needs both: labels with two images or more, and two labels or more"
        )
    facts = facts.take(pa.array(several.rows[SET]))
    plain = yield from _verified(several, SET, asked.fpr, Wanted(hardest=asked.hardest))
    labels = [str(samples.names[label]) for label in _by_row(several)]
    recoded = []
    for recoding in asked.recodings:
        found = yield from _verified(several, recoding.role, asked.fpr)
        recoded.append(Recoded(recoding.title, *_evened(recoding, facts, labels), found.to_json()))
    checks = [counterfactual(plain.to_json(), recoded, png=asked.png)] if recoded or asked.png else []
    formats = facts["format"].to_pylist()
    checks.append((yield from within(SET, by_format(samples, formats, plain.points))))
    if asked.hardest:
        checks.append((yield from _label_errors(several, plain, asked.fpr)))
    about = {
        "part": "model",
        "n_samples": plain.n_samples,
        "n_labels": plain.n_labels,
        "n_genuine": plain.n_genuine,
        "n_impostor": plain.n_impostor,
        "auroc": plain.auroc,
    }
    return tell(about, checks, plain.notes)


def _verified(several: Several, role: str, targets: tuple[float, ...], wanted: Wanted = _NONE) -> Rounds[Verification]:
    samples = several.of[role]
    outcome = yield from within(role, pair_rounds.rounds(samples, targets, Limits(), wanted))
    return conclude(samples, outcome)


def _by_row(several: Several) -> list[int]:
    """Return the number of the label of each row of the set."""
    samples = several.of[SET]
    labels = np.empty(samples.n, np.int64)
    labels[samples.order] = samples.labels
    return list(labels.tolist())


def _evened(recoding: Recoding, facts: pa.Table, labels: Sequence[str]) -> tuple[str, Tie]:
    """Return what all files have in common after a recoding, and how it goes with the labels before."""
    words = [EVENED[kind][0] for kind in dict.fromkeys(recoding.steps)]
    columns = [column for kind in dict.fromkeys(recoding.steps) for column in EVENED[kind][1]]
    values = zip(*(facts[column].to_pylist() for column in columns), strict=True)
    return " and ".join(words), tie_of(list(values), labels)


def _label_errors(several: Several, plain: Verification, targets: tuple[float, ...]) -> Rounds[Checked]:
    """Look for labels that are likely wrong, and verify once more without them."""
    samples, point = several.of[SET], operating_point(plain.points)
    found: list[Suspect] | None = None
    without: dict[str, Any] | None = None
    if point is not None and point.threshold is not None and plain.findings is not None:
        found = suspects(samples, plain.findings, point.threshold)
        rows = [one.row for one in found]
        left = left_out(samples, rows) if found else None
        if left is not None and left.n_genuine and left.n_impostor:
            outcome = yield from within(SET, pair_rounds.rounds(left, targets, Limits()), rows)
            without = conclude(left, outcome).to_json()
    return label_errors(found, plain.points, without, point, several.rows[SET])
