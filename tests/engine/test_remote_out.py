"""Results on S3: the same files as in a local folder, claimed by one run, whole or not there."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

import pytest

from evaljobs.config import load
from evaljobs.engine import claim, output, remote_output
from evaljobs.engine.prepare import refuse_inside_images
from evaljobs.errors import ExitCode, RemoteError, RunFailedError, UsageError
from evaljobs.remote import objects, patience
from evaljobs.report.comparing.comparison import compare
from evaljobs.report.comparing.comparison_page import write_comparison
from evaljobs.report.comparing.matching import Wanted
from evaljobs.report.runs.reading import read_results, same_run
from evaljobs.store import Store, lease, uses
from evaljobs.store.inventory import take_inventory
from evaljobs.store.layout import Kind
from tests.s3_server import SECRET_KEY, S3Server

DIGEST = "d" * 64
RESULTS = json.dumps({"config_digest": DIGEST, "evaluations": []}).encode()


def names(location: str) -> set[str]:
    """Return the objects below a location."""
    return {found.uri.removeprefix(f"{location}/") for found in objects.find(location)}


def claimed(location: str, digest: str = DIGEST, *, overwrite: bool = False) -> Any:
    return output.claimed(location, digest, overwrite=overwrite)


def test_run_leaves_on_s3_what_it_leaves_in_a_folder(bench: Any, s3: S3Server, without_execution: Any) -> None:
    """Results, tables, figures, failures and samples; byte for byte but for times, read back, and no credential."""
    bench.images().model("a")
    bench.model("b", seed=2)
    (bench.folder / "images" / "label0" / "bad.png").write_bytes(b"no image")
    bench.config["report"] = True
    bench.run()
    location = f"{s3.bucket()}/runs/x"
    bench.config["out"] = f"{location}/"
    finished = bench.run()
    assert finished.out == location
    assert finished.exit_code == ExitCode.OK
    local = {str(p.relative_to(bench.out)) for p in bench.out.rglob("*") if p.is_file()} - {".evaljobs.lock"}
    assert names(location) == local
    assert {"results.json", "results.parquet", "results.md", "figures/roc.png", "failures.csv", "samples.arrow"} < local
    for name in ("results.csv", "differences.csv", "failures.csv", "results.md"):
        assert objects.read(f"{location}/{name}") == (bench.out / name).read_bytes()
    assert without_execution(read_results(location)) == without_execution(bench.results())
    assert [p for p in bench.folder.rglob("*") if p.name.startswith("s3:")] == []
    for found in objects.find(location):
        assert SECRET_KEY.encode() not in (objects.read(found.uri) or b"")

    # They leave a record of what they have used, and no mark that they are at work.
    store = Store(bench.folder / "store")
    entries = store.folder.walk()
    record = max(uses.records(store.folder, entries), key=lambda record: record.used)
    units = take_inventory(entries).units
    assert record.tables == {unit.key for unit in units[Kind.TABLES]}
    assert record.results == {unit.key for unit in units[Kind.RESULTS]}
    assert len(record.results) == 2
    assert [entry.name for entry in entries if entry.name.endswith(".lease")] == []

    # What reads a run reads it there, and in any mix.
    assert same_run(location, f"{location}/results.json")
    assert not same_run(location, bench.out)
    found = compare(read_results(bench.out), read_results(f"{location}/results.json"), Wanted())
    write_comparison(f"{location}/against.csv", found)
    assert objects.read(f"{location}/against.csv")

    # A model less: what only the results before had is gone, what is not ours stays.
    bench.config["models"] = [{"path": "models/a.onnx"}]
    with pytest.raises(UsageError, match="holds the results of another configuration"):
        bench.run()
    bench.run(overwrite=True)
    # The hardest pairs are drawn of the best model: of a, now that b is gone.
    left = {name.replace("hardest-b", "hardest-a") for name in local if "-b-" not in name}
    assert names(location) == left | {"against.csv"}
    assert [model["name"] for model in read_results(location)["models"]] == ["a"]


def test_folder_is_claimed_once(s3: S3Server) -> None:
    """Who is at work there is named, and when his claim ends if he was killed; afterwards it is free."""
    location = s3.bucket()
    with claimed(location), pytest.raises(UsageError) as refused:
        claimed(location).__enter__()
    message = str(refused.value)
    assert f"another run is writing to {location}" in message
    assert f"process {os.getpid()} on" in message
    assert "ends by itself in" in message
    with claimed(location):
        pass
    assert names(location) == set()


def test_claim_of_a_killed_run_ends(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that is killed leaves its claim; it is taken over when no sign of life was given for minutes."""
    location = s3.bucket()
    program = textwrap.dedent(f"""
        import os
        from evaljobs.engine.output import claimed
        claim = claimed({location!r}, {DIGEST!r}, overwrite=False)
        claim.__enter__()
        os.kill(os.getpid(), 9)
    """)
    done = subprocess.run([sys.executable, "-c", program], check=False, timeout=240)
    assert done.returncode == -signal.SIGKILL
    with pytest.raises(UsageError, match="another run is writing"):
        claimed(location).__enter__()
    monkeypatch.setattr(lease, "EXPIRES_S", 1.0)
    time.sleep(1.5)
    with claimed(location):
        assert names(location) == {claim.NAME}


