"""Which tensors of a graph are the image and the embedding."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import get_args

from evaljobs import config
from evaljobs.errors import ModelError, ModelErrorKind
from evaljobs.models.inspect import Dim, Graph, Tensor
from evaljobs.models.model import Input, InputType, Layout, Output

_CHANNELS = {1, 3}
FLOATS = {"float16", "float32", "float64", "unknown"}


def pick_input(graph: Graph) -> tuple[Input, tuple[str, ...]]:
    """Return the image input of a graph, and notes on what was assumed.

    The channel axis is the one that holds 1 or 3, of the second and the last; the second where both or neither do.

    Raises
    ------
    ModelError
        UNSUPPORTED_INPUT, unless there is exactly one input, of four dimensions, and of a supported type.
    """
    listed = ", ".join(tensor.describe() for tensor in graph.inputs) or "none"
    if len(graph.inputs) != 1 or graph.inputs[0].shape is None or len(graph.inputs[0].shape) != 4:
        raise _bad_input(f"found {listed}; expected one input of four dimensions, [N, C, H, W] or [N, H, W, C]")
    tensor = graph.inputs[0]
    if tensor.dtype not in get_args(InputType):
        raise _bad_input(f"found {listed}; expected the type float32, float16 or uint8 (raw pixels)")
    shape = tensor.shape or ()
    layout, notes = _layout(shape, listed)
    batch, *rest = (axis if isinstance(axis, int) else None for axis in shape)
    channels, height, width = rest if layout == "nchw" else (rest[2], rest[0], rest[1])
    # The type was checked above; mypy cannot narrow text by get_args.
    dtype: InputType = tensor.dtype  # type: ignore[assignment]
    return Input(tensor.name, dtype, layout, batch, channels, height, width), notes


def _layout(shape: Sequence[Dim], listed: str) -> tuple[Layout, tuple[str, ...]]:
    second, last = shape[1], shape[3]
    if second in _CHANNELS:
        ambiguous = last in _CHANNELS
        note = f"the input {listed} may have its channels on axis 1 or last: axis 1 (NCHW) assumed"
        return "nchw", (note,) if ambiguous else ()
    if last in _CHANNELS:
        return "nhwc", ()
    if not isinstance(second, int):
        return "nchw", (f"the input {listed} does not say where its channels are: axis 1 (NCHW) assumed",)
    if not isinstance(last, int):
        return "nhwc", (f"the input {listed} leaves its last axis open: channels last (NHWC) assumed",)
    raise _bad_input(f"found {listed}; expected 1 or 3 channels on axis 1 or on the last")


def _bad_input(message: str) -> ModelError:
    return ModelError(ModelErrorKind.UNSUPPORTED_INPUT, f"the model's input cannot be fed with images: {message}")


def pick_output(
    graph: Graph, tensor_of: Callable[[str], Tensor], entry: config.Models, image: Input
) -> tuple[Output, tuple[str, ...]]:
    """Return the tensor that is the embedding, and notes on how it is pooled.

    Pooling acts on [N, T, d] over T; on [N, c, h, w] over h and w; on an output [N, h, w, c] of a model that takes
    channels last over h and w. (Inside a graph channels are on axis 1 whatever the layout of its input.)

    Parameters
    ----------
    graph
        What the file holds.
    tensor_of
        Looks up a tensor that is no output, see `infer_tensor`.
    entry
        The model's entry in the config.
    image
        Its input.

    Raises
    ------
    ModelError
        UNSUPPORTED_OUTPUT, if it cannot be found or is no batch of vectors.
    """
    tensor = _find(graph, tensor_of, entry.output)
    found = f"the output {tensor.describe()}"
    if tensor.dtype not in FLOATS:
        raise _bad_output(f"{found} is not of a floating type; name another tensor with `output`")
    declared = any(output.name == tensor.name for output in graph.outputs)
    output = Output("embedding", tensor.name, entry.pooling, channels_last=declared and image.layout == "nhwc")
    notes = ("the output is float64: its vectors are rounded to float32",) if tensor.dtype == "float64" else ()
    if tensor.shape is None:
        return output, notes
    if len(tensor.shape) < 2 or other_batch(tensor, image):
        raise _bad_output(f"{found} has no row per image; expected [N, d] with N = {image.batch or 'the batch'}")
    if len(tensor.shape) == 2:
        ignored = (f"pooling {entry.pooling} has nothing to do: the output is [N, d]",) if entry.pooling else ()
        return Output("embedding", tensor.name), notes + ignored
    if entry.pooling is None:
        raise _bad_output(
            f"{found} has {len(tensor.shape)} dimensions; say how it becomes [N, d]: "
            "`pooling: mean`, `max` or `first` (over positions), or `flatten`"
        )
    return output, notes


def other_batch(tensor: Tensor, image: Input) -> bool:
    """Return whether a tensor has a number of rows that is not that of the images, as far as both are fixed."""
    rows = tensor.shape[0] if tensor.shape else None
    return isinstance(rows, int) and image.batch is not None and rows != image.batch


def _find(graph: Graph, tensor_of: Callable[[str], Tensor], name: str | None) -> Tensor:
    outputs = {tensor.name: tensor for tensor in graph.outputs}
    if name is None:
        if len(outputs) > 1:
            listed = "; ".join(tensor.describe() for tensor in graph.outputs)
            raise _bad_output(f"the model has {len(outputs)} outputs: {listed}. Name one with `output`")
        return graph.outputs[0]
    if name in outputs:
        return outputs[name]
    return tensor_of(name)


def _bad_output(message: str) -> ModelError:
    return ModelError(ModelErrorKind.UNSUPPORTED_OUTPUT, message)
