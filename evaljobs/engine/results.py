"""The results document: what stands in results.json."""

from __future__ import annotations

import dataclasses
import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from evaljobs.config import canonical_json
from evaljobs.engine.evaluation import Members
from evaljobs.engine.exclusion import Exclusion
from evaljobs.engine.execution import Record
from evaljobs.engine.image_sets import ImageSet
from evaljobs.engine.naming import name_rows
from evaljobs.engine.prepare import Prepared
from evaljobs.engine.todo import Evaluation
from evaljobs.errors import ModelErrorKind, RunFailedError
from evaljobs.images.notices import count_notices
from evaljobs.models.model import SCORES, Model
from evaljobs.report.writing import Tables
from evaljobs.schemas import RESULTS_VERSION
from evaljobs.store.store import Result

OK, FAILED, REFUSED = "ok", "failed", "refused"
_UNUSABLE = "embeddings are NaN, infinite or all zero"
Error = dict[str, Any]
# Of so many classes the names are written out.
_FEW_CLASSES = 100
# Images of a view that are shown as they were and as they are.
_EXAMPLES = 12


def assemble(
    prepared: Prepared,
    exclusion: Exclusion,
    evaluations: Sequence[Evaluation],
    record: Record,
) -> tuple[dict[str, Any], Tables]:
    """Return the results document without `execution`, and the tables of its evaluations.

    Parameters
    ----------
    prepared, exclusion
        The run, and the images that were left out.
    evaluations
        All of the run; each has a result in the store, or the record says why not.
    record
        What was lost: models that could not be run, and evaluations that ended without a result.
    """
    entries: list[dict[str, Any]] = []
    tables: dict[tuple[str, str, str | None], Mapping[str, pa.Table]] = {}
    errors = dict(record.lost)
    stored = prepared.store.results(evaluation.key for evaluation in evaluations)
    for evaluation, kept in zip(evaluations, stored, strict=True):
        name = evaluation.name
        outcome, found = _outcome(evaluation, kept, prepared, record)
        entry = _entry(evaluation, outcome, found)
        entries.append(entry)
        tables[(entry["job"], entry["set"], name)] = found
        if entry["status"] != OK and name is not None:
            errors.setdefault(name, entry["error"])
    results = {
        "schema_version": RESULTS_VERSION,
        "run": prepared.name,
        "config_digest": prepared.config.digest(),
        "sets": [_set(image_set, exclusion, prepared) for image_set in prepared.sets.values()],
        "models": [*(_model(m, errors.get(m.name)) for m in prepared.plain_models), *_refused(prepared)],
        "evaluations": entries,
    }
    return results, tables


def _entry(evaluation: Evaluation, outcome: Mapping[str, Any], tables: Iterable[str]) -> dict[str, Any]:
    error = outcome.get("error")
    return {
        "job": evaluation.job.name,
        "kind": evaluation.job.kind,
        "set": evaluation.set_name,
        "sets": evaluation.job.sets(),
        "model": evaluation.name,
        "status": FAILED if error else OK,
        "error": _with_ids(error, evaluation) if error else None,
        "result": outcome.get("result"),
        "tables": sorted(tables),
        "figures": [],
    }


def _outcome(evaluation: Evaluation, stored: Result | None, prepared: Prepared, record: Record) -> Result:
    """Return what stands in the store, with the ids of samples; else why there is nothing."""
    if evaluation.lack is not None:
        return {"error": evaluation.lack._asdict()}, {}
    if stored is None and (error := record.error_of(evaluation)) is not None:
        return {"error": error}, {}
    if stored is None:
        raise RunFailedError(
            f"the result of {evaluation.name or evaluation.job.name!r} vanished from the store; run the same command "
            "again"
        )
    outcome, tables = stored
    samples = {role: prepared.sets[name].samples for role, name in evaluation.job.sets().items()}
    asked = evaluation.job.columns()
    return outcome, {name: name_rows(table, evaluation.members, samples, asked) for name, table in tables.items()}


def _with_ids(error: Error, evaluation: Evaluation) -> Error:
    """Name rows by sample id: the store knows numbers alone, since ids may change and rows stay."""
    if error["kind"] != ModelErrorKind.NON_FINITE:
        return {"kind": error["kind"], "message": error["message"]}
    # Of several sets, the rows of a later one are counted after those of an earlier one.
    sample_ids = pa.concat_arrays([members.sample_ids for members in evaluation.members.values()])
    first = ", ".join(sample_ids.take(pa.array(error["rows"], pa.int64())).to_pylist())
    of_scores = SCORES in evaluation.job.outputs
    what = "images have class scores that are NaN or infinite" if of_scores else _UNUSABLE
    message = f"{error['count']:,} of {len(sample_ids):,} {what}; the first: {first}"
    return {"kind": error["kind"], "message": message}


