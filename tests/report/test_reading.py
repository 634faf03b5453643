"""A finished run is read again: its document at once, its tables when they are looked at."""

from __future__ import annotations

import json

import pyarrow as pa
import pytest

from evaljobs.errors import UsageError
from evaljobs.remote import objects
from evaljobs.report.page.about import run_findings
from evaljobs.report.results import verification_groups
from evaljobs.report.runs.reading import read_run
from evaljobs.report.section import Found
from evaljobs.report.tables.front import Cost, front_table
from evaljobs.report.tables.quality import TprQuality
from evaljobs.report.tables.sidecars import write_tables
from evaljobs.report.text.markdown import to_markdown_page
from evaljobs.report.text.remarks import remarks
from tests.report.runs import make_result, make_run

HOSTILE = "../<b> a.b/c"


@pytest.fixture
def run(tmp_path):
    """A run's folder with real files, and the tables that were written into it."""
    document = make_run({"m": make_result(0.8), HOSTILE: make_result(0.7)}, image_set="x / y.z")
    document["sets"][0]["name"] = "x / y.z"
    tables = {
        (e["job"], e["set"], e["model"]): {
            "roc": pa.table({"threshold": [0.5], "of": [e["model"]]}),
            "label_pairs": pa.table({"n": [number]}),
        }
        for number, e in enumerate(document["evaluations"])
    }
    files = write_tables(tables, tmp_path)
    for entry in document["evaluations"]:
        paths = files[entry["job"], entry["set"], entry["model"]]
        entry["tables"] = [path.relative_to(tmp_path).as_posix() for path in paths]
    (tmp_path / "results.json").write_text(json.dumps(document))
    return tmp_path, document, tables


def same(found, tables):
    assert list(found) == list(tables)
    assert len(found) == len(tables)
    for key, named in tables.items():
        assert sorted(found[key]) == sorted(named)
        assert all(found[key][name].equals(table) for name, table in named.items())
    return True


def test_what_was_written_is_read(run):
    """By its folder or its file, whatever the names are."""
    folder, document, tables = run
    for place in (folder, str(folder), folder / "results.json"):
        found = read_run(place)
        assert found.document == document
        assert same(found.tables, tables)


def test_a_run_on_s3_is_read_alike(run, s3):
    """The same tables, byte for byte, from a bucket."""
    folder, document, tables = run
    bucket = s3.bucket()
    for path in folder.rglob("*"):
        if path.is_file():
            objects.replace(f"{bucket}/runs/a/{path.relative_to(folder)}", path.read_bytes())
    for place in (f"{bucket}/runs/a", f"{bucket}/runs/a/results.json"):
        found = read_run(place)
        assert found.document == document
        assert same(found.tables, tables)


def test_tables_are_read_when_they_are_looked_at(run):
    """Which tables there are is known without reading one; one that is gone is an error that names it."""
    folder, _, tables = run
    found = read_run(folder).tables
    key = next(iter(tables))
    for path in (folder / "tables").iterdir():
        if ".label_pairs." in path.name:
            path.unlink()
        else:
            path.write_bytes(b"cut off")
    assert key in found
    assert ("no", "such", "model") not in found
    assert "roc" in found[key]
    assert sorted(found[key]) == ["label_pairs", "roc"]
    with pytest.raises(UsageError, match=r"label_pairs.parquet, which results.json names: it is not there"):
        found[key]["label_pairs"]
    with pytest.raises(UsageError, match=r"roc.parquet, which results.json names"):
        found[key]["roc"]
    with pytest.raises(KeyError):
        found[key]["no such table"]


@pytest.mark.parametrize("key", ["fpr", "threshold", "next_impostor_score", "false_positives", "true_positives"])
def test_a_point_without_what_is_shown_of_it_is_refused(run, key):
    """A document that somebody cut is told apart from a mistake of the report's."""
    folder, document, _ = run
    del document["evaluations"][0]["result"]["points"][1][key]
    (folder / "results.json").write_text(json.dumps(document))
    with pytest.raises(UsageError, match=rf"evaluations\[0\].result.points\[1\] has no {key}"):
        read_run(folder)


@pytest.mark.parametrize("cost", [{}, {"cost": None}, {"cost": {"size_mb": 1.0}}])
def test_what_may_be_absent_is_not_missed(run, cost):
    """Cost and reasons of exclusion are beside the point: without them the rest is shown."""
    folder, document, _ = run
    for model in document["models"]:
        del model["cost"]
        model.update(cost)
    document["sets"][0]["excluded"] = 3
    for key in ("excluded_by_kind", "notices", "n_single_labels"):
        del document["sets"][0][key]
    (folder / "results.json").write_text(json.dumps(document))
    results = read_run(folder).document
    found = Found(results, verification_groups(results)[0], {}, folder)
    assert front_table(found, TprQuality(1e-4), Cost.GFLOPS).rows == []
    assert remarks(results) == [
        f"set {results['sets'][0]['name']}: 3 image(s) are excluded for every model (failures.csv)"
    ]
    assert run_findings(results, 0)[0].text.endswith("3 image(s) could not be used and count for no model")
    assert "## Leaderboard" in to_markdown_page(results, {})


def test_no_name_leads_out_of_the_folder(run):
    """A results.json may come from anybody."""
    folder, document, _ = run
    (folder.parent / "secret.parquet").write_bytes((next((folder / "tables").iterdir())).read_bytes())
    document["evaluations"][0]["tables"] = ["tables/../../secret.parquet", "/etc/x.roc.parquet", "samples.arrow"]
    (folder / "results.json").write_text(json.dumps(document))
    assert len(read_run(folder).tables[tuple(document["evaluations"][0][k] for k in ("job", "set", "model"))]) == 0
