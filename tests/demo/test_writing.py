"""The demo's folder: right the first time, untouched the second, and never written over somebody's work."""

from __future__ import annotations

import json
import re
import shutil
from collections import Counter
from pathlib import Path

import pytest

from evaljobs import config
from evaljobs.demo.writing import write_demo
from evaljobs.errors import UsageError


@pytest.fixture
def copy(demo: Path, tmp_path: Path) -> Path:
    """Give a demo that may be changed."""
    return Path(shutil.copytree(demo, tmp_path / "demo"))


def state(folder: Path) -> dict[str, tuple[bytes, int]]:
    return {
        str(p.relative_to(folder)): (p.read_bytes(), p.stat().st_mtime_ns) for p in folder.rglob("*") if p.is_file()
    }


def test_the_configuration_is_valid_and_names_what_is_there(demo: Path) -> None:
    """What the demo writes runs as it is: images, models, targets, store and output folder."""
    found = config.load(demo / "benchmark.yaml")
    images = found.image_sets()["main"]
    assert images.folder is not None
    assert len(list((demo / images.folder).rglob("*.png"))) == 896
    (models,) = found.models
    assert len(list(demo.glob(models.path))) == 18
    assert models.tag_pattern == "{method}-d{dim}-{norm}"
    assert found.fpr == (1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0)
    assert (found.store, found.out) == ("store", "results")


def test_the_comments_tell_the_truth(demo: Path) -> None:
    """The numbers of images and pairs in the comments are those of the set, and the commented-out parts are valid."""
    text = (demo / "benchmark.yaml").read_text(encoding="utf-8")
    sizes = Counter(path.parent.name for path in (demo / "images/unseen").rglob("*.png"))
    n = sizes.total()
    impostors = n * (n - 1) // 2 - sum(size * (size - 1) // 2 for size in sizes.values())
    assert f"{n} images, hence {impostors:,} impostor pairs" in text
    assert impostors // 100_000 == 3
    for section in ("preprocessing", "cluster"):
        lines = re.search(rf"^# {section}:\n(?:#   .*\n)+", text, re.MULTILINE)
        assert lines
        uncommented = text.replace(lines[0], re.sub(r"^# ", "", lines[0], flags=re.MULTILINE))
        (demo / "uncommented.yaml").write_text(uncommented, encoding="utf-8")
        loaded = config.load(demo / "uncommented.yaml")
        (demo / "uncommented.yaml").unlink()
        assert section in loaded.model_fields_set


def test_a_second_demo_touches_nothing(copy: Path) -> None:
    """Every file keeps its bytes and its time of change, so that nothing is computed again."""
    before = state(copy)
    assert len(before) == 1797 + 18 + 2
    assert write_demo(copy) == copy / "benchmark.yaml"
    assert state(copy) == before


def test_what_is_missing_or_damaged_is_made_again(copy: Path) -> None:
    """A lost model, an emptied image and a lost configuration come back with the same bytes; the rest stays."""
    before = state(copy)
    lost = ["models/pca-d8-none.onnx", "images/unseen/5/0005.png", "benchmark.yaml"]
    (copy / lost[0]).unlink()
    (copy / lost[1]).write_bytes(b"")
    (copy / lost[2]).unlink()
    write_demo(copy)
    after = state(copy)
    assert {name: data for name, (data, _) in after.items()} == {name: data for name, (data, _) in before.items()}
    assert {name for name in after if after[name] != before[name]} == set(lost)


def test_edits_and_further_files_are_kept(copy: Path) -> None:
    """The configuration invites editing and the models' folder further models: both survive the next demo."""
    edited = (copy / "benchmark.yaml").read_bytes() + b"# mine\n"
    (copy / "benchmark.yaml").write_bytes(edited)
    (copy / "models" / "mine-d1-none.onnx").write_bytes(b"mine")
    before = state(copy)
    write_demo(copy)
    write_demo(copy)
    assert state(copy) == before


def test_an_untouched_configuration_follows_a_new_version(copy: Path) -> None:
    """What an older evaljobs wrote, and nobody edited, is replaced."""
    import hashlib

    old = b"version: 1\nimages: {folder: images}\nmodels: [models/*.onnx]\n"
    new = (copy / "benchmark.yaml").read_bytes()
    (copy / "benchmark.yaml").write_bytes(old)
    record = json.loads((copy / "demo.json").read_bytes())
    record["evaljobs_demo"]["config"] = hashlib.sha256(old).hexdigest()
    (copy / "demo.json").write_text(json.dumps(record))
    write_demo(copy)
    assert (copy / "benchmark.yaml").read_bytes() == new


def test_other_versions_fit_the_models_again(copy: Path) -> None:
    """Models of other library versions are not taken for those of the present ones."""
    before = state(copy)
    record = json.loads((copy / "demo.json").read_bytes())
    record["evaljobs_demo"]["versions"]["scikit-learn"] = "0.1"
    (copy / "demo.json").write_text(json.dumps(record))
    (copy / "models" / "raw-d64-none.onnx").write_bytes(b"old")
    write_demo(copy)
    assert {name: data for name, (data, _) in state(copy).items()} == {n: data for n, (data, _) in before.items()}


def test_an_interrupted_demo_is_completed(copy: Path, demo: Path, tmp_path: Path) -> None:
    """A folder in which writing was cut off after some images is known for a demo and filled up."""
    cut = tmp_path / "cut"
    (cut / "images/unseen/5").mkdir(parents=True)
    shutil.copy(copy / "images/unseen/5/0005.png", cut / "images/unseen/5")
    empty = {"evaljobs_demo": {"versions": {}, "models": {}, "config": None}}
    (cut / "demo.json").write_text(json.dumps(empty))
    write_demo(cut)
    assert {n: data for n, (data, _) in state(cut).items()} == {n: data for n, (data, _) in state(demo).items()}


@pytest.mark.parametrize("name", ["thesis.tex", "demo.json", ".hidden"])
def test_a_folder_of_other_things_is_refused_untouched(tmp_path: Path, name: str) -> None:
    """Nothing is written beside somebody's files."""
    (tmp_path / name).write_text("{}")
    with pytest.raises(UsageError, match=r"nothing was written.*--out"):
        write_demo(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_text() == "{}"


def test_a_place_that_cannot_be_written_is_a_usage_error(tmp_path: Path) -> None:
    """No traceback: the path, the reason and what to do."""
    (tmp_path / "file").write_text("x")
    for out in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(UsageError, match=r"cannot write the demo into .*--out"):
            write_demo(out)
