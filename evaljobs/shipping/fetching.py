"""Bring the results of a run here: the whole folder in place of the one before, or nothing."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import re
import shutil
import sys
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from evaljobs.engine.output import claimed
from evaljobs.errors import RunFailedError, UsageError
from evaljobs.remote import is_remote, objects
from evaljobs.report.runs.reading import NAME
from evaljobs.report.writing import named_files

_THREADS = 16
# What a run leaves in its folder itself, beside what its results name; its claim, which is no result, among it.
_OWN = re.compile(
    r"report\.html|(results|differences)\.\w+|(samples|thumbnails)\.arrow|failures\.csv|\.evaljobs\.(lock|lease)"
)
_AT_FDCWD, _RENAME_EXCHANGE = -100, 2


def fetch(results: str, out: Path, say: Callable[[str], None]) -> None:
    """Bring results into a local folder; see `raycluster.program.Program.fetch`.

    Parameters
    ----------
    results
        ``s3://bucket/prefix``, or a folder.
    out
        Results of the same configuration are replaced; whatever else lies there stays.

    Raises
    ------
    UsageError
        If another configuration's results lie there, a run writes there, or there are no results.
    RemoteError
        If S3 does not answer.
    RunFailedError
        If they cannot be written.
    """
    if not is_remote(results) and out.is_dir() and Path(results).samefile(out):
        return
    out = out.absolute()
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with _beside(out) as folder:
            _copy(results, folder)
            _put_in_place(folder, out)
    except OSError as error:
        raise RunFailedError(f"cannot write the results to {out}: {error.strerror or error}") from None
    say(f"results: {out} (open report.html)")


def check(out: Path, config_digest: str) -> None:
    """Refuse a folder that holds the results of another configuration, or a file of that name that is no results.

    Raises
    ------
    UsageError
        If it does.
    """
    try:
        results = (out / NAME).read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        raise UsageError(f"cannot read {out / NAME}: {error.strerror or error}; name another folder") from None
    if _digest_of(results) != config_digest:
        raise UsageError(
            f"{out} holds the results of another configuration, or something else of that name, and nothing in it was "
            "changed; move it away, or name another folder with --out"
        )


def _digest_of(results: bytes) -> str | None:
    try:
        return str(json.loads(results)["config_digest"])
    except (ValueError, KeyError, TypeError):
        return None


@contextlib.contextmanager
def _beside(out: Path) -> Iterator[Path]:
    """Yield a new folder on the same disk, gone afterwards if it is still there."""
    folder = out.with_name(f".{out.name}.{uuid.uuid4().hex[:12]}.tmp")
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _copy(results: str, folder: Path) -> None:
    if not is_remote(results):
        ignored = shutil.ignore_patterns(".*")
        shutil.copytree(results, folder, ignore=ignored, dirs_exist_ok=True)
    else:
        found = [one.uri[len(results) + 1 :] for one in objects.find(results)]
        # Consoles make objects in the place of folders.
        names = [_inside(name, results) for name in found if name and not name.endswith("/")]
        with ThreadPoolExecutor(_THREADS, thread_name_prefix="fetch") as threads:
            wanted = [name for name in names if not name.rpartition("/")[2].startswith(".")]
            list(threads.map(lambda name: objects.download(f"{results}/{name}", folder / name), wanted))
    if not (folder / NAME).is_file():
        raise UsageError(f"there are no results in {results}: it holds no {NAME}")


def _inside(name: str, results: str) -> str:
    """Return a relative name; one that would lead elsewhere on this machine is no name of a result."""
    if not {"", ".", ".."}.isdisjoint(name.split("/")):
        raise UsageError(f"{results} holds an object named {name!r}, which is no name of results; nothing was changed")
    return name


def _put_in_place(folder: Path, out: Path) -> None:
    """Put new results in the place of those before.

    The whole folder in one step, where it holds nothing but results, and the system can. Else file by file, what says
    which they are last, as a run does: whatever else lies there stays.
    """
    digest = _digest_of((folder / NAME).read_bytes())
    if digest is None:
        raise UsageError(f"the {NAME} there is no result of evaljobs; {out} was not changed")
    check(out, digest)
    with claimed(out, digest, overwrite=True):
        # Links of any kind, and folders with nothing in them, are somebody's too.
        before = {
            path.relative_to(out).as_posix()
            for path in out.rglob("*")
            if path.is_symlink() or not path.is_dir() or not any(path.iterdir())
        }
        named = named_files((out / NAME).read_bytes() if NAME in before else None)
        strange = {name for name in before - named if not _OWN.fullmatch(name)}
        if strange or not _exchanged(folder, out):
            _replace_files(folder, out, named)


def _replace_files(folder: Path, out: Path, before: set[str]) -> None:
    new = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    for name in (*sorted(new - {NAME}), NAME):
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).replace(out / name)
    for name in before - new - {NAME}:
        (out / name).unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # something else lies there
            os.removedirs((out / name).parent)


def _exchanged(a: Path, b: Path) -> bool:
    """Exchange the names of two folders in one step; return False where the system or the disk has none for that."""
    if sys.platform != "linux":
        return False
    exchange = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if exchange is None:
        return False
    return bool(exchange(_AT_FDCWD, os.fsencode(a), _AT_FDCWD, os.fsencode(b), _RENAME_EXCHANGE) == 0)
