"""A configuration as it travels: what is in it means the same on the cluster, or it is refused."""

from __future__ import annotations

import csv
import dataclasses
import hashlib
import re
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import pyarrow as pa
import pyarrow.parquet
import pytest
import yaml
from onnx.external_data_helper import convert_model_to_external_data

from evaljobs.config import load
from evaljobs.errors import UsageError
from evaljobs.images.listing import list_images
from evaljobs.images.looking import look
from evaljobs.images.own_columns import own_names
from evaljobs.models.files import find_models
from evaljobs.models.resolve import resolve
from evaljobs.remote import is_remote, objects
from evaljobs.shipping.packing import pack
from evaljobs.shipping.program import PROGRAM
from raycluster.errors import ClusterError, UnreachableError
from raycluster.program import Asked, Parcel
from tests.engine.conftest import Bench
from tests.s3_server import S3Server


def quiet(_: str) -> None:
    """Say nothing."""


def samples(path: Path) -> dict[str, list[tuple[Any, ...]]]:
    """Return id, label, digest and own columns of each image of each set, as a run of a configuration finds them."""
    config, base = load(path), path.parent
    found = {}
    for name, images in config.image_sets().items():
        listing = list_images(images, base, name)
        looked = look(listing, None, threads=4).samples
        columns = [looked[column].to_pylist() for column in ("sample_id", "label", "image_digest")]
        own = [(str(listing[column].type), listing[column].to_pylist()) for column in own_names(listing)]
        columns += [[(kind, value) for value in values] for kind, values in own]
        found[name] = list(zip(*columns, strict=True))
    return found


def models(path: Path) -> list[tuple[Any, ...]]:
    """Return what results say of each model that a run of a configuration finds."""
    found = resolve(load(path), path.parent)
    usable = [(m.name, m.digest, m.tags, m.series, m.size_bytes, m.notes) for m in found.models]
    return usable + [(refused.name, refused.tags, refused.kind) for refused in found.refused]


def arrived(parcel: Parcel, folder: Path) -> Path:
    """Send a parcel, and lay its files out as they lie on a cluster; return the configuration."""
    PROGRAM.upload(parcel, quiet)
    folder.mkdir()
    for name, data in parcel.files.items():
        (folder / name).write_bytes(data)
    return folder / parcel.command[2]


