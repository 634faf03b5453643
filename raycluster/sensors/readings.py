"""What a sensor reads, what is asked of it, and how both are said. No library, no clock."""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Container, Iterator, Mapping
from typing import Literal, NamedTuple, Protocol

Kind = Literal["gpu", "cpu"]


class Quantity(enum.StrEnum):
    """What can be read."""

    FREE_MEMORY_MB = "free_memory_mb"
    UTILISATION = "utilisation"
    TEMPERATURE = "temperature"


@dataclasses.dataclass(frozen=True)
class Readings:
    """One look at a device. None where it does not tell.

    Attributes
    ----------
    free_memory_mb
        MiB that others leave: what is free, and what this cluster's processes hold.
    utilisation
        Percent of the time, of all its cores, that others keep it busy.
    temperature
        °C, whoever heats it.
    lacks
        Why a quantity is None, where that is known.
    mixed
        Whether what this process did a moment ago may be in `utilisation`: then a reading counts only after a moment of
        doing nothing.
    """

    free_memory_mb: float | None = None
    utilisation: float | None = None
    temperature: float | None = None
    lacks: Mapping[Quantity, str] = dataclasses.field(default_factory=dict)
    mixed: bool = False

    def of(self, quantity: Quantity) -> float | None:
        """Return one of the three."""
        found: float | None = getattr(self, quantity)
        return found


class Sensor(Protocol):
    """Reads one device.

    Attributes
    ----------
    kind
        Which limits it is held against.
    device
        Its name for people, such as ``GPU 0``.
    """

    kind: Kind
    device: str

    def read(self, *, worked: bool) -> Readings:
        """Look once; never raise. `worked`: whether this process has used the device, and may hold some of it."""


@dataclasses.dataclass(frozen=True)
class Limits:
    """What must hold of a device before work goes on: free memory at least, the others at most; None: no matter."""

    free_memory_mb: float | None = None
    utilisation: float | None = None
    temperature: float | None = None

    def __bool__(self) -> bool:
        return any(True for _ in self.asked())

    def asked(self) -> Iterator[tuple[Quantity, float]]:
        """Yield what is limited, and the limit."""
        for quantity in Quantity:
            limit: float | None = getattr(self, quantity)
            if limit is not None:
                yield quantity, limit


class Remark(NamedTuple):
    """A line on one quantity of one device; the key tells it from the others of the machine."""

    key: str
    text: str


class Blind(NamedTuple):
    """A limit that cannot be watched, by its name, and why."""

    limit: str
    why: str


def excesses(
    sensor: Sensor, readings: Readings, limits: Limits, paused: Container[str] = (), margin: float = 0.0
) -> list[Remark]:
    """Say which limits do not hold. What cannot be read is no obstacle.

    Parameters
    ----------
    paused
        Keys of quantities for which work is paused: what must fall has to fall below their limits.
    margin
        By what share of the limit.
    """
    found = []
    for quantity, limit in limits.asked():
        value, key = readings.of(quantity), _key(sensor, quantity)
        if value is None:
            continue
        text = _words(sensor, quantity, value)
        if quantity is Quantity.FREE_MEMORY_MB:
            if value < limit:
                found.append(Remark(key, f"{text}, at least {limit:,.0f} asked for"))
        elif value > limit * (1 - (margin if key in paused else 0)):
            found.append(Remark(key, f"{text}, limit {limit:g}"))
    return found


def blind(sensor: Sensor, readings: Readings, limits: Limits) -> list[Blind]:
    """Say which limits cannot be watched, and why."""
    return [
        Blind(limit_name(sensor.kind, quantity), readings.lacks.get(quantity, f"{sensor.device} does not tell it"))
        for quantity, _ in limits.asked()
        if readings.of(quantity) is None
    ]


def said(sensor: Sensor, readings: Readings) -> dict[str, str]:
    """Return by key what was read, in words."""
    values = {quantity: readings.of(quantity) for quantity in Quantity}
    return {_key(sensor, q): _words(sensor, q, value) for q, value in values.items() if value is not None}


def limit_name(kind: Kind, quantity: Quantity) -> str:
    """Return a limit's name: the memory of the machine is not the processor's."""
    return quantity.value if (kind, quantity) == ("cpu", Quantity.FREE_MEMORY_MB) else f"{kind}_{quantity}"


def _key(sensor: Sensor, quantity: Quantity) -> str:
    return f"{sensor.device} {quantity}"


def _words(sensor: Sensor, quantity: Quantity, value: float) -> str:
    match quantity:
        case Quantity.FREE_MEMORY_MB:
            return f"{'memory' if sensor.kind == 'cpu' else sensor.device}: {value:,.0f} MiB free"
        case Quantity.UTILISATION:
            return f"{sensor.device} {value:.0f} % busy with others"
        case Quantity.TEMPERATURE:
            return f"{sensor.device} at {value:.0f} °C"
