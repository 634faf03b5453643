"""Gates: the grammar, and the rule by which they are judged, against one that is written out."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaljobs.config import parse_target
from evaljobs.errors import ExitCode, UsageError
from evaljobs.pairs.intervals import auroc_ends, difference, even_ends
from evaljobs.report.comparing.comparison import compare
from evaljobs.report.comparing.comparison_page import to_page
from evaljobs.report.comparing.gate import EXAMPLE, Gate, exit_code, judge, parse_gate
from evaljobs.report.comparing.matching import Wanted
from tests.report.runs import make_result, make_run

GATES = [
    (EXAMPLE, Gate(EXAMPLE, 1e-4, -0.005, relative=True)),
    ("TPR @ 0.0001>=Baseline-.005", Gate("TPR @ 0.0001>=Baseline-.005", 1e-4, -0.005, relative=True)),
    ("tpr@1e-4 >= baseline", Gate("tpr@1e-4 >= baseline", 1e-4, 0.0, relative=True)),
    ("tpr@1 >= baseline + 1e-2", Gate("tpr@1 >= baseline + 1e-2", 1.0, 0.01, relative=True)),
    (" auroc >= 0.99 ", Gate("auroc >= 0.99", None, 0.99, relative=False)),
    ("auroc>=baseline-0", Gate("auroc>=baseline-0", None, 0.0, relative=True)),
    ("tpr@1e-3 >= 1", Gate("tpr@1e-3 >= 1", 1e-3, 1.0, relative=False)),
]


@pytest.mark.parametrize(("text", "gate"), GATES, ids=[text for text, _ in GATES])
def test_gates_are_read_as_people_write_them(text, gate):
    """Spaces and case do not matter, and numbers are decimals of any form."""
    assert parse_gate(text, parse_target) == gate


BAD = [
    *(
        "",
        "tpr",
        "tpr >= 0.9",
        "tpr@ >= 0.9",
        "fpr@1e-4 >= 0.9",
        "tpr@1e-4 > 0.9",
        "tpr@1e-4 <= 0.9",
        "tpr@1e-4 >= 90%",
    ),
    *("tpr@1e-4 >= baseline * 0.99", "tpr@1e-4 >= 0.9 - baseline", "tpr@1e-4 >= -0.1", "0.9 >= auroc", "auroc >= nan"),
    *("tpr@1e-4 >= baseline - 0.005; auroc >= 0.9", "tpr@-1 >= 0.9", "tpr@١ >= 0.9", "tpr@1e-4 >= baseline -- 0.005"),
]


@pytest.mark.parametrize("text", BAD)
def test_what_is_no_gate_is_refused_with_an_example(text):
    """A gate that was misread would let everything pass."""
    with pytest.raises(UsageError) as caught:
        parse_gate(text, parse_target)
    assert EXAMPLE in str(caught.value)
    assert repr(text) in str(caught.value)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("tpr@0 >= 0.9", "0 < rate <= 1"),
        ("tpr@2 >= 0.9", "0 < rate <= 1"),
        ("auroc >= 90", "90 is more than 1"),
        ("tpr@1e-4 >= baseline - 5", "5 is more than 1"),
    ],
)
def test_numbers_out_of_range_are_refused(text, says):
    """Percent are no shares."""
    with pytest.raises(UsageError, match=says):
        parse_gate(text, parse_target)


def by_hand(bound, low, high):
    """Judge as the rule is written: the upper end below the bound fails, the lower end not below it passes."""
    if Fraction(high) < Fraction(bound):
        return "failed"
    return "passed" if Fraction(low) >= Fraction(bound) else "inconclusive"


tprs = st.floats(0.5, 0.99)
margins = st.sampled_from(["0", "0.0001", "0.001", "0.005", "0.05", "0.5"])


@given(
    a=tprs,
    move=st.floats(-0.01, 0.01),
    spread=st.sampled_from([1e-5, 1e-3, 1e-2]),
    margin=margins,
    sign=st.sampled_from("+-"),
)
def test_relative_gates_are_judged_by_the_interval_of_the_difference(a, move, spread, margin, sign):
    """Candidate minus baseline, paired, and no other interval."""
    baseline, candidate = make_result(a, seed=1, spread=spread), make_result(a + move, seed=2, spread=spread)
    for text, place in (("tpr@1e-3", 1), ("auroc", None)):
        gate = parse_gate(f"{text} >= baseline {sign} {margin}", parse_target)
        row = judge(gate, baseline, candidate, same_file=False)
        numbers, replicates = [], []
        for result in (candidate, baseline):
            numbers.append(result["auroc"] if place is None else result["points"][place]["tpr"])
            of = result["intervals"]["replicates"]
            replicates.append(of["auroc"] if place is None else of["tpr"][place])
        expected = difference(*numbers, *replicates, auroc_ends if place is None else even_ends)
        bound = float(margin) * (1 if sign == "+" else -1)
        assert row["judgement"] == by_hand(bound, expected.low, expected.high)
        assert row["ci"] == [expected.low, expected.high]
        assert (row["candidate"], row["baseline"], row["judged"]) == (*numbers, expected.value)


@given(tpr=tprs, bound=st.sampled_from(["0.5", "0.75", "0.8", "0.9", "0.99"]))
def test_absolute_gates_are_judged_by_the_interval_of_the_candidate(tpr, bound):
    """Whatever the baseline is."""
    candidate = make_result(tpr)
    for text, ends in (("tpr@1e-4", candidate["points"][0]["tpr_ci"]), ("auroc", candidate["auroc_ci"])):
        gate = parse_gate(f"{text} >= {bound}", parse_target)
        for baseline in (None, make_result(0.1)):
            row = judge(gate, baseline, candidate, same_file=False)
            assert row["judgement"] == by_hand(float(bound), *ends)


def test_ends_that_equal_the_bound_are_inside():
    """The upper end must lie below the bound to fail it; the lower end may stand on it."""
    candidate = make_result(0.8)
    candidate["points"][0]["tpr_ci"] = [0.75, 0.85]
    judged = {
        b: judge(Gate("", 1e-4, b, False), None, candidate, same_file=False)["judgement"]
        for b in (0.75, 0.76, 0.85, 0.86)
    }
    assert judged == {0.75: "passed", 0.76: "inconclusive", 0.85: "inconclusive", 0.86: "failed"}


def test_certified_bounds_widen_what_is_judged():
    """An AUROC that is known up to a bound is no sharper than that."""
    candidate = make_result(0.8) | {
        "auroc": 0.9,
        "auroc_ci": [0.89, 0.91],
        "auroc_exact": False,
        "auroc_bounds": [0.89, 0.91],
    }
    row = judge(Gate("", None, 0.885, False), None, candidate, same_file=False)
    assert row["judgement"] == "inconclusive"
    assert row["ci"] == pytest.approx([0.88, 0.92])


def test_without_an_interval_nothing_is_concluded():
    """And it is said why; a number far below the bound is no exception."""
    relative, absolute = Gate("", 1e-4, -0.005, True), Gate("", 1e-4, 0.9, False)
    plain = {**make_result(0.1), "intervals": None}
    plain["points"][0]["tpr_ci"] = None
    for gate in (relative, absolute):
        row = judge(gate, make_result(0.9), plain, same_file=False)
        assert (row["judgement"], row["ci"], row["reason"]) == ("inconclusive", None, "no replicates in the results")
    undefined = make_result(0.1)
    undefined["points"][0] |= {"tpr": None, "tpr_ci": None}
    assert judge(absolute, None, undefined, same_file=False)["reason"] == "a number is undefined"
    assert judge(relative, make_result(0.9), None, same_file=False)["reason"] == "the candidate has no result"
    assert judge(relative, None, make_result(0.9), same_file=False)["reason"] == "the baseline has no result"
    assert judge(absolute, None, make_result(0.99), same_file=False)["judgement"] == "passed"


def test_the_same_model_differs_by_nothing():
    """Last night's model again: its difference is 0 for certain. A copy under another digest is not known to be one."""
    result = make_result(0.9)
    for same_file, judgement in ((True, "passed"), (False, "inconclusive")):
        row = judge(Gate("", 1e-4, -0.005, True), result, make_result(0.9), same_file=same_file)
        assert row["judgement"] == judgement
    assert judge(Gate("", 1e-4, 0.01, True), result, make_result(0.9), same_file=True)["judgement"] == "failed"
    assert judge(Gate("", None, 0.0, True), result, make_result(0.9), same_file=True)["judgement"] == "passed"


