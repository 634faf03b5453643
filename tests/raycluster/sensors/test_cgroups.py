"""Control groups: files as Linux writes them, of both versions, here and in containers."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest

from raycluster.sensors.capacity import memory_bytes
from raycluster.sensors.cgroups import groups, limits, oom_kills

NO_LIMIT = 9223372036854771712
EVENTS = "low 0\nhigh 0\nmax 31\noom 2\noom_kill {}\noom_group_kill 0\n"
CONTROL = "oom_kill_disable 0\nunder_oom 0\noom_kill {}\n"


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_version_2(tmp_path: Path) -> None:
    """The limits of all groups upwards hold; kills are counted in the own one, with those below it."""
    own = write(tmp_path / "cgroup", "0::/user.slice/job\n")
    mount = tmp_path / "fs"
    for folder, most, kills in [("user.slice/job", "max", 3), ("user.slice", "8000000", 5)]:
        write(mount / folder / "memory.max", f"{most}\n")
        write(mount / folder / "memory.events", EVENTS.format(kills))
    found = groups(own, mount)
    assert found == [mount / "user.slice" / "job", mount / "user.slice", mount]
    assert (limits(found), oom_kills(found)) == ([8000000], 3)


def test_version_1(tmp_path: Path) -> None:
    """Memory has a tree of its own, whatever the other controllers say."""
    own = write(tmp_path / "cgroup", "5:cpu,cpuacct:/a\n4:memory:/docker/b\n0::/\n")
    mount = tmp_path / "fs"
    write(mount / "memory" / "docker" / "b" / "memory.limit_in_bytes", "60000000\n")
    write(mount / "memory" / "docker" / "b" / "memory.oom_control", CONTROL.format(1))
    write(mount / "memory" / "memory.limit_in_bytes", f"{NO_LIMIT}\n")
    found = groups(own, mount)
    assert (limits(found), oom_kills(found)) == ([60000000, NO_LIMIT], 1)


@pytest.mark.parametrize("line", ["0::/", "0::/docker/of-the-host", "0::/../other"])
def test_container_that_sees_its_group_as_the_root(tmp_path: Path, line: str) -> None:
    """The path may be one of the host's, which is not there."""
    mount = tmp_path / "fs"
    write(mount / "memory.max", "70000000\n")
    write(mount / "memory.events", EVENTS.format(4))
    found = groups(write(tmp_path / "cgroup", f"{line}\n"), mount)
    assert (limits(found), oom_kills(found)) == ([70000000], 4)


def test_where_groups_do_not_count_the_machine_does(tmp_path: Path) -> None:
    """The root of a machine has no counter of its own; where nobody counts, nobody was ended."""
    (tmp_path / "fs").mkdir()
    found = groups(write(tmp_path / "cgroup", "0::/\n"), tmp_path / "fs")
    machine = write(tmp_path / "vmstat", "pgfault 12\noom_kill 7\noom_kill_other 9\n")
    assert (limits(found), oom_kills(found, machine)) == ([], 7)
    assert oom_kills([tmp_path], tmp_path / "nowhere") == 0
    assert groups(tmp_path / "nowhere") == []


def test_memory_of_this_machine() -> None:
    """What there is, not what is free: two looks agree. A GPU that is not there tells nothing."""
    assert 0 < memory_bytes("cpu") == memory_bytes("cpu") <= psutil.virtual_memory().total  # type: ignore[operator]
