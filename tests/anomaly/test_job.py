"""The job: it makes the rotated views itself, finds what the functions find, and says what is wrong with its input."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import evaljobs
from evaljobs.config import Config, Set, Step, View, validate
from evaljobs.engine.evaluation import tell_nobody
from evaljobs.engine.spreading import Spread, Spreading
from evaljobs.errors import InputError, NonFiniteError, UsageError
from evaljobs.jobs import build_jobs
from evaljobs.jobs.anomaly import AnomalyJob
from evaljobs.jobs.job import Job, ModelFacts, Outcome, Rows
from evaljobs.jobs.views import sets_with_views, view_of
from evaljobs.pairs.threads import run_rounds

FACTS = ModelFacts("m", None, "logits")
LABELS = ("good", "scratch", "dent")


def config(*jobs: Mapping[str, Any], **sets: Any) -> Config:
    """Return a configuration with the sets main and train."""
    declared = {name: {"images": {"folder": name}} for name in ("main", "train")}
    return validate(Config, {"models": ["a.onnx"], "sets": {**declared, **sets}, "jobs": list(jobs)}, "config")


def job(**keys: Any) -> AnomalyJob:
    """Return the job of a configuration."""
    entry = {"name": "odd", "kind": "anomaly", "set": "main", "normal": ["good"], "fpr": ["0.01", "0.1"], **keys}
    (built,) = build_jobs(config(entry))
    assert isinstance(built, AnomalyJob)
    return built


def side(view: str, scores: np.ndarray, labels: list[str], **more: Any) -> Rows:
    """Return what the engine would read of a set."""
    digests = [hashlib.sha256(f"{view} {i}".encode()).digest() for i in range(len(labels))]
    outputs = {"scores": scores.astype(np.float32), "embedding": scores.astype(np.float32)}
    ids = pa.array([f"{i:04d}" for i in range(len(labels))])
    return Rows(pa.array(digests, pa.binary(32)), labels, outputs, ids, model=FACTS, **more)


@pytest.fixture
def rows() -> dict[str, Rows]:
    """Return 600 images and their rotations; a model that tells those of normal images better."""
    rng = np.random.default_rng(0)
    labels = [LABELS[place] for place in rng.choice(3, 600, p=(0.7, 0.2, 0.1))]
    skill = np.where(np.array(labels) == "good", 4.0, 1.5)
    sides = {}
    for place, role in enumerate(("set", "rotated 90", "rotated 180", "rotated 270")):
        scores = rng.normal(size=(600, 4)) * 2
        scores[:, place] += skill
        sides[role] = side(role, scores, labels)
    return sides


def carried_out(one: Job, rows: Mapping[str, Rows]) -> Outcome:
    """Carry the passes out in threads."""
    passes = one.passes(rows)
    outcome = run_rounds(passes.rounds, passes.samples, 2)
    assert isinstance(outcome, Outcome)
    return outcome


def test_the_job_makes_the_views_that_it_needs() -> None:
    """One line of keys; three views beside the set; the set's name stands alone over the results."""
    one = job()
    views = {f"rotated {d}": f"main, rotate {d}" for d in (90, 180, 270)}
    assert one.sets() == {"set": "main", **views}
    assert one.views()["main, rotate 90"] == Set(of="main", view=View(steps=(Step(rotate=90),)))
    assert one.shown_set() == "main"
    assert one.outputs == ("scores",)
    assert job(rotations=[0, 180], at="input").sets() == {"set": "main", "rotated 180": "main, rotate 180 at input"}
    far = job(reference="train")
    assert (far.sets(), far.views(), far.outputs) == ({"set": "main", "reference": "train"}, {}, ("embedding",))
    assert far.n_pairs({"set": pa.array(["a", "b"]), "reference": pa.array(["c"] * 5)}, None) == 10


