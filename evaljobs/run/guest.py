"""What a configuration asks of machines that are shared with others, as raycluster takes it."""

from __future__ import annotations

from evaljobs.config import Guest
from raycluster.sensors.readings import Limits, Readings
from raycluster.sensors.rules import Row, Rules


def guest_rules(guest: Guest, device: str) -> Rules | None:
    """Return when the processes of a run wait; None: never.

    Limits of a GPU are of no matter where none is used, unless their readings are written down.
    """
    rules = Rules(
        gpu=_gpu_limits(guest) if _has_gpu(guest, device) else Limits(),
        cpu=Limits(guest.free_memory_mb, guest.cpu_utilisation, guest.cpu_temperature),
        every_s=guest.every_s,
        margin=guest.resume_margin / 100,
        patience_s=guest.patience_s,
        recording=tuple(
            Row(
                Readings(row.gpu_free_memory_mb, row.gpu_utilisation, row.gpu_temperature),
                Readings(row.free_memory_mb, row.cpu_utilisation, row.cpu_temperature),
            )
            for row in guest.recorded
        ),
    )
    return rules if rules else None


def guest_notes(guest: Guest, device: str) -> tuple[str, ...]:
    """Return what people should know of limits that are written and mean nothing, or readings that are none."""
    notes: tuple[str, ...] = ()
    if _gpu_limits(guest) and not _has_gpu(guest, device):
        notes += ("`cluster.guest`: this run computes on the CPU, so the limits of a GPU are of no matter.",)
    if guest.recorded:
        notes += ("`cluster.guest.recorded`: the readings are written down, the machine's own are not looked at.",)
    return notes


def _has_gpu(guest: Guest, device: str) -> bool:
    return device == "cuda" or bool(guest.recorded)


def _gpu_limits(guest: Guest) -> Limits:
    return Limits(guest.gpu_free_memory_mb, guest.gpu_utilisation, guest.gpu_temperature)