def manifest(bench: Bench) -> None:
    with (bench.folder / "list.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["path", "who", "name", "camera", "age"])
        rows.writerows([f"images/label{n}/001.png", f"person {n}", f"no. {n}", f"0{n}", n] for n in range(4))
    bench.config["images"] = {
        "manifest": "list.csv",
        "uri_column": "path",
        "label_column": "who",
        "id_column": "name",
        "columns": ["camera", "age"],
    }


def tars(bench: Bench) -> None:
    (bench.folder / "tars").mkdir()
    for number in range(2):
        with tarfile.open(bench.folder / "tars" / f"{number}.tar", "w") as tar:
            for path in sorted((bench.folder / "images").glob("*/*.png")):
                tar.add(path, path.relative_to(bench.folder / "images").as_posix())
    bench.config["images"] = {"tar": "tars/{0..1}.tar"}


def parquet(bench: Bench) -> None:
    paths = sorted((bench.folder / "images").glob("*/*.png"))
    images = [{"bytes": path.read_bytes(), "path": path.name} for path in paths]
    table = pa.table({"picture": images, "label": [path.parent.name for path in paths]})
    (bench.folder / "tables").mkdir()
    pa.parquet.write_table(table, bench.folder / "tables" / "a.parquet", row_group_size=7)
    bench.config["images"] = {"parquet": "tables/*.parquet", "image_column": "picture"}


def quick(bench: Bench) -> None:
    bench.config["images"] = {"folder": "images", "limit": "9"}


def missing(bench: Bench) -> None:
    (bench.folder / "images" / "label0" / "gone.png").symlink_to("nowhere")


def twice(bench: Bench) -> None:
    (bench.folder / "images" / "label1" / "copy.png").write_bytes(bench.image(0, 0).read_bytes())


@pytest.mark.parametrize("change", [manifest, tars, parquet, quick, missing, twice])
def test_images_keep_ids_labels_and_bytes(local: Bench, change: Callable[[Bench], None], tmp_path: Path) -> None:
    """Whatever a set is made of here, the cluster evaluates the same samples under the same names."""
    change(local)
    path = local.write()
    before = samples(path)
    assert sum(map(len, before.values())) > 3
    there = arrived(pack(path, Asked()), tmp_path / "there")
    assert samples(there) == before
    assert all(is_remote(images.location) for images in load(there).image_sets().values())


def swept(bench: Bench) -> None:
    for run in ("a", "b"):
        for epoch in (2, 10):
            path = bench.model(f"{run}/epoch-{epoch}", epoch)
            assert path.exists()
    bench.config["models"] = [
        {"path": "models/*/epoch-*.onnx", "tag_pattern": "{run}/epoch-{epoch}", "series": "epoch"},
        {"path": "models/{m}.onnx", "matrix": {"m": ["one", "two", "three"]}, "name": "net", "tags": {"k": "v"}},
    ]


def lined(bench: Bench) -> None:
    for epoch in (1, 2):
        bench.model(f"epoch-{epoch}", epoch)
    bench.config["models"] = [
        {"path": "models/epoch-*.onnx", "tag_pattern": "epoch-{epoch}", "series": "epoch", "name": "the line"},
        "models/one.onnx",
    ]


def external(bench: Bench) -> None:
    model = onnx.load(bench.model("big", 3))
    convert_model_to_external_data(model, location="weights/big.bin", size_threshold=0)
    (bench.folder / "models" / "weights").mkdir()
    onnx.save(model, bench.folder / "models" / "big.onnx")


def odd(bench: Bench) -> None:
    (bench.folder / "models" / "one.onnx").rename(bench.folder / "models" / "a [1] é{x}.onnx")


def refused(bench: Bench) -> None:
    (bench.folder / "models" / "zzz.onnx").write_bytes(b"no model at all")


def classified(bench: Bench) -> None:
    (bench.folder / "classes.txt").write_text("cat\ndog\n")
    bench.config["models"] = [{"path": "models/one.onnx", "classes": "classes.txt"}]


@pytest.mark.parametrize("change", [swept, lined, external, odd, refused, classified])
def test_models_keep_names_tags_lines_and_bytes(local: Bench, change: Callable[[Bench], None], tmp_path: Path) -> None:
    """Results are found by names: those of a glob, a matrix, a line of checkpoints, are the same on the cluster."""
    change(local)
    path = local.write()
    before = models(path)
    assert before
    there = arrived(pack(path, Asked()), tmp_path / "there")
    assert models(there) == before
    assert all(is_remote(str(found.file)) for found in find_models(load(there).models, there.parent))


def test_model_of_several_files_is_sent_as_it_was_packed(local: Bench) -> None:
    """Each file has a digest of its own: one that changes after packing is not sent under the name of another."""
    external(local)
    uploads = {one.path.name: one for one in pack(local.write(), Asked()).uploads if one.path is not None}
    for name in ("big.onnx", "big.bin"):
        path = uploads[name].path
        assert path is not None
        assert uploads[name].digest == hashlib.sha256(path.read_bytes()).hexdigest()
    weights = local.folder / "models" / "weights" / "big.bin"
    data = bytearray(weights.read_bytes())
    data[0] ^= 1
    parcel = pack(local.write(), Asked())
    weights.write_bytes(data)
    with pytest.raises(ClusterError, match=r"big\.bin has changed"):
        PROGRAM.upload(parcel, quiet)


def test_pairs_travel_in_the_working_folder(local: Bench, tmp_path: Path) -> None:
    """A list of pairs is a local file on the cluster too."""
    (local.folder / "pairs.csv").write_text("id_a,id_b\nlabel0/000.png,label0/001.png\n")
    local.config["jobs"] = [{"name": "listed", "pairs": "pairs.csv"}, {"name": "all"}]
    parcel = pack(local.write(), Asked())
    there = arrived(parcel, tmp_path / "there")
    (name,) = [name for name in parcel.files if name != "benchmark.yaml"]
    assert load(there).jobs[0].parameters()["pairs"] == name
    assert parcel.files[name] == (local.folder / "pairs.csv").read_bytes()


def test_lists_on_s3_stay_there(local: Bench, s3: S3Server) -> None:
    """They are checked here and read where the run is; nothing of them travels."""
    bucket = s3.bucket()
    objects.replace(f"{bucket}/pairs.csv", b"id_a,id_b\nlabel0/000.png,label0/001.png\n")
    local.config["jobs"] = [{"name": "listed", "pairs": f"{bucket}/pairs.csv"}]
    parcel = pack(local.write(), Asked())
    assert set(parcel.files) == {"benchmark.yaml"}
    assert yaml.safe_load(parcel.files["benchmark.yaml"])["jobs"][0]["pairs"] == f"{bucket}/pairs.csv"
    objects.replace(f"{bucket}/pairs.csv", b"id_a,id_b\nlabel0/000.png,nobody\n")
    with pytest.raises(UsageError, match=f"{bucket}/pairs.csv: 1 id"):
        pack(local.write(), Asked())


def test_results_bear_the_digest_of_the_configuration_as_it_was_written(local: Bench, tmp_path: Path) -> None:
    """Results of a cluster and of this machine are results of one configuration, and one folder takes both."""
    path = local.write()
    there = load(arrived(pack(path, Asked()), tmp_path / "there"))
    assert there.digest() == load(path).digest()
    assert (there.name or "benchmark") == "benchmark"
    assert there.out is None


def test_secrets_stay_here(local: Bench) -> None:
    """The URL of a webhook is worth a password; only the scheduler needs it."""
    local.config["notify"] = {"webhook": "https://example.com/hooks/T0K3N"}
    parcel = pack(local.write(), Asked())
    assert parcel.webhook == "https://example.com/hooks/T0K3N"
    assert not any(b"T0K3N" in data for data in parcel.files.values())
    assert "T0K3N" not in " ".join(parcel.command)


def test_digest_is_that_of_what_is_computed(local: Bench) -> None:
    """Equal submissions are one job; another image, label, model or key is another one."""
    seen = {pack(local.write(), Asked()).digest}
    assert pack(local.write(), Asked(slots=7, gpus=3, out=local.folder / "elsewhere")).digest in seen
    local.config["cluster"] = {"workers": "1"}
    assert pack(local.write(), Asked()).digest in seen
    for change in (
        lambda: local.image(3, 9),
        lambda: (local.folder / "images" / "label3").rename(local.folder / "images" / "label9"),
        lambda: local.model("two", 3),
        lambda: local.config.update(fpr=["0.5"]),
        lambda: local.config.update(report=True),  # what is there has a page, or has none
    ):
        change()
        seen.add(pack(local.write(), Asked()).digest)
    assert len(seen) == 6


@pytest.mark.parametrize("name", ["../../x", "a b\n", "名前", "..", "-" * 50])
def test_results_lie_where_results_lie(local: Bench, name: str) -> None:
    """A run may be called anything; its folder is one below `runs`."""
    local.config["name"] = name
    results = pack(local.write(), Asked()).results
    folder = results.removeprefix(f"{local.config['store']}/runs/")
    assert folder != results
    assert re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]*-[0-9a-f]{12}", folder)


