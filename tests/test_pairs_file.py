"""Files of pairs: every way of writing them, and what is said when they cannot be used."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from evaljobs.errors import UsageError
from evaljobs.pairs_file import ListedPairs, find_rows, read_pairs

IDS = ["a", "b", "c", "7", "ü/é.png"]


def find(path: Path) -> ListedPairs:
    return find_rows(read_pairs(path), IDS, "the set 'main'")


@pytest.mark.parametrize(
    ("header", "words", "meant"),
    [
        ("id_a,id_b", ["", "", ""], None),
        ("id_a,id_b,genuine", [",true", ",FALSE", ",True"], [True, False, True]),
        ("id_a,id_b,genuine", [",1", ",0", ",0"], [True, False, False]),
        ("id_a,id_b,genuine", [",yes", ", No ", ",no"], [True, False, False]),
        ("id_a,id_b,note", [",x", ",", ",z"], None),
    ],
)
def test_csv_is_read_as_it_is_written(tmp_path: Path, header: str, words: list[str], meant: list[bool] | None) -> None:
    """Ids are text, words mean what they say, other columns do not matter, nor does a byte order mark."""
    lines = [header, *(pair + word for pair, word in zip(["a,b", "7,ü/é.png", "c,a"], words, strict=True))]
    (tmp_path / "p.csv").write_text("\n".join(lines) + "\n", encoding="utf-8-sig")
    found = find(tmp_path / "p.csv")
    assert found.rows.tolist() == [[0, 1], [3, 4], [2, 0]]
    assert (None if found.genuine is None else found.genuine.tolist()) == meant


@pytest.mark.parametrize("ending", ["gz", "bz2", "lz4", "zst"])
def test_compressed_csv_is_known_by_its_ending(tmp_path: Path, ending: str) -> None:
    """As tools write it; one that was cut off is no shorter list."""
    path = tmp_path / f"p.csv.{ending}"
    with pa.output_stream(path) as file:
        file.write("id_a,id_b\na,b\nü/é.png,7\n".encode())
    assert find(path).rows.tolist() == [[0, 1], [4, 3]]
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(UsageError, match="cannot be read"):
        read_pairs(path)


@pytest.mark.parametrize("genuine", [pa.array([True, False]), pa.array([1, 0]), pa.array(["yes", "no"])])
@pytest.mark.parametrize("ids", [pa.array(["7", "a"]), pa.array(["7", "a"]).dictionary_encode()])
def test_parquet_is_known_by_its_content(tmp_path: Path, genuine: pa.Array, ids: pa.Array) -> None:
    """Whatever its name, and however columns are stored."""
    pq.write_table(pa.table({"id_a": ids, "id_b": pa.array(["b", "c"]), "genuine": genuine}), tmp_path / "p.csv")
    found = find(tmp_path / "p.csv")
    assert found.rows.tolist() == [[3, 1], [0, 2]]
    assert found.genuine is not None
    assert found.genuine.tolist() == [True, False]


def test_integer_ids_are_the_texts_of_ids(tmp_path: Path) -> None:
    """A set's ids are text; numbers in Parquet find them."""
    pq.write_table(pa.table({"id_a": [7], "id_b": ["a"]}), tmp_path / "p.parquet")
    assert find(tmp_path / "p.parquet").rows.tolist() == [[3, 0]]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"id_a,idb\na,b\n", "no column 'id_b'; did you mean 'idb'?"),
        (b"a,b\nb,c\n", "names the columns"),
        (b"id_a;id_b\na;b\n", "no column 'id_"),
        (b"id_a,id_b,id_a\na,b,c\n", "2 columns named 'id_a'"),
        (b"id_a,id_b,genuine,genuine\na,b,1,1\n", "2 columns named 'genuine'"),
        (b"id_a,id_b\n", "no rows"),
        (b"", "cannot be read"),
        (b"id_a,id_b\n\xff\xfe,b\n", "not UTF-8"),
        (b"id_a,\xff\na,b\n", "UTF-8"),
        (b"id_a,id_b\na,b\nc,\n", "1 row(s) have no value in column 'id_b', the first in row 2"),
        (b"id_a,id_b,genuine\na,b,1\na,c,maybe\n", "such as 'maybe', the first in row 2"),
        (b"id_a,id_b,genuine\na,b,\n", "such as ''"),
        (b"id_a,id_b\na,b\nb,b\n", "1 row(s) pair a sample with itself, the first in row 2"),
        (b"id_a,id_b\na,x\ny,x\n", "2 id(s) are not among the 5 of the set 'main', the first: 'y', 'x'"),
        (b"id_a,id_b\na,b\na\n", "cannot be read"),
        (b"PAR1 not really", "cannot be read"),
    ],
)
def test_files_that_cannot_be_used(tmp_path: Path, content: bytes, expected: str) -> None:
    """What was found, where, and what to do."""
    (tmp_path / "p.csv").write_bytes(content)
    with pytest.raises(UsageError) as error:
        find(tmp_path / "p.csv")
    assert expected in str(error.value)
    assert str(tmp_path / "p.csv") in str(error.value)


def test_no_file_and_a_folder(tmp_path: Path) -> None:
    """A path with nothing behind it, or with no file."""
    with pytest.raises(UsageError, match="no file of pairs"):
        read_pairs(tmp_path / "none.csv")
    with pytest.raises(UsageError, match="is a folder"):
        read_pairs(tmp_path)


@pytest.mark.parametrize(
    "column", [pa.array([1.5, 2.5]), pa.array([None, "a"]), pa.array([[1], [2]])], ids=["float", "null", "list"]
)
def test_parquet_ids_of_other_types(tmp_path: Path, column: Any) -> None:
    """Ids are text or integers, and there."""
    pq.write_table(pa.table({"id_a": column, "id_b": ["a", "b"]}), tmp_path / "p.parquet")
    with pytest.raises(UsageError, match=r"text or integers|no value"):
        read_pairs(tmp_path / "p.parquet")


@pytest.mark.parametrize("seed", range(5))
def test_pairs_among_those_that_take_part(seed: int) -> None:
    """Rows are counted anew, pairs of others fall out and are counted: as a loop does it."""
    rng = np.random.default_rng(seed)
    pairs = rng.integers(0, 12, (40, 2))
    genuine, part = rng.random(40) < 0.5, rng.random(12) < 0.7
    found = ListedPairs(pairs, genuine, excluded=2).among(part)
    numbers = {row: number for number, row in enumerate(np.flatnonzero(part).tolist())}
    kept = [k for k, (a, b) in enumerate(pairs.tolist()) if a in numbers and b in numbers]
    assert found.rows.tolist() == [[numbers[a], numbers[b]] for a, b in pairs[kept].tolist()]
    assert found.genuine is not None
    assert found.genuine.tolist() == genuine[kept].tolist()
    assert found.excluded == 2 + 40 - len(kept)


def test_digest_is_that_of_the_content() -> None:
    """Every value of it tells: rows, order, the genuine column, how many were left out."""
    rows = np.array([[0, 1], [2, 3]])
    different = [
        ListedPairs(rows),
        ListedPairs(rows[::-1]),
        ListedPairs(rows[:, ::-1]),
        ListedPairs(rows, excluded=1),
        ListedPairs(rows, np.array([True, False])),
        ListedPairs(rows, np.array([False, True])),
    ]
    assert len({pairs.digest() for pairs in different}) == len(different)
    assert ListedPairs(np.asfortranarray(rows)).digest() == ListedPairs(rows).digest()
