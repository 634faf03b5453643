"""Factor tables and fronts of any kind of job: the same rules, made of the number by which its models are ranked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evaljobs.pairs.intervals import auroc_ends, difference
from evaljobs.report.comparing.differences import Verdict
from evaljobs.report.comparing.measures import ACCURACY, measure_difference
from evaljobs.report.kinds import sections
from evaljobs.report.kinds.weighing import Weighing
from evaljobs.report.results import CLASSIFICATION, groups_of
from evaljobs.report.section import Found, Table
from evaljobs.report.tables.class_quality import ClassQuality
from evaljobs.report.tables.factor_tables import factor_tables
from evaljobs.report.tables.front import Cost, front_rows
from evaljobs.report.tables.uncertainty_quality import UncertaintyQuality
from tests.report.conftest import make_document, make_model
from tests.report.test_classification import evaluated
from tests.report.test_uncertainty import NAME
from tests.report.test_uncertainty import evaluation as judged

SKILLS = {"arc-ln": 1.0, "arc-bn": 1.1, "cos-ln": 2.0, "cos-bn": 2.2}
QUALITY = ClassQuality(ACCURACY)


def tagged(name: str, size_mb: float) -> dict[str, Any]:
    return make_model(name, size_mb=size_mb, tags=dict(zip(("loss", "norm"), name.split("-"), strict=True)))


def named(tables: list[Table], name: str) -> Table:
    (table,) = [table for table in tables if table.name == name]
    return table


def texts(table: Table) -> list[dict[str, str]]:
    return [{column.name: column.text(row) for column in table.columns} for row in table.rows]


@pytest.fixture(scope="module")
def classified(tmp_path_factory: pytest.TempPathFactory) -> Found:
    """Give classifications of models that differ in their loss and in their norm."""
    folder = tmp_path_factory.mktemp("classified")
    (folder / "figures").mkdir()
    made = {name: evaluated(name, skill) for name, skill in SKILLS.items()}
    models = [tagged(name, size) for name, size in zip(SKILLS, (1.0, 2.0, 3.0, 4.0), strict=True)]
    results = make_document(models, [entry for entry, _ in made.values()])
    (group,) = groups_of(results, CLASSIFICATION)
    return Found(results, group, {name: tables for name, (_, tables) in made.items()}, folder)


def result_of(found: Found, name: str) -> dict[str, Any]:
    return dict(found.group.evaluations[name]["result"])


def test_factors_of_classifications(classified: Found) -> None:
    """Each model against the best of its block, by the paired difference of accuracies that `compare` gives too."""
    table = named(factor_tables(classified, QUALITY), "factor-loss")
    assert table.title == "Factor loss: accuracy"
    rows = table.rows
    assert [row["model"]["name"] for row in rows] == ["arc-bn", "cos-bn", "arc-ln", "cos-ln"]
    assert [row["is_best"] for row in rows] == [False, True, False, True]
    expected = measure_difference(result_of(classified, "cos-bn"), result_of(classified, "arc-bn"), "accuracy")
    assert rows[0]["difference"] == expected
    assert expected["verdict"] == Verdict.REAL
    shown = texts(table)[0]
    assert shown["accuracy"].startswith(f"{result_of(classified, 'arc-bn')['accuracy']:.3f}")
    assert {"balanced_accuracy", "verdict", "gflops", "size_mb"} <= set(shown)
    assert "tpr" not in shown


def test_effects_of_classifications_rest_on_their_replicates(classified: Found) -> None:
    """The mean over blocks has the interval of the means of the replicates."""
    (row,) = [
        row for row in named(factor_tables(classified, QUALITY), "effects").rows if row["factor"].tags == ("loss",)
    ]

    def mean(loss: str) -> tuple[float, list[float]]:
        results = [result_of(classified, f"{loss}-{norm}") for norm in ("ln", "bn")]
        values = [result["accuracy"] for result in results]
        groups = [result["intervals"]["replicates"]["accuracy"] for result in results]
        return float(np.mean(values)), list(np.mean(groups, 0))

    (arc, arcs), (cos, coses) = mean("arc"), mean("cos")
    expected = difference(cos, arc, coses, arcs)
    assert expected is not None
    assert row["accuracy"]["difference"] == pytest.approx(cos - arc)
    assert row["accuracy"]["ci"] == pytest.approx([expected.low, expected.high])
    assert (row["n_blocks"], row["n_higher"], row["n_real"]) == (2, 2, 2)
    assert {"accuracy", "balanced_accuracy"} <= row.keys()


def test_models_judged_on_other_images_have_no_interval(classified: Found) -> None:
    """Left-out labels are other images: no difference and no mean of them is called real, nor are they on a front."""
    evaluations = dict(classified.group.evaluations)
    other = result_of(classified, "cos-bn")
    other["excluded"] = {**other["excluded"], "digest": "ef" * 32}
    other["n_samples"] -= 1
    evaluations["cos-bn"] = {**evaluations["cos-bn"], "result": other}
    found = classified._replace(group=classified.group._replace(evaluations=evaluations))
    tables = factor_tables(found, QUALITY)
    reasons = {row["difference"]["reason"] for row in named(tables, "factor-norm").rows if row["difference"]}
    assert "judged on other images" in reasons
    (loss,) = [row for row in named(tables, "effects").rows if row["factor"].tags == ("loss",)]
    assert loss["accuracy"]["reason"] == "judged on other images"
    assert [row["name"] for row in front_rows(found, QUALITY, Cost.SIZE)] == ["arc-ln", "arc-bn", "cos-ln"]


def test_the_section_of_classifications_has_factors_and_fronts(classified: Found) -> None:
    """Tables on the page and as files, a chart and a picture; costs in which models do not differ have no front."""
    tables = {("classes", "main", name): dict(of) for name, of in classified.tables.items()}
    (section,) = sections(classified.results, tables, classified.folder)
    shown = [table.name for table in section.whole.tables]
    assert {"effects", "factor-loss", "factor-norm", "front-size"} <= set(shown)
    assert "front-gflops" not in shown
    assert {"factors", "front-size"} <= {table.name for table in section.files}
    assert [chart.name for chart in section.whole.charts] == ["front-size"]
    assert section.whole.charts[0].data["y_title"] == "accuracy"
    (picture,) = [picture for picture in section.whole.pictures if picture.name == "front-size"]
    assert picture.files.png.exists()
    assert "target" not in {column.name for column in named(list(section.files), "factors").columns}


def doubts(tmp_path: Path) -> tuple[dict[str, Any], dict[tuple[str, str, str], Any]]:
    """Return uncertainty of models that differ in their loss and in their norm."""
    made = {name: judged(name, 3 * skill) for name, skill in SKILLS.items()}
    (tmp_path / "figures").mkdir()
    models = [tagged(name, size) for name, size in zip(SKILLS, (1.0, 2.0, 3.0, 4.0), strict=True)]
    results = make_document(models, [entry for entry, _ in made.values()])
    return results, {("doubts", NAME, name): tables for name, (_, tables) in made.items()}


def test_factors_and_fronts_of_uncertainty(tmp_path: Path) -> None:
    """By how well foreign images are told from known ones; the headline is certain where each difference is."""
    results, tables = doubts(tmp_path)
    (section,) = sections(results, tables, tmp_path)
    effects = named(list(section.whole.tables), "effects")
    assert effects.title == "What each factor changes in AUROC of foreign images by softmax entropy"
    (row,) = [row for row in effects.rows if row["factor"].tags == ("loss",)]
    areas = {
        e["model"]: e["result"]["measures"]["entropy"]["sets"]["foreign 1"]["detection"] for e in results["evaluations"]
    }

    def mean(loss: str) -> tuple[float, list[float]]:
        several = [areas[f"{loss}-{norm}"] for norm in ("ln", "bn")]
        return float(np.mean([one["auroc"] for one in several])), list(np.mean([o["replicates"] for o in several], 0))

    (arc, arcs), (cos, coses) = mean("arc"), mean("cos")
    expected = difference(cos, arc, coses, arcs, auroc_ends)
    assert expected is not None
    assert row["auroc"]["ci"] == pytest.approx([expected.low, expected.high])
    assert (row["auroc"]["unit"], row["auroc"]["groups"]) == ("image", len(arcs))
    assert [chart.name for chart in section.whole.charts] == ["front-size"]
    assert section.headline.best == "cos-bn"
    best = areas["cos-bn"]
    found = [
        difference(best["auroc"], of["auroc"], best["replicates"], of["replicates"], auroc_ends)
        for name, of in areas.items()
        if name != "cos-bn"
    ]
    certain = all(between is not None and between.zero_inside is False for between in found)
    assert ("for certain" in section.headline.sentence) == certain
    assert ("cannot be told from it" in section.headline.sentence) == (not certain)
    assert section.headline.verdict is (Verdict.REAL if certain else Verdict.NOT_CERTAIN)


def test_where_less_is_better_there_is_no_front(tmp_path: Path) -> None:
    """Without foreign images models are ranked by an area that is best when it is small: factors alone are shown."""
    results, tables = doubts(tmp_path)
    for entry in results["evaluations"]:
        for measure in entry["result"]["measures"].values():
            measure["sets"]["foreign 1"]["detection"] = None
    (group,) = groups_of(results, "uncertainty")
    found = Found(results, group, {}, tmp_path)
    quality = UncertaintyQuality(found, "entropy")
    assert quality.less_is_better
    weighing = Weighing(found, quality)
    assert {table.name for table in weighing.shown()} == {"effects", "factor-loss", "factor-norm"}
    assert (weighing.charts(), weighing.pictures()) == ([], [])
    table = named(weighing.shown(), "factor-norm")
    rows = [row for row in table.rows if row["fixed"]["loss"] == "arc"]
    best = min(rows, key=lambda row: row["aurc"])
    assert [row["is_best"] for row in rows] == [row is best for row in rows]
    assert tables


def test_lines_and_history_of_classifications(classified: Found) -> None:
    """Accuracy along checkpoints, the best against the last; and from run to run, where several are joined."""
    names = ["arc-ln", "cos-bn", "cos-ln", "arc-bn"]
    models = {model["name"]: model for model in classified.results["models"]}
    line = [{**models[name], "series": {"name": "a", "tag": "epoch", "value": n}} for n, name in enumerate(names, 1)]
    runs = [
        {
            "name": str(day),
            "started": f"2026-11-0{day}T03:00:00+00:00",
            "results": [{"job": "classes", "set": "main", "model": name, "own_name": "net"}],
        }
        for day, name in ((1, "arc-ln"), (2, "cos-bn"))
    ]
    results = {**classified.results, "models": line, "joined": {"runs": runs, "findings": []}}
    weighing = Weighing(classified._replace(results=results), QUALITY)
    (best,) = named(weighing.shown(), "series_best").rows
    assert (best["best"]["model"]["name"], best["last"]["model"]["name"]) == ("cos-bn", "arc-bn")
    of = {name: result_of(classified, name) for name in names}
    assert best["against_last"] == measure_difference(of["arc-bn"], of["cos-bn"], "accuracy")
    (shown,) = texts(named(weighing.shown(), "series_best"))
    assert shown["accuracy_best"].startswith(f"{of['cos-bn']['accuracy']:.3f}")
    first, second = named(weighing.shown(), "history").rows
    assert (first["change"], second["change"]["verdict"]) == (None, Verdict.REAL)
    charts = {chart.name: chart.data for chart in weighing.charts()}
    assert charts["series"]["lines"][0]["y"] == [of[name]["accuracy"] for name in names]
    assert charts["history"]["lines"][0]["y"] == [of[name]["accuracy"] for name in ("arc-ln", "cos-bn")]
    assert charts["history"]["lines"][0]["low"][0] == of["arc-ln"]["accuracy_ci"][0]
    assert {picture.name for picture in weighing.pictures()} >= {"series", "history"}
    assert "history" not in {table.name for table in weighing.files()}
