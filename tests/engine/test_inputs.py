"""One image set in every form that it may have: the same results, and nothing is computed twice."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from evaljobs.config import load
from evaljobs.engine.prepare import refuse_inside_images
from evaljobs.errors import ExitCode, RemoteError, UsageError
from evaljobs.images.geometry import DRAFT_NOTE
from evaljobs.images.listing import list_images
from evaljobs.remote import objects
from tests.engine.conftest import Bench
from tests.image_containers import write_parquet, write_tar
from tests.s3_server import S3Server

FORMS = ("folder", "manifest", "parquet", "tar")


@pytest.fixture
def forms(bench: Bench) -> dict[str, dict[str, Any]]:
    """Write the bench's images in every form; return the configuration of each."""
    bench.images(labels=4, each=5).model("a", seed=1)
    bench.model("b", seed=2)
    files = sorted((bench.folder / "images").rglob("*.png"))
    rows = [(file.relative_to(bench.folder / "images"), file.read_bytes()) for file in files]
    manifest = bench.folder / "images" / "list.csv"
    manifest.write_text("uri,label\n" + "".join(f"{name},{name.parent}\n" for name, _ in rows))
    for part in (0, 1):
        # Scattered, so that ids and places have nothing in common.
        chosen = rows[part::2][::-1]
        images = [(data, str(name)) for name, data in chosen]
        labels = [str(name.parent) for name, _ in chosen]
        write_parquet(bench.folder / "parquet" / f"{part}.parquet", images, labels, rows_per_group=3)
        write_tar(
            bench.folder / "tar" / f"{part}.tar",
            [
                (f"{str(name).removesuffix('.png')}.{end}", content)
                for name, data in chosen
                for end, content in (("cls", str(name.parent).encode()), ("png", data))
            ],
        )
    places = {"folder": "images", "manifest": "images/list.csv", "parquet": "parquet", "tar": "tar/{0..1}.tar"}
    return {form: {form: place} for form, place in places.items()}


def results(bench: Bench) -> list[Any]:
    evaluations: list[Any] = bench.results()["evaluations"]
    assert [evaluation["status"] for evaluation in evaluations] == ["ok", "ok"]
    return [evaluation["result"] for evaluation in evaluations]


def upload(folder: Path, bucket: str) -> None:
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            objects.create(f"{bucket}/{path.relative_to(folder)}", path.read_bytes())


def test_every_form_of_a_set_has_the_same_results(bench: Bench, forms: dict[str, dict[str, Any]], s3: S3Server) -> None:
    """Folder, manifest, Parquet, tar, on a disk and on S3: equal bytes, one decoding, each row embedded once."""
    bucket = s3.bucket()
    for name in ("images", "parquet", "tar"):
        upload(bench.folder / name, f"{bucket}/{name}")
    remote = [{form: f"{bucket}/{keys[form]}"} for form, keys in forms.items()]
    found = []
    work = []
    for images in [*forms.values(), *remote]:
        bench.config["images"] = images
        bench.run(overwrite=True)
        found.append(json.dumps(results(bench), sort_keys=True))
        work.append(bench.computed())
    assert len(found) == 2 * len(FORMS)
    assert set(found) == {found[0]}
    assert work[0][::2] == (20, 2)
    # In listing order the images of a tar are those of the folder: so their results are found, not made again.
    assert work[1:] == [(0, 0, 0)] * (2 * len(FORMS) - 1)


@pytest.mark.parametrize("form", ["parquet", "tar"])
def test_containers_are_decoded_and_embedded_from(bench: Bench, forms: dict[str, dict[str, Any]], form: str) -> None:
    """With nothing in the store, rows come from the container's bytes; a second run opens it no more."""
    bench.config["images"] = forms[form]
    bench.run()
    assert bench.computed()[::2] == (20, 2)
    first = results(bench)
    bench.run()
    assert bench.computed() == (0, 0, 0)
    assert results(bench) == first


def test_everything_on_s3_is_decoded_from_there(bench: Bench, forms: dict[str, dict[str, Any]], s3: S3Server) -> None:
    """Workers read the objects and parts of objects themselves; an object that is missing is one bad image."""
    bucket = s3.bucket()
    upload(bench.folder / "images", f"{bucket}/images")
    upload(bench.folder / "tar", f"{bucket}/tar")
    bench.config["images"] = {"tar": f"{bucket}/tar"}
    bench.run()
    first = results(bench)
    bench.config |= {"images": {"manifest": f"{bucket}/images/list.csv"}, "store": "another"}
    bench.run(overwrite=True)
    assert bench.computed()[::2] == (20, 2)
    assert results(bench) == first
    objects.delete(f"{bucket}/images/label1/002.png")
    assert bench.run(overwrite=True).exit_code is ExitCode.OK
    assert bench.excluded() == {"label1/002.png": "unreadable"}
    assert forms


def test_s3_gone_ends_the_run_with_its_name(bench: Bench, s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """No image is blamed for a server that does not answer."""
    monkeypatch.setenv("EVALJOBS_S3_PATIENCE_S", "0.3")
    bench.images(2, 2).model("a")
    bucket = s3.bucket()
    upload(bench.folder / "images", f"{bucket}/images")
    bench.config["images"] = {"folder": f"{bucket}/images"}
    s3.stop()
    try:
        with pytest.raises(RemoteError, match="no good answer"):
            bench.run()
    finally:
        s3.start()
    assert not (bench.out / "failures.csv").exists()


def test_samples_without_an_image_are_told(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    """What a tar holds beside images is said, with names."""
    bench.images(1, 1)
    write_tar(bench.folder / "x.tar", {"a.cls": b"1", "a.png": b"x", "notes.txt": b"y"})
    told: list[str] = []
    bench.config["images"] = {"tar": "x.tar"}
    bench.model("a")
    path = bench.write()
    images = load(path).image_sets()["main"]
    assert list_images(images, bench.folder, "main", tell=told.append).num_rows == 1
    assert len(told) == 1
    assert "'notes'" in told[0]
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("images", "place"),
    [
        ({"folder": "data"}, "data/out"),
        ({"parquet": "data"}, "data/deep/out"),
        ({"parquet": "data/**/*.parquet"}, "data/out"),
        ({"tar": "data/{0..3}.tar"}, "data"),
        ({"folder": "s3://bucket/data"}, "s3://bucket/data/out"),
    ],
)
def test_results_are_not_written_among_images(bench: Bench, images: dict[str, str], place: str) -> None:
    """A results.parquet among Parquet images would be taken for images by the next run."""
    bench.model("a")
    bench.config["images"] = images
    path = bench.write()
    out = place if place.startswith("s3://") else str(bench.folder / place)
    with pytest.raises(UsageError, match="would be taken for images"):
        refuse_inside_images(load(path), path, out)
    refuse_inside_images(load(path), path, str(bench.folder / "elsewhere"))


def test_draft_is_said_of_every_model(bench: Bench) -> None:
    """Pixels that differ are a remark in the results, and rows of their own in the store."""
    bench.images(2, 3).model("a")
    bench.run()
    assert DRAFT_NOTE not in bench.model_entry("a")["notes"]
    bench.config["preprocessing"]["decoder"] = "draft"
    bench.run(overwrite=True)
    assert DRAFT_NOTE in bench.model_entry("a")["notes"]
    assert bench.model_entry("a")["preprocessing"]["decoder"] == "draft"
    assert bench.computed()[:2] == (6, 6)
