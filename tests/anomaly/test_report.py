"""What a report says of anomaly jobs: boards, labels, pictures, words; and what other parts read of their results."""

from __future__ import annotations

import copy
import hashlib
import io
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image
from rich.console import Console

from evaljobs.anomaly.concluding import Asked, conclude, rotation_result
from evaljobs.anomaly.rotations import judge, prepare
from evaljobs.anomaly.tables import Images
from evaljobs.classification.groups import keys_of_digests
from evaljobs.report.comparing.anomalies import anomaly_differences, anomaly_groups, shown_fpr
from evaljobs.report.comparing.differences import Verdict
from evaljobs.report.figures.thumbnails import FILE, wanted
from evaljobs.report.kinds import sections
from evaljobs.report.runs.identity import question_of
from evaljobs.report.runs.result_keys import missing_of
from evaljobs.report.section import Section
from evaljobs.report.text.markdown import to_markdown_page
from evaljobs.report.text.terminal import render_results
from evaljobs.report.writing import write_results
from evaljobs.schemas import THUMBNAILS
from evaljobs.tracking.entries import model_entries

N = 500
LABELS = ("good", "scratch", "dent")
ROTATIONS = (0.0, 90.0, 180.0, 270.0)
DIGESTS = [hashlib.sha256(f"{i}".encode()).digest() for i in range(N)]


def evaluation(model: str, skill: float) -> tuple[dict[str, Any], dict[str, pa.Table]]:
    """Return the evaluation of a model that is so good, as a run has it."""
    rng = np.random.default_rng(0)
    labels = [LABELS[place] for place in rng.choice(3, N, p=(0.7, 0.2, 0.1))]
    anomalous = np.array([label != "good" for label in labels])
    scores = rng.normal(size=(4, N, 4)) * 2
    for rotation in range(4):
        scores[rotation, :, rotation] += np.where(anomalous, 1.0, 1.0 + skill)
    judged = judge(prepare(list(scores), "logits", range(4), told=True), range(N))
    images = Images(labels, anomalous, keys_of_digests(b"".join(DIGESTS)), np.arange(N))
    result, tables = conclude(judged.score, images, Asked((1e-3, 0.01, 0.1), 20))
    told, _ = rotation_result(judged, anomalous, ROTATIONS)
    beside = {"method": "rotations", "normal": ["good"], "rotations": [*ROTATIONS], "neighbours": None}
    tables["images"] = tables["images"].append_column("image_digest", pa.array(DIGESTS, pa.binary(32)))
    entry = {"job": "odd", "kind": "anomaly", "set": "parts", "sets": {"set": "parts"}, "model": model, "status": "ok"}
    found = {**result, **told, **beside, "scores_are": "logits"}
    return {**entry, "error": None, "result": found, "tables": [], "figures": []}, tables


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a run's folder."""
    return tmp_path_factory.mktemp("run")


@pytest.fixture(scope="module")
def run(folder: Path) -> tuple[dict[str, Any], dict[tuple[str, str, str], dict[str, pa.Table]]]:
    """Return the results of two models, and of one that has none; thumbnails lie in the folder."""
    made = {name: evaluation(name, skill) for name, skill in (("weak", 1.0), ("good", 5.0))}
    error = {"kind": "failed", "message": "the model gives 10 class score(s)"}
    failed = {**made["weak"][0], "model": "broken", "status": "failed", "result": None, "error": error}
    models = [
        {"name": n, "status": "failed" if n == "broken" else "ok", "error": error if n == "broken" else None}
        | {"tags": {"width": w}, "cost": {"size_mb": s, "params": 1, "gmacs": None, "gflops": None}}
        for n, w, s in (("weak", "4", 1.0), ("good", "8", 2.0), ("broken", "9", 3.0))
    ]
    evaluations = [*(entry for entry, _ in made.values()), failed]
    results = {"schema_version": 1, "run": "r", "sets": [], "models": models, "evaluations": evaluations}
    tables = {("odd", "parts", name): tables for name, (_, tables) in made.items()}
    stream = io.BytesIO()
    Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8)).save(stream, "png")
    pictures = wanted(results, tables)
    table = pa.table([pictures, [stream.getvalue()] * len(pictures)], schema=THUMBNAILS)
    with pa.ipc.new_file(folder / FILE, THUMBNAILS) as writer:
        writer.write_table(table)
    return results, tables


