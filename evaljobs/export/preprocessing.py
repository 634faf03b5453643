"""A file that says how images become the input, in the words of the configuration."""

from __future__ import annotations

from pathlib import Path

from evaljobs import config
from evaljobs.config.loading import parse_yaml
from evaljobs.errors import UsageError


def read_preprocessing(path: Path) -> config.Preprocessing:
    """Read the configuration's `preprocessing` from a file of its own; JSON is YAML too.

    Raises
    ------
    UsageError
        If it cannot be read, or is not valid.
    """
    try:
        data = parse_yaml(path.read_text(encoding="utf-8"), str(path))
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"--preprocessing {path} cannot be read: {error}") from None
    if isinstance(data, dict) and set(data) == {"preprocessing"}:
        data = data["preprocessing"]
    return config.validate(config.Preprocessing, data, f"--preprocessing {path}")
