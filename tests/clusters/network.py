"""Machines with addresses of their own on this one: network namespaces on a bridge.

They share its files, but for a folder that each has of its own. Needs root.

What has run in a machine is killed with it; nothing is left of the network.
"""

from __future__ import annotations

import contextlib
import os
import random
import shlex
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path


def _ip(*words: object) -> None:
    subprocess.run(["ip", *map(str, words)], check=True, capture_output=True)


class Machine:
    """A network namespace, and its address."""

    def __init__(self, name: str, address: str) -> None:
        self.name = name
        self.address = address
        self._started: list[subprocess.Popen[bytes]] = []

    def start(self, command: Sequence[str], own: Path, log: Path, environment: Mapping[str, str]) -> None:
        """Start a process there, for which a folder is a disk of its own, empty and gone with the process."""
        own.mkdir(exist_ok=True)
        mounted = f"mount -t tmpfs none {own} && exec {shlex.join(command)}"
        with log.open("ab") as output:
            process = subprocess.Popen(
                ["ip", "netns", "exec", self.name, "sh", "-c", mounted],  # `ip` has given it its own mounts
                stdout=output,
                stderr=output,
                env=dict(environment),
                start_new_session=True,
            )
        self._started.append(process)

    def pids(self) -> list[int]:
        """Return the processes that run there."""
        found = subprocess.run(["ip", "netns", "pids", self.name], capture_output=True, text=True, check=False)
        return [int(pid) for pid in found.stdout.split()]

    @contextlib.contextmanager
    def held(self, word: str) -> Iterator[None]:
        """Stop, for a while, the processes there whose command line has a word."""
        held = [pid for pid in self.pids() if word.encode() in _command_line(pid)]
        assert held, f"nothing runs there that is called {word}"
        for pid in held:
            os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in held:
                os.kill(pid, signal.SIGCONT)

    def power_off(self) -> None:
        """Kill all that runs there at once."""
        while pids := self.pids():
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.05)
        for process in self._started:
            process.wait()
        self._started.clear()


def _command_line(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ")
    except OSError:  # it has ended since
        return b""


@contextlib.contextmanager
def network(names: Sequence[str]) -> Iterator[dict[str, Machine]]:
    """Have machines on one network, which this machine reaches too."""
    number = random.SystemRandom().randrange(1, 250)
    bridge, net = f"ejbr{number}", f"10.231.{number}"
    machines: dict[str, Machine] = {}
    try:
        _ip("link", "add", bridge, "type", "bridge")
        _ip("addr", "add", f"{net}.1/24", "dev", bridge)
        _ip("link", "set", bridge, "up")
        for place, name in enumerate(names, 2):
            machines[name] = _machine(Machine(f"ej{number}{name}", f"{net}.{place}"), bridge, f"ej{number}v{place}")
        yield machines
    finally:
        for machine in machines.values():
            machine.power_off()
            _ip("netns", "delete", machine.name)
        with contextlib.suppress(subprocess.CalledProcessError):
            _ip("link", "delete", bridge)


def _machine(machine: Machine, bridge: str, cable: str) -> Machine:
    _ip("netns", "add", machine.name)
    _ip("link", "add", cable, "type", "veth", "peer", "name", "eth0", "netns", machine.name)
    _ip("link", "set", cable, "master", bridge, "up")
    _ip("-n", machine.name, "link", "set", "lo", "up")
    _ip("-n", machine.name, "addr", "add", f"{machine.address}/24", "dev", "eth0")
    _ip("-n", machine.name, "link", "set", "eth0", "up")
    return machine
