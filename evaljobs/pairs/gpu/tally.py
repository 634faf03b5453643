"""Count the products of tiles in bins, on the device, and list the pairs of flagged bins."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from evaljobs.pairs.bins import HALF_ROWS, Bins
from evaljobs.pairs.count import Counts, Groups
from evaljobs.pairs.gpu.kernels import can_compile, kernel, shared_bytes
from evaljobs.pairs.gpu.rows import ALIGNED

if TYPE_CHECKING:
    import torch

Gap = tuple[int, int]
_THREADS = 512
_BLOCKS = 512


def scale_of(bins: Bins) -> float:
    """Return what products of the kind of the bins are multiplied with to be counted in them."""
    return bins.scale / HALF_ROWS**2 if bins.half else float(bins.scale)


class Tally:
    """Counts and kept pairs of a pass.

    Parameters
    ----------
    flags
        ``[2, bins]`` uint8: 1 where impostor, and where genuine pairs are kept.
    capacity
        Most pairs that are held at a time.
    gaps
        For impostor, and for genuine pairs, a range of bins without flags, the busier the better: it saves looking.
    n_groups
        Of how many groups pairs are counted apart; 0 for none.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - what is counted, what is kept, and where
        self,
        device: torch.device,
        bins: Bins,
        flags: NDArray[np.uint8],
        capacity: int,
        gaps: tuple[Gap, Gap] = ((0, 0), (0, 0)),
        n_groups: int = 0,
    ) -> None:
        import torch

        self._bins, self._capacity, self._n_groups = bins, capacity, n_groups
        # Impostor and genuine pairs since the last `settle`, by the group of their column.
        self._counts = torch.zeros((max(1, n_groups), 2, bins.count), dtype=torch.int64, device=device)
        self._total = torch.zeros((2, bins.count), dtype=torch.int64, device=device)
        n_folded = -(-bins.count // bins.fold)
        self._groups = torch.zeros((n_groups, 2, n_folded), dtype=torch.int64, device=device)
        self._kept = torch.empty((3, max(1, capacity)), dtype=torch.int32, device=device)
        self._n_kept = torch.zeros(1, dtype=torch.int64, device=device)
        self._flags = torch.tensor(flags, device=device).bool()
        packed = np.zeros((2, -(-bins.count // 32) * 32), np.uint8)
        packed[:, : bins.count] = flags
        self._marks = torch.tensor(np.packbits(packed, axis=1, bitorder="little").view(np.int32), device=device)
        self._gaps = torch.tensor(gaps, dtype=torch.int32, device=device)
        self._kernels = ("count_plain", "count_mixed") if bins.half else ("count_plain_wide", "count_mixed_wide")
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
        impostor, genuine = (self._total + self._counts.sum(dim=0)).cpu().numpy()
        return Counts(impostor, genuine)

    def settle(self, group: int) -> None:
        """Count the pairs since the last time as touching the group of their rows, and those of their columns."""
        import torch

        self._total += self._counts.sum(dim=0)
        if self._n_groups:
            fold = self._bins.fold
            room = -self._bins.count % fold
            found = torch.nn.functional.pad(self._counts, (0, room)).unflatten(2, (-1, fold)).sum(dim=3)
            self._groups += found
            self._groups[group] += found.sum(dim=0) - found[group]
        self._counts.zero_()

    def groups(self) -> Groups | None:
        """Return the pairs that touch each group, as far as they are settled; None where there are no groups."""
        if not self._n_groups:
            return None
        impostor, genuine = self._groups.cpu().numpy().transpose(1, 0, 2)
        return Groups(impostor, genuine)

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
        row_labels: torch.Tensor,
        column_labels: torch.Tensor,
        *,
        triangle: bool,
        impostors: bool = False,
        group: int = 0,
    ) -> None:
        """Count the pairs of a tile.

        Parameters
        ----------
        product
            ``[at least h, at least w]`` float16, or float32 where the bins are of those; contiguous.
        place
            Positions of the first row and column.
        row_labels, column_labels
            ``[h]``, ``[w]`` int32.
        triangle
            Count only pairs i < j.
        impostors
            All its pairs are impostors, and are counted.
        group
            That of the columns, where groups are counted.
        """
        group = group if self._n_groups else 0
        if not self._compiled:
            self._count_plainly(product, place, row_labels, column_labels, triangle=triangle, group=group)
            return
        name = self._kernels[0 if impostors else 1]
        for same in (0,) if impostors else (0, 1):
            self._launch(name, same, product, place, row_labels, column_labels, triangle=triangle, group=group)

    def _launch(  # noqa: PLR0913, PLR0917 - likewise
        self,
        name: str,
        same: int,
        product: torch.Tensor,
        place: tuple[int, int],
        row_labels: torch.Tensor,
        column_labels: torch.Tensor,
        *,
        triangle: bool,
        group: int,
    ) -> None:
        h, w, bins = len(row_labels), len(column_labels), self._bins
        arguments = [
            product, product.shape[1] // ALIGNED, h, w, *place, int(triangle), same, row_labels, column_labels,
            scale_of(bins), bins.zero, bins.count, self._marks[same], self._gaps[same],
            self._counts[group, same], self._kept, self._n_kept, self._capacity,
        ]  # fmt: skip
        kernel(name)((min(h, _BLOCKS), 1, 1), (_THREADS, 1, 1), arguments, shared_bytes(bins.count))

    def _count_plainly(  # noqa: PLR0913 - likewise
        self,
        product: torch.Tensor,
        place: tuple[int, int],
        row_labels: torch.Tensor,
        column_labels: torch.Tensor,
        *,
        triangle: bool,
        group: int,
    ) -> None:
        """Count as the kernels do, in torch."""
        import torch

        h, w = len(row_labels), len(column_labels)
        i = torch.arange(place[0], place[0] + h, dtype=torch.int32, device=product.device)[:, None]
        j = torch.arange(place[1], place[1] + w, dtype=torch.int32, device=product.device)
        found = numbers(product[:h, :w], self._bins)
        counted = j > i if triangle else torch.ones_like(found, dtype=torch.bool)
        genuine = row_labels[:, None] == column_labels
        for kind, mask in enumerate((counted & ~genuine, counted & genuine)):
            self._counts[group, kind] += torch.bincount(found[mask], minlength=self._bins.count)
        flagged = torch.where(genuine, self._flags[1][found.long()], self._flags[0][found.long()])
        near = (flagged & counted).nonzero()
        start, room = self.n_kept, max(0, self._capacity - self.n_kept)
        r, c = near[:room].T
        self._kept[:, start : start + len(r)] = torch.stack((i[r, 0], j[c], found[r, c]))
        self._n_kept += len(near)


def numbers(product: torch.Tensor, bins: Bins) -> torch.Tensor:
    """Return the bins of products as the kernels compute them, int32."""
    import torch

    return (product.float() * scale_of(bins) + bins.zero).to(torch.int32)
