"""Whether a cluster's file is right, before anything is started: Ray's own checks, and what they let pass."""

from __future__ import annotations

import collections
import contextlib
import copy
import dataclasses
import io
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from raycluster.cluster import aws_rules, rules
from raycluster.cluster.rules import Written
from raycluster.errors import ClusterError

Rule = Callable[[Written], Iterator[str]]

# Of both kinds, in the order of their messages. A problem keeps a cluster from being started, a remark does not.
PROBLEMS: tuple[Rule, ...] = (
    aws_rules.unknown_provider_keys,
    aws_rules.places,
    aws_rules.wrong_machines,
    aws_rules.open_to_the_world,
    rules.types_without_limit,
    rules.open_dashboard,
    rules.no_token,
    rules.secrets_written_out,
    rules.nightly_wheels,
    rules.nothing_would_start,
    rules.missing_files,
)
REMARKS: tuple[Rule, ...] = (
    rules.work_on_the_head,
    rules.workers_that_always_run,
    rules.versions_left_open,
    rules.boto3_by_itself,
    aws_rules.unheard_of,
)


@dataclasses.dataclass(frozen=True)
class Checked:
    """A cluster's file that may be started.

    Attributes
    ----------
    path
        Of the file; what it names stands beside it.
    name
        Of the cluster.
    remarks
        What people should know.
    token
        The local file that the machines get as their token; None where it reaches them in another way.
    """

    path: Path
    name: str
    remarks: tuple[str, ...]
    token: Path | None = None


def check_cluster_file(path: Path) -> Checked:
    """Check a cluster's file; nothing is asked of the cloud.

    Raises
    ------
    ClusterError
        If it cannot be read, or with everything that must be changed.
    """
    written = read_cluster_file(path)
    problems = [text for rule in PROBLEMS for text in rule(written)]
    if problems:
        raise ClusterError(_listed(path, problems))
    remarks = tuple(text for rule in REMARKS for text in rule(written))
    return Checked(path, str(written.config["cluster_name"]), remarks, rules.copied_token(written))


def read_cluster_file(path: Path) -> Written:
    """Return a cluster's file as it is written, and as Ray completes it.

    Raises
    ------
    ClusterError
        If it cannot be read, or Ray's own checks refuse it.
    """
    config = _parsed(path)
    for key in ("cluster_name", "provider"):
        if key not in config:
            raise ClusterError(f"{path} has no {key}; expected the file of a Ray cluster, such as this project's")
    return Written(path.resolve().parent, config, _completed(path, config))


def _parsed(path: Path) -> dict[str, Any]:
    try:
        config = yaml.load(path.read_text(encoding="utf-8"), Loader=_Strict)  # noqa: S506 - a safe loader
    except FileNotFoundError:
        raise ClusterError(
            f"there is no file {path}; name the cluster's file, or start a head on this machine with --local"
        ) from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ClusterError(f"{path} cannot be read: {' '.join(str(error).split())}") from None
    if not isinstance(config, dict) or not isinstance(config.get("provider", {}), dict):
        raise ClusterError(f"{path} is no cluster's file: expected a mapping with the keys cluster_name, provider, ...")
    return config


class _Strict(yaml.SafeLoader):
    """A key that stands twice is an error: of two types of one name, the first would be gone without a word."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        names = [key.value for key, _ in node.value if key.tag != "tag:yaml.org,2002:merge"]
        several = [name for name, times in collections.Counter(map(str, names)).items() if times > 1]
        if several:
            raise yaml.MarkedYAMLError(problem=f"the key {several[0]!r} stands twice", problem_mark=node.start_mark)
        return super().construct_mapping(node, deep=deep)


def _completed(path: Path, config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the file with Ray's defaults, checked by Ray."""
    from ray.autoscaler._private.util import prepare_config, validate_config

    said = io.StringIO()  # notices about containers, of which there are none; `ray up` prints them too
    try:
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            completed: dict[str, Any] = prepare_config(copy.deepcopy(dict(config)))
            validate_config(completed)
    except Exception as error:  # Ray raises of every kind: jsonschema's, ValueError, NotImplementedError, ...
        at = ".".join(str(part) for part in getattr(error, "absolute_path", ()))
        reason = getattr(error, "message", None) or str(error) or type(error).__name__
        raise ClusterError(
            f"{path}: Ray refuses it{f' at {at}' if at else ''}: {' '.join(str(reason).split())[:300]}; nothing was "
            "started"
        ) from None
    return completed


def _listed(path: Path, problems: list[str]) -> str:
    lines = "\n".join(f"  - {text}" for text in problems)
    return f"{path} must be changed before it is started; nothing was started:\n{lines}"
