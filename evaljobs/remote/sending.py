"""Bring a local file to S3: whole or not at all, and only with the content that is expected."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from evaljobs.errors import RemoteError, RemoteErrorKind
from evaljobs.remote.connection import connection
from evaljobs.remote.objects import replace, require_bucket, stat
from evaljobs.remote.patience import patiently
from evaljobs.remote.uri import split

# Up to here a file is one request; a larger one is sent in pieces of this size, larger where they would be too many.
PIECE_BYTES = 64 << 20
# S3 takes ten thousand.
_MOST_PIECES = 9000


def send_file(path: Path, uri: str, digest: str = "") -> None:
    """Write a file to an object, in place of the one of that name.

    Parameters
    ----------
    digest
        The sha256 (hex) of its content, where that is known.

    Raises
    ------
    RemoteError
        If S3 denies it or does not answer, or the file is another one than expected: then nothing is written.
    OSError
        If it cannot be read.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        if size <= PIECE_BYTES:
            data = file.read()
            _check(path, hashlib.sha256(data).hexdigest(), digest)
            replace(uri, data)
        else:
            _send_pieces(file, path, uri, digest, max(PIECE_BYTES, -(-size // _MOST_PIECES)))


def _send_pieces(file: BinaryIO, path: Path, uri: str, digest: str, piece_bytes: int) -> None:
    bucket, key = split(uri)
    require_bucket(uri)
    place = {"Bucket": bucket, "Key": key}
    begun = patiently("write", uri, lambda: connection().send("create_multipart_upload", **place))
    upload = {**place, "UploadId": begun["UploadId"]}
    try:
        found, parts, sizes = hashlib.sha256(), [], []
        for number, piece in enumerate(_pieces(file, piece_bytes), start=1):
            found.update(piece)
            sizes.append(len(piece))
            parts.append(_sent(uri, {**upload, "PartNumber": number}, piece))
        _check(path, found.hexdigest(), digest)
        _complete(uri, {**upload, "MultipartUpload": {"Parts": parts}}, sum(sizes))
    except BaseException:
        # Pieces that nobody puts together are paid for; buckets may have a rule that deletes them, too.
        with contextlib.suppress(Exception):
            connection().send("abort_multipart_upload", **upload)
        raise


def _sent(uri: str, part: dict[str, object], piece: bytes) -> dict[str, object]:
    answer = patiently("write", uri, lambda: connection().send("upload_part", **part, Body=piece))
    return {"PartNumber": part["PartNumber"], "ETag": answer["ETag"]}


def _complete(uri: str, upload: dict[str, object], size: int) -> None:
    """Put the pieces together; where the answer to that was lost, another try finds no pieces, and the object there."""
    try:
        patiently("write", uri, lambda: connection().send("complete_multipart_upload", **upload))
    except RemoteError:
        found = stat(uri)
        if found is None or found.size != size:
            raise


def _pieces(file: BinaryIO, piece_bytes: int) -> Iterator[bytes]:
    while piece := file.read(piece_bytes):
        yield piece


def _check(path: Path, found: str, expected: str) -> None:
    if expected and found != expected:
        raise RemoteError(
            RemoteErrorKind.FAILED, f"{path} has changed while it was sent; submit again when it stays as it is"
        )
