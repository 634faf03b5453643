"""A network between a client and a server that is slow, or loses things."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

import pytest

_METHODS = (b"GET ", b"PUT ", b"HEAD ", b"POST ", b"DELETE ")


class Fate:
    """What becomes of one request."""

    def __init__(self, *, arrives: bool = True, answered: bool = True, delay_s: float = 0.0) -> None:
        self.arrives, self.answered, self.delay_s = arrives, answered, delay_s


Decide = Callable[[bytes], Fate]


class Proxy:
    """A TCP proxy of one server.

    Parameters
    ----------
    endpoint
        The server's URL.
    decide
        Told the beginning of each request, says what becomes of it.
    """

    def __init__(self, endpoint: str, decide: Decide) -> None:
        self._port = urlsplit(endpoint).port
        self._decide = decide
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.endpoint = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._open: list[socket.socket] = [self._listener]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        for each in self._open:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(("127.0.0.1", self._port))
                self._open += [client, server]
                fate = [Fate()]
                for pump in (self._to_server, self._to_client):
                    threading.Thread(target=self._pump, args=(pump, client, server, fate), daemon=True).start()

    def _pump(
        self,
        pump: Callable[[socket.socket, socket.socket, list[Fate]], None],
        client: socket.socket,
        server: socket.socket,
        fate: list[Fate],
    ) -> None:
        with contextlib.suppress(OSError):
            pump(client, server, fate)
        for each in (client, server):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def _to_server(self, client: socket.socket, server: socket.socket, fate: list[Fate]) -> None:
        while data := client.recv(1 << 16):
            if data.startswith(_METHODS):
                fate[0] = self._decide(data)
            if not fate[0].arrives:
                return
            server.sendall(data)

    def _to_client(self, client: socket.socket, server: socket.socket, fate: list[Fate]) -> None:
        while data := server.recv(1 << 16):
            if not data.startswith(b"HTTP/1.1 100"):
                time.sleep(fate[0].delay_s)
                if not fate[0].answered:
                    return
            client.sendall(data)


@contextlib.contextmanager
def through_proxy(endpoint: str, decide: Decide) -> Iterator[None]:
    """Let this process reach a server through a proxy alone."""
    made = Proxy(endpoint, decide)
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("AWS_ENDPOINT_URL", made.endpoint)
            yield
    finally:
        made.close()
