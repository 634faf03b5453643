"""Readings that were written down before: to try limits out, and for tests."""

from __future__ import annotations

from collections.abc import Sequence

from raycluster.sensors.readings import Kind, Quantity, Readings

_DEVICES: dict[Kind, str] = {"gpu": "GPU 0", "cpu": "CPU"}


class RecordedSensor:
    """Reads one row a look, from the first; the last one holds on.

    Parameters
    ----------
    kind
        What it stands for.
    rows
        At least one.
    """

    def __init__(self, kind: Kind, rows: Sequence[Readings]) -> None:
        self.kind: Kind = kind
        self.device = _DEVICES[kind]
        self._rows = rows
        self._next = 0

    def read(self, *, worked: bool) -> Readings:  # noqa: ARG002 - what is written down does not depend on it
        """Return the next row."""
        row = self._rows[min(self._next, len(self._rows) - 1)]
        self._next += 1
        missing = dict.fromkeys((q for q in Quantity if row.of(q) is None), "the recording does not tell it")
        return Readings(row.free_memory_mb, row.utilisation, row.temperature, missing)
