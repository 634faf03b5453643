"""Manifests: what Kubernetes is given is what it takes, nothing in it is secret, and nothing is created twice."""

from __future__ import annotations

import dataclasses
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from raycluster.errors import ClusterError
from raycluster.kubernetes.asked import CRONJOB_NAME, RAYJOB_NAME, Asked, Schedule, Workers, check_asked, resource_name
from raycluster.kubernetes.manifest import manifest, to_yaml
from raycluster.kubernetes.rayjob import start_script
from tests.raycluster.kubernetes.parcels import ONCE, RESULTS, WHOLE, parcel
from tests.raycluster.kubernetes.schemas import check, rayjob_of, templates


def made(asked: Asked, **changes: object) -> list[dict[str, Any]]:
    """Return what is written, as a reader of YAML finds it."""
    found = list(yaml.safe_load_all(to_yaml(manifest(parcel(**changes), asked))))
    assert len(found) >= 2
    return found


@pytest.mark.parametrize("asked", [ONCE, WHOLE, dataclasses.replace(WHOLE, schedule=None)])
def test_kubernetes_takes_it(asked: Asked) -> None:
    """Each object passes the schemas of Kubernetes and KubeRay, strictly: unknown keys would be dropped in silence."""
    objects = made(asked)
    for one in objects:
        check(one)
    check(rayjob_of(objects))
    assert {one["metadata"]["namespace"] for one in objects} == {asked.namespace}


def test_schemas_refuse_what_is_wrong() -> None:
    """The check before this one could fail: a slip in any part is found."""
    for slip in (
        "spec.rayClusterSpec.workerGroupSpecs.0.groupname",
        "spec.shutdownAfterJobFinish",
        "spec.backoffLimit",
    ):
        changed = rayjob_of(made(ONCE))
        *path, last = slip.split(".")
        inner: Any = changed
        for part in path:
            inner = inner[int(part)] if part.isdecimal() else inner[part]
        inner[last] = "x"
        with pytest.raises(Exception, match=r"groupname|shutdownAfterJobFinish|'x' is not"):
            check(changed)
    changed = rayjob_of(made(ONCE))
    templates(changed)[1]["spec"]["containers"][0]["imag"] = "x"
    with pytest.raises(Exception, match="imag"):
        check(changed)


def test_a_run_is_created_once() -> None:
    """The same run has the same name, so that it is created once however often it is applied; another has another."""
    first, again, other = made(ONCE), made(ONCE), made(ONCE, digest="cd34" * 16)
    assert first == again
    names = [[one["metadata"]["name"] for one in objects] for objects in (first, other)]
    assert [found[1] for found in names] == ["faces-nightly-ab12ab12ab12", "faces-nightly-cd34cd34cd34"]


@pytest.mark.parametrize("asked", [ONCE, WHOLE])
def test_files_that_never_change_are_named_by_their_bytes(asked: Asked) -> None:
    """What does not change results is not in a run's digest, and Kubernetes refuses to change what is immutable."""
    files = {"benchmark.yaml": b"version: 1\n", "x.bin": b"\xff"}
    changes: list[dict[str, object]] = [
        {"files": files},
        {"files": files | {"benchmark.yaml": b"version: 1\nlog: json\n"}},
        {"files": files | {"x.bin": b"\xfe"}},
        {"files": files, "results": f"{RESULTS}2", "command": ("evaljobs", "run", "b", "--out", f"{RESULTS}2")},
    ]
    several = [made(asked, **change) for change in changes]
    names = [objects[0]["metadata"]["name"] for objects in several]
    assert len(set(names)) == len(names)
    assert made(asked, **changes[0])[0]["metadata"]["name"] == names[0]
    for name, objects in zip(names, several, strict=True):
        assert len(name) <= 63
        assert templates(rayjob_of(objects))[0]["spec"]["volumes"][1]["configMap"]["name"] == name


def test_failed_runs_are_not_begun_again_by_themselves() -> None:
    """KubeRay begins whatever did not end with 0 again, on a cluster of its own: only where that is asked."""
    assert rayjob_of(made(ONCE))["spec"]["backoffLimit"] == 0
    assert rayjob_of(made(dataclasses.replace(ONCE, retries=2)))["spec"]["backoffLimit"] == 2


def test_variables_of_the_parcel_reach_every_pod() -> None:
    """The driver's and the workers'."""
    pods = templates(rayjob_of(made(ONCE, environment={"EVALJOBS_LOG": "json", "X": "1"})))
    assert len(pods) == 2
    for pod in pods:
        found = {one["name"]: one["value"] for one in pod["spec"]["containers"][0]["env"]}
        assert found == {"EVALJOBS_LOG": "json", "X": "1", "RAY_USAGE_STATS_ENABLED": "0"}


