"""A map as the parts of one pass: each projection by itself, anywhere, and what is made of them in the end."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from evaljobs.projection import methods
from evaljobs.projection.methods import Float32, Nearest, Pca, Tsne

_TOO_FEW = "t-SNE has nothing to arrange: fewer than five of the images that are shown have different embeddings"
_ALL_EQUAL = "all embeddings that are shown are equal: the model has collapsed, or the images are one image"


@dataclasses.dataclass(frozen=True)
class Shown:
    """The images that are shown, in the order of the points: rows of the set, digests, labels, how they were chosen."""

    rows: Sequence[int]
    digests: Sequence[bytes]
    labels: Sequence[str]
    sampling: str

    def same_by_chance(self) -> float | None:
        """Return the share of pairs that have one label, of all pairs; None where there is no pair."""
        n = len(self.labels)
        same = sum(count * (count - 1) for count in Counter(self.labels).values())
        return same / (n * (n - 1)) if n > 1 else None

    def notes(self) -> list[str]:
        """Return what is remarkable about the images."""
        twice = sum(count for count in Counter(self.digests).values() if count > 1)
        if not twice:
            return []
        return [
            f"{twice:,} of the images that are shown are there more than once, byte for byte: nearest is their copy"
        ]


@dataclasses.dataclass(frozen=True)
class Points:
    """What parts look at: rows of length 1, ``[n, d]`` float32."""

    unit: Float32

    @property
    def n_pairs(self) -> int:
        """Number of pairs of rows."""
        return len(self.unit) * (len(self.unit) - 1) // 2


@dataclasses.dataclass(frozen=True)
class Projecting:
    """The pass: each part is a projection, or the search for the nearest images.

    Attributes
    ----------
    works
        What is looked for: `pca`, `tsne`, `nearest`.
    perplexity, seed
        Of t-SNE.
    n
        How many images are shown.
    """

    works: tuple[str, ...]
    perplexity: float
    seed: int
    n: int

    def parts(self, at_least: int) -> list[range]:
        """Return a part for each: a projection cannot be cut."""
        del at_least
        return [range(number, number + 1) for number in range(len(self.works))]

    def pairs(self, part: range, /) -> int:
        """Return how many pairs a part looks at."""
        return len(part) * self.n * (self.n - 1) // 2

    def run(self, samples: Points, part: range, onto: Found | None = None) -> Found:
        """Carry a part out."""
        found = Found() if onto is None else onto
        for number in part:
            match self.works[number]:
                case "pca":
                    found += Found(pca=methods.pca(samples.unit))
                case "tsne":
                    found += Found(tsne=methods.tsne(samples.unit, self.perplexity, self.seed))
                case _:
                    found += Found(nearest=methods.nearest(samples.unit))
        return found


@dataclasses.dataclass(frozen=True)
class Found:
    """What parts found; None is what they did not look for, or what is not there. A sum is the union."""

    pca: Pca | None = None
    tsne: Tsne | None = None
    nearest: Nearest | None = None

    def __add__(self, other: Found) -> Found:
        return Found(self.pca or other.pca, self.tsne or other.tsne, self.nearest or other.nearest)

    def pca_facts(self) -> dict[str, Any] | None:
        """Return what is to be known of the principal components, as JSON."""
        if self.pca is None:
            return None
        shares = self.pca.explained_variance
        return {"explained_variance": None if shares is None else list(shares)}

    def tsne_facts(self) -> dict[str, Any] | None:
        """Return what is to be known of t-SNE, as JSON."""
        found = self.tsne
        if found is None:
            return None
        return {name: getattr(found, name) for name in ("perplexity", "kl_divergence", "iterations")}

    def same(self, labels: Sequence[str]) -> float | None:
        """Return the share of images whose nearest has the same label."""
        if self.nearest is None:
            return None
        rows: list[int] = self.nearest.rows.tolist()
        return sum(labels[one] == labels[other] for one, other in enumerate(rows)) / len(labels)

    def notes(self, asked: Sequence[str]) -> list[str]:
        """Return what is missing of the methods that were asked for, and why."""
        equal = self.pca is not None and self.pca.explained_variance is None and len(self.pca.xy) > 1
        return [*([_ALL_EQUAL] if equal else []), *([_TOO_FEW] if "tsne" in asked and self.tsne is None else [])]

    def table(self, shown: Shown, asked: Sequence[str]) -> pa.Table:
        """Return a row for each image that is shown.

        Columns row, image_digest, label; ``pca_x``, ``pca_y``, ``tsne_x``, ``tsne_y`` (float64, null where the method
        found nothing; those that were asked for); nearest_row and nearest_score, the image with the largest cosine.
        """
        n = len(shown.rows)
        columns = {
            "row": pa.array(shown.rows, pa.int64()),
            "image_digest": pa.array(shown.digests, pa.binary(32)),
            "label": pa.array(shown.labels, pa.string()),
        }
        for method, found in (("pca", self.pca), ("tsne", self.tsne)):
            for number, axis in enumerate("xy"):
                if method in asked:
                    place = pa.nulls(n, pa.float64()) if found is None else pa.array(found.xy[:, number].copy())
                    columns[f"{method}_{axis}"] = place
        near = self.nearest
        rows = None if near is None else [shown.rows[other] for other in near.rows.tolist()]
        columns["nearest_row"] = pa.nulls(n, pa.int64()) if rows is None else pa.array(rows, pa.int64())
        columns["nearest_score"] = pa.nulls(n, pa.float64()) if near is None else pa.array(near.scores)
        return pa.table(columns)