def test_gpus_of_the_plan_travel(local: Bench, tmp_path: Path) -> None:
    """So a later attempt knows what the first one was planned for; results bear the digest of the file all the same."""
    path = local.write()
    there = load(arrived(pack(path, Asked(gpus=3)), tmp_path / "there"))
    assert there.submitted is not None
    assert (there.submitted.gpus, there.cluster.device) == (3, "auto")
    assert there.digest() == load(path).digest()


def test_slots_are_workers(local: Bench) -> None:
    """A schedule that has been given two GPUs uses two."""
    text = pack(local.write(), Asked(["cluster.gpu.actors=2"], slots=2)).files["benchmark.yaml"].decode()
    assert "workers: 4" in text


def test_shared_files_keep_their_paths(local: Bench, tmp_path: Path) -> None:
    """Where all machines see the same files, nothing is sent, and relative paths mean what they mean here."""
    local.config |= {"store": "store", "out": "out"}
    path = local.write()
    parcel = pack(path, Asked(shared=True))
    assert parcel.uploads == ()
    there = arrived(parcel, tmp_path / "there")
    assert samples(there) == samples(path)
    assert models(there) == models(path)
    assert load(there).store == str(local.folder / "store")
    assert parcel.results == str(local.folder / "out")
    assert parcel.out is None