def test_views_of_jobs_are_sets_like_others() -> None:
    """Equal ones are one set; another declared set of that name is refused, and so is what cannot be made."""
    entry = {"name": "odd", "kind": "anomaly", "set": "main", "normal": "good"}
    whole = config(entry, {**entry, "name": "again"})
    assert len(sets_with_views(whole, build_jobs(whole))) == 2 + 3
    same = config(entry, **{"main, rotate 90": {"of": "main", "view": [{"rotate": 90}]}})
    assert len(sets_with_views(same, build_jobs(same))) == 2 + 3
    with pytest.raises(UsageError, match="makes a view named 'main, rotate 90', and the file has another one"):
        build_jobs(config(entry, **{"main, rotate 90": {"of": "main", "view": [{"rotate": 91}]}}))
    noisy = {"of": "main", "view": [{"noise": 0.5}]}
    with pytest.raises(UsageError, match=r"makes the view 'noisy, rotate 90' of a view: `rotate` acts on the file"):
        build_jobs(config({**entry, "set": "noisy"}, noisy=noisy))
    (turned,) = build_jobs(config({**entry, "set": "noisy", "at": "input"}, noisy=noisy))
    assert "noisy, rotate 90 at input" in turned.views()


def test_names_of_views_say_all_that_they_do() -> None:
    """So that views of different steps never share a name."""
    steps = [Step(jpeg=75), Step(jpeg={"quality": 75, "subsampling": "4:4:4"}), Step(noise=0.3), Step(rotate=90.5)]
    steps += [Step(resize=64), Step(resize=(64, 32)), Step(grayscale=True), Step(blur=2, at="input"), Step(blur=2)]
    names = [view_of("main", step)[0] for step in steps]
    assert names == [
        "main, jpeg 75 4:2:0",
        "main, jpeg 75 4:4:4",
        "main, noise 0.3 image",
        "main, rotate 90.5",
        "main, resize 64x64 bilinear",
        "main, resize 64x32 bilinear",
        "main, grayscale",
        "main, blur 2 at input",
        "main, blur 2",
    ]
    assert view_of("main", steps[0], steps[8])[0] == "main, jpeg 75 4:2:0, blur 2"


def test_the_job_finds_what_the_functions_find(rows: dict[str, Rows]) -> None:
    """The same numbers, whoever carries it out: threads here, or tasks elsewhere."""
    one = job()
    outcome = carried_out(one, rows)
    scores = np.stack([side.outputs["scores"] for side in rows.values()])
    values = evaljobs.rotation_anomaly(scores, scores_are="logits")
    anomalous = np.array(rows["set"].labels) != "good"
    assert outcome.tables["images"]["score"].to_pylist() == values.tolist()
    plain = evaljobs.detect_anomalies(values, anomalous, ("0.01", "0.1"), groups=0)
    found = outcome.result
    assert (found["n_normal"], found["n_anomalous"]) == (plain.n_normal, plain.n_anomalous)
    assert found["auroc"] == plain.auroc
    assert one.rank(found) == (plain.auroc,)
    for of_job, point in zip(found["points"], plain.points, strict=True):
        assert of_job["threshold"] == point.threshold
        assert of_job["next_normal_score"] == point.next_impostor_score
        assert (of_job["false_positives"], of_job["true_positives"]) == (point.false_positives, point.true_positives)
    assert 0.75 < found["auroc"] < 1
    assert found["rotation_accuracy"]["normal"] > found["rotation_accuracy"]["anomalous"] > 0.25
    assert np.sum(found["confusion"]) == 4 * found["n_normal"]
    assert (found["method"], found["rotations"], found["neighbours"]) == ("rotations", [0, 90, 180, 270], None)

    def fan(samples: Any) -> Any:
        return lambda function, shared, items: (function(samples, shared, item) for item in reversed(list(items)))

    spread = Spreading(Spread(fan, 4, least_pairs=0), tell_nobody).carry_out(one.passes(rows))
    assert spread.result == found
    assert {name: table.to_pydict() for name, table in spread.tables.items()} == {
        name: table.to_pydict() for name, table in outcome.tables.items()
    }


