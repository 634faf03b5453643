"""What is asked of machines that are shared with others: plain data, which travels to every process."""

from __future__ import annotations

import dataclasses

from raycluster.sensors.readings import Limits, Readings

# Of a utilisation and its readings: an NVIDIA driver averages over up to a second.
SETTLE_S = 1.5


@dataclasses.dataclass(frozen=True)
class Row:
    """What was written down of a machine at one moment, in place of a look at it."""

    gpu: Readings = dataclasses.field(default_factory=Readings)
    cpu: Readings = dataclasses.field(default_factory=Readings)


@dataclasses.dataclass(frozen=True)
class Rules:
    """When processes wait for a machine.

    Attributes
    ----------
    gpu, cpu
        What must hold of the GPU that an actor was given, and of the machine that a process is on.
    every_s
        Seconds between two looks, at work and while waiting.
    margin
        The share of a limit by which a utilisation or a temperature must have fallen below it before work goes on.
    patience_s
        Where all that runs has waited so long, the pool gives up; None: it waits for ever.
    recording
        In place of the sensors, a row a look.
    """

    gpu: Limits = dataclasses.field(default_factory=Limits)
    cpu: Limits = dataclasses.field(default_factory=Limits)
    every_s: float = 10.0
    margin: float = 0.05
    patience_s: float | None = None
    recording: tuple[Row, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.gpu or self.cpu)
