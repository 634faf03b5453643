"""The demo as a newcomer runs it: one command, and numbers that an independent computation confirms."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx.reference import ReferenceEvaluator
from sklearn.datasets import load_digits
from sklearn.metrics import roc_auc_score, roc_curve

pytestmark = pytest.mark.slow


def command(*arguments: str) -> tuple[str, str]:
    """Run a command line and return what it wrote to standard output and to standard error."""
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout, done.stderr


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Run the demo in a folder whose name has a space; return the folder and standard output."""
    folder = tmp_path_factory.mktemp("new comer") / "demo"
    return folder, command(sys.executable, "-m", "evaljobs", "demo", "--out", str(folder))[0]


def results(folder: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((folder / "results" / "results.json").read_text(encoding="utf-8"))
    return document


def test_all_digits_are_written_and_a_dozen_models_evaluated(demo: tuple[Path, str]) -> None:
    """1,797 image files; every model has a result on digits that none of them was fitted on."""
    folder, _ = demo
    assert len(list((folder / "images").rglob("*.png"))) == 1797
    evaluations = results(folder)["evaluations"]
    assert len(evaluations) >= 12
    assert {e["status"] for e in evaluations} == {"ok"}
    assert results(folder)["sets"][0]["n_labels"] == 5


def test_output_says_what_the_numbers_rest_on(demo: tuple[Path, str]) -> None:
    """The leaderboard, the flag of the point that rests on a few errors, and where the results are."""
    folder, output = demo
    assert "Leaderboard at FPR 1e-4" in output
    assert "FPR 1e-5: few_errors" in output
    assert str(folder / "results") in output


def test_printed_command_repeats_it_and_computes_nothing(demo: tuple[Path, str]) -> None:
    """As it stands there, pasted into a shell."""
    folder, output = demo
    before = results(folder)
    printed = shlex.split(output.strip().splitlines()[-1])
    assert str(folder / "benchmark.yaml") in printed
    _, progress = command(*printed)
    assert "Everything is computed already" in progress
    after = results(folder)
    assert after.pop("execution")["computed"]["rows_embedded"] == 0
    del before["execution"]
    assert json.dumps(after) == json.dumps(before)


@pytest.mark.parametrize("name", ["edges-d72-c", "pca-d32-ln", "lda-d4-none"])
def test_numbers_are_those_of_an_independent_computation(demo: tuple[Path, str], name: str) -> None:
    """ONNX's reference evaluator and scikit-learn, from scikit-learn's own digits: no line of evaljobs in between."""
    folder, _ = demo
    digits = load_digits()
    unseen = digits.target >= 5
    pixels = np.rint(digits.images[unseen] * 255 / 16).astype(np.float32)[:, None] / np.float32(255)
    model = ReferenceEvaluator(onnx.load(folder / "models" / f"{name}.onnx"))
    rows = model.run(None, {model.input_names[0]: pixels})[0].astype(np.float64)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    i, j = np.triu_indices(len(rows), 1)
    scores = np.einsum("nd,nd->n", rows[i], rows[j])
    genuine = digits.target[unseen][i] == digits.target[unseen][j]
    fpr, tpr, thresholds = roc_curve(genuine, scores, drop_intermediate=False)
    entries = [e for e in results(folder)["evaluations"] if e["kind"] == "verification"]
    (found,) = [e["result"] for e in entries if e["model"] == name]
    assert (found["n_genuine"], found["n_impostor"]) == (int(genuine.sum()), int((~genuine).sum()))
    assert found["auroc"] == pytest.approx(roc_auc_score(genuine, scores), abs=1e-6)
    assert [point["target"] for point in found["points"]] == [1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0]
    for point in found["points"]:
        at = int(np.flatnonzero(fpr <= point["target"])[-1])
        # The two embed with different float32 arithmetic: a pair may change places with its neighbour.
        assert point["allowed"] == int(np.floor(point["target"] * found["n_impostor"] + 1e-9))
        assert point["false_positives"] == pytest.approx(fpr[at] * found["n_impostor"], abs=2)
        assert point["true_positives"] == pytest.approx(tpr[at] * found["n_genuine"], abs=10)
        assert point["threshold"] == pytest.approx(thresholds[at], abs=1e-5)
    assert "few_errors" in found["points"][0]["flags"]
