"""Maps and thumbnails of a run: from files to pictures on a real Ray, and nothing read twice."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from evaljobs.config import load
from evaljobs.engine import thumbnails
from evaljobs.engine.prepare import prepare
from evaljobs.errors import UsageError
from evaljobs.images import reading
from evaljobs.images.thumbnail import thumbnail
from evaljobs.models.options import Runtime
from evaljobs.progress import Quiet
from evaljobs.remote import objects
from evaljobs.schemas import THUMBNAILS
from tests.image_containers import write_parquet, write_tar
from tests.s3_server import S3Server

Settle = Callable[[dict[str, Any]], dict[str, Any]]
JOBS = [{"name": "verification", "hardest": "5"}, {"name": "map", "kind": "map", "sample": "20"}]


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Collect the images that are read for thumbnails; they are read all the same."""
    uris: list[str] = []

    def counted(wanted: Sequence[str], *, concurrent: int) -> Any:
        uris.extend(wanted)
        return reading.read_images(wanted, concurrent=concurrent)

    monkeypatch.setattr(thumbnails, "read_images", counted)
    return uris


def pictures(out: Path) -> dict[bytes, bytes | None]:
    with pa.memory_map(str(out / "thumbnails.arrow")) as source:
        table = pa.ipc.open_file(source).read_all()
    assert table.schema.equals(THUMBNAILS, check_metadata=True)
    return dict(zip(*(table[name].to_pylist() for name in THUMBNAILS.names), strict=True))


def table(bench: Any, job: str, name: str) -> pa.Table:
    (found,) = [e for e in bench.results()["evaluations"] if e["job"] == job]
    (file,) = [file for file in found["tables"] if file.endswith(f".{name}.parquet")]
    return pq.read_table(bench.out / file)


def files_of(out: Path) -> dict[str, bytes]:
    """Return what must be the same in two equal runs."""
    found = {p.relative_to(out).as_posix(): p.read_bytes() for p in out.rglob("*") if p.is_file()}
    varying = {"results.json", "report.html"}
    return {name: data for name, data in found.items() if name not in varying and not name.startswith(".")}


def test_a_run_has_maps_and_thumbnails(bench: Any, reads: list[str], without_execution: Settle) -> None:
    """From files to places and small pictures; again, nothing is computed and no image read, and all is the same."""
    bench.images(labels=5, each=6).model("a")
    bench.config["jobs"] = JOBS
    bench.config["report"] = True
    assert bench.run().exit_code == 0
    result = next(e["result"] for e in bench.results()["evaluations"] if e["kind"] == "map")
    assert (result["n_samples"], result["n_shown"], result["sampling"]) == (30, 20, "labels")
    shown = table(bench, "map", "map")
    assert shown.num_rows == 20
    assert set(shown["format"].to_pylist()) == {"PNG"}
    assert set(shown["width"].to_pylist()) == {bench.side}
    for sample, label, digest in zip(*(shown[n].to_pylist() for n in ("id", "label", "image_digest")), strict=True):
        data = (bench.folder / "images" / sample).read_bytes()
        assert reading.digest_of(data) == digest
        assert sample.startswith(f"{label}/")
    made = pictures(bench.out)
    hardest = table(bench, "verification", "hardest")
    wanted = {digest for side in "ab" for digest in hardest[f"image_digest_{side}"].to_pylist()}
    assert wanted <= set(made)
    originals = {reading.digest_of(p.read_bytes()): p for p in (bench.folder / "images").rglob("*.png")}
    assert made == {d: thumbnail(originals[d].read_bytes(), 10**6) for d in made}
    assert len(reads) == len(made) > 10
    before, files = without_execution(bench.results()), files_of(bench.out)
    reads.clear()
    (bench.out / "results.md").unlink()  # a file is missing: all of them are written anew
    bench.run()
    assert bench.computed() == (0, 0, 0)
    assert reads == []
    assert without_execution(bench.results()) == before
    assert files_of(bench.out) == files


