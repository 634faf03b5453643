"""Which models are ranked by a classification: those that were judged on the same images."""

from __future__ import annotations

from pathlib import Path

import evaljobs
from evaljobs.report.comparing.differences import Verdict
from evaljobs.report.comparing.measures import ACCURACY, class_rows
from evaljobs.report.kinds.classification_headline import headline_by
from evaljobs.report.results import CLASSIFICATION, groups_of
from evaljobs.report.section import Found
from evaljobs.report.tables.class_boards import class_table
from evaljobs.report.text.class_markdown import classification_markdown
from tests.report.conftest import make_document, make_model
from tests.report.test_classification import CLASSES, N, found_of, results_of, scores_of


def with_one_that_knows_little(folder: Path) -> Found:
    """Return two models, and `narrow`, which knows two classes alone and is always right about their images."""
    found = found_of(folder, {"good": 2.0, "weak": 0.6}, missing="exclude")
    scores, labels = scores_of(9.0)
    kept = evaljobs.classify(
        scores[:, :2], labels, CLASSES[:2], scores_are="logits", top_k=(1, 3), ids=range(N), missing="exclude"
    )
    entry = {**found.results["evaluations"][0], "model": "narrow", "result": kept.to_json()}
    results = make_document([make_model("narrow"), *found.results["models"]], [entry, *found.results["evaluations"]])
    (group,) = groups_of(results, CLASSIFICATION)
    return Found(results, group, {**found.tables, "narrow": dict(kept.tables())}, folder)


def test_models_judged_on_other_images_are_not_ranked(tmp_path: Path) -> None:
    """Whoever leaves out the images that it does not know would stand first; the board and the headline say why not."""
    found = with_one_that_knows_little(tmp_path)
    rows = class_rows(found.results, found.group)
    assert [(row["rank"], row["model"]["name"]) for row in rows] == [
        (1, "good"), (2, "weak"), (None, "narrow"), (None, "broken"),
    ]  # fmt: skip
    n = results_of(found)["narrow"]["n_samples"]
    assert n < N
    table = class_table(found, ACCURACY, rates=False)
    assert [c.text(table.rows[2]) for c in table.columns if c.name == "rank"] == [f"- (judged on {n} other images)"]
    assert any("not ranked" in note for note in table.notes)
    headline = headline_by(found, ACCURACY)
    assert headline.best == "good"
    assert headline.verdict == Verdict.REAL
    assert "of 2 models" in headline.sentence
    assert "judged on other images (labels that are left out): 1 more" in headline.sentence
    assert "not ranked" in "".join(classification_markdown(found.results))


def test_of_equally_many_images_one_digest_is_ranked(tmp_path: Path) -> None:
    """Which one does not depend on the order of the models."""
    found = found_of(tmp_path, {"good": 2.0, "weak": 0.6}, None)
    results_of(found)["good"]["excluded"]["digest"] = "bb"
    results_of(found)["weak"]["excluded"]["digest"] = "aa"
    models = found.results["models"]
    for order in (models, models[::-1]):
        rows = class_rows({**found.results, "models": order}, found.group)
        assert [(row["rank"], row["model"]["name"]) for row in rows] == [(1, "weak"), (None, "good")]
