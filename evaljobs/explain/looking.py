"""The work of explaining: one image after another, each by itself, so that it can be done anywhere."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from evaljobs.errors import ModelError, ModelErrorKind
from evaljobs.explain.ablation import Cam, ablation_cam
from evaljobs.explain.choosing import Item
from evaljobs.explain.faithful import Check, Faithfulness, faithfulness, rank_correlation
from evaljobs.explain.halved import opened
from evaljobs.explain.sight import Sight
from evaljobs.images.picture import picture_of
from evaljobs.models.grid import Layer

# An image takes about as long as comparing so many pairs: by it the work is shared among machines.
PAIRS_AN_IMAGE = 10**8
# The halves of a model must give what the whole gave, which may have been a GPU or a fused graph.
_SAME = 1e-2


class Task(NamedTuple):
    """What is explained, and by which layer of which model; picklable.

    Attributes
    ----------
    sight
        The model, and the images of the items, in their order.
    role
        Which of the model's outputs is explained.
    """

    sight: Sight
    items: tuple[Item, ...]
    role: str
    layer: Layer

    @property
    def n_pairs(self) -> int:
        """What it costs."""
        return len(self.items) * PAIRS_AN_IMAGE


class Seen(NamedTuple):
    """One explained image.

    Attributes
    ----------
    number
        Of its item.
    values
        ``[H, W]`` float32: the map.
    shown
        The target's number as people know it: a probability, or a cosine.
    picture
        PNG of the image as the model sees it.
    faithfulness
        None where it was not asked for.
    shuffled
        Rank correlation with the map of the model with shuffled weights; None where it was not asked for, or is
        undefined.
    """

    number: int
    values: NDArray[np.float32]
    shown: float
    picture: bytes
    faithfulness: Faithfulness | None
    shuffled: float | None


@dataclass(frozen=True)
class All:
    """Explained images, in any order."""

    seen: tuple[Seen, ...]

    def __add__(self, other: All) -> All:
        return All(self.seen + other.seen)

    @property
    def in_order(self) -> list[Seen]:
        """The images in the order of their items."""
        return sorted(self.seen, key=lambda one: one.number)


@dataclass(frozen=True)
class Looking:
    """The pass over the images.

    Attributes
    ----------
    n
        How many.
    steps
        Of the deletion and insertion curves; 0: none are made.
    shuffled
        Whether each map is compared with that of the model with shuffled weights.
    seed
        Of random maps and shuffled weights.
    """

    n: int
    steps: int
    shuffled: bool
    seed: int

    def parts(self, at_least: int) -> list[range]:
        """Return a part for each image."""
        del at_least
        return [range(number, number + 1) for number in range(self.n)]

    def pairs(self, part: range, /) -> int:
        """Return what a part costs."""
        return len(part) * PAIRS_AN_IMAGE

    def run(self, samples: Task, part: range, onto: All | None = None) -> All:
        """Explain some images.

        Raises
        ------
        ImageError
            If an image can no longer be read.
        ModelError
            If the model cannot run.
        """
        found = All(tuple(self._explain(samples, number) for number in part))
        return found if onto is None else onto + found

    def _explain(self, task: Task, number: int) -> Seen:
        item, sight = task.items[number], task.sight
        pixels = sight.pixels(number)
        halved = opened(sight.model, task.role, task.layer)
        cam = ablation_cam(halved, pixels, item.target)
        _check_same(cam, item, task)
        checked = None
        if self.steps:
            check = Check(self.steps, _seed(self.seed, sight.digests[number].as_py()))
            checked = faithfulness(halved, pixels, cam.values, item.target, check)
        correlation = None
        if self.shuffled:
            other = ablation_cam(opened(sight.model, task.role, task.layer, self.seed), pixels, item.target)
            correlation = rank_correlation(cam.signed, other.signed)
        shown = float(item.target.shown(cam.row[None])[0])
        picture = picture_of(pixels, sight.model.pixels.geometry.color)
        return Seen(number, cam.values.astype(np.float32), shown, picture, checked, correlation)


def _check_same(cam: Cam, item: Item, task: Task) -> None:
    """Compare what the halves give with what the model gave when the image was embedded.

    Raises
    ------
    ModelError
        FAILED, where they differ by more than rounding.
    """
    scale = float(np.abs(item.own).max())
    if not np.allclose(cam.row, item.own, rtol=0, atol=_SAME * scale):
        raise ModelError(
            ModelErrorKind.FAILED,
            f"cut at {task.layer.tensor!r}, the model gives an image another output than as a whole: the difference is "
            f"{float(np.abs(cam.row - item.own).max()):.3g}, of values up to {scale:.3g}; name another `layer`",
        )


def _seed(seed: int, digest: bytes) -> int:
    """Return a number for an image, whatever its place."""
    return int.from_bytes(hashlib.blake2b(digest, digest_size=8, key=seed.to_bytes(8, "little")).digest(), "little")
