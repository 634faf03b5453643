"""Ray's token: where it lies, and how one is made.

The places are Ray's own, in its order: the variable RAY_AUTH_TOKEN, the file that RAY_AUTH_TOKEN_PATH names,
~/.ray/auth_token. It never stands on a command line, in a configuration, a log or a process list.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import secrets
from pathlib import Path

from raycluster.access.private import written_beside
from raycluster.errors import ClusterError

MODE = "RAY_AUTH_MODE"
_VALUE, _PATH = "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"
_PRIVATE = 0o600
_LONGEST = 4096


@dataclasses.dataclass(frozen=True)
class Token:
    """A token and where it came from. It does not show itself: neither repr nor str holds the value."""

    value: str = dataclasses.field(repr=False)
    source: str

    def headers(self) -> dict[str, str]:
        """Return what a request must carry."""
        return {"Authorization": f"Bearer {self.value}"}


def token_file() -> Path:
    """Return where Ray looks for a token that stands in a file."""
    named = os.environ.get(_PATH)
    return Path(named).expanduser() if named else Path.home() / ".ray" / "auth_token"


def switched_off() -> bool:
    """Whether the user has said that nobody needs a token."""
    return os.environ.get(MODE, "token").lower() == "disabled"


def find_token() -> Token | None:
    """Return the token that Ray would use; None where there is none, or where the user has switched tokens off.

    Raises
    ------
    ClusterError
        If one is named that cannot be read or can be no token.
    """
    if switched_off():
        return None
    if os.environ.get(_VALUE):
        return Token(_checked(os.environ[_VALUE], f"the variable {_VALUE}"), f"the variable {_VALUE}")
    path = token_file()
    try:
        return token_in(path)
    except FileNotFoundError:
        if _PATH not in os.environ:
            return None
        raise ClusterError(f"{_PATH} names {path}, and there is no such file") from None


def token_in(path: Path) -> Token:
    """Return the token that stands in a file.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ClusterError
        If it cannot be read or can be no token.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise
    except (OSError, UnicodeDecodeError) as error:
        raise ClusterError(f"the token in {path} cannot be read: {error}") from None
    return Token(_checked(text, str(path)), str(path))


def ensure_token() -> Token:
    """Return the token; make one, readable by this user alone, where there is none.

    A file that others could read, as Ray's own command leaves it, is made private.

    Raises
    ------
    ClusterError
        If there is one that cannot be used, or none can be made.
    """
    if switched_off():
        raise ClusterError(f"{MODE}=disabled in the environment: nobody would need a token; unset it")
    path = token_file()
    if not os.environ.get(_VALUE) and not path.exists():
        _make(path)
    token = find_token()
    if token is None:
        raise ClusterError(f"the token in {path} was removed as soon as it was made")
    if token.source == str(path):
        with contextlib.suppress(OSError):
            if path.stat().st_mode & ~_PRIVATE & 0o777:
                path.chmod(_PRIVATE)
    return token


def _make(path: Path) -> None:
    """Write a new one whole or not at all; of two that do so together, the first wins."""
    try:
        with written_beside(path, secrets.token_hex(32)) as new, contextlib.suppress(FileExistsError):
            os.link(new, path)
    except OSError as error:
        raise ClusterError(f"no token can be written to {path}: {error}") from error


def _checked(text: str, where: str) -> str:
    value = text.strip()
    if not value or len(value) > _LONGEST or any(not 33 <= ord(letter) <= 126 for letter in value):
        raise ClusterError(
            f"{where} holds no token: expected one word of printable ASCII. `raycluster up` makes one where there is "
            "none"
        )
    return value
