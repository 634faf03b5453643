"""A real Ray cluster of several nodes on this machine, and its processes to kill."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from raycluster.connection.connect import EMBEDDED
from tests.faults.cluster_process import ANSWER, NODE_MEMORY

ROOT = Path(__file__).parents[2]
ACTOR = "ray::_Worker"  # the title of an embedding actor's process


@dataclasses.dataclass(frozen=True)
class Process:
    """One process of this machine."""

    pid: int
    parent: int
    command: str

    def kill(self) -> None:
        self.signal(signal.SIGKILL)

    def signal(self, number: int) -> None:
        os.kill(self.pid, number)


def processes() -> Iterator[Process]:
    """Yield every process of this machine."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                stat = (entry / "stat").read_text()
                command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue
            yield Process(int(entry.name), int(stat.rsplit(")", 1)[1].split()[1]), command)


class MultiNode:
    """A head without CPUs, to which drivers connect, and nodes of one CPU each that work; in a process of its own.

    A node is named by the process id of its raylet.
    """

    def __init__(self, nodes: int = 2) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.cluster_process"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            cwd=ROOT,
            env={**os.environ, **EMBEDDED},  # nobody looks at these nodes either
        )
        self.address = self._answer()
        self.nodes: list[int] = []
        for _ in range(nodes):
            self.add()

    def add(self, gpus: int = 0) -> None:
        """Start one more node, with so many GPUs in Ray's books, and wait until the cluster knows it."""
        self.nodes.append(int(self._ask(f"add {gpus}")))

    def heal(self, nodes: int = 2) -> None:
        """Start as many nodes as are missing."""
        while len(self.nodes) < nodes:
            self.add()

    def workers(self, title: str, node: int | None = None) -> list[Process]:
        """Return the worker processes of a node, or of all, whose title holds a word."""
        raylets = self.nodes if node is None else [node]
        return [p for p in processes() if p.parent in raylets and title in p.command]

    def kill_node(self, node: int) -> None:
        """Kill a machine: its raylet, which is its object store too, and all workers, at once."""
        for victim in [p for p in processes() if node in {p.pid, p.parent}]:
            try:
                victim.kill()
            except ProcessLookupError:
                continue
        self.nodes.remove(node)
        self._ask(f"remove {node}")

    @contextlib.contextmanager
    def blind_node(self, folder: Path) -> Iterator[int]:
        """Have one more node, in a mount namespace in which a folder is empty: a disk that is not mounted."""
        ray = Path(sys.executable).with_name("ray")
        start = f"{ray} start --address={self.address} --num-cpus=1 --object-store-memory={NODE_MEMORY} --block"
        node = subprocess.Popen(
            ["unshare", "--mount", "sh", "-c", f"mount -t tmpfs none {folder} && exec {start}"],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        )
        assert node.stdout is not None
        try:
            assert any("Ray runtime started" in line for line in node.stdout), "the node did not come up"
            yield next(p.pid for p in processes() if p.parent == node.pid and "raylet/raylet" in p.command)
        finally:
            node.terminate()  # it ends its node
            node.communicate()

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Stop the actors of all nodes while nodes die and come, which takes a machine under load longer than a run."""
        self.hold()
        try:
            yield
        finally:
            self.release()

    def hold(self) -> None:
        """Stop the actors that there are; those that are stopped stay so."""
        for actor in self.workers(ACTOR):
            with contextlib.suppress(ProcessLookupError):  # it has just ended
                actor.signal(signal.SIGSTOP)

    def release(self) -> None:
        """Let all actors go on."""
        for actor in self.workers(ACTOR):
            with contextlib.suppress(ProcessLookupError):
                actor.signal(signal.SIGCONT)

    def kill_head(self) -> None:
        """Kill what knows the cluster; the driver's own node stays."""
        self._ask("kill-head")

    def shutdown(self) -> None:
        """End all of it."""
        self._ask("shutdown")
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()

    def _ask(self, command: str) -> str:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{command}\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> str:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith(ANSWER):
                return line.removeprefix(ANSWER).strip()
        raise AssertionError(f"the cluster's process ended with {self._process.wait()}")
