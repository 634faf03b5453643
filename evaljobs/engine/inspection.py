"""What a model is, and what a run would do with it, found without running it."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from evaljobs.config import Config, Models, validate
from evaljobs.engine.results import cost_of, preprocessing_of
from evaljobs.errors import ModelError, RemoteError
from evaljobs.models.files import Candidate, find_any, find_models
from evaljobs.models.inspect import Graph
from evaljobs.models.known import Known
from evaljobs.models.model import Model, Refused
from evaljobs.models.pooling import width_of
from evaljobs.models.resolve import resolve_or_refuse
from evaljobs.progress import Progress

# Of what `inspect --json` prints.
VERSION = 1
_STAGE = "inspecting"
_THREADS = 4

Document = dict[str, Any]


def inspect_paths(paths: Sequence[str], progress: Progress) -> Document:
    """Inspect files, globs and S3 uris as a run would that has no other settings.

    Models of one name are told apart by their paths.

    Raises
    ------
    UsageError
        If one of them matches nothing.
    RemoteError
        If S3 cannot be asked.
    """
    where = "the arguments"
    models = [validate(Models, {"path": path}, where).model_dump(exclude_unset=True) for path in paths]
    # A configuration has images; these are not looked at.
    config = validate(Config, {"images": {"folder": "."}, "models": models}, where)
    return _inspect(find_any(config.models, Path.cwd()), config, progress)


def inspect_config(config: Config, path: Path, progress: Progress) -> Document:
    """Inspect the models of a configuration.

    Parameters
    ----------
    config, path
        The configuration and its file.
    progress
        Told how many are done.

    Raises
    ------
    UsageError
        As a run would.
    RemoteError
        If S3 cannot be asked.
    """
    return _inspect(find_models(config.models, path.resolve().parent), config, progress)


def _inspect(candidates: Sequence[Candidate], config: Config, progress: Progress) -> Document:
    kept: dict[str, str] = {}
    known = Known(kept.get, kept.__setitem__)

    def describe(candidate: Candidate) -> Document:
        described = _describe(candidate, config, known)
        progress.advance(_STAGE)
        return described

    progress.start(_STAGE, len(candidates))
    with ThreadPoolExecutor(min(_THREADS, os.cpu_count() or 1), thread_name_prefix="inspect") as pool:
        return {"version": VERSION, "models": list(pool.map(describe, candidates))}


def _describe(candidate: Candidate, config: Config, known: Known) -> Document:
    resolved = resolve_or_refuse(candidate, config, known)
    graph = _graph(candidate, known)
    model = resolved if isinstance(resolved, Model) else None
    return {
        "name": candidate.name,
        "location": str(candidate.file),
        "status": "ok" if model else "refused",
        "error": {"kind": resolved.kind, "message": resolved.message} if isinstance(resolved, Refused) else None,
        "digest": model.digest if model else None,
        "tags": candidate.tags,
        "cost": cost_of(model) if model else _cost_of_refused(graph),
        **_facts(graph),
        "decided": _decided(model) if model else None,
        "notes": list(model.notes if model else candidate.notes),
    }


def _graph(candidate: Candidate, known: Known) -> Graph | None:
    """Return what the file holds; None where it cannot be read, which the refusal says."""
    try:
        return known.graph(candidate.file)
    except (ModelError, RemoteError):
        return None


def _facts(graph: Graph | None) -> Document:
    if graph is None:
        return {"opset": None, "inputs": [], "outputs": [], "dropout": None, "metadata": {}}
    return {
        "opset": graph.opset,
        "inputs": [dataclasses.asdict(tensor) for tensor in graph.inputs],
        "outputs": [dataclasses.asdict(tensor) for tensor in graph.outputs],
        "dropout": graph.dropout._asdict(),
        "metadata": graph.metadata,
    }


def _cost_of_refused(graph: Graph | None) -> Document:
    parameters = None if graph is None else graph.parameters
    return {"size_mb": None, "params": parameters, "gmacs": None, "gflops": None}


def _decided(model: Model) -> Document:
    (output,) = model.outputs
    shape = model.cost.shapes.get(output.tensor)
    return {
        "input": dataclasses.asdict(model.input),
        "preprocessing": preprocessing_of(model),
        "output": {
            "tensor": output.tensor,
            "pooling": output.pooling,
            "dimension": None if shape is None else width_of(shape, output),
        },
        "batch_size": model.batch_size,
    }
