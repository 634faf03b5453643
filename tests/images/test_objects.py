"""Image sets on S3, from a real server."""

from __future__ import annotations

import os
from collections import Counter

import pyarrow as pa
import pytest

from evaljobs.config import Images
from evaljobs.errors import ImageError, ImageErrorKind, RemoteError, RemoteErrorKind, UsageError
from evaljobs.images import versions
from evaljobs.images.decode import Geometry, decode_block
from evaljobs.images.listing import list_images
from evaljobs.images.looking import look
from evaljobs.images.reading import digest_of, read_images
from evaljobs.remote import objects
from tests.image_containers import png, write_parquet, write_tar


@pytest.fixture
def bucket(s3):
    return s3.bucket()


@pytest.fixture
def requests(monkeypatch):
    """Count what is asked of the server."""
    counts = Counter()
    for name in ("read", "stat", "find"):
        real = getattr(objects, name)

        def counted(*args, name=name, real=real, **options):
            counts[name] += 1
            return real(*args, **options)

        monkeypatch.setattr(objects, name, counted)
    return counts


def put(place, names):
    for number, name in enumerate(names):
        objects.create(f"{place}/{name}", png(number))


def listed(tmp_path, **keys):
    return list_images(Images(**keys), tmp_path, "main")


def test_a_folder_on_s3_is_listed_as_one_on_a_disk(bucket, tmp_path, requests):
    """Labels, ids and what is left out are the same; sizes and ETags come with the listing, no object is asked for."""
    names = ["a/1.png", "a/2 #ü.png", "b/x/3.PNG", "b/.hidden.png", ".cache/4.png", "b/notes.txt"]
    put(f"{bucket}/set", names)
    objects.create(f"{bucket}/set/empty folder/", b"")
    objects.create(f"{bucket}/set-2/a/other.png", b"x")
    for name in names:
        (tmp_path / "set" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "set" / name).write_bytes(b"x")
    requests.clear()
    listing = listed(tmp_path, folder=f"{bucket}/set/")
    assert requests == {"find": 1}
    local = listed(tmp_path, folder="set")
    assert listing.select(["sample_id", "label"]).equals(local.select(["sample_id", "label"]))
    assert listing["uri"].to_pylist() == [f"{bucket}/set/{name}" for name in listing["sample_id"].to_pylist()]
    assert listing["size"].to_pylist() == [len(png(n)) for n in range(3)]
    assert len(set(listing["etag"].to_pylist())) == 3
    assert listing["mtime_ns"].null_count == 3
    looked = look(listing, None, threads=2)
    assert looked.samples["image_digest"].to_pylist() == [digest_of(png(n)) for n in range(3)]
    requests.clear()
    again = look(listing, looked.fresh, threads=2)
    assert again.samples.equals(looked.samples)
    assert requests == {}


def test_an_empty_folder_says_what_to_check(bucket, tmp_path):
    """There are no folders on S3: a wrong prefix holds nothing."""
    with pytest.raises(UsageError, match=f"no images in {bucket}/gone: it holds no files .* check the bucket"):
        listed(tmp_path, folder=f"{bucket}/gone")


@pytest.mark.parametrize("alone", [True, False])
def test_manifests_list_objects(bucket, tmp_path, requests, alone, monkeypatch):
    """On S3 or not; relative uris start at the manifest's folder; an object that is missing is unreadable."""
    monkeypatch.setattr(versions, "_WORTH_LISTING", 99 if alone else 1)
    put(f"{bucket}/pics", ["0.png", "1.png", "up/2.png"])
    local = tmp_path / "local.png"
    local.write_bytes(png(3))
    text = f"uri,label\n0.png,a\n./1.png,b\n../pics/up/2.png,c\n{bucket}/pics/gone.png,d\nfile://{local},e\n"
    objects.create(f"{bucket}/pics/m.csv", text.encode())
    requests.clear()
    listing = listed(tmp_path, manifest=f"{bucket}/pics/m.csv").sort_by("label")
    assert requests == {"read": 1, **({"stat": 4} if alone else {"find": 2})}
    assert listing["uri"].to_pylist() == [
        *(f"{bucket}/pics/{name}" for name in ("0.png", "1.png", "up/2.png", "gone.png")),
        str(local),
    ]
    assert [etag is None for etag in listing["etag"].to_pylist()] == [False, False, False, True, True]
    answers = list(read_images(listing["uri"].to_pylist()))
    assert answers[:3] + answers[4:] == [png(n) for n in range(4)]
    assert isinstance(answers[3], ImageError)
    assert answers[3].kind is ImageErrorKind.UNREADABLE
    assert "no such object" in str(answers[3])
    with pytest.raises(UsageError, match=r"gone\.csv does not exist"):
        listed(tmp_path, manifest=f"{bucket}/gone.csv")


