"""Asking a job server something over HTTP: with the token, without redirects, past proxies where it is this machine."""

from __future__ import annotations

import http
import http.client
import json
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from typing import Any, NamedTuple

from raycluster.access.addresses import Reach
from raycluster.access.redaction import redact
from raycluster.access.servers import Server
from raycluster.errors import ClusterError, DeniedError, UnreachableError

TIMEOUT_S = 15.0
# Of an answer: a page of tasks is a few MB.
_LARGEST = 256 * 2**20
_SHOWN = 300
# The lines of a traceback at whose end the reason stands.
_LAST_LINES = 2


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirect would carry the token to a place that nobody has checked."""

    def redirect_request(self, *_arguments: Any) -> None:
        """Refuse it: the answer is then an error with its own status."""
        return


class Answer(NamedTuple):
    """What a server answered."""

    status: int
    body: bytes

    def text(self) -> str:
        """Return the body for people: its last lines, where the reason of an error stands; no secrets."""
        lines = [line.strip() for line in self.body.decode(errors="replace").splitlines() if line.strip()]
        return redact(" ".join(lines[-_LAST_LINES:]))[-_SHOWN:]


def ask(server: Server, method: str, path: str, *, body: object = None, timeout_s: float = TIMEOUT_S) -> Answer:
    """Send a request and return the answer, whatever it says.

    Parameters
    ----------
    path
        With its first slash.
    body
        What to send: bytes as they are, all else as JSON.

    Raises
    ------
    UnreachableError
        If nobody answers.
    DeniedError
        If the token is missing or wrong.
    """
    headers = server.headers()
    raw = isinstance(body, bytes)
    data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
    if data is not None:
        headers["Content-Type"] = "application/octet-stream" if raw else "application/json"
    request = urllib.request.Request(server.url + path, data=data, headers=headers, method=method)  # noqa: S310 - http or https, checked
    try:
        with _opener(server).open(request, timeout=timeout_s) as answer:
            return Answer(answer.status, answer.read(_LARGEST))
    except urllib.error.HTTPError as error:
        with error:
            answered = Answer(error.code, error.read(_LARGEST))
        if answered.status in {http.HTTPStatus.UNAUTHORIZED, http.HTTPStatus.FORBIDDEN}:
            raise DeniedError(refusal(server, answered.status, answered.text())) from None
        return answered
    except (OSError, http.client.HTTPException) as error:
        raise UnreachableError(no_answer(server, error)) from None


def expect(server: Server, answer: Answer) -> Any:
    """Return what an answer holds, which is JSON; None where it is empty.

    Raises
    ------
    UnreachableError
        If the server says that it cannot answer now.
    ClusterError
        If it is another error, or no JSON.
    """
    if answer.status >= http.HTTPStatus.INTERNAL_SERVER_ERROR:  # a head that starts, or has lost its other half
        raise UnreachableError(refusal(server, answer.status, answer.text()))
    if answer.status >= http.HTTPStatus.MULTIPLE_CHOICES:
        raise ClusterError(refusal(server, answer.status, answer.text()))
    try:
        return json.loads(answer.body) if answer.body else None
    except ValueError:
        raise ClusterError(f"{server.url} answers something that is no JSON: is that Ray's dashboard?") from None


def get_json(
    server: Server, path: str, query: Mapping[str, str | list[str]] | None = None, *, timeout_s: float = TIMEOUT_S
) -> Any:
    """Return what the server answers.

    Parameters
    ----------
    path
        With its first slash.

    Raises
    ------
    ClusterError
        If it does not answer, refuses, or answers something else.
    """
    asked = f"{path}?{urllib.parse.urlencode(query, doseq=True)}" if query else path
    return expect(server, ask(server, "GET", asked, timeout_s=timeout_s))


def no_answer(server: Server, error: Exception) -> str:
    """Return what to say where nobody answers."""
    reason = getattr(error, "reason", None) or error
    words = redact(" ".join(str(reason).split()))[:_SHOWN]
    return (
        f"no job server answers at {server.url}: {words or type(error).__name__}. Is the cluster up, and the tunnel to "
        "its dashboard open (`ray dashboard cluster.yaml`)?"
    )


def refusal(server: Server, status: int, body: str) -> str:
    """Return what to say of an answer that is an error, by its HTTP status."""
    if status == http.HTTPStatus.UNAUTHORIZED:
        return (
            f"{server.url} wants a token, and there is none here. Copy the cluster's into ~/.ray/auth_token, or set "
            "RAY_AUTH_TOKEN or RAY_AUTH_TOKEN_PATH"
        )
    if status == http.HTTPStatus.FORBIDDEN and server.token is not None:
        return f"{server.url} does not take the token of {server.token.source}: it is another cluster's, or an old one"
    if status // 100 == http.HTTPStatus.MULTIPLE_CHOICES // 100:
        return f"{server.url} answers with a redirect, and the token is not sent on; name the address it leads to"
    return f"{server.url} answers HTTP {status}: {body or 'nothing more'}"


def _opener(server: Server) -> urllib.request.OpenerDirector:
    handlers: list[urllib.request.BaseHandler] = [_NoRedirect()]
    if server.address.reach is Reach.OWN:
        handlers.append(urllib.request.ProxyHandler({}))
    return urllib.request.build_opener(*handlers)
