"""The pairs that a scan on a device kept, scored there when they are asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from evaljobs.pairs.count import Counts
from evaljobs.pairs.gpu.rows import Rows
from evaljobs.pairs.points import Found
from evaljobs.pairs.pool import Float64, Pool
from evaljobs.pairs.scan import Kept

if TYPE_CHECKING:
    import torch


class DevicePool(Pool):
    """Kept pairs by their bins, on a device.

    Parameters
    ----------
    near
        ``[3, m]`` int32: i, j and bin.
    """

    def __init__(self, rows: Rows, near: torch.Tensor, counts: Counts) -> None:
        import torch

        self._rows, self._near = rows, near
        self._genuine = rows.genuine(near[0], near[1])
        kinds = ((~self._genuine, counts.impostor), (self._genuine, counts.genuine))
        held = [torch.bincount(near[2][kind], minlength=len(number)).cpu().numpy() for kind, number in kinds]
        self._all_kept = np.stack([number == all_ for number, (_, all_) in zip(held, kinds, strict=True)])

    def scores(self, first: int, last: int) -> tuple[Float64, Float64] | None:
        """Return the impostor and genuine scores of the bins from `first` to `last`, each ascending.

        None where pairs of these bins were not kept.
        """
        scored = self._scored(first, last)
        if scored is None:
            return None
        impostor, genuine = (scores.sort().values.cpu().numpy() for scores in scored)
        return impostor, genuine

    def divide(self, first: int, last: int, rank: int) -> Found | None:
        """Divide the scores of the bins from `first` to `last` by the impostor with a rank from their top."""
        scored = self._scored(first, last)
        if scored is None:
            return None
        impostor = scored[0].sort().values
        blocker = impostor[len(impostor) - rank]
        accepted = tuple(scores[scores > blocker] for scores in scored)
        lowest = [float(scores.amin()) for scores in accepted if len(scores)]
        return Found(float(blocker), min(lowest, default=None), len(accepted[0]), len(accepted[1]))

    def listed(self, first: int, last: int, *, genuine: bool) -> Kept | None:
        """Return the pairs of one kind in some bins, with their scores, rounded, for the values of a filter."""
        if not self._all_kept[int(genuine), first : last + 1].all():
            return None
        here = self._here(first, last) & (self._genuine == genuine)
        i, j = self._near[0][here], self._near[1][here]
        return Kept(*(column.cpu().numpy() for column in (i, j, self._rows.score(i, j).float())))

    def _scored(self, first: int, last: int) -> tuple[torch.Tensor, torch.Tensor] | None:
        """Return the impostor and the genuine scores of some bins, on the device."""
        if not self._all_kept[:, first : last + 1].all():
            return None
        here = self._here(first, last)
        scores, genuine = self._rows.score(self._near[0][here], self._near[1][here]), self._genuine[here]
        return scores[~genuine], scores[genuine]

    def _here(self, first: int, last: int) -> torch.Tensor:
        return (self._near[2] >= first) & (self._near[2] <= last)