def test_tables_hold_every_image_and_label(rows: dict[str, Rows]) -> None:
    """What is counted can be counted again from the tables."""
    outcome = carried_out(job(), rows)
    found, images = outcome.result, outcome.tables["images"].to_pylist()
    right = [np.mean([image[f"right_{d}"] for d in (0, 90, 180, 270)]) for image in images]
    np.testing.assert_allclose([1 - image["score"] for image in images], right, atol=1e-15)
    labels = {row["label"]: row for row in outcome.tables["labels"].to_pylist()}
    assert {label: row["n_samples"] for label, row in labels.items()} == {
        label: rows["set"].labels.count(label) for label in LABELS
    }
    normal = [image["score"] for image in images if not image["anomalous"]]
    dents = [image["score"] for image in images if image["label"] == "dent"]
    assert labels["dent"]["auroc"] == np.mean([(a > b) + 0.5 * (a == b) for a in dents for b in normal])
    assert labels["good"]["auroc"] is None
    flagged = outcome.tables["label_points"].to_pylist()
    for point in found["points"]:
        n = {row["label"]: row["n_flagged"] for row in flagged if row["target"] == point["target"]}
        assert (n["good"], n["dent"] + n["scratch"]) == (point["false_positives"], point["true_positives"])
        shares = [n[label] / labels[label]["n_samples"] for label in ("dent", "scratch")]
        assert point["tpr_balanced"] == sum(shares) / 2
    bins = outcome.tables["scores"].to_pylist()
    assert sum(row["normal"] for row in bins) == found["n_normal"]
    assert sum(row["anomalous"] for row in bins) == found["n_anomalous"]
    assert (found["n_normal_labels"], found["n_anomalous_labels"]) == (1, 2)


def test_order_of_the_images_changes_no_number(rows: dict[str, Rows]) -> None:
    """Groups are made of digests, and sums are rounded once."""
    order = np.random.default_rng(1).permutation(600)
    shuffled = {
        role: Rows(
            one.digests.take(pa.array(order)),
            [one.labels[i] for i in order],
            {name: values[order] for name, values in one.outputs.items()},
            one.ids.take(pa.array(order)),
            model=FACTS,
        )
        for role, one in rows.items()
    }
    found = carried_out(job(), shuffled).result
    assert found["auroc_ci"] is not None
    assert found == carried_out(job(), rows).result


def test_images_that_a_view_lacks_are_left_out(rows: dict[str, Rows]) -> None:
    """One that fails when turned has no score; the others keep their own rows."""
    short = rows["rotated 180"]
    kept = np.delete(np.arange(600), [0, 5])
    less = Rows(
        short.digests.take(pa.array(kept)),
        [short.labels[i] for i in kept],
        {name: values[kept] for name, values in short.outputs.items()},
        short.ids.take(pa.array(kept)),
        model=FACTS,
    )
    whole, part = carried_out(job(), rows), carried_out(job(), {**rows, "rotated 180": less})
    assert part.result["n_samples"] == 598
    assert "2 images are left out: a rotated view of them cannot be used" in part.result["notes"]
    assert part.tables["images"].to_pylist() == [whole.tables["images"].to_pylist()[i] for i in kept]


def test_rotations_in_another_order_are_noticed(rows: dict[str, Rows]) -> None:
    """A model that was trained clockwise looks bad, and it is told how to read it; one at chance is no such model."""
    swapped = {**rows, "rotated 90": rows["rotated 270"], "rotated 270": rows["rotated 90"]}
    wrong = carried_out(job(), swapped).result
    assert any("write `rotations: [0, 270, 180, 90]`" in note for note in wrong["notes"])
    mended = carried_out(job(rotations=[0, 270, 180, 90]), swapped).result
    assert mended["auroc"] == carried_out(job(), rows).result["auroc"]
    assert mended["notes"] == []
    chance = {
        role: side(role, np.random.default_rng(7).normal(size=(600, 4)), one.labels) for role, one in rows.items()
    }
    assert any(
        "no model that tells these rotations apart" in note for note in carried_out(job(), chance).result["notes"]
    )