def _set(image_set: ImageSet, exclusion: Exclusion, prepared: Prepared) -> dict[str, Any]:
    rows = exclusion.rows(image_set)
    members = prepared.members(exclusion.digests)[image_set.name]
    labels = Counter(members.labels.to_pylist())
    return {
        "name": image_set.name,
        "digest": members.digest(),
        "n_samples": len(members.labels),
        "n_labels": len(labels),
        "n_single_labels": sum(1 for n in labels.values() if n == 1),
        "excluded": len(rows),
        "excluded_by_kind": dict(sorted(Counter(row[3] for row in rows).items())),
        "notices": [
            {"kind": str(notice), "n_images": n, "explanation": notice.explanation}
            for notice, n in count_notices(image_set.samples).items()
        ],
        "view": _view(image_set, members),
    }


def _view(image_set: ImageSet, members: Members) -> dict[str, Any] | None:
    """Return how a view shows its images; None for a set with images of its own."""
    seen = image_set.seen
    if seen is None or members.changed is None:
        return None
    view = seen.views[-1]
    changed = np.flatnonzero(members.changed)
    # From all over the set, which is sorted: its first images may be all of one label.
    some = changed[np.unique(np.linspace(0, len(changed) - 1, min(_EXAMPLES, len(changed))).astype(np.int64))]
    places = pc.index_in(members.digests.take(pa.array(some)), value_set=image_set.samples["image_digest"])
    examples = image_set.samples.select(["sample_id", "file_digest", "image_digest"]).take(places).to_pylist()
    return {
        "of": seen.of,
        "steps": [str(step) for step in seen.own],
        "share": view.share,
        "first": view.first,
        "seed": view.seed,
        "n_changed": len(changed),
        "examples": [
            {"sample_id": row["sample_id"], "file": row["file_digest"].hex(), "image": row["image_digest"].hex()}
            for row in examples
        ],
    }


def _model(model: Model, error: Error | None) -> dict[str, Any]:
    return {
        "name": model.name,
        "digest": model.digest,
        "tags": model.tags,
        "series": model.series and model.series._asdict(),
        "metadata": model.metadata,
        "cost": cost_of(model),
        "opset": model.opset,
        "input": {key: getattr(model.input, key) for key in ("name", "dtype", "layout", "batch")},
        "outputs": [_output(model, role) for role in model.roles],
        "scores": model.scores and {"are": model.scores.are, "source": model.scores.source},
        "classes": classes_of(model),
        "dropout": model.dropout._asdict(),
        "preprocessing": preprocessing_of(model),
        "batch_size": model.batch_size,
        "notes": list(model.notes),
        "status": FAILED if error else OK,
        "error": error,
    }


def _output(model: Model, role: str) -> dict[str, Any]:
    output = model.output(role)
    return {"role": role, "tensor": output.tensor, "pooling": output.pooling}


def classes_of(model: Model) -> dict[str, Any] | None:
    """Return the classes of a model; None where no job needs its class scores, or nobody names the classes."""
    found = None if model.scores is None else model.scores.classes
    if found is None:
        return None
    return {
        "n": len(found.names),
        "digest": hashlib.sha256(canonical_json(found.names).encode()).hexdigest(),
        "names": list(found.names) if len(found.names) <= _FEW_CLASSES else None,
        "source": found.source,
    }


def cost_of(model: Model) -> dict[str, Any]:
    """Return what a model weighs, and what an image costs it; null where that is not known."""
    return {
        "size_mb": model.size_bytes / 1e6,
        "params": model.parameters,
        "gmacs": model.cost.gmacs,
        "gflops": model.cost.gflops,
    }


def preprocessing_of(model: Model) -> dict[str, Any]:
    """Return how an image becomes the input of a model, and who decided that."""
    pixels = model.pixels
    normalisation = dataclasses.asdict(pixels.normalisation) if pixels.normalisation else None
    return {**dataclasses.asdict(pixels.geometry), "normalisation": normalisation, "sources": pixels.sources}


def _refused(prepared: Prepared) -> list[dict[str, Any]]:
    return [
        {
            "name": refused.name,
            "digest": None,
            "tags": refused.tags,
            "series": refused.series and refused.series._asdict(),
            "metadata": {},
            "cost": {"size_mb": None, "params": None, "gmacs": None, "gflops": None},
            "opset": None,
            "input": None,
            "outputs": [],
            "scores": None,
            "classes": None,
            "dropout": None,
            "preprocessing": None,
            "batch_size": None,
            "notes": [],
            "status": REFUSED,
            "error": {"kind": refused.kind, "message": refused.message},
        }
        for refused in prepared.refused
    ]
