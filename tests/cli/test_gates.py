"""`evaljobs compare --gate`: exit codes for scheduled benchmarks, and what is said about them."""

from __future__ import annotations

import json

import pytest

from tests.report.runs import make_result, make_run

GOOD, SAME, POOR = make_result(0.9, seed=1), make_result(0.9, seed=2), make_result(0.8, seed=3)
GATE = "tpr@1e-4 >= baseline - 0.005"


@pytest.fixture
def save(tmp_path):
    def write(name, models, **changes):
        (tmp_path / name).mkdir()
        (tmp_path / name / "results.json").write_text(json.dumps(make_run(models, **changes)))
        return tmp_path / name

    return write


def gates(done):
    return [(row["gate"], row["model"], row["judgement"]) for row in json.loads(done.out)["gates"]]


def test_exit_codes_say_what_became_of_gates(command, save):
    """3 where one failed; an inconclusive one is 0, or 3 with --strict; nothing else decides."""
    base = save("base", {"m": GOOD})
    poor, same = save("poor", {"m": POOR}, files={"m": "poor"}), save("same", {"m": SAME}, files={"m": "same"})
    sharp = "tpr@1e-4 >= baseline - 0.000001"
    cases = [
        (poor, [GATE], 3, ["failed"]),
        (poor, ["tpr@1e-4 >= baseline - 0.2"], 0, ["passed"]),
        (same, [sharp], 0, ["inconclusive"]),
        (same, [sharp, "--strict"], 3, ["inconclusive"]),
        (same, ["tpr@1e-4 >= baseline - 0.2", "--strict"], 0, ["passed"]),
        (same, ["auroc >= 0.9", "--gate", "auroc >= 0.99"], 3, ["passed", "failed"]),
    ]
    for run, options, code, judgements in cases:
        done = command("compare", base, run, "--json", "--gate", *options)
        assert (done.code, done.err) == (code, "")
        assert [row[2] for row in gates(done)] == judgements
    assert command("compare", base, poor).code == 0


def test_numbers_stand_beside_the_verdict(command, save):
    """In JSON with all digits; on the terminal with the interval, and in words what the verdict means."""
    base, poor = save("base", {"m": GOOD}), save("poor", {"m": POOR}, files={"m": "poor"})
    done = command("compare", base, poor, "--json", "--gate", GATE)
    (row,) = json.loads(done.out)["gates"]
    differences = json.loads(done.out)["differences"]
    assert row["ci"] == [differences[0]["difference_ci_lower"], differences[0]["difference_ci_upper"]]
    assert (row["baseline"], row["candidate"], row["bound"]) == (0.9, 0.8, -0.005)
    assert (row["metric"], row["target"], row["relative"]) == ("tpr", 1e-4, True)
    assert (row["job"], row["set"]) == ("verification", "main")
    done = command("compare", base, poor, "--gate", GATE, "--out", base / "found.md")
    for text in (" ".join(done.out.split()), (base / "found.md").read_text()):
        assert "failed: 1 (the whole 95% interval lies on the wrong side of the bound)" in text
        assert "Gates" in text


def test_every_model_that_is_compared_is_judged(command, save):
    """All common ones, those that are named, or the best of each run; a model that failed leaves its gate open."""
    base = save("base", {"m": GOOD, "n": POOR, "gone": POOR})
    new = save("new", {"m": POOR, "n": GOOD, "x": None}, files={"m": "m2", "n": "n2"})
    every = command("compare", base, new, "--json", "--gate", GATE)
    assert (every.code, gates(every)) == (3, [(GATE, "m", "failed"), (GATE, "n", "passed")])
    one = command("compare", base, new, "--json", "--gate", GATE, "--model", "n")
    assert (one.code, gates(one)) == (0, [(GATE, "n", "passed")])
    best = command("compare", base, new, "--json", "--gate", GATE, "--best")
    (row,) = json.loads(best.out)["gates"]
    assert (best.code, row["reference"], row["model"], row["judged"]) == (0, "m", "n", 0)
    half = save("half", {"m": None, "n": GOOD}, files={"n": "n2"})
    done = command("compare", base, half, "--json", "--gate", GATE, "--strict")
    assert (done.code, gates(done)) == (3, [(GATE, "m", "inconclusive"), (GATE, "n", "passed")])
    assert json.loads(done.out)["gates"][0]["reason"] == "the candidate has no result"


def test_what_failed_stands_at_the_end(command, save):
    """Logs of scheduled jobs are read from their end."""
    base = save("base", {"m": GOOD, "n": POOR, "o": GOOD})
    new = save("new", {"m": POOR, "n": GOOD, "o": SAME}, files={"m": "m2", "n": "n2", "o": "o2"})
    done = command("compare", base, new, "--gate", "tpr@1e-4 >= baseline - 0.000001")
    lines = " ".join(done.out.partition("Gates\n")[2].split())
    words = [word for word in lines.replace(":", "").split() if word in {"passed", "inconclusive", "failed"}]
    assert words == ["passed", "inconclusive", "failed"]
    assert "failed: m: tpr@1e-4 >= baseline - 0.000001: B - A = -0.1" in lines


def test_last_nights_model_again_passes(command, save):
    """The same file on the same images, strict or not: a benchmark of an unchanged model is green."""
    base, again = save("base", {"m": GOOD}), save("again", {"m": GOOD}, day=2)
    done = command("compare", base, again, "--json", "--strict", "--gate", GATE, "--gate", "auroc >= baseline")
    assert (done.code, [row[2] for row in gates(done)]) == (0, ["passed", "passed"])


def test_mistakes_are_refused_before_anything_is_judged(command, save):
    """With exit code 2, which is no verdict."""
    base, new = save("base", {"m": GOOD}), save("new", {"m": POOR})
    command("compare", base, new, "--gate", "tpr >= 0.9").refused("the gate 'tpr >= 0.9' cannot be read", GATE)
    command("compare", base, new, "--gate", "tpr@1e-2 >= 0.9").refused("run B has no point at FPR 1e-2", "it has 1e-4")
    command("compare", base, new, "--strict").refused("--strict is about gates")
    command("compare", base, new, "--best", "--model", "m").refused("--best and --model")
    command("compare", base, base, "--best").refused("the same run")
