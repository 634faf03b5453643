"""Two runs compared: what belongs together, what is refused, and that the numbers printed are those of the runs."""

from __future__ import annotations

import copy
import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

import evaljobs

Command = Callable[..., Any]
Document = dict[str, Any]

TARGETS = ("0.01", "0.1")


def verified(noise: float) -> Document:
    """Return a real verification, with drawn replicates that vary little around its numbers."""
    rng = np.random.default_rng(round(100 * noise))
    labels = np.repeat(np.arange(20), 4)
    centres = np.random.default_rng(0).normal(size=(20, 8))[labels]
    vectors = (centres + noise * rng.normal(size=centres.shape)).astype(np.float32)
    result = evaljobs.verify(vectors, labels, TARGETS).to_json()

    def around(value: float) -> list[float]:
        return [float(r) for r in np.clip(value + 1e-3 * rng.normal(size=20), 0, 1)]

    replicates = {"auroc": around(result["auroc"]), "tpr": [around(point["tpr"]) for point in result["points"]]}
    return {**result, "intervals": {"unit": "label", "groups": 20, "replicates": replicates}}


def document(models: dict[str, Document], job: str = "verification", image_set: str = "main") -> Document:
    """Return the results of a run."""
    entry = {"name": image_set, "digest": "cd" * 32, "n_samples": 80, "n_labels": 20, "excluded": 0}
    where = {"job": job, "kind": "verification", "set": image_set, "status": "ok", "error": None}
    return {
        "schema_version": 1,
        "run": "nightly",
        "sets": [entry],
        "models": [{"name": name, "status": "ok"} for name in models],
        "evaluations": [{**where, "model": name, "result": result} for name, result in models.items()],
    }


@pytest.fixture(scope="module")
def results() -> dict[str, Document]:
    """Give verifications of one set: a good model and a poor one."""
    return {"good": verified(0.5), "poor": verified(1.0)}


@pytest.fixture
def save(tmp_path: Path) -> Callable[..., Path]:
    """Write results into the folder of a run."""

    def write(name: str, found: object) -> Path:
        (tmp_path / name).mkdir()
        (tmp_path / name / "results.json").write_text(json.dumps(found))
        return tmp_path / name

    return write


Save = Callable[..., Path]


def columns(done: Any, *names: str) -> list[tuple[Any, ...]]:
    """Return columns of what was printed as JSON."""
    assert (done.code, done.err) == (0, "")
    found = json.loads(done.out)
    assert found["version"] == 1
    return [tuple(row[name] for name in names) for row in found["differences"]]


def test_models_of_equal_name_are_compared(command: Command, save: Save, results: dict[str, Document]) -> None:
    """Last night's against tonight's: B - A for each target and AUROC, A the first; others are said to be left out."""
    a = save("a", document({"m": results["good"], "old": results["good"]}))
    b = save("b", document({"new": results["poor"], "m": results["poor"]}))
    done = command("compare", a, b / "results.json", "--json")
    good, poor = ([*(point["tpr"] for point in results[name]["points"]), results[name]["auroc"]] for name in results)
    rows = columns(done, "reference", "model", "metric", "target", "value_reference", "value_model", "difference")
    metrics = (("tpr", 0.01), ("tpr", 0.1), ("auroc", None))
    assert rows == [
        ("m", "m", *metric, x, y, y - x) for metric, x, y in zip(metrics, good, poor, strict=True)
    ]  # fmt: skip
    assert json.loads(done.out)["notes"] == ["only A has the model(s) 'old'", "only B has the model(s) 'new'"]
    verdicts = columns(done, "verdict", "zero_inside", "unit", "groups", "reason")
    assert verdicts == [("real", False, "label", 20, None)] * 3


def test_the_table_says_what_is_real(command: Command, save: Save, results: dict[str, Document]) -> None:
    """Numbers, signed difference with its interval, the verdict in words, and what it rests on."""
    a, b = (save(name, document({"[b]m[/b]": result})) for name, result in results.items())
    done = command("compare", a, b)
    assert (done.code, done.err) == (0, "")
    text = " ".join(done.out.split())
    tpr = results["good"]["points"][0]["tpr"]
    assert "verification on main: [b]m[/b] metric A B" in text
    assert f"TPR@1e-2 {tpr:.4f}" in text
    assert "real: zero lies outside the 95% interval" in text
    assert "20 groups of labels" in text
    same = command("compare", a, save("same", document({"[b]m[/b]": results["good"]})))
    assert "unknown: there is no interval (the replicates do not vary)" in " ".join(same.out.split())
    assert "+0.0000" in same.out


def test_one_model_each_is_compared_whatever_its_name(
    command: Command, save: Save, results: dict[str, Document]
) -> None:
    """There is nothing else that could be meant."""
    a, b = (save(name, document({name: result})) for name, result in results.items())
    assert set(columns(command("compare", a, b, "--json"), "reference", "model")) == {("good", "poor")}


