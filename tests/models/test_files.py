"""From the config's entries to named files."""

from __future__ import annotations

import pytest

from evaljobs import config
from evaljobs.errors import UsageError
from evaljobs.models.files import find_any, find_models
from evaljobs.models.places import LocalFile


def entries(*models):
    return tuple(config.validate(config.Models, {"path": m} if isinstance(m, str) else m, "test") for m in models)


def touch(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"x")


def names(found):
    return [candidate.name for candidate in found]


def test_globs_are_sorted_and_entries_keep_their_order(tmp_path):
    """The order of the results is that of the config, whatever the file system says."""
    touch(tmp_path, "b.onnx", "a.onnx", "z/c.ONNX", "z/c.onnx.data", "z/notes.txt")
    found = find_models(entries("z/*", "*.onnx"), tmp_path)
    assert names(found) == ["c", "a", "b"]
    assert found[0].file == LocalFile(tmp_path / "z" / "c.ONNX")
    assert names(find_models(entries("**/*.onnx"), tmp_path)) == ["a", "b"]
    assert names(find_models(entries("**/*"), tmp_path)) == ["a", "b", "c"]


def test_a_file_named_by_itself_is_left_out_of_globs(tmp_path):
    """People list all models with a glob and give one of them its own options."""
    touch(tmp_path, "a.onnx", "b.onnx")
    found = find_models(entries("*.onnx", {"path": "./b.onnx", "batch_size": "4"}), tmp_path)
    assert [(c.name, c.entry.batch_size) for c in found] == [("a", None), ("b", 4)]
    assert names(find_models(entries("*.onnx", "a.onnx", str(tmp_path / "b.onnx")), tmp_path)) == ["a", "b"]


def test_a_path_that_exists_is_that_file(tmp_path):
    """Brackets in file or folder names are no wildcards where they name a file."""
    touch(tmp_path, "m[1].onnx", "m1.onnx", "run[a]/x.onnx")
    assert names(find_models(entries("m[1].onnx"), tmp_path)) == ["m[1]"]
    assert names(find_models(entries("m[1]*"), tmp_path)) == ["m1"]
    assert names(find_models(entries("*.onnx"), tmp_path / "run[a]")) == ["x"]


def test_any_file_can_be_named(tmp_path):
    """A model may have any extension where it is named by itself."""
    touch(tmp_path, "model.bin", ".onnx")
    assert names(find_models(entries("model.bin", ".onnx"), tmp_path)) == ["model.bin", ".onnx"]


def test_one_file_may_stand_twice_under_two_names(tmp_path):
    """The same file with two outputs is two models."""
    touch(tmp_path, "a.onnx")
    found = find_models(
        entries({"path": "a.onnx", "name": "x", "output": "p"}, {"path": "a.onnx", "name": "y"}), tmp_path
    )
    assert [(c.name, c.entry.output) for c in found] == [("x", "p"), ("y", None)]


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("mdoels.onnx", ["no file", "did you mean 'models.onnx'", "holds a.onnx, b.onnx, models.onnx"]),
        ("nowhere/x*.onnx", ["matches no .onnx file", "holds a.onnx, b.onnx"]),
        ("deep", ["is a folder", "deep/*.onnx"]),
        ("deep/*", ["matches no .onnx file among 1 matches", "holds no .onnx file"]),
        ("c*.onnx", ["matches no .onnx file", "holds a.onnx"]),
    ],
)
def test_a_path_without_models_says_what_is_there(tmp_path, path, says):
    """A typing error is found before anything starts, with what would have matched."""
    touch(tmp_path, "a.onnx", "b.onnx", "models.onnx", "deep/readme.txt")
    with pytest.raises(UsageError) as caught:
        find_models(entries(path), tmp_path)
    assert [part for part in says if part not in str(caught.value)] == []


def test_a_name_stands_for_one_file(tmp_path):
    """One name for many files would hide all but one."""
    touch(tmp_path, "a.onnx", "b.onnx")
    with pytest.raises(UsageError, match=r"'m' stands for one file, \*.onnx matches 2: a.onnx, b.onnx"):
        find_models(entries({"path": "*.onnx", "name": "m"}), tmp_path)
    assert names(find_models(entries({"path": "a*.onnx", "name": "m"}), tmp_path)) == ["m"]


def test_tags_come_from_the_name_and_the_config(tmp_path):
    """The config's word stands over the file name's; a name of another form has a note."""
    touch(tmp_path, "net-f256.onnx", "other.onnx")
    entry = {"path": "*.onnx", "tag_pattern": "{backbone}-f{dim}", "tags": {"dim": "64", "train": "indoor"}}
    parsed, plain = find_models(entries(entry), tmp_path)
    assert parsed.tags == {"backbone": "net", "dim": "64", "train": "indoor"}
    assert parsed.notes == ()
    assert plain.tags == {"dim": "64", "train": "indoor"}
    assert "does not match the tag pattern" in plain.notes[0]


def test_equal_names_are_told_apart_by_the_tags_that_differ(tmp_path):
    """Three rows of one name, as published ablations have them, stay three rows."""
    touch(tmp_path, "1/m.onnx", "2/m.onnx", "3/m.onnx", "n.onnx")
    sized = [{"path": f"{i}/m.onnx", "tags": {"classes": str(i), "loss": "arc"}} for i in (1, 2)]
    found = find_models(entries(*sized, {"path": "3/m.onnx", "tags": {"loss": "arc"}}, "n.onnx"), tmp_path)
    assert names(found) == ["m (classes=1)", "m (classes=2)", "m", "n"]


def test_names_that_cannot_be_told_apart_are_refused(tmp_path):
    """Results are found by name: two models of one name would overwrite each other."""
    touch(tmp_path, "1/m.onnx", "2/m.onnx")
    with pytest.raises(UsageError) as caught:
        find_models(entries({"path": "*/m.onnx", "tags": {"loss": "arc"}}), tmp_path)
    assert str(tmp_path / "1/m.onnx") in str(caught.value)
    assert str(tmp_path / "2/m.onnx") in str(caught.value)
    with pytest.raises(UsageError, match=r"matched by 1/\* and \*/m"):
        find_models(entries("1/*", "*/m.onnx", {"path": "2/m.onnx", "name": "x"}), tmp_path)
    clash = [{"path": f"{i}/m.onnx", "tags": {"a": str(i)}} for i in (1, 2)]
    touch(tmp_path, "n.onnx")
    with pytest.raises(UsageError, match=r"named 'm \(a=1\)'"):
        find_models(entries(*clash, {"path": "n.onnx", "name": "m (a=1)"}), tmp_path)


def test_a_malformed_tag_pattern_is_a_usage_error(tmp_path):
    """A slip in the pattern stops the run before it starts."""
    touch(tmp_path, "a.onnx")
    with pytest.raises(UsageError, match="tag pattern"):
        find_models(entries({"path": "a.onnx", "tag_pattern": "{a"}), tmp_path)


def test_looking_at_models_takes_equal_names(tmp_path):
    """Two folders of checkpoints hold files of the same names: here the paths tell them apart."""
    touch(tmp_path, "a/m.onnx", "b/m.onnx", "b/n.onnx")
    found = find_any(entries("a/*.onnx", "b/*.onnx"), tmp_path)
    assert names(found) == [str(tmp_path / "a" / "m.onnx"), str(tmp_path / "b" / "m.onnx"), "n"]
