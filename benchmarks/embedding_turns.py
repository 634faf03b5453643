"""Two commands take turns of a second on the same cores, so that both meet the same machine.

A machine that others share may run the same code 1.4 times as fast as a minute before: measured one after the other,
differences of some percent cannot be told. Here all processes of one command are stopped (SIGSTOP) while those of the
other work. Linux alone: it reads /proc.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from embedding_watch import Process, family, process_of

# The file that a command makes when all that it needs runs.
RUNNING = "running"
# Long beside what it takes to stop a dozen processes, short beside what the machine does.
_TURN_S = 1.0
_LOOK_S = 0.02
_END_S = 30.0
_MOST_SHOWN = 3000

# What a process does, by a part of its command line; Ray names its workers for what they carry out.
_ROLES = {
    "decode_shard": "decoding",
    "_Worker": "embedding",
    "embedding_run": "driver",
    "spawn_main": "decoding and embedding",
    "embedding_rivals": "parent",
}
_OTHERS = "others"
_DECODING = frozenset({"decoding", "decoding and embedding"})


class Command(NamedTuple):
    """A command, and the folder in which it makes the file that says that it runs."""

    arguments: list[str]
    folder: Path


class Used(NamedTuple):
    """What processes have used: CPU seconds of the user and of the system, page faults, and bytes that were read."""

    user: float = 0.0
    system: float = 0.0
    faults: int = 0
    read: int = 0

    def plus(self, other: Used, sign: int = 1) -> Used:
        """Return the sum, or the difference."""
        return Used(
            self.user + sign * other.user,
            self.system + sign * other.system,
            self.faults + sign * other.faults,
            self.read + sign * other.read,
        )


@dataclasses.dataclass(frozen=True)
class Share:
    """What a command did in its turns.

    Attributes
    ----------
    seconds
        Of all its turns.
    images
        That were decoded in them.
    by_role
        What its processes have used, by what they do.
    """

    seconds: float
    images: float
    by_role: Mapping[str, Used]

    @property
    def rate(self) -> float:
        """Images a second."""
        return self.images / self.seconds

    @property
    def cpu(self) -> float:
        """CPU seconds of an image."""
        return sum(used.user + used.system for used in self.by_role.values()) / self.images


def take_turns(commands: Sequence[Command], images: Sequence[Path], enough: int) -> list[Share]:
    """Start commands one after the other, then let them take turns, and end them.

    Parameters
    ----------
    commands
        Each embeds all images, and decodes each once.
    images
        The files.
    enough
        So many images are decoded by the first that comes so far; it must not come to its end by then.

    Raises
    ------
    SystemExit
        If one ends before.
    """
    image_bytes = sum(path.stat().st_size for path in images) / len(images)
    contenders: list[_Contender] = []
    try:
        for command in commands:
            contenders.append(_Contender(command))
            contenders[-1].get_ready()
        turn = 0
        while max(c.share(image_bytes).images for c in contenders) < enough:
            # Nobody always comes first.
            for contender in contenders[:: 1 if turn % 2 else -1]:
                contender.work()
            turn += 1
        return [contender.share(image_bytes) for contender in contenders]
    finally:
        for contender in contenders:
            contender.end()


class _Contender:
    """A command that is stopped unless it is its turn."""

    def __init__(self, command: Command) -> None:
        self._running = command.folder / RUNNING
        self._said = tempfile.TemporaryFile("w+")  # noqa: SIM115 - it lives as long as the command
        self._child = subprocess.Popen(command.arguments, stdout=subprocess.DEVNULL, stderr=self._said)
        self._seconds = 0.0
        # By id and start: ids come again.
        self._roles: dict[tuple[int, int], str] = {}
        self._first: dict[tuple[int, int], Used] = {}
        self._last: dict[tuple[int, int], Used] = {}

    def get_ready(self) -> None:
        """Wait until it runs, and stop it."""
        while not self._running.exists():
            self._check()
            self._look()
            time.sleep(_LOOK_S)
        self._stop()
        self._first = dict(self._last)

    def work(self) -> None:
        """Let it work for a turn."""
        start = time.monotonic()
        self._signal(signal.SIGCONT)
        time.sleep(_TURN_S)
        self._signal(signal.SIGSTOP)
        self._seconds += time.monotonic() - start
        self._check()
        self._stop()

    def share(self, image_bytes: float) -> Share:
        """Return what it did so far; an image is what its decoders read as many bytes as it has."""
        by_role: dict[str, Used] = {}
        for process, used in self._last.items():
            role = self._roles.get(process, _OTHERS)
            more = used.plus(self._first.get(process, Used()), -1)
            by_role[role] = by_role.get(role, Used()).plus(more)
        read = sum(used.read for role, used in by_role.items() if role in _DECODING)
        return Share(self._seconds, read / image_bytes, by_role)

    def end(self) -> None:
        """End it and all its processes."""
        self._signal(signal.SIGCONT)
        self._child.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._child.wait(_END_S)
        self._look()
        self._signal(signal.SIGKILL)
        self._child.wait()
        self._said.close()

    def _check(self) -> None:
        if self._child.poll() is not None:
            self._said.seek(0)
            said = self._said.read()[-_MOST_SHOWN:]
            raise SystemExit(f"a contender ended before the end, with {self._child.returncode}:\n{said}")

    def _stop(self) -> None:
        """Stop it, with processes that it has started meanwhile, and take in what it has used."""
        self._look()
        self._signal(signal.SIGSTOP)
        self._look()

    def _signal(self, number: signal.Signals) -> None:
        for pid, started in sorted(self._last):
            process = process_of(pid)
            # An id may be somebody else's by now.
            if process is not None and process.started == started:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, number)

    def _look(self) -> None:
        for pid, process in family(self._child.pid, self._last).items():
            key = pid, process.started
            role = _role(pid)
            if role is not None:
                self._roles[key] = role
            self._last[key] = _used(pid, process)


def _role(pid: int) -> str | None:
    """Return what a process does; None where its command line does not say so at this moment."""
    try:
        line = Path(f"/proc/{pid}/cmdline").read_text(errors="replace")
    except OSError:
        return None
    return next((role for part, role in _ROLES.items() if part in line), None)


def _used(pid: int, process: Process) -> Used:
    try:
        read = int(Path(f"/proc/{pid}/io").read_text().split()[1])
    except OSError:
        read = 0
    return Used(process.user, process.system, process.faults, read)
