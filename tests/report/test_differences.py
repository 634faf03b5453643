"""Differences between models: the numbers are those of the textbook, and what is not certain is not claimed."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from scipy import stats

import evaljobs
from evaljobs.pairs.intervals import auroc_ends, difference, even_ends
from evaljobs.report.comparing.against_first import against_first, summary
from evaljobs.report.comparing.differences import differences, run_differences
from evaljobs.report.results import verification_groups
from evaljobs.report.tables.numbers import interval_text
from evaljobs.report.writing import write_results

Make = Callable[..., Any]
Document = dict[str, Any]

GROUPS = 8
TARGETS = ("0.01", "0.1")


def embed(noise: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return 160 vectors around 32 centres that are the same for every noise, and their labels."""
    labels = np.repeat(np.arange(32), 5)
    centres = np.random.default_rng(0).normal(size=(32, 8))[labels]
    return (centres + noise * np.random.default_rng(seed).normal(size=(160, 8))).astype(np.float32), labels


def verified(noise: float, seed: int) -> Document:
    """Return a verification with its replicates, each verified anew without the labels of one group."""
    vectors, labels = embed(noise, seed)
    keep = [labels % GROUPS != group for group in range(GROUPS)]
    left = [evaljobs.verify(vectors[kept], labels[kept], TARGETS).to_json() for kept in keep]
    replicates = {
        "auroc": [result["auroc"] for result in left],
        "tpr": [[result["points"][place]["tpr"] for result in left] for place in range(len(TARGETS))],
    }
    whole = evaljobs.verify(vectors, labels, TARGETS).to_json()
    return {**whole, "intervals": {"unit": "label", "groups": GROUPS, "replicates": replicates}}


@pytest.fixture(scope="module")
def good() -> Document:
    """Give a model that is good."""
    return verified(0.5, 1)


@pytest.fixture(scope="module")
def poor() -> Document:
    """Give one that is clearly worse on the same images."""
    return verified(1.0, 2)


@pytest.fixture(scope="module")
def twin() -> Document:
    """Give one that is as good as the first, with other noise."""
    return verified(0.5, 3)


def textbook_width(of_a: list[float], of_b: list[float]) -> float:
    """Return the width of the interval by the delete-a-group jackknife of the differences, with G - 1 degrees."""
    replicates = np.array(of_b) - np.array(of_a)
    groups = len(replicates)
    variance = (groups - 1) / groups * ((replicates - replicates.mean()) ** 2).sum()
    return float(2 * stats.t.ppf(0.975, groups - 1) * variance**0.5)


def replicates_of(result: Document) -> list[list[float]]:
    found = result["intervals"]["replicates"]
    return [*found["tpr"], found["auroc"]]


def values_of(result: Document) -> list[float]:
    return [*(point["tpr"] for point in result["points"]), result["auroc"]]


def rows_of(a: Document, b: Document) -> list[Document]:
    return list(differences(a, b, [float(target) for target in TARGETS]))


def test_differences_are_those_of_the_replicates(good: Document, poor: Document, twin: Document) -> None:
    """TPR at each target and AUROC: value, interval and whether zero is inside, for models far apart and close.

    The interval is that of the statistics of intervals, which is as wide as the textbook's, or wider for its fewer
    degrees of freedom.
    """
    verdicts = set()
    for b in (poor, twin):
        rows = rows_of(good, b)
        assert [(row["metric"], row["target"]) for row in rows] == [("tpr", 0.01), ("tpr", 0.1), ("auroc", None)]
        numbers = zip(values_of(good), values_of(b), replicates_of(good), replicates_of(b), strict=True)
        for row, (value_a, value_b, of_a, of_b) in zip(rows, numbers, strict=True):
            ends = auroc_ends if row["metric"] == "auroc" else even_ends
            wanted = difference(value_b, value_a, of_b, of_a, ends)
            assert wanted is not None
            assert (row["a"], row["b"], row["difference"]) == (value_a, value_b, value_b - value_a)
            low, high = row["ci"]
            assert (low, high) == (wanted.low, wanted.high)
            assert low < value_b - value_a < high
            assert 0.8 < (high - low) / textbook_width(of_a, of_b) < 3
            assert row["zero_inside"] == (low <= 0 <= high)
            assert row["verdict"] == ("not certain" if low <= 0 <= high else "real")
            assert (row["reason"], row["unit"], row["groups"]) == ("", "label", GROUPS)
            verdicts.add(row["verdict"])
    assert verdicts == {"real", "not certain"}


