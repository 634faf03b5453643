"""What a report says of uncertainty: boards, splits, pictures, words."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from rich.console import Console

from evaljobs.classification.groups import keys_of_digests
from evaljobs.report.comparing import uncertainties
from evaljobs.report.comparing.differences import Verdict
from evaljobs.report.figures.thumbnails import wanted
from evaljobs.report.kinds import sections
from evaljobs.report.text.markdown import to_markdown_page
from evaljobs.report.text.terminal import render_results
from evaljobs.report.writing import write_results
from evaljobs.uncertainty.concluding import Asked, conclude
from evaljobs.uncertainty.judging import Labels, judged_parts
from evaljobs.uncertainty.measures import ABOUT, OF_SCORES
from evaljobs.uncertainty.scored import prepare_scores

SETS = {"set": "digits", "corrupted 1": "noisy", "foreign 1": "clothes"}
SIZES = {"set": 400, "corrupted 1": 200, "foreign 1": 300}
CLASSES = ("a", "b", "c")
NAME = "digits / noisy / clothes"


def digests(role: str) -> list[bytes]:
    """Return what stands for the digests of a set."""
    return [hashlib.sha256(f"{role} {i}".encode()).digest() for i in range(SIZES[role])]


def evaluation(model: str, skill: float) -> tuple[dict[str, Any], dict[str, pa.Table]]:
    """Return the evaluation of a model that is so good, as a run has it."""
    rng = np.random.default_rng(0)
    scored, labels = {}, {}
    for role, n in SIZES.items():
        truth = rng.integers(0, 3, n)
        scores = rng.normal(size=(n, 3))
        scores[np.arange(n), truth] += {"set": skill, "corrupted 1": skill / 2, "foreign 1": 0}[role]
        scored[role] = (scores.astype(np.float32), None)
        labels[role] = [CLASSES[i] for i in truth]
    samples, work = prepare_scores(scored, "logits", told=True)
    found = work.run(samples, range(len(samples.scores))).whole()
    parts = judged_parts(samples, found, labels, Labels(CLASSES, {}, "refuse"))
    asked = Asked(OF_SCORES, OF_SCORES[0], None, 0.1, 20, 10)
    keys = {role: keys_of_digests(b"".join(digests(role))) for role in SIZES}
    changed = {"set": None, "corrupted 1": np.arange(200) < 50, "foreign 1": None}
    result, tables = conclude(parts, keys, changed, asked)
    images = tables["images"]
    all_digests = [digest for role in SIZES for digest in digests(role)]
    tables["images"] = images.append_column("image_digest", pa.array(all_digests, pa.binary(32)))
    entry = {"job": "doubts", "kind": "uncertainty", "set": NAME, "sets": SETS, "model": model, "status": "ok"}
    return {**entry, "error": None, "result": result, "tables": [], "figures": []}, tables


@pytest.fixture
def run() -> tuple[dict[str, Any], dict[tuple[str, str, str], dict[str, pa.Table]]]:
    """Return the results of two models, and of one that has none."""
    made = {name: evaluation(name, skill) for name, skill in (("weak", 1.0), ("good", 6.0))}
    failed = {**made["weak"][0], "model": "broken", "status": "failed", "result": None}
    failed["error"] = {"kind": "no_dropout", "message": "it has none"}
    names = [*made, "broken"]
    models = [
        {"name": n, "status": "failed" if n == "broken" else "ok", "error": failed["error"] if n == "broken" else None}
        for n in names
    ]
    evaluations = [*(entry for entry, _ in made.values()), failed]
    results = {"schema_version": 1, "run": "r", "sets": [], "models": models, "evaluations": evaluations}
    return results, {("doubts", NAME, name): tables for name, (_, tables) in made.items()}


def test_titles_are_those_of_the_measures() -> None:
    """The report imports no engine, and says what the engine says."""
    assert dict(uncertainties.TITLES) == {str(measure): about.title for measure, about in ABOUT.items()}


def test_section_ranks_models_by_foreign_images(run: Any, tmp_path: Path) -> None:
    """The best stands first, with evidence; whoever failed is said to have; the difference is judged."""
    results, tables = run
    (section,) = sections(results, tables, tmp_path)
    assert (section.kind, section.set, section.choice) == ("uncertainty", NAME, "measure")
    assert list(section.boards) == ["softmax entropy", "1 - confidence"]
    board = section.boards[section.chosen]
    assert [(row["model"]["name"], row["rank"]) for row in board.rows] == [("good", 1), ("weak", 2), ("broken", None)]
    assert section.headline.best == "good"
    assert section.headline.verdict is Verdict.REAL
    assert "By softmax entropy, 40 of 400 images are unsure" in section.headline.sentence
    assert "of clothes" in section.headline.sentence
    assert any("1 of 3 models have no result" in finding.text for finding in section.findings)
    (splits,) = [table for table in section.whole.tables if table.name == "splits"]
    assert [row["set"] for row in splits.rows if row["model"] == "good"] == [
        "digits",
        "noisy",
        "noisy: changed images",
        "clothes",
    ]
    assert {"splits", "foreign", "measures"} == {table.name for table in section.models["good"].tables}


def test_models_that_leave_out_other_images_are_not_compared(run: Any, tmp_path: Path) -> None:
    """As many images are not the same images: of other labels that were left out no difference is certain."""
    results, tables = run
    for entry, labels in zip(results["evaluations"], ("one", "two"), strict=False):
        entry["result"]["excluded"] = {"n_samples": 5, "n_labels": 1, "digest": labels}
    (section,) = sections(results, tables, tmp_path)
    assert section.headline.best == "good"
    assert section.headline.verdict is Verdict.UNKNOWN


def test_pictures_are_drawn_and_the_same_again(run: Any, tmp_path: Path) -> None:
    """Distributions, risk and coverage, ROC; the same bytes each time."""
    results, tables = run
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    (section,) = sections(results, tables, tmp_path / "a")
    assert [picture.name for picture in section.whole.pictures] == [
        "uncertainty-good",
        "risk-coverage-good",
        "foreign-good",
    ]
    (again,) = sections(results, tables, tmp_path / "b")
    for one, other in zip(section.pictures, again.pictures, strict=True):
        assert one.files.png.read_bytes() == other.files.png.read_bytes()
        assert one.files.svg.read_bytes() == other.files.svg.read_bytes()


def test_least_certain_images_are_wanted_as_thumbnails(run: Any) -> None:
    """Those of each set that the best model is least certain of."""
    results, tables = run
    found = wanted(results, tables)
    assert len(found) == 3 * 24
    images = tables["doubts", NAME, "good"]["images"].to_pylist()
    least = max((image for image in images if image["role"] == "foreign 1"), key=lambda image: image["entropy"])
    assert least["image_digest"] in found


def test_words_say_what_was_found(run: Any, tmp_path: Path) -> None:
    """results.md, the terminal and the files of a run."""
    results, tables = run
    page = to_markdown_page(results, {})
    assert "## Uncertainty: doubts on digits / noisy / clothes" in page
    assert "at most 0.1 of the in-distribution images are unsure" in page
    assert "noisy: changed images" in page
    console = Console(file=io.StringIO(), width=200)
    console.print(render_results(results))
    said = console.file.getvalue()  # type: ignore[attr-defined]  # it is a StringIO
    assert "doubts: good: By softmax entropy, 40 of 400 images are unsure" in said
    assert "no verification" not in said
    written = write_results(results, tables, tmp_path)
    assert (tmp_path / "report.html").exists()
    assert any(path.name.endswith("leaderboard.csv") for path in written)
