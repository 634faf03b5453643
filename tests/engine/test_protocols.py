"""All pairs, probes against a gallery and listed pairs in one run: right numbers, and no more work than is needed."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml

import evaljobs
from evaljobs.config import load
from evaljobs.engine.forecast import forecast
from evaljobs.errors import ExitCode, UsageError
from evaljobs.models.options import Runtime
from evaljobs.pairs.verification import Verification
from evaljobs.progress import Quiet
from evaljobs.report.text.remarks import remarks

LABELS, EACH = 6, 7
TARGETS = ("1e-2", "0.1", "1")
PAIRS = [(a, b) for a in range(LABELS * EACH) for b in range(0, LABELS * EACH, 3) if a != b]


def name(row: int) -> str:
    """Return the sample id of a row; ids sort as rows do."""
    return f"label{row // EACH}/{row % EACH:03d}.png"


@pytest.fixture
def bench(bench: Any) -> Any:
    """Two overlapping sets of the same images, three jobs, one model."""
    bench.images(LABELS, EACH).model("a", seed=1)
    write_manifest(bench.folder / "probes.csv", range(24))
    write_manifest(bench.folder / "gallery.csv", range(18, 42))
    write_pairs(bench.folder / "pairs.csv", PAIRS)
    del bench.config["images"]
    bench.config["sets"] = {
        "main": {"images": {"folder": "images"}},
        "probes": {"images": {"manifest": "probes.csv", "id_column": "id"}},
        "gallery": {"images": {"manifest": "gallery.csv", "id_column": "id"}},
    }
    bench.config["jobs"] = [
        {"name": "whole", "groups": "5"},
        {"name": "crossed", "probe": "probes", "gallery": "gallery", "groups": "5"},
        {"name": "listed", "set": "main", "pairs": "pairs.csv", "groups": "5", "hardest": "9"},
    ]
    return bench


def write_manifest(path: Path, rows: range, *, renamed: int | None = None) -> None:
    lines = [f"images/{name(r)},{r // EACH},{name(r)}{'z' if r == renamed else ''}" for r in rows]
    path.write_text("\n".join(["uri,label,id", *lines]) + "\n")


def write_pairs(path: Path, pairs: list[tuple[int, int]], genuine: list[str] | None = None) -> None:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id_a", "id_b", *(["genuine"] if genuine else [])])
        writer.writerows([name(a), name(b), *([genuine[k]] if genuine else [])] for k, (a, b) in enumerate(pairs))


def stored(bench: Any) -> np.ndarray:
    """Return the embeddings that the store holds, by row of the set main."""
    prepared = prepared_of(bench)
    (key,) = prepared.keys.values()
    members = prepared.members(prepared.failures()["image_digest"].combine_chunks())["main"]
    rows: np.ndarray = prepared.store.table(key).read(members.digests, "embedding")
    return rows


def prepared_of(bench: Any) -> Any:
    from evaljobs.engine.prepare import prepare

    path = bench.write()
    return prepare(load(path), path, Quiet(), Runtime())


def expected(rows: np.ndarray) -> dict[str, Verification]:
    """Return what the Python functions find."""
    labels = [f"{r // EACH}" for r in range(LABELS * EACH)]
    ids = [name(r) for r in range(LABELS * EACH)]
    how: dict[str, Any] = {"groups": 5, "by_label": True}
    # The folder set's labels are folder names, which decide the groups.
    named = [f"label{label}" for label in labels]
    return {
        "whole": evaljobs.verify(rows, named, TARGETS, hardest=100, **how),
        "crossed": evaljobs.verify_cross(
            rows[:24], labels[:24], rows[18:], labels[18:], TARGETS,
            probe_ids=ids[:24], gallery_ids=ids[18:], hardest=100, **how,
        ),
        "listed": evaljobs.verify_pairs(rows, np.array(PAIRS), named, TARGETS, hardest=9, **how),
    }  # fmt: skip


def by_job(bench: Any) -> dict[str, dict[str, Any]]:
    return {entry["job"]: entry for entry in bench.results()["evaluations"]}


def test_three_protocols_in_one_run_are_those_of_the_functions(bench: Any) -> None:
    """From images to results.json: what `verify`, `verify_cross` and `verify_pairs` say of the stored embeddings."""
    bench.config["jobs"][1]["self_check"] = "30"
    assert bench.run().exit_code == ExitCode.OK
    found = by_job(bench)
    assert bench.computed() == (42, 42, 3)
    assert {job: entry["set"] for job, entry in found.items()} == {
        "whole": "main", "crossed": "probes / gallery", "listed": "main",
    }  # fmt: skip
    for job, truth in expected(stored(bench)).items():
        result = found[job]["result"]
        assert {key: result[key] for key in truth.to_json()} == json.loads(json.dumps(truth.to_json()))
        assert result["protocol"] == {"whole": "all", "crossed": "cross", "listed": "pairs"}[job]
    assert found["crossed"]["result"]["n_genuine"] + found["crossed"]["result"]["n_impostor"] == 24 * 24 - 6
    assert found["crossed"]["result"]["notes"] == ["6 pair(s) of samples of equal id are not compared"]
    assert found["crossed"]["result"]["self_check"]["agreed"] is True
    assert found["listed"]["result"]["listed"]["excluded_pairs"] == 0
    # Pairs that stand there either way round are said, and each counts.
    assert "stand in the list again" in found["listed"]["result"]["notes"][0]
    assert any("job listed on main" in line and "again" in line for line in remarks(bench.results()))
    assert "Notes on jobs" in (bench.out / "results.md").read_text()
    check_hardest(bench, found)


def check_hardest(bench: Any, found: dict[str, dict[str, Any]]) -> None:
    """Rows of probes, of the gallery and of listed pairs are named by the samples they are."""
    ids = [name(r) for r in range(LABELS * EACH)]
    for job, (a, b) in {"whole": (ids, ids), "crossed": (ids[:24], ids[18:]), "listed": (ids, ids)}.items():
        (path,) = [path for path in found[job]["tables"] if path.endswith(".hardest.parquet")]
        rows = pq.read_table(bench.out / path).to_pylist()
        assert len(rows) > 10
        assert [(r["id_a"], r["id_b"]) for r in rows] == [(a[r["row_a"]], b[r["row_b"]]) for r in rows]
        assert all((r["label_a"] == r["label_b"]) == (r["kind"] == "genuine") for r in rows)


def test_only_what_changed_is_evaluated_again(bench: Any) -> None:
    """Nothing, listed pairs, a name: each job depends on what its protocol looks at, and on no more."""
    bench.run()
    before = by_job(bench)
    bench.run()
    assert bench.computed() == (0, 0, 0)
    shutil.move(bench.folder / "pairs.csv", bench.folder / "moved.csv")
    bench.config["jobs"][2]["pairs"] = "moved.csv"
    bench.run(overwrite=True)
    assert bench.computed() == (0, 0, 0), "the place of the file is not its content"
    write_pairs(bench.folder / "moved.csv", PAIRS[:-1])
    bench.run(overwrite=True)
    assert bench.computed() == (0, 0, 1)
    after = by_job(bench)
    assert after["listed"]["result"] != before["listed"]["result"]
    assert after["listed"]["result"]["listed"]["digest"] != before["listed"]["result"]["listed"]["digest"]
    write_manifest(bench.folder / "gallery.csv", range(18, 42), renamed=20)
    bench.config["jobs"].append({"name": "other", "set": "gallery", "groups": "5"})
    bench.run(overwrite=True)
    assert bench.computed() == (0, 0, 2), "the renamed sample has no namesake any more; and the new job"
    assert "5 pair(s)" in by_job(bench)["crossed"]["result"]["notes"][0]
    write_manifest(bench.folder / "gallery.csv", range(18, 42))
    bench.run(overwrite=True)
    assert bench.computed() == (0, 0, 0), "all pairs of a set do not ask for names"


def test_genuine_column_stands_over_the_labels(bench: Any) -> None:
    """As it is written, in words or numbers; that it contradicts the labels is said."""
    genuine = ["yes" if (a + b) % 2 else "0" for a, b in PAIRS]
    write_pairs(bench.folder / "pairs.csv", PAIRS, genuine)
    bench.run()
    result = by_job(bench)["listed"]["result"]
    truth = evaljobs.verify_pairs(
        stored(bench), np.array(PAIRS), None, TARGETS, genuine=[word == "yes" for word in genuine]
    )
    assert (result["n_genuine"], result["n_impostor"]) == (genuine.count("yes"), genuine.count("0"))
    assert [p["threshold"] for p in result["points"]] == [p.threshold for p in truth.points]
    assert any("says otherwise than the labels" in note for note in result["notes"])


def test_pairs_of_excluded_images_are_left_out_and_said(bench: Any) -> None:
    """An image that cannot be decoded takes its pairs with it: counted, noted, never silent."""
    (bench.folder / "images" / name(3)).write_bytes(b"no image")
    bench.run()
    result = by_job(bench)["listed"]["result"]
    kept = [pair for pair in PAIRS if 3 not in pair]
    left_out = len(PAIRS) - len(kept)
    assert left_out > 0
    assert result["listed"]["excluded_pairs"] == left_out
    assert result["n_genuine"] + result["n_impostor"] == len(kept)
    assert any(f"{left_out:,} of {len(PAIRS):,} listed pairs" in note for note in result["notes"])
    rows = [(a - (a > 3), b - (b > 3)) for a, b in kept]
    labels = [f"label{r // EACH}" for r in range(LABELS * EACH) if r != 3]
    truth = evaljobs.verify_pairs(stored(bench), np.array(rows), labels, TARGETS, groups=5, by_label=True)
    assert result["points"] == json.loads(json.dumps(truth.to_json()["points"]))


def test_pairs_that_are_all_excluded_fail_by_name(bench: Any) -> None:
    """That job has no result, and says why; the others have theirs."""
    (bench.folder / "images" / name(3)).write_bytes(b"no image")
    write_pairs(bench.folder / "pairs.csv", [(3, 5), (8, 3)])
    assert bench.run().exit_code == ExitCode.SOME_FAILED
    found = by_job(bench)
    assert {job: entry["status"] for job, entry in found.items()} == {
        "whole": "ok",
        "crossed": "ok",
        "listed": "failed",
    }
    assert "2 listed pairs" in found["listed"]["error"]["message"]


def test_rows_that_cannot_be_compared_are_named_in_either_set(bench: Any) -> None:
    """A model that gives zeros for the gallery's images: their ids are said, not numbers."""
    bench.model("zero", seed=1, extra=[zeroing()], output="z")
    bench.run()
    failed = [e for e in bench.results()["evaluations"] if e["model"] == "zero" and e["job"] == "crossed"]
    assert f"48 of 48 embeddings are NaN, infinite or all zero; the first: {name(0)}" in failed[0]["error"]["message"]


