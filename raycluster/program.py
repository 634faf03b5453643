"""What is run on clusters: all that this package must know of a program, and nothing of what it computes.

Programs are found by name among the entry points of the group ``raycluster.programs``.
"""

from __future__ import annotations

import dataclasses
import importlib.metadata
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol, cast

from raycluster.errors import ClusterError

_GROUP = "raycluster.programs"
DEFAULT = "evaljobs"


@dataclasses.dataclass(frozen=True)
class Upload:
    """A local file that the cluster must find elsewhere: its place is named by its content, so it is written once."""

    path: Path
    place: str


@dataclasses.dataclass(frozen=True)
class Parcel:
    """One configuration as it travels to a cluster.

    Attributes
    ----------
    name
        Of the run, for people.
    digest
        sha256 (hex) of what decides what is computed: equal parcels are one job.
    files
        Of the job's working folder, by relative path.
    command
        Carried out in that folder: a module for ``python -m``, and its arguments.
    results
        Where the run leaves its results: ``s3://...``, or a folder that the cluster shares.
    uploads
        What must be there before the job is submitted.
    gates, webhook
        What a scheduled run is held against, and whom to tell, where the configuration says so.
    """

    name: str
    digest: str
    files: Mapping[str, bytes]
    command: tuple[str, ...]
    results: str
    uploads: tuple[Upload, ...] = ()
    gates: tuple[str, ...] = ()
    webhook: str | None = None


@dataclasses.dataclass(frozen=True)
class Verdict:
    """What holding a finished run against an earlier one found.

    `passed` is None where it is inconclusive; `text` is for people, a line for each gate.
    """

    passed: bool | None
    text: str


@dataclasses.dataclass(frozen=True)
class Stage:
    """How far a part of a job is: so many steps of so many. `model` where it is one model's."""

    stage: str
    done: int
    total: int
    model: str | None = None


class Program(Protocol):
    """A program that can be submitted."""

    def pack(self, config: Path, *, overrides: Sequence[str] = (), shared: bool = False) -> Parcel:
        """Check a configuration and return what travels; nothing is sent yet.

        Parameters
        ----------
        config
            Its file.
        overrides
            ``key=value``, in place of its keys.
        shared
            Whether the cluster's machines see this machine's files under the same paths.

        Raises
        ------
        ClusterError
            If it is wrong, or needs local files that the cluster would not find.
        """

    def upload(self, parcel: Parcel, say: Callable[[str], None]) -> None:
        """Bring all that the parcel needs to its place, or raise: never half."""

    def fetch(self, results: str, out: Path, say: Callable[[str], None]) -> None:
        """Bring results into a local folder, whole or not at all."""

    def stages(self, log: str) -> Sequence[Stage]:
        """Read out of a job's log how far it is: the last word on every stage."""

    def judge(self, results: str, baseline: str, gates: Sequence[str]) -> Verdict:
        """Hold results against earlier ones."""


def find_program(name: str = DEFAULT) -> Program:
    """Return an installed program.

    Raises
    ------
    ClusterError
        If none of that name is installed.
    """
    found = importlib.metadata.entry_points(group=_GROUP)
    if name not in found.names:
        raise ClusterError(f"no program {name!r} is installed here; found {', '.join(sorted(found.names)) or 'none'}")
    return cast("Program", found[name].load())
