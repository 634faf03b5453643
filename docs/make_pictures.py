#!/usr/bin/env python3
"""Make the pictures of the documentation anew, most of them from the demo: run it after a change of a figure.

Takes a minute; given a folder, it keeps the demo there, and takes seconds the next time. Pictures are stored with a
palette, so that a clone stays small.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from evaljobs import UncertainImages, assess_uncertainty, detect_anomalies, rotation_anomaly, softmax_entropy
from evaljobs.demo.images import load
from evaljobs.report.figures.bars import bars_figure
from evaljobs.report.figures.confusion import confusion_figure
from evaljobs.report.figures.det import det_picture
from evaljobs.report.figures.front import Titles, front_picture
from evaljobs.report.figures.lines import Series, lines_picture, series_of
from evaljobs.report.figures.overlay import roc_picture
from evaljobs.report.figures.reliability import ReliabilityBin, reliability_figure
from evaljobs.report.figures.scores import scores_picture
from evaljobs.report.figures.transfer_figure import transfer_picture
from evaljobs.report.figures.uncertainty import Panel, distributions_figure
from evaljobs.report.kinds import founds
from evaljobs.report.runs.reading import read_run
from evaljobs.report.section import Found, Picture
from evaljobs.report.tables.front import Cost, front_rows
from evaljobs.report.tables.quality import TprQuality

PICTURES = Path(__file__).parent / "pictures"
FPR = 1e-3
# The demo's models on digits that they were fitted on, and on others.
TWO_SETS = """
version: 1
name: two-sets
sets:
  seen: {images: {folder: images/seen}}
  unseen: {images: {folder: images/unseen}}
jobs:
  - {name: seen, kind: verification, set: seen}
  - {name: unseen, kind: verification, set: unseen}