def zeroing() -> Any:
    from onnx import helper

    return helper.make_node("Sub", ["y", "y"], ["z"])


def test_plan_counts_the_pairs_of_each_protocol(bench: Any) -> None:
    """Those of the triangle, of the rectangle without namesakes, of the list."""
    path = bench.write()
    found = forecast(load(path), path, Quiet())
    assert found.pairs == 42 * 41 // 2 + (24 * 24 - 6) + len(PAIRS)


@pytest.mark.parametrize(
    ("job", "expected"),
    [
        ({"probe": "probes"}, "`probe` is given without `gallery`"),
        ({"gallery": "gallery"}, "`gallery` is given without `probe`"),
        ({"set": "main", "probe": "probes", "gallery": "gallery"}, "found `set` beside `probe` and `gallery`"),
        ({"probe": "probes", "gallery": "gallery", "pairs": "pairs.csv"}, "found `pairs` beside"),
        ({"probe": "main", "gallery": "main"}, "are the same set"),
        ({"probe": "probes", "gallery": "galery"}, "no set 'galery'"),
        ({"pairs": "pairs.csv", "self_check": "100"}, "found `self_check` beside `pairs`"),
        ({"self_check": "1"}, "at least 2"),
        ({"pairs": "none.csv"}, "no file of pairs"),
    ],
)
def test_what_does_not_go_together_is_refused(bench: Any, job: dict[str, str], expected: str) -> None:
    """Before anything is started or written, with what to do."""
    bench.config["jobs"] = [{"name": "wrong", **job}]
    with pytest.raises(UsageError, match=r"wrong|pairs") as error:
        bench.run()
    assert expected in str(error.value)
    assert not list((bench.folder / "store").rglob("*.arrow"))


def test_unknown_id_ends_the_run_before_images_are_read(bench: Any) -> None:
    """How many, the first of them, what ids look like; nothing was started."""
    bench.config["jobs"] = yaml.safe_load("[{name: j, pairs: pairs.csv}]")
    (bench.folder / "pairs.csv").write_text(f"id_a,id_b\n{name(0)},nobody\nsomebody,{name(1)}\n")
    with pytest.raises(UsageError, match=r"2 id\(s\) are not among the 42 of the set 'main'") as error:
        bench.run()
    assert "'nobody'" in str(error.value)
    assert repr(name(0)) in str(error.value)
    assert not list((bench.folder / "store").rglob("*.arrow"))
