"""A model in two halves that run by themselves: pixels to a layer, and a layer to rows."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evaljobs.errors import ModelError, ModelErrorKind
from evaljobs.models.feeds import feed_of
from evaljobs.models.fetching import localised
from evaljobs.models.grid import Layer
from evaljobs.models.halves import halves
from evaljobs.models.model import Model
from evaljobs.models.options import Runtime
from evaljobs.models.pooling import rows_of
from evaljobs.models.session import Part
from evaljobs.models.spatial import named_layer, no_layer, outline_of, spatial_layers

Pixels = NDArray[np.uint8]
Rows = NDArray[np.float32]

# Layers that are tried from the last one on: behind the last attention of a transformer with a class token there are a
# few whose places nothing looks at any more.
_TRIED = 12
# Two rows that differ by less, relative to the larger, are the same.
_SAME = 1e-6
# Sessions that a process keeps: a model, and the same one with shuffled weights.
_KEPT = 2
# A serialised model has less than 2 GiB, and one whose weights are shuffled holds them all.
_MOST_SHUFFLED = 2**31 - 2**24


class Halved:
    """A model whose layer is an output of the first half, and the input of the second one. Not picklable.

    Parameters
    ----------
    model
        What to run.
    role
        Which of its outputs the second half gives.
    layer
        Where it is cut.
    shuffled
        Seed by which its weights are shuffled; None leaves them as they are.

    Raises
    ------
    ModelError
        If it cannot be cut or loaded.
    """

    def __init__(self, model: Model, role: str, layer: Layer, shuffled: int | None = None) -> None:
        model = localised(model)
        self.model, self.layer = model, layer
        self._output = model.output(role)
        try:
            cut = halves(model, layer, self._output.tensor, shuffled)
        except (OSError, ValueError) as error:
            message = f"{model.path.name}: its external data cannot be read ({error})"
            raise ModelError(ModelErrorKind.FAILED, message) from None
        # One thread, so that the last bits are the same wherever it runs.
        runtime = Runtime()
        self._trunk = Part(cut.trunk, cut.folder, model, runtime)
        self._head = None
        if layer.tensor != self._output.tensor:
            self._head = Part(cut.head, cut.folder, model, runtime)
        self._needs_image = cut.needs_image

    def trunk(self, pixels: Pixels) -> NDArray[Any]:
        """Return the layer's values, [n, *layer.shape], of images, uint8 [n, h, w, c]."""
        parts = [
            self._trunk.run({self.model.input.name: feed_of(self.model, batch)})[:kept]
            for batch, kept in self._batches(pixels)
        ]
        return np.concatenate(parts)

    def head(self, values: NDArray[Any], *, whole: bool = True) -> Rows:
        """Return the output's rows, float32 [n, d], of the layer's values.

        Parameters
        ----------
        whole
            Whether they are those of images, or some channels were removed.

        Raises
        ------
        ModelError
            FAILED, if a row is not finite.
        """
        rows = np.concatenate([self._rows(batch)[:kept] for batch, kept in self._batches(values)])
        if not np.isfinite(rows).all():
            name = repr(self.layer.tensor)
            raise ModelError(
                ModelErrorKind.FAILED,
                f"cut at {name}, its output for an image, or one whose pixels are taken away, is NaN or infinite"
                if whole
                else f"without some of the channels of {name} its output is NaN or infinite; name an earlier or a "
                "later `layer`",
            )
        return rows

    def rows(self, pixels: Pixels) -> Rows:
        """Return the output's rows of images: what the whole model gives."""
        return np.concatenate([self.head(self.trunk(batch)[:kept]) for batch, kept in self._batches(pixels)])

    def _rows(self, values: NDArray[Any]) -> Rows:
        if self._head is None:
            return rows_of(values, self._output, len(values))
        feed = {self.layer.tensor: values}
        if self._needs_image:
            geometry = self.model.pixels.geometry
            blank = np.zeros((len(values), geometry.height, geometry.width, geometry.channels), np.uint8)
            feed[self.model.input.name] = feed_of(self.model, blank)
        return rows_of(self._head.run(feed), self._output, len(values))

    def _batches(self, values: NDArray[Any]) -> Iterator[tuple[NDArray[Any], int]]:
        """Yield batches as large as the model takes them, filled up where its graph fixes that; and how many count."""
        size = self.model.input.batch or self.model.batch_size
        for start in range(0, len(values), size):
            batch = values[start : start + size]
            kept = len(batch)
            if self.model.input.batch is not None and kept < size:
                batch = np.concatenate([batch, np.repeat(batch[-1:], size - kept, axis=0)])
            yield batch, kept


def can_shuffle(model: Model) -> bool:
    """Say whether a model is small enough to be run with shuffled weights."""
    return model.size_bytes <= _MOST_SHUFFLED


def find_layer(model: Model, role: str, name: str | None = None) -> Layer:
    """Return the layer that is explained: the named one, else the last one whose places the output depends on.

    Raises
    ------
    ModelError
        UNSUPPORTED_OUTPUT, if there is none, or the named one cannot be used.
    """
    model = localised(model)
    known = outline_of(model, model.output(role).tensor)
    if name is not None:
        layer = named_layer(known, name)
        if _places_count(model, role, layer):
            return layer
        raise ModelError(
            ModelErrorKind.UNSUPPORTED_OUTPUT,
            f"the output does not depend on the places of {name!r}, its first tokens aside; name an earlier layer",
        )
    for layer in islice(spatial_layers(known), _TRIED):
        if _places_count(model, role, layer):
            return layer
    raise no_layer(known)


def _places_count(model: Model, role: str, layer: Layer) -> bool:
    """Say whether an output depends on what a layer has at its places; of a class token it may depend alone."""
    if layer.form != "tokens":
        return True
    halved = Halved(model, role, layer)
    geometry = model.pixels.geometry
    noise = np.random.default_rng(0).integers(
        0, 256, (1, geometry.height, geometry.width, geometry.channels), dtype=np.uint8
    )
    values = halved.trunk(noise)
    seen, blank = halved.head(values), halved.head(layer.without_places(values), whole=False)
    return bool(np.abs(seen - blank).max() > _SAME * max(np.abs(seen).max(), np.abs(blank).max()))


_opened: OrderedDict[tuple[object, ...], Halved] = OrderedDict()
_lock = threading.Lock()


def opened(model: Model, role: str, layer: Layer, shuffled: int | None = None) -> Halved:
    """Return a model in two halves; the last few of a process are kept, since it explains image after image."""
    output = model.output(role)
    key = (model.digest, output, layer, model.pixels.geometry, model.pixels.normalisation, model.batch_size, shuffled)
    with _lock:
        if key not in _opened:
            while len(_opened) >= _KEPT:
                _opened.popitem(last=False)
            _opened[key] = Halved(model, role, layer, shuffled)
        _opened.move_to_end(key)
        return _opened[key]
