"""A headline promises no more than the data resolve."""

from __future__ import annotations

from pathlib import Path

from evaljobs.report.comparing.differences import Verdict
from evaljobs.report.kinds.verification_headline import headline_at
from evaljobs.report.results import verification_groups
from evaljobs.report.section import Found
from tests.report.runs import make_result, make_run


def test_nothing_is_certain_at_a_target_that_the_data_do_not_resolve(tmp_path: Path) -> None:
    """What stands there is the TPR at zero false positives, which hangs on the one impostor pair of highest score."""
    run = make_run({"a": make_result(0.9), "b": make_result(0.8, seed=1)})
    (group,) = verification_groups(run)
    found = Found(run, group, {}, tmp_path)
    certain = headline_at(found, 1e-4)
    assert certain.verdict == Verdict.REAL
    assert certain.sentence.startswith("At FPR 1e-4 it has")
    for entry in run["evaluations"]:
        entry["result"]["points"][0].update(allowed=0, false_positives=0, flags=["unresolved", "few_errors"])
    headline = headline_at(found, 1e-4)
    assert headline.best == "a"
    assert headline.verdict == Verdict.UNKNOWN
    assert headline.sentence.startswith("At zero false positives (FPR 1e-4 is not resolved by this data) it has")
    assert "for certain" not in headline.sentence
