"""From a config to models that can be run, and those that are refused."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from evaljobs import config
from evaljobs.errors import ModelError, ModelErrorKind
from evaljobs.models.digest import model_digest
from evaljobs.models.files import Candidate, find_models
from evaljobs.models.inspect import inspect
from evaljobs.models.model import DEFAULT_BATCH_SIZE, Input, Model, Refused
from evaljobs.models.preprocessing import METADATA_KEY, resolve_preprocessing
from evaljobs.models.tensors import pick_input, pick_output

DigestOf = Callable[[Path, tuple[Path, ...]], str]

# Each holds a file in the memory while it parses it.
_THREADS = 4
# Operators that measure the range of all they are given, the other images of the batch included.
_OVER_THE_BATCH = frozenset({"DynamicQuantizeLinear", "DynamicQuantizeMatMul", "DynamicQuantizeLSTM"})


@dataclass(frozen=True)
class Resolved:
    """The models of a run in the order of the config: the usable ones, and the refused with their reasons."""

    models: tuple[Model, ...]
    refused: tuple[Refused, ...]


def resolve(run: config.Config, base: Path, digest_of: DigestOf = model_digest) -> Resolved:
    """Find, read and check every model of a config. A model that cannot be used is refused; the others go on.

    Parameters
    ----------
    run
        The config.
    base
        The folder that relative paths start from: the config file's.
    digest_of
        Gives the digest of a file with its external data, in several threads; a cache may stand here.

    Raises
    ------
    UsageError
        If a path matches nothing, a tag pattern is malformed, or two models have one name.
    """
    candidates = find_models(run.models, base)
    with ThreadPoolExecutor(min(_THREADS, os.cpu_count() or 1), thread_name_prefix="resolve") as pool:
        found = list(pool.map(lambda candidate: _resolve_or_refuse(candidate, run, digest_of), candidates))
    return Resolved(
        tuple(model for model in found if isinstance(model, Model)),
        tuple(model for model in found if isinstance(model, Refused)),
    )


def _resolve_or_refuse(candidate: Candidate, run: config.Config, digest_of: DigestOf) -> Model | Refused:
    try:
        return resolve_one(candidate, run, digest_of)
    except ModelError as error:
        return Refused(candidate.name, candidate.path, candidate.tags, error.kind, str(error))


def resolve_one(candidate: Candidate, run: config.Config, digest_of: DigestOf = model_digest) -> Model:
    """Decide everything about one model.

    Raises
    ------
    ModelError
        If it cannot be used; the kind says why.
    """
    path, entry = candidate.path, candidate.entry
    graph = inspect(path)
    image, input_notes = pick_input(graph)
    output, output_notes = pick_output(path, graph, entry, image)
    pixels = resolve_preprocessing(
        entry.preprocessing, run.preprocessing, graph.metadata.get(METADATA_KEY), image, run.max_image_pixels
    )
    batch_size, batch_notes = _batch_size(image, entry.batch_size, graph.op_types)
    return Model(
        name=candidate.name,
        path=path,
        digest=digest_of(path, graph.external_files),
        external_files=graph.external_files,
        tags=candidate.tags,
        metadata=graph.metadata,
        size_bytes=graph.size_bytes,
        parameters=graph.parameters,
        opset=graph.opset,
        input=image,
        outputs=(output,),
        graph_outputs=tuple(tensor.name for tensor in graph.outputs),
        pixels=pixels,
        batch_size=batch_size,
        notes=(*candidate.notes, *input_notes, *output_notes, *pixels.notes, *batch_notes),
    )


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
