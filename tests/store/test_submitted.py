"""What submissions have left in a store: what is still needed stays, whatever its age."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from evaljobs.errors import StoreError
from evaljobs.store import Store
from evaljobs.store.collecting import Collected, Tell, collect
from evaljobs.store.submitted import recorded
from evaljobs.store.trimming import Wish
from evaljobs.store.uses import Uses
from tests.store.filled import days_ago, fill

MONTH = 30 * 86400.0
LATE = Wish(unused_s=MONTH, submitted=True)


def quiet(_: object) -> None:
    """Say nothing."""


def digest(number: int) -> str:
    return f"{number:064x}"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Give a store in a local folder, where files may be made old."""
    return Store(str(tmp_path / "store")).open()


def put(store: Store, name: str, days: float, data: bytes = b"data") -> str:
    """Write a file that is so many days old."""
    store.folder.replace(name, data)
    os.utime(Path(store.location) / name, (days_ago(days),) * 2)
    return name


def put_set(store: Store, number: int, days: float, uris: list[str]) -> str:
    """Write the table of a set, which names its images."""
    data = io.BytesIO()
    pq.write_table(pa.table({"sample_id": uris, "uri": uris}), data)
    return put(store, f"uploads/sets/{digest(number)}.parquet", days, data.getvalue())


def note(store: Store, names: list[str], days: float) -> None:
    """Leave the record of a run that was given this, so many days ago."""
    before = {*store.folder.walk("uses")}
    places = [f"{store.location}/{name}" for name in names]
    Uses(store.folder, "a run", recorded(store.location, places)).record((), ())
    (made,) = {*store.folder.walk("uses")} - before
    os.utime(Path(store.location) / made.name, (days_ago(days),) * 2)


def trimmed(store: Store, wish: Wish = LATE, *, dry_run: bool = False) -> Collected:
    return collect(store, wish, Tell(quiet, quiet), dry_run=dry_run)


def left(store: Store) -> set[str]:
    return {entry.name for entry in store.folder.walk() if entry.name.startswith(("uploads/", "runs/"))}


def image(number: int, kind: str = "images") -> str:
    return f"uploads/{kind}/{digest(number)}"


def test_what_a_late_run_was_given_stays(store: Store) -> None:
    """Sets and models of its record, and images and containers that its sets name: though all were sent long ago."""
    root = f"s3://elsewhere/{store.location}"
    needed = [
        put(store, image(1), 300),
        put(store, image(2, "containers"), 300),
        put(store, image(3, "containers"), 300),
        put(store, f"uploads/models/{digest(4)}/model.onnx", 300),
        put(store, f"uploads/models/{digest(4)}/weights/part.bin", 300),
    ]
    uris = [f"{root}/{needed[0]}", f"tar:{root}/{needed[1]}#512,100", f"parquet:{root}/{needed[2]}#7,photo"]
    of_set = put_set(store, 5, 300, [*uris, "s3://theirs/uploads/images/x.png"])
    gone = [put(store, image(6), 300), put(store, f"uploads/models/{digest(7)}/model.onnx", 300)]
    gone.append(put_set(store, 8, 300, [f"{root}/{image(6)}", f"{root}/{image(1)}"]))
    note(store, [of_set, needed[3]], 10)
    note(store, [gone[2], gone[1]], 100)
    planned = trimmed(store, dry_run=True)
    assert left(store) == {*needed, of_set, *gone}
    done = trimmed(store)
    assert left(store) == {*needed, of_set}
    assert (done.uploads, done.runs) == (planned.uploads, planned.runs) == (3, 0)
    assert done.submitted == planned.submitted > 8


def test_what_was_sent_of_late_stays(store: Store) -> None:
    """Also without a record: a table that was sent yesterday needs images that were sent long ago."""
    old, new = put(store, image(1), 300), put(store, image(2), 1)
    of_set = put_set(store, 3, 1, [f"s3://b/{old}"])
    put(store, image(4), 300)
    trimmed(store)
    assert left(store) == {old, new, of_set}


def test_nothing_that_was_sent_goes_while_somebody_is_at_work(store: Store) -> None:
    """A run or a submission may need any of it; and a submission that begins meanwhile waits, as runs do."""
    put(store, image(1), 300)
    put(store, "runs/old-0123/old-1/results.json", 300)
    with Uses(store.folder, "a submission", [f"uploads/models/{digest(2)}"]).marked((), (), quiet):
        found = trimmed(store)
    assert (found.uploads, found.runs, left(store)) == (0, 1, {image(1)})
    assert "a submission" in found.holders[0]
    assert trimmed(store).uploads == 1


