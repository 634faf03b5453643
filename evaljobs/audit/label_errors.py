"""Labels that are likely wrong: images that a model accepts as another label's, and not as their own's.

The search follows Zhu et al., *Detecting corrupted labels without training a model to predict* (ICML 2022): neighbours
in the space of embeddings vote. Here the vote is the model's own operating point, and only images of the hardest pairs
are asked. They are suggestions for a person who looks: nothing is removed but for the numbers beside them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from evaljobs.audit.finding import Checked, Finding, Verdict
from evaljobs.pairs.findings import Findings
from evaljobs.pairs.points import Point
from evaljobs.pairs.samples import Samples

CHECK = "label_errors"
# So many images of the other label must agree, or all where it has fewer.
VOTES = 3
# A model that rejects most genuine pairs says nothing about labels.
LEAST_TPR = 0.5
# Images that are asked at most, and that are suggested.
_ASKED, MOST = 5000, 1000
# Similarities that are held at a time: 256 MB.
_AT_ONCE = 2**26
_COLUMNS = {
    "row": pa.int64(),
    "label": pa.string(),
    "suggested": pa.string(),
    "score": pa.float64(),
    "own_score": pa.float64(),
    "n_own": pa.int64(),
    "nearest": pa.int64(),
}


class Suspect(NamedTuple):
    """An image whose label is likely wrong.

    Attributes
    ----------
    row, nearest
        Of the image, and of the most similar one of the other label.
    label, suggested
        Its label, and the one whose images it is accepted with.
    score
        The least of the votes: its similarity to the `VOTES`-th of that label.
    own_score
        Its greatest similarity to an image of its own label; None where there is none.
    n_own
        Other images of its own label.
    """

    row: int
    label: str
    suggested: str
    score: float
    own_score: float | None
    n_own: int
    nearest: int


def operating_point(points: Sequence[Point]) -> Point | None:
    """Return the strictest point at which most genuine pairs are accepted; None where there is none."""
    fine = [p for p in points if p.threshold is not None and p.tpr is not None and p.tpr >= LEAST_TPR and p.allowed]
    return min(fine, key=lambda point: point.target, default=None)


def suspects(samples: Samples, findings: Findings, threshold: float) -> list[Suspect]:
    """Return the images of the hardest pairs that are accepted as another label's, and by none of their own.

    Parameters
    ----------
    samples
        All of whose pairs were compared.
    findings
        Their hardest pairs.
    threshold
        A pair is accepted where its score, by the definition, is at least as high.

    Returns
    -------
    The most similar to the other label first; `MOST` at most.
    """
    place = np.empty(samples.n, np.int64)
    place[samples.order] = np.arange(samples.n)
    several = [*(findings.hardest_impostor or ()), *(findings.hardest_genuine or ())]
    rows = np.array(list(dict.fromkeys(row for pair in several for row in (pair.a, pair.b)))[:_ASKED], np.int64)
    found: list[Suspect] = []
    step = max(1, _AT_ONCE // samples.n)
    for start in range(0, len(rows), step):
        positions = place[rows[start : start + step]]
        products = samples.unit[positions] @ samples.unit.T
        for position, near in zip(positions.tolist(), products, strict=True):
            suspect = _asked(samples, position, near, threshold)
            found += [] if suspect is None else [suspect]
    return sorted(found, key=lambda one: (-one.score, one.row))[:MOST]


def _asked(samples: Samples, position: int, near: NDArray[np.float32], threshold: float) -> Suspect | None:
    """Return an image as a suspect, if it is one.

    The float32 products choose whom to ask; scores decide.
    """
    labels = samples.labels
    own = np.flatnonzero(labels == labels[position])
    own = own[own != position]
    best_own = _best(near, own, 1)
    own_score = _scores(samples, position, best_own)
    if len(own_score) and own_score[0] >= threshold:
        return None
    others = np.flatnonzero(labels != labels[position])
    if not len(others):
        return None
    nearest = int(others[near[others].argmax()])
    of_label = np.flatnonzero(labels == labels[nearest])
    scores = _scores(samples, position, _best(near, of_label, VOTES))
    if scores.min() < threshold:
        return None
    return Suspect(
        int(samples.order[position]),
        str(samples.names[labels[position]]),
        str(samples.names[labels[nearest]]),
        float(scores.min()),
        float(own_score[0]) if len(own_score) else None,
        len(own),
        int(samples.order[nearest]),
    )


def _best(near: NDArray[np.float32], positions: NDArray[np.int64], most: int) -> NDArray[np.int64]:
    """Return the positions with the greatest products; of equal ones the first."""
    return positions[np.argsort(-near[positions], kind="stable")[:most]]


def _scores(samples: Samples, position: int, others: NDArray[np.int64]) -> NDArray[np.float64]:
    return np.asarray(samples.score_pairs(np.full(len(others), position, np.int64), others))


def label_errors(
    found: Sequence[Suspect] | None,
    points: Sequence[Point],
    without: Mapping[str, Any] | None,
    point: Point | None,
    rows: NDArray[np.int64],
) -> Checked:
    """Say which labels are likely wrong, and what the model's numbers are without those images.

    Parameters
    ----------
    found
        The suspects; None where none were looked for.
    points
        The operating points of all samples.
    without
        The result without the suspects, as `Verification.to_json` gives it; None where there are none.
    point
        The one at which images were asked.
    rows
        ``[n]``: the number of each sample among the images of the set.
    """
    if found is None or point is None:
        claim = (
            f"The model accepts {LEAST_TPR:.0%} of the genuine pairs at no operating point: it says nothing of labels."
        )
        return Checked((Finding(CHECK, Verdict.UNKNOWN, claim, _evidence([], None, [])),), {CHECK: _table([], rows)})
    if not found:
        claim = f"No image of the hardest pairs is accepted as another label's alone, at FPR {point.target:g}."
        return Checked((Finding(CHECK, Verdict.CLEAN, claim, _evidence([], point, [])),), {CHECK: _table([], rows)})
    moved = [] if without is None else _moved(points, without)
    claim = f"{len(found):,} label{'s are' if len(found) > 1 else ' is'} likely wrong{_told(moved, len(found))}."
    advice = "Look at each image beside its nearest one, and mend the labels that are wrong; nothing was removed."
    finding = Finding(CHECK, Verdict.SUSPICIOUS, claim, _evidence(found, point, moved), advice)
    return Checked((finding,), {CHECK: _table(found, rows)})


def _evidence(found: Sequence[Suspect], point: Point | None, moved: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    return {
        "n_labels": len(found),
        "target": None if point is None else point.target,
        "threshold": None if point is None else point.threshold,
        "without": list(moved),
    }


def _moved(points: Sequence[Point], without: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the TPR at each target with all samples, and without the suspects."""
    return [
        {
            "target": point.target,
            "tpr": point.tpr,
            "tpr_without": other["tpr"],
            "threshold_without": other["threshold"],
            "flags": other["flags"],
        }
        for point, other in zip(points, without["points"], strict=True)
    ]


