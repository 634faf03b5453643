"""Bringing files to S3: whole, once, and the right ones."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from evaljobs.config import load
from evaljobs.errors import RemoteError
from evaljobs.remote import objects, sending
from evaljobs.remote.connection import connection
from evaljobs.remote.sending import send_file
from evaljobs.remote.uri import split
from evaljobs.run.main import sent_into
from evaljobs.shipping import sending as shipping
from evaljobs.shipping.inputs import sha256
from evaljobs.shipping.packing import pack
from evaljobs.shipping.program import PROGRAM
from evaljobs.store import Store
from evaljobs.store.uses import records
from raycluster.errors import ClusterError
from raycluster.program import Asked, Upload
from tests.engine.conftest import Bench
from tests.s3_server import S3Server

# The least that S3 takes for a piece that is not the last.
PIECE = 5 << 20


def quiet(_: str) -> None:
    """Say nothing."""


def pieces_of(folder: str) -> list[Any]:
    """Return what was begun in pieces there and neither put together nor given up."""
    bucket, _ = split(folder)
    return list(connection().send("list_multipart_uploads", Bucket=bucket).get("Uploads", []))


def test_what_is_there_is_not_sent_again(local: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A new image in a set of a million is one request, and an unchanged configuration none."""
    first = pack(local.write(), Asked())
    PROGRAM.upload(first, quiet)
    sent: list[Upload] = []
    monkeypatch.setattr(shipping, "_sent", lambda upload: sent.append(upload) or upload)
    PROGRAM.upload(pack(local.write(), Asked()), quiet)
    assert sent == []
    path = local.image(1, 99)
    PROGRAM.upload(pack(local.write(), Asked()), quiet)
    assert [upload.path for upload in sent] == [path, None]  # the image, and then the table that names it


def test_what_was_sent_is_remembered(local: Bench) -> None:
    """Whoever trims the store knows sets and models as used now, with each submission; and a run says the same."""
    parcel = pack(local.write(), Asked())
    PROGRAM.upload(parcel, quiet)
    folder = Store(local.config["store"]).folder
    (record,) = records(folder, folder.walk())
    assert len(record.uploads) == 3
    assert {name.split("/")[1] for name in record.uploads} == {"sets", "models"}
    PROGRAM.upload(pack(local.write(), Asked()), quiet)
    (again,) = records(folder, folder.walk())
    assert again.used >= record.used
    path = local.folder / "there.yaml"
    path.write_bytes(parcel.files["benchmark.yaml"])
    assert sent_into(load(path), local.config["store"]) == record.uploads


def test_half_sent_is_sent_again(local: Bench) -> None:
    """An object of another size, as a broken tool leaves it, is not taken for the image."""
    parcel = pack(local.write(), Asked())
    PROGRAM.upload(parcel, quiet)
    victim = next(upload for upload in parcel.uploads if upload.path is not None)
    assert victim.path is not None
    objects.replace(victim.place, b"half")
    PROGRAM.upload(parcel, quiet)
    assert objects.read(victim.place) == victim.path.read_bytes()


def test_what_names_others_comes_last(local: Bench) -> None:
    """Where one image cannot be sent, no table says that it is there."""
    parcel = pack(local.write(), Asked())
    victim = next(upload for upload in parcel.uploads if upload.path is not None and upload.path.suffix == ".png")
    assert victim.path is not None
    victim.path.write_bytes(victim.path.read_bytes() + b"changed")
    with pytest.raises(ClusterError, match="has changed while it was sent"):
        PROGRAM.upload(parcel, quiet)
    (table,) = [upload for upload in parcel.uploads if upload.path is None]
    assert objects.stat(table.place) is None
    assert objects.stat(victim.place) is None


def test_vanished_file_is_said(local: Bench) -> None:
    """In one sentence, without a traceback, and without a job."""
    parcel = pack(local.write(), Asked())
    (local.folder / "models" / "one.onnx").unlink()
    with pytest.raises(ClusterError, match=r"one\.onnx cannot be read.*no job was submitted"):
        PROGRAM.upload(parcel, quiet)


@pytest.mark.parametrize("sizes", [(PIECE + 1,), (2 * PIECE,), (PIECE, 0)])
def test_large_files_go_in_pieces(
    sizes: Sequence[int], s3: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A tar of a hundred gigabytes does not go through the memory, and arrives byte for byte."""
    monkeypatch.setattr(sending, "PIECE_BYTES", PIECE)
    folder = s3.bucket()
    for number, size in enumerate(sizes):
        path, uri = tmp_path / str(number), f"{folder}/{number}"
        data = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
        path.write_bytes(data)
        send_file(path, uri, sha256(data))
        assert objects.read(uri) == data
    assert pieces_of(folder) == []


def test_large_file_that_changes_leaves_nothing(s3: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither an object that is named for another content, nor pieces that somebody pays for."""
    monkeypatch.setattr(sending, "PIECE_BYTES", PIECE)
    folder, path = s3.bucket(), tmp_path / "file"
    path.write_bytes(b"0" * (PIECE + 1))
    with pytest.raises(RemoteError, match="has changed while it was sent"):
        send_file(path, f"{folder}/file", sha256(b"another"))
    assert objects.stat(f"{folder}/file") is None
    assert pieces_of(folder) == []


def test_missing_bucket_is_refused(local: Bench) -> None:
    """With its name; nothing was sent, and no job was submitted."""
    local.config["store"] = "s3://no-such-bucket-anywhere/store"
    parcel = pack(local.write(), Asked())
    with pytest.raises(ClusterError, match="no-such-bucket-anywhere"):
        PROGRAM.upload(parcel, quiet)
