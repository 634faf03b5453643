"""From checkpoints to checked ONNX files: each whole and verified, or not there at all."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx
from numpy.typing import NDArray

from evaljobs import config
from evaljobs.errors import EvaljobsError, ExportError, ModelError, UsageError
from evaljobs.export.architecture import Built, build, require_torch
from evaljobs.export.checkpoint import read_checkpoint
from evaljobs.export.dropout import check_dropout, kept_dropout
from evaljobs.export.head import embedder
from evaljobs.export.parity import Check, Parity, check_parity
from evaljobs.export.places import fetched, is_there, model_of, names_file, new_file, require_checkpoint
from evaljobs.export.random_graph import check_random, without_dropout
from evaljobs.export.recipe import Recipe
from evaljobs.export.signature import Origin, sign
from evaljobs.export.tracing import trace
from evaljobs.export.weights import load_weights
from evaljobs.models.model import Model
from evaljobs.models.resolve import resolve
from evaljobs.remote import AnyPath, is_remote, locate


class Exported(NamedTuple):
    """A model that was written.

    Attributes
    ----------
    shape
        (channels, height, width) of its input.
    dim
        Of its embedding.
    dropouts
        Probabilities of the dropout that stays random.
    parity
        How far PyTorch and onnxruntime are apart.
    notes
        What was decided on the way, in plain sentences.
    """

    checkpoint: AnyPath
    path: AnyPath
    shape: tuple[int, int, int]
    dim: int
    size_bytes: int
    dropouts: tuple[float, ...]
    parity: Parity
    notes: tuple[str, ...]


class Failed(NamedTuple):
    """A checkpoint that was not exported, and why."""

    checkpoint: AnyPath
    message: str


def export_all(
    checkpoints: Sequence[AnyPath], recipe: Recipe, out: AnyPath | None, check: Check, *, overwrite: bool = False
) -> Iterator[Exported | Failed]:
    """Export checkpoints one after the other; one that fails does not end the others.

    Parameters
    ----------
    checkpoints
        Files of PyTorch, or safetensors, on this machine or on S3.
    out
        The file to write, here or on S3, for one checkpoint; or a folder, in which each model has the name of its
        checkpoint. Beside the checkpoint where None.
    overwrite
        Whether files that are there may be replaced.

    Raises
    ------
    UsageError
        Before anything is written: PyTorch is missing, a checkpoint is not there, an output is there or would be
        written twice, or the architecture cannot be built.
    """
    require_torch()
    targets = _targets(checkpoints, out, overwrite=overwrite)
    return (_export_or_fail(checkpoint, recipe, path, check, overwrite) for checkpoint, path in targets.items())


def _targets(checkpoints: Sequence[AnyPath], out: AnyPath | None, *, overwrite: bool) -> dict[AnyPath, AnyPath]:
    """Return where each checkpoint's model goes."""
    for checkpoint in checkpoints:
        require_checkpoint(checkpoint)
    out = locate(out, Path()) if out is not None and is_remote(out) else out
    as_file = out is not None and names_file(out)
    if as_file and len(checkpoints) > 1:
        raise UsageError(f"--out {out} is one file for {len(checkpoints)} checkpoints; give a folder")
    targets = {c: out if as_file and out else model_of(c, out) for c in checkpoints}
    sources: dict[AnyPath, AnyPath] = {}
    for checkpoint, path in targets.items():
        if (other := sources.setdefault(path, checkpoint)) != checkpoint:
            raise UsageError(f"{other} and {checkpoint} would both be written to {path}; export them by themselves")
        if not overwrite and is_there(path):
            raise UsageError(f"{path} is there already; nothing was started. Replace it with --overwrite")
    return targets


def _export_or_fail(
    checkpoint: AnyPath, recipe: Recipe, path: AnyPath, check: Check, overwrite: bool
) -> Exported | Failed:
    try:
        return export(checkpoint, recipe, path, check, overwrite=overwrite)
    except UsageError:
        raise  # it is not this checkpoint's: the architecture, or a package
    except EvaljobsError as error:
        return Failed(checkpoint, str(error))


