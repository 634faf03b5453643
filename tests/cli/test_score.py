"""Vectors that somebody already has: every format, right numbers, bad tables named."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow import feather
from sklearn.metrics import roc_auc_score, roc_curve

from evaljobs.errors import InputError
from evaljobs.vectors import Columns, read_vectors

Command = Callable[..., Any]

TARGETS = ("1e-3", "0.05", "1")


@pytest.fixture(scope="module")
def vectors() -> tuple[np.ndarray, np.ndarray]:
    """Return 60 noisy vectors of 12 labels, float32."""
    rng = np.random.default_rng(5)
    labels = np.arange(60) % 12
    return (rng.normal(size=(12, 8))[labels] + rng.normal(size=(60, 8))).astype(np.float32), labels


def as_table(embeddings: np.ndarray, kind: str) -> pa.Table:
    rows = embeddings.tolist()
    width = embeddings.shape[1]
    types = {
        "list": pa.list_(pa.float32()),
        "large_list": pa.large_list(pa.float32()),
        "fixed": pa.list_(pa.float32(), width),
        "double": pa.list_(pa.float64()),
    }
    return pa.table({"embedding": pa.array(rows, types[kind])})


def write(path: Path, table: pa.Table, how: str) -> Path:
    """Write a table as an Arrow file, an Arrow stream, Feather or Parquet."""
    if how == "parquet":
        pq.write_table(table, path)
    elif how == "feather":
        feather.write_feather(table, path)
    else:
        maker = pa.ipc.new_file if how == "file" else pa.ipc.new_stream
        with pa.OSFile(str(path), "wb") as sink, maker(sink, table.schema) as writer:
            writer.write_table(table, max_chunksize=17)
    return path


def check(found: dict[str, object], embeddings: np.ndarray, labels: np.ndarray) -> None:
    """Compare a result with scikit-learn's on all pairs."""
    rows = embeddings.astype(np.float64)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    i, j = np.triu_indices(len(rows), 1)
    scores, genuine = (rows[i] * rows[j]).sum(axis=1), labels[i] == labels[j]
    fpr, tpr, thresholds = roc_curve(genuine, scores, drop_intermediate=False)
    n_genuine, n_impostor = int(genuine.sum()), int((~genuine).sum())
    assert (found["n_genuine"], found["n_impostor"]) == (n_genuine, n_impostor)
    assert found["auroc"] == pytest.approx(roc_auc_score(genuine, scores), abs=1e-12)
    points = found["points"]
    assert isinstance(points, list)
    assert [point["target"] for point in points] == [float(target) for target in TARGETS]
    for point in points:
        at = int(np.flatnonzero(fpr <= point["target"])[-1])
        assert point["false_positives"] == round(fpr[at] * n_impostor)
        assert point["true_positives"] == round(tpr[at] * n_genuine)
        assert point["threshold"] == pytest.approx(thresholds[at], abs=1e-12)


TARGET_OPTIONS = [option for target in TARGETS for option in ("--fpr", target)]


@pytest.mark.parametrize(
    ("name", "how", "kind"),
    [
        ("a.arrow", "file", "fixed"),
        ("a.arrow", "stream", "list"),
        ("a.feather", "feather", "large_list"),
        ("a.ipc", "file", "double"),
        ("a.parquet", "parquet", "list"),
        ("a.parquet", "parquet", "fixed"),
    ],
)
def test_score_of_a_table_is_that_of_scikit_learn(
    command: Command, vectors: tuple[np.ndarray, np.ndarray], tmp_path: Path, name: str, how: str, kind: str
) -> None:
    """Whatever the format and however the lists are stored: every count, every threshold."""
    embeddings, labels = vectors
    table = as_table(embeddings, kind).append_column("label", pa.array([f"person {label}" for label in labels]))
    done = command("score", write(tmp_path / name, table, how), "--json", *TARGET_OPTIONS)
    assert done.code == 0
    check(json.loads(done.out), embeddings, labels)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_score_of_an_npz(
    command: Command, vectors: tuple[np.ndarray, np.ndarray], tmp_path: Path, save: Callable[..., None]
) -> None:
    """The columns may have names of their own, and further ones do not matter."""
    embeddings, labels = vectors
    save(tmp_path / "a.npz", features=embeddings, person=labels, other=np.zeros(3))
    columns = ["--embedding", "features", "--label", "person"]
    done = command("score", tmp_path / "a.npz", "--json", *columns, *TARGET_OPTIONS)
    assert done.code == 0
    check(json.loads(done.out), embeddings, labels)


