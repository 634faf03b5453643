"""Files of clusters: the project's own is right, and what Ray lets pass is found before anything is started."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from ray.autoscaler._private.util import prepare_config, validate_config

from raycluster.cluster.checking import check_cluster_file
from raycluster.errors import ClusterError

ROOT = Path(__file__).parents[3]
PROJECT = ROOT / "cluster.yaml"

Change = Callable[[dict[str, Any]], object]


@pytest.fixture(scope="module")
def project() -> dict[str, Any]:
    """Return the project's file, as a mapping to be changed."""
    found = yaml.safe_load(PROJECT.read_text(encoding="utf-8"))
    assert isinstance(found, dict)
    return found


def refused(folder: Path, config: object) -> str:
    """Return what is said of a file that is wrong; its local files are there."""
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        (folder / name).touch()
    for name in ("evaljobs", "raycluster"):
        (folder / name).mkdir(exist_ok=True)
    path = folder / "cluster.yaml"
    path.write_text(config if isinstance(config, str) else yaml.safe_dump(config), encoding="utf-8")
    with pytest.raises(ClusterError) as caught:
        check_cluster_file(path)
    return str(caught.value)


def test_the_projects_file_is_right(project: dict[str, Any]) -> None:
    """Ray takes it, and so do we, without a remark."""
    validate_config(prepare_config(copy.deepcopy(project)))
    checked = check_cluster_file(PROJECT)
    assert checked.name == "evaljobs"
    assert checked.remarks == ()
    assert checked.token == Path.home() / ".ray" / "auth_token"


def test_the_projects_file_costs_nothing_while_idle(project: dict[str, Any]) -> None:
    """From zero, spot and at the full price, and a head that does no work and is opened to nobody."""
    types = project["available_node_types"]
    workers = {name: one for name, one in types.items() if name != project["head_node_type"]}
    assert {one["min_workers"] for one in workers.values()} == {0}
    spot = {name for name, one in workers.items() if "InstanceMarketOptions" in one["node_config"]}
    assert spot == {"gpu_spot", "cpu_spot"}
    assert workers.keys() - spot == {"gpu_on_demand"}
    assert workers["gpu_spot"]["priority"] > workers["gpu_on_demand"]["priority"]
    assert types["head"]["resources"] == {"CPU": 0, "GPU": 0}
    profiles = {one["node_config"]["IamInstanceProfile"]["Name"] for one in workers.values()}
    assert profiles == {"evaljobs-worker"}
    start = "\n".join(project["head_start_ray_commands"])
    assert "--dashboard-host=127.0.0.1" in start
    assert "RAY_AUTH_MODE=token" in start


def test_the_projects_file_copies_what_a_wheel_holds(project: dict[str, Any]) -> None:
    """What is installed on the machines can be built from what is copied there."""
    import tomllib

    built = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    needed = {*built["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"], "pyproject.toml"}
    needed |= {built["project"]["readme"], *built["project"]["license-files"]}
    copied = {Path(local).name for remote, local in project["file_mounts"].items() if "evaljobs-source" in remote}
    assert copied == needed
    installed = " ".join(project["setup_commands"])
    assert "$HOME/evaljobs-source[cuda,aws]" in installed
    assert {"cuda", "aws"} <= built["project"]["optional-dependencies"].keys()


def test_the_projects_file_installs_all_in_one_call(project: dict[str, Any]) -> None:
    """A second call of pip knows nothing of what the first had to fit, and would break the access to S3."""
    completed = prepare_config(copy.deepcopy(project))
    for key in ("head_setup_commands", "worker_setup_commands"):
        calls = [command for command in completed[key] if "pip install" in command]
        assert len(calls) == 1
    assert "boto3" not in str(completed["head_setup_commands"])


def test_the_projects_file_asks_for_packages_of_today(project: dict[str, Any]) -> None:
    """The lists of an image are older than what the servers still have."""
    commands = project["setup_commands"]
    (first, *_) = [number for number, command in enumerate(commands) if " install " in command]
    assert any("apt-get update" in command for command in commands[:first])


