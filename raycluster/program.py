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
    """What the cluster must find elsewhere: its place is named by its content, so it is written once.

    Attributes
    ----------
    place
        Where.
    size
        In bytes.
    path
        The local file; None where `data` is what travels.
    digest
        The sha256 (hex) of its content, where that is known: a file that has changed meanwhile is not sent.
    """

    place: str
    size: int
    path: Path | None = None
    data: bytes = b""
    digest: str = ""


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
        Carried out in that folder: a module for ``python -m``, and its arguments, `results` among them as it stands.
    results
        Where the run leaves its results: ``s3://...``, or a folder that the cluster shares.
    uploads
        What must be there before the job is submitted.
    environment
        Variables of the job and of all its workers.
    out
        The local folder that results are to be brought into; None where `results` is where they are wanted.
    notes
        What people should know of it.
    gates, webhook
        What a scheduled run is held against, and whom to tell, where the configuration says so.
    """

    name: str
    digest: str
    files: Mapping[str, bytes]
    command: tuple[str, ...]
    results: str
    uploads: tuple[Upload, ...] = ()
    environment: Mapping[str, str] = dataclasses.field(default_factory=dict)
    out: Path | None = None
    notes: tuple[str, ...] = ()
    gates: tuple[str, ...] = ()
    webhook: str | None = None

    def placed(self, run: str) -> Parcel:
        """Return the same with its results in a folder of their own below where they would lie.

        So no run writes over the results of another, nor waits for one that was killed to give up its claim.

        Parameters
        ----------
        run
            The name of that folder; not part of the digest.
        """
        results = f"{self.results}/{run}"
        command = tuple(results if word == self.results else word for word in self.command)
        return dataclasses.replace(self, results=results, command=command)


@dataclasses.dataclass(frozen=True)
class Asked:
    """How a configuration is asked for, beside what its file says.

    Attributes
    ----------
    overrides
        ``key=value``, in place of its keys.
    shared
        Whether the cluster's machines see this machine's files under the same paths.
    slots
        So many of the cluster's GPUs (or CPUs, where it has none) are used at most. Not part of the digest.
    gpus
        So many GPUs the cluster had when this was planned: the job waits for them where they are away. Not part of the
        digest.
    out
        The local folder for results, in place of the configuration's. Not part of the digest.
    """

    overrides: Sequence[str] = ()
    shared: bool = False
    slots: int | None = None
    gpus: int = 0
    out: Path | None = None


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
    """A program that can be submitted.

    Its command ends with 0 where all is done, with 1 where results were written although something failed, and with
    another code where there are none. ``python -m MODULE --version`` says its version in one line.
    """

    @property
    def version(self) -> str:
        """Of the program here, as that line says it."""

    def pack(self, config: Path, asked: Asked) -> Parcel:
        """Check a configuration, by its file, and return what travels; nothing is sent yet.

        Raises
        ------
        UnreachableError
            If what it names does not answer now: it may later.
        ClusterError
            If it is wrong, or needs local files that the cluster would not find.
        """

    def check(self, parcel: Parcel) -> None:
        """Refuse a parcel whose results could not be brought into its `out`: sooner than when they are there.

        Raises
        ------
        ClusterError
            Saying what lies there.
        """

    def upload(self, parcel: Parcel, say: Callable[[str], None]) -> None:
        """Bring all that the parcel needs to its place, or raise: never half; UnreachableError as `pack` does."""

    def fetch(self, results: str, out: Path, say: Callable[[str], None]) -> None:
        """Bring results into a local folder, whole or not at all."""

    def keep(self, results: str, folder: Path) -> None:
        """Copy into a local folder, which is empty, what `judge` needs of results that later ones are held against.

        Raises
        ------
        UnreachableError
            If they do not answer now.
        ClusterError
            If they cannot be read.
        """

    def with_gates(self, gates: Sequence[str]) -> tuple[str, ...]:
        """Return the ``key=value`` that puts gates in the place of a configuration's own."""

    def stages(self, log: str) -> Sequence[Stage]:
        """Read out of a job's log how far it is: the last word on every stage."""

    def line(self, text: str) -> str | None:
        """Return how a line of a job's log is shown to people; None where it is not."""

    def judge(self, results: str, baseline: str | None, gates: Sequence[str]) -> Verdict:
        """Hold results against earlier ones; where there are none yet, against what needs none.

        Parameters
        ----------
        baseline
            As `results` is, or a folder that `keep` has filled.

        Raises
        ------
        UnreachableError
            If they do not answer now.
        ClusterError
            If results cannot be read now, or cannot be compared.
        """


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
