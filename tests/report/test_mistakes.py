"""The most confident mistakes as pictures, and failures and notes of jobs that are no verifications."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from evaljobs.report.figures.mistake_sheet import mistake_sheet
from evaljobs.report.figures.thumbnails import MISTAKES, wanted
from evaljobs.report.results import failed_rows, job_notes
from evaljobs.report.section import Found
from tests.report.conftest import make_evaluation, make_point
from tests.report.mapped import digit_images, write_thumbnails
from tests.report.test_classification import SKILLS, found_of


@pytest.fixture
def found(tmp_path: Path) -> Found:
    """Give classifications whose mistakes have pictures, as the engine puts digests beside rows."""
    found = found_of(tmp_path, mistakes=30)
    digests = write_thumbnails(tmp_path, digit_images(30))

    def named(tables: Any) -> dict[str, pa.Table]:
        mistakes = tables["mistakes"]
        digest = pa.array(digests[: mistakes.num_rows], pa.binary(32))
        return {**tables, "mistakes": mistakes.append_column("image_digest", digest)}

    return found._replace(tables={name: named(tables) for name, tables in found.tables.items()})


def test_mistakes_are_drawn(found: Found) -> None:
    """As PNG and SVG, described in words; the file is named for the model."""
    sheet = mistake_sheet(found, "good")
    assert sheet is not None
    assert sheet.files.png.read_bytes().startswith(b"\x89PNG")
    assert sheet.files.png.name == "mistakes-good.png"
    assert sheet.alt.startswith(f"{MISTAKES} images that good is wrong about")


def test_without_pictures_nothing_is_drawn(found: Found, tmp_path: Path) -> None:
    """No thumbnails, no digests, no mistakes, no model of that name: no sheet."""
    assert mistake_sheet(found, "nobody") is None
    (tmp_path / "thumbnails.arrow").unlink()
    assert mistake_sheet(found, "good") is None
    assert mistake_sheet(found_of(tmp_path), "good") is None


def test_the_run_makes_the_pictures_that_the_sheet_shows(found: Found) -> None:
    """Those of the best model's most confident mistakes, in their order."""
    tables = {("classes", "main", name): found.tables[name] for name in SKILLS}
    mine = found.tables["good"]["mistakes"]["image_digest"].to_pylist()[:MISTAKES]
    assert wanted(found.results, tables) == mine


def test_a_model_may_fail_in_one_job_alone(found: Found) -> None:
    """It is listed with that job, beside models that have no result at all."""
    verification = make_evaluation("broken", [make_point(0.1, 0.5)])
    results = {**found.results, "evaluations": [*found.results["evaluations"], verification]}
    rows = failed_rows(results)
    assert [(row["model"]["name"], row["job"], row["error"]["kind"]) for row in rows] == [
        ("broken", "classes", "no_scores")
    ]
    assert [(row["model"]["name"], row["job"]) for row in failed_rows(found.results)] == [("broken", None)]


def test_notes_of_classifications_are_told(tmp_path: Path) -> None:
    """Once for each job, with how many models they are of."""
    (note,) = job_notes(found_of(tmp_path, scores_are=None).results)
    assert note.startswith("job classes on main: it is not known whether the scores are logits or probabilities")