def test_files_arrive_as_they_are(tmp_path: Path) -> None:
    """Text, bytes and odd names: what a pod mounts is what was packed, and the start is a script among it."""
    config_map, *_ = made(ONCE)
    (volume,) = [v for v in templates(rayjob_of(made(ONCE)))[0]["spec"]["volumes"] if "configMap" in v]
    assert volume["configMap"]["name"] == config_map["metadata"]["name"]
    assert config_map["immutable"] is True
    mounted = _mounted(config_map, volume["configMap"]["items"], tmp_path)
    expected = {f"files/{name}": content for name, content in parcel().files.items()}
    assert mounted == {**expected, "start.sh": start_script(parcel()).encode()}


def _mounted(config_map: Mapping[str, Any], items: list[dict[str, str]], folder: Path) -> dict[str, bytes]:
    """Write files as kubelet does, and return them by path."""
    import base64

    binary = {key: base64.b64decode(text) for key, text in config_map.get("binaryData", {}).items()}
    data = {key: text.encode() for key, text in config_map["data"].items()} | binary
    for item in items:
        path = folder / item["path"]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data[item["key"]])
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_start_script_starts_the_run(tmp_path: Path) -> None:
    """A real shell carries it out: in a copy of the files that may be written to, with results in a folder apart."""
    objects = made(
        ONCE, results="s3://bucket/a b", command=("evaljobs", "run", "we ird & 'name'.txt", "--out", "s3://bucket/a b")
    )
    (volume,) = [v for v in templates(rayjob_of(objects))[0]["spec"]["volumes"] if "configMap" in v]
    _mounted(objects[0], volume["configMap"]["items"], tmp_path / "mounted")
    script = (tmp_path / "mounted" / "start.sh").read_text().replace("/etc/raycluster/run", str(tmp_path / "mounted"))
    bin_ = tmp_path / "bin"
    bin_.mkdir()
    (bin_ / "python").write_text('#!/bin/sh\nfor word in "$@"; do echo "[$word]"; done; ls; echo x > new\n')
    (bin_ / "python").chmod(0o755)
    environment = {"PATH": f"{bin_}:/usr/bin:/bin", "RAY_CLUSTER_NAME": "faces-x7k2p", "TMPDIR": str(tmp_path)}
    done = subprocess.run(["sh", "-c", script], env=environment, capture_output=True, text=True, check=True)
    version, run = done.stdout.split("[--version]")
    assert version == "[-m]\n[evaljobs]\n"
    words = run.split("[-m]")[1].split()
    assert words[:2] == ["[evaljobs]", "[run]"]
    assert "[s3://bucket/a b/faces-x7k2p]" in run
    assert "[we ird & 'name'.txt]\n" in run
    assert "benchmark.yaml" in run
    assert list((tmp_path / "mounted" / "files").rglob("new")) == []


def test_entry_point_survives_a_shell() -> None:
    """KubeRay pastes it into a script of another pod: it must be plain words, or parts of it would run there."""
    entrypoint = rayjob_of(made(ONCE))["spec"]["entrypoint"]
    assert entrypoint == "sh /etc/raycluster/run/start.sh"


def test_kueue_is_asked_only_where_it_is_named() -> None:
    """With a queue a run waits, suspended, for its quota; without one it starts, and knows nothing of Kueue."""
    queued = rayjob_of(made(WHOLE))
    assert queued["spec"]["suspend"] is True
    assert queued["spec"]["shutdownAfterJobFinishes"] is True
    kueue = {key: value for key, value in queued["metadata"]["labels"].items() if "kueue" in key}
    assert kueue == {"kueue.x-k8s.io/queue-name": "gpus", "kueue.x-k8s.io/priority-class": "low"}
    (group,) = queued["spec"]["rayClusterSpec"]["workerGroupSpecs"]
    assert (group["replicas"], group["minReplicas"], group["maxReplicas"]) == (2, 2, 2)
    assert "enableInTreeAutoscaling" not in queued["spec"]["rayClusterSpec"]
    alone = rayjob_of(made(ONCE))
    assert "suspend" not in alone["spec"]
    assert not any("kueue" in key for key in alone["metadata"]["labels"])


def test_secrets_are_named_and_not_held(monkeypatch: pytest.MonkeyPatch) -> None:
    """A manifest is committed and pasted: it names the Secret, and holds nothing of this user's environment."""
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI")
    monkeypatch.setenv("RAY_AUTH_TOKEN", "s3cret-value")
    text = to_yaml(manifest(parcel(), WHOLE))
    assert "wJalr" not in text
    assert "s3cret" not in text
    for template in templates(rayjob_of(made(WHOLE))):
        (container,) = template["spec"]["containers"]
        assert container["envFrom"] == [{"secretRef": {"name": "bucket"}}]
        assert template["spec"]["serviceAccountName"] == "runs"
        assert template["spec"]["automountServiceAccountToken"] is False
    assert rayjob_of(made(WHOLE))["spec"]["rayClusterSpec"]["authOptions"] == {"mode": "token"}


