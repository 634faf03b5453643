"""The accepted genuine pairs of each label, counted on a device: as `pairs.by_label` does, in larger blocks."""

from __future__ import annotations

from evaljobs.pairs.by_label import Accepted, ByLabel, blocks_of
from evaljobs.pairs.gpu.rows import Rows
from evaljobs.pairs.gpu.sheet import Done
from evaljobs.pairs.gpu.tally import numbers
from evaljobs.pairs.samples import Samples

_SIZE = 2048  # samples a block is wide and high


class Leveller:
    """Decides every genuine pair at every threshold."""

    def __init__(self, work: ByLabel, rows: Rows, samples: Samples) -> None:
        import torch

        device = rows.unit.device
        self._work, self._rows, self._n_labels = work, rows, samples.n_labels
        self._blocks = list(blocks_of(samples, work.rows, work.columns, _SIZE))
        self._by_label = torch.tensor(work.rows, device=device)
        self._level = torch.tensor(work.level_of_bin, dtype=torch.int64, device=device)
        self._thresholds = torch.tensor(work.thresholds, dtype=torch.float64, device=device)
        self._n_levels = len(work.thresholds) + 1
        self._levels = torch.zeros(samples.n_labels * self._n_levels, dtype=torch.int64, device=device)

    def accepted(self, done: Done) -> Accepted:
        """Count the pairs of all blocks."""
        for i0, i1, j0, j1 in self._blocks:
            self._count(i0, i1, j0, j1)
            done((i1 - i0) * (j1 - j0))
        return Accepted(self._levels.view(self._n_labels, self._n_levels).cpu().numpy())

    def pairs(self) -> int:
        """Return the number of pairs of all blocks, those of different labels included."""
        return sum((i1 - i0) * (j1 - j0) for i0, i1, j0, j1 in self._blocks)

    def _count(self, i0: int, i1: int, j0: int, j1: int) -> None:
        import torch

        rows, bins = self._rows, self._work.bins
        i, j = self._by_label[i0:i1], self._by_label[j0:j1]
        labels, places = rows.labels[i], torch.arange(i0, i1, device=i.device)
        genuine = (labels[:, None] == rows.labels[j]) & (places[:, None] < torch.arange(j0, j1, device=i.device))
        r, c = genuine.nonzero(as_tuple=True)
        of_product = torch.float16 if bins.half else torch.float32
        product = rows.product(i, j, torch.empty((len(i), len(j)), dtype=of_product, device=i.device))
        level = self._level[numbers(product[r, c], bins).long()]
        open_ = (level < 0).nonzero()[:, 0]
        scores = rows.score(i[r[open_]].int(), j[c[open_]].int())
        level[open_] = torch.searchsorted(self._thresholds, scores, right=True)
        self._levels += torch.bincount(labels[r].long() * self._n_levels + level, minlength=len(self._levels))