def test_maps_by_columns_of_the_manifest(bench: Any) -> None:
    """What people know of images stands in samples.arrow and colours maps; if it changes, nothing is computed."""
    bench.images(labels=3, each=6).model("a")

    def write(camera: str) -> None:
        rows = [f"images/label{n}/{i:03d}.png,{n},{camera}{i % 2},{i}.5" for n in range(3) for i in range(6)]
        (bench.folder / "list.csv").write_text("\n".join(["uri,label,camera,$lux <b>", *rows]), encoding="utf-8")

    write("old")
    bench.config["images"] = {"manifest": "list.csv", "columns": ["camera", "$lux <b>"]}
    color = ["label", "manifest.camera", "manifest.$lux <b>"]
    bench.config["jobs"] = [{"name": "map", "kind": "map", "methods": "pca", "color": color}]
    bench.config["report"] = True
    assert bench.run().exit_code == 0
    with pa.memory_map(str(bench.out / "samples.arrow")) as source:
        samples = pa.ipc.open_file(source).read_all()
    assert samples.column_names[-2:] == ["manifest.camera", "manifest.$lux <b>"]
    assert samples["manifest.$lux <b>"].to_pylist()[:3] == [0.5, 1.5, 2.5]
    assert len(list((bench.out / "figures").glob("map-*.png"))) == 3
    assert "manifest.$lux &lt;b&gt;" in (bench.out / "report.html").read_text(encoding="utf-8")
    write("new")
    bench.run()
    assert bench.computed() == (0, 0, 0)
    points = table(bench, "map", "map")
    assert set(points["manifest.camera"].to_pylist()) == {"new0", "new1"}
    assert points["id"].to_pylist()[0].startswith("images/label")


def test_columns_that_no_manifest_keeps_are_refused(bench: Any) -> None:
    """A map by a column that the set does not keep ends before anything is started, with the line that is missing."""
    bench.images(labels=2, each=2).model("a")
    (bench.folder / "list.csv").write_text("uri,label,camera\nimages/label0/000.png,0,x\n", encoding="utf-8")
    bench.config["jobs"] = [{"name": "map", "kind": "map", "color": "manifest.camera"}]
    with pytest.raises(UsageError, match="only a set that is a manifest has such columns"):
        bench.run()
    bench.config["images"] = {"manifest": "list.csv"}
    with pytest.raises(UsageError, match=r"that the set 'main' does not keep; add `columns: \[camera\]`"):
        bench.run()
    bench.config["jobs"][0]["color"] = "site"
    with pytest.raises(UsageError, match=r"no column 'site'.*written manifest.site"):
        bench.run()


def test_a_new_image_is_read_alone(bench: Any, reads: list[str]) -> None:
    """Thumbnails are kept by the bytes of images: of a set that grew, what is new is read."""
    bench.images(labels=3, each=4).model("a")
    bench.config["jobs"] = [{"name": "map", "kind": "map"}]
    bench.run()
    reads.clear()
    new = bench.image(2, 99)
    bench.run()
    assert reads == [str(new)]
    assert len(pictures(bench.out)) == 13


