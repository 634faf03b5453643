"""The tables beside a result: every image, the labels, the curve, and how the scores are distributed."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from evaljobs.anomaly.detection import Anomalies
from evaljobs.classification.groups import Keys
from evaljobs.pairs import auroc

Float64 = NDArray[np.float64]
Int64 = NDArray[np.int64]
Mask = NDArray[np.bool_]

# Of a histogram: bins at least, in all and in a decade; and the decade with which it begins at the lowest.
_BINS, _LEAST_BINS, _LOWEST = 100, 10, -16


@dataclasses.dataclass(frozen=True)
class Images:
    """The images that are judged, ``[n]`` each.

    Attributes
    ----------
    labels
        Texts.
    anomalous
        Whether an image is.
    keys
        ``[n, 4]`` uint64 of digests: groups are made of them.
    rows
        The row of each image in its set.
    """

    labels: Sequence[str]
    anomalous: Mask
    keys: Keys
    rows: Int64


def tables_of(
    found: Anomalies, scores: Float64, images: Images, beside: Mapping[str, NDArray[np.generic]]
) -> dict[str, pa.Table]:
    """Return the tables of a result.

    Parameters
    ----------
    found
        The result.
    scores
        ``[n]`` float64.
    images
        What has them.
    beside
        By name: more columns of the images, ``[n]`` each.
    """
    labels, anomalous = images.labels, images.anomalous
    by_image = {"row": images.rows, "label": list(labels), "anomalous": anomalous, "score": scores, **beside}
    return {
        "images": pa.table(by_image),
        "labels": pa.Table.from_pylist(_by_label(scores, labels, anomalous), _LABELS),
        "label_points": pa.Table.from_pylist(_label_points(found, scores, labels), _LABEL_POINTS),
        "scores": _histogram(scores, anomalous),
        "roc": pa.table(found.curve._asdict()),
    }


_LABELS: Final = pa.schema(
    [
        ("label", pa.string()),
        ("anomalous", pa.bool_()),
        ("n_samples", pa.int64()),
        ("mean", pa.float64()),
        ("median", pa.float64()),
        ("auroc", pa.float64()),
    ]
)
_LABEL_POINTS: Final = pa.schema(
    [("label", pa.string()), ("target", pa.float64()), ("n_flagged", pa.int64()), ("share_flagged", pa.float64())]
)


def mean_of(values: Float64) -> float:
    """Return the mean, rounded once: the same in any order."""
    return math.fsum(values.tolist()) / len(values)


def places_of(labels: Sequence[str]) -> dict[str, Int64]:
    """Return by label, in alphabetical order, the places at which it stands."""
    names, codes = np.unique(np.array(labels, object), return_inverse=True)
    order = np.argsort(codes, kind="stable")
    parts = np.split(order, np.cumsum(np.bincount(codes, minlength=len(names)))[:-1])
    return dict(zip(names.tolist(), parts, strict=True))


def _by_label(
    scores: Float64, labels: Sequence[str], anomalous: Mask
) -> list[dict[str, str | bool | int | float | None]]:
    """Return a row for each label; its AUROC is against all normal images, and null for a normal label."""
    normal = np.sort(scores[~anomalous])
    rows: list[dict[str, str | bool | int | float | None]] = []
    for label, places in places_of(labels).items():
        own, positive = np.sort(scores[places]), bool(anomalous[places[0]])
        area = auroc.from_sorted(normal, own) if positive else None
        rows.append(
            {
                "label": label,
                "anomalous": positive,
                "n_samples": len(own),
                "mean": mean_of(own),
                "median": float(np.median(own)),
                "auroc": None if area is None else area.value,
            }
        )
    return rows


def _label_points(found: Anomalies, scores: Float64, labels: Sequence[str]) -> list[dict[str, str | int | float]]:
    """Return how many images of each label are flagged at each operating point."""
    rows: list[dict[str, str | int | float]] = []
    for label, places in places_of(labels).items():
        for point in found.points:
            n = 0 if point.threshold is None else int((scores[places] >= point.threshold).sum())
            rows.append({"label": label, "target": point.target, "n_flagged": n, "share_flagged": n / len(places)})
    return rows


def _histogram(scores: Float64, anomalous: Mask) -> pa.Table:
    """Return how many images of each kind have which score: in equal bins of its logarithm, over whole decades.

    A good model gives most normal images scores next to 0, and its threshold lies there too. What is below the lowest
    edge, such as 0, is in the first bin.
    """
    positive = scores[scores > 0]
    low = max(math.floor(math.log10(positive.min())), _LOWEST) if len(positive) else _LOWEST
    high = max(math.ceil(math.log10(positive.max())), low + 1) if len(positive) else 0
    each = max(_LEAST_BINS, -(-_BINS // (high - low)))
    edges = np.array([10.0 ** (low + number / each) for number in range((high - low) * each + 1)])
    counts = {
        name: np.histogram(np.clip(scores[kind], edges[0], edges[-1]), edges)[0]
        for name, kind in (("normal", ~anomalous), ("anomalous", anomalous))
    }
    return pa.table({"score_low": edges[:-1], "score_high": edges[1:], **counts})
