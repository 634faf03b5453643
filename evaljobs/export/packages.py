"""The extra packages: what is installed, and what is said where one is not."""

from __future__ import annotations

import importlib.metadata
import importlib.util

from evaljobs.errors import UsageError


def require(name: str, purpose: str) -> None:
    """Make sure that an extra package is there.

    Parameters
    ----------
    name
        To import.
    purpose
        What needs it, as the subject of a sentence.

    Raises
    ------
    UsageError
        If it is not installed, with the command that installs it.
    """
    if importlib.util.find_spec(name) is None:
        raise UsageError(
            f"{purpose} needs the package {name}, which is not installed; nothing was started. "
            "Install it with: pip install 'evaljobs[export]'"
        )


def versions(*names: str) -> dict[str, str]:
    """Return the versions of those that are installed, by name."""
    return {name: importlib.metadata.version(name) for name in names if importlib.util.find_spec(name)}
