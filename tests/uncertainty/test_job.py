"""The job: what the engine hands it becomes what the Python functions say, and its keys are checked."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping
from typing import Any, get_args

import numpy as np
import pyarrow as pa
import pytest

import evaljobs
from evaljobs.classification.measure import Scale
from evaljobs.config import Config, validate
from evaljobs.engine.evaluation import tell_nobody
from evaljobs.engine.spreading import Spread, Spreading
from evaljobs.errors import InputError, NonFiniteError, UsageError
from evaljobs.jobs import build_jobs
from evaljobs.jobs.job import Job, ModelFacts, Outcome, Rows
from evaljobs.jobs.uncertainty import UncertaintyJob
from evaljobs.jobs.uncertainty_keys import MeasureName
from evaljobs.pairs.threads import run_rounds
from evaljobs.uncertainty.measures import Measure
from evaljobs.uncertainty.passes import Spread as PassSpread

CLASSES = ("a", "b", "c", "d")
FACTS = ModelFacts("m", CLASSES, "logits")


def job(**keys: Any) -> UncertaintyJob:
    """Return the job of a configuration with the sets main, noisy, other and train."""
    data = {
        "models": ["a.onnx"],
        "sets": {name: {"images": {"folder": name}} for name in ("main", "noisy", "other", "train")},
        "jobs": [{"name": "doubts", "kind": "uncertainty", **keys}],
    }
    (built,) = build_jobs(validate(Config, data, "config"))
    assert isinstance(built, UncertaintyJob)
    return built


def side(name: str, n: int, skill: float, **more: Any) -> Rows:
    """Return what the engine would read of a set: class scores and embeddings."""
    rng = np.random.default_rng(n)
    truth = rng.integers(0, len(CLASSES), n)
    scores = rng.normal(size=(n, len(CLASSES)))
    scores[np.arange(n), truth] += skill
    digests = pa.array([hashlib.sha256(f"{name} {i}".encode()).digest() for i in range(n)], pa.binary(32))
    outputs = {"scores": scores.astype(np.float32), "embedding": scores.astype(np.float32)}
    labels = [CLASSES[i] for i in truth]
    return Rows(digests, labels, outputs, pa.array([f"{name}/{i}" for i in range(n)]), model=FACTS, **more)


def carried_out(one: Job, rows: Mapping[str, Rows], threads: int = 2) -> Outcome:
    """Carry the passes out in threads."""
    passes = one.passes(rows)
    outcome = run_rounds(passes.rounds, passes.samples, threads)
    assert isinstance(outcome, Outcome)
    return outcome


@pytest.fixture
def rows() -> dict[str, Rows]:
    """Return three sets."""
    changed = np.arange(300) < 100
    return {
        "set": side("main", 500, 3.0),
        "corrupted 1": side("noisy", 300, 1.0, changed=changed),
        "foreign 1": side("other", 400, 0.0),
    }


def test_the_job_finds_what_the_functions_find(rows: dict[str, Rows]) -> None:
    """The same numbers, whoever carries it out: threads here, or tasks elsewhere."""
    one = job(corrupted="noisy", foreign=["other"], groups=0, share="0.2")
    assert one.sets() == {"set": "main", "corrupted 1": "noisy", "foreign 1": "other"}
    outcome = carried_out(one, rows)
    values = {r: evaljobs.softmax_entropy(s.outputs["scores"], scores_are="logits") for r, s in rows.items()}
    right = {
        r: np.array([CLASSES[i] for i in s.outputs["scores"].argmax(axis=1)]) == np.array(s.labels)
        for r, s in rows.items()
    }
    expected = evaljobs.assess_uncertainty(
        evaljobs.UncertainImages(values["set"], right["set"]),
        corrupted={
            "corrupted 1": evaljobs.UncertainImages(
                values["corrupted 1"], right["corrupted 1"], rows["corrupted 1"].changed
            )
        },
        foreign={"foreign 1": evaljobs.UncertainImages(values["foreign 1"])},
        share=0.2,
        groups=0,
    )
    assert outcome.result["measures"]["entropy"] == expected.to_json()
    assert outcome.result["measure"] == "entropy"
    assert outcome.result["positive"] == "foreign"
    found = outcome.result["measures"]["entropy"]
    assert found["sets"]["corrupted 1"]["changed"]["n_unsure"] > 0
    assert found["sets"]["set"]["split"]["n_unsure"] == 100

    def fan(samples: Any) -> Any:
        return lambda function, shared, items: (function(samples, shared, item) for item in reversed(list(items)))

    spread = Spreading(Spread(fan, 4, least_pairs=0), tell_nobody).carry_out(one.passes(rows))
    assert spread.result == outcome.result
    assert {name: table.to_pydict() for name, table in spread.tables.items()} == {
        name: table.to_pydict() for name, table in outcome.tables.items()
    }


def test_order_of_the_images_changes_no_number(rows: dict[str, Rows]) -> None:
    """Groups are made of digests, and sums are rounded once: listing a folder otherwise changes no bit."""
    order = np.random.default_rng(1).permutation(500)
    base = rows["set"]
    shuffled = Rows(
        base.digests.take(pa.array(order)),
        [base.labels[i] for i in order],
        {name: values[order] for name, values in base.outputs.items()},
        base.ids.take(pa.array(order)),
        model=FACTS,
    )
    one = job(corrupted="noisy", foreign="other")
    found = carried_out(one, rows).result
    assert carried_out(one, {**rows, "set": shuffled}).result == found
    assert found["measures"]["entropy"]["sets"]["foreign 1"]["detection"]["auroc_ci"] is not None


def test_tables_hold_every_image_and_curve(rows: dict[str, Rows]) -> None:
    """What is counted can be counted again from the tables."""
    outcome = carried_out(job(corrupted="noisy", foreign="other"), rows)
    sizes = {"set": 500, "corrupted 1": 300, "foreign 1": 400}
    images = outcome.tables["images"].to_pylist()
    assert Counter(image["role"] for image in images) == sizes
    found = outcome.result["measures"]["entropy"]
    unsure = Counter(image["role"] for image in images if image["entropy"] >= found["threshold"]["value"])
    assert unsure["set"] == found["sets"]["set"]["split"]["n_unsure"] == 50
    assert unsure["foreign 1"] == found["sets"]["foreign 1"]["split"]["n_unsure"]
    assert {image["right"] for image in images if image["role"] == "foreign 1"} == {None}
    assert sum(image["changed"] for image in images if image["role"] == "corrupted 1") == 100
    counted: Counter[str] = Counter()
    for of_bin in outcome.tables["histogram"].to_pylist():
        counted[of_bin["role"]] += of_bin["n_samples"] * (of_bin["measure"] == "doubt")
    assert counted == sizes
    assert {*outcome.tables["risk_coverage"]["role"].to_pylist()} == {"set", "corrupted 1"}
    last = [point for point in outcome.tables["roc"].to_pylist() if point["measure"] == "entropy"][-1]
    assert (last["fpr"], last["tpr"]) == (1, 1)


def test_passes_lead_where_there_are_some(rows: dict[str, Rows]) -> None:
    """Predictive entropy ranks; the measures without dropout stand beside it."""
    one = job(foreign="other", passes=6, seed=3)
    assert one.outputs == ("scores", "passes")
    assert one.dropout == (6, 3)
    rng = np.random.default_rng(0)
    del rows["corrupted 1"]
    for members in rows.values():
        spread = PassSpread(Scale.LOGITS)
        for _ in range(6):
            spread.add(members.outputs["scores"] + rng.normal(size=members.outputs["scores"].shape))
        members.outputs["passes"] = spread.rows()  # type: ignore[index]  # a dict, here
    result = carried_out(one, rows).result
    assert result["measure"] == "predictive_entropy"
    assert result["passes"] == {"count": 6, "seed": 3}
    assert len(result["measures"]) == 7
    areas = {name: of["sets"]["foreign 1"]["detection"]["auroc"] for name, of in result["measures"].items()}
    assert one.rank(result) == (areas["predictive_entropy"],)
    assert areas["mutual_information"] != areas["entropy"]


def test_distances_to_a_reference(rows: dict[str, Rows]) -> None:
    """Embeddings: the distance to the nearest, whose label is what is predicted."""
    reference = side("train", 600, 3.0)
    one = job(corrupted="noisy", foreign="other", reference="train", neighbours=3)
    assert one.outputs == ("embedding",)
    assert one.n_pairs({role: s.ids for role, s in {**rows, "reference": reference}.items()}, None) == 1200 * 600
    outcome = carried_out(one, {**rows, "reference": reference})
    near = evaljobs.neighbour_distances(rows["set"].outputs["embedding"], reference.outputs["embedding"], 3)
    images = [image for image in outcome.tables["images"].to_pylist() if image["role"] == "set"]
    assert [image["distance"] for image in images] == near.distance.tolist()
    assert [image["predicted"] for image in images] == [reference.labels[i] for i in near.nearest]
    assert outcome.result["neighbours"] == {"k": 3, "n_reference": 600}
    with pytest.raises(InputError, match="found k = 700 nearest of 600 reference images"):
        carried_out(job(foreign="other", reference="train", neighbours=700), {**rows, "reference": reference})


def test_what_a_view_makes_of_an_image_is_no_neighbour_of_it(rows: dict[str, Rows]) -> None:
    """The clean set is the reference: neither an image nor its noisy self finds it, and noise is no certainty."""
    clean = rows["set"]
    close = clean.outputs["embedding"] + np.float32(1e-3)
    noisy = Rows(
        side("noisy", 500, 0.0).digests,
        clean.labels,
        {"embedding": close},
        clean.ids,
        model=FACTS,
        changed=np.ones(500, bool),
        files=clean.digests,
    )
    one = job(corrupted="noisy", reference="main", neighbours=3)
    outcome = carried_out(one, {"set": clean, "corrupted 1": noisy, "reference": clean})
    images = outcome.tables["images"].to_pylist()
    of = [[i["distance"] for i in images if i["role"] == role] for role in ("set", "corrupted 1")]
    # Others than itself: as far as from the image itself, and not next to nothing.
    expected = evaljobs.neighbour_distances(close, clean.outputs["embedding"], 3, same=True).distance
    assert of[1] == expected.tolist()
    assert np.mean(of[1]) == pytest.approx(np.mean(of[0]), rel=0.05)


def test_sets_without_intervals_are_named(rows: dict[str, Rows]) -> None:
    """Too few images for the groups: it is said why a set has no interval though the others have one."""
    few = side("few", 30, 0.0)
    result = carried_out(
        job(foreign=["other", "train"]), {"set": rows["set"], "foreign 1": rows["foreign 1"], "foreign 2": few}
    ).result
    why = "it has fewer than 40 different images, two for each of the 20 groups"
    assert result["notes"] == [f"no interval for the set 'foreign 2': {why}"]
    of_sets = result["measures"]["entropy"]["sets"]
    assert [of_sets[role]["detection"]["auroc_ci"] is None for role in ("foreign 1", "foreign 2")] == [False, True]
    alone = carried_out(job(foreign="other"), {"set": few, "foreign 1": rows["foreign 1"]}).result
    assert alone["notes"] == [f"no interval for the set 'set': {why}"]
    assert (
        carried_out(job(foreign="other", groups=0), {"set": few, "foreign 1": rows["foreign 1"]}).result["notes"] == []
    )


def test_labels_that_are_no_classes(rows: dict[str, Rows]) -> None:
    """Refused, left out, or not asked for; those of foreign images never count."""
    base = rows["set"]
    strange = Rows(base.digests, ["zebra", *base.labels[1:]], base.outputs, base.ids, model=FACTS)
    rows = {"set": strange, "foreign 1": Rows(*_with_labels(rows["foreign 1"], "zebra"), model=FACTS)}
    with pytest.raises(InputError, match="'zebra'"):
        carried_out(job(foreign="other"), rows)
    left = carried_out(job(foreign="other", missing="exclude"), rows).result
    assert left["n_samples"] == 499
    assert any("1 image(s) are left out" in note for note in left["notes"])
    assert (left["excluded"]["n_samples"], left["excluded"]["n_labels"]) == (1, 1)
    other = Rows(base.digests, ["lion", *base.labels[1:]], base.outputs, base.ids, model=FACTS)
    lions = carried_out(job(foreign="other", missing="exclude"), {**rows, "set": other}).result
    assert lions["n_samples"] == 499
    assert lions["excluded"]["digest"] != left["excluded"]["digest"]
    ignored = carried_out(job(foreign="other", missing="ignore"), rows).result
    assert ignored["n_samples"] == 500
    assert ignored["measures"]["entropy"]["sets"]["set"]["coverage"] is None


def _with_labels(members: Rows, label: str) -> tuple[Any, ...]:
    return members.digests, [label] * len(members.labels), members.outputs, members.ids


def test_bad_sets_are_refused(rows: dict[str, Rows]) -> None:
    """Each says what was found and what to do."""
    empty = rows["foreign 1"]
    nobody = Rows(empty.digests[:0], [], {"scores": empty.outputs["scores"][:0]}, empty.ids[:0], model=FACTS)
    with pytest.raises(InputError, match="the set 'foreign 1' of the job has no image"):
        carried_out(job(foreign="other"), {"set": rows["set"], "foreign 1": nobody})
    with pytest.raises(InputError, match="each image of the set 'foreign 1' of the job is one of the in-distribution"):
        carried_out(job(foreign="other"), {"set": rows["set"], "foreign 1": rows["set"]})
    mixed = Rows(
        pa.concat_arrays([rows["set"].digests[:3], empty.digests[3:]]),
        empty.labels,
        empty.outputs,
        empty.ids,
        model=FACTS,
    )
    notes = carried_out(job(foreign="other"), {"set": rows["set"], "foreign 1": mixed}).result["notes"]
    assert notes == ["3 of 400 images of the set 'foreign 1' are in-distribution images too, byte for byte"]
    rows["foreign 1"].outputs["scores"][7, 1] = np.nan
    with pytest.raises(NonFiniteError) as raised:
        carried_out(job(foreign="other"), {"set": rows["set"], "foreign 1": rows["foreign 1"]})
    assert raised.value.rows == (507,), "counted over all sets"


def test_guess_that_the_scores_contradict_is_refused(rows: dict[str, Rows]) -> None:
    """Entropy of what is no distribution would be a number without a meaning."""
    p = np.full((500, 4), 0.25, np.float32)
    base = rows["set"]
    guessed = Rows(base.digests, base.labels, {"scores": p}, base.ids, model=ModelFacts("m", CLASSES, "logits", False))
    with pytest.raises(InputError, match="say `scores_are`"):
        carried_out(job(), {"set": guessed})


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"passes": 1}, "one is too few"),
        ({"passes": 5, "reference": "train"}, "found `passes` beside `reference`"),
        ({"neighbours": 5}, "`neighbours` changes nothing without `reference`"),
        ({"seed": 5}, "`seed` changes nothing without `passes`"),
        ({"threshold": "0.1", "share": "0.1"}, "found `share` beside `threshold`"),
        ({"threshold": "nan"}, "finite number"),
        ({"threshold": "inf"}, "finite number"),
        ({"measure": "variance"}, "no measure 'variance' here; expected one of entropy, doubt"),
        ({"foreign": "main"}, "'main' is `foreign` and `set`"),
        ({"foreign": "noisy", "corrupted": "noisy"}, "'noisy' is `foreign` and `corrupted`"),
        ({"corrupted": "main"}, "'main' is `set` and `corrupted`"),
        ({"foreign": ["other", "other"]}, "name each set once"),
        ({"foreign": "others"}, "no set 'others'"),
    ],
)
def test_keys_that_make_no_sense_are_refused(keys: dict[str, Any], said: str) -> None:
    """Before anything is started."""
    with pytest.raises(UsageError, match=said.replace("(", r"\(")):
        job(**keys)


def test_every_measure_can_be_named() -> None:
    """The configuration knows the measures that there are."""
    assert [Measure(name) for name in get_args(MeasureName)] == sorted(Measure, key=get_args(MeasureName).index)


def test_names_of_sets_are_no_part_of_the_key() -> None:
    """Renaming a set computes nothing anew."""
    assert job(foreign="other").specification() == job(foreign="train").specification()
    assert job(foreign="other").specification() != job(corrupted="other").specification()
