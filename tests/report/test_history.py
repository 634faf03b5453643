"""Joined runs over time: the best of each, and what became of each model."""

from __future__ import annotations

from pathlib import Path

from evaljobs.report.results import verification_groups
from evaljobs.report.runs.history import BEST, MOST_LINES, history_chart, history_rows, history_table
from evaljobs.report.runs.joining import join
from evaljobs.report.section import Found
from evaljobs.report.tables.quality import TprQuality
from tests.report.runs import make_result, make_run, make_tables

FPR = 1e-4


def found_in(*documents):
    joined = join([(document["run"], document, make_tables(document)) for document in documents])
    return Found(joined.document, verification_groups(joined.document)[-1], {}, Path())


def nights(**last):
    """Three nights: `net` is trained anew each night, `base` stays, `gone` was there once."""
    return [
        make_run(
            {"net": make_result(0.80, seed=1), "base": make_result(0.82), "gone": make_result(0.1)}, day=1, name="1"
        ),
        make_run({"base": make_result(0.82), "net": make_result(0.86, seed=2)}, day=2, name="2", files={"net": "2"}),
        make_run(
            {"base": make_result(0.82), "net": make_result(0.8601, seed=3)}, day=4, name="3", files={"net": "3"}, **last
        ),
    ]


def test_runs_stand_in_the_order_of_their_time_with_the_best_first():
    """Whatever the order in which they were named."""
    first, second, third = nights()
    rows = history_rows(found_in(third, first, second), TprQuality(FPR))
    assert [(row["run"]["name"], row["own_name"], row["is_best"]) for row in rows] == [
        ("1", "base", True),
        ("1", "net", False),
        ("1", "gone", False),
        ("2", "net", True),
        ("2", "base", False),
        ("3", "net", True),
        ("3", "base", False),
    ]
    assert [row["point"]["tpr"] for row in rows] == [0.82, 0.80, 0.1, 0.86, 0.82, 0.8601, 0.82]


def test_a_change_is_that_of_the_model_of_that_name_and_says_whether_it_is_real():
    """Paired, on equal images; the same file with the same numbers did not change."""
    rows = {(row["run"]["name"], row["own_name"]): row for row in history_rows(found_in(*nights()), TprQuality(FPR))}
    assert rows["1", "net"]["change"] is rows["2", "base"]["change"] is None
    assert (rows["1", "base"]["same"], rows["2", "base"]["same"], rows["3", "base"]["same"]) == (False, True, True)
    change = rows["2", "net"]["change"]
    assert (round(change["difference"], 12), change["verdict"]) == (0.06, "real")
    assert rows["3", "net"]["change"]["verdict"] == "not certain"


def test_the_best_of_a_night_is_compared_with_the_best_of_the_night_before():
    """Where each night's winner has a name of its own, its name alone would say nothing about progress."""
    tprs = {1: 0.80, 2: 0.86, 3: 0.8601}
    documents = [
        make_run({f"net-{day}": make_result(tpr, seed=day), "base": make_result(0.5)}, day=day, name=str(day))
        for day, tpr in tprs.items()
    ]
    rows = [row for row in history_rows(found_in(*documents), TprQuality(FPR)) if row["is_best"]]
    assert [row["change"] for row in rows] == [None] * 3
    assert rows[0]["best_change"] is None
    assert (round(rows[1]["best_change"]["difference"], 12), rows[1]["best_change"]["verdict"]) == (0.06, "real")
    assert rows[2]["best_change"]["verdict"] == "not certain"
    table = history_table(found_in(*documents), TprQuality(FPR))
    texts = {column.name: [column.text(row) for row in table.rows] for column in table.columns}
    assert texts["best_change"][2].startswith("+0.06")
    assert texts["best_verdict"][2] == "real"
    assert len({column.name for column in table.columns}) == len(table.columns)
    always = {
        row["run"]["name"]: row for row in history_rows(found_in(*nights()[1:]), TprQuality(FPR)) if row["is_best"]
    }
    assert always["3"]["best_change"]["difference"] == always["3"]["change"]["difference"]
    same = [make_run({"base": make_result(0.5)}, day=day, name=str(day)) for day in (1, 2)]
    assert [row["best_same"] for row in history_rows(found_in(*same), TprQuality(FPR))] == [False, True]