def test_the_exit_code_is_that_of_the_worst_gate():
    """Inconclusive gates pass, unless they must not."""
    rows = {word: {"judgement": word} for word in ("passed", "inconclusive", "failed")}
    assert [exit_code([rows["passed"], rows["inconclusive"]], strict=strict) for strict in (False, True)] == [
        ExitCode.OK,
        ExitCode.GATE_FAILED,
    ]
    assert exit_code([rows["passed"], rows["failed"]], strict=False) == 3
    assert exit_code([rows["passed"]], strict=True) == exit_code([], strict=True) == 0


def test_nothing_is_concluded_where_the_data_do_not_resolve_the_target():
    """The TPR is that at zero false positives, which hangs on one pair: no interval of it decides a gate."""
    unresolved = make_result(0.9)
    unresolved["points"][0]["flags"] = ["unresolved", "few_errors"]
    for gate, baseline in ((Gate("", 1e-4, 0.5, False), None), (Gate("", 1e-4, -0.5, True), make_result(0.8, seed=1))):
        row = judge(gate, baseline, unresolved, same_file=False)
        assert row["judgement"] == "inconclusive"
        assert row["reason"].startswith("FPR 1e-4 is not resolved by this data")
        assert row["ci"] is not None
    assert judge(Gate("", 1e-3, 0.5, False), None, unresolved, same_file=False)["judgement"] == "passed"
    assert judge(Gate("", None, 0.5, False), None, unresolved, same_file=False)["judgement"] == "passed"
    assert judge(Gate("", 1e-4, -0.5, True), unresolved, unresolved, same_file=True)["judgement"] == "passed"
    # Of an absolute gate the baseline is not looked at.
    assert judge(Gate("", 1e-4, 0.5, False), unresolved, make_result(0.9), same_file=False)["judgement"] == "passed"


def test_a_model_that_failed_tonight_leaves_its_gates_open():
    """Also where it is the only one: a verdict, no mistake in the command. Without gates there is nothing to say."""
    last, tonight = make_run({"a": make_result(0.9)}), make_run({"a": None}, day=2)
    found = compare(last, tonight, Wanted(), [parse_gate(EXAMPLE, parse_target)])
    assert [(row["judgement"], row["reason"]) for row in found.gates] == [
        ("inconclusive", "the candidate has no result")
    ]
    assert "inconclusive" in to_page(found)
    with pytest.raises(UsageError, match="nothing can be compared"):
        compare(last, tonight, Wanted())
