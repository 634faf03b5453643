"""What a process says of its pauses, in a form that travels."""

from __future__ import annotations

import dataclasses
import json

from raycluster.sensors.readings import Blind, Remark


@dataclasses.dataclass(frozen=True)
class Told:
    """The state of a process.

    Attributes
    ----------
    reasons
        Of the pause that it is in, else of the last one: what did not hold.
    ended
        With what was read when all held again; empty while it waits.
    pauses, seconds
        So far, the present one included.
    looks
        So far: a process that is alive and waits has more and more of them.
    blind
        Limits that cannot be watched, and why.
    """

    reasons: tuple[Remark, ...] = ()
    ended: tuple[Remark, ...] = ()
    pauses: int = 0
    seconds: float = 0.0
    looks: int = 0
    blind: tuple[Blind, ...] = ()

    @property
    def waits(self) -> bool:
        """Whether it is in a pause."""
        return bool(self.reasons) and not self.ended

    def to_bytes(self) -> bytes:
        """Return it as JSON."""
        return json.dumps(dataclasses.asdict(self)).encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> Told:
        """Return what `to_bytes` made bytes of."""
        fields = json.loads(data)
        remarks = {name: tuple(Remark(*item) for item in fields[name]) for name in ("reasons", "ended")}
        return cls(**{**fields, **remarks, "blind": tuple(Blind(*item) for item in fields["blind"])})
