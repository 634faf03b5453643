"""The GPU that a process was given, by NVIDIA's management library: the only module that imports pynvml."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, TypeVar

from raycluster.sensors.cuda_devices import cards, find
from raycluster.sensors.own import Own
from raycluster.sensors.readings import Kind, Quantity, Readings

_MIB = 2**20
# Of samples that count; the driver takes one to six a second.
_WINDOW_S = 1.0
_HIDDEN = (
    "the driver does not tell here what each process holds, as in most containers: it is looked at before a process "
    "loads its first model, and not later"
)
T = TypeVar("T")


class NvmlSensor:
    """Reads one GPU, or one MIG instance of it.

    Where the driver tells processes apart, what the cluster's own hold and do counts as free. Where it does not (in
    most containers: process ids are those of the machine), memory is told until this process has worked, and a
    utilisation is everybody's, and `mixed`.

    Parameters
    ----------
    visible
        The ``CUDA_VISIBLE_DEVICES`` of this process.
    own
        The cluster's processes here.
    """

    kind: Kind = "gpu"

    def __init__(self, visible: str | None, own: Own) -> None:
        self.device = "the GPU"
        self._own = own
        self._why = ""
        try:
            self._nvml = _library()
            found = find(self._nvml, visible)
        except (OSError, ImportError, LookupError) as error:
            self._why = str(error)
        else:
            self.device, self._handle, self._card = found

    def read(self, *, worked: bool) -> Readings:
        """Look once."""
        if self._why:
            return Readings(lacks=dict.fromkeys(Quantity, self._why))
        self._lacks: dict[Quantity, str] = {}
        nvml = self._nvml
        own = self._own.pids()
        holds = self._holds(own)
        known = holds is not None
        temperature = self._ask(
            Quantity.TEMPERATURE, lambda: nvml.nvmlDeviceGetTemperature(self._card, nvml.NVML_TEMPERATURE_GPU)
        )
        memory = self._ask(Quantity.FREE_MEMORY_MB, lambda: nvml.nvmlDeviceGetMemoryInfo(self._handle).free / _MIB)
        if memory is not None and worked and not known:
            memory, self._lacks[Quantity.FREE_MEMORY_MB] = None, _HIDDEN
        busy = self._ask(Quantity.UTILISATION, lambda: nvml.nvmlDeviceGetUtilizationRates(self._handle).gpu)
        others = self._others(own) if known and busy is not None else None
        return Readings(
            None if memory is None else memory + (holds or 0) / _MIB,
            busy if others is None or busy is None else min(busy, others),
            temperature,
            self._lacks,
            mixed=worked and others is None,
        )

    def _holds(self, own: set[int]) -> int | None:
        """Return the bytes that own processes hold; None where the driver names none of them, or no bytes."""
        try:
            listed = self._nvml.nvmlDeviceGetComputeRunningProcesses(self._handle)
        except self._nvml.NVMLError:
            return None
        held = [process.usedGpuMemory for process in listed if process.pid in own]
        return None if not held or None in held else sum(held)

    def _others(self, own: set[int]) -> float | None:
        """Return the percent of the last second that other processes used; None where the driver does not tell."""
        since = int((time.time() - _WINDOW_S) * 1e6)
        try:
            samples = self._nvml.nvmlDeviceGetProcessUtilization(self._handle, since)
        except self._nvml.NVMLError as error:
            # It has no sample where nobody did anything.
            return 0.0 if error.value == self._nvml.NVML_ERROR_NOT_FOUND else None
        highest: dict[int, int] = {}
        for sample in samples:
            # A buffer that is not filled has old ones behind.
            if sample.timeStamp > since and sample.pid not in own:
                highest[sample.pid] = max(highest.get(sample.pid, 0), sample.smUtil)
        return float(sum(highest.values()))

    def _ask(self, quantity: Quantity, question: Callable[[], T]) -> T | None:
        try:
            return question()
        except self._nvml.NVMLError as error:
            self._lacks[quantity] = f"{self.device} does not tell it ({error})"
            return None


def uuids() -> list[str]:
    """Return the names of all GPUs that the driver knows, of one that is lost its number; none without a driver."""
    try:
        nvml = _library()
        return [str(number) if card is None else card.uuid for number, card in enumerate(cards(nvml))]
    except (OSError, ImportError, LookupError):
        return []


def smallest_memory(visible: str | None) -> int | None:
    """Return the bytes of the smallest GPU that a process may use; None where the driver does not tell.

    Parameters
    ----------
    visible
        ``CUDA_VISIBLE_DEVICES``; all of the machine's where it is not set, or empty: Ray hides them from tasks that
        ask for none.
    """
    try:
        nvml = _library()
        if not visible:
            handles = [card.handle for card in cards(nvml) if card is not None]
        else:
            handles = [find(nvml, name.strip()).handle for name in visible.split(",")]
    except (OSError, ImportError, LookupError):
        return None
    try:
        return min((int(nvml.nvmlDeviceGetMemoryInfo(handle).total) for handle in handles), default=None)
    except nvml.NVMLError:
        return None


def _library() -> Any:
    """Return pynvml with the driver's library loaded.

    Raises
    ------
    LookupError
        If there is none, or it does not answer.
    """
    import pynvml

    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        raise LookupError(f"no NVIDIA driver answers here ({error})") from None
    return pynvml
