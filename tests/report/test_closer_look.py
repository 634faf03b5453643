"""What a rate hides: said where it matters, and only there; names of strangers stay text."""

from __future__ import annotations

from typing import Any

import pytest

from evaljobs.report.text.closer_look import balance_matters, concentration
from evaljobs.report.text.markdown import to_markdown_page

Document = dict[str, Any]


def point(target: float, total: int | None, largest: int | None, labels: tuple[str, str] = ("a", "b")) -> Document:
    spread = None if largest is None else {"largest": {"labels": [*labels], "false_positives": largest}}
    return {"target": target, "false_positives": total, "spread": spread}


def document(make: Any, *names: str) -> Document:
    models = [make("model", name) for name in names]
    found: Document = make("document", models, [make("evaluation", name, [make("point", 1e-3, 0.5)]) for name in names])
    return found


@pytest.mark.parametrize(
    ("points", "expected"),
    [
        (
            [point(1e-4, 100, 61)],
            "FPR 1e-4: 61% of the 100 false positives are between 'a' and 'b': is it one identity?",
        ),
        ([point(1e-4, 100, 20)], "20% of the 100"),
        ([point(1e-4, 100, 19)], None),
        ([point(1e-4, 9, 9)], None),
        ([point(1e-4, 10, 10)], "100% of the 10"),
        ([point(1e-4, 100, None), point(1e-3, None, None)], None),
        ([point(1e-2, 1000, 500), point(1e-3, 100, 30), point(1e-4, 10, 1)], "FPR 1e-3: 30% of the 100"),
        ([point(0.1, 50, 50, ("a", "a"))], "are within 'a': are they impostors?"),
    ],
)
def test_one_pair_of_labels_is_named_where_it_matters(points: list[Document], expected: str | None) -> None:
    """A fifth of at least ten false positives, at the lowest such target."""
    found = concentration({"points": points})
    assert (found is None) if expected is None else (found is not None and expected in found)


@pytest.mark.parametrize(
    ("pairs", "expected"),
    [([(0.5, 0.5)], False), ([(0.5, 0.551), (0.9, 0.9)], True), ([(None, None), (0.4, None)], False)],
)
def test_balance_matters_beyond_a_twentieth(pairs: list[tuple[float | None, float | None]], expected: bool) -> None:
    """At any target."""
    assert balance_matters([{"tpr": tpr, "tpr_balanced": balanced} for tpr, balanced in pairs]) is expected


def test_page_says_it_below_the_thresholds(make: Any) -> None:
    """The column and the line are there where they say something; a label is text, whatever it holds."""
    plain, telling = (document(make, "m") for _ in range(2))
    assert "labels alike" not in to_markdown_page(plain, {})
    found = telling["evaluations"][0]["result"]["points"][0]
    found |= {"tpr_balanced": 0.25} | {"spread": point(1e-3, 0, 900, ("<b>|", "x\n#"))["spread"]}
    page = to_markdown_page(telling, {})
    assert "TPR, labels alike" in page
    assert "0.2500" in page
    (line,) = [line for line in page.splitlines() if "false positives are" in line]
    assert "<b>" not in line
    assert "90% of the 1,000" in line


def test_notes_of_jobs_stand_on_the_page_once(make: Any) -> None:
    """One line for all models of a job; of how many, where not of all."""
    found = document(make, "m", "n")
    for entry in found["evaluations"]:
        entry["result"]["notes"] = ["3 pairs are *left out*"]
    found["evaluations"][0]["result"]["notes"].append("another")
    page = to_markdown_page(found, {})
    assert page.count(r"3 pairs are \*left out\*") == 1
    assert "another (1 of 2 models)" in page
