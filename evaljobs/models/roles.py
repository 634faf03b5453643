"""What a model gives to jobs: which of its tensors has which role, and what it lacks."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple, get_args

from evaljobs import config
from evaljobs.errors import ModelError, ModelErrorKind
from evaljobs.models.classes import classes_of
from evaljobs.models.inspect import Graph, Tensor
from evaljobs.models.model import EMBEDDING, SCORES, TOLD, Input, Lack, Output, Scores, ScoresAre
from evaljobs.models.tensors import FLOATS, other_batch, pick_output

SCORES_ARE_KEY = "evaljobs.scores_are"
# The order in which outputs stand in a model's key, whatever the order of the jobs.
ROLES: Final = (EMBEDDING, SCORES)
# As operators of ONNX, and as onnxruntime writes them in optimised and quantised files.
_ONE_BY_ONE = frozenset({"Sigmoid", "HardSigmoid", "QLinearSigmoid"})
_SOFTMAX = frozenset({"Softmax", "BiasSoftmax", "QLinearSoftmax"})


@dataclass(frozen=True)
class Asked:
    """One model, and who answers what its facts do not say.

    Attributes
    ----------
    graph, entry, image
        What the file holds, the model's entry in the config, and its input.
    base
        The folder that paths of the config start from.
    tensor_of
        Looks up a tensor that is no output, see `evaljobs.models.inspect.infer_tensor`.
    maker_of
        Says which operator makes a tensor's values, see `evaljobs.models.inspect.find_maker`.
    """

    graph: Graph
    entry: config.Models
    image: Input
    base: Path
    tensor_of: Callable[[str], Tensor]
    maker_of: Callable[[str], str]


class Kept(NamedTuple):
    """What is kept of a model; see `evaljobs.models.model.Model`."""

    outputs: tuple[Output, ...]
    roles: dict[str, str]
    lacks: dict[str, Lack]
    scores: Scores | None
    notes: tuple[str, ...]


def pick_outputs(asked: Asked, needs: Collection[str]) -> Kept:
    """Find the tensors for the roles that jobs need. A tensor that has both is kept once, as the embedding.

    Raises
    ------
    ModelError
        If the model has none of them: the reason for the first.
    """
    picked: dict[str, Output] = {}
    lacks: dict[str, Lack] = {}
    notes: tuple[str, ...] = ()
    scores = None
    for role in (role for role in ROLES if role in needs):
        try:
            if role == EMBEDDING:
                picked[role], more = _pick_embedding(asked)
            else:
                picked[role], scores, more = pick_scores(asked)
            notes += more
        except ModelError as error:
            lacks[role] = Lack(error.kind, str(error))
    if not picked:
        first = next(iter(lacks.values()))
        raise ModelError(first.kind, first.message)
    roles = {role: role for role in picked}
    # Also where no job of this run needs the embedding: another run's rows of the same tensor are then its own.
    embedding = (picked.get(EMBEDDING) or _embedding(asked)) if SCORES in picked else None
    if embedding is not None and _same(embedding, picked[SCORES]):
        return Kept((embedding,), {**roles, SCORES: EMBEDDING}, lacks, scores, notes)
    return Kept(tuple(picked.values()), roles, lacks, scores, notes)


def pick_scores(asked: Asked) -> tuple[Output, Scores, tuple[str, ...]]:
    """Return the tensor that has a number for each class, what is known of it, and notes.

    Raises
    ------
    ModelError
        NO_SCORES, if it cannot be found, has no row of numbers for each image, or nobody says what they are.
    """
    entry, metadata = asked.entry, asked.graph.metadata
    tensor = _find(asked)
    found = f"the tensor for class scores {tensor.describe()}"
    if tensor.dtype not in FLOATS:
        raise _no_scores(f"{found} is not of a floating type; name another one with `scores`")
    # Some classifiers keep the axes that they pooled over: [N, k, 1, 1].
    flat = tensor.shape is not None and len(tensor.shape) > 2 and set(tensor.shape[2:]) == {1}
    if tensor.shape is not None and not flat and (len(tensor.shape) != 2 or other_batch(tensor, asked.image)):
        batch = asked.image.batch or "the batch"
        raise _no_scores(f"{found}: expected [N, k] with N = {batch} and k classes; name another one with `scores`")
    classes, notes = classes_of(entry.classes, asked.base, metadata)
    output = Output(SCORES, tensor.name, "flatten" if flat else None)
    return output, Scores(*_what_they_are(asked, tensor.name), classes), notes


def _pick_embedding(asked: Asked) -> tuple[Output, tuple[str, ...]]:
    return pick_output(asked.graph, asked.tensor_of, asked.entry, asked.image)


def _embedding(asked: Asked) -> Output | None:
    """Return what would be the embedding, if a job needed it."""
    try:
        return _pick_embedding(asked)[0]
    except ModelError:
        return None


def _same(a: Output, b: Output) -> bool:
    return (a.tensor, a.pooling) == (b.tensor, b.pooling)


def _find(asked: Asked) -> Tensor:
    outputs = {tensor.name: tensor for tensor in asked.graph.outputs}
    name = asked.entry.scores
    if name is not None:
        return outputs[name] if name in outputs else asked.tensor_of(name)
    if len(outputs) > 1:
        listed = "; ".join(tensor.describe() for tensor in asked.graph.outputs)
        raise _no_scores(
            f"a job needs class scores, and the model has {len(outputs)} outputs: {listed}. Name the one that has a "
            "number for each class with `scores`"
        )
    return asked.graph.outputs[0]


def _what_they_are(asked: Asked, tensor: str) -> tuple[ScoresAre, str]:
    """Return what scores are, and who says so."""
    if asked.entry.scores_are is not None:
        return asked.entry.scores_are, TOLD[0]
    told = asked.graph.metadata.get(SCORES_ARE_KEY)
    if told is not None:
        known = {name: name for name in get_args(ScoresAre)}
        if told not in known:
            raise _no_scores(f"the metadata entry {SCORES_ARE_KEY} is {told[:60]!r}; expected {' or '.join(known)}")
        return known[told], TOLD[1]
    maker = asked.maker_of(tensor)
    if maker in _ONE_BY_ONE:
        raise _no_scores(
            f"{maker} makes the class scores {tensor!r}: each class by itself, so that they do not sum to 1. Expected "
            "logits, or probabilities of classes that exclude each other; name another tensor with `scores`, or say "
            "how to read them with `scores_are`"
        )
    return "probabilities" if maker in _SOFTMAX else "logits", f"made by {maker}" if maker else "default"


def _no_scores(message: str) -> ModelError:
    return ModelError(ModelErrorKind.NO_SCORES, message)