def test_gpus_are_shared_evenly() -> None:
    """Each worker has its share, and is let onto machines that are kept for GPUs; the head has none and no work."""
    head, worker = templates(rayjob_of(made(WHOLE)))
    assert worker["spec"]["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] == "2"
    assert worker["spec"]["tolerations"][0]["key"] == "nvidia.com/gpu"
    assert "nvidia.com/gpu" not in head["spec"]["containers"][0]["resources"]["limits"]
    start = rayjob_of(made(WHOLE))["spec"]["rayClusterSpec"]["headGroupSpec"]["rayStartParams"]
    assert (start["num-cpus"], start["num-gpus"]) == ("0", "0")


def test_the_cronjob_may_do_no_more_than_it_must() -> None:
    """It may look at RayJobs of its namespace and create them; its parts name each other."""
    objects = {(one["kind"], one["metadata"]["name"]): one for one in made(WHOLE)}
    account = objects["ServiceAccount", "faces-nightly-submitter"]["metadata"]
    role = objects["Role", "faces-nightly-submitter"]
    assert role["rules"] == [{"apiGroups": ["ray.io"], "resources": ["rayjobs"], "verbs": ["get", "list", "create"]}]
    binding = objects["RoleBinding", "faces-nightly-submitter"]
    assert binding["roleRef"]["name"] == role["metadata"]["name"]
    assert binding["subjects"] == [{"kind": "ServiceAccount", "name": account["name"], "namespace": "teams"}]
    cronjob = objects["CronJob", "faces-nightly"]["spec"]
    assert (cronjob["schedule"], cronjob["timeZone"]) == ("0 3 * * *", "Asia/Tokyo")
    pod = cronjob["jobTemplate"]["spec"]["template"]["spec"]
    assert pod["serviceAccountName"] == account["name"]
    assert ("ConfigMap", pod["volumes"][0]["configMap"]["name"]) in objects
    files = templates(rayjob_of(made(WHOLE)))[0]["spec"]["volumes"][1]["configMap"]["name"]
    assert ("ConfigMap", files) in objects
    assert pod["containers"][0]["command"][-1] == "--no-overlap"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"image": ""}, "image is ''"),
        ({"image": "x y"}, "image is 'x y'"),
        ({"image": "x\n- y"}, "image is"),
        ({"namespace": "Teams"}, "namespace is 'Teams'"),
        ({"secret": "a/b"}, "secret is 'a/b'"),
        ({"queue": "x" * 64}, "queue is"),
        ({"name": "-x"}, "name is '-x'"),
        ({"priority_class": "low"}, "Kueue's"),
        ({"workers": Workers(count=2, gpus=3)}, "cannot be shared evenly"),
        ({"workers": Workers(memory="16 GB")}, "memory is '16 GB'"),
        ({"workers": Workers(cpus="")}, "cpus is ''"),
        ({"schedule": Schedule("0 3 * *")}, "expected five"),
        ({"schedule": Schedule("61 3 * * *")}, "cannot be read"),
        ({"schedule": Schedule("0 3 L * *")}, "Kubernetes does not know 'l'"),
        ({"schedule": Schedule("0 3 * * MON#1")}, "Kubernetes does not know '#'"),
        *(
            ({"schedule": Schedule(f"0 3 * * {days}")}, "write 0 for Sunday")
            for days in ("7", "5-7", "1,7", "07", "0-7/2")
        ),
        ({"schedule": Schedule("0 3 * * *", "Mars/Base")}, "timezone 'Mars/Base'"),
    ],
)
def test_what_would_never_start_is_refused(changes: dict[str, Any], said: str) -> None:
    """Before it is written, with what is expected in its place."""
    with pytest.raises(ClusterError, match=said):
        check_asked(dataclasses.replace(ONCE, **changes))


@pytest.mark.parametrize("cron", ["0 7 7 7 0", "7 3 * * 0-6", "0 3 * * */7", "0 3 * * SUN", "17 3 * * 1-5"])
def test_sevens_elsewhere_are_taken(cron: str) -> None:
    """Only as a day of the week is a 7 refused."""
    check_asked(dataclasses.replace(ONCE, schedule=Schedule(cron)))


def test_files_that_are_too_large_are_refused() -> None:
    """Kubernetes would refuse them later, in words of its own."""
    with pytest.raises(ClusterError, match="on S3"):
        manifest(parcel(files={"x": b"\xff" * 800_000}), ONCE)


@given(st.text(max_size=80), st.sampled_from([ONCE, WHOLE]))
def test_any_name_becomes_one_that_kubernetes_takes(name: str, asked: Asked) -> None:
    """Runs are named by people; what is created has a DNS label that leaves room for what is appended."""
    import re

    found = resource_name(asked, name, "ab" * 32)
    assert re.fullmatch(r"[a-z]([-a-z0-9]*[a-z0-9])?", found)
    assert len(found) <= (RAYJOB_NAME if asked.schedule is None else CRONJOB_NAME)


def test_results_lie_apart_for_each_attempt() -> None:
    """An attempt that was killed holds its claim for minutes: the next one has a folder of its own."""
    assert f'--out {RESULTS}/"$RAY_CLUSTER_NAME"' in start_script(parcel())
