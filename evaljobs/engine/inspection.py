"""What a model is, and what a run would do with it, found without running it."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from evaljobs.config import Config, Models, validate
from evaljobs.engine.prepare import needs_of
from evaljobs.engine.results import classes_of, cost_of, preprocessing_of
from evaljobs.errors import ModelError, RemoteError
from evaljobs.jobs import build_jobs
from evaljobs.models.files import Candidate, find_any, find_models
from evaljobs.models.inspect import Graph
from evaljobs.models.known import Known
from evaljobs.models.model import EMBEDDING, SCORES, TOLD, Model, Refused
from evaljobs.models.pooling import width_of
from evaljobs.models.resolve import Context, resolve_or_refuse
from evaljobs.models.roles import ROLES
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
    found = _inspect(find_any(config.models, Path.cwd()), _context(config, Path.cwd(), ROLES), progress)
    return {**found, "models": [_only_told(model) for model in found["models"]]}


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
    base = path.resolve().parent
    context = _context(config, base, needs_of(build_jobs(config)))
    return _inspect(find_models(config.models, base), context, progress)


def _context(config: Config, base: Path, needs: Collection[str]) -> Context:
    kept: dict[str, str] = {}
    return Context(config, base, Known(kept.get, kept.__setitem__), needs)


def _inspect(candidates: Sequence[Candidate], context: Context, progress: Progress) -> Document:
    def describe(candidate: Candidate) -> Document:
        described = _describe(candidate, context)
        progress.advance(_STAGE)
        return described

    progress.start(_STAGE, len(candidates))
    with ThreadPoolExecutor(min(_THREADS, os.cpu_count() or 1), thread_name_prefix="inspect") as pool:
        return {"version": VERSION, "models": list(pool.map(describe, candidates))}


def _describe(candidate: Candidate, context: Context) -> Document:
    resolved = resolve_or_refuse(candidate, context)
    graph = _graph(candidate, context.known)
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
    """Return what the file holds; None where it is missing or cannot be read, which the refusal says."""
    if candidate.missing:
        return None
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
    return {
        "input": dataclasses.asdict(model.input),
        "preprocessing": preprocessing_of(model),
        "output": _output(model, EMBEDDING),
        "scores": _scores(model),
        "lacks": {role: lack.message for role, lack in model.lacks.items()},
        "batch_size": model.batch_size,
    }


def _output(model: Model, role: str) -> Document | None:
    if role not in model.roles:
        return None
    output = model.output(role)
    shape = model.cost.shapes.get(output.tensor)
    dimension = None if shape is None else width_of(shape, output)
    return {"tensor": output.tensor, "pooling": output.pooling, "dimension": dimension}


def _scores(model: Model) -> Document | None:
    if model.scores is None:
        return None
    known = {"are": model.scores.are, "source": model.scores.source, "classes": classes_of(model)}
    return {**(_output(model, SCORES) or {}), **known}


def _only_told(described: Document) -> Document:
    """Leave out class scores that are but a guess: no job asks for them, and nothing says that they are some."""
    decided = described["decided"]
    scores = decided and decided["scores"]
    if scores and scores["classes"] is None and scores["are"] == "logits" and scores["source"] not in TOLD:
        decided = {**decided, "scores": None}
    return {**described, "decided": decided}
