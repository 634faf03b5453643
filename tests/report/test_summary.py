"""The folder ``summary/``: every table in every format, the same bytes for equal results."""

from __future__ import annotations

import csv
import io
import itertools
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from evaljobs.errors import RunFailedError
from evaljobs.report.section import Found, Table
from evaljobs.report.tables.boards import leaderboard_table, threshold_table, thresholds_table
from evaljobs.report.tables.columns import Column, Kind, with_beside
from evaljobs.report.tables.factor_tables import factor_tables, factors_table
from evaljobs.report.tables.formats import to_markdown
from evaljobs.report.tables.front import Cost, front_table
from evaljobs.report.tables.quality import TprQuality
from evaljobs.report.tables.summary import write_summary
from tests.report.ablation import TARGET, entry, evaluation, found_in, published

FORMATS = ("csv", "parquet", "md", "tex", "html")


def all_tables(found: Found) -> list[Table]:
    """Return what stands in the summary of a verification."""
    fronts = [front_table(found, TprQuality(TARGET), cost) for cost in Cost if not cost.varies]
    board = leaderboard_table(found, TARGET, rates=False)
    factors = [*factor_tables(found, TprQuality(TARGET)), factors_table(found, TprQuality(TARGET))]
    return [board, thresholds_table(found, TARGET), *factors, *fronts]


