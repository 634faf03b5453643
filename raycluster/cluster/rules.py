"""What Ray's own checks of a cluster's file let pass, whatever the cloud. Pure, but for looking whether files exist."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

_LOOPBACK = {"127.0.0.1", "localhost", "::1"}
_IN_HOME = ".ray/auth_token"
_STARTS = ("head_start_ray_commands", "worker_start_ray_commands")
_SETUPS = ("initialization_commands", "setup_commands", "head_setup_commands", "worker_setup_commands")
_SECRET = re.compile(r"\b(AWS_SECRET_ACCESS_KEY|AWS_SESSION_TOKEN|RAY_AUTH_TOKEN|HF_TOKEN)=[\"']?[^\s\"'$]")
_KEY_ID = re.compile(r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b")


class Written(NamedTuple):
    """A cluster's file.

    Attributes
    ----------
    folder
        Where it stands: its relative paths begin there.
    config
        As it is written.
    completed
        With Ray's defaults.
    """

    folder: Path
    config: Mapping[str, Any]
    completed: Mapping[str, Any]

    def types(self) -> Mapping[str, Any]:
        """Return the types of machines as they are written, by name."""
        found = self.config.get("available_node_types") or {}
        return {name: one or {} for name, one in found.items()}

    def workers(self) -> Mapping[str, Any]:
        """Return the types of workers as they are written, by name."""
        head = self.completed.get("head_node_type")
        return {name: one for name, one in self.types().items() if name != head}

    def commands(self, *keys: str) -> list[str]:
        """Return the commands under some keys, those of single types included."""
        found = [self.completed.get(key) for key in keys]
        found += [one.get(key) for one in self.types().values() for key in keys]
        lists = [[commands] if isinstance(commands, str) else commands or [] for commands in found]
        return [str(command) for commands in lists for command in commands]

    def starts(self, key: str) -> str:
        """Return the commands under a key that start Ray, as one text."""
        return "\n".join(command for command in self.commands(key) if "ray start" in command)


def types_without_limit(written: Written) -> Iterator[str]:
    """Say which types of workers have no limit of their own: Ray then takes that of the whole cluster."""
    for name, one in written.workers().items():
        if "max_workers" not in one:
            yield f"available_node_types.{name} has no max_workers: it could fill the whole cluster"


def open_dashboard(written: Written) -> Iterator[str]:
    """Say where the dashboard, which runs whatever it is sent, listens on more than loopback."""
    own = "head_start_ray_commands" in written.config
    for host in re.findall(r"--dashboard-host[= ]+[\"']?([^\s\"']+)", written.starts("head_start_ray_commands")):
        if host not in _LOOPBACK:
            where = "head_start_ray_commands" if own else "Ray's default for the missing head_start_ray_commands"
            yield f"{where} binds the dashboard to {host}: write --dashboard-host=127.0.0.1 and use `ray dashboard`"


def no_token(written: Written) -> Iterator[str]:
    """Say where Ray would be started without asking for a token, or without having one."""
    docker = " ".join(str(option) for option in (written.completed.get("docker") or {}).get("run_options") or ())
    for key in _STARTS:
        text = written.starts(key)
        if text and "RAY_AUTH_MODE=token" not in f"{text} {docker}":
            yield f"{key} starts Ray without a token: write `export RAY_AUTH_MODE=token;` before `ray start`"
    mounts = written.completed.get("file_mounts") or {}
    text = " ".join([*map(str, mounts), *written.commands(*_STARTS, *_SETUPS)])
    if _IN_HOME not in text and "RAY_AUTH_TOKEN_PATH" not in text:
        yield f"no machine gets the token: write `~/{_IN_HOME}: ~/{_IN_HOME}` under file_mounts"


def secrets_written_out(written: Written) -> Iterator[str]:
    """Say where a secret stands in the file: it would end in process lists, logs and caches."""
    found = [_SECRET.search(command) for command in written.commands(*_STARTS, *_SETUPS)]
    for name in dict.fromkeys(match[1] for match in found if match):
        yield f"a command holds the value of {name}: use an instance role, or a file under file_mounts"
    if "aws_credentials" in written.config["provider"]:
        yield "provider.aws_credentials holds keys, which Ray copies into a cache: use a profile or a role"
    if _KEY_ID.search(str(written.config)):
        yield "it holds an AWS access key id: use a profile or a role"


def nightly_wheels(written: Written) -> Iterator[str]:
    """Say where a build of last night would be installed."""
    for key in _SETUPS:
        # Ray has put the common commands before those of head and workers: they are told of once.
        commands = written.config.get(key, written.completed.get(key) if key == "setup_commands" else ())
        if any("ray-wheels/" in str(command) or ".dev0" in str(command) for command in commands or ()):
            where = key if key in written.config else f"Ray's default for the missing {key}"
            yield f"{where} installs a nightly build of Ray, another one on every machine: install a release"


def nothing_would_start(written: Written) -> Iterator[str]:
    """Say where the head would be none, or would never start a worker."""
    text = written.starts("head_start_ray_commands")
    if "--head" not in text:
        yield "head_start_ray_commands holds no `ray start --head`"
    elif "--autoscaling-config" not in text:
        yield "head_start_ray_commands lacks --autoscaling-config=~/ray_bootstrap_config.yaml: no worker would start"


def missing_files(written: Written) -> Iterator[str]:
    """Say which local files are to be copied and do not exist; the token is made where there is none."""
    for remote, local in (written.completed.get("file_mounts") or {}).items():
        path = written.folder / Path(str(local)).expanduser()
        if not path.exists() and not str(remote).endswith(_IN_HOME):
            yield f"file_mounts copies {local}, and there is no such file or folder here"
    key = (written.config.get("auth") or {}).get("ssh_private_key")
    if key and not (written.folder / Path(str(key)).expanduser()).exists():
        yield f"auth.ssh_private_key names {key}, and there is no such file"


def copied_token(written: Written) -> Path | None:
    """Return the local file that every machine gets as its token; None where no such file is copied."""
    mounts = written.completed.get("file_mounts") or {}
    found = [local for remote, local in mounts.items() if str(remote).endswith(_IN_HOME)]
    return written.folder / Path(str(found[0])).expanduser() if found else None


def work_on_the_head(written: Written) -> Iterator[str]:
    """Say where work would run on the head."""
    name = written.completed.get("head_node_type")
    resources = (written.types().get(str(name)) or {}).get("resources") or {}
    if resources.get("CPU") != 0:
        yield f"work runs on the head too ({name}): write resources: {{CPU: 0}} to keep what holds the cluster apart"


def workers_that_always_run(written: Written) -> Iterator[str]:
    """Say which workers run, and cost, while there is nothing to do."""
    for name, one in written.workers().items():
        if one.get("min_workers", 0) > 0:
            yield f"available_node_types.{name} keeps {one['min_workers']} machine(s) running all the time"


def boto3_by_itself(written: Written) -> Iterator[str]:
    """Say where boto3 is installed apart from the rest: the botocore that it brings breaks what else needs another."""
    for command in dict.fromkeys(written.commands(*_SETUPS)):
        if (
            "pip" in command
            and "evaljobs" not in command.replace("evaljobs-python", "")
            and re.search(r"\binstall\b.*[\s'\"]boto3\b", command)
        ):
            yield (
                f"`{command}` installs boto3 by itself, whose botocore may break the access to S3: install "
                "'evaljobs[aws]' in one call with the rest, and write head_setup_commands: [] if this is Ray's default"
            )


def versions_left_open(written: Written) -> Iterator[str]:
    """Say where a worker of next month would get another Ray than the head has."""
    commands = [command for command in written.commands(*_SETUPS) if "pip" in command and "install" in command]
    if commands and not any(re.search(r"\bray(\[[\w,]+\])?==\d", command) for command in commands):
        yield "no command installs a fixed version of Ray (ray[default]==...): a later worker may get another"
