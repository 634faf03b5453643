"""From a matrix to models: each combination is one, and a missing file is that model's failure alone."""

from __future__ import annotations

import pytest

from evaljobs import config
from evaljobs.engine.inspection import inspect_config
from evaljobs.errors import ModelErrorKind, UsageError
from evaljobs.models.files import find_any, find_models
from evaljobs.models.resolve import resolve
from evaljobs.progress import Quiet
from evaljobs.remote import objects


def entries(*models):
    return tuple(config.validate(config.Models, model, "test") for model in models)


def touch(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"x")


SWEEP = {"path": "{backbone}-{loss}.onnx", "matrix": {"backbone": ["b0", "lcnet"], "loss": ["arc", "cos"]}}


def test_every_combination_is_a_model_with_its_tags(tmp_path):
    """In the order of the matrix; the tags of the entry and of the file's name stand beside its values."""
    touch(tmp_path, "b0-arc.onnx", "b0-cos.onnx", "lcnet-arc.onnx", "lcnet-cos.onnx", "other.onnx")
    entry = {**SWEEP, "tags": {"data": "indoor"}, "tag_pattern": "{net}-{loss}"}
    found = find_models(entries(entry), tmp_path)
    assert [(c.name, c.tags) for c in found] == [
        (f"{b}-{loss}", {"net": b, "loss": loss, "backbone": b, "data": "indoor"})
        for b in ("b0", "lcnet")
        for loss in ("arc", "cos")
    ]
    assert [c.missing for c in found] == [""] * 4
    assert [c.name for c in find_any(entries(entry), tmp_path)] == [c.name for c in found]


def test_a_missing_combination_is_refused_by_name_and_the_others_go_on(tmp_path, network):
    """A sweep that has not finished is evaluated as far as it is."""
    touch(tmp_path, "corrupt.onnx")
    path = network.write("b0-arc.onnx")
    run = config.validate(config.Config, {"images": {"folder": "."}, "models": [SWEEP]}, "test")
    found = resolve(run, path.parent)
    assert [model.name for model in found.models] == ["b0-arc"]
    assert found.models[0].tags == {"backbone": "b0", "loss": "arc"}
    assert [refused.name for refused in found.refused] == ["b0-cos", "lcnet-arc", "lcnet-cos"]
    assert {refused.kind for refused in found.refused} == {ModelErrorKind.MISSING}
    assert found.refused[0].message == (
        "nothing is at b0-cos.onnx; put the model there, or leave it out with `exclude: [{backbone: b0, loss: cos}]`"
    )
    inspected = inspect_config(run, path.parent / "benchmark.yaml", Quiet())
    assert [entry["status"] for entry in inspected["models"]] == ["ok", "refused", "refused", "refused"]


def test_excluded_combinations_are_not_missed(tmp_path):
    """What the message says to write is what helps."""
    touch(tmp_path, "b0-arc.onnx", "lcnet-arc.onnx")
    found = find_models(entries({**SWEEP, "exclude": [{"loss": "cos"}]}), tmp_path)
    assert [(c.name, c.missing) for c in found] == [("b0-arc", ""), ("lcnet-arc", "")]


def test_a_sweep_without_any_file_is_a_mistake(tmp_path):
    """Then the path is wrong, not one model."""
    touch(tmp_path, "b0_arc.onnx")
    with pytest.raises(UsageError) as caught:
        find_models(entries(SWEEP), tmp_path)
    assert "there is no file" in str(caught.value)
    assert "did you mean 'b0_arc.onnx'?" in str(caught.value)
    assert "none of the 4 combinations of {backbone}-{loss}.onnx is there" in str(caught.value)


def test_names_say_what_folders_say(tmp_path):
    """Every training run calls its best checkpoint best.onnx; names do not depend on which other models there are."""
    touch(tmp_path, "b0/arc/best.onnx", "b0/cos/best.onnx", "b0/cos/last.onnx")
    entry = {"path": "{backbone}/{loss}/best.onnx", "matrix": {"backbone": "b0", "loss": ["arc", "cos"]}}
    expected = ["best (backbone=b0, loss=arc)", "best (backbone=b0, loss=cos)"]
    assert [c.name for c in find_models(entries(entry), tmp_path)] == expected
    alone = {**entry, "matrix": {"backbone": "b0", "loss": "cos"}}
    assert [c.name for c in find_models(entries(alone), tmp_path)] == expected[1:]
    named = {**entry, "name": "{loss} net"}
    assert [c.name for c in find_models(entries(named), tmp_path)] == ["arc net (backbone=b0)", "cos net (backbone=b0)"]


def test_a_combination_may_be_a_glob(tmp_path):
    """One that matches nothing is one missing model, known by its path."""
    touch(tmp_path, "a/1.onnx", "a/2.onnx", "b/1.onnx")
    found = find_models(entries({"path": "{run}/*.onnx", "matrix": {"run": ["a", "b", "c"]}}), tmp_path)
    assert [c.name for c in found] == ["1 (run=a)", "2 (run=a)", "1 (run=b)", "c/*.onnx"]
    assert [bool(c.missing) for c in found] == [False, False, False, True]


def test_a_file_of_a_matrix_is_left_out_of_globs(tmp_path):
    """As every file that is named by itself."""
    touch(tmp_path, "b0-arc.onnx", "b0-cos.onnx", "lcnet-arc.onnx", "lcnet-cos.onnx", "other.onnx")
    assert [c.name for c in find_models(entries({"path": "*.onnx"}, SWEEP), tmp_path)][:1] == ["other"]
    assert len(find_models(entries({"path": "*.onnx"}, SWEEP), tmp_path)) == 5


def test_several_outputs_of_one_file(tmp_path):
    """One file, two tensors, two models."""
    touch(tmp_path, "net.onnx")
    entry = {"path": "net.onnx", "matrix": {"layer": ["pool", "head"]}, "output": "{layer}_out"}
    found = find_models(entries(entry), tmp_path)
    assert [(c.name, c.entry.output) for c in found] == [
        ("net (layer=pool)", "pool_out"),
        ("net (layer=head)", "head_out"),
    ]


def test_a_sweep_may_lie_on_s3(s3, tmp_path):
    """As every model may: combinations that are there, one that is not, and globs."""
    bucket = s3.bucket()
    for name in ("b0-arc", "b0-cos", "lcnet-cos"):
        objects.replace(f"{bucket}/ckpt/{name}.onnx", b"x")
    found = find_models(entries({**SWEEP, "path": f"{bucket}/ckpt/{SWEEP['path']}"}), tmp_path)
    assert [(c.name, bool(c.missing)) for c in found] == [
        ("b0-arc", False),
        ("b0-cos", False),
        ("lcnet-arc", True),
        ("lcnet-cos", False),
    ]
    assert f"nothing is at {bucket}/ckpt/lcnet-arc.onnx" in found[2].missing
    globbed = {"path": f"{bucket}/ckpt/{{backbone}}-*.onnx", "matrix": {"backbone": ["b0", "vit"]}}
    assert [bool(c.missing) for c in find_models(entries(globbed), tmp_path)] == [False, False, True]
    with pytest.raises(UsageError, match="none of the 2 combinations"):
        find_models(entries({**globbed, "path": f"{bucket}/{{backbone}}.onnx"}), tmp_path)
