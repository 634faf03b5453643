"""Count the products of tiles in bins, on the device, and list the pairs of flagged bins."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from evaljobs.pairs.bins import HALF_ROWS, Bins
from evaljobs.pairs.count import Counts
from evaljobs.pairs.gpu.kernels import can_compile, kernel, shared_bytes

if TYPE_CHECKING:
    import torch

_THREADS = 512
_BLOCKS = 512


class Tally:
    """Counts and kept pairs of a pass.

    Parameters
    ----------
    flags
        ``[bins]`` uint8: whose pairs are kept.
    capacity
        Most pairs that are held at a time.
    gap
        A range of bins without flags, the busier the better: it saves looking.
    """

    def __init__(
        self, device: torch.device, bins: Bins, flags: NDArray[np.uint8], capacity: int, gap: tuple[int, int] = (0, 0)
    ) -> None:
        import torch

        self._bins, self._capacity = bins, capacity
        self._counts = torch.zeros((2, bins.count), dtype=torch.int64, device=device)  # impostor, genuine
        self._kept = torch.empty((3, max(1, capacity)), dtype=torch.int32, device=device)
        self._n_kept = torch.zeros(1, dtype=torch.int64, device=device)
        self._flags = torch.tensor(flags, device=device).bool()
        packed = np.zeros(-(-bins.count // 32) * 32, np.uint8)
        packed[: bins.count] = flags
        self._marks = torch.tensor(np.packbits(packed, bitorder="little").view(np.int32), device=device)
        self._gap = torch.tensor(gap, dtype=torch.int32, device=device)
        self._kernels = ("count_plain", "count_mixed") if bins.half else ("count_plain_wide", "count_mixed_wide")
        self._scale = bins.scale / HALF_ROWS**2 if bins.half else float(bins.scale)
        self._compiled = device.type == "cuda" and self._prepare_kernels(device)

    def _prepare_kernels(self, device: torch.device) -> bool:
        """Return whether there are kernels; there are none for bins that do not fit the shared memory."""
        import torch

        shared = shared_bytes(self._bins.count)
        if not can_compile() or shared > torch.cuda.get_device_properties(device).shared_memory_per_block_optin:
            return False
        for name in self._kernels:
            kernel(name).set_shared_memory_config(shared)
        return True

    @property
    def half(self) -> bool:
        """Whether it counts float16 products; else float32 products."""
        return self._bins.half

    def counts(self) -> Counts:
        """Return the counts so far."""
        impostor, genuine = self._counts.cpu().numpy()
        return Counts(impostor, genuine)

    @property
    def n_kept(self) -> int:
        """Number of pairs in flagged bins since the last `take`; those beyond the capacity are not held."""
        return int(self._n_kept.item())

    def take(self) -> torch.Tensor:
        """Return the pairs that are held, ``[3, m]`` int32: i, j and bin; until the next `count`. And hold none."""
        kept = self._kept[:, : min(self.n_kept, self._capacity)]
        self._n_kept.zero_()
        return kept

    def count(  # noqa: PLR0913 - a tile is a product, its place, and what its samples are
        self,
        product: torch.Tensor,
        place: tuple[int, int],
        row_ends: torch.Tensor,
        column_ends: torch.Tensor,
        *,
        triangle: bool,
        impostors: bool = False,
    ) -> None:
        """Count the pairs of a tile.

        Parameters
        ----------
        product
            ``[at least h, at least w]`` float16, or float32 where the bins are of those; contiguous.
        place
            Positions of the first row and column.
        row_ends, column_ends
            ``[h]``, ``[w]`` int32: equal for samples with the same label.
        triangle
            Count only pairs i < j.
        impostors
            The tile is full, and all its pairs are impostors.
        """
        if not self._compiled:
            self._count_plainly(product, place, row_ends, column_ends, triangle=triangle)
        elif impostors and product.shape[1] == len(column_ends) and len(column_ends) % 8 == 0:
            self._launch(self._kernels[0], 0, product, place, row_ends, column_ends, triangle=False)
        else:
            for same in (0, 1):
                self._launch(self._kernels[1], same, product, place, row_ends, column_ends, triangle=triangle)

    def _launch(  # noqa: PLR0913, PLR0917 - likewise
        self,
        name: str,
        same: int,
        product: torch.Tensor,
        place: tuple[int, int],
        row_ends: torch.Tensor,
        column_ends: torch.Tensor,
        *,
        triangle: bool,
    ) -> None:
        h, w, bins = len(row_ends), len(column_ends), self._bins
        arguments = [
            product, product.shape[1] // 8, h, w, *place, int(triangle), same, row_ends, column_ends,
            self._scale, bins.zero, bins.count, self._marks, self._gap,
            self._counts[same], self._kept, self._n_kept, self._capacity,
        ]  # fmt: skip
        kernel(name)((min(h, _BLOCKS), 1, 1), (_THREADS, 1, 1), arguments, shared_bytes(bins.count))

    def _count_plainly(
        self,
        product: torch.Tensor,
        place: tuple[int, int],
        row_ends: torch.Tensor,
        column_ends: torch.Tensor,
        *,
        triangle: bool,
    ) -> None:
        """Count as the kernels do, in torch."""
        import torch

        h, w = len(row_ends), len(column_ends)
        i = torch.arange(place[0], place[0] + h, dtype=torch.int32, device=product.device)[:, None]
        j = torch.arange(place[1], place[1] + w, dtype=torch.int32, device=product.device)
        values = product[:h, :w].float() * self._scale + self._bins.zero
        found = values.to(torch.int32)
        counted = j > i if triangle else torch.ones_like(found, dtype=torch.bool)
        genuine = row_ends[:, None] == column_ends
        for kind, mask in enumerate((counted & ~genuine, counted & genuine)):
            self._counts[kind] += torch.bincount(found[mask], minlength=self._bins.count)
        near = (self._flags[found.long()] & counted).nonzero()
        start, room = self.n_kept, max(0, self._capacity - self.n_kept)
        r, c = near[:room].T
        self._kept[:, start : start + len(r)] = torch.stack((i[r, 0], j[c], found[r, c]))
        self._n_kept += len(near)
