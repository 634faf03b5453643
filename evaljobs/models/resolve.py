"""From a config to models that can be run, and those that are refused."""

from __future__ import annotations

import os
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from evaljobs import config
from evaljobs.errors import ModelError, ModelErrorKind, RemoteError, RemoteErrorKind
from evaljobs.models.files import Candidate, find_models
from evaljobs.models.inspect import Graph
from evaljobs.models.known import Known
from evaljobs.models.model import DEFAULT_BATCH_SIZE, EMBEDDING, Cost, Input, Model, Pixels, Refused
from evaljobs.models.passes import lacking_dropout
from evaljobs.models.places import files_of
from evaljobs.models.preprocessing import METADATA_KEY, resolve_preprocessing
from evaljobs.models.roles import Asked, pick_outputs
from evaljobs.models.shapes import Shape
from evaljobs.models.tensors import pick_input

# Each holds a file in the memory while it parses it.
_THREADS = 4
# What one object may have by itself; anything else is wrong with all of them.
_ONE_OBJECT = frozenset({RemoteErrorKind.DENIED, RemoteErrorKind.FAILED})
# Operators that measure the range of all they are given, the other images of the batch included.
_OVER_THE_BATCH = frozenset({"DynamicQuantizeLinear", "DynamicQuantizeMatMul", "DynamicQuantizeLSTM"})


@dataclass(frozen=True)
class Resolved:
    """The models of a run in the order of the config: the usable ones, and the refused with their reasons."""

    models: tuple[Model, ...]
    refused: tuple[Refused, ...]


@dataclass(frozen=True)
class Context:
    """What the models of a run have in common.

    Attributes
    ----------
    run
        The config.
    base
        The folder that relative paths start from: the config file's.
    known
        What earlier runs found out about the files.
    needs
        The roles that jobs need, see `evaljobs.models.roles`.
    """

    run: config.Config
    base: Path
    known: Known
    needs: Collection[str] = (EMBEDDING,)


def resolve(
    run: config.Config, base: Path, known: Known | None = None, needs: Collection[str] = (EMBEDDING,)
) -> Resolved:
    """Find, read and check every model of a config. A model that cannot be used is refused; the others go on.

    Parameters
    ----------
    run, base, known, needs
        As `Context` has them.

    Raises
    ------
    UsageError
        If a path matches nothing, a tag pattern is malformed, two models have one name, or a file of class names cannot
        be used.
    RemoteError
        If S3 does not answer, or lists nothing.
    """
    candidates = find_models(run.models, base)
    context = Context(run, base, known or Known(), needs)
    with ThreadPoolExecutor(min(_THREADS, os.cpu_count() or 1), thread_name_prefix="resolve") as pool:
        found = list(pool.map(lambda candidate: resolve_or_refuse(candidate, context), candidates))
    return Resolved(
        tuple(model for model in found if isinstance(model, Model)),
        tuple(model for model in found if isinstance(model, Refused)),
    )


def resolve_or_refuse(candidate: Candidate, context: Context) -> Model | Refused:
    """Decide everything about one model, or say why it cannot be used.

    Raises
    ------
    RemoteError
        If S3 does not answer at all.
    """
    try:
        return resolve_one(candidate, context)
    except ModelError as error:
        kind, message = error.kind, str(error)
    except RemoteError as error:
        if error.kind not in _ONE_OBJECT:
            raise
        kind, message = ModelErrorKind.CORRUPT, str(error)
    return Refused(candidate.name, str(candidate.file), candidate.tags, kind, message, candidate.series)


def resolve_one(candidate: Candidate, context: Context) -> Model:
    """Decide everything about one model.

    Raises
    ------
    ModelError
        If it cannot be used; the kind says why.
    RemoteError
        If it is on S3 and cannot be read.
    """
    if candidate.missing:
        raise ModelError(ModelErrorKind.MISSING, candidate.missing)
    entry, run, known = candidate.entry, context.run, context.known
    graph = known.graph(candidate.file)
    files = files_of(candidate.file, graph.external, graph.external_bytes)
    image, input_notes = pick_input(graph)
    kept = pick_outputs(asked_about(candidate, context, graph, image), context.needs)
    pixels = resolve_preprocessing(
        entry.preprocessing, run.preprocessing, graph.metadata.get(METADATA_KEY), image, run.max_image_pixels
    )
    batch_size, batch_notes = _batch_size(image, entry.batch_size, graph.op_types)
    digest = known.digest(files)
    cost = known.cost(files, digest, image.name, _input_shape(image, pixels), tuple(o.tensor for o in kept.outputs))
    path, external = files.named()
    return Model(
        name=candidate.name,
        path=path,
        digest=digest,
        external_files=external,
        tags=candidate.tags,
        metadata=graph.metadata,
        size_bytes=files.size_bytes(),
        parameters=graph.parameters,
        opset=graph.opset,
        input=image,
        outputs=kept.outputs,
        graph_outputs=tuple(tensor.name for tensor in graph.outputs),
        pixels=pixels,
        batch_size=batch_size,
        cost=cost,
        dropout=graph.dropout,
        notes=(*candidate.notes, *input_notes, *kept.notes, *pixels.notes, *batch_notes, *_cost_notes(cost)),
        sources=files.sources(),
        series=candidate.series,
        roles=kept.roles,
        lacks={**kept.lacks, **lacking_dropout(graph.dropout, context.needs)},
        scores=kept.scores,
    )


def asked_about(candidate: Candidate, context: Context, graph: Graph, image: Input) -> Asked:
    """Return what `pick_outputs` takes for one model."""
    file, known = candidate.file, context.known
    return Asked(
        graph,
        candidate.entry,
        image,
        context.base,
        lambda name: known.tensor(file, name),
        lambda name: known.maker(file, name),
    )


def _input_shape(image: Input, pixels: Pixels) -> Shape:
    """Return the shape of the input for one image, or for the fixed batch of the graph."""
    geometry = pixels.geometry
    sizes = geometry.height, geometry.width
    axes = (geometry.channels, *sizes) if image.layout == "nchw" else (*sizes, geometry.channels)
    return image.batch or 1, *axes


def _cost_notes(cost: Cost) -> tuple[str, ...]:
    return (f"its MACs are not known: {cost.unknown}",) if cost.unknown else ()


def _batch_size(image: Input, configured: int | None, op_types: frozenset[str]) -> tuple[int, tuple[str, ...]]:
    if mixing := sorted(op_types & _OVER_THE_BATCH):
        return _single(image, configured, mixing[0])
    if image.batch is None:
        return configured or DEFAULT_BATCH_SIZE, ()
    if configured not in {None, image.batch}:
        return image.batch, (f"batch_size {configured} is not used: the graph's batch of {image.batch} is fixed",)
    return image.batch, ()


def _single(image: Input, configured: int | None, operator: str) -> tuple[int, tuple[str, ...]]:
    """Run one image at a time, so that a row is a property of its image alone.

    Raises
    ------
    ModelError
        UNSUPPORTED_INPUT, if the graph fixes a larger batch.
    """
    why = f"it quantises over the whole batch ({operator}), so that a row would depend on the other images"
    if image.batch not in {None, 1}:
        raise ModelError(
            ModelErrorKind.UNSUPPORTED_INPUT,
            f"the graph fixes a batch of {image.batch}, and {why}; export it with a batch of 1 or an open one",
        )
    unused = f"batch_size {configured} is not used: " if configured not in {None, 1} else ""
    return 1, (f"{unused}one image at a time, since {why}",)
