"""Images, models, store and results on S3: the results are those of a run on files, whatever the server does."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import yaml

from evaljobs.config import load
from evaljobs.errors import UsageError
from evaljobs.progress import Quiet
from evaljobs.remote import objects
from evaljobs.run import Options, run
from tests.s3_server import SECRET_KEY, S3Server


def upload(folder: Path, uri: str) -> None:
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            objects.replace(f"{uri}/{path.relative_to(folder).as_posix()}", path.read_bytes())


class OnS3:
    """The same benchmark as a local one, with everything but the configuration in a bucket."""

    def __init__(self, bench: Any, bucket: str) -> None:
        self.bucket = bucket
        upload(bench.folder / "images", f"{bucket}/images")
        upload(bench.folder / "models", f"{bucket}/models")
        places = {"images": {"folder": f"{bucket}/images"}, "models": [{"path": f"{bucket}/models/*.onnx"}]}
        self.config = {**bench.config, **places, "store": f"{bucket}/store", "out": f"{bucket}/out"}
        self.path = bench.folder / "on-s3.yaml"
        self.path.write_text(yaml.safe_dump(self.config), encoding="utf-8")

    def run(self) -> Any:
        return run(load(self.path), self.path, Quiet(), Options())

    def start(self, *arguments: str, **environment: str) -> subprocess.Popen[str]:
        """Start the command as people do, in a process of its own."""
        command = [sys.executable, "-m", "evaljobs", "run", str(self.path), *arguments]
        return subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env={**os.environ, **environment}
        )

    def results(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(objects.read(f"{self.bucket}/out/results.json") or b"{}")
        return found


def measured(results: dict[str, Any]) -> dict[str, Any]:
    """Return what must not depend on where things are."""
    return {name: results[name] for name in ("sets", "models", "evaluations")}


def test_run_on_s3_equals_a_run_on_files(bench: Any, s3: S3Server) -> None:
    """The same sets, models and evaluations, byte for byte; a second run computes nothing."""
    bench.images().model("a")
    bench.model("b", seed=1)
    bench.config["report"] = True
    bench.run()
    there = OnS3(bench, s3.bucket())
    assert there.run().exit_code == 0
    assert json.dumps(measured(there.results())) == json.dumps(measured(bench.results()))
    names = {found.uri.removeprefix(f"{there.bucket}/out/") for found in objects.find(f"{there.bucket}/out")}
    assert {"results.json", "results.csv", "figures/roc.png", "samples.arrow", "failures.csv"} <= names
    before = {found.uri: found.etag for found in objects.find(f"{there.bucket}/store")}
    assert there.run().exit_code == 0
    computed = there.results()["execution"]["computed"]
    assert (computed["images_decoded"], computed["rows_embedded"], computed["evaluations"]) == (0, 0, 0)
    assert before.items() <= {found.uri: found.etag for found in objects.find(f"{there.bucket}/store")}.items()


@pytest.mark.parametrize(
    ("name", "text", "jobs", "model"),
    [
        (
            "pairs.csv",
            "id_a,id_b\n" + "".join(f"label{n}/000.png,label{m}/001.png\n" for n in range(4) for m in range(4)),
            lambda place: [{"name": "listed", "pairs": place}],
            lambda _: {},
        ),
        (
            "names.txt",
            "label0\nlabel1\nlabel2\nlabel3\n",
            lambda _: [{"name": "judged", "kind": "classification"}],
            lambda place: {"classes": place},
        ),
    ],
)
def test_lists_on_s3_say_what_they_say_here(
    bench: Any, s3: S3Server, name: str, text: str, jobs: Callable[[str], Any], model: Callable[[str], Any]
) -> None:
    """Pairs, and names of classes; what is not there is said by its uri, before anything is started."""
    bench.images(labels=4, each=3).model("a")
    there = f"{s3.bucket()}/{name}"
    (bench.folder / name).write_text(text)
    objects.replace(there, text.encode())

    def evaluated(place: str) -> Any:
        bench.config["jobs"], bench.config["models"] = jobs(place), [{"path": "models/*.onnx", **model(place)}]
        assert bench.run(overwrite=True).exit_code == 0
        return bench.results()["evaluations"]

    assert evaluated(there) == evaluated(name)
    assert bench.computed() == (0, 0, 0)
    objects.delete(there)
    with pytest.raises(UsageError, match=there):
        evaluated(there)


def test_credentials_reach_no_file(bench: Any, s3: S3Server) -> None:
    """Whatever a run writes, to S3 or to disk, holds neither the key nor the secret."""
    bench.images(labels=2, each=2).model("a")
    there = OnS3(bench, s3.bucket())
    there.run()
    written = [objects.read(found.uri) or b"" for found in objects.find(there.bucket)]
    written += [path.read_bytes() for path in bench.folder.rglob("*") if path.is_file()]
    assert len(written) > 10
    assert not any(SECRET_KEY.encode() in data for data in written)


@pytest.mark.parametrize(
    ("environment", "store", "expected"),
    [
        ({"AWS_SECRET_ACCESS_KEY": "wrong"}, None, "AWS_SECRET_ACCESS_KEY"),
        ({}, "s3://no-such-bucket/store", "no-such-bucket"),
        ({"AWS_ENDPOINT_URL": "http://127.0.0.1:9", "EVALJOBS_S3_PATIENCE_S": "1"}, None, "127.0.0.1:9"),
    ],
)
def test_wrong_setup_is_said_before_anything_is_started(
    bench: Any, s3: S3Server, environment: dict[str, str], store: str | None, expected: str
) -> None:
    """Wrong credentials, a bucket that is not there, nobody who listens: one message, no traceback, no secret."""
    bench.images(labels=2, each=2).model("a")
    there = OnS3(bench, s3.bucket())
    if store:
        there.path.write_text(yaml.safe_dump({**there.config, "store": store}), encoding="utf-8")
    process = there.start(**environment)
    output, _ = process.communicate(timeout=240)
    assert process.returncode in {2, 4}, output
    assert expected in output
    assert "Traceback" not in output
    assert SECRET_KEY not in output


@pytest.mark.slow
def test_server_that_dies_and_comes_back_ends_nothing(bench: Any, s3: S3Server) -> None:
    """The run waits for it, and its results are those of an undisturbed one."""
    bench.images(labels=6, each=20)
    for seed in range(12):
        bench.model(f"m{seed:02d}", seed=seed)
    bench.run()
    there = OnS3(bench, s3.bucket())
    # The run in the other thread: the kernel ends the server with the thread that has started it.
    with ThreadPoolExecutor(1) as thread:
        running = thread.submit(there.run)
        deadline = time.monotonic() + 180
        while len(objects.find(f"{there.bucket}/store/tables")) < 4:
            assert time.monotonic() < deadline, "nothing was written"
            time.sleep(0.05)
        assert not running.done(), "it ended before"
        s3.stop()
        time.sleep(4)
        s3.start()
        assert running.result(timeout=240).exit_code == 0
    assert json.dumps(measured(there.results())) == json.dumps(measured(bench.results()))


@pytest.mark.slow
def test_two_runs_on_one_s3_store_end_alike(bench: Any, s3: S3Server) -> None:
    """They race for every shard; whole parts are left, once each, and both results are right."""
    bench.images(labels=6, each=20)
    for seed in range(6):
        bench.model(f"m{seed}", seed=seed)
    bench.run()
    there = OnS3(bench, s3.bucket())
    other = bench.folder / "other.yaml"
    other.write_text(yaml.safe_dump({**there.config, "out": f"{there.bucket}/other"}), encoding="utf-8")
    # Each with a Ray of its own, and as long to start: both work at the same time.
    first = there.start()
    there.path = other
    second = there.start()
    try:
        outputs = [process.communicate(timeout=240)[0] for process in (first, second)]
        assert [first.returncode, second.returncode] == [0, 0], outputs
    finally:
        for process in (first, second):
            process.kill()
            process.communicate()
    results = [json.loads(objects.read(f"{there.bucket}/{out}/results.json") or b"") for out in ("out", "other")]
    assert json.dumps(measured(results[0])) == json.dumps(measured(results[1])) == json.dumps(measured(bench.results()))