def test_score_for_people(command: Command, vectors: tuple[np.ndarray, np.ndarray], tmp_path: Path) -> None:
    """A table on standard output with the pairs, both scales and what the flags mean; progress goes elsewhere."""
    embeddings, labels = vectors
    np.savez(tmp_path / "a.npz", embedding=embeddings.astype(np.float64) + 1e-12, label=labels)
    done = command("score", tmp_path / "a.npz", "--fpr", "1e-3")
    assert done.code == 0
    assert "60 samples, 120 genuine and 1,650 impostor pairs" in done.out
    assert "(cos+1)/2" in done.out
    assert "few_errors: the target allows fewer than 30" in done.out
    assert "rounded to float32" in done.out
    assert "pairs: 1,770 of 1,770" in done.err


def test_rows_that_cannot_be_compared_are_named(command: Command, tmp_path: Path) -> None:
    """NaN, infinite and all-zero rows: how many, and the first by id, or by number where there is none."""
    embeddings = np.ones((9, 2), dtype=np.float32)
    embeddings[[2, 4, 7]] = [[np.nan, 1], [np.inf, 1], [0, 0]]
    labels = np.arange(9) % 3
    np.savez(tmp_path / "a.npz", embedding=embeddings, label=labels, id=[f"face-{n}" for n in range(9)])
    command("score", tmp_path / "a.npz").refused("3 of 9", "face-2", "face-4", "face-7")
    np.savez(tmp_path / "b.npz", embedding=embeddings, label=labels)
    command("score", tmp_path / "b.npz").refused("3 of 9", "2, 4, 7")


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        (pa.array([[1.0, 2.0], [1.0], [3.0, 1.0]]), "different lengths ([1, 2])"),
        (pa.array([[1.0, 2.0], None, [3.0, 1.0]]), "no nulls"),
        (pa.array([[1.0, 2.0], [None, 1.0], [3.0, 1.0]]), "1 numbers inside embeddings are null"),
        (pa.array([1.0, 2.0, 3.0]), "expected a list of floating-point numbers"),
        (pa.array(["a", "b", "c"]), "expected a list of floating-point numbers"),
    ],
)
@pytest.mark.parametrize("how", ["file", "parquet"])
def test_embeddings_that_are_no_matrix(
    command: Command, tmp_path: Path, column: pa.Array, expected: str, how: str
) -> None:
    """Ragged lists, nulls and other types are refused, never filled up."""
    path = tmp_path / ("a.parquet" if how == "parquet" else "a.arrow")
    write(path, pa.table({"embedding": column, "label": pa.array(["x", "x", "y"])}), how)
    command("score", path).refused(str(path), expected)


def test_null_label_is_refused(command: Command, tmp_path: Path) -> None:
    """A sample without a label belongs to nobody: it is not a label of its own."""
    table = pa.table({"embedding": [[1.0, 2.0], [2.0, 1.0]], "label": pa.array(["x", None])})
    command("score", write(tmp_path / "a.parquet", table, "parquet")).refused("1 labels are null")


def test_missing_column_is_named_with_the_nearest(command: Command, tmp_path: Path) -> None:
    """What was found, and the option that names another column."""
    np.savez(tmp_path / "a.npz", embeddings=np.ones((3, 2)), label=[1, 1, 2])
    command("score", tmp_path / "a.npz").refused("no column 'embedding'", "did you mean --embedding embeddings?")
    table = pa.table({"embedding": [[1.0, 2.0]], "who": ["x"]})
    path = write(tmp_path / "a.parquet", table, "parquet")
    command("score", path).refused("no column 'label'", "found: embedding, who", "name it with --label")


@pytest.mark.parametrize("name", ["a.csv", "a", "a.npy"])
def test_unknown_ending(command: Command, tmp_path: Path, name: str) -> None:
    """The formats that are known are listed."""
    (tmp_path / name).write_text("embedding,label\n")
    command("score", tmp_path / name).refused("no format is known", ".parquet", ".npz", ".arrow")