@pytest.fixture(scope="module")
def section(run: Any, folder: Path) -> Section:
    """Return what is shown of it; its pictures are drawn."""
    (made,) = sections(*run, folder)
    return made


def test_section_ranks_models_by_auroc_and_by_rates(section: Section) -> None:
    """The best stands first, with evidence, and whether that is certain; whoever failed is said to have."""
    assert (section.kind, section.set, section.choice, section.chosen) == ("anomaly", "parts", "by", "AUROC")
    assert list(section.boards) == ["AUROC", "FPR 1e-3", "FPR 1e-2", "FPR 1e-1"]
    for table in section.boards.values():
        assert [(row["model"]["name"], row["rank"]) for row in table.rows] == [
            ("good", 1),
            ("weak", 2),
            ("broken", None),
        ]
    assert (section.headline.best, section.headline.verdict) == ("good", Verdict.REAL)
    assert section.headline.sentence.startswith("It has the best AUROC of 2 models: ")
    assert "better than every other model for certain" in section.headline.sentence
    rough = section.headlines["FPR 1e-3"]
    assert rough.verdict is not Verdict.REAL
    assert "FPR 1e-3 is not resolved by" in rough.sentence
    facts = {fact.label: fact.text for fact in section.headlines["FPR 1e-1"].facts}
    assert facts["false alarms"].endswith(" normal images")
    texts = [finding.text for finding in section.findings]
    assert any("1 of 3 models have no result" in text for text in texts)
    assert any(text.startswith("FPR 1e-3: unresolved: the target allows not one false alarm") for text in texts)
    assert not any("pairs" in text for text in texts)


def test_panels_and_files_have_points_labels_and_rotations(section: Section) -> None:
    """Per model in the page; for all models in the files; factors and fronts by AUROC."""
    assert [table.name for table in section.models["good"].tables] == ["thresholds", "labels", "rotations"]
    names = [table.name for table in section.data]
    assert names[:2] == ["leaderboard", "thresholds"]
    assert {"factor-width", "front-size", "labels"} <= set(names)
    (labels,) = [table for table in section.whole.tables if table.name == "labels"]
    assert [row["label"] for row in labels.rows][-1] == "good"
    columns = {column.name: column for column in section.data[1].columns}
    first = section.data[1].rows[0]
    assert columns["false_positives"].text(first).endswith(f" / {first['result']['n_normal']:,}")
    threshold, below = first["point"]["threshold"], first["point"]["next_normal_score"]
    assert below < float(columns["threshold"].text(first)) <= threshold


def test_charts_speak_of_images(run: Any, section: Section) -> None:
    """The page's own charts say normal and anomalous images where those of verifications say pairs."""
    roc = next(chart for chart in section.whole.charts if chart.name == "roc")
    assert roc.data["words"]["negative"] == "normal images"
    assert [curve["name"] for curve in roc.data["curves"]] == ["good", "weak"]
    (scores,) = section.models["good"].charts
    result = run[0]["evaluations"][1]["result"]
    assert sum(scores.data["impostor"]) == result["n_normal"]
    assert sum(scores.data["genuine"]) == result["n_anomalous"]
    assert "pairs" not in f"{scores.alt} {scores.data['words']}"


def test_pictures_are_drawn_and_the_same_again(run: Any, section: Section, folder: Path) -> None:
    """ROC, distribution, best and worst images; the same bytes each time."""
    drawn = [picture.name for picture in section.pictures]
    assert drawn == ["roc", "scores-good", "images-good", "front-size", "images-weak"]
    first = [(picture.files.png.read_bytes(), picture.files.svg.read_bytes()) for picture in section.pictures]
    (again,) = sections(*run, folder)
    assert [(p.files.png.read_bytes(), p.files.svg.read_bytes()) for p in again.pictures] == first
    assert all("pairs" not in picture.files.svg.read_text() for picture in section.pictures)