def _type(config: dict[str, Any], name: str) -> dict[str, Any]:
    found = config["available_node_types"][name]
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda c: c["provider"].update(cache_stoped_nodes=False), "did you mean cache_stopped_nodes?"),
        (lambda c: c["provider"].update(region="us-wets"), "provider.region is 'us-wets'"),
        (lambda c: c["provider"].pop("region"), "provider.region is ''"),
        (lambda c: c["provider"].update(availability_zone="eu-west-1a"), "no zone of us-west-2"),
        (lambda c: _type(c, "head")["node_config"].update(ImageID="ami-1"), "did you mean ImageId?"),
        (
            lambda c: _type(c, "head")["node_config"]["BlockDeviceMappings"][0]["Ebs"].update(VolumeSze=1),
            "BlockDeviceMappings[0].Ebs.VolumeSze; did you mean VolumeSize?",
        ),
        (lambda c: _type(c, "gpu_spot")["node_config"].update(InstanceMarketOptions="spot"), "InstanceMarketOptions"),
        (lambda c: _type(c, "gpu_spot")["node_config"].pop("InstanceType"), "gpu_spot.node_config has no InstanceType"),
        (lambda c: _type(c, "gpu_spot").pop("max_workers"), "gpu_spot has no max_workers"),
        (lambda c: c.pop("head_start_ray_commands"), "binds the dashboard to 0.0.0.0"),
        (lambda c: c.pop("worker_start_ray_commands"), "worker_start_ray_commands starts Ray without a token"),
        (lambda c: c["file_mounts"].pop("~/.ray/auth_token"), "no machine gets the token"),
        (lambda c: c.pop("setup_commands"), "nightly build"),
        (lambda c: c["setup_commands"].append("export AWS_SECRET_ACCESS_KEY=abc"), "value of AWS_SECRET_ACCESS_KEY"),
        (lambda c: c["setup_commands"].append("export RAY_AUTH_TOKEN=abc"), "value of RAY_AUTH_TOKEN"),
        (lambda c: c["setup_commands"].append("x AKIAIOSFODNN7EXAMPLE"), "access key id"),
        (lambda c: c["provider"].update(aws_credentials={"a": "b"}), "provider.aws_credentials holds keys"),
        (lambda c: c.update(head_start_ray_commands=["RAY_AUTH_MODE=token ray start --head"]), "--autoscaling-config"),
        (lambda c: c["file_mounts"].update({"~/x": "missing"}), "copies missing"),
        (lambda c: c["auth"].update(ssh_private_key="missing.pem"), "ssh_private_key names missing.pem"),
        (
            lambda c: c["provider"].update(
                security_group={
                    "IpPermissions": [{"FromPort": 8265, "ToPort": 8265, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}]
                }
            ),
            "opens ports 8265 to 8265 to the whole internet",
        ),
        (lambda c: c.update(max_worker=3), "Ray refuses it"),
        (lambda c: _type(c, "gpu_spot").update(max_workers="many"), "at available_node_types.gpu_spot.max_workers"),
        (lambda c: c.update(head_node_type="nobody"), "Ray refuses it"),
        (lambda c: c["provider"].update(type="awz"), "Ray refuses it"),
    ],
)
def test_what_ray_lets_pass_is_found(project: dict[str, Any], tmp_path: Path, change: Change, said: str) -> None:
    """A slip of the pen is said before a machine is paid for; nothing is asked of the cloud for that."""
    changed = copy.deepcopy(project)
    change(changed)
    text = refused(tmp_path, changed)
    assert said in text
    assert "nothing was started" in text


def test_all_is_said_at_once(tmp_path: Path) -> None:
    """Nobody mends a file ten times over."""
    bare = {
        "cluster_name": "x",
        "provider": {"type": "aws", "region": "us-west-2"},
        "available_node_types": {
            "head": {"resources": {}, "node_config": {"InstanceType": "m5.large"}},
            "w": {"resources": {}, "node_config": {"InstanceType": "g6.xlarge"}},
        },
        "head_node_type": "head",
    }
    lines = [line for line in refused(tmp_path, bare).splitlines() if line.startswith("  - ")]
    assert len(lines) == 6
    assert len(set(lines)) == 6


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no cluster's file"),
        ("- a", "no cluster's file"),
        ("a: [", "cannot be read"),
        ("cluster_name: x\nprovider: text", "no cluster's file"),
        ("cluster_name: x", "has no provider"),
        ("cluster_name: x\ncluster_name: y\nprovider: {type: aws}", "'cluster_name' stands twice"),
        ("cluster_name: x\nprovider: {type: aws}\nprovider: !!python/object/apply:os.system [id]", "cannot be read"),
    ],
)
def test_what_is_no_file_of_a_cluster(tmp_path: Path, text: str, said: str) -> None:
    """It is named, without a traceback."""
    assert said in refused(tmp_path, text)


def test_missing_file_is_said(tmp_path: Path) -> None:
    """With the other way to have a cluster."""
    with pytest.raises(ClusterError, match="--local"):
        check_cluster_file(tmp_path / "cluster.yaml")


def test_remarks_do_not_keep_a_cluster_from_being_started(project: dict[str, Any], tmp_path: Path) -> None:
    """What may be meant is said, and done."""
    changed = copy.deepcopy(project)
    _type(changed, "head")["resources"] = {}
    _type(changed, "gpu_spot")["min_workers"] = 1
    _type(changed, "cpu_spot")["node_config"]["InstanceType"] = "c7i.4xlage"
    _type(changed, "cpu_spot")["node_config"].pop("ImageId")
    changed["setup_commands"] = ["pip install ray[default]"]
    del changed["head_setup_commands"]
    changed["file_mounts"] = {"~/.ray/auth_token": "~/.ray/auth_token"}
    path = tmp_path / "cluster.yaml"
    path.write_text(yaml.safe_dump(changed), encoding="utf-8")
    remarks = check_cluster_file(path).remarks
    told = [
        "work runs on the head",
        "running all the time",
        "fixed version of Ray",
        "mean c7i.4xlarge?",
        "Ubuntu 18.04",
        "installs boto3 by itself",
    ]
    assert [any(words in remark for remark in remarks) for words in told] == [True] * len(told)
    assert len(remarks) == len(told)


def test_versions_in_the_projects_file_are_those_of_the_project() -> None:
    """One version of Ray on all machines, which the project is made for, and the release that this is."""
    import re
    import tomllib

    from packaging.requirements import Requirement

    import evaljobs

    text = PROJECT.read_text(encoding="utf-8")
    (pinned,) = set(re.findall(r"ray\[default\]==([\d.]+)", text))
    wanted = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["dependencies"]
    (ray,) = [found for found in map(Requirement, wanted) if found.name == "ray"]
    assert pinned in ray.specifier
    assert set(re.findall(r"evaljobs\[cuda,aws\]==([\d.]+)", text)) == {evaljobs.__version__}
