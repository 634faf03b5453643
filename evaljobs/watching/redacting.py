"""What no log line may hold: the secrets that people write into addresses."""

from __future__ import annotations

import re

HIDDEN = "***"
_WORD = re.compile(r"[^\s\"'<>]+")
# What ends the part of an address that may hold a user and a password.
_AUTHORITY_END = re.compile(r"[/?#]")


def redacted(text: str) -> str:
    """Return a text with the user, password and query of every address in it replaced by asterisks.

    It takes time in proportion to the text, whatever stands in it.
    """
    return _WORD.sub(lambda word: _hide(word[0]), text) if "://" in text else text


def _hide(word: str) -> str:
    first, *addresses = word.split("://")
    if not addresses:
        return word
    shown, question, _ = "://".join([first, *map(_without_user, addresses)]).partition("?")
    return f"{shown}?{HIDDEN}" if question else shown


def _without_user(address: str) -> str:
    """Hide what stands before the last @ of the host's part: a password may hold one itself."""
    authority = _AUTHORITY_END.split(address, maxsplit=1)[0]
    _, at, host = authority.rpartition("@")
    return f"{HIDDEN}@{host}{address[len(authority) :]}" if at else address
