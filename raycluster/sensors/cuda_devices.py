"""Which GPU of the machine a process sees first, as CUDA reads CUDA_VISIBLE_DEVICES: an index, a UUID, a MIG instance.

The names are those of https://docs.nvidia.com/cuda/cuda-c-programming-guide/index.html#env-vars.
"""

from __future__ import annotations

import os
from typing import Any, NamedTuple

_ORDER = "CUDA_DEVICE_ORDER"


class Found(NamedTuple):
    """A device: its name for people, its handle, and that of the card that it is or lies on."""

    name: str
    handle: Any
    card: Any


class Card(NamedTuple):
    """A GPU of the machine that answers."""

    uuid: str
    name: str
    handle: Any


def cards(nvml: Any) -> list[Card | None]:
    """Return the GPUs of the machine by their numbers; None for one that does not answer, such as one off its bus.

    Raises
    ------
    LookupError
        If the driver does not say how many there are.
    """
    try:
        return [_card(nvml, number) for number in range(nvml.nvmlDeviceGetCount())]
    except nvml.NVMLError as error:
        raise LookupError(f"the driver does not say how many GPUs there are ({error})") from None


def _card(nvml: Any, number: int) -> Card | None:
    try:
        handle = nvml.nvmlDeviceGetHandleByIndex(number)
        return Card(nvml.nvmlDeviceGetUUID(handle), nvml.nvmlDeviceGetName(handle), handle)
    except nvml.NVMLError:
        return None


def find(nvml: Any, visible: str | None) -> Found:
    """Return the first of the devices that CUDA shows.

    Parameters
    ----------
    nvml
        The module pynvml, ready to be asked.
    visible
        ``CUDA_VISIBLE_DEVICES``; None where it is not set: all of the machine's.

    Raises
    ------
    LookupError
        Saying why there is none, or why it is not certain which it is.
    """
    first = "0" if visible is None else visible.split(",")[0].strip()
    try:
        if first.isdecimal():
            return _by_index(nvml, int(first))
        if first.startswith("MIG-"):
            return _instance(nvml, first)
        if first.startswith("GPU-"):
            return _by_uuid(nvml, first)
    except nvml.NVMLError as error:
        raise LookupError(f"the driver knows no GPU {first!r} ({error})") from None
    raise LookupError(f"CUDA_VISIBLE_DEVICES is {visible!r}, which shows no GPU")


def _by_index(nvml: Any, index: int) -> Found:
    found = cards(nvml)
    # CUDA counts the fastest first, the driver by the bus: the same where all are alike.
    if os.environ.get(_ORDER) != "PCI_BUS_ID" and len({card.name for card in found if card}) > 1:
        raise LookupError(
            f"the GPUs here are of several kinds, so it is not certain which one CUDA counts as {index}; set "
            f"{_ORDER}=PCI_BUS_ID where Ray is started"
        )
    if index >= len(found):
        raise LookupError(f"there is no GPU {index} among the {len(found)} of the machine")
    card = found[index]
    if card is None:
        raise LookupError(f"GPU {index} does not answer the driver")
    return Found(f"GPU {index}", card.handle, card.handle)


def _by_uuid(nvml: Any, start: str) -> Found:
    """Return the card whose UUID begins so: CUDA takes a beginning that is one card's alone."""
    found = [(n, card) for n, card in enumerate(cards(nvml)) if card and card.uuid.startswith(start)]
    if len(found) != 1:
        raise LookupError(f"{len(found)} GPUs of the machine have a UUID that begins with {start}")
    number, card = found[0]
    return Found(f"GPU {number}", card.handle, card.handle)


def _instance(nvml: Any, uuid: str) -> Found:
    """Return a MIG instance: memory is its own, the temperature is the card's."""
    handle = nvml.nvmlDeviceGetHandleByUUID(uuid)
    card = nvml.nvmlDeviceGetDeviceHandleFromMigDeviceHandle(handle)
    return Found(f"MIG instance of GPU {nvml.nvmlDeviceGetIndex(card)}", handle, card)