def export(checkpoint: AnyPath, recipe: Recipe, path: AnyPath, check: Check, *, overwrite: bool = False) -> Exported:
    """Export one checkpoint, and compare the file with PyTorch before it gets its name.

    Raises
    ------
    UsageError
        If the architecture cannot be built, or the output is there.
    ExportError, ModelError
        If the checkpoint cannot be exported; no file is left.
    """
    import torch

    built = build(recipe)
    with fetched(checkpoint) as here:
        read = read_checkpoint(here)
    fitted = load_weights(built.module, read, recipe, built.heads)
    module = embedder(built.module, recipe.head)
    rows = _run(module, torch.rand(2, *built.shape, generator=torch.Generator().manual_seed(0)))
    proto, dropouts = _traced(module, built, recipe)
    dim = int(rows.shape[1])
    _check_classes(recipe, dim)
    proto.graph.output[0].type.tensor_type.shape.dim[1].dim_value = dim
    sign(proto, Origin(recipe, built, read, fitted, dim))
    with new_file(path, overwrite=overwrite) as file:
        file.write_bytes(proto.SerializeToString(deterministic=True))
        if recipe.keep_dropout:
            check_random(file, proto, built.shape, dropouts)
        parity, notes = _checked(file, proto, module, check, random=recipe.keep_dropout)
        size = file.stat().st_size
    notes = (*built.notes, *fitted.notes, *notes, *parity.notes)
    return Exported(checkpoint, path, built.shape, dim, size, dropouts, parity, notes)


def _check_classes(recipe: Recipe, dim: int) -> None:
    if recipe.classes is not None and len(recipe.classes) != dim:
        raise ExportError(
            f"--classes names {len(recipe.classes):,} classes, and the model gives {dim:,} values an image; expected a "
            "name for each. With timm, --embedding-dim keeps the last layer, which gives the class scores"
        )


def _run(module: Any, images: Any) -> NDArray[np.float32]:
    """Return the rows of a batch; a mistake in the size or the head shows here first."""
    import torch

    try:
        with torch.no_grad():
            rows: NDArray[np.float32] = module(images).numpy()
    except ExportError:
        raise
    except Exception as error:  # whatever the code of others raises
        reason = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
        raise ExportError(
            f"the architecture fails on a batch of {' x '.join(map(str, images.shape))}: {reason}; "
            "another --size or --arg may be what it wants"
        ) from None
    return rows


def _traced(module: Any, built: Built, recipe: Recipe) -> tuple[onnx.ModelProto, tuple[float, ...]]:
    """Return the graph, and the probabilities of the dropout in it."""
    import torch

    example = torch.zeros(2, *built.shape)
    with torch.no_grad():
        if not recipe.keep_dropout:
            return trace(module, example, recipe.exporter, recipe.opset), ()
        if recipe.exporter != "torchscript":
            raise UsageError("--keep-dropout works with --exporter torchscript alone")
        with kept_dropout() as met:
            module(example)
            probabilities = tuple(met)
            check_dropout(module, met)
            return trace(module, example, recipe.exporter, recipe.opset), probabilities


def _checked(
    file: Path, proto: onnx.ModelProto, module: Any, check: Check, *, random: bool
) -> tuple[Parity, tuple[str, ...]]:
    """Resolve a file as a run does, and compare it; with dropout that stays random, with its probabilities at zero."""
    import torch

    if random:
        file = file.parent / "without-dropout" / file.name
        file.parent.mkdir()
        file.write_bytes(without_dropout(proto).SerializeToString())
    model = _resolved(file)

    def torch_rows(images: NDArray[np.float32]) -> NDArray[np.float32]:
        return _run(module, torch.from_numpy(images))

    return check_parity(model, torch_rows, check), model.notes


def _resolved(file: Path) -> Model:
    # The images of a configuration are not looked at here.
    run = config.Config(models=(config.Models(path=str(file.absolute())),), images=config.Images(folder="."))
    found = resolve(run, file.parent)
    for refused in found.refused:
        raise ModelError(refused.kind, refused.message)
    return found.models[0]
