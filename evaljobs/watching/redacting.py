"""What no log line may hold: the secrets that people write into addresses, and those of headers."""

from __future__ import annotations

import re

HIDDEN = "***"
# An address without its scheme, as far as no space stands in it: a password may hold quotes.
_ADDRESS = re.compile(r"://\S+")
# What ends the part of an address that may hold a user and a password.
_AUTHORITY_END = re.compile(r"[/?#]")
_QUERY = re.compile(r"([?#])[^\s\"'<>]+")
# Each is tried where a fixed word begins, so that no text takes time by its square.
_HEADERS = (
    (re.compile(r"(?i)\b(bearer\s+)[\w.~+/=-]+"), rf"\1{HIDDEN}"),
    (
        re.compile(r"(?i)\b(authorization[\"']?\s*[:=]\s*[\"']?(?:basic\s+)?)(?!bearer\b|basic\b)[^\s\"',]+"),
        rf"\1{HIDDEN}",
    ),
)


def redacted(text: str) -> str:
    """Return a text with secrets replaced by asterisks: user, password, query and fragment of addresses, headers.

    It takes time in proportion to the text, whatever stands in it. Where a password ends is not always known: then too
    much is hidden.
    """
    text = _ADDRESS.sub(_hide, text)
    for pattern, shown in _HEADERS:
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
