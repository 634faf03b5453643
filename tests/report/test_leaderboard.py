"""Which model is best, and what is said where there is no number."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import pytest
from rich.console import Console

from evaljobs.report.results import verification_groups
from evaljobs.report.tables.formats import to_markdown
from evaljobs.report.tables.leaderboard import chosen_fpr, leaderboard_rows, render_terminal, render_verification
from evaljobs.report.tables.verification import leaderboard_columns

Make = Callable[..., Any]


def ranked(document: dict[str, Any], fpr: float = 1e-4) -> list[tuple[int | None, str]]:
    (group,) = verification_groups(document)
    return [(row["rank"], row["model"]["name"]) for row in leaderboard_rows(document, group, fpr)]


def terminal(document: dict[str, Any], width: int = 100, **options: Any) -> str:
    stream = io.StringIO()
    Console(file=stream, width=width).print(render_terminal(document, **options))
    return stream.getvalue()


def single(make: Make, points: list[dict[str, Any]], auroc: float | None = 0.9, **counts: int) -> dict[str, Any]:
    document = make("document", [make("model", "m")], [make("evaluation", "m", points, auroc)])
    document["evaluations"][0]["result"].update(counts)
    return document


def cells(document: dict[str, Any], fpr: float) -> dict[str, str]:
    (group,) = verification_groups(document)
    (row,) = leaderboard_rows(document, group, fpr)
    return {column.name: column.text(row) for column in leaderboard_columns((), fpr)}


def test_the_published_ablation_is_ranked_as_published(published: dict[str, Any]) -> None:
    """Best TPR at 1e-4 first."""
    assert [name.removeprefix("lcnet050-") for _, name in ranked(published)] == [
        "f256-r128-ln-cos",
        "f256-r128-ln-cos-squeeze",
        "f256-r128-ln-arc",
        "f256-r128-bn-cos",
        "f128-r96-ln-cos",
        "efficientnet_b0-f256-r128-ln-cos",
        "f256-r128-ln-softmax",
        "f256-r128-ln-cos-gap",
        "f256-r128-ln-cos-from-scratch",
    ]
    assert [rank for rank, _ in ranked(published)] == list(range(1, 10))


def test_the_first_row_of_the_published_ablation_in_markdown(published: dict[str, Any]) -> None:
    """Name, tags, TPR, AUROC, cost and status, each in its column."""
    (group,) = verification_groups(published)
    rows = leaderboard_rows(published, group, 1e-4)
    columns = leaderboard_columns(["backbone"], 1e-4)
    heading, _, first, *_ = to_markdown(columns, rows).splitlines()
    assert heading == (
        r"| rank | model | backbone | TPR at FPR 1e-4 | flags | AUROC | GFLOPs | parameters | size \[MB\] | status |"
    )
    assert first == (
        "| 1 | lcnet050-f256-r128-ln-cos | lcnet050 | 0.7840 | - | 0.9968 | 0.053 | 1,234,567 | 5.54 | ok |"
    )


def test_equal_models_share_a_rank_and_failed_ones_have_none(make: Make) -> None:
    """A tie is a tie; AUROC orders it; who has no TPR comes after, who failed comes last."""
    tprs = {"c": 0.5, "b": 0.5, "a": 0.9, "null": None, "d": 0.1}
    models = [make("model", "broken", status="failed", error={"kind": "corrupt", "message": "x"})]
    models += [make("model", name) for name in tprs]
    evaluations = [
        make("evaluation", name, [make("point", 1e-4, tpr)], 0.8 if name == "c" else 0.7) for name, tpr in tprs.items()
    ]
    document = make("document", models, evaluations)
    assert ranked(document) == [(1, "a"), (2, "c"), (2, "b"), (4, "d"), (None, "null"), (None, "broken")]


@pytest.mark.parametrize(
    ("points", "wanted"),
    [
        ([(1e-5, ()), (1e-4, ()), (1e-3, ())], 1e-4),
        ([(1e-5, ("few_errors",)), (1e-3, ())], 1e-5),
        ([(1e-5, ("unresolved",)), (1e-3, ()), (1e-2, ())], 1e-3),
        ([(1e-4, ("unresolved",)), (1e-3, ()), (1e-2, ())], 1e-3),
        ([(1e-4, ("unresolved",)), (1e-3, ("unresolved",))], 1e-4),
        ([(1e-3, ("no_impostors",)), (1e-2, ("no_impostors",))], 1e-3),
    ],
)
def test_models_are_ranked_where_the_data_resolves_it(
    make: Make, points: list[tuple[float, tuple[str, ...]]], wanted: float
) -> None:
    """1e-4 where it can be resolved, else the smallest target that can, else the smallest."""
    document = single(make, [make("point", target, 0.5, flags) for target, flags in points])
    (group,) = verification_groups(document)
    assert chosen_fpr(group) == wanted


def test_a_missing_number_says_why(make: Make) -> None:
    """Null reads as a dash with the reason, never as 0."""
    no_impostors = cells(single(make, [make("point", 1e-4, None, ("no_impostors",))], None, n_impostor=0), 1e-4)
    assert (no_impostors["tpr"], no_impostors["auroc"]) == ("- (no impostors)", "- (no impostor pairs)")
    no_genuine = cells(single(make, [make("point", 1e-4, None, ("no_genuine",))], None, n_genuine=0), 1e-4)
    assert (no_genuine["tpr"], no_genuine["auroc"]) == ("- (no genuine)", "- (no genuine pairs)")
    unresolved = cells(single(make, [make("point", 1e-4, 0.25, ("unresolved", "tied"))]), 1e-4)
    assert (unresolved["tpr"], unresolved["flags"]) == ("0.2500", "unresolved tied")


def test_the_terminal_shows_the_best_and_names_the_failed(make: Make) -> None:
    """Of 300 models the best twenty are printed, the others counted, and each failure named with its kind."""
    names = [f"model-{i:03d}" for i in range(300)]
    models = [make("model", name) for name in names]
    models.append(make("model", "[red]broken\x1b", status="failed", error={"kind": "corrupt", "message": "x"}))
    evaluations = [make("evaluation", name, [make("point", 1e-4, 1 - i / 300)]) for i, name in enumerate(names)]
    shown = terminal(make("document", models, evaluations))
    assert [name for name in names if name in shown] == names[:20]
    assert "and 280 more in results.md" in shown
    assert "failed: [red]broken\\x1b (corrupt)" in shown
    assert "TPR@1e-4" in shown
    assert "1,500 samples, 10,000 genuine and 1,000,000 impostor pairs" in " ".join(shown.split())


def test_a_narrow_terminal_cuts_no_number(published: dict[str, Any]) -> None:
    """At 80 columns names fold, numbers stay whole."""
    shown = terminal(published, width=80)
    assert max(len(line) for line in shown.splitlines()) <= 80
    assert [tpr for tpr in ("0.7840", "0.7720", "0.1410", "0.9968", "1.23M", "19.9") if tpr not in shown] == []


def test_intervals_stand_beside_their_numbers(make: Make) -> None:
    """TPR and AUROC with their brackets, on the page and where there is room on the terminal, and what they rest on."""
    document = single(make, [make("point", 1e-4, 0.91234)], 0.987654)
    result = document["evaluations"][0]["result"]
    assert (cells(document, 1e-4)["tpr"], cells(document, 1e-4)["auroc"]) == ("0.9123", "0.9877")
    assert "95% interval" not in terminal(document)
    result["points"][0]["tpr_ci"], result["auroc_ci"] = [0.89651, 0.92501], [0.981, 0.992]
    result["intervals"] = {"unit": "label", "groups": 20, "replicates": {"auroc": [0.9] * 20, "tpr": [[0.9] * 20]}}
    assert cells(document, 1e-4)["tpr"] == "0.912 [0.897, 0.925]"
    assert cells(document, 1e-4)["auroc"] == "0.988 [0.981, 0.992]"
    about = "95% interval, from 20 groups of labels, each left out in turn"
    shown = terminal(document, width=80)
    assert max(len(line) for line in shown.splitlines()) <= 80
    assert [part for part in ("0.912 [0.897, 0.925]", "0.9877", " 5.5 ", about) if part not in shown] == []
    stream = io.StringIO()
    Console(file=stream, width=100).print(render_verification(result))
    assert "AUROC 0.987654, 95% interval 0.981000 to 0.992000" in stream.getvalue()
    assert [part for part in ("0.912 [0.897, 0.925]", about) if part not in stream.getvalue()] == []


def test_the_terminal_survives_a_run_without_results(make: Make) -> None:
    """No evaluation, or no model that worked, is said in words."""
    broken = make("model", "m", status="failed", error={"kind": "corrupt", "message": "x"})
    assert "no verification" in terminal(make("document", [broken], []))
    evaluation = {**make("evaluation", "m", []), "status": "failed", "result": None}
    evaluation["error"] = {"kind": "non_finite", "message": "3 rows"}
    document = make("document", [make("model", "m")], [evaluation])
    assert "failed: m (non_finite)" in terminal(document)


def test_every_job_and_set_has_its_leaderboard(make: Make) -> None:
    """Numbers of different sets are never ranked together."""
    evaluations = [
        make("evaluation", "m", [make("point", 1e-4, tpr)], image_set=name) for name, tpr in [("a", 0.1), ("b", 0.9)]
    ]
    shown = terminal(make("document", [make("model", "m")], evaluations))
    assert "verification on a" in shown
    assert "verification on b" in shown


def test_one_verification_shows_all_its_evidence(make: Make) -> None:
    """Pairs, AUROC, both scales, counts, flags with their meaning, and notes, within 80 columns."""
    points = [make("point", 1e-5, 0.25, ("few_errors",)), make("point", 1e-4, 0.75)]
    result = make("evaluation", "m", points, 0.987654321)["result"]
    stream = io.StringIO()
    Console(file=stream, width=80).print(render_verification(result, ["float64 was [b]rounded[/b]"]))
    lines = stream.getvalue().splitlines()
    assert lines[:2] == ["1,500 samples, 10,000 genuine and 1,000,000 impostor pairs", "AUROC 0.987654"]
    assert [line.split() for line in lines if line.strip().startswith("1e-")] == [
        ["1e-5", "1.00e-5", "0.2500", "0.62345", "0.811725", "10", "2,500", "few_errors"],
        ["1e-4", "1.00e-4", "0.7500", "0.623406", "0.811703", "100", "7,500", "-"],
    ]
    text = " ".join(stream.getvalue().split())
    assert "few_errors: the target allows fewer than 30 false positives" in text
    assert "note: float64 was [b]rounded[/b]" in text


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        (
            {"auroc_exact": False, "auroc_bounds": [0.98, 0.99]},
            "AUROC 0.985000, certified to lie from 0.980000 to 0.99",
        ),
        ({"auroc": None, "n_impostor": 0}, "AUROC - (no impostor pairs)"),
        ({"auroc": None, "n_impostor": 0, "n_genuine": 0}, "AUROC - (no impostor pairs and no genuine pairs)"),
    ],
)
def test_bounds_and_missing_areas_are_told(make: Make, changes: dict[str, Any], wanted: str) -> None:
    """An area that is not exact stands with its bounds, one that is undefined with the reason."""
    result = make("evaluation", "m", [make("point", 1e-4, 0.5)], 0.985)["result"] | changes
    stream = io.StringIO()
    Console(file=stream, width=80).print(render_verification(result))
    assert wanted in stream.getvalue()