def test_best_and_worst_images_are_wanted_as_thumbnails(run: Any) -> None:
    """False alarms and what is missed, of the best models."""
    results, tables = run
    found = wanted(results, tables)
    for name in ("good", "weak"):
        images = tables["odd", "parts", name]["images"].to_pylist()
        alarm = max((image for image in images if not image["anomalous"]), key=lambda image: image["score"])
        missed = min((image for image in images if image["anomalous"]), key=lambda image: image["score"])
        assert {alarm["image_digest"], missed["image_digest"]} <= set(found)
    assert len(found) <= 2 * 4 * 8


def test_words_say_what_was_found(run: Any, folder: Path) -> None:
    """results.md, the terminal, differences.csv and the files of a run."""
    results, tables = run
    page = to_markdown_page(results, {})
    assert "## Anomalies: odd on parts" in page
    assert "few_errors: the target allows fewer than 30 false alarms" in page
    console = Console(file=io.StringIO(), width=100)
    console.print(render_results(results))
    said = console.file.getvalue()  # type: ignore[attr-defined]  # it is a StringIO
    assert "Anomalies: odd on parts:" in said
    assert "against weak in AUROC: 1 better" in said
    assert "failed: broken" in said
    assert "no verification" not in said
    written = {path.name for path in write_results(results, tables, folder)}
    assert {"report.html", "leaderboard.csv", "thresholds.parquet", "labels.md"} <= written
    rows = (folder / "differences.csv").read_text().splitlines()
    assert len(rows) == 1 + 4


def test_differences_are_paired(run: Any) -> None:
    """TPR at each target and AUROC of each model against the first, with intervals."""
    results, _ = run
    rows = list(anomaly_differences(results))
    assert [(row["metric"], row["target"]) for row in rows] == [
        ("tpr", 1e-3),
        ("tpr", 0.01),
        ("tpr", 0.1),
        ("auroc", None),
    ]
    assert rows[-1]["verdict"] == "real"
    assert rows[-1]["ci"][0] < rows[-1]["difference"] < rows[-1]["ci"][1]


def test_other_parts_read_the_results(run: Any) -> None:
    """Joined runs, MLflow, and results that were not written by a run."""
    results, _ = run
    result = results["evaluations"][0]["result"]
    assert list(missing_of("anomaly", result)) == []
    broken = copy.deepcopy(result)
    del broken["points"][1]["next_normal_score"]
    assert list(missing_of("anomaly", broken)) == ["result.points[1] has no next_normal_score"]
    assert next(iter(missing_of("anomaly", {}))) == "result has no method"
    other = {**results["evaluations"][0], "result": {**result, "normal": ["good", "dent"]}}
    assert question_of(results["evaluations"][:1]) != question_of([other])
    metrics = next(entry.metrics for entry in model_entries(results) if entry.name == "good")
    assert {"auroc", "auroc_lower", "tpr_at_1e-1", "threshold_at_1e-1"} <= set(metrics)


def test_the_rate_beside_the_auroc_rests_on_many_images(run: Any) -> None:
    """The smallest target that allows 30 false alarms; of small sets the largest, and 1 only without another."""
    results, _ = run
    (group,) = anomaly_groups(results)
    assert shown_fpr(group) == 0.1
    few = copy.deepcopy(group.evaluations["good"])
    for point in few["result"]["points"]:
        point["flags"] = ["few_errors"]
    assert shown_fpr(group._replace(evaluations={"good": few})) == 0.1
    few["result"]["points"][1]["flags"] = []
    assert shown_fpr(group._replace(evaluations={"good": few})) == 0.01
    assert shown_fpr(group._replace(evaluations={"broken": group.evaluations["broken"]})) is None
