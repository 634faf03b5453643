"""Checkpoints of one training run: one line, in the order of its numbers."""

from __future__ import annotations

import pytest

from evaljobs import config
from evaljobs.errors import UsageError
from evaljobs.models.files import find_models
from evaljobs.models.model import Series
from evaljobs.models.series import number_of
from evaljobs.remote import objects


def entries(*models):
    return tuple(config.validate(config.Models, model, "test") for model in models)


def touch(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"x")


EPOCHS = {"path": "epoch-*.onnx", "tag_pattern": "epoch-{epoch}", "series": "epoch"}


def test_checkpoints_stand_in_the_order_of_their_numbers(tmp_path):
    """Epoch 2 before epoch 10, whatever the zeros; what is no number is a model of its own, with a note."""
    touch(tmp_path, "epoch-10.onnx", "epoch-002.onnx", "epoch-1.onnx", "epoch-best.onnx")
    found = find_models(entries(EPOCHS), tmp_path)
    assert [c.name for c in found] == ["epoch-1", "epoch-002", "epoch-10", "epoch-best"]
    assert [c.series for c in found] == [*(Series("epoch", n, "epoch-*") for n in (1, 2, 10)), None]
    assert [c.notes for c in found[:3]] == [()] * 3
    assert "its tag epoch is 'best', no number" in found[3].notes[0]


@pytest.mark.parametrize(
    ("text", "number"),
    [("7", 7), ("0007", 7), ("-1", -1), ("0.50", 0.5), ("1e3", 1000), (".5", 0.5), ("1e-3", 0.001)]
    + [(text, None) for text in ("", "best", "1_0", "0x1", "nan", "inf", "1e999", "٣", "1 2", "10k")],
)
def test_numbers_are_those_of_file_names(text, number):
    """What Python would take for a number, and nobody means as one, is none."""
    assert number_of(text) == number
    assert number is None or type(number_of(text)) is (int if number == int(number) else float)


def test_training_runs_are_lines_of_their_own(tmp_path):
    """Told apart by the other tags: of a matrix, or of the folder's name."""
    touch(tmp_path, "a/epoch-1.onnx", "a/epoch-2.onnx", "b/epoch-10.onnx", "b/epoch-9.onnx")
    by_matrix = {**EPOCHS, "path": "{run}/epoch-*.onnx", "matrix": {"run": ["b", "a"]}}
    by_folder = {**EPOCHS, "path": "*/epoch-*.onnx", "tag_pattern": "{run}/epoch-{epoch}"}
    for entry in (by_matrix, by_folder):
        found = find_models(entries(entry), tmp_path)
        assert [(c.name, c.series.name, c.series.value) for c in found] == [
            ("epoch-1 (run=a)", "run=a", 1),
            ("epoch-2 (run=a)", "run=a", 2),
            ("epoch-9 (run=b)", "run=b", 9),
            ("epoch-10 (run=b)", "run=b", 10),
        ]


def test_a_name_is_the_lines(tmp_path):
    """Two training runs whose files are called alike, told apart by what people call them."""
    touch(tmp_path, "a/epoch-1.onnx", "a/epoch-2.onnx", "b/epoch-1.onnx")
    found = find_models(
        entries(*({**EPOCHS, "path": f"{run}/epoch-*.onnx", "name": f"run {run}"} for run in "ab")), tmp_path
    )
    assert [(c.name, c.series) for c in found] == [
        ("run a (epoch=1)", Series("epoch", 1, "run a")),
        ("run a (epoch=2)", Series("epoch", 2, "run a")),
        ("run b (epoch=1)", Series("epoch", 1, "run b")),
    ]


def test_a_missing_epoch_keeps_its_place(tmp_path):
    """The matrix says which epochs there should be."""
    touch(tmp_path, "e1.onnx", "e3.onnx")
    entry = {"path": "e{epoch}.onnx", "matrix": {"epoch": ["3", "2", "1"]}, "series": "epoch"}
    found = find_models(entries(entry), tmp_path)
    assert [(c.name, c.series, bool(c.missing)) for c in found] == [
        ("e1", Series("epoch", 1, "e{epoch}"), False),
        ("e2", Series("epoch", 2, "e{epoch}"), True),
        ("e3", Series("epoch", 3, "e{epoch}"), False),
    ]


def test_two_models_at_one_place_are_refused(tmp_path):
    """A line has one value at each epoch."""
    touch(tmp_path, "a/p-1.onnx", "b/q-1.onnx")
    both = [
        {"path": f"{run}/*.onnx", "tag_pattern": f"{name}-{{epoch}}", "series": "epoch", "tags": {"loss": "arc"}}
        for run, name in ("ap", "bq")
    ]
    with pytest.raises(UsageError, match=r"'p-1' and 'q-1' both stand at epoch 1 of the line 'loss=arc'"):
        find_models(entries(*both), tmp_path)
    assert len(find_models(entries(both[0], {**both[1], "tags": {"run": "b"}}), tmp_path)) == 2


def test_entries_whose_files_are_called_alike_are_lines_of_their_own(tmp_path):
    """Two training runs are never one curve: the folders tell them apart, as many of them as are needed."""
    touch(
        tmp_path, "runs/a/epoch-10.onnx", "runs/b/epoch-15.onnx", "x/1/ckpt/s-3.onnx", "x/2/ckpt/s-4.onnx", "t-1.onnx"
    )
    paths = {"runs/a/epoch-*": "epoch", "runs/b/epoch-*": "epoch", "x/1/ckpt/s-*": "s", "x/2/ckpt/s-*": "s", "t-*": "t"}
    asked = [
        {"path": f"{path}.onnx", "tag_pattern": f"{word}-{{epoch}}", "series": "epoch"} for path, word in paths.items()
    ]
    found = find_models(entries(*asked), tmp_path)
    assert [(c.series.name, c.series.value) for c in found] == [
        ("a/epoch-*", 10),
        ("b/epoch-*", 15),
        ("1/ckpt/s-*", 3),
        ("2/ckpt/s-*", 4),
        ("t-*", 1),
    ]
    named = find_models(entries({**asked[0], "name": "first"}, asked[1]), tmp_path)
    assert [c.series.name for c in named] == ["first", "epoch-*"]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"tag_pattern": None}, "none of them has the tag 'epoch'; they have no tags"),
        ({"series": "step"}, "none of them has the tag 'step'; they have 'epoch'"),
        ({"path": "epoch-b*.onnx"}, "'epoch' is no number in any of them: 'best'"),
    ],
)
def test_a_line_without_numbers_is_a_mistake(tmp_path, changes, says):
    """It is found before anything starts, with what to write."""
    touch(tmp_path, "epoch-1.onnx", "epoch-best.onnx")
    with pytest.raises(UsageError) as caught:
        find_models(entries({**EPOCHS, **changes}), tmp_path)
    assert says in str(caught.value)
    assert "tag_pattern: epoch-{epoch}" in str(caught.value)


def test_checkpoints_may_lie_on_s3(s3, tmp_path):
    """A line of objects is in the order of its numbers too."""
    bucket = s3.bucket()
    for number in (1, 2, 10):
        objects.replace(f"{bucket}/runs/a/epoch-{number}.onnx", b"x")
    found = find_models(entries({**EPOCHS, "path": f"{bucket}/runs/*/epoch-*.onnx"}), tmp_path)
    assert [c.series.value for c in found] == [1, 2, 10]
