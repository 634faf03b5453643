"""Taking secrets out of text before anybody sees it."""

from __future__ import annotations

import os
import re

HIDDEN = "[hidden]"

# A value this short would hide words that have nothing to do with it.
_SHORTEST = 6
_SECRET_NAMES = re.compile(r"(TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIAL|ACCESS_KEY|API_KEY|WEBHOOK)", re.IGNORECASE)
# Names of files and modes, not of secrets.
_HARMLESS = re.compile(r"(_PATH|_FILE|_MODE|_DIR)$", re.IGNORECASE)
# Each is tried where a fixed word or mark begins, so that no text takes time by its square.
_PATTERNS = (
    (re.compile(r"(?i)\b(bearer|basic)\s+[\w.~+/=-]+"), rf"\1 {HIDDEN}"),
    (re.compile(r"(?i)\b(authorization[\"']?\s*[:=]\s*[\"']?)(?!bearer\b|basic\b)[^\s\"',]+"), rf"\1{HIDDEN}"),
    # Where it stands apart from its address.
    (
        re.compile(
            r"(?i)([?&#](?:x-amz-[\w-]*|signature|(?:access_|id_|refresh_|auth_)?token|(?:api_?)?key|(?:client_)?secret"
            r"|password|sig)=)[^&\s\"']+"
        ),
        rf"\1{HIDDEN}",
    ),
)
# An address without its scheme, as far as no space stands in it: a password may hold quotes.
_ADDRESS = re.compile(r"://\S+")
# What ends the part of an address that may hold a user and a password.
_AUTHORITY_END = re.compile(r"[/?#]")
_QUERY = re.compile(r"([?#])[^\s\"'<>]+")


def redact(text: str, *secrets: str | None) -> str:
    """Return text without secrets: those given, those of this process's environment, and what looks like one.

    That is user, password, query and fragment of an address, and what headers carry. Where a password ends is not
    always known: then too much is hidden. It takes time in proportion to the text, whatever stands in it.

    Parameters
    ----------
    text
        Of an error, a log, a command.
    secrets
        Values that must not be shown.
    """
    values = [value for value in (*secrets, *_of_environment()) if value and len(value) >= _SHORTEST]
    for value in sorted(values, key=len, reverse=True):
        text = text.replace(value, HIDDEN)
    text = _ADDRESS.sub(_hide, text)
    for pattern, shown in _PATTERNS:
        text = pattern.sub(shown, text)
    return text


def _hide(address: re.Match[str]) -> str:
    return _QUERY.sub(rf"\1{HIDDEN}", f"://{_without_user(address[0][3:])}")


def _without_user(address: str) -> str:
    """Hide what stands before the last @: a password may hold a slash, a quote or an @ itself."""
    head, at, host = address.rpartition("@")
    if at and ":" in head:
        return f"{HIDDEN}@{host}"
    # Without a password: an @ that comes later is of the path.
    authority = _AUTHORITY_END.split(address, maxsplit=1)[0]
    _, at, host = authority.rpartition("@")
    return f"{HIDDEN}@{host}{address[len(authority) :]}" if at else address


def _of_environment() -> list[str]:
    return [value for name, value in os.environ.items() if _SECRET_NAMES.search(name) and not _HARMLESS.search(name)]
