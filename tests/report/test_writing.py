"""The files of a run: complete, equal for equal results, whole or not at all."""

from __future__ import annotations

import json
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from evaljobs.errors import RunFailedError
from evaljobs.report.atomic import write_atomic
from evaljobs.report.tables.naming import file_name
from evaljobs.report.writing import write_results

Make = Callable[..., Any]
FILES = {
    *("results.csv", "results.parquet", "results.md", "results.json", "report.html"),
    *("differences.csv", "differences.parquet"),
}
FOLDERS = {"figures", "summary", "tables"}


@pytest.fixture
def complete(published: dict[str, Any], make: Make) -> tuple[dict[str, Any], dict[Any, Any]]:
    """Give the published ablation, a failed model, excluded images, and a curve per model."""
    published["models"].append(
        make("model", "broken|one", status="failed", error={"kind": "corrupt", "message": "not\nONNX <b>"})
    )
    notice = {"kind": "alpha", "n_images": 12, "explanation": "have an alpha channel: it is dropped"}
    published["sets"][0] |= {"excluded": 3, "excluded_by_kind": {"empty": 1, "damaged": 2}, "notices": [notice]}
    for i, model in enumerate(published["models"][:7]):
        model["notes"] = ["<size> assumed"] if i else ["<size> assumed", "batch 1"]
    names = [evaluation["model"] for evaluation in published["evaluations"]]
    curves = {("verification", "main", name): {"roc": make("curve_table", i)} for i, name in enumerate(names)}
    return published, curves