@pytest.mark.parametrize("name", ["a.arrow", "a.parquet", "a.npz"])
def test_no_file(command: Command, tmp_path: Path, name: str) -> None:
    """A path with nothing behind it."""
    command("score", tmp_path / name).refused(f"no file {tmp_path / name}")


@pytest.mark.parametrize("name", ["a.arrow", "a.parquet"])
@pytest.mark.parametrize("keep", [0.0, 0.3, 0.9])
def test_truncated_table(
    command: Command, vectors: tuple[np.ndarray, np.ndarray], tmp_path: Path, name: str, keep: float
) -> None:
    """An upload that broke off is known for what it is."""
    embeddings, labels = vectors
    table = as_table(embeddings, "fixed").append_column("label", pa.array(labels))
    path = write(tmp_path / name, table, "file" if name == "a.arrow" else "parquet")
    cut(path, keep)
    command("score", path).refused(f"cannot read {path}")


@pytest.mark.parametrize("keep", [0.0, 0.3, 0.9])
def test_truncated_npz(command: Command, vectors: tuple[np.ndarray, np.ndarray], tmp_path: Path, keep: float) -> None:
    """The same of an archive, and nothing is left open."""
    embeddings, labels = vectors
    np.savez(tmp_path / "a.npz", embedding=embeddings, label=labels)
    cut(tmp_path / "a.npz", keep)
    command("score", tmp_path / "a.npz").refused("cannot read", "no .npz archive")


def test_damaged_archive(command: Command, vectors: tuple[np.ndarray, np.ndarray], tmp_path: Path) -> None:
    """Wrong bits in compressed data are an error of the file, not of the program."""
    embeddings, labels = vectors
    path = tmp_path / "a.npz"
    np.savez_compressed(path, embedding=embeddings, label=labels)
    data = bytearray(path.read_bytes())
    data[100:400] = bytes(300)
    path.write_bytes(data)
    command("score", path).refused(f"cannot read {path}")


def test_single_array_is_no_archive(command: Command, tmp_path: Path) -> None:
    """A .npy file under another name."""
    with (tmp_path / "a.npz").open("wb") as file:
        np.save(file, np.eye(3))
    command("score", tmp_path / "a.npz").refused("no .npz archive")


def test_stream_that_was_cut_between_batches(tmp_path: Path) -> None:
    """Every prefix of a stream is refused: none is taken for a smaller table."""
    table = as_table(np.eye(40, dtype=np.float32) + 1, "list").append_column("label", pa.array(np.arange(40) % 4))
    data = write(tmp_path / "whole.arrow", table, "stream").read_bytes()
    path = tmp_path / "a.arrow"
    for size in range(0, len(data), 8):  # Arrow's messages begin at multiples of 8
        path.write_bytes(data[:size])
        with pytest.raises(InputError, match="cannot read"):
            read_vectors(path, Columns())


def test_empty_table(command: Command, tmp_path: Path) -> None:
    """No row at all."""
    table = pa.table({"embedding": pa.array([], pa.list_(pa.float32())), "label": pa.array([], pa.string())})
    command("score", write(tmp_path / "a.parquet", table, "parquet")).refused("the table is empty")


def cut(path: Path, keep: float) -> None:
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * keep)])


@pytest.mark.parametrize(("rate", "expected"), [("0", "0 < rate <= 1"), ("often", "not a decimal"), ("1/3", "decimal")])
def test_bad_rate(command: Command, tmp_path: Path, rate: str, expected: str) -> None:
    """A target that is no false-positive rate."""
    np.savez(tmp_path / "a.npz", embedding=np.eye(3), label=[1, 1, 2])
    command("score", tmp_path / "a.npz", "--fpr", rate).refused(expected)


def test_one_label_in_all_is_a_result(command: Command, tmp_path: Path) -> None:
    """No impostor pair: rates are null, the reason is a flag, and the output is valid JSON."""
    np.savez(tmp_path / "a.npz", embedding=np.eye(3) + 1, label=["x", "x", "x"])
    done = command("score", tmp_path / "a.npz", "--json", "--fpr", "0.1")
    assert done.code == 0
    found = json.loads(done.out)
    assert found["auroc"] is None
    (point,) = found["points"]
    assert (point["fpr"], point["flags"]) == (None, ["no_impostors"])
    assert "no_impostors" in command("score", tmp_path / "a.npz", "--fpr", "0.1").out
