"""Types of arguments that are paths."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from evaljobs.remote import is_remote


class _LocalFile(click.Path):
    """A path on this machine; what is on S3 is refused, not taken for a folder named ``s3:``."""

    def __init__(self) -> None:
        super().__init__(path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if str(value).lower().startswith("s3:/"):
            self.fail(f"{value} is on S3; expected a path on this machine. Copy it here first", param, ctx)
        return super().convert(value, param, ctx)


class _AnyFile(click.Path):
    """A path on this machine, or ``s3://bucket/key`` as text."""

    def __init__(self) -> None:
        super().__init__(path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if is_remote(value):
            return value
        if str(value).lower().startswith("s3:"):
            self.fail(f"found {value}; expected s3://bucket/key, or a path on this machine", param, ctx)
        return super().convert(value, param, ctx)


LOCAL_FILE = _LocalFile()
ANY_FILE = _AnyFile()
