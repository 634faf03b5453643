"""What no log line may hold: the secrets that people write into addresses."""

from __future__ import annotations

import re

HIDDEN = "***"
# Between :// and @, up to the last @ of the host's part: a password may hold one itself.
_USER_INFO = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*://)[^\s/?#\"'<>]*@")
# What follows the ? of an address: signatures of presigned links, keys, tokens.
_QUERY = re.compile(r"(?P<address>[A-Za-z][A-Za-z0-9+.-]*://[^\s?\"'<>]*)\?[^\s\"'<>]*")


def redacted(text: str) -> str:
    """Return a text with the user, password and query of every address in it replaced by asterisks."""
    hidden = _USER_INFO.sub(rf"\g<scheme>{HIDDEN}@", text)
    return _QUERY.sub(rf"\g<address>?{HIDDEN}", hidden)
