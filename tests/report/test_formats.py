"""Every format follows from one declaration."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from evaljobs.report.tables.columns import Column, Kind
from evaljobs.report.tables.formats import to_arrow, to_csv, to_html, to_latex, to_markdown, to_parquet
from evaljobs.report.tables.numbers import count_text, next_text, rate_text, share_text, threshold_text
from evaljobs.report.tables.verification import THRESHOLD_COLUMNS

COLUMNS = [
    Column("number", "number", "a.number", Kind.NUMBER, "MB", ".3f"),
    Column("count", "count", "a.count", Kind.INTEGER, format=",d"),
    Column("yes", "yes", "yes", Kind.BOOLEAN),
    Column("text", "text", lambda row: row.get("text"), Kind.TEXT, reason=lambda row: row.get("why", "")),
]


@given(
    st.lists(
        st.tuples(
            st.none() | st.floats(allow_nan=False, allow_infinity=False),
            st.none() | st.integers(-(2**63), 2**63 - 1),
            st.none() | st.booleans(),
        )
    )
)
def test_files_for_machines_keep_every_digit(values: list[tuple[float | None, int | None, bool | None]]) -> None:
    """What CSV and Parquet give back is the value itself; null stays null."""
    rows = [{"a": {"number": number, "count": count}, "yes": yes} for number, count, yes in values]
    wanted = [(*value, None) for value in values]
    table = pq.read_table(pa.BufferReader(to_parquet(COLUMNS, rows)))
    assert [tuple(row.values()) for row in table.to_pylist()] == wanted
    header, *cells = csv.reader(io.StringIO(to_csv(COLUMNS, rows).decode()))
    assert header == table.column_names == [column.name for column in COLUMNS]
    parse = (float, int, {"true": True, "false": False}.__getitem__, str)
    read = [tuple(None if cell == "" else p(cell) for p, cell in zip(parse, row, strict=True)) for row in cells]
    assert read == wanted


def test_parquet_columns_have_types_without_rows() -> None:
    """A table of nulls or of nothing has the same types as a full one, so that files can be put together."""
    wanted = pa.schema([("number", pa.float64()), ("count", pa.int64()), ("yes", pa.bool_()), ("text", pa.string())])
    assert to_arrow(COLUMNS, []).schema.equals(wanted)
    assert to_arrow(COLUMNS, [{}]).schema.equals(wanted)


def test_markdown_is_rounded_and_says_why_a_value_is_missing() -> None:
    """People get rounded numbers, units in the heading, and a dash with the reason where there is no value."""
    rows = [{"a": {"number": 1.23456, "count": 1234567}, "yes": True, "text": "x"}, {"why": "no impostors"}]
    assert to_markdown(COLUMNS, rows).splitlines() == [
        r"| number \[MB\] | count | yes | text |",
        "| ---: | ---: | --- | --- |",
        "| 1.235 | 1,234,567 | True | x |",
        "| - | - | - | - (no impostors) |",
    ]


INTERVAL = [
    Column(
        "tpr",
        "TPR",
        "tpr",
        Kind.NUMBER,
        format=".2f",
        beside=(Column("low", "lower end", "low", Kind.NUMBER),),
        strong=lambda row: bool(row["tpr"] == 1),
    )
]


def test_what_people_read_in_one_cell_has_columns_of_its_own_for_machines() -> None:
    """The ends of an interval are text to people, and numbers in CSV and Parquet."""
    rows = [{"tpr": 0.5, "low": 0.4}, {"tpr": 1.0, "low": None}]
    assert to_csv(INTERVAL, rows).decode() == "tpr,low\n0.5,0.4\n1.0,\n"
    assert to_arrow(INTERVAL, rows).to_pylist() == rows
    assert to_markdown(INTERVAL, rows) == "| TPR |\n| ---: |\n| 0.50 |\n| **1.00** |\n"


def test_latex_has_rules_and_numbers_flush_right() -> None:
    """A small table floats, with its caption; the best number is bold; what it needs is said on top."""
    rows = [{"a": {"number": 1.23456, "count": 1234567}, "yes": True, "text": "50% & more"}]
    assert to_latex(COLUMNS, rows, "Models_1", ["a #1 note"]).splitlines() == [
        r"% \usepackage{booktabs}",
        r"\begin{table}",
        r"\centering",
        r"\caption{Models\_1}",
        r"\begin{tabular}{rrll}",
        r"\toprule",
        r"number {[}MB{]} & count & yes & text \\",
        r"\midrule",
        r"1.235 & 1,234,567 & True & 50\% \& more \\",
        r"\bottomrule",
        r"\end{tabular}",
        r"\par{\footnotesize a \#1 note\par}",
        r"\end{table}",
    ]
    assert r"\textbf{1.00} \\" in to_latex(INTERVAL, [{"tpr": 1.0}])
    numbers = [Column("x", "x", "x", Kind.NUMBER, format=lambda _: "-0.1 [-.2, 1e-5]")]
    assert r"$-$0.1 {[}$-$.2, 1e-5{]} \\" in to_latex(numbers, [{"x": 1}])


def test_a_long_latex_table_runs_over_pages() -> None:
    """Hundreds of models do not fit one page: the heading is repeated, the packages are named."""
    lines = to_latex(INTERVAL, [{"tpr": 0.5}] * 300, "Many").splitlines()
    assert lines[:3] == [r"% \usepackage{booktabs,longtable}", r"\begin{longtable}{r}", r"\caption{Many} \\"]
    assert lines[5:7] == [r"\midrule", r"\endhead"]
    assert lines.count(r"0.50 \\") == 300
    assert lines[-1] == r"\end{longtable}"


def test_html_is_a_plain_table_that_can_be_read_aloud() -> None:
    """Caption, headings with scope, a heading for each row, and a class for what is set flush right."""
    columns = [Column("count", "count", "count", Kind.INTEGER), Column("model", "model", "model", Kind.TEXT)]
    assert to_html(columns, [{"count": 3, "model": "a&b"}], "Caption <1>") == (
        "<table>\n<caption>Caption &lt;1&gt;</caption>\n<thead>\n"
        '<tr><th class="number" scope="col">count</th><th scope="col">model</th></tr>\n'
        "</thead>\n<tbody>\n"
        '<tr><td class="number">3</td><th scope="row">a&amp;b</th></tr>\n'
        "</tbody>\n</table>\n"
    )
    assert '<th class="number" scope="row"><strong>1.00</strong></th>' in to_html(INTERVAL, [{"tpr": 1.0}])


def test_every_threshold_stands_on_both_scales(make: Callable[..., Any]) -> None:
    """A row of the threshold table has the cosine, (cosine + 1) / 2, and the counts behind both rates."""
    point = make("point", 1e-4, 0.75)
    row = {"point": point, "result": make("evaluation", "m", [point])["result"], "status": "ok"}
    values = {column.name: column.value(row) for column in THRESHOLD_COLUMNS}
    assert values["threshold_half"] == (values["threshold"] + 1) / 2
    assert (values["false_positives"], values["true_positives"]) == (100, 7500)
    texts = {column.name: column.text(row) for column in THRESHOLD_COLUMNS}
    assert texts["false_positives"] == "100 / 1,000,000"
    assert texts["true_positives"] == "7,500 / 10,000"
    assert texts["target"] == "1e-4"
    assert point["next_impostor_score"] < float(texts["threshold"]) <= point["threshold"]
    assert float(texts["next_impostor_score"]) <= point["next_impostor_score"]


@given(st.floats(-1, 1), st.floats(0, 1))
def test_a_rounded_threshold_decides_as_the_exact_one(threshold: float, gap: float) -> None:
    """What is copied from the page lies in the gap where no score was observed."""
    below = threshold - gap
    assume(below < threshold)
    text = threshold_text(threshold, below)
    assert below < float(text) <= threshold
    assert float(next_text(below, threshold)) <= below, "the rejected score is below on paper too"


def test_a_threshold_has_no_more_decimals_than_needed() -> None:
    """A wide gap gives a short number, a narrow one a long number; the sign is no trap."""
    assert threshold_text(0.70567, 0.6) == "0.7056"
    assert threshold_text(-0.70567, -0.8) == "-0.7057"
    assert threshold_text(0.123456789, 0.123456) == "0.1234567"
    assert threshold_text(0.5, None) == "0.5000"
    tight = math.nextafter(0.1, 1)
    assert float(threshold_text(tight, 0.1)) == tight


@pytest.mark.parametrize(
    ("rate", "text"),
    [
        (1e-5, "1e-5"),
        (1e-4, "1e-4"),
        (0.01, "1e-2"),
        (0.1, "1e-1"),
        (1.0, "1"),
        (3e-4, "3e-4"),
        (0.002, "2e-3"),
        (0.29, "0.29"),
        (0.0125, "0.0125"),
        (1.5e-7, "1.5e-7"),
    ],
)
def test_rates_are_written_as_people_write_them(rate: float, text: str) -> None:
    """A target reads as in a paper."""
    assert rate_text(rate) == text


def test_small_shares_and_large_counts_are_short() -> None:
    """A table of rates and counts stays readable; zero is not a small rate."""
    shares = [(9.9688e-5, "9.97e-5"), (0.009999, "1.00e-2"), (0.0999, "0.0999"), (1, "1.0000"), (0, "0.0000")]
    assert [share_text(share) for share, _ in shares] == [text for _, text in shares]
    counts = [(512, "512"), (1_234_567, "1.23M"), (2_000, "2k"), (999_499, "999k"), (999_999, "1M"), (7 * 10**9, "7G")]
    assert [count_text(count) for count, _ in counts] == [text for _, text in counts]


@given(st.floats(1e-12, 1))
def test_a_written_rate_is_the_rate(rate: float) -> None:
    """No digit of a target is lost."""
    assert float(rate_text(rate)) == rate
