"""A head that listens on loopback alone, as `raycluster up --local` starts one.

Ray takes this machine's outward address in place of a loopback one, and would wait for minutes at a door that is shut.
"""

from __future__ import annotations

import ipaddress
import os
import socket
import sys

from raycluster.access.tokens import MODE, find_token
from raycluster.errors import ClusterError

# Ray's own setting for laptops, where it stays on loopback; read when Ray is imported.
_CLUSTERS = "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"
# Where Ray looks to find out by which address this machine is seen; no packet is sent.
_OUTSIDE = ("8.8.8.8", 53)
_KNOCK_S = 2.0


def stay(host: str, port: int) -> None:
    """Have Ray take a loopback address as it is, where the head that answers there answers nowhere else.

    It is shown the user's token, as over HTTP: what goes there leaves this machine by no wire.

    Raises
    ------
    ClusterError
        If Ray was imported by somebody else, and has read its settings by then; if the token cannot be used.
    """
    if _CLUSTERS in os.environ or not _is_loopback(host) or _answers(_outward(), port):
        return
    if "ray" in sys.modules:
        raise ClusterError(
            f"the head at {host}:{port} listens on loopback alone, and ray was imported earlier in this process: set "
            f"{_CLUSTERS}=0 in the environment before that, or enter connect() first"
        )
    os.environ[_CLUSTERS] = "0"
    if MODE not in os.environ and find_token() is not None:
        os.environ[MODE] = "token"


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _outward() -> str | None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(_OUTSIDE)
        except OSError:
            return None  # no network: Ray stays on loopback by itself
        return str(probe.getsockname()[0])


def _answers(host: str | None, port: int) -> bool:
    if host is None:
        return True
    try:
        socket.create_connection((host, port), timeout=_KNOCK_S).close()
    except OSError:
        return False
    return True
