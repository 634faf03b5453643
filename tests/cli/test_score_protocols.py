"""Vectors that somebody already has: probes against a gallery, listed pairs, hardest pairs, intervals, self-check."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet as pq
import pytest

import evaljobs
from evaljobs.remote import objects
from tests.s3_server import S3Server

Command = Callable[..., Any]

N = 60
LABELS = np.arange(N) % 12
IDS = [f"s{row:02d}" for row in range(N)]
TARGETS = ("0.05", "1")
OPTIONS = [option for target in TARGETS for option in ("--fpr", target)]
PAIRS = np.array([(a, b) for a in range(0, N, 2) for b in range(1, N, 3) if a != b])


@pytest.fixture(scope="module")
def rows() -> np.ndarray:
    """Return noisy vectors of 12 labels, float32."""
    rng = np.random.default_rng(5)
    return (rng.normal(size=(12, 8))[LABELS] + rng.normal(size=(N, 8))).astype(np.float32)


def save(path: Path, rows: np.ndarray, part: slice = slice(None), **columns: Any) -> Path:
    """Write a table of some rows; columns that are None are left out."""
    columns = {"label": LABELS, "id": np.array(IDS), **columns}
    found = {name: np.asarray(values)[part] for name, values in columns.items() if values is not None}
    table = {"embedding": pa.FixedSizeListArray.from_arrays(pa.array(rows[part].ravel()), rows.shape[1])}
    pq.write_table(pa.table({**table, **{name: pa.array(values) for name, values in found.items()}}), path)
    return path


def save_pairs(path: Path, names: list[str], genuine: list[bool] | None = None) -> Path:
    columns: dict[str, Any] = {"id_a": [names[a] for a, _ in PAIRS], "id_b": [names[b] for _, b in PAIRS]}
    pq.write_table(pa.table(columns | ({} if genuine is None else {"genuine": genuine})), path)
    return path


def check(done: Any, truth: evaljobs.Verification) -> dict[str, Any]:
    """Compare what was printed with what the function returns."""
    assert done.code == 0, done.err
    found = json.loads(done.out)
    assert {key: found[key] for key in truth.to_json()} == json.loads(json.dumps(truth.to_json()))
    assert isinstance(found, dict)
    return found


def test_all_pairs_with_hardest_and_self_check(command: Command, rows: np.ndarray, tmp_path: Path) -> None:
    """Everything that the function finds, the hardest pairs by id, and that scikit-learn agrees."""
    table = save(tmp_path / "a.parquet", rows)
    done = command("score", table, "--json", *OPTIONS, "--hardest", "7", "--groups", "6", "--self-check", "50")
    truth = evaljobs.verify(rows, LABELS, TARGETS, hardest=7, groups=6, by_label=True)
    found = check(done, truth)
    assert found["points"][0]["tpr_ci"] is not None
    assert found["self_check"] == {"n_samples": 48, "n_pairs": 48 * 47 // 2, "agreed": True}
    assert truth.findings is not None
    assert truth.findings.hardest_impostor is not None
    impostors = [row for row in found["hardest"] if row["kind"] == "impostor"]
    assert [(r["id_a"], r["id_b"], r["score"]) for r in impostors] == [
        (IDS[p.a], IDS[p.b], p.score) for p in truth.findings.hardest_impostor
    ]
    assert [r["rank"] for r in impostors] == list(range(1, 8))


def test_gallery(command: Command, rows: np.ndarray, tmp_path: Path) -> None:
    """Every row against every row of the other table, without those of equal id; ids of either table."""
    probes = save(tmp_path / "p.parquet", rows, slice(0, 35))
    gallery = save(tmp_path / "g.parquet", rows, slice(25, N))
    done = command("score", probes, "--gallery", gallery, "--json", *OPTIONS, "--hardest", "5", "--self-check", "70")
    truth = evaljobs.verify_cross(
        rows[:35], LABELS[:35], rows[25:], LABELS[25:], TARGETS,
        probe_ids=IDS[:35], gallery_ids=IDS[25:], hardest=5, by_label=True,
    )  # fmt: skip
    found = check(done, truth)
    assert found["protocol"] == "cross"
    assert found["notes"] == ["10 pair(s) of samples of equal id are not compared"]
    assert found["self_check"]["n_samples"] == 70
    assert len(found["hardest"]) == 10
    assert all(IDS[row["row_a"]] == row["id_a"] for row in found["hardest"])
    assert all(IDS[25 + row["row_b"]] == row["id_b"] for row in found["hardest"])


def test_listed_pairs(command: Command, rows: np.ndarray, tmp_path: Path) -> None:
    """By id, genuine by the labels."""
    table = save(tmp_path / "a.parquet", rows)
    done = command("score", table, "--pairs", save_pairs(tmp_path / "p.parquet", IDS), "--json", *OPTIONS)
    truth = evaljobs.verify_pairs(rows, PAIRS, LABELS, TARGETS, by_label=True)
    found = check(done, truth)
    assert (found["protocol"], found["notes"], found["hardest"]) == ("pairs", [*truth.notes], [])


@pytest.mark.parametrize("kind", ["parquet", "arrow", "npz"])
def test_tables_and_pairs_on_s3(command: Command, rows: np.ndarray, tmp_path: Path, s3: S3Server, kind: str) -> None:
    """They say what the same files say here; a gallery is the table itself under any way to write its place."""
    table, pairs, bucket = tmp_path / f"a.{kind}", save_pairs(tmp_path / "p.csv", IDS), s3.bucket()
    if kind == "npz":
        np.savez(table, embedding=rows, label=LABELS, id=IDS)
    else:
        save(tmp_path / "a.parquet", rows)
        if kind == "arrow":
            pa.feather.write_feather(pq.read_table(tmp_path / "a.parquet"), table)
    there = [f"{bucket}/{path.name}" for path in (table, pairs)]
    for uri, path in zip(there, (table, pairs), strict=True):
        objects.replace(uri, path.read_bytes())
    here = command("score", table, "--pairs", pairs, "--json", *OPTIONS)
    done = command("score", there[0], "--pairs", there[1], "--json", *OPTIONS)
    assert (here.code, done.code) == (0, 0), here.err + done.err
    assert done.out == here.out
    command("score", there[0], "--gallery", f"{bucket}//a.{kind}").refused("is the table itself")


def test_listed_pairs_of_a_table_without_labels_and_ids(command: Command, rows: np.ndarray, tmp_path: Path) -> None:
    """The file says what is genuine; rows are counted from 0, and that is said."""
    genuine = [bool((a * b) % 3) for a, b in PAIRS]
    table = save(tmp_path / "a.parquet", rows, label=None, id=None)
    pairs = save_pairs(tmp_path / "p.parquet", [str(row) for row in range(N)], genuine)
    found = check(
        command("score", table, "--pairs", pairs, "--json", "--hardest", "3", *OPTIONS),
        evaljobs.verify_pairs(rows, PAIRS, None, TARGETS, genuine=genuine, hardest=3),
    )
    assert "its rows, counted from 0" in found["notes"][0]
    assert {row["id_a"] for row in found["hardest"]} == {None}
    assert "row " in command("score", table, "--pairs", pairs, "--hardest", "3").out


def test_score_for_people_says_what_to_look_at(command: Command, tmp_path: Path) -> None:
    """Intervals beside rates, a pair of labels that makes most errors, and the hardest pairs; names act on nothing."""
    rng = np.random.default_rng(1)
    centres = rng.normal(size=(30, 8))
    centres[1] = centres[0]  # one person under two names
    labels = np.arange(300) % 30
    rows = (centres[labels] + 0.2 * rng.normal(size=(300, 8))).astype(np.float32)
    names = np.array([f"p{label}" if label else "p0\x1b[31m" for label in labels])
    table = tmp_path / "a.npz"
    np.savez(table, embedding=rows, label=names, id=[f"\x1b[1m{row}" for row in range(300)])
    done = command("score", table, "--fpr", "1e-3", "--hardest", "25", "--self-check", "60")
    assert done.code == 0
    assert "\x1b" not in done.out
    assert "[ ]: 95% interval, from 20 groups of labels" in done.out
    told = " ".join(done.out.split())
    assert "FPR 1e-3: 100% of the 43 false positives are between 'p0\\x1b[31m' and 'p1': is it one identity?" in told
    assert "self-check: agrees with scikit-learn on 1,770 pairs of 60 samples" in done.out
    assert "\\x1b[1m" in done.out
    assert "and 10 more with --json" in done.out


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--gallery", "g.parquet", "--pairs", "p.parquet"], "found --gallery beside --pairs"),
        (["--pairs", "p.parquet", "--self-check", "9"], "found --self-check beside --pairs"),
        (["--gallery", "a.parquet"], "is the table itself"),
        (["--gallery", "none.parquet"], "no file none.parquet"),
        (["--gallery", "noid.parquet"], "noid.parquet has no column 'id'"),
        (["--gallery", "nolabel.parquet"], "no column 'label'"),
        (["--pairs", "none.csv"], "no file of pairs none.csv"),
        (["--pairs", "other.csv"], "1 id(s) are not among the 60 of a.parquet, the first: 'x'"),
        (["--groups", "1"], "groups=1"),
        (["--hardest", "-1"], "hardest=-1"),
        (["--self-check", "1"], "self-check of 1"),
    ],
)
def test_what_does_not_go_together_is_refused(
    command: Command, rows: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: Any, expected: str
) -> None:
    """What was found, what was expected; exit code 2."""
    monkeypatch.chdir(tmp_path)
    save(Path("a.parquet"), rows)
    save(Path("g.parquet"), rows, slice(0, 9))
    save(Path("noid.parquet"), rows, id=None)
    save(Path("nolabel.parquet"), rows, label=None)
    save_pairs(Path("p.parquet"), IDS)
    Path("other.csv").write_text("id_a,id_b\ns00,x\n")
    command("score", "a.parquet", *options).refused(expected)


def test_pairs_of_ambiguous_ids_are_refused(command: Command, rows: np.ndarray, tmp_path: Path) -> None:
    """An id that two samples have names neither; a sample without an id is refused too."""
    pairs = save_pairs(tmp_path / "p.parquet", IDS)
    table = save(tmp_path / "a.parquet", rows, id=[*IDS[:-2], "s00", "s01"])
    command("score", table, "--pairs", pairs).refused("2 id(s) stand more than once, the first: 's00', 's01'", "--id")
    table = save(tmp_path / "b.parquet", rows, id=np.array([*IDS[:-1], None], dtype=object))
    command("score", table, "--pairs", pairs).refused("1 ids are null")
