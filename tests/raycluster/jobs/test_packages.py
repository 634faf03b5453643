"""The working folder of a job as a zip."""

from __future__ import annotations

import io
import os
import subprocess
import zipfile
from pathlib import Path

import pytest

from raycluster.errors import ClusterError
from raycluster.jobs import packages
from raycluster.jobs.packages import pack, tree_digest


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A project under git: code, a script, and what git ignores."""
    folder = tmp_path / "tree"
    (folder / "pkg").mkdir(parents=True)
    (folder / "pkg" / "code.py").write_text("x = 1\n")
    (folder / "run.sh").write_text("#!/bin/sh\n")
    (folder / "run.sh").chmod(0o755)
    (folder / ".gitignore").write_text("data/\n*.onnx\n")
    (folder / "data").mkdir()
    (folder / "data" / "large.bin").write_bytes(b"0" * 1000)
    (folder / "model.onnx").write_bytes(b"0")
    (folder / "new file.py").write_text("y = 2\n")
    subprocess.run(["git", "init", "-q", str(folder)], check=True)
    subprocess.run(["git", "-C", str(folder), "add", "pkg", "run.sh"], check=True)
    return folder


def test_tree_is_what_git_does_not_ignore(tree: Path) -> None:
    """Code travels, committed or not; images and weights that are ignored stay here."""
    with zipfile.ZipFile(io.BytesIO(pack({"run.yaml": b"version: 1"}, tree).data)) as archive:
        assert archive.namelist() == [".gitignore", "new file.py", "pkg/code.py", "run.sh", "run.yaml"]
        assert archive.read("run.yaml") == b"version: 1"
        modes = {entry.filename: entry.external_attr >> 16 & 0o777 for entry in archive.infolist()}
    assert (modes["run.sh"], modes["pkg/code.py"]) == (0o755, 0o644)


def test_equal_folders_are_one_package(tree: Path) -> None:
    """A package is named by its content: when it was made, and in which order, is nothing of it."""
    before = pack({"b": b"2", "a": b"1"}, tree)
    (tree / "pkg" / "code.py").touch()
    assert pack({"a": b"1", "b": b"2"}, tree) == before
    assert before.name.startswith("_ray_pkg_")


def test_digest_follows_names_contents_and_modes(tree: Path) -> None:
    """Other code is another job."""
    seen = {tree_digest(tree)}
    for change in (
        lambda: (tree / "pkg" / "code.py").write_text("x = 2\n"),
        lambda: (tree / "run.sh").chmod(0o644),
        lambda: (tree / "new file.py").rename(tree / "other file.py"),
    ):
        change()
        seen.add(tree_digest(tree))
    assert len(seen) == 4
    (tree / "data" / "large.bin").write_bytes(b"1")
    assert tree_digest(tree) in seen


def test_deleted_files_are_no_files(tree: Path) -> None:
    """Git still lists a file that was deleted and not committed."""
    (tree / "pkg" / "code.py").unlink()
    with zipfile.ZipFile(io.BytesIO(pack({}, tree).data)) as archive:
        assert "pkg/code.py" not in archive.namelist()


def test_folder_without_git_leaves_out_what_nobody_means(tmp_path: Path) -> None:
    """A virtual environment would be gigabytes."""
    for name in ("a/code.py", ".venv/lib/x.py", "__pycache__/a.pyc", "a/__pycache__/b.pyc"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")
    with zipfile.ZipFile(io.BytesIO(pack({}, tmp_path).data)) as archive:
        assert archive.namelist() == ["a/code.py"]


def test_too_much_is_refused_with_sizes(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything is packed: with what is large, and what to do."""
    monkeypatch.setattr(packages, "LIMIT_BYTES", 2**20)
    (tree / "weights.bin").write_bytes(b"0" * (3 * 2**20))
    with pytest.raises(ClusterError, match=r"weights\.bin \(3 MiB\).*\.gitignore"):
        pack({}, tree)
    with pytest.raises(ClusterError, match=r"the job's files has 2 MiB|the job's files"):
        pack({"pairs.csv": b"0" * (2 * 2**20)})


def test_link_out_of_the_tree_is_refused(tree: Path, tmp_path: Path) -> None:
    """What lies elsewhere on this machine is not sent unasked; a link inside is a file as others."""
    (tree / "inside.py").symlink_to("pkg/code.py")
    with zipfile.ZipFile(io.BytesIO(pack({}, tree).data)) as archive:
        assert archive.read("inside.py") == b"x = 1\n"
    (tmp_path / "id_rsa").write_text("a secret")
    (tree / "key").symlink_to(tmp_path / "id_rsa")
    for ask in (lambda: pack({}, tree), lambda: tree_digest(tree)):
        with pytest.raises(ClusterError, match=r"^key of the working tree leads out of it, to .*id_rsa"):
            ask()


def test_name_that_is_no_text_is_refused(tree: Path) -> None:
    """No zip can hold it; it is said in a sentence."""
    (tree / os.fsdecode(b"caf\xe9.py")).write_text("")
    for ask in (lambda: pack({}, tree), lambda: tree_digest(tree)):
        with pytest.raises(ClusterError, match=r"no UTF-8"):
            ask()


def test_missing_tree_is_refused(tmp_path: Path) -> None:
    """A slip of the pen is no empty tree."""
    with pytest.raises(ClusterError, match=r"no folder .*nowhere"):
        pack({}, tmp_path / "nowhere")