def test_lost_and_damaged_images_have_no_picture(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """An image that goes away or changes before its thumbnail is made: the run has its results all the same."""
    bench.images(labels=3, each=4).model("a")
    bench.config["jobs"] = [{"name": "map", "kind": "map"}]
    folder = bench.folder / "images" / "label1"
    digests = [reading.digest_of((folder / f"00{n}.png").read_bytes()) for n in range(3)]
    make = thumbnails.thumbnails_of

    def meanwhile(*args: Any) -> Any:
        (folder / "000.png").unlink()
        (folder / "001.png").write_bytes(b"other bytes")
        return make(*args)

    monkeypatch.setattr(thumbnails, "thumbnails_of", meanwhile)
    assert bench.run().exit_code == 0
    made = pictures(bench.out)
    assert [made[digest] is None for digest in digests] == [True, True, False]
    assert sum(picture is None for picture in made.values()) == 2


def test_no_more_than_the_limit(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A report of very many images stays one that opens: it is said that the others have no picture."""
    bench.images(labels=3, each=4).model("a")
    bench.config["jobs"] = [{"name": "map", "kind": "map"}]
    monkeypatch.setattr(thumbnails.thumbnails_of, "__defaults__", (5,))
    bench.run()
    assert len(pictures(bench.out)) == 5


def test_progress_of_several_sources_never_passes_its_total(bench: Any) -> None:
    """Pictures of one set after the other: the bar ends where it says, and is not beyond it on the way."""
    bench.images(labels=3, each=4).model("a")
    shutil.copytree(bench.folder / "images", bench.folder / "more")
    for number, path in enumerate(sorted((bench.folder / "more").rglob("*.png"))):
        Image.fromarray(bench.pixels(number, 77)).save(path)
    del bench.config["images"]
    bench.config["sets"] = {name: {"images": {"folder": name}} for name in ("images", "more")}
    bench.config["jobs"] = [{"name": name, "set": name} for name in ("images", "more")]
    told: list[tuple[int, int]] = []

    class Listening(Quiet):
        total = done = 0

        def start(self, stage: str, total: int) -> None:
            del stage
            self.total = total

        def advance(self, stage: str, steps: int = 1) -> None:
            del stage
            self.done += steps
            told.append((self.done, self.total))

    path = bench.write()
    prepared = prepare(load(path), path, Quiet(), Runtime())
    made = thumbnails.thumbnails_of(prepared, prepared.images.to_pylist(), Listening())
    assert len(made) == 24
    assert all(done <= total for done, total in told)
    assert told[-1] == (24, 24)


@pytest.mark.parametrize("where", ["tar", "parquet", "s3"])
def test_images_are_read_wherever_they_lie(bench: Any, s3: S3Server, where: str) -> None:
    """In tars, in Parquet files, on S3: each has its picture."""
    bench.images(labels=2, each=5).model("a")
    files = sorted((bench.folder / "images").rglob("*.png"))
    names = [path.relative_to(bench.folder / "images").as_posix() for path in files]
    data = [path.read_bytes() for path in files]
    if where == "tar":
        write_tar(bench.folder / "set.tar", list(zip(names, data, strict=True)))
        bench.config["images"] = {"tar": "set.tar"}
    elif where == "parquet":
        write_parquet(bench.folder / "set.parquet", data, [name.split("/")[0] for name in names])
        bench.config["images"] = {"parquet": "set.parquet"}
    else:
        bucket = s3.bucket()
        for name, bytes_ in zip(names, data, strict=True):
            objects.replace(f"{bucket}/images/{name}", bytes_)
        bench.config["images"] = {"folder": f"{bucket}/images"}
    bench.config["jobs"] = [{"name": "map", "kind": "map"}]
    bench.run()
    made = pictures(bench.out)
    assert set(made) == {reading.digest_of(one) for one in data}
    assert all(made.values())


def test_a_collapsed_model_has_its_map(bench: Any) -> None:
    """All embeddings equal: valid JSON, a note, one point."""
    bench.images(labels=2, each=5).model("a")
    for path in (bench.folder / "images").rglob("*.png"):
        # Different files of equal pixels.
        stream = io.BytesIO()
        image = Image.fromarray(np.full((bench.side, bench.side, 3), 128, np.uint8))
        image.save(stream, "PNG", compress_level=int(path.stem) % 10)
        path.write_bytes(stream.getvalue() + path.as_posix().encode())
    bench.config["jobs"] = [{"name": "map", "kind": "map"}]
    assert bench.run().exit_code == 0
    (found,) = bench.results()["evaluations"]
    assert "collapsed" in found["result"]["notes"][0]
    assert json.dumps(found["result"], allow_nan=False)


def test_models_that_give_nan_fail_as_elsewhere(bench: Any) -> None:
    """The map of a model without usable embeddings is a failed evaluation that says why."""
    from onnx import helper

    bench.images(labels=2, each=5).model("good")
    nothing = [helper.make_node("Sub", ["y", "y"], ["zero"]), helper.make_node("Div", ["zero", "zero"], ["z"])]
    bench.model("nan", extra=nothing, output="z")
    bench.config["jobs"] = [{"name": "map", "kind": "map"}]
    assert bench.run().exit_code == 1
    assert bench.evaluation("nan")["error"]["kind"] == "non_finite"
    assert bench.evaluation("good")["status"] == "ok"


def test_a_server_that_goes_away_costs_pictures_alone(
    bench: Any, s3: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """S3 that no longer answers when everything is computed: the results are written, and what is missing is said."""
    bench.images(labels=2, each=5).model("a")
    bucket = s3.bucket()
    for path in sorted((bench.folder / "images").rglob("*.png")):
        objects.replace(f"{bucket}/images/{path.relative_to(bench.folder / 'images').as_posix()}", path.read_bytes())
    bench.config["images"] = {"folder": f"{bucket}/images"}
    bench.config["jobs"] = [{"name": "map", "kind": "map"}]
    make = thumbnails.thumbnails_of

    def meanwhile(*args: Any) -> Any:
        s3.stop()
        with monkeypatch.context() as patch:
            patch.setenv("EVALJOBS_S3_PATIENCE_S", "1")
            return make(*args)

    monkeypatch.setattr(thumbnails, "thumbnails_of", meanwhile)
    try:
        assert bench.run().exit_code == 0
    finally:
        s3.start()
    made = pictures(bench.out)
    assert len(made) == 10
    assert set(made.values()) == {None}
    assert bench.evaluation("a")["status"] == "ok"
