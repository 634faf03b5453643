"""Views in the configuration: what may be written, what it means, and what is said of mistakes."""

from __future__ import annotations

from pathlib import Path

import pytest

from evaljobs.config import Config, load, to_yaml
from evaljobs.config.sets import lineage
from evaljobs.errors import UsageError

START = "images: {folder: a}\nmodels: [m.onnx]\n"


def loaded(tmp_path: Path, text: str) -> Config:
    path = tmp_path / "c.yaml"
    path.write_text(START + text)
    return load(path)


def test_short_forms_mean_the_long_ones(tmp_path: Path) -> None:
    """Two ways of writing are one configuration, of one digest; and what is kept of a run asks for the same."""
    short = "sets: {b: {of: main, view: [{noise: 0.7}, {jpeg: 30, at: input}, {blur: 2, at: input}]}}"
    long = (
        "sets: {b: {of: main, view: {seed: 0, steps: [{noise: {strength: 0.70, pattern: image}, at: null},"
        " {jpeg: {quality: 30, subsampling: '4:2:0'}, at: input}, {blur: 2.0, at: input}]}}}"
    )
    one, other = loaded(tmp_path, short), loaded(tmp_path, long)
    assert one.digest() == other.digest()
    (view,) = lineage(one.named_sets(), "b")[1]
    assert [(step.kind, step.point, step.values) for step in view.steps] == [
        ("noise", "input", {"strength": 0.7, "pattern": "image"}),
        ("jpeg", "input", {"quality": 30, "subsampling": "4:2:0"}),
        ("blur", "input", {"radius": 2.0}),
    ]
    (tmp_path / "again.yaml").write_text(to_yaml(one))
    assert load(tmp_path / "again.yaml").digest() == one.digest()


def test_views_stand_beside_the_only_set(tmp_path: Path) -> None:
    """`images` stays short for the set main, of which views are made; without any it is as it was."""
    config = loaded(tmp_path, "sets: {b: {of: main, view: [{blur: 1}]}, c: {of: b, view: {steps: {rotate: 90}}}}")
    assert list(config.named_sets()) == ["main", "b", "c"]
    assert list(config.image_sets()) == ["main"]
    root, views = lineage(config.named_sets(), "c")
    assert (root, [view.steps[0].kind for view in views]) == ("main", ["blur", "rotate"])
    assert lineage(config.named_sets(), "main") == ("main", [])


@pytest.mark.parametrize(
    ("view", "expected"),
    [
        ("[{blurr: 2}]", "sets.b.view.steps.0.blurr: unknown key; did you mean 'blur'?"),
        ("[{noise: 1.5}]", "sets.b.view.steps.0.noise.strength: Input should be less than or equal to 1"),
        ("[{noise: nan}]", "sets.b.view.steps.0.noise.strength"),
        ("[{noise: {strengh: 1}}]", "did you mean 'strength'?"),
        ("[{blur: 0}]", "sets.b.view.steps.0.blur: Input should be greater than 0"),
        ("[{jpeg: 300}]", "sets.b.view.steps.0.jpeg.quality: Input should be less than or equal to 100"),
        ("[{resize: [0, 4]}]", "a size is [height, width], both from 1 to 65,500"),
        ("[{resize: 8, at: input}]", "leave `at` out"),
        ("[{png: true}]", "PNG keeps every pixel, and models see nothing but pixels"),
        ("[{rotate: 0}]", "`rotate: 0` changes nothing"),
        ("[{grayscale: false}]", "`grayscale: false` changes nothing"),
        ("[{brightness: 1}]", "`brightness: 1` changes nothing"),
        ("[{blur: 2, jpeg: 30}]", "found `blur` and `jpeg`"),
        ("[{at: file}]", "found none"),
        ("[]", "at least 1 item"),
        ("[{noise: 0.2}, {blur: 2}]", "put `blur` first, or say where one of them acts: `{noise: ..., at: file}`"),
        ("{steps: {blur: 2}, share: 0}", "sets.b.view.share: Input should be greater than 0"),
        ("{steps: {blur: 2}, share: 1.2}", "sets.b.view.share: Input should be less than or equal to 1"),
        ("{steps: {blur: 2}, share: 0.2, first: 4}", "found `share` and `first`; give one of them"),
        ("{steps: {blur: 2}, seed: 4}", "`seed` changes nothing, as nothing is drawn"),
        ("{steps: {blur: 2}, frist: 4}", "did you mean 'first'?"),
    ],
)
def test_mistakes_in_a_view_are_named(tmp_path: Path, view: str, expected: str) -> None:
    """Where it stands, what was found, what to write instead: before anything is started."""
    with pytest.raises(UsageError) as caught:
        loaded(tmp_path, f"sets: {{b: {{of: main, view: {view}}}}}")
    assert expected in str(caught.value)


@pytest.mark.parametrize(
    ("sets", "expected"),
    [
        ("{b: {of: mian, view: [{blur: 2}]}}", "sets.b.of: no set 'mian'; did you mean 'main'?"),
        ("{b: {of: b, view: [{blur: 2}]}}", "sets.b.of: b of b: a circle"),
        ("{b: {of: c, view: [{blur: 2}]}, c: {of: b, view: [{blur: 1}]}}", "b of c of b: a circle"),
        ("{b: {of: main}}", "found `of` without `view`"),
        ("{b: {view: [{blur: 2}]}}", "found `view` without `of`"),
        ("{b: {images: {folder: x}, of: main, view: [{blur: 2}]}}", "give either `images`, or `of` and `view`"),
        ("{b: {images: {folder: x}}}", "beside `images` (the set main) found `sets` with images"),
        ("{main: {of: main, view: [{blur: 2}]}}", "`sets.main`; leave one of them out"),
        (
            "{b: {of: main, view: [{noise: 0.1}]}, c: {of: b, view: [{blur: 2}]}}",
            "sets.c.view: with the steps of the view that it is made of, `blur` acts on the file's picture",
        ),
    ],
)
def test_views_of_nothing_are_refused(tmp_path: Path, sets: str, expected: str) -> None:
    """A view has images in the end, whichever way it takes, and steps that can act in their order."""
    with pytest.raises(UsageError) as caught:
        loaded(tmp_path, f"sets: {sets}")
    assert expected in str(caught.value)