def read(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_two_equal_runs_leave_equal_bytes(complete: tuple[Any, Any], tmp_path: Path) -> None:
    """Every file is the same byte for byte; where times differ, results.json and the page that shows them do."""
    results, tables = complete
    folders = [tmp_path / name for name in "abc"]
    for folder in folders:
        folder.mkdir()
    write_results(results, tables, folders[0])
    write_results(results, tables, folders[1])
    write_results({**results, "execution": {"seconds": 9.0, "host": "there"}}, tables, folders[2])
    first, second, third = map(read, folders)
    assert {name for name in first if "/" not in name} == FILES
    assert {name.partition("/")[0] for name in first if "/" in name} == FOLDERS
    assert first == second
    assert {name for name in first if first[name] != third[name]} == {"results.json", "report.html"}


def test_results_json_is_the_document_and_comes_last(complete: tuple[Any, Any], tmp_path: Path) -> None:
    """What is written is what was given, keys in their order; whoever finds it finds the other files."""
    results, tables = complete
    written = write_results(results, tables, tmp_path)
    names = {path.relative_to(tmp_path).as_posix() for path in written}
    assert names == set(read(tmp_path))
    assert {name for name in names if "/" not in name} == FILES
    assert {"figures/roc.png", "figures/roc.svg", "summary/leaderboard.tex"} < names
    assert written[-1] == tmp_path / "results.json"
    text = written[-1].read_text(encoding="utf-8")
    assert text.endswith("}\n")
    document = json.loads(text)
    assert {name for name in names if name.startswith("summary/")} == set(document["summary"])
    assert [key for key in document if key != "summary"] == list(results)
    assert list(document)[-1] == "execution"
    del document["summary"]
    for entry, given in zip(document.pop("evaluations"), results["evaluations"], strict=True):
        assert {**entry, "tables": given["tables"], "figures": given["figures"]} == given
        assert all((tmp_path / name).is_file() for name in [*entry["tables"], *entry["figures"]])
    assert document == {key: value for key, value in results.items() if key != "evaluations"}


def test_tables_of_earlier_results_go_away(complete: tuple[Any, Any], tmp_path: Path) -> None:
    """Those that the earlier results.json names; what else lies there is somebody's."""
    results, tables = complete
    (tmp_path / "tables").mkdir()
    theirs = [tmp_path / "tables" / "salaries.parquet", tmp_path / "roc-climbing.png"]
    for path in theirs:
        path.write_bytes(b"theirs")
    write_results(results, tables, tmp_path)
    some = dict(list(tables.items())[:2])
    write_results(results, some, tmp_path)
    assert len(list((tmp_path / "tables").iterdir())) == len(some) + 1 == 3
    assert [path.read_bytes() for path in theirs] == [b"theirs"] * 2


def test_the_table_has_a_row_per_model_and_point(complete: tuple[Any, Any], tmp_path: Path) -> None:
    """Every number of every operating point is there with all digits; a failed model has one row that says so."""
    results, tables = complete
    write_results(results, tables, tmp_path)
    rows = pq.read_table(tmp_path / "results.parquet").to_pylist()
    fine = [row for row in rows if row["status"] == "ok"]
    keys = ("target", "allowed", "fpr", "tpr", "threshold", "next_impostor_score", "false_positives", "true_positives")
    wanted = [(e["model"], *(p[k] for k in keys)) for e in results["evaluations"] for p in e["result"]["points"]]
    assert len(wanted) == 18
    assert [(row["model"], *(row[k] for k in keys)) for row in fine] == wanted
    assert fine[0]["tag.backbone"] == "lcnet050"
    assert fine[0]["flags"] == "few_errors"
    assert fine[0]["threshold_half"] == (fine[0]["threshold"] + 1) / 2
    (failed,) = [row for row in rows if row["status"] != "ok"]
    assert (failed["model"], failed["error"], failed["tpr"]) == ("broken|one", "corrupt", None)


def test_the_page_says_all_there_is_to_say(complete: tuple[Any, Any], tmp_path: Path) -> None:
    """Leaderboard, picture, thresholds of each model, flags in words, failures, sets and exclusions."""
    results, tables = complete
    write_results(results, tables, tmp_path)
    page = (tmp_path / "results.md").read_text(encoding="utf-8")
    headings = [line for line in page.splitlines() if line.startswith(("# ", "## "))]
    assert headings == [
        "# Results: ablation",
        "## Leaderboard",
        "## Differences",
        "## Thresholds",
        "## What the flags mean",
        "## What failed",
        "## Notes on models",
        "## Sets",
    ]
    assert [e["model"] for e in results["evaluations"] if f"### {e['model']}\n" not in page] == []
    assert "![ROC of all models](figures/roc.png)" in page
    assert "- `few_errors`: the target allows fewer than 30" in page
    assert r"| broken&#124;one | corrupt | not\\nONNX \<b\> |" in page
    assert r"- \<size\> assumed: lcnet050-f256-r128-ln-arc, " in page
    assert "lcnet050-f256-r128-ln-cos-squeeze and 2 more\n- batch 1: lcnet050-f256-r128-ln-arc\n" in page
    assert "| main | 1,500 | 30 | 2 | 3 | 2 damaged, 1 empty | 12 alpha |" in page
    assert "- alpha: images that have an alpha channel: it is dropped" in page


def test_a_run_in_which_every_model_failed_is_written_too(make: Make, tmp_path: Path) -> None:
    """No curve, no figure; the failures stand in every table."""
    broken = make("model", "m", status="failed", error={"kind": "corrupt", "message": "x"})
    written = write_results(make("document", [broken], []), {}, tmp_path)
    assert {path.relative_to(tmp_path).as_posix() for path in written} == FILES
    (row,) = pq.read_table(tmp_path / "results.parquet").to_pylist()
    assert (row["model"], row["status"], row["error"]) == ("m", "failed", "corrupt")
    assert "## What failed" in (tmp_path / "results.md").read_text(encoding="utf-8")


def test_a_model_may_fail_on_one_set_and_work_on_another(make: Make, tmp_path: Path) -> None:
    """The failure is told with its set, the result stands; a model without any result is told once."""
    error = {"kind": "non_finite", "message": "3 rows"}
    models = [make("model", name, status="failed", error=error) for name in ("half", "lost")]
    failed = {"status": "failed", "error": error, "result": None}
    point = make("point", 1e-4, 0.5)
    evaluations = [
        make("evaluation", "half", [point], image_set="a"),
        {**make("evaluation", "half", [], image_set="b"), **failed},
        {**make("evaluation", "lost", [], image_set="a"), **failed},
        {**make("evaluation", "lost", [], image_set="b"), **failed},
    ]
    write_results(make("document", models, evaluations), {}, tmp_path)
    page = (tmp_path / "results.md").read_text(encoding="utf-8")
    _, _, failures = page.partition("## What failed\n\n")
    assert failures.splitlines()[2:4] == [
        "| lost | - | - | non_finite | 3 rows |",
        "| half | verification | b | non_finite | 3 rows |",
    ]
    rows = pq.read_table(tmp_path / "results.parquet").to_pylist()
    assert [(row["set"], row["model"], row["status"], row["tpr"]) for row in rows] == [
        ("a", "half", "ok", 0.5),
        ("a", "lost", "failed", None),
        ("b", "half", "failed", None),
        ("b", "lost", "failed", None),
    ]


def test_a_name_that_is_not_utf8_is_written(make: Make, tmp_path: Path) -> None:
    """A file name of any bytes ends in valid JSON, CSV, Parquet, Markdown and figures."""
    name = "caf\udce9"
    document = make("document", [make("model", name)], [make("evaluation", name, [make("point", 1e-4, 0.5)])])
    write_results(document, {("verification", "main", name): {"roc": make("curve_table", 1)}}, tmp_path)
    assert json.loads((tmp_path / "results.json").read_bytes())["models"][0]["name"] == name
    assert pq.read_table(tmp_path / "results.parquet").column("model").to_pylist() == ["caf\\udce9"]
    assert "caf\\udce9" in (tmp_path / "results.csv").read_text(encoding="utf-8")


def test_several_sets_have_a_figure_each(make: Make, tmp_path: Path) -> None:
    """A figure never mixes sets, and names that differ never share a file."""
    sets = ["a/b", "a_b", "../up"]
    evaluations = [make("evaluation", "m", [make("point", 1e-4, 0.5)], image_set=name) for name in sets]
    curves = {("verification", name, "m"): {"roc": make("curve_table", 1)} for name in sets}
    write_results(make("document", [make("model", "m")], evaluations), curves, tmp_path)
    assert len(list(tmp_path.glob("figures/verification-*-roc.png"))) == 3
    assert len({file_name(name) for name in sets}) == 3
    assert {path.parent for path in tmp_path.rglob("*.png")} == {tmp_path / "figures"}


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_number_that_json_has_not_is_refused(published: dict[str, Any], tmp_path: Path, bad: float) -> None:
    """Results are valid JSON or none at all."""
    published["models"][0]["metadata"] = {"x": bad}
    with pytest.raises(RunFailedError, match="not valid JSON"):
        write_results(published, {}, tmp_path)
    assert not (tmp_path / "results.json").exists()


def test_a_failed_write_leaves_the_old_file_and_no_rest(tmp_path: Path) -> None:
    """A reader finds the old file or the new one, never a part, and no temporary file stays."""
    target = tmp_path / "results.json"
    target.mkdir()  # a file cannot replace a folder
    with pytest.raises(RunFailedError, match=r"cannot write .*results\.json.*run again"):
        write_atomic(target, b"new")
    assert list(tmp_path.iterdir()) == [target]
    with pytest.raises(RunFailedError, match="cannot write"):
        write_atomic(tmp_path / "absent" / "x", b"new")


def test_written_files_have_the_usual_permissions(tmp_path: Path) -> None:
    """Colleagues can read the results as any other file of the user."""
    plain = tmp_path / "plain"
    plain.write_bytes(b"")
    written = write_atomic(tmp_path / "written", b"x")
    assert stat.S_IMODE(written.stat().st_mode) == stat.S_IMODE(plain.stat().st_mode)
