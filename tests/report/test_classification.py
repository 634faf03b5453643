"""Classifications for people: who is best and whether that is certain, what is confused, what to know beside it."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from rich.console import Console

import evaljobs
from evaljobs.pairs.intervals import difference
from evaljobs.report.comparing.differences import Verdict
from evaljobs.report.comparing.measures import ACCURACY, BALANCED, Measure, all_measure_differences, class_rows
from evaljobs.report.kinds import KINDS
from evaljobs.report.kinds.classification import classification_section
from evaljobs.report.kinds.classification_findings import model_findings, section_findings
from evaljobs.report.kinds.classification_headline import headline_by
from evaljobs.report.results import CLASSIFICATION, groups_of
from evaljobs.report.section import Found, Level, Section
from evaljobs.report.tables.class_boards import class_table
from evaljobs.report.text.class_markdown import classification_markdown
from evaljobs.report.text.terminal import render_results
from tests.report.conftest import make_document, make_model

Document = dict[str, Any]

CLASSES = ["shirt", "boot", "bag", "coat", "dress", "sandal"]
N = 600
SKILLS = {"weak": 0.6, "good": 2.0, "twin": 1.9}


def scores_of(skill: float) -> tuple[np.ndarray, list[str]]:
    """Return logits that are better the higher the skill, on images whose labels are the same for every skill."""
    labels = np.random.default_rng(0).choice(6, N, p=[0.3, 0.3, 0.2, 0.1, 0.09, 0.01])
    noise = np.random.default_rng(round(100 * skill)).normal(size=(N, 6))
    noise[np.arange(N), labels] += skill
    # Coats are taken for shirts.
    noise[labels == 3, 0] += 0.8
    return noise.astype(np.float32), [CLASSES[i] for i in labels]


def evaluated(name: str, skill: float, **options: Any) -> tuple[Document, dict[str, pa.Table]]:
    scores, labels = scores_of(skill)
    given = {"scores_are": "logits", "top_k": (1, 3), "mistakes": 9, "ids": range(N), **options}
    found = evaljobs.classify(scores, labels, options.pop("classes", CLASSES), **given)
    entry = {
        "job": "classes",
        "kind": CLASSIFICATION,
        "set": "main",
        "model": name,
        "status": "ok",
        "error": None,
        "result": json.loads(json.dumps(found.to_json(), allow_nan=False)),
        "tables": [],
        "figures": [],
    }
    return entry, dict(found.tables())


def found_of(
    folder: Path, skills: Mapping[str, float] = SKILLS, broken: str | None = "broken", **options: Any
) -> Found:
    """Return what is found of some models, by skill; and of one that failed."""
    made = {name: evaluated(name, skill, **options) for name, skill in skills.items()}
    models = [make_model(name) for name in skills]
    evaluations = [entry for entry, _ in made.values()]
    if broken is not None:
        error = {"kind": "no_scores", "message": "it has no scores"}
        models.append(make_model(broken, status="failed", error=error))
        evaluations.append(evaluated(broken, 1.0)[0] | {"status": "failed", "error": error, "result": None})
    results = make_document(models, evaluations)
    (group,) = groups_of(results, CLASSIFICATION)
    (folder / "figures").mkdir(exist_ok=True)
    return Found(results, group, {name: tables for name, (_, tables) in made.items()}, folder)


@pytest.fixture
def found(tmp_path: Path) -> Found:
    """Give three models, and one that failed."""
    return found_of(tmp_path)


@pytest.fixture(scope="module")
def section(tmp_path_factory: pytest.TempPathFactory) -> Section:
    """Give the section of three models; drawing takes longer than all else."""
    return classification_section(found_of(tmp_path_factory.mktemp("section")))


def results_of(found: Found) -> dict[str, Document]:
    return {e["model"]: e["result"] for e in found.results["evaluations"] if e["result"]}


def column(table: Any, name: str) -> list[Any]:
    (found,) = [c for c in table.columns if c.name == name]
    return [found.value(row) for row in table.rows]


def test_models_are_ranked_by_the_chosen_measure(tmp_path: Path) -> None:
    """Best first, equal values share a rank, failed ones follow without one."""
    table = class_table(found_of(tmp_path, {**SKILLS, "again": 2.0}), ACCURACY, rates=False)
    assert column(table, "model") == ["again", "good", "twin", "weak", "broken"]
    assert column(table, "rank") == [1, 1, 3, 4, None]
    accuracies = column(table, "accuracy")[:4]
    assert accuracies == sorted(accuracies, reverse=True)


def test_there_is_a_board_for_every_measure(section: Section) -> None:
    """The one by accuracy is shown first; each has all numbers."""
    assert list(section.boards) == ["accuracy", "balanced accuracy", "macro F1", "top-3 accuracy"]
    assert section.chosen == "accuracy"
    for board in section.boards.values():
        names = [c.name for c in board.columns]
        assert {"accuracy", "balanced_accuracy", "macro_f1", "top_3", "ece", "gflops", "status"} <= set(names)


def test_a_measure_has_its_own_order(found: Found) -> None:
    """By balanced accuracy a model may be best that is not by accuracy."""
    results_of(found)["weak"]["balanced_accuracy"] = 0.999
    assert class_rows(found.results, found.group)[0]["model"]["name"] == "good"
    assert class_rows(found.results, found.group, BALANCED)[0]["model"]["name"] == "weak"
    assert headline_by(found, BALANCED).best == "weak"


def test_a_top_k_that_a_model_was_not_asked_for_is_missing(found: Found) -> None:
    """It is null, and ranks behind."""
    results_of(found)["good"]["top_k"].pop()
    rows = class_rows(found.results, found.group, Measure("top_3", "top-3 accuracy"))
    assert [row["model"]["name"] for row in rows] == ["twin", "weak", "good", "broken"]
    assert rows[2]["rank"] is None


def test_the_headline_says_what_is_certain(tmp_path: Path, found: Found) -> None:
    """A close second is named as one that cannot be told apart; a clear lead is called certain."""
    close = headline_by(found, ACCURACY)
    assert (close.best, close.verdict) == ("good", Verdict.NOT_CERTAIN)
    assert "1 of 2 others cannot be told from it on these images: twin." in close.sentence
    clear = headline_by(found_of(tmp_path, {"weak": 0.5, "good": 2.0}), ACCURACY)
    assert (clear.best, clear.verdict) == ("good", Verdict.REAL)
    assert "for certain" in clear.sentence
    assert [fact.label for fact in clear.facts][:2] == ["accuracy", "balanced accuracy"]
    alone = headline_by(found_of(tmp_path, {"good": 2.0}, None), ACCURACY)
    assert (alone.best, alone.verdict) == ("good", Verdict.UNKNOWN)
    assert "no other model" in alone.sentence


def test_without_a_result_there_is_a_section_all_the_same(tmp_path: Path) -> None:
    """Nothing is best, nothing is drawn, and it is said."""
    section = classification_section(found_of(tmp_path, {}))
    assert section.headline.best is None
    assert (list(section.whole.pictures), list(section.whole.tables)) == ([], [])
    assert section.findings[0].level is Level.BAD
    assert len(section.boards["accuracy"].rows) == 1


def test_differences_are_those_of_the_replicates(tmp_path: Path) -> None:
    """Every model against the first, in every measure, with the interval of the statistics of intervals."""
    found = found_of(tmp_path, {name: SKILLS[name] for name in ("good", "weak", "twin")})
    rows = all_measure_differences(found.results)
    assert [(row["model"], row["metric"]) for row in rows] == [
        (name, metric) for name in ("weak", "twin") for metric in ("accuracy", "balanced_accuracy", "macro_f1", "top_3")
    ]
    results = results_of(found)
    for row in rows:
        assert (row["reference"], row["target"]) == ("good", None)
        if row["metric"] == "accuracy":
            a, b = results["good"], results[row["model"]]
            reps = [r["intervals"]["replicates"]["accuracy"] for r in (b, a)]
            wanted = difference(b["accuracy"], a["accuracy"], *reps)
            assert wanted is not None
            assert row["ci"] == [wanted.low, wanted.high]
    verdicts = {(row["model"], row["metric"]): row["verdict"] for row in rows}
    assert verdicts["weak", "accuracy"] == Verdict.REAL
    assert verdicts["twin", "accuracy"] == Verdict.NOT_CERTAIN


def test_models_on_other_images_are_not_compared(tmp_path: Path) -> None:
    """A model that knows fewer labels leaves images out, and was judged on others: unknown, and why."""
    found = found_of(tmp_path, {"good": 2.0, "twin": 1.9})
    results_of(found)["twin"]["excluded"] = {"n_samples": 3, "n_labels": 1, "digest": "ab"}
    rows = all_measure_differences(found.results)
    assert {(row["verdict"], row["reason"]) for row in rows} == {(Verdict.UNKNOWN, "judged on other images")}


def cells_of(section: Section, name: str) -> list[Any]:
    (table,) = [table for table in section.whole.tables if table.name == name]
    return list(table.rows)


def test_what_is_confused_is_counted(section: Section) -> None:
    """The most frequent mistakes of the best model, by brute force; and how often it is the other way round."""
    scores, labels = scores_of(SKILLS["good"])
    predicted = [CLASSES[i] for i in scores.argmax(1)]
    pairs = [(a, b) for a, b in zip(labels, predicted, strict=True) if a != b]
    rows = cells_of(section, "confused")
    assert [row["count"] for row in rows] == sorted((pairs.count(pair) for pair in set(pairs)), reverse=True)[:20]
    for row in rows:
        assert row["count"] == pairs.count((row["label"], row["predicted"]))
        assert row["back"] == pairs.count((row["predicted"], row["label"]))
        assert row["share"] == row["count"] / labels.count(row["label"])


def test_classes_are_shown_hardest_first(section: Section, found: Found) -> None:
    """By the median recall of all models, beside the numbers of the best one."""
    rows = cells_of(section, "classes")
    recalls = {
        name: dict(zip(tables["classes"]["class"].to_pylist(), tables["classes"]["recall"].to_pylist(), strict=True))
        for name, tables in found.tables.items()
    }
    medians = [np.median([recalls[name][row["class"]] for name in SKILLS]) for row in rows]
    assert medians == sorted(medians)
    assert [row["recall"] for row in rows] == [recalls["good"][row["class"]] for row in rows]
    assert {row["class"] for row in rows} == set(CLASSES)


def test_findings_say_what_numbers_hide(tmp_path: Path) -> None:
    """Skewed classes, few images in one, ties, overconfidence, a model no better than one word, failures."""
    found = found_of(tmp_path, {"good": 2.0, "useless": 0.0})
    results = results_of(found)
    results["good"]["n_tied"] = 60
    results["good"]["calibration"]["mean_confidence"] = results["good"]["accuracy"] + 0.2
    results["useless"]["calibration"]["n_impossible"] = 2
    findings = section_findings(found, ["good", "useless"])
    texts = [finding.text for finding in findings]
    levels = [list(Level).index(finding.level) for finding in findings]
    assert levels == sorted(levels)
    for said in (
        "1 of 3 models have no result",
        "classes are skewed",
        "'sandal'",
        "fewer than 10 images: sandal",
        "surer than they are right",
        "no better than always saying",
        "60 of 600 images",
    ):
        assert any(said in text for text in texts), said
    own = {name: " ".join(finding.text for finding in model_findings(result)) for name, result in results.items()}
    assert "overconfident" in own["good"]
    assert "probability 0" in own["useless"]


def test_nothing_is_said_where_nothing_is_to_be_said(tmp_path: Path) -> None:
    """Even classes and honest probabilities have no warning."""
    rng = np.random.default_rng(0)
    p = rng.dirichlet(np.ones(4), 4000)
    labels = (p.cumsum(1) > rng.random((4000, 1))).argmax(1)
    found = evaljobs.classify(p, [str(i) for i in labels], [*"0123"], scores_are="probabilities")
    one = found_of(tmp_path, {"good": 2.0}, None)
    results_of(one)["good"].update(json.loads(json.dumps({**found.to_json(), "notes": []})))
    assert section_findings(one._replace(tables={"good": found.tables()}), ["good"]) == []
    assert model_findings(results_of(one)["good"]) == []


def test_pictures_are_written(section: Section) -> None:
    """Confusion and classes of the best model, reliability of the best three: PNG and SVG, described in words."""
    pictures = section.whole.pictures
    assert [picture.name for picture in pictures] == [
        "confusion",
        "class-bars",
        *(f"reliability-{name}" for name in ("good", "twin", "weak")),
    ]
    for picture in pictures:
        assert picture.files.png.read_bytes().startswith(b"\x89PNG")
        assert picture.files.svg.stat().st_size > 0
        assert picture.alt
        assert picture.caption


def test_without_calibration_nothing_of_it_is_shown(tmp_path: Path) -> None:
    """No column, no table, no diagram; and it is said why."""
    section = classification_section(found_of(tmp_path, scores_are=None))
    assert {table.name for table in section.whole.tables} - {"effects"} == {"factor-backbone", "classes", "confused"}
    assert [picture.name for picture in section.whole.pictures] == ["confusion", "class-bars"]
    assert "ece" not in [c.name for c in section.boards["accuracy"].shown]
    assert any("scores_are" in finding.text for finding in section.findings)


def test_rates_stand_in_no_file(found: Found) -> None:
    """They differ between two equal runs: the page shows them, the files do not."""
    found.results["execution"]["models"] = {"good": {"images_per_s": 12.0}}
    tables = [class_table(found, ACCURACY, rates=rates) for rates in (False, True)]
    assert ["images_per_s" in [c.name for c in table.columns] for table in tables] == [False, True]


def test_every_table_of_files_has_its_own_name(section: Section) -> None:
    """No two tables share a file; the section is found by its kind."""
    names = [table.name for table in section.data]
    weighed = ["effects", "factor-backbone", "factors"]
    assert names == ["leaderboard", *weighed, "calibration", "classes", "confused", "mistakes"]
    assert KINDS[CLASSIFICATION] is classification_section


def printed(results: Document, width: int = 80) -> str:
    stream = io.StringIO()
    Console(file=stream, width=width).print(render_results(results))
    return stream.getvalue()


def test_the_end_of_a_run_shows_the_leaderboard(found: Found) -> None:
    """On 80 columns: ranks, accuracy with its interval, who failed, and who differs from the first."""
    text = printed(found.results)
    assert "Classification: 600 images of 6 classes" in text
    assert "No verification" not in text
    lines = text.splitlines()
    good = next(line for line in lines if " good " in line)
    assert good.split()[:2] == ["1", "good"]
    assert "[" in good
    assert "failed: broken (no_scores)" in text
    assert "against weak in accuracy: 2 better" in text
    assert max(map(len, lines)) <= 80


def test_results_md_has_the_leaderboard_and_differences(found: Found) -> None:
    """With intervals, what they rest on, and verdicts."""
    text = "\n".join(classification_markdown(found.results))
    assert "## Classification\n" in text
    assert "| 1 | good |" in text
    assert "Each model minus weak" in text
    assert "intervals: paired, from 20 groups of samples" in text


HOSTILE = ["<script>alert(1)</script>", "a|b\n[c](d)", "=cmd()", "\x1b[31mred", "\u202eevil", "$x$_y"]


def test_hostile_names_stay_text(tmp_path: Path) -> None:
    """Names of classes and models act on no page, no terminal and no picture."""
    names = dict(zip(HOSTILE, (0.5, 1.0, 1.5, 2.0, 2.5, 3.0), strict=True))
    found = found_of(tmp_path, names)
    section = classification_section(found)
    assert section.headline.best == HOSTILE[-1]
    page = "\n".join(classification_markdown(found.results))
    assert "<script>" not in page
    assert "\x1b" not in page + printed(found.results)
    assert all(picture.files.png.stat().st_size for picture in section.whole.pictures)
    assert all(picture.files.png.parent == found.folder / "figures" for picture in section.whole.pictures)


def test_many_models_and_classes_are_quick(tmp_path: Path) -> None:
    """Panels hold the classes that matter, not all of each model."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 200, 2000)
    scores = rng.normal(size=(2000, 200)).astype(np.float32)
    scores[np.arange(2000), labels] += 3
    names = [f"c{i}" for i in range(200)]
    found = evaljobs.classify(scores, [names[i] for i in labels], names, scores_are="logits", ids=range(2000))
    entry, _ = evaluated("x", 1.0)
    models = [make_model(f"m{i}") for i in range(50)]
    entries = [{**entry, "model": m["name"], "result": found.to_json()} for m in models]
    results = make_document(models, entries)
    (group,) = groups_of(results, CLASSIFICATION)
    (tmp_path / "figures").mkdir()
    tables = {m["name"]: found.tables() for m in models}
    section = classification_section(Found(results, group, tables, tmp_path))
    assert {len(table.rows) for part in section.models.values() for table in part.tables} == {20}
    assert len(cells_of(section, "classes")) == 200
    assert len(class_table(Found(results, group, tables, tmp_path), ACCURACY, rates=False).rows) == 50
