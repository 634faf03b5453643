"""The job: its keys, what it asks of the engine, and what is refused before anything is started."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from evaljobs.config import Config, validate
from evaljobs.errors import UsageError
from evaljobs.jobs import build_jobs, set_names
from evaljobs.jobs.audit import AuditJob
from evaljobs.jobs.audit_images import ImagesAudit
from evaljobs.jobs.job import Job
from evaljobs.jobs.views import sets_with_views
from evaljobs.shipping.rewriting import rewritten


def config(models: bool = True, **keys: Any) -> Config:
    """Return a configuration with the sets main, train and noisy."""
    data = {
        **({"models": ["a.onnx"]} if models else {}),
        "sets": {
            "main": {"images": {"folder": "main"}},
            "train": {"images": {"folder": "train"}},
            "noisy": {"of": "main", "view": [{"noise": "0.5"}]},
        },
        "jobs": [{"name": "audit", "kind": "audit", **keys}],
    }
    return validate(Config, data, "config")


def job(**keys: Any) -> AuditJob:
    (built,) = build_jobs(config(**keys))
    assert isinstance(built, AuditJob)
    return built


def test_one_line_is_enough() -> None:
    """By default: PNG, JPEG and one size; PNG, which changes no pixel, costs no set."""
    one = job()
    assert one.sets() == {
        "set": "main",
        "counterfactual 1": "main, jpeg 75 4:2:0",
        "counterfactual 2": "main, resize 100x100 bilinear",
    }
    assert one.shown_set() == "main"
    assert one.may_idle
    part = one.of_images()
    assert isinstance(part, ImagesAudit)
    assert (part.name, part.kind, part.outputs, part.sets()) == ("audit", "audit", (), {"set": "main"})


def test_ways_to_encode_are_views() -> None:
    """Each way is a view of the set, several steps in order being one way; written ones may not be idle."""
    one = job(counterfactual=[{"jpeg": "50"}, [{"resize": "32"}, {"jpeg": {"quality": "90"}}], "png"])
    assert not one.may_idle
    views = sets_with_views(config(), [one])
    steps = [[step.kind for step in view.view.steps] for name, view in views.items() if name in one.views()]
    assert steps == [["jpeg"], ["resize", "jpeg"]]
    assert all(views[name].of == "main" for name in one.views())


def test_training_images_belong_to_the_part_on_images() -> None:
    """Models are not run on training images: their set is named by the part that needs no model alone."""
    one = job(training="train")
    assert "train" not in one.sets().values()
    part = one.of_images()
    assert part.sets() == {"set": "main", "training": "train"}
    assert part.shown_set() == "main"
    assert set_names([one]) == {"train", *one.sets().values()}


def test_parts_have_keys_of_their_own() -> None:
    """What one part is asked is not in the other's specification: a new way to encode reads no image again."""
    plain, other = job(), job(counterfactual=[{"jpeg": "50"}], hardest="5")
    assert plain.specification() != other.specification()
    assert plain.of_images().specification() == other.of_images().specification()
    near = job(near="2", seed="3")
    assert plain.specification() == near.specification()
    assert plain.of_images().specification() != near.of_images().specification()


def test_a_list_of_training_images_is_read_before_the_start(tmp_path: Path) -> None:
    """What stands in it decides a result, where it lies does not; a cluster is told of the copy that it was sent."""
    for name, labels in (("a.csv", "label\nx\n"), ("b.csv", "label\nx\n"), ("c.csv", "label\ny\n")):
        (tmp_path / name).write_text(labels)

    def opened(name: str) -> Job:
        one = job(training_list=name).opened(lambda path: str(tmp_path / path)).of_images()
        assert one is not None
        return one

    specifications = [opened(name).specification() for name in ("a.csv", "b.csv", "c.csv")]
    assert specifications[0] == specifications[1] != specifications[2]
    assert opened("a.csv").sets() == {"set": "main"}
    assert job(training_list="a.csv").attached() == ("a.csv",)
    sent = rewritten(config(training_list="a.csv"), sets={}, models=(), files={"a.csv": "123-a.csv"})
    assert "training_list: 123-a.csv" in sent
    with pytest.raises(UsageError, match=r"job 'audit': training_list: .*d\.csv does not exist"):
        opened("d.csv")