def test_classes_named_wrongly_are_noticed(rows: dict[str, Rows]) -> None:
    """Where names say which class is which rotation, another order of `rotations` would change nothing: it is names."""

    def named(*classes: str) -> dict[str, Rows]:
        """Return what a model gives that was trained clockwise, its classes under these names."""
        facts = ModelFacts("m", classes, "logits")
        swapped = {**rows, "rotated 90": rows["rotated 270"], "rotated 270": rows["rotated 90"]}
        return {role: dataclasses.replace(one, model=facts) for role, one in swapped.items()}

    for rotations in ([0, 90, 180, 270], [0, 270, 180, 90]):
        wrong = carried_out(job(rotations=rotations), named("0", "90", "180", "270")).result
        (note,) = wrong["notes"]
        assert "fit the rotations 0, 270, 180, 90" in note
        assert "better than 0, 90, 180, 270" in note
        assert "write `classes: [0, 270, 180, 90]` of the model's entry" in note
    mended = carried_out(job(), named("0", "270", "180", "90")).result
    assert (mended["notes"], mended["auroc"]) == ([], carried_out(job(), rows).result["auroc"])


@pytest.mark.parametrize("keys", [{}, {"reference": "train"}])
def test_a_normal_label_may_have_no_usable_image(rows: dict[str, Rows], keys: dict[str, Any]) -> None:
    """Where others are left: it is said, and the result is that of the others."""
    sides = {"set": rows["set"], "reference": rows["set"]} if keys else rows
    found = carried_out(job(normal=["good", "fine"], **keys), sides).result
    assert found["notes"] == ["no image that can be used has the normal label 'fine'"]
    assert found["auroc"] == carried_out(job(**keys), sides).result["auroc"]


def test_distances_to_normal_images(rows: dict[str, Rows]) -> None:
    """The mean distance to the nearest normal images of the reference; an image is no neighbour of itself."""
    images = rows["set"]
    rng = np.random.default_rng(3)
    reference = side("train", rng.normal(size=(300, 4)) + np.array([4, 0, 0, 0]), ["good"] * 200 + ["dent"] * 100)
    outcome = carried_out(job(reference="train", neighbours=5), {"set": images, "reference": reference})
    near = evaljobs.neighbour_distances(images.outputs["embedding"], reference.outputs["embedding"][:200], 5)
    assert outcome.tables["images"]["score"].to_pylist() == near.distance.tolist()
    assert outcome.tables["images"]["farthest"].to_pylist() == near.farthest.tolist()
    assert outcome.result["neighbours"] == {"k": 5, "n_reference": 200, "n_left_out": 100}
    assert (outcome.result["method"], outcome.result["confusion"]) == ("neighbours", None)
    itself = carried_out(job(reference="main", neighbours=5), {"set": images, "reference": images})
    assert min(itself.tables["images"]["score"].to_pylist()) > 0
    assert itself.result["neighbours"]["n_reference"] == images.labels.count("good")


def test_a_view_has_the_groups_of_its_files(rows: dict[str, Rows]) -> None:
    """So that a model can be compared with itself before and after: replicates leave out the same images."""
    files = rows["set"].digests
    seen = {
        role: side(f"jpeg {role}", one.outputs["scores"], list(one.labels), files=files) for role, one in rows.items()
    }
    assert carried_out(job(), seen).result == carried_out(job(), rows).result


