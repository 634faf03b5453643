"""What the address of a job server means, and whether a token may travel there.

A token is worth as much as a shell on the cluster. Over plain HTTP everybody on the way can read it, so plain HTTP is
for this machine alone, unless the user says otherwise.
"""

from __future__ import annotations

import dataclasses
import enum
import ipaddress
import re
import socket
import urllib.parse

import psutil

from raycluster.errors import ClusterError

DASHBOARD_PORT = 8265
_CLIENT_PORT, _GCS_PORT = 10001, 6379
_EXPECTED = f"expected http://127.0.0.1:{DASHBOARD_PORT}, or https://host"
_PORTS = {"http": 80, "https": 443}


class Reach(enum.StrEnum):
    """Where a host is, as far as its addresses tell."""

    OWN = "own"
    PRIVATE = "private"
    FOREIGN = "foreign"


@dataclasses.dataclass(frozen=True)
class Address:
    """An address that may be used. `url` has neither a path's last slash nor a user, a query or a fragment."""

    url: str
    host: str
    port: int
    encrypted: bool
    reach: Reach


def parse_address(text: str, *, insecure: bool = False) -> Address:
    """Return what an address means.

    Parameters
    ----------
    text
        ``http(s)://host[:port][/path]``.
    insecure
        Whether the user has said that a token may travel over plain HTTP to another machine.

    Raises
    ------
    ClusterError
        If it is none, cannot be found, or would send a token where others can read it.
    """
    parts = _split(text)
    host = parts.hostname or ""
    encrypted = parts.scheme == "https"
    reach = _reach(host, needed=not encrypted)
    port = parts.port or _PORTS[parts.scheme]
    if not encrypted and reach is not Reach.OWN and not insecure:
        raise ClusterError(_refusal(host, port, reach))
    shown = f"[{host}]" if ":" in host else host
    return Address(f"{parts.scheme}://{shown}:{port}{parts.path.rstrip('/')}", host, port, encrypted, reach)


def _split(text: str) -> urllib.parse.SplitResult:
    if "://" not in text or text.startswith("ray://"):
        raise ClusterError(f"{_without_secrets(text)!r} is no address of a job server: {_hint(text)}")
    try:
        parts = urllib.parse.urlsplit(text)
        port = parts.port
    except ValueError:  # its text may quote a password
        raise ClusterError(f"{_without_secrets(text)!r} is no address of a job server; {_EXPECTED}") from None
    if parts.scheme not in _PORTS or not parts.hostname or port == 0:
        raise ClusterError(f"{_without_secrets(text)!r} is no address of a job server; {_EXPECTED}")
    if parts.username is not None or parts.password is not None or parts.query or parts.fragment:
        raise ClusterError(
            f"the address of {parts.hostname} holds a user, a password or a query, which would end in logs; found more "
            "than scheme, host, port and path. The token comes from a file or the environment, never from the address"
        )
    if any(ord(letter) <= 32 or ord(letter) >= 127 for letter in text):
        raise ClusterError(f"{_without_secrets(text)!r} holds a character that no address has; {_EXPECTED}")
    return parts


def _without_secrets(text: str) -> str:
    """Drop what might be a password or a token, for messages."""
    head, at, tail = text.rpartition("@")
    return re.split(r"[?#]", tail if at and head else text, maxsplit=1)[0]


def _hint(text: str) -> str:
    if text.startswith("ray://"):
        return f"it is that of a Ray client server (port {_CLIENT_PORT}); {_EXPECTED}"
    if text.endswith(f":{_GCS_PORT}") or text == "auto":
        return f"Ray's own address (port {_GCS_PORT}) is for machines of the cluster; {_EXPECTED}"
    return f"it has no scheme; {_EXPECTED}"


def _reach(host: str, *, needed: bool) -> Reach:
    try:
        found = {str(entry[4][0]) for entry in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)}
    except (OSError, UnicodeError) as error:
        if not needed:  # encrypted: whoever answers must prove that he is this host
            return Reach.FOREIGN
        raise ClusterError(f"the host {host!r} cannot be found: {error}; check the address") from None
    return max((_reach_of(address) for address in found), key=list(Reach).index)


def _reach_of(address: str) -> Reach:
    ip = ipaddress.ip_address(address)
    ip = getattr(ip, "ipv4_mapped", None) or ip
    if ip.is_loopback or ip.is_unspecified or str(ip) in _own_addresses():
        return Reach.OWN
    return Reach.PRIVATE if ip.is_private or ip.is_link_local else Reach.FOREIGN


def _own_addresses() -> set[str]:
    """Of this machine's interfaces: what is sent there never leaves it."""
    return {entry.address for entries in psutil.net_if_addrs().values() for entry in entries}


def _refusal(host: str, port: int, reach: Reach) -> str:
    where = "in a private network, but not this machine" if reach is Reach.PRIVATE else "not this machine"
    return (
        f"{host} is {where}, and over plain HTTP everybody on the way can read the token and what is sent; nothing was "
        f"sent. Use a tunnel:\n  ssh -N -L {DASHBOARD_PORT}:127.0.0.1:{port} USER@{host}\nand then --address "
        f"http://127.0.0.1:{DASHBOARD_PORT}; or https://; or say that it is all right with --insecure-http"
    )
