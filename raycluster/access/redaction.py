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
_PATTERNS = (
    (re.compile(r"(?i)\b(bearer|basic)\s+[\w.~+/=-]+"), rf"\1 {HIDDEN}"),
    (re.compile(r"(?i)(\w+://)[^\s/@]+@"), rf"\1{HIDDEN}@"),
    (re.compile(r"(?i)([?&](?:x-amz-[\w-]*|signature|token|key|secret|password|sig)=)[^&\s\"']+"), rf"\1{HIDDEN}"),
)


def redact(text: str, *secrets: str | None) -> str:
    """Return text without secrets: those given, those of this process's environment, and what looks like one.

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
    for pattern, shown in _PATTERNS:
        text = pattern.sub(shown, text)
    return text


def _of_environment() -> list[str]:
    return [value for name, value in os.environ.items() if _SECRET_NAMES.search(name) and not _HARMLESS.search(name)]