def cells(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8"))))


def test_each_table_has_a_file_in_each_format(tmp_path: Path) -> None:
    """From one declaration: five files for a table, named by prefix and table, and nothing else."""
    tables = all_tables(published())
    written = write_summary(tables, tmp_path, "faces-main-")
    expected = [f"faces-main-{table.name}.{suffix}" for table in tables for suffix in FORMATS]
    assert [path.name for path in written] == expected
    assert sorted(path.name for path in (tmp_path / "summary").iterdir()) == sorted(expected)
    names = {table.name for table in tables}
    assert {"leaderboard", "thresholds", "effects", "factors", "factor-dim-res", "front-size"} <= names
    assert all(path.stat().st_size > 0 for path in written)
    for table in tables:
        columns = [column.name for column in with_beside(table.columns)]
        assert len(set(columns)) == len(columns), "a name for each column"


def test_equal_results_give_equal_bytes(tmp_path: Path) -> None:
    """Nothing of the time, the machine or an earlier run is in the files."""
    for name in "ab":
        (tmp_path / name).mkdir()
        write_summary(all_tables(published()), tmp_path / name)
    (tmp_path / "a" / "summary" / "leaderboard.md").write_text("what stood there before")
    write_summary(all_tables(published()), tmp_path / "a")
    both = [{path.name: path.read_bytes() for path in (tmp_path / name / "summary").iterdir()} for name in "ab"]
    assert len(both[0]) > 50
    assert both[0] == both[1]


def test_what_machines_and_people_get(tmp_path: Path) -> None:
    """CSV and Parquet keep digits, interval ends and empty columns; pages are rounded and leave out what is empty."""
    models = [entry("a|b", {"loss": "arc"}), entry("=c", {"loss": "cos"})]
    shared = np.random.default_rng(0).normal(0, 0.01, 20)
    runs = [evaluation("a|b", 0.5123456789, 0.9, list(0.51 + shared)), evaluation("=c", 0.4, 0.8, list(0.4 - shared))]
    for run in runs:
        run["result"]["points"][0]["tpr_ci"] = [0.3, 0.6123456789]
    write_summary(all_tables(found_in(models, runs)), tmp_path)
    summary = tmp_path / "summary"
    first, second = cells(summary / "leaderboard.csv")
    assert (first["tpr"], first["tpr_ci_upper"], first["tag.loss"]) == ("0.5123456789", "0.6123456789", "arc")
    assert (first["flags"], first["auroc_ci_lower"], second["model"]) == ("", "", "'=c")
    table = pq.read_table(summary / "leaderboard.parquet")
    assert table["tpr_ci_lower"].to_pylist() == [0.3, 0.3]
    assert table["model"].to_pylist() == ["a|b", "=c"]
    page = (summary / "leaderboard.md").read_text(encoding="utf-8")
    assert r"**0.512 \[0.300, 0.612\]**" in page
    assert "flags" not in page
    assert "| a&#124;b |" in page
    assert r"\textbf{0.512 {[}0.300, 0.612{]}}" in (summary / "leaderboard.tex").read_text(encoding="utf-8")


def test_pages_of_the_summary_run_nothing(tmp_path: Path) -> None:
    """An HTML file is whole, forbids everything but its own style, and shows hostile names as text."""
    hostile = "</td><script>alert(1)</script>"
    found = found_in(
        [entry(hostile, {hostile: "x"}), entry("b", {})], [evaluation(hostile, 0.5, 0.9), evaluation("b", 0.4, 0.9)]
    )
    written = [path for path in write_summary(all_tables(found), tmp_path) if path.suffix == ".html"]
    assert written
    assert {path.parent for path in written} == {tmp_path / "summary"}
    for path in written:
        page = path.read_text(encoding="utf-8")
        assert page.startswith("<!DOCTYPE html>")
        assert "default-src 'none'" in page
        assert "<script" not in page
    assert "&lt;script&gt;" in (tmp_path / "summary" / "leaderboard.html").read_text(encoding="utf-8")


def test_two_tables_of_one_name_are_refused(tmp_path: Path) -> None:
    """One would silently replace the other."""
    table = Table("t", "T", [Column("a", "a", "a", Kind.TEXT)], [{"a": "x"}])
    with pytest.raises(ValueError, match="two tables of one name"):
        write_summary([table, table], tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    """A file in its place is named, with what to do."""
    (tmp_path / "summary").write_text("")
    with pytest.raises(RunFailedError, match=r"cannot write .*summary.*name another --out"):
        write_summary(all_tables(published()), tmp_path)


def test_the_page_shows_what_is_written() -> None:
    """The examples of the publication in the documentation are the output of this code; every table has its heading."""
    page = (Path(__file__).parents[2] / "docs" / "tables.md").read_text(encoding="utf-8")
    tables = {table.name: table for table in all_tables(published())}
    for name in ("factor-loss", "factor-dim-res", "factor-classes-recipe"):
        assert to_markdown(tables[name].shown, tables[name].rows) in page
    effects = tables["effects"]
    rows = [row for row in effects.rows if row["factor"].name in {"norm", "loss"}]
    assert to_markdown(effects.shown, rows) in page
    kinds = {re.sub("^front-.*", "front-COST", re.sub("^factor-.*", "factor-TAG", name)) for name in tables}
    assert kinds == set(re.findall(r"^##+ ([a-z-]+(?:TAG|COST)?)$", page, re.MULTILINE))


# Leaderboard and thresholds


def test_rates_stand_where_files_may_differ() -> None:
    """Images per second are in the report, and not in files that are equal for equal runs."""
    found = published()
    rates = {model["name"]: {"images_per_s": 100.0 * (i + 1)} for i, model in enumerate(found.results["models"][:2])}
    measured = found._replace(results={**found.results, "execution": {"models": rates}})
    names = [column.name for column in leaderboard_table(measured, TARGET, rates=False).columns]
    assert "images_per_s" not in names
    table = leaderboard_table(measured, TARGET, rates=True)
    (column,) = [column for column in table.columns if column.name == "images_per_s"]
    assert column.heading == "images [1/s]"
    shown = {row["model"]["name"]: column.text(row) for row in table.rows}
    assert sorted(set(shown.values())) == ["-", "100", "200"]
    assert "images_per_s" not in [column.name for column in leaderboard_table(found, TARGET, rates=True).columns]


def test_thresholds_of_all_models_and_of_one() -> None:
    """One long table, the best model first, and one for each model; each threshold on both scales, and said so."""
    found = published()
    table = thresholds_table(found, TARGET)
    assert [row["model"]["name"] for row in table.rows][:1] == [
        "lcnet050-f256-r128-ln-cos-squeeze (classes=1281833, recipe=ImageNet-1K, CLIP, LN + BN)"
    ]
    assert len(table.rows) == 14
    for one in (table, threshold_table(found, "lcnet050-f256-r128-bn-cos")):
        values = {column.name: column.value(one.rows[0]) for column in one.columns}
        assert values["threshold_half"] == (values["threshold"] + 1) / 2
        headings = [column.heading for column in one.columns]
        assert {"threshold (cosine)", "threshold ((cosine + 1) / 2)"} <= set(headings)
        assert "both scales in use, cosine and (cosine + 1) / 2" in one.notes[0]
    assert threshold_table(found, "nobody").rows == []


def test_boards_of_other_targets_have_names_of_their_own() -> None:
    """The board by which models are ranked is the leaderboard; another says its target."""
    found = published()
    assert leaderboard_table(found, TARGET, rates=False).name == "leaderboard"
    assert leaderboard_table(found, 1e-3, rates=False).name == "leaderboard-1e-3"


# Hundreds of models


def factorial() -> Iterator[tuple[str, dict[str, str]]]:
    """Yield 300 models: every combination of six tags."""
    values = {
        "backbone": ("r18", "r50", "vit", "lcnet", "b0"),
        "loss": ("arc", "cos", "softmax"),
        "norm": ("ln", "bn"),
        "dim": ("64", "128", "256", "512", "1024"),
        "res": ("96", "128"),
    }
    for combination in itertools.product(*values.values()):
        yield "-".join(combination), dict(zip(values, combination, strict=True))


def many() -> Found:
    """Return 300 models with replicates."""
    rng = np.random.default_rng(1)
    tags = dict(factorial())
    assert len(tags) == 300
    shared = rng.normal(0, 0.02, 20)
    evaluations: list[dict[str, Any]] = []
    for name in tags:
        tpr = float(rng.uniform(0.3, 0.9))
        evaluations.append(evaluation(name, tpr, 0.9, list(tpr + shared + rng.normal(0, 0.01, 20))))
    return found_in([entry(name, of, *rng.uniform(0.01, 5, 2)) for name, of in tags.items()], evaluations)


def test_three_hundred_models_take_seconds(tmp_path: Path) -> None:
    """All tables of 300 models, with an interval for each difference, in all formats."""
    started = time.process_time()
    written = write_summary(all_tables(many()), tmp_path)
    assert time.process_time() - started < 15
    assert len(cells(tmp_path / "summary" / "leaderboard.csv")) == 300
    assert len(cells(tmp_path / "summary" / "factors.csv")) == 5 * 300
    assert len(written) == 5 * (2 + 1 + 5 + 1 + 3)
