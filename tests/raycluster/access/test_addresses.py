"""Addresses: a token travels over plain HTTP within this machine alone, unless the user says otherwise."""

from __future__ import annotations

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raycluster.access.addresses import Reach, parse_address
from raycluster.errors import ClusterError

# Of the blocks that are reserved for documentation: nobody has them.
FOREIGN = ["192.0.2.77", "203.0.113.9", "2001:db8::1"]


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("http://127.0.0.1:8265", "http://127.0.0.1:8265"),
        ("http://127.0.0.1:8265/", "http://127.0.0.1:8265"),
        ("http://localhost:8265", "http://localhost:8265"),
        ("http://[::1]:8265", "http://[::1]:8265"),
        ("http://[::ffff:127.0.0.1]:1", "http://[::ffff:127.0.0.1]:1"),
        ("http://127.0.0.1", "http://127.0.0.1:80"),
        # What connects to loopback is loopback, however it is written.
        ("http://2130706433:8265", "http://2130706433:8265"),
    ],
)
def test_plain_http_to_this_machine(text: str, url: str) -> None:
    """What never leaves the machine needs no encryption."""
    found = parse_address(text)
    assert (found.url, found.encrypted, found.reach) == (url, False, Reach.OWN)


def test_own_addresses_are_this_machine() -> None:
    """A machine's own address in a network is as near as loopback."""
    own = [e.address for entries in psutil.net_if_addrs().values() for e in entries if "." in e.address]
    assert own
    assert {parse_address(f"http://{address}:8265").reach for address in own} == {Reach.OWN}


@pytest.mark.parametrize("host", FOREIGN)
@pytest.mark.parametrize("port", [8265, 80])
def test_plain_http_to_others_is_refused(host: str, port: int) -> None:
    """Whoever listens on the way would have the cluster; the tunnel to use instead is said."""
    shown = f"[{host}]" if ":" in host else host
    with pytest.raises(ClusterError) as caught:
        parse_address(f"http://{shown}:{port}")
    assert f"ssh -N -L 8265:127.0.0.1:{port} USER@{host}" in str(caught.value)
    assert "--insecure-http" in str(caught.value)
    found = parse_address(f"http://{shown}:{port}", insecure=True)
    assert (found.host, found.port, found.encrypted) == (host, port, False)
    assert found.reach is not Reach.OWN


@pytest.mark.parametrize("host", ["10.255.255.254", "192.168.254.254", "172.31.255.254", "169.254.9.9"])
def test_private_networks_have_listeners_too(host: str) -> None:
    """A private network is no encryption: it needs the word too, and is called what it is."""
    with pytest.raises(ClusterError, match="private network"):
        parse_address(f"http://{host}:8265")
    assert parse_address(f"http://{host}:8265", insecure=True).reach is Reach.PRIVATE


def test_https_goes_anywhere() -> None:
    """An encrypted connection proves whom it reaches; a host that only a proxy can find is no error."""
    assert parse_address("https://203.0.113.9").url == "https://203.0.113.9:443"
    assert parse_address("https://ray.example.invalid/team/").url == "https://ray.example.invalid:443/team"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("ray://127.0.0.1:10001", "client server"),
        ("127.0.0.1:6379", "for machines of the cluster"),
        ("auto", "for machines of the cluster"),
        ("127.0.0.1:8265", "it has no scheme"),
        ("ftp://127.0.0.1:8265", "no address of a job server"),
        ("http://", "no address of a job server"),
        ("http://:8265", "no address of a job server"),
        ("http://127.0.0.1:0", "no address of a job server"),
        ("http://127.0.0.1:99999", "no address of a job server"),
        ("http://[::1", "no address of a job server"),
        ("http://nowhere.invalid:8265", "cannot be found"),
        ("http://127.0.0.1:8265?token=x", "would end in logs"),
        ("http://127.0.0.1:8265#x", "would end in logs"),
        ("http://127.0.0.1:8265/\r\nHost: evil", "character|no address"),
        ("", "no address of a job server"),
    ],
)
def test_what_is_no_address(text: str, said: str) -> None:
    """Each is refused with what is expected in its place."""
    with pytest.raises(ClusterError, match=said):
        parse_address(text)


@pytest.mark.parametrize(
    "text",
    [
        "http://me:hunter2@127.0.0.1:8265",
        "me:hunter2@127.0.0.1",
        "x://me:hunter2@h",
        "http://me:hunter2/x@127.0.0.1",
        "http://?token=hunter2",
        "http://#hunter2",
        "127.0.0.1:8265?token=hunter2",
        "http://127.0.0.1:8265/?token=hunter2",
    ],
)
def test_passwords_in_addresses_are_not_repeated(text: str) -> None:
    """A refusal is printed and logged: what is secret in an address is not in it."""
    with pytest.raises(ClusterError) as caught:
        parse_address(text)
    assert "hunter2" not in str(caught.value)


@given(st.text(max_size=40))
def test_any_text_is_an_address_or_refused(text: str) -> None:
    """Whatever is written on the command line, there is no traceback; what passes is http to here, or https."""
    try:
        found = parse_address(text if "://" in text else f"http://{text}")
    except ClusterError:
        return
    assert found.encrypted or found.reach is Reach.OWN