def test_lines_that_are_left_out_are_counted():
    """A chart of the best must not look like a chart of all."""
    many = {f"m{number:02}": make_result(0.5 + number / 100) for number in range(MOST_LINES + 3)}
    chart = history_chart(found_in(*(make_run(many, day=day, name=str(day)) for day in (1, 2))), TprQuality(FPR))
    assert len(chart.data["lines"]) == MOST_LINES
    assert chart.title.endswith(f"over 2 runs ({MOST_LINES} of {MOST_LINES + 3} models)")
    assert chart.alt.endswith(f": {MOST_LINES} of {MOST_LINES + 3}, those that are best in the newest run")
    few = history_chart(found_in(*nights()), TprQuality(FPR))
    assert few.title.endswith("over 3 runs")


def test_the_table_has_what_comes_back_and_the_best():
    """A model of one night that was not the best is no history."""
    table = history_table(found_in(*nights()), TprQuality(FPR))
    assert [(row["run"]["name"], row["own_name"]) for row in table.rows].count(("1", "gone")) == 0
    assert len(table.rows) == 6
    texts = {column.name: [column.text(row) for row in table.rows] for column in table.columns}
    assert texts["change"][3] == "- (the same model)"
    assert texts["change"][2].startswith("+0.06")
    assert texts["tpr"][0] == "0.820 [0.810, 0.830]"
    strong = next(column for column in table.columns if column.name == "model").strong
    assert [strong(row) for row in table.rows] == [True, False, True, False, True, False]


def test_other_images_are_another_history():
    """Numbers on other images are no progress: the night stands alone in its set, which has no history."""
    *_, other = nights(images="more faces")
    first, second, _ = nights()
    found = found_in(first, second, other)
    assert found.group.set == "3/main"
    assert history_table(found, TprQuality(FPR)) is None
    assert history_chart(found, TprQuality(FPR)) is None
    assert {row["run"]["name"] for row in history_rows(found, TprQuality(FPR))} == {"3"}


def test_results_of_one_run_have_no_history():
    """A run by itself is no line."""
    document = nights()[0]
    found = Found(document, verification_groups(document)[0], {}, Path())
    assert (
        history_rows(found, TprQuality(FPR)),
        history_table(found, TprQuality(FPR)),
        history_chart(found, TprQuality(FPR)),
    ) == ([], None, None)


def test_the_chart_is_in_days_and_has_intervals():
    """The best of each run first; then models that several runs have, the best of the newest run first."""
    chart = history_chart(found_in(*nights()), TprQuality(FPR))
    lines = {line["name"]: line for line in chart.data["lines"]}
    assert list(lines) == [BEST, "net", "base"]
    assert lines[BEST]["x"] == [0, 1, 3]
    assert lines[BEST]["y"] == [0.82, 0.86, 0.8601]
    assert lines["net"]["y"] == [0.80, 0.86, 0.8601]
    assert lines["base"]["low"] == [0.82 - 0.01] * 3
    assert chart.data["x_title"] == "days since 2026-11-01 03:00 UTC"
    always = history_chart(found_in(*nights()[1:]), TprQuality(FPR))
    assert [line["name"] for line in always.data["lines"]] == ["net", "base"]
    without = nights()
    del without[1]["execution"]["started"]
    undated = history_chart(found_in(*without), TprQuality(FPR))
    assert undated.data["x_title"] == "run"
    assert undated.data["lines"][0]["x"] == [1, 2, 3]


def test_a_night_in_which_a_model_failed_has_no_point():
    """A gap, never a 0."""
    documents = nights()
    documents[1] = make_run({"base": make_result(0.82), "net": None}, day=2, name="2", files={"net": "2"})
    rows = history_rows(found_in(*documents), TprQuality(FPR))
    assert [row["run"]["name"] for row in rows if row["own_name"] == "net"] == ["1", "3"]
    assert next(row for row in rows if row["run"]["name"] == "3")["change"]["difference"] == 0.8601 - 0.80
