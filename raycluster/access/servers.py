"""A job server: its address and the token for it. The one door for whoever talks to a cluster from outside."""

from __future__ import annotations

import dataclasses
import os

from raycluster.access.addresses import Address, parse_address
from raycluster.access.remembered import local_head
from raycluster.access.tokens import Token, find_token
from raycluster.errors import ClusterError

# Ray's own, in its order.
_VARIABLES = ("RAY_API_SERVER_ADDRESS", "RAY_ADDRESS")


@dataclasses.dataclass(frozen=True)
class Server:
    """A job server. `token` is None where the user has none, or has switched tokens off."""

    address: Address
    token: Token | None

    @property
    def url(self) -> str:
        """Its address, without anything secret."""
        return self.address.url

    def headers(self) -> dict[str, str]:
        """Return what every request must carry; a new dict."""
        return self.token.headers() if self.token else {}


def find_server(address: str | None = None, *, insecure: bool = False) -> Server:
    """Return the job server that is meant, with the token for it; nothing is sent yet.

    Parameters
    ----------
    address
        As the user wrote it. None: RAY_API_SERVER_ADDRESS or RAY_ADDRESS of the environment where one is a URL, else
        the head that `raycluster up --local` has started.
    insecure
        Whether the user has said that the token may travel over plain HTTP to another machine.

    Raises
    ------
    ClusterError
        If there is none, or the address must not be used.
    """
    return Server(parse_address(address or _default(), insecure=insecure), find_token())


def _default() -> str:
    for name in _VARIABLES:
        value = os.environ.get(name, "")
        if value.startswith(("http://", "https://")):
            return value
    head = local_head()
    if head is None:
        raise ClusterError(
            "no cluster is named and none was started here. Give --address http(s)://HOST:8265, set "
            f"{_VARIABLES[0]}, or start one on this machine with `raycluster up --local`"
        )
    return head.dashboard