@pytest.mark.parametrize("kind", ["parquet", "tar"])
def test_containers_on_s3_hold_what_they_hold_on_a_disk(bucket, tmp_path, kind):
    """A folder, a glob, one file: same samples, same bytes; versions are the objects' ETags."""
    for part in (0, 1):
        path = tmp_path / "set" / f"{part}.{kind}"
        numbers = range(10 * part, 10 * part + 10)
        if kind == "tar":
            write_tar(path, {f"{n}.{end}": data for n in numbers for end, data in (("cls", b"7"), ("png", png(n)))})
        else:
            write_parquet(path, [(png(n), f"{n}.png") for n in numbers], ["7"] * 10)
        objects.create(f"{bucket}/set/{part}.{kind}", path.read_bytes())
    objects.create(f"{bucket}/set/.hidden.{kind}", b"x")
    local = listed(tmp_path, **{kind: "set"})
    for place in ("set", f"set/?.{kind}", f"set/{{0..1}}.{kind}", f"set/[01].{kind}"):
        remote = listed(tmp_path, **{kind: f"{bucket}/{place}"})
        assert remote.select(["sample_id", "label", "size"]).equals(local.select(["sample_id", "label", "size"]))
    etags = {objects.stat(f"{bucket}/set/{part}.{kind}").etag for part in (0, 1)}
    assert set(remote["etag"].to_pylist()) == etags
    seen = [look(listing, None, threads=2) for listing in (local, remote)]
    assert seen[0].samples["image_digest"].null_count == 0
    assert seen[0].samples["image_digest"].equals(seen[1].samples["image_digest"])
    one = listed(tmp_path, **{kind: f"{bucket}/set/1.{kind}"})
    assert list(read_images(one["uri"].to_pylist())) == [png(n) for n in range(10, 20)]
    with pytest.raises(UsageError, match=f"no file, and no folder with .{kind} files, is at {bucket}/gone"):
        listed(tmp_path, **{kind: f"{bucket}/gone"})


def test_a_container_that_vanished_from_s3_fails_its_images_alone(bucket, tmp_path):
    """They are unreadable; nothing is said of S3 as a whole."""
    path = write_parquet(tmp_path / "x.parquet", [png(0), png(1)], ["a", "b"])
    objects.create(f"{bucket}/x.parquet", path.read_bytes())
    objects.create(f"{bucket}/y.png", png(2))
    uris = [*listed(tmp_path, parquet=f"{bucket}/x.parquet")["uri"].to_pylist(), f"tar:{bucket}/gone.tar#512,9"]
    objects.delete(f"{bucket}/x.parquet")
    answers = list(read_images([*uris, f"{bucket}/y.png", f"tar:{bucket}/y.png#0,99999"]))
    assert [isinstance(answer, ImageError) for answer in answers] == [True, True, True, False, True]
    assert all("no such object" in str(answer) for answer in answers[:3])
    assert "shorter than when it was listed" in str(answers[4])


@pytest.mark.parametrize("kind", ["object", "tar", "parquet"])
def test_s3_that_does_not_answer_ends_the_run_and_blames_no_image(s3, bucket, tmp_path, monkeypatch, kind):
    """After the server was gone for as long as was to be waited, it is S3 that failed; and nothing is remembered."""
    monkeypatch.setenv("EVALJOBS_S3_PATIENCE_S", "0.3")
    put(bucket, ["a/0.png"])
    write_parquet(tmp_path / "x.parquet", [png(0)], ["a"])
    objects.create(f"{bucket}/x.parquet", (tmp_path / "x.parquet").read_bytes())
    uri = {"object": f"{bucket}/a/0.png", "tar": f"tar:{bucket}/x#0,9", "parquet": f"parquet:{bucket}/x.parquet#0"}[
        kind
    ]
    s3.stop()
    try:
        for attempt in (
            lambda: list(read_images([uri])),
            lambda: decode_block([uri], [bytes(32)], Geometry(4, 4)),
            lambda: look(listing_of(uri), None, threads=2),
        ):
            with pytest.raises(RemoteError) as caught:
                attempt()
            assert caught.value.kind is RemoteErrorKind.UNREACHABLE
    finally:
        s3.start()


def listing_of(uri):
    from evaljobs.schemas import LISTING

    row = {"sample_id": "a", "label": "b", "uri": uri, "size": 1, "mtime_ns": None, "etag": "c"}
    return pa.Table.from_pylist([row], schema=LISTING)


def test_wrong_credentials_blame_no_image(bucket, tmp_path, monkeypatch):
    """A million images are not excluded for a wrong key."""
    put(bucket, ["a/0.png"])
    monkeypatch.setitem(os.environ, "AWS_SECRET_ACCESS_KEY", "wrong")
    for attempt in (lambda: list(read_images([f"{bucket}/a/0.png"])), lambda: listed(tmp_path, folder=bucket)):
        with pytest.raises(RemoteError) as caught:
            attempt()
        assert caught.value.kind is RemoteErrorKind.DENIED


def test_images_are_asked_for_at_the_same_time(bucket, monkeypatch):
    """Each request has latency: as many as allowed are under way, and never more."""
    import threading
    import time

    put(bucket, [f"a/{n}.png" for n in range(20)])
    real, lock, now, most = objects.read, threading.Lock(), [0], [0]

    def slow(*args):
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
        time.sleep(0.02)
        try:
            return real(*args)
        finally:
            with lock:
                now[0] -= 1

    monkeypatch.setattr(objects, "read", slow)
    uris = [f"{bucket}/a/{n}.png" for n in range(20)]
    assert list(read_images(uris, concurrent=4)) == [png(n) for n in range(20)]
    assert 2 <= most[0] <= 4
