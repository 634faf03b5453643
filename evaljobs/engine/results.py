"""The results document: what stands in results.json."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pyarrow as pa

from evaljobs.engine.exclusion import Exclusion
from evaljobs.engine.prepare import ImageSet, Prepared
from evaljobs.engine.todo import Evaluation
from evaljobs.errors import ModelErrorKind, RunFailedError
from evaljobs.images.notices import count_notices
from evaljobs.models.model import Model
from evaljobs.report.writing import Tables
from evaljobs.schemas import RESULTS_VERSION
from evaljobs.store.store import Result

OK, FAILED, REFUSED = "ok", "failed", "refused"
Error = dict[str, Any]


def assemble(
    prepared: Prepared,
    exclusion: Exclusion,
    evaluations: Sequence[Evaluation],
    lost: Mapping[str, Error],
) -> tuple[dict[str, Any], Tables]:
    """Return the results document without `execution`, and the tables of its evaluations.

    Parameters
    ----------
    prepared, exclusion
        The run, and the images that were left out.
    evaluations
        All of the run; each has a result in the store, but for those of lost models.
    lost
        By name: the error of a model that could not be run.
    """
    entries: list[dict[str, Any]] = []
    tables: dict[tuple[str, str, str], Mapping[str, pa.Table]] = {}
    errors = dict(lost)
    kept = [evaluation for evaluation in evaluations if evaluation.model.name not in lost]
    stored = prepared.store.results(evaluation.key for evaluation in kept)
    for evaluation in evaluations:
        name = evaluation.model.name
        outcome, found = ({"error": lost[name]}, {}) if name in lost else _checked(evaluation, next(stored))
        entry = _entry(evaluation, outcome, found)
        entries.append(entry)
        tables[(entry["job"], entry["set"], name)] = found
        if entry["status"] != OK:
            errors.setdefault(name, entry["error"])
    results = {
        "schema_version": RESULTS_VERSION,
        "run": prepared.name,
        "config_digest": prepared.config.digest(),
        "sets": [_set(image_set, exclusion, prepared) for image_set in prepared.sets.values()],
        "models": [*(_model(m, errors.get(m.name)) for m in prepared.models), *_refused(prepared)],
        "evaluations": entries,
    }
    return results, tables


def _entry(evaluation: Evaluation, outcome: Mapping[str, Any], tables: Iterable[str]) -> dict[str, Any]:
    error = outcome.get("error")
    return {
        "job": evaluation.job.name,
        "kind": evaluation.job.kind,
        "set": evaluation.set_name,
        "model": evaluation.model.name,
        "status": FAILED if error else OK,
        "error": _with_ids(error, evaluation) if error else None,
        "result": outcome.get("result"),
        "tables": sorted(tables),
        "figures": [],
    }


def _checked(evaluation: Evaluation, stored: Result | None) -> Result:
    if stored is None:
        raise RunFailedError(
            f"the result of {evaluation.model.name!r} vanished from the store; run the same command again"
        )
    outcome, tables = stored
    return outcome, {name: _name_rows(table, evaluation) for name, table in tables.items()}


def _name_rows(table: pa.Table, evaluation: Evaluation) -> pa.Table:
    """Put sample ids beside the numbers of rows: the first and the last set of the job are those of row_a and row_b."""
    sides = list(evaluation.members.values())
    for column, members in (("row_a", sides[0]), ("row_b", sides[-1])):
        if column in table.column_names:
            ids = members.sample_ids.take(table[column].combine_chunks())
            table = table.append_column(column.replace("row", "id"), ids)
    return table


def _with_ids(error: Error, evaluation: Evaluation) -> Error:
    """Name rows by sample id: the store knows numbers alone, since ids may change and rows stay."""
    if error["kind"] != ModelErrorKind.NON_FINITE:
        return {"kind": error["kind"], "message": error["message"]}
    # Of several sets, the rows of a later one are counted after those of an earlier one.
    sample_ids = pa.concat_arrays([members.sample_ids for members in evaluation.members.values()])
    first = ", ".join(sample_ids.take(pa.array(error["rows"], pa.int64())).to_pylist())
    message = f"{error['count']:,} of {len(sample_ids):,} embeddings are NaN, infinite or all zero; the first: {first}"
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
    }


def _model(model: Model, error: Error | None) -> dict[str, Any]:
    return {
        "name": model.name,
        "digest": model.digest,
        "tags": model.tags,
        "metadata": model.metadata,
        "cost": cost_of(model),
        "opset": model.opset,
        "input": {key: getattr(model.input, key) for key in ("name", "dtype", "layout", "batch")},
        "outputs": [{key: getattr(output, key) for key in ("role", "tensor", "pooling")} for output in model.outputs],
        "dropout": model.dropout._asdict(),
        "preprocessing": preprocessing_of(model),
        "batch_size": model.batch_size,
        "notes": list(model.notes),
        "status": FAILED if error else OK,
        "error": error,
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
            "metadata": {},
            "cost": {"size_mb": None, "params": None, "gmacs": None, "gflops": None},
            "opset": None,
            "input": None,
            "outputs": [],
            "dropout": None,
            "preprocessing": None,
            "batch_size": None,
            "notes": [],
            "status": REFUSED,
            "error": {"kind": refused.kind, "message": refused.message},
        }
        for refused in prepared.refused
    ]
