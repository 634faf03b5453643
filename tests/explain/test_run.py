"""Explain as a job of a run: on a real Ray, from images and models to maps in tables, pictures and results."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from onnx import helper
from PIL import Image

from evaljobs.config import load
from evaljobs.errors import ExitCode, ImageError, UsageError
from evaljobs.explain.choosing import Item
from evaljobs.explain.found import table_of
from evaljobs.explain.halved import find_layer, opened
from evaljobs.explain.looking import All, Looking, Task
from evaljobs.explain.sight import Sight
from evaljobs.explain.targets import ClassScore
from evaljobs.images.decode import decode
from evaljobs.images.reading import digest_of
from evaljobs.progress import Quiet
from evaljobs.run import Finished, Options, run
from evaljobs.schemas import DIGEST
from raycluster.connection.connect import Cluster
from tests.explain.conftest import CLASSES, SIDE, Networks, picture

PLACES = {"red": [(1, 1), (4, 4), (0, 5), (5, 0)], "green": [(2, 2), (5, 5), (1, 4), (4, 0)]}


class Study:
    """Images of coloured squares, a network that sees them, and a configuration of jobs."""

    def __init__(self, networks: Networks) -> None:
        self.networks, self.folder = networks, networks.folder
        networks.write(name="colours.onnx")
        for colour, places in PLACES.items():
            for number, place in enumerate(places):
                networks.image(f"{colour}/{number}", **{colour: place})
        # Two labels, and something that both have.
        networks.image("red/4", red=(0, 0), blue=(6, 6))
        networks.image("green/4", green=(0, 6), blue=(6, 6))
        self.config: dict[str, Any] = {
            "images": {"folder": "images"},
            "models": [{"path": "models/*.onnx", "classes": CLASSES}],
            "fpr": ["0.1", "1"],
            "jobs": [],
            "store": "store",
            "out": "out",
            "report": False,
        }

    def run(self, *jobs: dict[str, Any], **top: Any) -> Finished:
        path = self.folder / "study.yaml"
        path.write_text(yaml.safe_dump({**self.config, "jobs": list(jobs), **top}), encoding="utf-8")
        return run(load(path), path, Quiet(), Options(overwrite=True))

    def evaluation(self, job: str, model: str = "colours") -> dict[str, Any]:
        results = json.loads((self.folder / "out" / "results.json").read_text(encoding="utf-8"))
        (found,) = [e for e in results["evaluations"] if (e["job"], e["model"]) == (job, model)]
        return dict(found)

    def table(self, job: str, name: str = "explained") -> list[dict[str, Any]]:
        files = [file for file in self.evaluation(job)["tables"] if file.endswith(f".{name}.parquet")]
        (file,) = files
        return pq.read_table(self.folder / "out" / file).to_pylist()  # type: ignore[no-any-return]

    def computed(self) -> dict[str, int]:
        results = json.loads((self.folder / "out" / "results.json").read_text(encoding="utf-8"))
        return dict(results["execution"]["computed"])


@pytest.fixture
def study(networks: Networks, cluster: Cluster) -> Study:
    assert cluster.cpus == 2
    return Study(networks)


def grid(row: dict[str, Any]) -> np.ndarray:
    return np.array(row["values"]).reshape(row["map_height"], row["map_width"])


VERIFICATION = {"name": "verification", "hardest": "10"}
MAP = {"name": "map", "kind": "map"}


def test_hardest_pairs_are_explained(study: Study) -> None:
    """Two words in a configuration show why two images are alike: where both have blue."""
    finished = study.run(VERIFICATION, {"name": "alike", "kind": "explain", "images": "4"}, report=True)
    assert finished.exit_code is ExitCode.OK
    found = study.evaluation("alike")
    result = found["result"]
    assert (result["target"], result["n_maps"], result["layer"]["tensor"]) == ("pairs", 4, "features")
    assert result["faithfulness"]["insertion"] > result["faithfulness"]["random_insertion"]
    assert result["faithfulness"]["deletion"] < result["faithfulness"]["random_deletion"]
    assert result["shuffled_weights"]["n_maps"] > 0
    hardest = [row for row in study.table("verification", "hardest") if row["kind"] == "impostor"]
    rows = study.table("alike")
    assert [(row["pair"], row["id"]) for row in rows] == [
        (pair["rank"], pair[side]) for pair in hardest[:2] for side in ("id_a", "id_b")
    ]
    assert {rows[0]["id"], rows[1]["id"]} == {"red/4.png", "green/4.png"}
    for row in rows[:2]:
        assert row["score"] == pytest.approx(hardest[0]["score"], abs=1e-6)
        top, left = np.unravel_index(grid(row).argmax(), (8, 8))
        assert top in {6, 7}
        assert left in {6, 7}
        seen = np.asarray(Image.open(io.BytesIO(row["picture"])))
        np.testing.assert_array_equal(seen, np.asarray(Image.open(study.folder / "images" / row["id"])))
    names = {Path(file).name for file in found["figures"]}
    assert {Path(name).suffix for name in names} == {".png", ".svg"}
    assert len(names) == 4
    page = (study.folder / "out" / "report.html").read_text(encoding="utf-8")
    assert "why the hardest impostor pairs are alike" in page
    assert "Where models look: alike on main" in (study.folder / "out" / "results.md").read_text(encoding="utf-8")


def test_nothing_is_explained_twice(study: Study) -> None:
    """A run that is repeated finds its maps in the store; another job or more images embed nothing again."""
    jobs: list[dict[str, Any]] = [VERIFICATION, {"name": "alike", "kind": "explain", "images": "4", "steps": "0"}]
    study.run(*jobs)
    first = study.table("alike")
    study.run(*jobs)
    assert study.computed()["evaluations"] == 0
    assert study.table("alike") == first
    assert [row["insertion"] for row in first] == [None] * 4
    study.run(*jobs, {"name": "more", "kind": "explain", "target": "prototype", "images": "3", "steps": "4"})
    done = study.computed()
    assert (done["rows_embedded"], done["evaluations"], done["pairs"]) == (0, 1, 0)
    assert len(study.table("more")) == 3


def test_classes_are_explained(study: Study) -> None:
    """The class of the label, the predicted one, and a named one: each points at its colour."""
    common = {"kind": "explain", "steps": "0", "shuffled": "false", "images": "10"}
    study.run(
        {"name": "classes", "kind": "classification"},
        {"name": "own", "target": "label", **common},
        {"name": "said", "target": "predicted", "choose": "labels", **common},
        {"name": "blue", "target": "class", "class_name": "blue", **common, "images": "2"},
    )
    own = study.table("own")
    assert len(own) == 10
    for row in own:
        colour, number = row["id"].removesuffix(".png").split("/")
        expected = {"red": (0, 0), "green": (0, 6)}[colour] if number == "4" else PLACES[colour][int(number)]
        assert row["target"] == colour
        top, left = np.unravel_index(grid(row).argmax(), (8, 8))
        assert (top - expected[0] in {0, 1}, left - expected[1] in {0, 1}) == (True, True)
    assert {row["target"] for row in study.table("said")} <= set(CLASSES)
    assert {row["id"] for row in study.table("blue")} == {"red/4.png", "green/4.png"}
    assert study.evaluation("blue")["result"]["class"] == "blue"


def test_a_view_is_explained_as_it_is_seen(study: Study) -> None:
    """Of a set whose pixels are changed, the changed pixels are looked at again."""
    images = study.config.pop("images")
    sets = {"main": {"images": images}, "turned": {"of": "main", "view": {"steps": [{"rotate": "180"}]}}}
    job = {"name": "looks", "kind": "explain", "set": "turned", "target": "prototype", "steps": "0", "images": "2"}
    study.run({**VERIFICATION, "set": "turned"}, job, sets=sets)
    rows = study.table("looks")
    assert len(rows) == 2
    for row in rows:
        seen = np.asarray(Image.open(io.BytesIO(row["picture"])))
        file = np.asarray(Image.open(study.folder / "images" / row["id"]))
        np.testing.assert_array_equal(seen, file[::-1, ::-1])


def test_a_model_without_places_fails_alone(study: Study) -> None:
    """It is named with what it has instead, and the others are explained."""
    flat = [helper.make_node("Flatten", ["image"], ["flat"]), helper.make_node("MatMul", ["flat", "all"], ["logits"])]
    weights = np.random.default_rng(0).normal(size=(3 * SIDE * SIDE, 4)).astype(np.float32)
    study.networks.write(flat, name="flat.onnx", all=weights)
    job = {"name": "looks", "kind": "explain", "target": "prototype", "models": "all", "steps": "0", "images": "2"}
    finished = study.run(VERIFICATION, {**job, "after": "verification"})
    assert finished.exit_code is ExitCode.SOME_FAILED
    error = study.evaluation("looks", "flat")["error"]
    assert error["kind"] == "unsupported_output"
    assert "found no spatial layer" in error["message"]
    assert study.evaluation("looks")["status"] == "ok"


def test_what_a_model_has_not_is_said(study: Study) -> None:
    """A layer or a class that is not there ends that evaluation, with those that are."""
    wrong: dict[str, tuple[dict[str, str], str]] = {
        "flat": ({"layer": "pooled"}, r"the tensor 'pooled' has the shape \[1, 8\]"),
        "missing": ({"layer": "deep"}, "there is no tensor 'deep'"),
        "strange": ({"target": "class", "class_name": "yellow"}, "there is no class 'yellow' among the 4"),
    }
    looks = [{"name": name, "kind": "explain", "steps": "0", **job} for name, (job, _) in wrong.items()]
    study.run(VERIFICATION, {"name": "classes", "kind": "classification"}, *looks)
    for name, (_, expected) in wrong.items():
        assert re.search(expected, study.evaluation(name)["error"]["message"])


@pytest.mark.parametrize(
    ("jobs", "expected"),
    [
        ([{"kind": "explain"}], "reads what another job found; add one of kind verification"),
        (
            [{"kind": "map", "name": "map"}, {"kind": "explain", "after": "map", "models": "all"}],
            "comes after 'map' of kind map",
        ),
        ([VERIFICATION, {"kind": "explain", "set": "other"}], "found on the set main, and is itself on other"),
        ([VERIFICATION, {"kind": "explain", "target": "class"}], "`target: class` without `class_name`"),
        ([VERIFICATION, {"kind": "explain", "class_name": "red"}], "found `class_name`"),
        ([VERIFICATION, {"kind": "explain", "label_map": {"a": "b"}}], "`target: label` alone asks for"),
        ([VERIFICATION, {"kind": "explain", "images": "0"}], "images"),
    ],
)
def test_configurations_that_cannot_be(networks: Networks, jobs: list[dict[str, Any]], expected: str) -> None:
    """They are refused before anything is started."""
    study = Study(networks)
    sets = {"main": {"images": {"folder": "images"}}, "other": {"images": {"folder": "images"}}}
    named = [{"name": f"job {n}", "set": "main", **job} for n, job in enumerate(jobs)]
    study.config.pop("images")
    with pytest.raises(UsageError, match=expected):
        study.run(*named, sets=sets)
    assert not (study.folder / "out" / "results.json").exists()


def task_of(networks: Networks, *files: Path) -> Task:
    model = networks.model(networks.write(), "scores")
    digests = pa.array([digest_of(file.read_bytes()) for file in files], DIGEST)
    sight = Sight(model, pa.array(map(str, files)), digests)
    rows = [np.asarray(decode(file.read_bytes(), model.pixels.geometry)) for file in files]
    layer = find_layer(model, "scores")
    own = opened(model, "scores", layer).rows(np.stack(rows))
    items = tuple(Item(n, ClassScore(0), "red", own[n]) for n in range(len(files)))
    return Task(sight, items, "scores", layer)


def test_images_may_be_explained_anywhere(networks: Networks) -> None:
    """Each is a part of its own: whoever does it, in whatever order and however often, the table has the same bytes."""
    files = [networks.image(f"{n}", red=(n, n), green=(5 - n, 2)) for n in range(4)]
    task, work = task_of(networks, *files), Looking(4, steps=4, shuffled=True, seed=0)
    parts = work.parts(1)
    assert [len(part) for part in parts] == [1] * 4
    forward = All(())
    for part in parts:
        forward = work.run(task, part, forward)
    backward = work.run(task, range(2, 4)) + work.run(task, range(2))
    tables = [table_of(task, found.in_order, ["label"] * 4) for found in (forward, backward)]
    assert tables[0].equals(tables[1])
    assert task.n_pairs == sum(work.pairs(part) for part in parts)


def test_an_image_that_changed_is_not_explained(networks: Networks) -> None:
    """Other bytes are another image: nothing is said of the one that was asked for."""
    file = networks.image("one", red=(1, 1))
    task = task_of(networks, file)
    Image.fromarray(picture(blue=(1, 1))).save(file)
    with pytest.raises(ImageError, match="cannot be read again"):
        Looking(1, steps=0, shuffled=False, seed=0).run(task, range(1))
