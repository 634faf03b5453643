"""The samples on a device: float16 rows for the filter, float64 rows for the definition."""

from __future__ import annotations

import dataclasses
import functools
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from evaljobs.pairs.bins import HALF_ROWS
from evaljobs.pairs.gpu.kernels import can_compile, kernel
from evaljobs.pairs.samples import Samples

if TYPE_CHECKING:
    import torch

ALIGNED = 8  # products that a kernel loads at once
_ROWS_AT_A_TIME = 2**18
_PAIRS_AT_A_TIME = 2**24
_PAIRS_WITHOUT_KERNEL = 2**20
_THREADS = 128
_COMPONENTS = 32  # rows are padded to a multiple, for the tensor cores


@dataclasses.dataclass(frozen=True)
class Rows:
    """Samples by position, on a device.

    Attributes
    ----------
    n
        Number of samples.
    unit
        ``[n, d]`` float64: the normalised rows of the definition, bit for bit.
    half
        ``[padded n, padded d]``: these times `HALF_ROWS`, rounded to float16, and zeros. Its type is float16; or
        float32 on the CPU, which multiplies that faster, and sums in it.
    labels
        ``[padded n]`` int32: the numbers of the labels, -1 beyond the samples.
    """

    n: int
    unit: torch.Tensor
    half: torch.Tensor
    labels: torch.Tensor

    @functools.cached_property
    def full(self) -> torch.Tensor:
        """``[padded n, padded d]`` float32: the normalised rows, rounded, and zeros."""
        import torch

        full = torch.zeros(self.half.shape, dtype=torch.float32, device=self.unit.device)
        for first in range(0, self.n, _ROWS_AT_A_TIME):
            part = slice(first, min(self.n, first + _ROWS_AT_A_TIME))
            full[part, : self.unit.shape[1]] = self.unit[part].float()
        return full

    def product(self, i: slice | torch.Tensor, j: slice | torch.Tensor, out: torch.Tensor) -> torch.Tensor:
        """Multiply rows with rows into ``[h, w]``.

        Nearly their scores, where that is float32; nearly their scores times `HALF_ROWS` squared, where it is float16.
        """
        import torch

        if out.dtype == torch.float32:
            return torch.mm(self.full[i], self.full[j].T, out=out)
        if self.half.dtype == torch.float16:
            return torch.mm(self.half[i], self.half[j].T, out=out)
        return out.copy_(self.half[i] @ self.half[j].T)

    def genuine(self, i: torch.Tensor, j: torch.Tensor) -> torch.Tensor:
        """Return which pairs of positions, ``[m]`` int32 each, have equal labels: ``[m]`` bool."""
        return self.labels[i.long()] == self.labels[j.long()]

    def score(self, i: torch.Tensor, j: torch.Tensor) -> torch.Tensor:
        """Score pairs of positions, ``[m]`` int32 each, by the definition: ``[m]`` float64."""
        import torch

        scores = torch.empty(len(i), dtype=torch.float64, device=self.unit.device)
        step = _PAIRS_AT_A_TIME if i.is_cuda else _PAIRS_WITHOUT_KERNEL
        for first in range(0, len(i), step):
            part = slice(first, first + step)
            self._score(i[part], j[part], scores[part])
        return scores

    def _score(self, i: torch.Tensor, j: torch.Tensor, scores: torch.Tensor) -> None:
        if not (i.is_cuda and can_compile()):
            score_by_columns(self.unit, i, j, scores)
            return
        grid = (-(-len(i) // _THREADS), 1, 1)
        arguments = [self.unit, self.unit.shape[1], i.contiguous(), j.contiguous(), scores, len(i)]
        kernel("score_pairs")(grid, (_THREADS, 1, 1), arguments)


def score_by_columns(unit: torch.Tensor, i: torch.Tensor, j: torch.Tensor, scores: torch.Tensor) -> None:
    """Score pairs as the kernel does: a product and a sum for each dimension, two calls, so that nothing is fused."""
    i, j = i.long(), j.long()
    scores.zero_()
    for column in unit.T:
        scores += column[i] * column[j]


def load(samples: Samples, device: torch.device) -> Rows:
    """Put samples on a device, padded so that a tile may begin anywhere and be a multiple of `ALIGNED` wide."""
    import torch

    n, d = samples.rows.shape
    n_padded, d_padded = n + ALIGNED - 1, -(-d // _COMPONENTS) * _COMPONENTS
    of_half = torch.float16 if device.type == "cuda" else torch.float32
    rows, order = _tensor(samples.rows).to(device), _tensor(samples.order).to(device)
    norms = _tensor(samples.norms).to(device)
    unit = torch.empty((n, d), dtype=torch.float64, device=device)
    half = torch.zeros((n_padded, d_padded), dtype=of_half, device=device)
    labels = torch.full((n_padded,), -1, dtype=torch.int32, device=device)
    labels[:n] = _tensor(samples.labels).to(device)
    for first in range(0, n, _ROWS_AT_A_TIME):
        part = slice(first, min(n, first + _ROWS_AT_A_TIME))
        unit[part] = rows[order[part]].double() / norms[part, None]
        half[part, :d] = (unit[part] * HALF_ROWS).float().half()
    return Rows(n, unit, half, labels)


def _tensor(array: NDArray[np.generic]) -> torch.Tensor:
    import torch

    return torch.from_numpy(array if array.flags.writeable else array.copy())