def test_run_that_was_submitted_again_waits_for_the_claim_of_the_killed_one(
    s3: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its driver was killed, nobody is there to ask: it takes the folder over as soon as it may."""
    location = s3.bucket()
    objects.create(f"{location}/{claim.NAME}", b"of a run that was killed")
    monkeypatch.setattr(lease, "EXPIRES_S", 2.0)
    monkeypatch.setattr(claim, "_AGAIN_S", 0.2)
    monkeypatch.setenv("EVALJOBS_CLAIM_PATIENCE_S", "60")
    began = time.monotonic()
    with claimed(location):
        assert time.monotonic() - began > 0.2
        monkeypatch.setenv("EVALJOBS_CLAIM_PATIENCE_S", "0.5")
        with pytest.raises(UsageError, match="another run is writing"):
            claimed(location).__enter__()


def test_run_whose_claim_was_taken_over_publishes_nothing(s3: S3Server) -> None:
    """Two never write the same results: who comes back from the dead says so, and leaves the other's claim."""
    location = s3.bucket()
    with claimed(location) as out:
        (out.folder / "results.json").write_bytes(RESULTS)
        objects.replace(f"{location}/{claim.NAME}", b"another's")
        with pytest.raises(RunFailedError, match="has taken over"):
            out.publish()
    assert names(location) == {claim.NAME}
    assert objects.read(f"{location}/{claim.NAME}") == b"another's"


def test_claim_is_renewed(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """A long run keeps its claim, also where somebody deletes it by mistake."""
    monkeypatch.setattr(lease, "RENEWED_EVERY_S", 0.05)
    location = s3.bucket()
    with claimed(location):
        objects.delete(f"{location}/{claim.NAME}")
        deadline = time.monotonic() + 60
        while names(location) != {claim.NAME}:
            assert time.monotonic() < deadline
            time.sleep(0.02)
    assert names(location) == set()


def test_failures_are_there_before_the_end(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """The list of bad images is there while a run is at work, and whole when it ends, whatever ends it."""
    location = s3.bucket()
    run = claimed(location)
    out = run.__enter__()
    out.write("failures.csv", b"one")
    assert objects.read(f"{location}/failures.csv") == b"one"
    for number in range(20):
        out.write("failures.csv", f"{number}".encode())
    assert objects.read(f"{location}/failures.csv") == b"one"
    failed = RunFailedError("too many bad images")
    assert not run.__exit__(RunFailedError, failed, None)
    assert objects.read(f"{location}/failures.csv") == b"19"
    assert names(location) == {"failures.csv"}
    monkeypatch.setattr(remote_output, "_EARLY_EVERY_S", 0.0)
    with claimed(location) as out:
        out.write("failures.csv", b"two")
        out.write("failures.csv", b"three")
        assert objects.read(f"{location}/failures.csv") == b"three"


def test_results_come_last(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that is killed while it publishes leaves the results that stood there before."""
    location = s3.bucket()
    sent: list[str] = []
    real = objects.replace

    def replace(uri: str, data: bytes) -> None:
        sent.append(uri.rpartition("/")[2])
        real(uri, data)

    monkeypatch.setattr(objects, "replace", replace)
    with claimed(location) as out:
        (out.folder / "tables").mkdir()
        for name in ("results.json", "zzz.csv", "tables/a.parquet", ".hidden.tmp"):
            (out.folder / name).write_bytes(RESULTS)
        out.publish()
    assert sent[-1] == "results.json"
    assert names(location) == {"results.json", "zzz.csv", "tables/a.parquet"}


@pytest.mark.parametrize("before", [b"something else", b"[]"])
def test_what_is_no_result_is_not_replaced(s3: S3Server, before: bytes) -> None:
    """Unless that is asked for."""
    location = s3.bucket()
    objects.replace(f"{location}/results.json", before)
    with pytest.raises(UsageError, match="is no result of evaljobs"):
        claimed(location).__enter__()
    assert names(location) == {"results.json"}
    with claimed(location, overwrite=True) as out:
        assert out.folder.is_dir()
    assert not out.folder.exists()


def test_missing_bucket_and_wrong_credentials_are_mistakes_of_the_user(
    s3: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Found out before anything is started, with exit code 2."""
    with pytest.raises(UsageError, match="there is no bucket 'nowhere-at-all'"):
        claimed("s3://nowhere-at-all/x").__enter__()
    location = s3.bucket()
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    with pytest.raises(UsageError, match=r"cannot write to the output folder .* denies it"):
        claimed(location).__enter__()


def test_server_that_is_away_is_no_mistake_of_the_user(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may be back tomorrow: the exit code is another."""
    monkeypatch.setenv("EVALJOBS_S3_PATIENCE_S", "0.2")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(RemoteError) as failed:
        claimed("s3://bucket/x").__enter__()
    assert failed.value.exit_code == ExitCode.NO_RESULTS
    assert s3.endpoint


def test_interrupted_run_does_not_wait_for_a_server_that_is_away(
    s3: S3Server, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Ctrl-C ends it in seconds; what was not brought there, and that the claim is left behind, is said."""
    location = s3.bucket()
    monkeypatch.setenv("EVALJOBS_S3_PATIENCE_S", "60")
    monkeypatch.setattr(patience, "HURRIED_S", 0.2)

    def work() -> None:
        with claimed(location) as out:
            out.write("failures.csv", b"one")
            out.write("failures.csv", b"two")
            monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
            raise KeyboardInterrupt

    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        work()
    assert time.monotonic() - began < 30
    assert "not all of what was found was written" in caplog.text
    assert f"the claim on {location} is left behind" in caplog.text


def test_output_inside_images_on_s3_is_refused(tmp_path: Path) -> None:
    """The next run would take its pictures for images; nothing is asked of the server for it."""
    path = tmp_path / "c.yaml"
    path.write_text(
        "images: {folder: 's3://bucket/images'}\nmodels: a.onnx\nout: s3://bucket/images/out\nstore: store\n"
    )
    config = load(path)
    with pytest.raises(UsageError, match="the output folder s3://bucket/images/out lies in the image folder"):
        refuse_inside_images(config, path, "s3://bucket/images/out")
    refuse_inside_images(config, path, "s3://bucket/images-out")


def test_runs_that_are_not_there_are_named(s3: S3Server) -> None:
    """As for a local folder."""
    location = s3.bucket()
    with pytest.raises(UsageError, match=f"no {location}/run/results.json; expected the folder of a run"):
        read_results(f"{location}/run/")
