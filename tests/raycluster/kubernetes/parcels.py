"""A run to be put on Kubernetes."""

from __future__ import annotations

from raycluster.kubernetes.asked import Asked, Schedule, Workers
from raycluster.program import Parcel

RESULTS = "s3://bucket/faces/results"


def parcel(**changes: object) -> Parcel:
    """Return a parcel with files of text and of bytes."""
    given: dict[str, object] = {
        "name": "Faces nightly",
        "digest": "ab12" * 16,
        "files": {"benchmark.yaml": b"version: 1\n", "pairs/list.bin": b"\xff\x00", "we ird & 'name'.txt": b"x"},
        "command": ("evaljobs", "run", "benchmark.yaml", "--out", RESULTS),
        "results": RESULTS,
    }
    return Parcel(**{**given, **changes})  # type: ignore[arg-type]  # a mapping of its own fields


ONCE = Asked("registry.example.org/evaljobs:0.1.0")
WHOLE = Asked(
    "registry.example.org/evaljobs:0.1.0",
    namespace="teams",
    service_account="runs",
    secret="bucket",  # noqa: S106 - the name of a Secret
    queue="gpus",
    priority_class="low",
    workers=Workers(count=2, gpus=4),
    deadline_s=3600,
    schedule=Schedule("0 3 * * *", "Asia/Tokyo", overlap=False),
)