def test_models_are_named(command: Command, save: Save, results: dict[str, Document]) -> None:
    """Pairs in the order given, within one run too; alone, --model keeps to some of the common names."""
    a = save("a", document(results))
    pairs = ("--model", "good", "--with", "poor", "--model", "poor", "--with", "good")
    for other in (a, a / "results.json", save("b", document(results))):
        rows = columns(command("compare", a, other, *pairs, "--json"), "reference", "model")
        assert rows == [("good", "poor")] * 3 + [("poor", "good")] * 3
    one = command("compare", a, a.parent / "b", "--model", "poor", "--json")
    assert set(columns(one, "reference", "model")) == {("poor", "poor")}


def test_jobs_sets_and_targets_are_chosen(command: Command, save: Save, results: dict[str, Document]) -> None:
    """All that both have, or those that are named; what one of them lacks is said."""
    first, second = document({"m": results["good"]}), document({"m": results["good"]}, "night", "dark")
    both = {
        **first,
        "sets": first["sets"] + second["sets"],
        "evaluations": first["evaluations"] + second["evaluations"],
    }
    fewer = json.loads(json.dumps(both))
    result = fewer["evaluations"][1]["result"]
    result["points"].pop()
    result["intervals"]["replicates"]["tpr"].pop()
    a, b = save("a", both), save("b", fewer)
    done = command("compare", a, b, "--json")
    found = columns(done, "job", "set", "target")
    main = [("verification", "main", target) for target in (0.01, 0.1, None)]
    assert found == [*main, ("night", "dark", 0.01), ("night", "dark", None)]
    assert json.loads(done.out)["notes"] == ["only A has FPR 1e-1 in night on dark"]
    for option in (("--job", "night"), ("--set", "dark"), ("--job", "night", "--fpr", "1e-2")):
        assert set(columns(command("compare", a, b, *option, "--json"), "job")) == {("night",)}
    assert columns(command("compare", a, b, "--fpr", "0.01", "--set", "main", "--json"), "target") == [(0.01,), (None,)]
    command("compare", a, b, "--fpr", "0.1").refused("run B has no point at FPR 1e-1 in night on dark", "it has 1e-2")
    command("compare", a, b, "--job", "nights").refused("run A", "job 'nights'", "verification on main; night on dark")
    command("compare", a, b, "--fpr", "2").refused("2 is not a false-positive rate")


def edit(found: Document, **changes: Any) -> Document:
    """Return results whose set and whose only result are changed."""
    edited = copy.deepcopy(found)
    edited["sets"][0] |= {key: changes.pop(key) for key in ("digest", "n_samples", "n_labels") if key in changes}
    edited["evaluations"][0]["result"] |= changes
    return edited


def test_other_images_are_refused(command: Command, save: Save, results: dict[str, Document]) -> None:
    """A difference between sets is no difference between models: both are described."""
    a = document({"m": results["good"]})
    other = edit(a, digest="ef" * 32, n_samples=1081, n_labels=21)
    command("compare", save("a", a), save("b", other)).refused(
        "the images of verification on main are not the same",
        "80 images of 20 labels (digest cdcdcdcdcdcd...)",
        "1,081 images of 21 labels (digest efefefefefef...)",
    )
    command("compare", save("c", {**a, "sets": []}), save("d", {**a, "sets": []})).refused("no entry for it")


def test_sets_that_a_job_joins_are_all_looked_at(command: Command, save: Save, results: dict[str, Document]) -> None:
    """Probe and gallery: one other image in either is another evaluation."""
    joined = document({"m": results["good"]}, image_set="probe / gallery")
    entry = joined["sets"][0]
    a, other = (
        {**joined, "sets": [{**entry, "name": "probe"}, {**entry, "name": "gallery", "digest": digest}]}
        for digest in ("01", "02")
    )
    assert len(columns(command("compare", save("a", a), save("b", a), "--json"), "set")) == 3
    command("compare", save("c", a), save("d", other)).refused("are not the same", "digest 01", "digest 02")
    lacking = {**joined, "sets": [{**entry, "name": "probe"}]}
    command("compare", save("e", lacking), save("f", lacking)).refused("no entry for it")


def test_other_pairs_and_other_groups_are_refused(command: Command, save: Save, results: dict[str, Document]) -> None:
    """Replicates that left out other identities are not paired; results without any are compared all the same."""
    found = document({"m": results["good"]})
    a = save("a", found)
    command("compare", a, save("b", edit(found, protocol="cross"))).refused("other pairs", "protocol cross")
    first, second = (edit(found, listed={"digest": digest * 32, "excluded_pairs": 0}) for digest in ("01", "02"))
    command("compare", save("e", first), save("f", second)).refused("other pairs", "digest 0101", "digest 0202")
    by_sample = edit(found, intervals={**results["good"]["intervals"], "unit": "sample"})
    command("compare", a, save("c", by_sample)).refused("20 groups of labels", "20 groups of samples")
    rows = columns(command("compare", a, save("d", edit(found, intervals=None)), "--json"), "verdict", "reason")
    assert rows == [("unknown", "no replicates in the results")] * 3


