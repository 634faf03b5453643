"""Images encoded alike: what moves, whether it is more than noise, and when that is a leak."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from evaljobs.audit.counterfactual import Recoded, counterfactual
from evaljobs.audit.finding import Verdict
from evaljobs.audit.tie import Tie, tie_of
from evaljobs.pairs.intervals import auroc_ends, difference
from evaljobs.pairs.verification import Verification, verify

N, EACH = 400, 10
LABELS = [f"label{number // EACH}" for number in range(N)]
TIED = Tie(2, 0.9, 0.5, 0.7, 0.005)
UNTIED = Tie(2, 0.5, 0.5, 0.5, 0.4)
ONE = Tie(1, 1.0, 1.0, None, 1.0)


def rows(skill: float, seed: int = 0) -> NDArray[np.float32]:
    """Return embeddings that tell labels the better the greater the skill."""
    centres = np.random.default_rng(7).standard_normal((N // EACH, 16))
    noise = np.random.default_rng(seed).standard_normal((N, 16))
    return (skill * np.repeat(centres, EACH, axis=0) + noise).astype(np.float32)


def verified(found: NDArray[np.float32]) -> Verification:
    return verify(found, LABELS, ("1e-2", "0.1"))


def judged(before: NDArray[np.float32], after: NDArray[np.float32], tie: Tie) -> Any:
    """Return the finding on one way to encode all images."""
    other = Recoded("jpeg 75", "encoding", tie, verified(after).to_json())
    checked = counterfactual(verified(before).to_json(), [other], png=False)
    (finding,) = checked.findings
    return finding


def test_numbers_are_paired_differences() -> None:
    """The same numbers as verifying both by oneself, with the interval of their paired replicates."""
    before, after = verified(rows(0.8)), verified(rows(0.4))
    other = Recoded("jpeg 75", "encoding", TIED, after.to_json())
    table = counterfactual(before.to_json(), [other], png=False).tables["counterfactual"].to_pylist()
    assert [(row["metric"], row["target"]) for row in table] == [("tpr", 0.01), ("tpr", 0.1), ("auroc", None)]
    auroc = table[-1]
    assert (auroc["before"], auroc["after"]) == (before.auroc, after.auroc)
    assert before.intervals is not None
    assert after.intervals is not None
    replicates = after.intervals.replicates_auroc, before.intervals.replicates_auroc
    expected = difference(after.auroc, before.auroc, *replicates, auroc_ends)
    assert expected is not None
    assert (auroc["difference"], auroc["low"], auroc["high"]) == (expected.value, expected.low, expected.high)
    assert [row["after"] for row in table[:2]] == [point.tpr for point in after.points]


@pytest.mark.parametrize(
    ("tie", "verdict", "said"),
    [
        (TIED, Verdict.LEAK, "the model answers by it"),
        (UNTIED, Verdict.CLEAN, "does not go with the labels"),
        (ONE, Verdict.CLEAN, "all files have one encoding already"),
    ],
)
def test_a_certain_fall_is_a_leak_where_files_go_with_labels(tie: Tie, verdict: Verdict, said: str) -> None:
    """The same fall is a leak, or what compression costs: the files as they are decide which."""
    finding = judged(rows(0.8), rows(0.3), tie)
    assert finding.verdict is verdict
    assert said in finding.claim
    assert f"AUROC {verified(rows(0.8)).auroc:.4f} -> {verified(rows(0.3)).auroc:.4f} when all is" in finding.claim
    assert bool(finding.advice) == (verdict is Verdict.LEAK)


def test_noise_is_no_leak() -> None:
    """A difference whose interval holds 0 is none, however tied files are."""
    finding = judged(rows(0.8), rows(0.8) + 0.05 * rows(0, 9), TIED)
    assert finding.verdict is Verdict.CLEAN
    assert "no more than noise" in finding.claim


def test_a_rise_is_no_leak() -> None:
    """A model that is better when files are alike did not live on their differences."""
    finding = judged(rows(0.3), rows(0.8), TIED)
    assert finding.verdict is Verdict.CLEAN
    assert "does not live on it" in finding.claim


@pytest.mark.parametrize("tie", [TIED, UNTIED, ONE])
def test_what_does_not_move_is_no_leak(tie: Tie) -> None:
    """Equal numbers have no interval, and need none: the model sees the same in files that are alike."""
    finding = judged(rows(0.8), rows(0.8), tie)
    assert finding.verdict is Verdict.CLEAN
    assert "no more than noise" in finding.claim


@pytest.mark.parametrize(("tie", "verdict"), [(TIED, Verdict.SUSPICIOUS), (UNTIED, Verdict.CLEAN)])
def test_a_fall_of_the_tpr_alone_is_told(tie: Tie, verdict: Verdict) -> None:
    """The AUROC of a good model hardly moves where half of its genuine pairs are rejected at low FPR."""
    one, other = copy.deepcopy(verified(rows(0.8)).to_json()), verified(rows(0.3)).to_json()
    for key in ("auroc", "auroc_bounds"):
        other[key] = one[key]
    other["intervals"]["replicates"]["auroc"] = [
        value + 1e-5 * (-1) ** n for n, value in enumerate(one["intervals"]["replicates"]["auroc"])
    ]
    (finding,) = counterfactual(one, [Recoded("jpeg 75", "encoding", tie, other)], png=False).findings
    assert finding.verdict is verdict
    assert f"TPR at FPR 0.1 {one['points'][1]['tpr']:.4f} -> {other['points'][1]['tpr']:.4f}" in finding.claim
    assert "noise" not in finding.claim


def test_png_is_known_without_a_pass() -> None:
    """PNG keeps every pixel: no difference, and a sentence that says what it does not even out."""
    plain = verified(rows(0.8)).to_json()
    checked = counterfactual(plain, [], png=True)
    assert "keeps every pixel" in checked.findings[0].claim
    table: list[Mapping[str, Any]] = checked.tables["counterfactual"].to_pylist()
    assert {row["recoding"] for row in table} == {"png"}
    assert {(row["difference"], row["certain"]) for row in table} == {(0.0, False)}


def test_a_tie_is_measured_in_the_files_as_they_are() -> None:
    """What the verdict rests on stands in the evidence: shares of pairs whose files have the same."""
    tie = tie_of(["JPEG" if int(label[5:]) % 2 else "PNG" for label in LABELS], LABELS)
    evidence = judged(rows(0.8), rows(0.3), tie).evidence
    assert evidence["same_genuine"] == 1.0
    assert evidence["tie_p"] < 0.01
    assert len(evidence["differences"]) == 3
