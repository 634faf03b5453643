"""A real run on a real Ray: what Prometheus reads and what the log says equal what the results say."""

from __future__ import annotations

import json
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from evaljobs.watching.log import KEYS
from evaljobs.watching.metrics import METRICS, PREFIX
from evaljobs.watching.stages import Reported, parse_line, read_stages
from tests.faults.workload import write_workload
from tests.watching.conftest import HOSTILE, REPORT_S, Head, Ran, Series, evaljobs, python, results

IMAGES, MODELS = 96, 3
# Also an image that is none is tried.
TRIED = IMAGES + 1


@pytest.fixture(scope="module")
def ran(head: Head, config: Path) -> Ran:
    """The first run, which computes everything."""
    return evaljobs("run", config, "--address", head.address, EVALJOBS_LOG="json")


@pytest.fixture(scope="module")
def scraped(head: Head, ran: Ran) -> dict[str, list[Series]]:
    """What Prometheus reads as soon as it has ended."""
    assert ran.code == 1, ran.err
    return head.scrape()


def total(series: list[Series], **labels: str) -> float:
    """Return the sum over the series with these labels."""
    return sum(one.value for one in series if labels.items() <= one.labels.items())


def log_lines(ran: Ran) -> list[dict[str, Any]]:
    """Return the error stream: every line of it must be JSON of ours."""
    found = [json.loads(line) for line in ran.err.splitlines()]
    assert all(line.keys() >= set(KEYS) for line in found)
    return found


def test_counters_equal_the_results(scraped: dict[str, list[Series]], config: Path) -> None:
    """What the run says it computed is what it told Prometheus; nothing is lost when it ends."""
    found = results(config)
    computed = found["execution"]["computed"]
    counters = {name: total(series, run="watched") for name, series in scraped.items()}
    assert counters["ray_evaljobs_images_decoded_total"] == computed["images_decoded"] == IMAGES
    assert counters["ray_evaljobs_images_embedded_total"] == computed["rows_embedded"] == IMAGES * MODELS
    assert counters["ray_evaljobs_evaluations_total"] == computed["evaluations"] == MODELS
    assert counters["ray_evaljobs_pairs_compared_total"] == computed["pairs"] == MODELS * IMAGES * (IMAGES - 1) // 2
    seconds = scraped["ray_evaljobs_stage_seconds_total"]
    assert total(seconds, stage="decode") == pytest.approx(computed["decode_seconds"])
    assert total(seconds, stage="evaluate") == pytest.approx(computed["evaluation_seconds"])
    models = found["execution"]["models"].values()
    for stage in ("load", "embed"):
        assert total(seconds, stage=stage) == pytest.approx(sum(model[f"{stage}_seconds"] for model in models))


def test_failures_equal_the_results(scraped: dict[str, list[Series]], config: Path) -> None:
    """The file that is no image and the file that is no model, by the kinds that the results give them."""
    found = results(config)
    failures = scraped["ray_evaljobs_failures_total"]
    (excluded,) = found["sets"]
    wanted = {("image", kind): n for kind, n in excluded["excluded_by_kind"].items()}
    wanted |= Counter(("model", model["error"]["kind"]) for model in found["models"] if model["error"])
    assert {(one.labels["what"], one.labels["kind"]): one.value for one in failures} == wanted
    assert len(wanted) == 2


def test_gauges_say_where_each_model_is(scraped: dict[str, list[Series]]) -> None:
    """While the run is no longer than a moment ago: a model of any name is there, and all are counted."""
    states = {one.labels["state"]: one.value for one in scraped["ray_evaljobs_models"]}
    assert states == {"waiting": 0, "embedding": 0, "evaluating": 0, "done": MODELS, "failed": 1}
    of_models = {one.labels["model"]: one.value for one in scraped["ray_evaljobs_model_state"]}
    assert of_models == {"model0": 3, "model1": 3, HOSTILE: 3, "no-model": 4}
    embedded = scraped["ray_evaljobs_model_embedded_ratio"]
    assert {one.value for one in embedded} == {1.0}
    assert len(embedded) == MODELS
    assert {one.value for one in scraped["ray_evaljobs_steps_left"]} == {0.0}
    assert len(scraped["ray_evaljobs_model_images_per_second"]) == MODELS


def test_gauges_stay_while_the_work_goes_on(head: Head, ran: Ran) -> None:
    """Ray forgets a gauge after two reports: one that was set once is there for as long as its meters are open."""
    assert ran.code == 1
    code = (
        "import sys, ray\nfrom raycluster.metrics import Declared, Meters\n"
        "ray.init(address=sys.argv[1], log_to_driver=False)\n"
        "meters = Meters([Declared('evaljobs_stays', 'gauge', 'Stays.', ('run',))], run='long')\n"
        "meters.set('evaljobs_stays', 7)\nprint('set', flush=True)\nsys.stdin.read()\nmeters.close()\n"
    )
    with python("-c", code, head.address) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "set\n"
        time.sleep(2 * REPORT_S + 1.5)
        (series,) = head.scrape()["ray_evaljobs_stays"]
        assert series.value == 7
        process.communicate("", timeout=60)