def test_models_that_do_not_match_are_refused(command: Command, save: Save, results: dict[str, Document]) -> None:
    """With the names that are there and the nearest; a run is not compared with itself."""
    a = save("a", document({"resnet-18": results["good"], "vit": results["good"]}))
    b = save("b", document({"resnet18": results["poor"], "lcnet": results["poor"]}))
    command("compare", a, b).refused(
        "no model in common", "'resnet-18', 'vit'", "'resnet18', 'lcnet'", "--model 'resnet-18' --with 'resnet18'"
    )
    command("compare", a, b, "--model", "resnt-18", "--with", "lcnet").refused("run A", "did you mean 'resnet-18'?")
    command("compare", a, b, "--model", "vit", "--with", "zzz").refused("run B has no model 'zzz'", "'lcnet'")
    command("compare", a, b, "--model", "vit", "--with", "lcnet", "--with", "lcnet").refused("1 --model and 2 --with")
    command("compare", a, b, "--with", "lcnet").refused("0 --model and 1 --with")
    command("compare", a, a / "results.json").refused("the same run", "--model A --with B", "'vit'")
    command("compare", a, a, "--model", "vit").refused("'vit' would be compared with itself")


def test_a_model_without_a_result_is_said(command: Command, save: Save, results: dict[str, Document]) -> None:
    """The others are compared; where none is left, it is a mistake."""
    a = document(results)
    b = copy.deepcopy(a)
    b["evaluations"][0] |= {"status": "failed", "result": None}
    done = command("compare", save("a", a), save("b", b), "--json")
    assert set(columns(done, "model")) == {("poor",)}
    assert json.loads(done.out)["notes"] == ["model 'good' of B has no result of verification on main"]
    command("compare", save("c", document({"good": results["good"]})), save("d", b), "--model", "good").refused(
        "nothing can be compared", "'good' of B has no result"
    )


def test_runs_without_a_common_job_are_refused(command: Command, save: Save, results: dict[str, Document]) -> None:
    """Both lists are shown."""
    a, b = (document({"m": results["good"]}, image_set=name) for name in ("day", "dark"))
    command("compare", save("a", a), save("b", b)).refused("A has verification on day", "B has verification on dark")


NOT_RESULTS = [
    ("[1]", "no schema_version"),
    ("{", "it is no JSON"),
    ("{}", "no schema_version"),
    ('{"schema_version": 2}', "schema_version 2; this version of evaljobs reads 1"),
    ('{"schema_version": 1}', "no list of sets"),
    ('{"schema_version": 1, "sets": [], "models": [{}], "evaluations": []}', "models[0] has no name"),
]


@pytest.mark.parametrize(("text", "expected"), NOT_RESULTS, ids=[expected for _, expected in NOT_RESULTS])
def test_what_is_no_result_is_refused(command: Command, tmp_path: Path, text: str, expected: str) -> None:
    """Whatever else lies there, and results of a version that would be misread."""
    path = tmp_path / "a.json"
    path.write_text(text)
    command("compare", path, path).refused(str(path), expected)


@pytest.mark.parametrize("lost", ["auroc", "points", "intervals.replicates"])
def test_results_that_were_cut_are_refused(
    command: Command, save: Save, results: dict[str, Document], lost: str
) -> None:
    """By the place that is missing, without a traceback."""
    found = copy.deepcopy(document({"m": results["good"]}))
    *path, last = lost.split(".")
    part = found["evaluations"][0]["result"]
    for key in path:
        part = part[key]
    del part[last]
    command("compare", save("a", found), save("b", found)).refused("evaluations[0].result", lost.partition(".")[0])


def test_a_missing_run_is_refused(command: Command, tmp_path: Path) -> None:
    """What was looked for is named."""
    command("compare", tmp_path, tmp_path).refused(str(tmp_path / "results.json"), "expected the folder of a run")


def test_a_comparison_is_written_too(
    command: Command, save: Save, results: dict[str, Document], tmp_path: Path
) -> None:
    """As CSV, Parquet or Markdown by the ending, with the numbers that JSON has; nothing else is known."""
    a, b = (save(name, document({"m|x": result})) for name, result in results.items())
    for suffix in ("csv", "parquet", "md"):
        done = command("compare", a, b, "--json", "--out", tmp_path / f"found.{suffix}")
    rows = json.loads(done.out)["differences"]
    assert pq.read_table(tmp_path / "found.parquet").to_pylist() == rows
    with (tmp_path / "found.csv").open(newline="", encoding="utf-8") as stream:
        assert [float(row["difference"]) for row in csv.DictReader(stream)] == [row["difference"] for row in rows]
    page = (tmp_path / "found.md").read_text(encoding="utf-8")
    assert page.startswith("# Comparison\n\n## verification on main\n\n| model | metric |")
    assert page.count("| m&#124;x | ") == 3
    assert "\n- real: zero lies outside" in page
    command("compare", a, b, "--out", tmp_path / "found.xlsx").refused("'.xlsx'", "expected .csv, .parquet, .md")
    command("compare", a, b, "--out", tmp_path / "absent" / "found.csv").refused("no folder", "absent")