def test_a_difference_turned_round_is_its_negative(good: Document, poor: Document) -> None:
    """Which model is the reference decides the sign, and nothing else."""
    for row, turned in zip(rows_of(good, poor), rows_of(poor, good), strict=True):
        assert row["difference"] < 0
        assert row["difference"] == -turned["difference"]
        assert row["ci"] == pytest.approx([-turned["ci"][1], -turned["ci"][0]], abs=1e-15)
        assert row["verdict"] == turned["verdict"]


def test_what_both_models_share_cancels_out(good: Document) -> None:
    """A model that is 0.01 worse whatever is left out, but for a hair, is worse, however wide the interval of each."""
    replicates = good["intervals"]["replicates"]
    less = [area - 0.01 + 1e-5 * group for group, area in enumerate(replicates["auroc"])]
    worse = changed(good, replicates={**replicates, "auroc": less}) | {"auroc": good["auroc"] - 0.01}
    row = rows_of(good, worse)[-1]
    assert row["verdict"] == "real"
    assert row["ci"][1] - row["ci"][0] < 1.1e-3


def test_an_area_that_is_not_exact_widens_the_interval(good: Document, poor: Document) -> None:
    """What the certified bounds leave open may not turn into a difference."""
    area = poor["auroc"]
    open_ = {**poor, "auroc_exact": False, "auroc_bounds": [area - 0.02, area + 0.02]}
    exact, widened = rows_of(good, poor)[-1], rows_of(good, open_)[-1]
    assert widened["ci"] == pytest.approx([exact["ci"][0] - 0.02, exact["ci"][1] + 0.02], abs=1e-12)
    assert [row["ci"] for row in rows_of(good, poor)[:-1]] == [row["ci"] for row in rows_of(good, open_)[:-1]]


def changed(result: Document, **intervals: Any) -> Document:
    return {**result, "intervals": {**result["intervals"], **intervals}}


def with_tpr(result: Document, tpr: float | None) -> Document:
    return {**result, "points": [{**point, "tpr": tpr} for point in result["points"]]}


UNKNOWN: list[tuple[str, Callable[[Document], Document]]] = [
    ("no replicates in the results", lambda result: {**result, "intervals": None}),
    ("the replicates do not vary", lambda result: result),
    ("replicates of other groups", lambda result: changed(result, unit="sample")),
    ("a number is undefined", lambda result: with_tpr(result, None)),
    (
        "a replicate is undefined",
        lambda result: changed(result, replicates={"auroc": [None] * GROUPS, "tpr": [[0.5, None] * 4] * 2}),
    ),
]


@pytest.mark.parametrize(("reason", "change"), UNKNOWN, ids=[reason for reason, _ in UNKNOWN])
def test_without_an_interval_nothing_is_claimed(
    good: Document, reason: str, change: Callable[[Document], Document]
) -> None:
    """Neither real nor a tie: unknown, and why."""
    row = rows_of(good, change(good))[0]
    assert (row["ci"], row["zero_inside"], row["verdict"], row["reason"]) == (None, None, "unknown", reason)
    assert (row["difference"] is None) == (reason == "a number is undefined")


def evaluated(make: Make, name: str, result: Document, image_set: str = "main") -> Document:
    return {**make("evaluation", name, [], image_set=image_set), "result": result}


@pytest.fixture
def run(make: Make, good: Document, poor: Document, twin: Document) -> Document:
    """Give a run of three models, and a fourth that failed."""
    broken = make("model", "broken", status="failed", error={"kind": "corrupt", "message": "x"})
    models = [*(make("model", name) for name in ("good", "poor|x", "twin")), broken]
    results = zip(("good", "poor|x", "twin"), (good, poor, twin), strict=True)
    return make("document", models, [evaluated(make, name, result) for name, result in results])  # type: ignore[no-any-return]  # the builder of any


def test_a_run_compares_every_model_with_the_first(run: Document, good: Document, poor: Document) -> None:
    """Every job and set, every target and AUROC, in the order of the models; the failed one has no row."""
    rows = run_differences(run)
    names = [("good", name) for name in ("poor|x", "twin") for _ in range(3)]
    assert [(row["reference"], row["model"]) for row in rows] == names
    where = {"job": "verification", "set": "main", "reference": "good", "model": "poor|x"}
    assert rows[:3] == [{**where, **row} for row in rows_of(good, poor)]


