"""Labels that are likely wrong: planted ones are found, nothing else is, and the numbers without them are exact."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from numpy.typing import NDArray

import evaljobs
from evaljobs.audit.finding import Verdict
from evaljobs.audit.models import Asked, rounds
from evaljobs.audit.several import Several, left_out, several_of, within
from evaljobs.audit.told import Told
from evaljobs.errors import InputError
from evaljobs.pairs.rounds import Limits
from evaljobs.pairs.rounds import rounds as pair_rounds
from evaljobs.pairs.threads import run_rounds
from evaljobs.pairs.verification import conclude, verify

N, EACH = 300, 15
PLANTED = {7: 3, 100: 12, 250: 1}
FPR = (1e-3, 1e-2, 1.0)


def data(planted: dict[int, int]) -> tuple[NDArray[np.float32], list[str]]:
    """Return embeddings in clear clusters, and labels of which some are those of another cluster."""
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((N // EACH, 24))
    rows = (np.repeat(centres, EACH, axis=0) + 0.35 * rng.standard_normal((N, 24))).astype(np.float32)
    truth = np.repeat(np.arange(N // EACH), EACH)
    truth[list(planted)] = list(planted.values())
    return rows, [f"label{label:02d}" for label in truth]


def told(rows: NDArray[np.float32], labels: list[str], hardest: int = 1000) -> Told:
    """Audit a model that gives these embeddings for images of one format."""
    ids = [f"{number:04d}" for number in range(len(labels))]
    several = several_of({"set": rows}, {"set": (ids, labels)}, 20)
    facts = pa.table({"format": ["PNG"] * len(labels)})
    found = run_rounds(rounds(several, facts, Asked((), png=False, fpr=FPR, hardest=hardest)), several, 2)
    assert isinstance(found, Told)
    return found


def finding(found: Told) -> dict[str, Any]:
    (one,) = [one for one in found.result["findings"] if one["check"] == "label_errors"]
    return one


def test_planted_errors_are_found_and_nothing_else() -> None:
    """Each image with another cluster's label is suggested that cluster's, beside an image of it."""
    rows, labels = data(PLANTED)
    table = told(rows, labels).tables["label_errors"].to_pylist()
    assert {row["row_a"]: row["suggested"] for row in table} == {row: f"label{row // EACH:02d}" for row in PLANTED}
    for row in table:
        assert row["label"] == labels[row["row_a"]] != row["suggested"] == labels[row["row_b"]]
        assert row["own_score"] < row["score"]
        assert row["role_b"] == "set"


def test_numbers_without_them_are_exact() -> None:
    """TPR without the suspects is that of verifying the others alone; the numbers as they are keep every image."""
    rows, labels = data(PLANTED)
    one = finding(told(rows, labels))
    stay = [number for number in range(N) if number not in PLANTED]
    expected = verify(rows[stay], [labels[number] for number in stay], FPR, groups=0).points
    plain = verify(rows, labels, FPR, groups=0).points
    without = one["evidence"]["without"]
    assert [row["tpr_without"] for row in without] == [point.tpr for point in expected]
    assert [row["threshold_without"] for row in without] == [point.threshold for point in expected]
    assert [row["tpr"] for row in without] == [point.tpr for point in plain]
    assert one["verdict"] == Verdict.SUSPICIOUS
    assert f"TPR at FPR 0.001 is {plain[0].tpr:.4f}, and {expected[0].tpr:.4f} without these 3" in one["claim"]


def test_right_labels_are_clean() -> None:
    """Where no label is wrong none is suggested."""
    one = finding(told(*data({})))
    assert one["verdict"] == Verdict.CLEAN
    assert one["evidence"]["n_labels"] == 0


def test_a_model_that_knows_nothing_says_nothing() -> None:
    """A model that rejects most genuine pairs has hard pairs too, and they are no evidence against labels."""
    _, labels = data(PLANTED)
    rows = np.random.default_rng(5).standard_normal((N, 8)).astype(np.float32)
    ids = [f"{number:04d}" for number in range(N)]
    several = several_of({"set": rows}, {"set": (ids, labels)}, 20)
    asked = Asked((), png=False, fpr=(1e-3, 1e-2), hardest=100)
    found = run_rounds(rounds(several, pa.table({"format": ["PNG"] * N}), asked), several, 2)
    assert finding(found)["verdict"] == Verdict.UNKNOWN


def test_no_search_where_none_is_asked_for() -> None:
    """With no hardest pairs there is no finding on labels."""
    found = told(*data(PLANTED), hardest=0)
    assert [one["check"] for one in found.result["findings"]] == ["by_format"]
    assert "label_errors" not in found.tables


# Several sets in one evaluation


def test_a_set_without_rows_is_that_of_the_others() -> None:
    """What is left of a set is verified as if the others had never been there, however it is cut into tasks."""
    rows, labels = data({})
    several = several_of({"set": rows}, {"set": ([str(n) for n in range(N)], labels)}, 0)
    left = [number for number in range(N) if number % 3]
    without = tuple(number for number in range(N) if number % 3 == 0)
    expected = verify(rows[left], [labels[number] for number in left], FPR, groups=0)
    own = left_out(several.of["set"], without)
    # So small a limit that the pairs are scanned, not collected: several kinds of passes.
    again = pair_rounds(own, FPR, Limits(tile=64, collected=100))
    found = run_rounds(within("set", again, without), several, 2)
    assert conclude(own, found).points == expected.points


def test_images_are_matched_by_id() -> None:
    """An image that one set lacks is left out of all, and the rest are the same images in the same order."""
    rows, labels = data({})
    ids = [str(number) for number in range(N)]
    fewer = [number for number in reversed(range(N)) if number != 5]
    several = several_of(
        {"set": rows, "other": rows[fewer]},
        {"set": (ids, labels), "other": ([ids[n] for n in fewer], [labels[n] for n in fewer])},
        20,
    )
    assert isinstance(several, Several)
    assert several.of["set"].n == several.of["other"].n == N - 1
    np.testing.assert_array_equal(several.of["set"].rows, several.of["other"].rows)
    assert several.rows["set"].tolist() == [number for number in range(N) if number != 5]
    np.testing.assert_array_equal(several.of["set"].groups, several.of["other"].groups)


# As a Python function on arrays


def test_the_function_says_what_the_job_says() -> None:
    """The same findings from arrays, with embeddings of the images encoded alike beside those as they are."""
    rows, labels = data(PLANTED)
    alike = rows + np.random.default_rng(1).standard_normal(rows.shape).astype(np.float32)
    facts = {
        "format": ["JPEG" if int(label[5:]) % 2 else "PNG" for label in labels],
        "jpeg_tables": ["a" if int(label[5:]) % 2 else None for label in labels],
        "subsampling": ["4:2:0" if int(label[5:]) % 2 else None for label in labels],
    }
    found = evaljobs.audit_embeddings(rows, labels, facts, recoded={"jpeg 75": alike}, fpr=FPR, threads=2)
    assert [one.check for one in found.findings] == ["counterfactual", "by_format", "label_errors"]
    assert found.verdict is Verdict.LEAK
    assert found.findings[0].claim.startswith("AUROC ")
    np.testing.assert_equal(
        found.tables["label_errors"].drop_columns(["role_b"]).to_pydict(),
        told(rows, labels).tables["label_errors"].drop_columns(["role_b"]).to_pydict(),
    )


@pytest.mark.parametrize(
    ("facts", "recoded", "message"),
    [
        ({}, {}, "expected also format"),
        ({"format": ["PNG"] * N}, {"jpeg 75": 0}, "expected also jpeg_tables, subsampling"),
        ({"format": ["PNG"] * N}, {"webp": 0}, "expected one of jpeg, resize, grayscale first"),
        ({"format": ["PNG"]}, {}, "facts"),
    ],
)
def test_the_function_refuses_what_it_cannot_use(facts: Any, recoded: Any, message: str) -> None:
    """With what was found and what was expected."""
    rows, labels = data({})
    with pytest.raises(InputError, match=message):
        evaljobs.audit_embeddings(rows, labels, facts, recoded=dict.fromkeys(recoded, rows))
