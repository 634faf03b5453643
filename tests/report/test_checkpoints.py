"""Checkpoints of a training run: a metric along the line, and whether the best differs from the last."""

from __future__ import annotations

from pathlib import Path

import pytest

from evaljobs.report.results import verification_groups
from evaljobs.report.runs.checkpoints import series_chart, series_rows, series_tables
from evaljobs.report.section import Found
from evaljobs.report.tables.formats import to_csv, to_markdown
from evaljobs.report.tables.quality import TprQuality
from tests.report.runs import make_result, make_run

FPR = 1e-4


def found_in(lines):
    """Return what is found of lines: name to TPR by number, None where the model failed."""
    models, series = {}, {}
    for line, tprs in lines.items():
        for number, tpr in tprs.items():
            name = f"{line} {number}"
            models[name] = None if tpr is None else make_result(tpr, seed=number)
            series[name] = {"tag": "epoch", "value": number, "name": line}
    document = make_run({**models, "alone": make_result(0.99)}, series=series)
    return Found(document, verification_groups(document)[0], {}, Path())


LINES = {"a": {10: 0.85, 1: 0.5, 2: 0.9, 3: 0.9}, "b": {1: 0.6, 5: 0.6001}, "short": {1: 0.7}}


def test_lines_are_in_the_order_of_their_numbers():
    """Whatever the order of the models; a model of no line and a line of one model are none."""
    rows = series_rows(found_in(LINES), TprQuality(FPR))
    assert {name: [row["model"]["series"]["value"] for row in line] for name, line in rows.items()} == {
        "a": [1, 2, 3, 10],
        "b": [1, 5],
    }
    assert [row["is_best"] for row in rows["a"]] == [False, True, False, False]
    assert [row["is_last"] for row in rows["a"]] == [False, False, False, True]


def test_the_best_is_compared_with_the_last():
    """Which checkpoint to take, and whether that is certain."""
    best, every = series_tables(found_in(LINES), TprQuality(FPR))
    rows = {row["best"]["model"]["series"]["name"]: row for row in best.rows}
    assert rows["a"]["best"]["model"]["name"] == "a 2"
    assert rows["a"]["against_last"]["difference"] == pytest.approx(0.05)
    assert rows["a"]["against_last"]["verdict"] == "real"
    assert rows["b"]["best"]["model"]["name"] == "b 5"
    assert rows["b"]["against_last"] is None
    texts = {column.name: [column.text(row) for row in best.rows] for column in best.columns}
    assert texts["best"] == ["2", "5"]
    assert texts["last"] == ["10", "5"]
    assert texts["checkpoints"] == ["4", "2"]
    assert texts["against_last"][1] == "- (it is the last one)"
    assert texts["verdict"] == ["real", "-"]
    assert len(every.rows) == 6
    for table in (best, every):
        assert to_csv(table.columns, table.rows).count(b"\n") == 1 + len(table.rows)
        assert "| a |" in to_markdown(table.columns, table.rows)


def test_a_checkpoint_that_failed_is_a_gap():
    """The last one is the last that has a number; where none has, nothing is claimed."""
    found = found_in({"a": {1: 0.5, 2: None, 3: 0.9, 4: None}, "dead": {1: None, 2: None}})
    best, every = series_tables(found, TprQuality(FPR))
    assert [row["last"]["model"]["name"] for row in best.rows] == ["a 3"]
    assert next(column.text(every.rows[1]) for column in every.columns if column.name == "tpr").startswith("-")
    chart = series_chart(found, TprQuality(FPR))
    assert chart.data["lines"][0]["y"] == [0.5, None, 0.9, None]
    assert [table.name for table in series_tables(found_in({"dead": {1: None, 2: None}}), TprQuality(FPR))] == [
        "series"
    ]


def test_the_chart_has_a_line_for_each_training_run():
    """With the ends of the intervals; the axis is the tag."""
    chart = series_chart(found_in(LINES), TprQuality(FPR))
    assert [line["name"] for line in chart.data["lines"]] == ["a", "b"]
    assert chart.data["lines"][0]["x"] == [1, 2, 3, 10]
    assert chart.data["lines"][1]["low"] == [0.6 - 0.01, 0.6001 - 0.01]
    assert (chart.data["x_title"], chart.data["y_title"]) == ("epoch", "TPR at FPR 1e-4")


def test_without_lines_there_is_nothing():
    """A run of models that are no checkpoints shows no empty table."""
    found = found_in({"short": {1: 0.7}})
    assert (series_tables(found, TprQuality(FPR)), series_chart(found, TprQuality(FPR))) == ([], None)