def test_local_store_is_refused_with_both_ways_out(local: Bench) -> None:
    """A refusal names everything that the cluster would not find, and what to do; nothing is sent."""
    del local.config["store"]
    with pytest.raises(UsageError) as caught:
        pack(local.write(), Asked())
    for part in ("cache/evaljobs", "none", str(local.folder / "images"), "20 images", "2 model(s)", "one.onnx",
                 "--shared-files", "s3://bucket/prefix"):  # fmt: skip
        assert part in str(caught.value)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda b: b.config.update(models=["models/none.onnx"]), "none.onnx"),
        (lambda b: b.config.update(images={"folder": "nowhere"}), "nowhere"),
        (lambda b: b.config.update(jobs=[{"name": "x", "pairs": "gone.csv"}]), "gone.csv"),
        (lambda b: b.config.update(modles=[]), "models"),
        (lambda b: b.config.update(out="images/out"), "lies in the image folder"),
    ],
)
def test_what_a_run_would_refuse_is_refused_here(local: Bench, change: Callable[[Bench], None], said: str) -> None:
    """Hours later, in a log on another machine, is too late."""
    change(local)
    with pytest.raises(ClusterError, match=said):
        PROGRAM.pack(local.write(), Asked())


def test_missing_configuration_is_a_mistake_of_the_users(tmp_path: Path) -> None:
    """It is said in one sentence, as `evaljobs run` says it."""
    with pytest.raises(ClusterError, match="no configuration file"):
        PROGRAM.pack(tmp_path / "none.yaml", Asked())


@pytest.mark.parametrize("what", ["images", "models", "uploads"])
def test_s3_that_does_not_answer_is_no_mistake(local: Bench, what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A scheduler waits for it, and fails no run by it."""
    changes: dict[str, dict[str, Any]] = {
        "images": {"images": {"folder": "s3://bucket/images"}},
        "models": {"models": ["s3://bucket/models/one.onnx"]},
        "uploads": {},
    }
    local.config.update(changes[what])
    parcel = PROGRAM.pack(local.write(), Asked()) if what == "uploads" else None
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("EVALJOBS_S3_PATIENCE_S", "0.1")
    with pytest.raises(UnreachableError, match=r"127\.0\.0\.1:9"):
        PROGRAM.pack(local.write(), Asked()) if parcel is None else PROGRAM.upload(parcel, quiet)


def test_results_of_another_configuration_are_refused_early(local: Bench) -> None:
    """Whoever names a folder that holds something else hears it before the run, and not after it."""
    parcel = PROGRAM.pack(local.write(), Asked())
    PROGRAM.check(parcel)
    local.out.mkdir()
    (local.out / "results.json").write_text('{"config_digest": "other"}')
    with pytest.raises(ClusterError, match="another configuration"):
        PROGRAM.check(parcel)
    PROGRAM.check(dataclasses.replace(parcel, out=local.folder / "new"))
