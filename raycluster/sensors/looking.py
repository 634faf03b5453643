"""One look at all sensors of this machine, for people who choose limits."""

from __future__ import annotations

import dataclasses
from typing import Any

from raycluster.sensors.machine import MachineSensor
from raycluster.sensors.nvml import NvmlSensor, uuids
from raycluster.sensors.own import Own
from raycluster.sensors.readings import Limits, Quantity, Readings, Sensor, limit_name, said

_EVERYTHING = Limits(free_memory_mb=0, utilisation=0, temperature=0)


@dataclasses.dataclass(frozen=True)
class Seen:
    """What a sensor told."""

    sensor: Sensor
    readings: Readings

    def as_json(self) -> dict[str, Any]:
        """Return it by the names of limits, and why something is null."""
        values = {limit_name(self.sensor.kind, quantity): self.readings.of(quantity) for quantity in Quantity}
        return {"device": self.sensor.device, **values, "missing": _missing(self)}


def look() -> list[Seen]:
    """Look at the machine and at each GPU once; this process has started nothing, so all use is that of others."""
    own = Own()
    # Without a driver there is one sensor that says so.
    sensors: list[Sensor] = [NvmlSensor(uuid, own) for uuid in uuids() or ["0"]]
    sensors.append(MachineSensor(own, _EVERYTHING))
    return [Seen(sensor, sensor.read(worked=False)) for sensor in sensors]


def sentence(seen: Seen) -> str:
    """Return a line for people."""
    texts = list(said(seen.sensor, seen.readings).values())
    reasons: dict[str, list[str]] = {}
    for name, why in _missing(seen).items():
        reasons.setdefault(why, []).append(name)
    return "; ".join([*texts, *(f"no {', '.join(names)}: {why}" for why, names in reasons.items())])


def _missing(seen: Seen) -> dict[str, str]:
    return {
        limit_name(seen.sensor.kind, quantity): seen.readings.lacks.get(quantity, "it is not told")
        for quantity in Quantity
        if seen.readings.of(quantity) is None
    }