def test_images_alone_need_no_models() -> None:
    """A file without models is audited; then no way to encode is computed. Other jobs say that they need models."""
    (built,) = build_jobs(config(models=False))
    assert set_names([built], models=False) == {"main"}
    data = {"images": {"folder": "a"}, "jobs": [{"name": "v"}]}
    with pytest.raises(UsageError, match=r"names no models, and job 'v' evaluates them"):
        build_jobs(validate(Config, data, "config"))


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"set": "noisy"}, r"'noisy' is a view, and has no files of its own to audit; audit 'main'"),
        ({"training": "main"}, r"`training` names the set 'main' that is audited"),
        ({"training": "train", "training_list": "a.csv"}, r"found `training` and `training_list`"),
        ({"training": "trian"}, r"no set 'trian'; the sets are main, train, noisy"),
        ({"counterfactual": [{"noise": "0.5"}]}, r"`noise` leaves files as different as they were"),
        ({"counterfactual": [{"jpeg": "75"}, {"jpeg": "75"}]}, r"the same twice"),
        ({"counterfactual": ["webp"]}, r"(?s)1 mistake.*found 'webp'; expected `png`, or a step with its value"),
        ({"counterfactual": [{"jpeg": "0"}]}, r"(?s)1 mistake.*jpeg\.quality: .* greater than or equal to 1"),
        ({"counterfactual": [{"jpg": "75"}]}, r"unknown key; did you mean 'jpeg'"),
        ({"counterfactual": [[]]}, r"(?s)1 mistake.*at least 1 item"),
        ({"counterfactal": []}, r"did you mean 'counterfactual'\?|counterfactal"),
        ({"groups": "1"}, r"groups"),
        ({"near": "9"}, r"near.*8"),
        ({"columns": ["camera"]}, r"expected columns of people's own, such as manifest\.camera"),
        ({"columns": ["manifest.camera"]}, r"manifest\.camera, a column that the set 'main' does not keep"),
    ],
)
def test_what_cannot_be_asked_is_refused(keys: dict[str, Any], message: str) -> None:
    """Before anything is started, with what to write instead."""
    with pytest.raises(UsageError, match=message):
        build_jobs(config(**keys))


def samples(**columns: Any) -> dict[str, pa.Table]:
    default = {"label": ["a", "b", "a"], "mode": ["L"] * 3, "width": [8] * 3, "height": [8] * 3}
    return {"set": pa.table({**default, **columns})}


def test_one_label_is_refused() -> None:
    """An audit asks what tells labels apart: with one label there is nothing to ask."""
    with pytest.raises(UsageError, match=r"all 3 images of 'main' have one label, 'a'.*two or more"):
        job().check_samples(samples(label=["a"] * 3))


@pytest.mark.parametrize(
    ("way", "said"), [({"resize": "8"}, r"resize: \[8, 8\]"), ({"grayscale": "true"}, "grayscale")]
)
def test_a_way_that_changes_nothing_is_refused(way: dict[str, str], said: str) -> None:
    """Files that are so already are known before an image is decoded; in a mixed set the way is fine."""
    with pytest.raises(UsageError, match=rf"`counterfactual: {said}.* changes nothing: every image is so already"):
        job(counterfactual=[way]).check_samples(samples())
    # A file that is no image says nothing of the others.
    with pytest.raises(UsageError, match="changes nothing"):
        job(counterfactual=[way]).check_samples(samples(mode=["L", None, "L"], width=[8, None, 8]))
    job(counterfactual=[way]).check_samples(samples(mode=["L", "RGB", "L"], width=[8, 9, 8]))
    job().check_samples(samples())
