"""How scheduled runs are judged: by the gates of `evaljobs compare`, against the last good run."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from evaljobs.config import load
from evaljobs.errors import UsageError
from evaljobs.shipping.packing import pack
from evaljobs.shipping.program import PROGRAM
from raycluster.errors import ClusterError, UnreachableError
from raycluster.program import Asked
from tests.report.runs import make_result, make_run

judge = PROGRAM.judge
RELATIVE, ABSOLUTE = "tpr@1e-4 >= baseline - 0.02", "tpr@1e-4 >= 0.5"


def written(folder: Path, name: str, **models: float) -> str:
    """Write the results of a run: the TPR of each model at 1e-4."""
    document = make_run({model: make_result(tpr, seed=ord(name)) for model, tpr in models.items()})
    (folder / name).mkdir()
    (folder / name / "results.json").write_text(json.dumps(document), encoding="utf-8")
    return str(folder / name)


def test_as_good_as_before_passes(tmp_path: Path) -> None:
    """Every gate passed: the run is the next baseline."""
    before, after = written(tmp_path, "a", net=0.90), written(tmp_path, "b", net=0.91)
    found = judge(after, before, [RELATIVE, ABSOLUTE])
    assert found.passed is True
    assert found.text.count("passed: ") == 2


def test_one_failed_gate_fails_the_run(tmp_path: Path) -> None:
    """Whatever the others say; what failed comes last, where logs are read."""
    before, after = written(tmp_path, "a", net=0.90, other=0.90), written(tmp_path, "b", net=0.80, other=0.95)
    found = judge(after, before, [RELATIVE, ABSOLUTE])
    assert found.passed is False
    assert found.text.splitlines()[-1].startswith("failed: net: tpr@1e-4 >= baseline")


def test_what_the_interval_cannot_tell_is_inconclusive(tmp_path: Path) -> None:
    """Neither good nor bad: it does not become the baseline."""
    found = judge(written(tmp_path, "b", net=0.9), None, ["tpr@1e-4 >= 0.9"])
    assert found.passed is None
    assert "inconclusive" in found.text


def test_first_run_is_held_against_what_needs_no_other(tmp_path: Path) -> None:
    """Relative gates are said to be open, and do not fail; absolute ones are judged."""
    first = written(tmp_path, "a", net=0.9)
    found = judge(first, None, [RELATIVE, ABSOLUTE])
    assert found.passed is True
    assert "there is no earlier good run" in found.text
    assert judge(first, None, ["tpr@1e-4 >= 0.99"]).passed is False
    assert judge(first, None, [RELATIVE]).passed is True


def test_other_models_are_compared_by_the_best_of_each(tmp_path: Path) -> None:
    """Nightly checkpoints have new names every night."""
    before, after = written(tmp_path, "a", monday=0.90, small=0.5), written(tmp_path, "b", tuesday=0.91)
    found = judge(after, before, [RELATIVE])
    assert found.passed is True
    assert "monday (A), tuesday (B)" in found.text


def test_results_that_are_gone_are_an_error_and_no_verdict(tmp_path: Path) -> None:
    """Nothing passes because nothing could be read."""
    with pytest.raises(ClusterError, match="nowhere"):
        judge(str(tmp_path / "nowhere"), written(tmp_path, "b", net=0.9), [RELATIVE])


def test_baseline_that_cannot_be_read_is_an_error_and_no_verdict(tmp_path: Path) -> None:
    """It may be readable again in a while."""
    baseline = written(tmp_path, "a", net=0.9)
    (tmp_path / "a" / "results.json").write_text("{", encoding="utf-8")
    with pytest.raises(ClusterError, match="it is no JSON"):
        judge(written(tmp_path, "b", net=0.9), baseline, [RELATIVE])


def test_baseline_that_is_gone_fails_what_speaks_of_it(tmp_path: Path) -> None:
    """Else a schedule whose baseline was deleted would never be judged again; other gates are."""
    after, gone = written(tmp_path, "b", net=0.9), str(tmp_path / "nowhere")
    found = judge(after, gone, [RELATIVE, ABSOLUTE])
    assert found.passed is False
    assert [line.split(":")[0] for line in found.text.splitlines()] == ["passed", "failed"]
    assert "the last good run is gone from" in found.text
    assert "raycluster schedule accept" in found.text
    assert judge(after, gone, [ABSOLUTE]).passed is True
    assert judge(after, gone, ["tpr@1e-4 >= 0.99"]).passed is False


def test_what_is_kept_of_a_run_judges_as_the_run_does(tmp_path: Path) -> None:
    """Whoever tidies up where runs leave their results takes no baseline away."""
    before, after = written(tmp_path, "a", net=0.9), written(tmp_path, "b", net=0.7)
    found = judge(after, before, [RELATIVE])
    (tmp_path / "kept").mkdir()
    PROGRAM.keep(before, tmp_path / "kept")
    shutil.rmtree(before)
    assert judge(after, str(tmp_path / "kept"), [RELATIVE]) == found
    assert found.passed is False
    with pytest.raises(ClusterError, match=r"no .*results\.json"):
        PROGRAM.keep(before, tmp_path)


@pytest.mark.parametrize("which", ["results", "baseline", "kept"])
def test_outage_of_s3_is_no_verdict(tmp_path: Path, which: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is told from results that are gone or wrong: the scheduler waits until it is over."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("EVALJOBS_S3_PATIENCE_S", "0.1")
    here, away = written(tmp_path, "a", net=0.9), "s3://bucket/runs/a"
    asked: dict[str, Callable[[], object]] = {
        "results": lambda: judge(away, here, [RELATIVE]),
        "baseline": lambda: judge(here, away, [RELATIVE]),
        "kept": lambda: PROGRAM.keep(away, tmp_path),
    }
    with pytest.raises(UnreachableError, match=r"127\.0\.0\.1:9"):
        asked[which]()


def test_gates_may_stand_beside_a_configuration(tmp_path: Path) -> None:
    """Whatever characters they have."""
    gates = (RELATIVE, "auroc >= 0.99")
    plain = config(tmp_path, gate=["auroc >= 0.1"])
    assert load(plain, PROGRAM.with_gates(gates)).gate == gates


def test_other_images_cannot_be_compared(tmp_path: Path) -> None:
    """A gate on changed images would compare what does not belong together."""
    before = written(tmp_path, "a", net=0.9)
    document = make_run({"net": make_result(0.9)}, images="others")
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "results.json").write_text(json.dumps(document), encoding="utf-8")
    with pytest.raises(ClusterError, match="images"):
        judge(str(tmp_path / "b"), before, [RELATIVE])


def config(folder: Path, **more: Any) -> Path:
    path = folder / "config.yaml"
    path.write_text(json.dumps({"images": {"folder": "images"}, "models": ["m.onnx"], **more}), encoding="utf-8")
    return path


def test_keys_of_schedules_change_no_result(tmp_path: Path) -> None:
    """Another gate or receiver asks for no new computation, and finds the same results."""
    plain = load(config(tmp_path))
    with_both = load(config(tmp_path, gate=RELATIVE, notify={"webhook": "https://example.com/hook/key"}))
    assert with_both.gate == (RELATIVE,)
    assert with_both.digest() == plain.digest()


def test_gates_are_checked_before_anything_is_scheduled(tmp_path: Path) -> None:
    """A gate that cannot be read is refused with the configuration."""
    with pytest.raises(UsageError, match="cannot be read"):
        pack(config(tmp_path, gate=["tpr > 0.9"]), Asked(shared=True))


@pytest.mark.parametrize("url", ["ftp://example.com/x", "example.com/secret-key", "env:", "env:1 2", "https://"])
def test_webhooks_are_urls_or_variables(tmp_path: Path, url: str) -> None:
    """What is no address is refused, without repeating what may be a secret."""
    with pytest.raises(UsageError, match=r"notify\.webhook") as caught:
        load(config(tmp_path, notify={"webhook": url}))
    assert "secret-key" not in str(caught.value)