def test_the_first_model_is_the_first_that_has_a_result(run: Document) -> None:
    """Where the first of the list failed, the next one stands in for it, by name."""
    run["models"] = [run["models"][-1], *run["models"][:-1]]
    run["evaluations"][0] |= {"status": "failed", "result": None, "error": {"kind": "failed", "message": "x"}}
    rows = run_differences(run)
    assert {(row["reference"], row["model"]) for row in rows} == {("poor|x", "twin")}


def test_sets_are_never_mixed(make: Make, run: Document, good: Document, twin: Document) -> None:
    """Each set has its own first model."""
    run["evaluations"] += [evaluated(make, name, r, "other") for name, r in (("poor|x", twin), ("twin", good))]
    found = {(row["set"], row["reference"], row["model"]) for row in run_differences(run)}
    assert found == {("main", "good", "poor|x"), ("main", "good", "twin"), ("other", "poor|x", "twin")}


def test_a_run_writes_the_differences_with_every_digit(run: Document, tmp_path: Path) -> None:
    """As CSV and as Parquet, the same rows; without a second model, the header alone."""
    write_results(run, {}, tmp_path)
    table = pq.read_table(tmp_path / "differences.parquet").to_pylist()
    assert [row["difference"] for row in table] == [row["difference"] for row in run_differences(run)]
    assert [row["zero_inside"] for row in table] == [row["zero_inside"] for row in run_differences(run)]
    text = (tmp_path / "differences.csv").read_text(encoding="utf-8")
    lines = list(csv.DictReader(io.StringIO(text)))
    keys = ("value_reference", "value_model", "difference", "difference_ci_lower", "difference_ci_upper")
    assert [[float(line[key]) for key in keys] for line in lines] == [[row[key] for key in keys] for row in table]
    assert {line["verdict"] for line in lines} == {"real", "not certain"}
    run["evaluations"] = run["evaluations"][:1]
    write_results(run, {}, tmp_path)
    assert (tmp_path / "differences.csv").read_text(encoding="utf-8") == text.splitlines(keepends=True)[0]


def test_people_see_which_differences_are_real(run: Document, tmp_path: Path) -> None:
    """In a line on the terminal, and in a table of the page: signed, with the interval, and names as they are."""
    (group,) = verification_groups(run)
    assert summary(run, group, 0.01) == "against good at FPR 1e-2: 1 worse, 1 not certain (differences.csv)"
    write_results(run, {}, tmp_path)
    page = (tmp_path / "results.md").read_text(encoding="utf-8")
    section = against_first(run, group, 0.01)
    assert section is not None
    assert f"## Differences\n\n{section}\n" in page
    (line,) = [line for line in section.splitlines() if line.startswith("| poor&#124;x")]
    tpr, _, area = rows_of(run["evaluations"][0]["result"], run["evaluations"][1]["result"])
    for row in (tpr, area):
        shown = interval_text(row["difference"], row["ci"], sign="+").replace("[", r"\[").replace("]", r"\]")
        assert f"| {shown} | real |" in line
    assert "- real: zero lies outside" in section
    assert f"{GROUPS} groups of labels" in section


def test_a_run_of_one_model_has_no_differences(make: Make, good: Document) -> None:
    """Nor a heading over nothing."""
    document = make("document", [make("model", "m")], [evaluated(make, "m", good)])
    (group,) = verification_groups(document)
    assert (run_differences(document), summary(document, group, 0.01)) == ([], None)
    assert against_first(document, group, 0.01) is None


@pytest.mark.parametrize(
    ("value", "ends", "text"),
    [
        (0.91234, [0.89651, 0.92501], "0.912 [0.897, 0.925]"),
        (0.99871, [0.99801, 0.99911], "0.9987 [0.9980, 0.9991]"),
        (0.5, [0.1, 0.9], "0.500 [0.100, 0.900]"),
        (0.5, [0.5, 0.5], "0.500000 [0.500000, 0.500000]"),
        (0.5, [0.5 - 1e-9, 0.5 + 1e-9], "0.500000 [0.500000, 0.500000]"),
        (0.91234, None, "0.9123"),
    ],
)
def test_an_interval_decides_how_many_digits_are_shown(value: float, ends: list[float] | None, text: str) -> None:
    """Two digits of its width, and three to six decimals."""
    assert interval_text(value, ends) == text


def test_a_difference_has_a_sign() -> None:
    """Better and worse are seen at a glance."""
    assert interval_text(0.0123, [-0.001, 0.0256], sign="+") == "+0.012 [-0.001, +0.026]"
    assert interval_text(-0.0123, None, sign="+") == "-0.0123"
