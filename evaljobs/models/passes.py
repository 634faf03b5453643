"""A model with the dropout that it was exported with: which can be run so, and as what."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Sized

from evaljobs.errors import ModelError, ModelErrorKind
from evaljobs.models.model import PASSES, SCORES, Dropout, Lack, Model, Output, Passes


def with_passes(model: Model, passes: Passes) -> Model:
    """Return a model that is run again and again with its dropout in it.

    Its outputs are the class scores without dropout, and what the passes say together. A model that cannot be run so is
    the model itself, with the reason among what it lacks.
    """
    lacks = {**model.lacks, **lacking_dropout(model.dropout, {PASSES})}
    if lacks.keys() & {SCORES, PASSES} or SCORES not in model.roles:
        return dataclasses.replace(model, lacks=lacks)
    scores = model.output(SCORES)
    together = Output(PASSES, scores.tensor, scores.pooling, scores.channels_last)
    roles = {SCORES: scores.role, PASSES: PASSES}
    return dataclasses.replace(model, outputs=(scores, together), roles=roles, passes=passes)


def without_passes(model: Model) -> Model:
    """Return a model with the outputs alone that one run without dropout gives."""
    if model.passes is None:
        return model
    return dataclasses.replace(model, outputs=tuple(output for output in model.outputs if output.role != PASSES))


def lacking_dropout(dropout: Dropout, needs: Collection[str]) -> dict[str, Lack]:
    """Return why a model cannot be run with dropout, by role, where a job needs that; nothing where it can."""
    if PASSES not in needs or dropout.active:
        return {}
    if dropout.nodes:
        found = f"none of its {dropout.nodes} Dropout node(s) is in training mode: they drop nothing"
    else:
        found = "it has no Dropout node: exporters leave dropout out"
    return {PASSES: Lack(ModelErrorKind.NO_DROPOUT, _same(found))}


def refuse_without_drops(drops: Sized) -> None:
    """Refuse a graph, cut to its class scores, in which nothing is dropped, though some Dropout is in training mode.

    Raises
    ------
    ModelError
        NO_DROPOUT.
    """
    if not len(drops):
        found = "its live Dropout nodes have the ratio 0, or do not lie on the way to the class scores"
        raise ModelError(ModelErrorKind.NO_DROPOUT, _same(found))


def _same(found: str) -> str:
    return (
        f"a job needs passes with dropout, and every pass of this model would be the same: {found}. Export it with its "
        "dropout, `evaljobs export --keep-dropout` (with torch.onnx.export: training=TrainingMode.TRAINING), or leave "
        "`passes` out"
    )
