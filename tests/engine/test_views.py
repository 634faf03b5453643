"""Views end to end: the right pixels for the right images, jobs as on any set, and no more work than is needed."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shutil
from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

import evaljobs
from evaljobs.config import load
from evaljobs.engine.evaluation import Assignment, evaluate
from evaljobs.engine.forecast import forecast
from evaljobs.engine.prepare import Prepared, prepare
from evaljobs.errors import ExitCode, UsageError
from evaljobs.images.reading import digest_of
from evaljobs.images.views.drawing import chosen
from evaljobs.jobs.job import Passes, Rows
from evaljobs.jobs.verification import VerificationJob
from evaljobs.models.options import Runtime
from evaljobs.progress import Quiet
from evaljobs.report.text.remarks import remarks
from tests.engine.conftest import Bench

LABELS, EACH = 5, 6
N = LABELS * EACH


@pytest.fixture
def bench(bench: Any) -> Any:
    """Thirty images, a model, and a verification of them and of a view."""
    bench.images(LABELS, EACH).model("a", seed=1)
    bench.config["jobs"] = [{"name": "plain", "set": "main", "groups": "0"}]
    return bench


def add_view(bench: Any, name: str, view: Any, of: str = "main", *, job: bool = True) -> None:
    bench.config.setdefault("sets", {})[name] = {"of": of, "view": view}
    if job:
        bench.config["jobs"].append({"name": f"on {name}", "set": name, "groups": "0"})


def prepared_of(bench: Any) -> Prepared:
    path = bench.write()
    return prepare(load(path), path, Quiet(), Runtime())


def result(bench: Any, job: str) -> dict[str, Any]:
    (entry,) = [e for e in bench.results()["evaluations"] if e["job"] == job]
    assert entry["status"] == "ok"
    return dict(entry["result"])


def samples(bench: Any, name: str) -> list[dict[str, Any]]:
    with pa.ipc.open_file(bench.out / "samples.arrow") as file:
        return [row for row in file.read_all().to_pylist() if row["set"] == name]


def points(found: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    keys = ("target", "false_positives", "true_positives", "threshold", "next_impostor_score")
    return [tuple(point[key] for key in keys) for point in found["points"]]


def test_a_job_on_a_view_is_the_job_on_files_that_were_changed_by_hand(bench: Any) -> None:
    """The first eight images are turned: the same numbers as of a set in which their files hold the turned pictures."""
    add_view(bench, "turned", {"steps": {"rotate": 90}, "first": 8})
    shutil.copytree(bench.folder / "images", bench.folder / "by hand")
    for path in sorted((bench.folder / "by hand").rglob("*.png"))[:8]:
        Image.fromarray(np.rot90(np.asarray(Image.open(path))).copy()).save(path)
    bench.config["sets"]["by hand"] = {"images": {"folder": "by hand"}}
    del bench.config["images"]
    bench.config["sets"]["main"] = {"images": {"folder": "images"}}
    bench.config["jobs"].append({"name": "by hand", "set": "by hand", "groups": "0"})
    assert bench.run().exit_code == ExitCode.OK
    seen, by_hand = result(bench, "on turned"), result(bench, "by hand")
    assert {**seen, "points": points(seen)} == {**by_hand, "points": points(by_hand)}
    assert points(seen) != points(result(bench, "plain"))
    # The eight turned ones are made twice, once of the files by hand: equal pixels are not equal bytes.
    assert bench.computed() == (N + 8 + 8, N + 8 + 8, 3)


def test_noise_is_that_of_the_definition(bench: Any) -> None:
    """From the seed and the bytes of the files alone, by numpy: embeddings, pairs and points follow."""
    add_view(bench, "noisy", {"steps": [{"noise": 0.7}], "share": 0.5, "seed": 11})
    assert bench.run().exit_code == ExitCode.OK
    files = sorted((bench.folder / "images").rglob("*.png"))
    digests = [digest_of(path.read_bytes()) for path in files]
    picked = chosen("11", digests, 0.5)
    assert 5 < picked.sum() < 25
    pixels = []
    for path, digest, noisy in zip(files, digests, picked, strict=True):
        image = np.asarray(Image.open(path))
        pixels.append(mixed(image, digest) if noisy else image)
    labels = [path.parent.name for path in files]
    expected = evaljobs.verify(bench.embed(1, pixels).astype(np.float32), labels, fpr=("1e-2", "0.1", "1"))
    found = result(bench, "on noisy")
    assert [p["false_positives"] for p in found["points"]] == [p.false_positives for p in expected.points]
    assert [p["true_positives"] for p in found["points"]] == [p.true_positives for p in expected.points]
    assert found["auroc"] == pytest.approx(expected.auroc, abs=1e-12)
    (entry,) = [s for s in bench.results()["sets"] if s["name"] == "noisy"]
    assert entry["view"]["n_changed"] == picked.sum()
    assert bench.computed() == (N + picked.sum(), N + picked.sum(), 2)


def mixed(image: np.ndarray, digest: bytes) -> np.ndarray:
    """Mix with noise as the documentation says it."""
    key = hashlib.sha256(b"evaljobs draw 11/0/0\n" + digest).digest()[:16]
    words = np.random.Philox(key=int.from_bytes(key, "little")).random_raw(-(-image.size // 4))
    u = words.view(np.uint16)[: image.size].reshape(image.shape) / 65536
    found: np.ndarray = np.rint(0.3 * image + 0.7 * 255 * u).astype(np.uint8)
    return found


def test_a_view_costs_what_it_changes(bench: Any) -> None:
    """Added to a run, it decodes and embeds its share alone; the same change under another name costs nothing."""
    bench.run()
    assert bench.computed() == (N, N, 1)
    add_view(bench, "blurred", {"steps": {"blur": 1}, "first": 7})
    bench.run(overwrite=True)
    assert bench.computed() == (7, 7, 1)
    add_view(bench, "more", {"steps": {"blur": 1}, "first": 9})
    add_view(bench, "same", {"steps": [{"blur": "1.0"}], "first": 7})
    bench.run(overwrite=True)
    assert bench.computed() == (2, 2, 1)
    assert points(result(bench, "on same")) == points(result(bench, "on blurred"))


def test_a_view_alone_needs_no_row_of_what_it_is_made_of(bench: Any) -> None:
    """Where no job looks at the images as they are, only the changed ones are made; both are shown in the report."""
    bench.config["jobs"] = []
    bench.config["report"] = True
    add_view(bench, "noisy", [{"noise": {"strength": 0.9, "pattern": "shared"}}])
    assert bench.run().exit_code == ExitCode.OK
    assert bench.computed() == (N, N, 1)
    assert [s["name"] for s in bench.results()["sets"]] == ["noisy"]
    (entry,) = bench.results()["evaluations"]
    assert "figures/view-noisy.png" in entry["figures"]
    with pa.ipc.open_file(bench.out / "thumbnails.arrow") as file:
        pictures = dict(zip(*(column.to_pylist() for column in file.read_all().columns), strict=True))
    (example, *_) = bench.results()["sets"][0]["view"]["examples"]
    before, after = (pictures[bytes.fromhex(example[side])] for side in ("file", "image"))
    assert before
    assert after
    assert before != after
    page = (bench.out / "report.html").read_text(encoding="utf-8")
    assert "30 of 30 images of main are changed: noise (pattern shared, strength 0.9) at input" in page


def test_a_view_of_a_view_adds_its_steps(bench: Any) -> None:
    """Images are changed by both, by one, or by none; each is a row of its own, and what is as it was is not made."""
    add_view(bench, "blurred", {"steps": {"blur": 1}, "first": 10})
    add_view(bench, "both", {"steps": {"contrast": 0.5}, "share": 0.5, "seed": 4}, of="blurred")
    bench.run()
    files = [row["file_digest"] for row in samples(bench, "main")]
    blurred = [row["image_digest"] for row in samples(bench, "blurred")]
    both = [row["image_digest"] for row in samples(bench, "both")]
    assert [row["image_digest"] for row in samples(bench, "main")] == files
    assert [a != b for a, b in zip(blurred, files, strict=True)] == [n < 10 for n in range(N)]
    again = chosen("4/1", blurred, 0.5).tolist()
    assert [a != b for a, b in zip(both, blurred, strict=True)] == again
    assert len({any(again[:10]), any(again[10:]), not all(again[:10]), not all(again[10:])}) == 1
    assert bench.computed()[0] == N + 10 + sum(again)
    view = bench.results()["sets"][2]["view"]
    assert (view["of"], view["steps"]) == ("blurred", ["contrast (factor 0.5) at file"])
    assert view["n_changed"] == sum(n < 10 or again[n] for n in range(N))


def test_rows_are_the_same_however_they_are_computed(large_bench: Any) -> None:
    """Another number of workers, other shards, other neighbours in a batch: the same bytes for each image."""
    bench = large_bench
    bench.images(LABELS, 24).model("a", seed=1)
    bench.config["jobs"] = [{"name": "plain", "set": "main", "groups": "0"}]
    add_view(bench, "noisy", {"steps": [{"blur": 1}, {"noise": 0.5, "at": "file"}, {"noise": 0.2}], "share": 0.6})
    tables = []
    for cluster, batch in (({"workers": 2}, 8), ({"workers": 1, "memory_mb": 1}, 8)):
        bench.config["cluster"] = cluster
        bench.config["models"] = [{"path": "models/*.onnx", "batch_size": batch}]
        bench.config["store"] = f"store of {cluster['workers']}"
        bench.run(overwrite=True)
        prepared = prepared_of(bench)
        table = prepared.store.table(prepared.keys["a"])
        assert len(table.part_names()) > (1 if cluster["workers"] == 1 else 0)
        order = sorted(prepared.images.to_pylist())
        tables.append((order, table.read(pa.array(order, pa.binary(32)), "embedding")))
    assert tables[0][0] == tables[1][0]
    assert len(tables[0][0]) > 5 * 24 * 1.4
    assert np.array_equal(tables[0][1], tables[1][1])


def test_a_job_is_told_which_rows_were_changed(bench: Any) -> None:
    """`Rows.changed` is there for views, in the order of the rows that take part, and null for other sets."""
    add_view(bench, "noisy", {"steps": {"noise": 0.7}, "first": 5})
    (bench.folder / "images/label0/002.png").write_bytes(b"")
    bench.run()
    prepared = prepared_of(bench)
    excluded = prepared.failures()["image_digest"].combine_chunks()
    members = prepared.members(excluded)
    told: dict[str, Rows] = {}

    class Listening(VerificationJob):
        def passes(self, rows: Mapping[str, Rows]) -> Passes:
            told.update(rows)
            return super().passes(rows)

    for name in ("main", "noisy"):
        job = next(job for job in prepared.jobs if job.sets() == {"set": name})
        listening = Listening(job.name, job.parameters)
        assignment = Assignment(prepared.store.location, listening, prepared.keys["a"], {"told": name})
        evaluate(dataclasses.replace(assignment, columns={"embedding": "embedding"}), {"set": members[name]})
        rows = told["set"]
        assert len(rows.labels) == N - 1
        if name == "main":
            assert rows.changed is None
        else:
            assert rows.changed is not None
            # One of the first five cannot be read, and counts among them.
            assert np.flatnonzero(rows.changed).tolist() == [0, 1, 2, 3]
    assert bench.excluded() == {"label0/002.png": "empty"}


def test_plan_counts_what_views_change(bench: Any) -> None:
    """Before anything is started it is known how many images are changed, and what that costs."""
    add_view(bench, "noisy", {"steps": {"noise": 0.7}, "first": 5})
    path = bench.write()
    found = forecast(load(path), path, Quiet())
    assert (found.images, found.decodes, found.embeddings) == (2 * N, N + 5, N + 5)
    assert found.as_json()["views"] == ({"set": "noisy", "of": "main", "images": N, "changed": 5},)
    assert "5 of 30 images of main are changed in noisy" in found.as_text()
    assert json.dumps(found.as_json())


def test_results_say_what_a_view_is(bench: Any) -> None:
    """In results.json, in samples.arrow, on the page and at the end of the run; other sets say nothing."""
    add_view(bench, "noisy", {"steps": [{"jpeg": 20}, {"noise": 0.3}], "first": 5, "seed": 2})
    finished = bench.run()
    main, noisy = bench.results()["sets"]
    assert main["view"] is None
    assert {key: value for key, value in noisy["view"].items() if key != "examples"} == {
        "of": "main",
        "steps": ["jpeg (quality 20, subsampling 4:2:0) at file", "noise (pattern image, strength 0.3) at input"],
        "share": None,
        "first": 5,
        "seed": 2,
        "n_changed": 5,
    }
    rows = samples(bench, "noisy")
    changed = [row for row in rows if row["image_digest"] != row["file_digest"]]
    assert [(e["sample_id"], e["file"], e["image"]) for e in noisy["view"]["examples"]] == [
        (row["sample_id"], row["file_digest"].hex(), row["image_digest"].hex()) for row in changed
    ]
    assert [row["sample_id"] for row in changed] == [row["sample_id"] for row in rows[:5]]
    assert any("5 of 30 images of main are changed: jpeg" in line for line in remarks(finished.results))
    assert "5 of 30 images of main are changed" in (bench.out / "results.md").read_text(encoding="utf-8")
    # What is computed already is not computed again, and says the same.
    before = bench.results()
    bench.run()
    assert bench.computed() == (0, 0, 0)
    assert bench.results()["sets"] == before["sets"]


def test_a_changed_image_that_cannot_be_made_is_excluded_from_the_view_alone(bench: Any) -> None:
    """A picture that a step makes too large fails there, with the reason; as it is, it is fine."""
    wide = np.full((2, 70_000, 3), 100, np.uint8)
    Image.fromarray(wide).save(bench.folder / "images/label0/999.png")
    add_view(bench, "compressed", [{"jpeg": 50}])
    assert bench.run().exit_code == ExitCode.OK
    assert bench.excluded() == {"label0/999.png": "too_large"}
    sets = {entry["name"]: (entry["n_samples"], entry["excluded"]) for entry in bench.results()["sets"]}
    assert sets == {"main": (N + 1, 0), "compressed": (N, 1)}


@pytest.mark.parametrize(
    ("view", "expected"),
    [
        ([{"grayscale": True}], r"sets.seen.view changes nothing: 12 image\(s\) of 12 were tried"),
        ([{"resize": 6}], "the pixels that models get are those of 'main'"),
        ([{"rotate": 180}, {"rotate": 180}], "changes nothing"),
        (
            {"steps": {"blur": 2}, "share": "1e-9"},
            "the share 1e-09 holds none of the 12 images of 'main' that can be read",
        ),
    ],
)
def test_a_view_that_changes_nothing_is_refused(bench: Any, view: Any, expected: str) -> None:
    """Nobody believes in a robustness that was never tested: it is measured on images before the start."""
    grey(bench, 12)
    add_view(bench, "seen", view)
    with pytest.raises(UsageError, match=expected):
        bench.run()
    assert not (bench.folder / "out" / "results.json").exists()


def grey(bench: Any, n: int) -> None:
    """Replace the images by grey ones."""
    shutil.rmtree(bench.folder / "images")
    for number in range(n):
        path = bench.folder / "images" / str(number % 3) / f"{number:03}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(bench.pixels(number % 3, number)[..., 0]).save(path)


def said_by(bench: Any) -> list[str]:
    """Return what is said when a run is prepared."""
    said: list[str] = []

    class Listening(Quiet):
        def say(self, line: str) -> None:
            said.append(line)

    path = bench.write()
    prepare(load(path), path, Listening(), Runtime())
    return said


def test_images_that_were_not_tried_are_no_reason_to_refuse(bench: Any) -> None:
    """Of many images 64 are tried: if those are as they were, others may not be. It is said, and the run goes on."""
    grey(bench, 150)
    add_view(bench, "seen", [{"grayscale": True}])
    notes = [line for line in said_by(bench) if "changes nothing" in line]
    assert notes == ["set seen: the view changes nothing for a, on 64 of 150 images tried"]


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ("gone", "none of the first 2 images of 'main' can be read.*a larger `first`"),
        ("empty", r"none of the 2 image\(s\) that it changes can be decoded"),
    ],
)
def test_first_images_that_cannot_be_used_change_nothing(bench: Any, how: str, expected: str) -> None:
    """A view of two lost files is the set itself under another name: refused, as a share that holds no image is."""
    for path in sorted((bench.folder / "images").rglob("*.png"))[:2]:
        path.unlink()
        if how == "gone":
            path.symlink_to("nowhere")
        else:
            path.touch()
    add_view(bench, "seen", {"steps": {"blur": 2}, "first": 2})
    with pytest.raises(UsageError, match=expected):
        bench.run()
    bench.config["sets"]["seen"]["view"]["first"] = 3
    assert len(said_by(bench)) == 0


def test_a_view_that_changes_nothing_for_some_models_is_said(bench: Any) -> None:
    """A model of 3 x 3 pixels, nearest, sees no difference in pictures that are scaled so first: it is named."""
    Bench(bench.folder, side=3).model("small")
    small = {"size": [3, 3], "interpolation": "nearest"}
    bench.config["models"] = ["models/a.onnx", {"path": "models/small.onnx", "preprocessing": small}]
    add_view(bench, "seen", {"steps": {"resize": {"size": 3, "interpolation": "nearest"}}, "first": 9})
    notes = [line for line in said_by(bench) if "changes nothing" in line]
    assert notes == ["set seen: the view changes nothing for small, on 9 of 9 images tried"]