def test_runs_go_as_a_whole(store: Store) -> None:
    """By the last file that was written into their folder; of equal names, and deeper ones, each by itself."""
    for run, days in (("nightly-0123/nightly-1", 100), ("nightly-0123/nightly-2", 100), ("direct-4567", 100)):
        for name in ("results.json", "figures/roc.png", "tables/a/b.parquet"):
            put(store, f"runs/{run}/{name}", days)
    at_work = put(store, "runs/nightly-0123/nightly-2/.evaljobs.lease", 0)
    given_up = put(store, "runs/nightly-0123/nightly-3/failures.csv", 100)
    done = trimmed(store)
    assert done.runs == 3
    assert left(store) == {
        *(f"runs/nightly-0123/nightly-2/{name}" for name in ("results.json", "figures/roc.png", "tables/a/b.parquet")),
        at_work,
    }
    assert given_up not in left(store)


def test_results_go_before_what_they_name(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who is killed in between leaves no results.json whose pictures are gone."""
    for name in ("differences.csv", "results.json", "tables/a.parquet"):
        put(store, f"runs/r-0123/r-1/{name}", 100)
    order: list[str] = []
    delete = store.folder.delete
    monkeypatch.setattr(store.folder, "delete", lambda name: (order.append(name), delete(name)))
    trimmed(store)
    assert next(name for name in order if name.startswith("runs/")).endswith("results.json")


def test_without_being_asked_submissions_are_left_alone(store: Store) -> None:
    """By no wish but this one; and it trims the rest as without."""
    fill(store)
    files = {put(store, image(1), 300), put(store, "runs/r-0123/r-1/results.json", 300)}
    for wish in (Wish(unused_s=MONTH), Wish(keep_bytes=0)):
        assert (trimmed(store, wish).uploads, left(store)) == (0, files)


@pytest.mark.parametrize("columns", [False, True], ids=["all of it", "the columns"])
def test_a_table_that_cannot_be_read_stops_it(store: Store, columns: bool) -> None:
    """Nobody knows which images it needs: nothing is deleted, and it is said what to do."""
    put(store, image(1), 300)
    table = Path(store.location) / put_set(store, 2, 1, [image(1)])
    data = bytearray(table.read_bytes())
    first, last = (4, len(data) - 8 - int.from_bytes(data[-8:-4], "little")) if columns else (0, len(data))
    data[first:last] = b"\xff" * (last - first)
    put(store, f"uploads/sets/{digest(2)}.parquet", 1, bytes(data))
    with pytest.raises(StoreError, match=r"cannot be read.*Delete that file"):
        trimmed(store)
    assert image(1) in left(store)


def test_a_store_in_a_folder_that_is_called_as_uploads_are(store: Store) -> None:
    """What counts of a place is its end; and not what stands in a container."""
    needed = [put(store, image(1), 300), put(store, image(2, "containers"), 300)]
    root = "s3://b/uploads/images/x"
    uris = [f"{root}/{needed[0]}", f"parquet:{root}/{needed[1]}#7,uploads/images/photo"]
    of_set = put_set(store, 3, 1, uris)
    trimmed(store)
    assert left(store) == {*needed, of_set}


def test_who_is_at_work_keeps_its_results_whatever_the_age(store: Store) -> None:
    """A claim is renewed now and then: between two of these times it is not old, also where the wish is short."""
    at_work = put(store, "runs/r-0123/r-1/.evaljobs.lease", 100 / 86400)
    sent = put(store, image(1), 100 / 86400)
    put(store, "runs/r-0123/r-0/results.json", 1)
    assert trimmed(store, Wish(unused_s=0.0, submitted=True)).runs == 1
    assert left(store) == {at_work, sent}


def test_records_go_with_the_last_that_they_name(store: Store) -> None:
    """So they do not pile up; one of which something is left stays."""
    model, other = (put(store, f"uploads/models/{digest(number)}/m.onnx", 300) for number in (1, 2))
    note(store, [model], 100)
    note(store, [other], 10)
    trimmed(store)
    assert left(store) == {other}
    assert len([entry for entry in store.folder.walk("uses") if entry.name.endswith(".json")]) == 1


def test_only_what_lies_in_the_store_is_recorded() -> None:
    """Sets and models there; images follow from sets, and what lies elsewhere is somebody else's."""
    places = [
        "s3://b/store/uploads/sets/aa.parquet",
        "s3://b/store/uploads/models/bb/m.onnx",
        "s3://b/store/uploads/models/bb/m.data",
        "s3://b/store/uploads/images/cc",
        "s3://b/store2/uploads/sets/dd.parquet",
        "/home/somebody/models/m.onnx",
    ]
    assert recorded("s3://b/store", places) == {"uploads/sets/aa.parquet", "uploads/models/bb"}
