"""From a module to an ONNX graph, by one of PyTorch's two exporters."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import warnings
from collections.abc import Iterator
from typing import Any

import onnx

from evaljobs.errors import ExportError
from evaljobs.export.packages import require
from evaljobs.export.recipe import Exporter

INPUT, OUTPUT = "image", "embedding"
# A file of protobuf cannot be larger.
_LARGEST = 2**31 - 2**24


def trace(module: Any, example: Any, exporter: Exporter, opset: int) -> onnx.ModelProto:
    """Export a module with an open batch.

    Parameters
    ----------
    module
        Takes float32 [N, c, h, w] and returns [N, d].
    example
        A batch of two images.
    exporter
        ``torchscript`` runs the module once and writes down what it does, in about a second. ``dynamo`` reads its code,
        which takes longer and follows branches.
    opset
        Version of ONNX's operators.

    Raises
    ------
    ExportError
        If the exporter fails, or the weights are too large for one file.
    UsageError
        If a package that the exporter needs is missing.
    """
    size = sum(p.numel() * p.element_size() for p in module.state_dict().values())
    if size > _LARGEST:
        raise ExportError(f"the weights take {size / 2**30:.1f} GiB; an ONNX file of its own holds at most 2 GiB")
    if exporter == "dynamo":
        require("onnxscript", "--exporter dynamo")
    try:
        with _quiet(), _without_fast_path():
            proto = _dynamo(module, example, opset) if exporter == "dynamo" else _torchscript(module, example, opset)
    except ExportError:
        raise
    except Exception as error:  # whatever an exporter raises
        other = "torchscript" if exporter == "dynamo" else "dynamo"
        reason = " ".join(str(error).split())[:300]
        raise ExportError(
            f"the exporter {exporter} failed with opset {opset} ({type(error).__name__}: {reason}); "
            f"another may not: --exporter {other}, or --opset"
        ) from None
    return _plain(proto)


def _torchscript(module: Any, example: Any, opset: int) -> onnx.ModelProto:
    import torch

    stream = io.BytesIO()
    torch.onnx.export(
        module,
        (example,),
        stream,
        dynamo=False,
        input_names=[INPUT],
        output_names=[OUTPUT],
        dynamic_axes={INPUT: {0: "batch"}, OUTPUT: {0: "batch"}},
        opset_version=opset,
    )
    return onnx.load_model_from_string(stream.getvalue())


def _dynamo(module: Any, example: Any, opset: int) -> onnx.ModelProto:
    import torch

    program = torch.onnx.export(
        module,
        (example,),
        dynamo=True,
        input_names=[INPUT],
        output_names=[OUTPUT],
        dynamic_shapes=({0: torch.export.Dim("batch")},),
        opset_version=opset,
        verbose=False,
    )
    proto: onnx.ModelProto = program.model_proto
    return proto


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep the exporters' remarks away.

    They say that one of them will go, that sizes are traced as constants (which the batch is not, as is checked
    afterwards; the others are meant to be), and that dropout stays where it was asked to stay.
    """
    disabled = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()), _without_descriptors():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)


@contextlib.contextmanager
def _without_descriptors() -> Iterator[None]:
    """Send what compiled code prints to nowhere: it writes to the descriptors, and whole graphs when it fails."""
    saved = [(number, os.dup(number)) for number in (1, 2)]
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        for number, _ in saved:
            os.dup2(nowhere, number)
        yield
    finally:
        for number, copy in saved:
            os.dup2(copy, number)
            os.close(copy)
        os.close(nowhere)


@contextlib.contextmanager
def _without_fast_path() -> Iterator[None]:
    """Have attention computed step by step: PyTorch's fused layers of transformers are no operators of ONNX."""
    import torch

    enabled = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(enabled)


def _plain(proto: onnx.ModelProto) -> onnx.ModelProto:
    """Drop what exporters note of the machine: source lines and their paths, so that equal models are equal bytes."""
    parts = [proto.graph, *proto.graph.node, *proto.graph.input, *proto.graph.output, *proto.graph.value_info]
    parts += [
        *proto.graph.initializer,
        *proto.functions,
        *(node for function in proto.functions for node in function.node),
    ]
    for part in parts:
        part.doc_string = ""
        del part.metadata_props[:]
    return proto
