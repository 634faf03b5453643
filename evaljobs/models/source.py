"""A model's graph as a runtime is to load it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from evaljobs.models.dropout import silence_dropout
from evaljobs.models.dropout_graph import Drop, feed_masks
from evaljobs.models.graph import cut, embed_shapes, follow_links
from evaljobs.models.inspect import read_proto
from evaljobs.models.model import Model
from evaljobs.models.passes import refuse_without_drops


class Source(NamedTuple):
    """A graph: the path of its file where it can stay as it is, else itself, serialised.

    ``folder`` is that of its external data, which are not copied; ``drops`` the dropout whose masks are inputs.
    """

    graph: str | bytes
    folder: Path
    drops: tuple[Drop, ...] = ()


def source_of(model: Model, also: Sequence[str] = ()) -> Source:
    """Return a model's graph with the outputs that are kept, without dropout, or with its masks as inputs.

    Parameters
    ----------
    also
        Further tensors that become outputs.

    Raises
    ------
    ModelError
        CORRUPT, if the file cannot be read; UNSUPPORTED_OUTPUT, if no mask can be fed to some dropout; NO_DROPOUT, if
        passes are wanted and none lies on the way to what is kept.
    """
    folder = model.path.parent
    wanted = list(dict.fromkeys([*(output.tensor for output in model.outputs), *also]))
    if set(wanted) == set(model.graph_outputs) and not model.external_files and not model.dropout.active:
        return Source(str(model.path), folder)
    proto = read_proto(model.path)
    cut(proto, wanted)
    drops: tuple[Drop, ...] = ()
    if model.passes is not None:
        proto, drops = feed_masks(proto)
        refuse_without_drops(drops)
    elif model.dropout.active:
        silence_dropout(proto)
    embed_shapes(proto, folder)
    folder = follow_links(proto, folder)
    return Source(proto.SerializeToString(), folder, drops)
