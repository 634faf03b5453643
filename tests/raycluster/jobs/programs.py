"""A program to submit that does nothing, and writes down what it is asked."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path

from raycluster.program import Asked, Parcel, Stage, Verdict

PARCEL = Parcel("x", "0" * 64, {"x.yaml": b""}, ("prog", "--out", "s3://b/runs"), "s3://b/runs", out=Path("out"))


@dataclasses.dataclass
class Prog:
    """A program whose parcels are at hand; it writes down what it is asked to bring where."""

    uploads: list[str] = dataclasses.field(default_factory=list)
    fetches: list[tuple[str, Path]] = dataclasses.field(default_factory=list)
    parcel: Parcel = PARCEL
    version: str = "prog 1"

    def pack(self, config: Path, _asked: Asked) -> Parcel:
        return dataclasses.replace(self.parcel, name=config.stem)

    def check(self, parcel: Parcel) -> None:
        """Take everything."""

    def upload(self, parcel: Parcel, say: Callable[[str], None]) -> None:
        del say
        self.uploads.append(parcel.results)

    def fetch(self, results: str, out: Path, say: Callable[[str], None]) -> None:
        del say
        self.fetches.append((results, out))

    def stages(self, log: str) -> Sequence[Stage]:
        return [Stage("embedding", 1, 2, "m")] if "embedded" in log else []

    def line(self, text: str) -> str | None:
        return text.upper()

    def judge(self, results: str, baseline: str | None, gates: Sequence[str]) -> Verdict:
        raise NotImplementedError((results, baseline, gates))