def _told(moved: Sequence[Mapping[str, Any]], n: int) -> str:
    """Say what the TPR is without the suspects, at the strictest target where it is not the same."""
    other = next(
        (
            row
            for row in sorted(moved, key=lambda row: row["target"])
            if row["tpr"] is not None and row["tpr_without"] not in {None, row["tpr"]}
        ),
        None,
    )
    if other is None:
        return ""
    those = "these" if n > 1 else "this one"
    return (
        f": TPR at FPR {other['target']:g} is {other['tpr']:.4f}, and {other['tpr_without']:.4f} without {those}"
        f"{f' {n:,}' if n > 1 else ''}"
    )


def _table(found: Sequence[Suspect], rows: NDArray[np.int64]) -> pa.Table:
    several = [one._replace(row=int(rows[one.row]), nearest=int(rows[one.nearest])) for one in found]
    columns = list(zip(*several, strict=True)) or [()] * len(_COLUMNS)
    order = [Suspect._fields.index(name) for name in _COLUMNS]
    table = pa.table({n: pa.array(columns[at], kind) for (n, kind), at in zip(_COLUMNS.items(), order, strict=True)})
    # Named as pairs are: the image, and the one that it is most like.
    return table.rename_columns({"row": "row_a", "nearest": "row_b"})
