"""Quality against cost: exactly the models that no other one beats are on the front."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaljobs.report.section import Found
from evaljobs.report.tables.boards import leaderboard_table
from evaljobs.report.tables.front import Cost, front_rows, front_table
from evaljobs.report.tables.quality import TprQuality
from tests.report.ablation import TARGET, entry, evaluation, found_in, published

Point = tuple[float | None, float | None]
POINTS = st.lists(
    st.tuples(*(st.sampled_from([None, 0.0, 0.25, 0.5, 0.75, 1.0]) for _ in range(2))), min_size=1, max_size=10
)


def section(points: Sequence[Point]) -> Found:
    """Return models with a cost (GFLOPs) and a TPR."""
    models = [entry(f"m{i}", {}, gflops=x) for i, (x, _) in enumerate(points)]
    return found_in(models, [evaluation(f"m{i}", y, 0.9) for i, (_, y) in enumerate(points)])


def beaten(point: Point, points: Sequence[Point]) -> bool:
    """Return whether another one is at least as good and as cheap, and better in one of the two."""
    x, y = point
    assert x is not None
    assert y is not None
    return any(a <= x and b >= y and (a, b) != (x, y) for a, b in points if a is not None and b is not None)


@given(POINTS)
def test_the_front_is_what_nobody_beats(points: list[Point]) -> None:
    """Against the definition, model by model; equal ones are on it together, unknown numbers have no place."""
    rows = front_rows(section(points), TprQuality(TARGET), Cost.GFLOPS)
    known = {f"m{i}": point for i, point in enumerate(points) if None not in point}
    assert {row["name"] for row in rows} == set(known)
    assert {row["name"]: row["on_front"] for row in rows} == {
        name: not beaten(point, points) for name, point in known.items()
    }
    assert [(row["x"], -row["y"]) for row in rows] == sorted((row["x"], -row["y"]) for row in rows)


@given(POINTS)
def test_each_model_stands_against_who_matters(points: list[Point]) -> None:
    """Off the front, against the best that costs no more; on it, against the next better and dearer one."""
    rows = front_rows(section(points), TprQuality(TARGET), Cost.GFLOPS)
    by_name = {row["name"]: row for row in rows}
    for row in rows:
        against = by_name.get(row["against"])
        if row["on_front"]:
            dearer = [other for other in rows if other["on_front"] and other["x"] > row["x"]]
            assert (against is None) == (not dearer)
            assert against is None or against["x"] == min(other["x"] for other in dearer)
            assert against is None or against["y"] > row["y"]
        else:
            assert against is not None
            assert against["on_front"]
            assert against["x"] <= row["x"]
            assert against["y"] == max(other["y"] for other in rows if other["x"] <= row["x"])
        assert against is None or row["difference"]["difference"] == against["y"] - row["y"]
        assert against is None or row["x"] == 0 or row["times"] == against["x"] / row["x"]


@given(POINTS, st.randoms(use_true_random=False))
def test_the_order_of_models_does_not_matter(points: list[Point], random: Any) -> None:
    """The same models in another order give the same table."""
    found = section(points)
    models, evaluations = list(found.results["models"]), list(found.results["evaluations"])
    random.shuffle(models)
    random.shuffle(evaluations)
    again = front_rows(found_in(models, evaluations), TprQuality(TARGET), Cost.GFLOPS)
    assert again == front_rows(found, TprQuality(TARGET), Cost.GFLOPS)


def test_the_front_of_the_published_ablation() -> None:
    """Of the published rows two are on the front by size, and the table says by how much the next is better."""
    table = front_table(published(), TprQuality(TARGET), Cost.SIZE)
    shown = [{column.name: column.text(row) for column in table.columns} for row in table.rows]
    front = [row for row in shown if row["on_front"] == "yes"]
    assert [(row["model"], row["size"], row["tpr"]) for row in front] == [
        ("lcnet050-f128-r96-ln-cos", "2.33", "0.7130"),
        (
            "lcnet050-f256-r128-ln-cos-squeeze (classes=1281833, recipe=ImageNet-1K, CLIP, LN + BN)",
            *("2.46", "0.9120"),
        ),
    ]
    assert (front[0]["difference"], front[0]["verdict"], front[0]["times"]) == ("+0.1990", "unknown", "1.06")
    dearest = shown[-1]
    assert (dearest["model"], dearest["against"]) == ("efficientnet_b0-f256-r128-ln-cos", front[1]["model"])
    assert (dearest["difference"], dearest["times"]) == ("+0.2300", "0.124")
    assert [column.heading for column in table.shown][1] == "size [MB]"


def test_what_is_left_out_is_named() -> None:
    """A model without a cost or a TPR is not drawn at zero, and not forgotten."""
    table = front_table(section([(None, 0.5), (1.0, None), (1.0, 0.5)]), TprQuality(TARGET), Cost.GFLOPS)
    assert [row["name"] for row in table.rows] == ["m2"]
    assert "left out, since their GFLOPs or TPR is not known: m0, m1" in table.notes
    empty = front_table(section([(None, 0.5)] * 7), TprQuality(TARGET), Cost.GFLOPS)
    assert list(empty.rows) == []
    assert empty.notes == ["left out, since their GFLOPs or TPR is not known: m0, m1, m2, m3, m4 and 2 more"]


def test_a_rate_of_an_earlier_run_is_marked() -> None:
    """The store does not know on which machine it was measured: such a time is not shown as one of this run."""
    found = section([(1.0, 0.5), (2.0, 0.6)])
    rates = {"m0": {"images_per_s": 200.0, "measured": "this run"}, "m1": {"images_per_s": 50.0, "measured": "earlier"}}
    measured = found._replace(results={**found.results, "execution": {"models": rates}})
    table = front_table(measured, TprQuality(TARGET), Cost.TIME)
    times = next(column for column in table.columns if column.name == "time")
    assert times.heading == "time per image, in batches [ms]"
    assert [times.text(row) for row in table.rows] == ["5", "20 (earlier)"]
    assert "earlier" not in str(front_table(measured, TprQuality(TARGET), Cost.GFLOPS).notes)
    board = leaderboard_table(measured, TARGET, rates=True)
    images = next(column for column in board.columns if column.name == "images_per_s")
    assert [images.text(row) for row in board.rows] == ["50 (earlier)", "200"]
    for notes in (table.notes, board.notes):
        assert "does not know on which machine" in notes[-1]


def test_times_come_from_the_measured_rates() -> None:
    """Milliseconds for an image, of those models that somebody has measured; only where files may differ."""
    found = section([(1.0, 0.5), (2.0, 0.6), (3.0, 0.7)])
    rates = {"m0": {"images_per_s": 200.0}, "m1": {"images_per_s": 50.0}, "m2": {}}
    measured = found._replace(results={**found.results, "execution": {"models": rates}})
    rows = front_rows(measured, TprQuality(TARGET), Cost.TIME)
    assert [(row["name"], row["x"]) for row in rows] == [("m0", 5.0), ("m1", 20.0)]
    assert [cost for cost in Cost if cost.varies] == [Cost.TIME]
    assert front_rows(found, TprQuality(TARGET), Cost.TIME) == []


def test_whether_the_next_is_better_for_certain() -> None:
    """The difference to the next has its paired interval where there are replicates."""
    models = [entry("small", {}, gflops=1.0), entry("large", {}, gflops=2.0)]
    shared = [0.01 * (i % 5 - 2) for i in range(20)]
    runs = [evaluation("small", 0.5, 0.9, [0.5 + r for r in shared])]
    runs.append(evaluation("large", 0.6, 0.9, [0.6 + r * 1.01 for r in shared]))
    small, large = front_rows(found_in(models, runs), TprQuality(TARGET), Cost.GFLOPS)
    assert small["difference"]["verdict"] == "real"
    assert small["difference"]["ci"][0] == pytest.approx(0.1, abs=0.01)
    assert large["against"] is None
