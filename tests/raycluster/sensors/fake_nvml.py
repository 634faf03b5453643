"""A module that answers as pynvml does, over GPUs that a test describes."""

# ruff: noqa: N802 - the names are the library's
from __future__ import annotations

import dataclasses
import time
from types import SimpleNamespace
from typing import Any

MIB = 2**20
STALE = 888_888_888


@dataclasses.dataclass
class Card:
    """A GPU, or a MIG instance on `parent`."""

    uuid: str
    name: str = "NVIDIA H100"
    free: int = 50_000
    busy: int | None = 0
    temperature: int | None = 40
    # Compute processes: MiB by process id, None where it does not tell; percent of the last second by process id.
    holds: dict[int, int | None] | None = dataclasses.field(default_factory=dict)
    uses: dict[int, int] | None = dataclasses.field(default_factory=dict)
    parent: Card | None = None
    # Fell off its bus: it is counted, and answers nothing.
    lost: bool = False
    total: int = 80_000


class FakeNvml:
    """Answers as pynvml does, errors included."""

    NVML_TEMPERATURE_GPU = 0
    NVML_ERROR_NOT_FOUND = 6
    NVML_ERROR_NOT_SUPPORTED = 3

    class NVMLError(Exception):
        """Has a number, and words."""

        def __init__(self, value: int) -> None:
            super().__init__(
                {3: "Not Supported", 6: "Not Found", 12: "NVML Shared Library Not Found", 15: "GPU is lost"}[value]
            )
            self.value = value

    def __init__(self, *cards: Card, instances: tuple[Card, ...] = (), driver: bool = True) -> None:
        self.cards, self.instances, self.driver = cards, instances, driver
        self.since = 0

    def nvmlInit(self) -> None:
        if not self.driver:
            raise self.NVMLError(12)

    def nvmlDeviceGetCount(self) -> int:
        return len(self.cards)

    def nvmlDeviceGetHandleByIndex(self, index: int) -> Card:
        if self.cards[index].lost:
            raise self.NVMLError(15)
        return self.cards[index]

    def nvmlDeviceGetHandleByUUID(self, uuid: str) -> Card:
        for device in (*self.cards, *self.instances):
            if device.uuid == uuid:
                return device
        raise self.NVMLError(self.NVML_ERROR_NOT_FOUND)

    def nvmlDeviceGetDeviceHandleFromMigDeviceHandle(self, device: Card) -> Card:
        assert device.parent is not None
        return device.parent

    def nvmlDeviceGetIndex(self, card: Card) -> int:
        return self.cards.index(card)

    def nvmlDeviceGetUUID(self, card: Card) -> str:
        return card.uuid

    def nvmlDeviceGetName(self, card: Card) -> str:
        return card.name

    def nvmlDeviceGetMemoryInfo(self, card: Card) -> Any:
        return SimpleNamespace(free=card.free * MIB, total=card.total * MIB)

    def nvmlDeviceGetTemperature(self, card: Card, sensor: int) -> int:
        assert sensor == self.NVML_TEMPERATURE_GPU
        assert card.parent is None, "an instance has no temperature of its own"
        return self._told(card.temperature)

    def nvmlDeviceGetUtilizationRates(self, card: Card) -> Any:
        return SimpleNamespace(gpu=self._told(card.busy))

    def nvmlDeviceGetComputeRunningProcesses(self, card: Card) -> list[Any]:
        if card.holds is None:
            raise self.NVMLError(self.NVML_ERROR_NOT_SUPPORTED)
        return [SimpleNamespace(pid=pid, usedGpuMemory=mib and mib * MIB) for pid, mib in card.holds.items()]

    def nvmlDeviceGetProcessUtilization(self, card: Card, since: int) -> list[Any]:
        self.since = since
        if card.uses is None:
            raise self.NVMLError(self.NVML_ERROR_NOT_SUPPORTED)
        if not card.uses:
            raise self.NVMLError(self.NVML_ERROR_NOT_FOUND)
        now = int(time.time() * 1e6)
        fresh = [SimpleNamespace(pid=pid, smUtil=percent, timeStamp=now) for pid, percent in card.uses.items()]
        # As the driver has them in a buffer that was not filled: of long ago, or of nobody.
        stale = [SimpleNamespace(pid=STALE, smUtil=4_000_000, timeStamp=stamp) for stamp in (0, since - 1)]
        return [*stale, *fresh]

    def _told(self, value: int | None) -> int:
        if value is None:
            raise self.NVMLError(self.NVML_ERROR_NOT_SUPPORTED)
        return value
