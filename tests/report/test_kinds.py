"""Sections: which model is called best, how certain that is, what must be known, and which files follow from it."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from evaljobs.pairs.intervals import difference
from evaljobs.report.comparing.differences import Verdict
from evaljobs.report.kinds import KINDS, sections
from evaljobs.report.section import Finding, Level, Section
from tests.browser.runs import Run, make_run

Make = Callable[..., Any]


@pytest.fixture(scope="module")
def run() -> Run:
    return make_run([f"m{number}" for number in range(6)], failed=["broken"])


@pytest.fixture(scope="module")
def section(run: Run, tmp_path_factory: pytest.TempPathFactory) -> Section:
    (found,) = sections(run.document, run.tables, tmp_path_factory.mktemp("kinds"))
    return found


def by_model(run: Run) -> dict[str, Any]:
    return {e["model"]: e["result"] for e in run.document["evaluations"] if e["status"] == "ok"}


def test_a_headline_is_certain_when_every_difference_is(run: Run, section: Section) -> None:
    """At each FPR: the best TPR, and a verdict that agrees with the intervals of all paired differences."""
    results = by_model(run)
    assert len(section.headlines) == 4
    for place, headline in enumerate(section.headlines.values()):
        tprs = {name: result["points"][place]["tpr"] for name, result in results.items()}
        best = min(results, key=lambda name: (-tprs[name], -results[name]["auroc"], name))
        assert headline.best == best
        inside = []
        replicates = {name: r["intervals"]["replicates"]["tpr"][place] for name, r in results.items()}
        for name in set(results) - {best}:
            found = difference(tprs[best], tprs[name], replicates[best], replicates[name])
            inside.append(None if found is None else found.zero_inside)
        if True in inside:
            assert headline.verdict == Verdict.NOT_CERTAIN
            assert f"{inside.count(True)} of 5 others cannot be told from it" in headline.sentence
        else:
            assert headline.verdict == (Verdict.UNKNOWN if None in inside else Verdict.REAL)


def test_the_threshold_stands_on_both_scales(run: Run, section: Section) -> None:
    """What is copied has all digits; what is read decides every pair of this data the same."""
    for place, headline in enumerate(section.headlines.values()):
        point = by_model(run)[str(headline.best)]["points"][place]
        exact = {float(fact.exact): float(fact.text) for fact in headline.facts if fact.exact}
        assert set(exact) == {point["threshold"], (point["threshold"] + 1) / 2}
        shown = exact[point["threshold"]]
        assert point["next_impostor_score"] < shown <= point["threshold"]


def test_without_replicates_nothing_is_certain(published: dict[str, Any], tmp_path: Path) -> None:
    """The published ablation: the best is named, and that nobody knows whether it is better is said with the reason."""
    (found,) = sections(published, {}, tmp_path)
    assert found.headline.best == "lcnet050-f256-r128-ln-cos"
    assert found.headline.verdict == Verdict.UNKNOWN
    assert "unknown: no replicates in the results" in found.headline.sentence
    assert "+0.0120" in found.headline.sentence


def test_one_model_is_compared_with_nothing(make: Make, tmp_path: Path) -> None:
    """It is best, and no certainty is claimed."""
    document = make("document", [make("model", "m")], [make("evaluation", "m", [make("point", 1e-4, 0.5)])])
    (found,) = sections(document, {}, tmp_path)
    assert (found.headline.best, found.headline.verdict) == ("m", Verdict.UNKNOWN)
    assert "no other model" in found.headline.sentence


@pytest.mark.parametrize("flag", ["no_genuine", "no_impostors"])
def test_no_rate_no_best(make: Make, tmp_path: Path, flag: str) -> None:
    """Where no model has a TPR none is best, and the reason stands in the headline."""
    point = {**make("point", 1e-4, 0.5, (flag,)), "tpr": None}
    document = make("document", [make("model", "m")], [make("evaluation", "m", [point], auroc=None)])
    (found,) = sections(document, {}, tmp_path)
    assert found.headline.best is None
    assert flag.replace("_", " ") in found.headline.sentence
    assert found.findings[0].level == Level.BAD


def test_findings_come_worst_first(section: Section) -> None:
    """What makes a number worthless stands before what is good to know."""
    levels = [list(Level).index(finding.level) for finding in section.findings]
    assert levels == sorted(levels)
    assert len(set(levels)) > 1
    texts = " ".join(finding.text for finding in section.findings)
    assert "1 of 7 models have no result" in texts
    assert "few errors" in texts or "unresolved" in texts


def test_one_pair_of_labels_that_makes_the_errors_is_named(make: Make, tmp_path: Path) -> None:
    """In the section for the best models, and in the model's own panel; so are labels that are skewed."""
    spread = {"n_label_pairs": 3, "largest": {"labels": ["a", "b"], "false_positives": 20}}
    point = {**make("point", 1e-4, 0.5), "spread": spread, "tpr_balanced": 0.9, "false_positives": 32}
    document = make("document", [make("model", "m")], [make("evaluation", "m", [point])])
    (found,) = sections(document, {}, tmp_path)
    for findings in (found.findings, found.models["m"].findings):
        assert any("between 'a' and 'b'" in finding.text for finding in findings)
        assert any("skewed" in finding.text for finding in findings)
        assert all(isinstance(finding, Finding) for finding in findings)


def test_files_hold_nothing_that_differs_between_equal_runs(run: Run, section: Section, tmp_path: Path) -> None:
    """Images per second stand on the page alone."""
    faster = {name: {"images_per_s": 7.0} for name in by_model(run)}
    again = {**run.document, "execution": {**run.document["execution"], "models": faster, "seconds": 1}}
    (other,) = sections(again, run.tables, tmp_path)
    rows = [[table.name, *([c.text(row) for c in table.columns] for row in table.rows)] for table in section.files]
    assert rows == [
        [table.name, *([c.text(row) for c in table.columns] for row in table.rows)] for table in other.files
    ]
    assert {"leaderboard", "thresholds", "front-size"} <= {table.name for table in section.files}
    assert "images_per_s" in [column.name for column in section.boards[section.chosen].columns]


def test_names_of_files_are_unique(run: Run, tmp_path: Path) -> None:
    """Several jobs on several sets: no table and no picture takes another one's place."""
    entries = [
        {**entry, "job": job, "set": image_set}
        for job, image_set in itertools.product(["a", "b"], ["x", "y"])
        for entry in run.document["evaluations"][:2]
    ]
    tables = {
        (e["job"], e["set"], e["model"]): run.tables.get(("verification", "main", e["model"]), {}) for e in entries
    }
    made = sections({**run.document, "evaluations": entries}, tables, tmp_path)
    assert len(made) == 4
    names = [f"{section.prefix}{table.name}" for section in made for table in section.files]
    files = [file for section in made for picture in section.pictures for file in picture.files]
    assert len(names) == len(set(names)) > 8
    assert len(files) == len(set(files)) > 8


def test_the_only_verification_has_short_names(run: Run, tmp_path: Path) -> None:
    """Beside a job of another kind, too."""
    other = {**run.document["evaluations"][0], "job": "odd", "kind": "survey", "result": {"auroc": 0.5}}
    made = sections({**run.document, "evaluations": [*run.document["evaluations"], other]}, run.tables, tmp_path)
    assert [section.prefix for section in made] == ["", "odd-main-"]
    assert "survey" not in KINDS
    (row,) = made[1].files[0].rows
    assert [column.text(row) for column in made[1].files[0].columns] == ["m0", "0.5"]
