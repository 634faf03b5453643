"""What the sections of the configuration file are made of: the base of all, and types that several use."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import pydantic
from pydantic import AfterValidator, ConfigDict, Field

_LONGEST_PATH = 4000


class Section(pydantic.BaseModel):
    """A mapping of the file: frozen, and without unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


def as_list(value: object) -> object:
    """Return a value that stands for a list of one as that list."""
    return [value] if isinstance(value, str | float | int | Mapping) else value


def _check_path(text: str) -> str:
    """Refuse what no file system takes, and a home folder of nobody."""
    if "\0" in text or len(text) > _LONGEST_PATH:
        raise ValueError("it holds characters that no path has, or is too long for one")
    try:
        text.encode()
        Path(text).expanduser()
    except UnicodeEncodeError:
        raise ValueError("it holds characters that no path has") from None
    except RuntimeError as error:
        raise ValueError(f"{error} Write the folder out") from None
    return text


PathText = Annotated[str, AfterValidator(_check_path)]
Name = Annotated[str, Field(min_length=1, max_length=200)]
