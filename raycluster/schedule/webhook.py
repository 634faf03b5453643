"""Post JSON to a URL that is a secret: it is never logged, and no redirection is followed with it."""

from __future__ import annotations

import json
import os
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from http.client import HTTPException
from typing import Any, NoReturn

from raycluster.errors import ClusterError

_TIMEOUT_S = 10
_ENVIRONMENT = "env:"


class _Refuse(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_args: Any, **_more: Any) -> None:
        return None  # it becomes an error with its code


def post(webhook: str, body: Mapping[str, Any]) -> None:
    """Post JSON.

    Parameters
    ----------
    webhook
        A URL, or ``env:NAME``: then it is what that environment variable holds now.
    body
        With the key ``event_id``, which is sent as a header too: who gets the same one again has it already.

    Raises
    ------
    ClusterError
        If it was not taken; with the host alone, for the rest of the URL may be a key.
    """
    url = _url(webhook)
    where = urllib.parse.urlsplit(url)
    host = f"{where.scheme}://{where.hostname}"
    request = urllib.request.Request(  # noqa: S310 - its scheme is checked above
        url,
        json.dumps(body, allow_nan=False).encode(),
        {"Content-Type": "application/json", "X-Raycluster-Event": str(body["event_id"]), "User-Agent": "raycluster"},
    )
    try:
        with _opener(where.hostname or "").open(request, timeout=_TIMEOUT_S):
            return
    except urllib.error.HTTPError as error:
        error.close()
        _refused(host, f"it answers {error.code}")
    except (OSError, HTTPException, ValueError) as error:
        reason = getattr(error, "reason", error)
        _refused(host, type(reason).__name__ if isinstance(reason, Exception) else str(reason))


def _opener(host: str) -> urllib.request.OpenerDirector:
    # A proxy does not lead to this machine.
    own = host == "localhost" or host.startswith("127.") or host == "::1"
    return urllib.request.build_opener(_Refuse, *([urllib.request.ProxyHandler({})] if own else []))


def _refused(host: str, why: str) -> NoReturn:
    raise ClusterError(f"the webhook at {host} did not take the message: {why}") from None


def _url(webhook: str) -> str:
    url = webhook
    if webhook.startswith(_ENVIRONMENT):
        name = webhook.removeprefix(_ENVIRONMENT)
        url = os.environ.get(name, "")
        if not url:
            raise ClusterError(f"the webhook is {webhook}, and the scheduler's environment has no {name}; set it there")
    if not _is_url(url):
        raise ClusterError("the webhook is no URL; expected https://... or http://...")
    return url


def _is_url(text: str) -> bool:
    try:
        parts = urllib.parse.urlsplit(text)
    except ValueError:  # such as half an IPv6 address
        return False
    return parts.scheme in {"http", "https"} and bool(parts.hostname)