models:
  - {path: models/*.onnx, tag_pattern: "{method}-d{dim}-{norm}"}
fpr: [1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1]
store: store
out: two-sets
"""

# Why pairs are alike for a model that has places.
EXPLAIN = """
version: 1
name: explain
images: {folder: images/unseen}
jobs:
  - {name: verification}
  - {name: alike, kind: explain, images: 16}
models: [models/edges-d16-none.onnx]
store: store
out: explain
"""

# A set that is changed in several ways, one after the other.
VIEW = """
version: 1
name: view
images: {folder: images/unseen}
sets:
  corrupted: {of: main, view: [{blur: 0.6}, {jpeg: 30}, {noise: 0.3}]}
jobs:
  - {name: corrupted, set: corrupted}
models: [models/edges-d16-none.onnx]
store: store
out: view
"""


def main() -> None:
    """Run the demo in a temporary folder, draw from its results, and keep the pictures."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(sys.argv[1] if len(sys.argv) > 1 else name)
        evaljobs("demo", "--out", str(folder / "demo"))
        config = folder / "demo" / "two-sets.yaml"
        config.write_text(TWO_SETS, encoding="utf-8")
        evaljobs("run", str(config))
        document, tables = read_run(folder / "demo" / "two-sets")
        found = {one.group.set: one for _, one in founds(document, tables, folder)}
        pictures = {
            "roc": roc_picture(found["unseen"], 1e-4),
            "det": det_picture(found["unseen"], 1e-4),
            "scores": scores_picture(found["unseen"], FPR),
            "transfer": transfer_picture(found["seen"], found["unseen"], FPR),
            "front": front(found["unseen"]),
            "lines": lines(found["unseen"]),
        }
        seen = folder / "demo" / "view.yaml"
        seen.write_text(VIEW, encoding="utf-8")
        evaljobs("run", str(seen))
        alike = folder / "demo" / "explain.yaml"
        alike.write_text(EXPLAIN, encoding="utf-8")
        evaljobs("run", str(alike))
        files = {name: picture.files.png for name, picture in pictures.items() if picture is not None}
        drawn = folder / "demo" / "results" / "figures"
        files |= {"map": next(drawn.glob("map-*-tsne-label.png")), "hardest": next(drawn.glob("hardest-*.png"))}
        files |= {"explain": next((folder / "demo" / "explain" / "figures").glob("alike-*-smooth.png"))}
        files |= {"view": folder / "demo" / "view" / "figures" / "view-corrupted.png"}
        for kept, path in {**files, **classification(folder), **uncertainty(folder), **anomaly(folder)}.items():
            keep(path, PICTURES / f"{kept}.png")


def evaljobs(*words: str) -> None:
    """Run a command."""
    subprocess.run([sys.executable, "-m", "evaljobs", *words], check=True)  # noqa: S603 - this project's own


def keep(path: Path, kept: Path) -> None:
    """Store a picture with a palette."""
    with Image.open(path) as picture:
        picture.convert("RGB").quantize(128, dither=Image.Dither.NONE).save(kept, optimize=True)
    print(f"{kept.name}: {kept.stat().st_size:,} bytes")


def front(found: Found) -> Picture | None:
    """Draw quality against size."""
    rows = front_rows(found, TprQuality(FPR), Cost.SIZE)
    return front_picture(found, "front", "Quality against size", rows, Titles("size [MB]", "TPR at FPR 1e-3"))


def lines(found: Found) -> Picture | None:
    """Draw TPR against the dimension of the embedding, a line for each method that has several."""
    points: dict[str, list[tuple[float, float | None, Any]]] = {}
    for model in found.results["models"]:
        tags = model["tags"]
        result = found.group.evaluations[model["name"]]["result"]
        point = next(point for point in result["points"] if float(point["target"]) == FPR)
        if tags["norm"] == "none":
            points.setdefault(tags["method"], []).append((float(tags["dim"]), point["tpr"], point["tpr_ci"]))
    series: Mapping[str, Series] = {name: series_of(some) for name, some in points.items() if len(some) > 1}
    return lines_picture(found, "lines", "", series, Titles("dimension of the embedding", "TPR at FPR 1e-3"))


def classification(folder: Path) -> dict[str, Path]:
    """Draw how a logistic regression on half of the digits classifies the other half."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import precision_recall_fscore_support

    digits = load()
    pixels = digits.pixels.reshape(len(digits.pixels), -1) / 255
    half = len(pixels) // 2
    model = LogisticRegression(max_iter=500).fit(pixels[:half], digits.labels[:half])
    chances, labels = model.predict_proba(pixels[half:]), digits.labels[half:]
    predicted, sure = chances.argmax(axis=1), chances.max(axis=1)
    counts = np.zeros((10, 10), np.int64)
    np.add.at(counts, (labels, predicted), 1)
    names = [str(digit) for digit in range(10)]
    scores = precision_recall_fscore_support(labels, predicted)[:3]
    by_class = {name: values.tolist() for name, values in zip(("F1", "precision", "recall"), scores[::-1], strict=True)}
    bins = [_bin(i / 15, (i + 1) / 15, sure, predicted == labels) for i in range(15)]
    ece = sum(b.n * abs((b.accuracy or 0) - (b.confidence or 0)) for b in bins) / len(labels)
    title = "logistic regression, digits"
    return {
        "confusion": confusion_figure(counts, names, folder / "confusion", title).png,
        "reliability": reliability_figure(bins, folder / "reliability", ece, title).png,
        "classes": bars_figure(names, by_class, folder / "classes", "share", title).png,
    }


def uncertainty(folder: Path) -> dict[str, Path]:
    """Draw how uncertain the same regression is of digits, of noisy ones, and of digits that lie on their side."""
    from sklearn.linear_model import LogisticRegression

    digits = load()
    half = len(digits.pixels) // 2
    pixels = digits.pixels / 255
    model = LogisticRegression(max_iter=500).fit(pixels[:half].reshape(half, -1), digits.labels[:half])
    known = pixels[half:]
    noise = np.random.default_rng(0).random(known.shape[1:])
    sets = {"digits": known, "0.3 x + 0.7 u": 0.3 * known + 0.7 * noise, "on their side": np.rot90(known, axes=(1, 2))}
    logits = {name: model.decision_function(images.reshape(len(images), -1)) for name, images in sets.items()}
    values = {name: softmax_entropy(scores, scores_are="logits") for name, scores in logits.items()}
    edges = np.linspace(0, 1, 51)
    counts = {name: np.histogram(of_set, edges)[0] for name, of_set in values.items()}
    threshold = assess_uncertainty(UncertainImages(values["digits"])).threshold.value
    panel = Panel("softmax entropy, logistic regression", edges, counts, threshold)
    return {"uncertainty": distributions_figure([panel], folder / "uncertainty", "images").png}


# The digit that is normal for the regression that tells rotations apart.
_NORMAL = 3


def anomaly(folder: Path) -> dict[str, Path]:
    """Draw how a regression that tells rotations of threes apart tells threes from other digits."""
    from sklearn.linear_model import LogisticRegression

    digits = load()
    half = len(digits.pixels) // 2
    turned = [np.rot90(digits.pixels / 255, k, axes=(1, 2)).reshape(len(digits.pixels), -1) for k in range(4)]
    threes = digits.labels == _NORMAL
    known = np.concatenate([pixels[:half][threes[:half]] for pixels in turned])
    model = LogisticRegression(max_iter=500).fit(known, np.repeat(np.arange(4), len(known) // 4))
    scores = rotation_anomaly(np.stack([model.decision_function(of[half:]) for of in turned]), scores_are="logits")
    anomalous = ~threes[half:]
    (point,) = detect_anomalies(scores, anomalous, ("0.05",)).points
    edges = np.linspace(0, 1, 51)
    counts = {"other digits": scores[anomalous], "threes (normal)": scores[~anomalous]}
    of_both = {name: np.histogram(values, edges)[0] for name, values in counts.items()}
    panel = Panel("1 - mean probability of the right rotation", edges, of_both, point.threshold)
    return {"anomaly": distributions_figure([panel], folder / "anomaly", "images").png}


def _bin(low: float, high: float, sure: Any, right: Any) -> ReliabilityBin:
    inside = (sure > low) & (sure <= high)
    n = int(inside.sum())
    means = (float(sure[inside].mean()), float(right[inside].mean())) if n else (None, None)
    return ReliabilityBin(low, high, n, *means)


if __name__ == "__main__":
    main()