def test_few_images_have_no_intervals(rows: dict[str, Rows]) -> None:
    """And it is said; where none were asked for, nothing is."""
    few = {
        role: Rows(
            one.digests[:30],
            one.labels[:30],
            {name: values[:30] for name, values in one.outputs.items()},
            one.ids[:30],
            model=FACTS,
        )
        for role, one in rows.items()
    }
    found = carried_out(job(), few).result
    assert (found["intervals"], found["auroc_ci"]) == (None, None)
    assert found["notes"] == ["no intervals: 30 different images are too few for 20 groups of at least two"]
    assert carried_out(job(groups=0), few).result["notes"] == []


def test_bad_rows_are_refused(rows: dict[str, Rows]) -> None:
    """As results of the one model, with what to do."""
    three = {role: side(role, one.outputs["scores"][:, :3], list(one.labels)) for role, one in rows.items()}
    with pytest.raises(InputError, match=r"gives 3 class score\(s\), and there are 4 rotations.*`rotations`"):
        carried_out(job(), three)
    bad = rows["rotated 90"].outputs["scores"].copy()
    bad[3] = np.inf
    with pytest.raises(NonFiniteError) as found:
        carried_out(job(), {**rows, "rotated 90": side("x", bad, list(rows["set"].labels))})
    assert found.value.rows == (603,)
    with pytest.raises(InputError, match=r"none of the 600 images that can be used has a normal label \('fine'\)"):
        carried_out(job(normal="fine"), rows)
    with pytest.raises(InputError, match="every one of the 600 images that can be used has a normal label"):
        carried_out(job(normal=LABELS), rows)
    train = side("train", np.ones((20, 4)), ["dent"] * 20)
    with pytest.raises(InputError, match="none of the 20 images of the reference has a normal label"):
        carried_out(job(reference="train"), {"set": rows["set"], "reference": train})
    train = side("train", np.ones((8, 4)), ["good"] * 8)
    with pytest.raises(InputError, match="found k = 10 nearest of 8 reference images"):
        carried_out(job(reference="train"), {"set": rows["set"], "reference": train})
    zero = side("train", np.zeros((20, 4)), ["good"] * 20)
    with pytest.raises(NonFiniteError) as empty:
        carried_out(job(reference="train"), {"set": rows["set"], "reference": zero})
    assert empty.value.rows[0] == 600
    apart = Rows(
        rows["set"].digests[:0], [], {"scores": np.zeros((0, 4), np.float32)}, rows["set"].ids[:0], model=FACTS
    )
    with pytest.raises(InputError, match="no image of the set can be used in every rotation"):
        carried_out(job(), {**rows, "rotated 90": apart})


def test_labels_are_checked_before_anything_is_computed() -> None:
    """What is known of the sets ends the run at once."""
    samples = {"set": pa.table({"label": ["good", "dent"]})}
    dents = {**samples, "reference": pa.table({"label": ["dent"]})}
    job().check_samples(samples)
    with pytest.raises(UsageError, match="job 'odd': no image of the set has the normal label 'fine'"):
        job(normal=["fine"]).check_samples(samples)
    with pytest.raises(UsageError, match="job 'odd': every image of the set is normal"):
        job(normal=["dent", "good"]).check_samples(samples)
    with pytest.raises(UsageError, match=r"no image of the reference 'train' has a normal label \('good'\)"):
        job(reference="train").check_samples(dents)


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"normal": []}, "normal"),
        ({"normal": ["a", "a"]}, "name each label once"),
        ({"rotations": [90, 180]}, "0 among them"),
        ({"rotations": [0]}, "at least two different rotations"),
        ({"rotations": [0, 90, -270]}, "at least two different rotations"),
        ({"reference": "train", "rotations": [0, 180]}, "found `reference` beside `rotations`"),
        ({"neighbours": 3}, "`neighbours` belongs to `reference`"),
        ({"groups": 1}, "one is too few"),
        ({"set": "nowhere"}, "no set 'nowhere'"),
        ({"normals": ["good"]}, "did you mean"),
    ],
)
def test_bad_keys_are_refused(keys: dict[str, Any], said: str) -> None:
    """Before anything is started."""
    with pytest.raises(UsageError, match=said):
        job(**keys)