def test_nothing_else_is_exported(scraped: dict[str, list[Series]]) -> None:
    """Every name is declared, with its labels; Ray adds those of the node and the process."""
    declared = {PREFIX + metric.name: metric for metric in METRICS}
    assert set(scraped) <= set(declared)
    assert set(declared) - set(scraped) == {
        "ray_evaljobs_cache_hits_total", "ray_evaljobs_paused_seconds_total", "ray_evaljobs_paused_workers",
    }  # fmt: skip
    for name, series in scraped.items():
        assert all(set(declared[name].labels) <= one.labels.keys() for one in series)


def test_log_of_a_run_is_json_and_adds_up(ran: Ran) -> None:
    """Every line of the error stream is an object, from the first to the exit code; the last words are the results'."""
    found = log_lines(ran)
    assert found[0]["event"] == "begin"
    assert (found[-1]["event"], found[-1]["exit_code"], ran.code) == ("end", 1, 1)
    assert {line["run"] for line in found[1:]} == {"watched"}
    rows = TRIED * MODELS
    stages = {stage.stage: stage for stage in read_stages(ran.err) if stage.model is None}
    assert stages["decoding"] == Reported("decoding", TRIED, TRIED)
    assert stages["embedding"] == Reported("embedding", rows, rows)
    assert stages["evaluations"] == Reported("evaluations", MODELS, MODELS)
    assert stages["models done"] == Reported("models done", MODELS, MODELS + 1)
    models = {stage.model: stage for stage in read_stages(ran.err) if stage.model is not None}
    assert models["no-model"].stage.startswith("failed: ")
    assert {models[name].stage for name in ("model0", "model1", HOSTILE)} == {"done"}
    assert len(models) == MODELS + 1


def test_cached_run_on_a_cluster_counts_its_hits(head: Head, ran: Ran, config: Path) -> None:
    """Nothing is computed again; the hits are the results that stood there. Results' tables are no lines of the log."""
    assert ran.code == 1
    again = evaljobs("run", config, "--address", head.address, "--log", "json")
    assert again.code == 1
    assert [line for line in again.out.splitlines() if parse_line(line)] == []
    assert any("computed already" in (line["text"] or "") for line in log_lines(again))
    scraped = head.scrape()
    assert total(scraped["ray_evaljobs_cache_hits_total"], what="results") == MODELS
    assert total(scraped["ray_evaljobs_evaluations_total"]) == MODELS


def test_new_job_counts_the_rows_that_were_there(head: Head, ran: Ran, config: Path) -> None:
    """Another evaluation of the same models embeds nothing: all rows are hits."""
    assert ran.code == 1
    other = config.with_name("other.yaml")
    other.write_text(config.read_text(encoding="utf-8").replace("name: watched", "name: other"), encoding="utf-8")
    done = evaljobs(
        "run", other, "--set", "out=other", "--set", "fpr=[0.5]", "--address", head.address, "--log", "json"
    )
    assert done.code == 1, done.err
    scraped = head.scrape()
    assert total(scraped["ray_evaljobs_cache_hits_total"], run="other", what="embeddings") == IMAGES * MODELS
    assert total(scraped["ray_evaljobs_evaluations_total"], run="other") == MODELS
    assert total(scraped["ray_evaljobs_images_embedded_total"], run="other") == 0


def test_terminated_run_ends_its_log(head: Head, tmp_path: Path) -> None:
    """Ray ends a job by SIGTERM: the last line says so, one before how to go on; every model is still counted."""
    path = write_workload(tmp_path / "long", images=480, models=4)
    arguments = ("-m", "evaljobs", "run", str(path), "--address", head.address, "--log", "json")
    with python(*arguments) as process:
        assert process.stderr is not None
        lines: list[str] = []
        line_of_end = 0
        for line in process.stderr:
            lines.append(line.rstrip("\n"))
            if not line_of_end and (parse_line(line) or {}).get("stage") == "embedding":
                process.terminate()
                line_of_end = len(lines)
        process.communicate(timeout=60)
    found = [json.loads(line) for line in lines]
    assert (process.returncode, found[-1]["event"], found[-1]["exit_code"]) == (143, "end", 143)
    last_words = [line["text"] or "" for line in found[line_of_end:]]
    assert any(text.startswith("Terminated. What was computed is kept") for text in last_words)
    counted = [stage for stage in read_stages("\n".join(lines)) if stage.stage.startswith("models ")]
    assert sum(stage.done for stage in counted) == 4


def test_cached_run_needs_no_ray(ran: Ran, config: Path) -> None:
    """Where there is nothing to compute and no cluster, nothing is metered, and the log says how it stands."""
    assert ran.code == 1
    done = evaljobs("run", config, "--log", "json")
    assert done.code == 1, done.err
    assert Reported("models done", MODELS, MODELS + 1) in read_stages(done.err)
    assert len(log_lines(done)) < 20
