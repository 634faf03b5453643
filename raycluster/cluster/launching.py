"""Start and end a cluster that a file describes: by Ray's own `ray up` and `ray down`, after our checks."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

from raycluster.access.tokens import Token, ensure_token, token_in
from raycluster.cluster.checking import Checked, check_cluster_file
from raycluster.errors import ClusterError

# Said, so that neither the shell's setting nor a notice of Ray's decides: its second autoscaler, and no usage reports.
_SETTINGS = {"RAY_UP_enable_autoscaler_v2": "1", "RAY_USAGE_STATS_ENABLED": "0"}
_NEEDED = ("ssh", "rsync")


def up(file: Path = Path("cluster.yaml"), *, yes: bool = False, restart: bool = True) -> Checked:
    """Check a cluster's file, and start what it describes; see `launch`.

    Raises
    ------
    ClusterError
        As `check_cluster_file` and `launch` do.
    """
    checked = check_cluster_file(file)
    launch(checked, yes=yes, restart=restart)
    return checked


def launch(checked: Checked, *, yes: bool = False, restart: bool = True) -> None:
    """Start a cluster, or bring one that runs to what its file says; Ray's output goes to the terminal.

    Parameters
    ----------
    yes
        Whether Ray asks before it starts or changes something.
    restart
        Whether Ray is started anew on a head that runs: jobs that run there end.

    Raises
    ------
    ClusterError
        If something that is needed is not here, or Ray fails.
    """
    _must_be_here(checked.path)
    _must_be_copied(ensure_token(), checked.token)
    code = _ray("up", checked.path, *(["--yes"] if yes else []), *([] if restart else ["--no-restart"]))
    if code != 0:
        raise ClusterError(
            f"`ray up` ended with exit code {code}; the reason stands above. Machines may run by now: `raycluster down "
            f"{checked.path}` ends them"
        )


def down(file: Path = Path("cluster.yaml"), *, yes: bool = False) -> None:
    """End every machine of a cluster; Ray's output goes to the terminal.

    Raises
    ------
    ClusterError
        If there is no such file, or Ray fails.
    """
    if not file.is_file():
        raise ClusterError(f"there is no file {file}; name the file that the cluster was started with")
    _must_be_here(file)
    code = _ray("down", file, *(["--yes"] if yes else []))
    if code != 0:
        raise ClusterError(f"`ray down` ended with exit code {code}; look in your cloud whether its machines still run")


def _must_be_copied(token: Token, path: Path | None) -> None:
    """Refuse to give the machines another token than the one that is shown to them afterwards."""
    if path is None:
        return
    try:
        copied = token_in(path).value
    except FileNotFoundError:
        copied = ""
    if copied != token.value:
        found = "another one" if copied else "no such file"
        raise ClusterError(
            f"the token in use here is that of {token.source}; file_mounts copies {path} to the machines, and there is "
            f"{found}. Name its file there, or unset RAY_AUTH_TOKEN and RAY_AUTH_TOKEN_PATH; nothing was started"
        )


def _must_be_here(path: Path) -> None:
    lacking = [name for name in _NEEDED if shutil.which(name) is None]
    if lacking:
        raise ClusterError(f"{' and '.join(lacking)} must be installed here: Ray sets up the head by them")
    if "type: aws" in path.read_text(encoding="utf-8") and importlib.util.find_spec("boto3") is None:
        raise ClusterError("AWS is reached by boto3, which is not installed: pip install 'evaljobs[aws]'")


def _ray(command: str, path: Path, *options: str) -> int:
    """Run one of Ray's own commands beside the file, whose relative paths begin there."""
    words = [sys.executable, "-m", "ray.scripts.scripts", command, path.name, *options]
    done = subprocess.run(words, cwd=path.resolve().parent, env={**os.environ, **_SETTINGS}, check=False)  # noqa: S603
    return done.returncode
