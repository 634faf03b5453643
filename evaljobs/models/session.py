"""Running a model: the only module that imports onnxruntime."""

from __future__ import annotations

import contextlib
import functools
import io
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray

from evaljobs.errors import ModelError, ModelErrorKind
from evaljobs.models.digest import model_digest
from evaljobs.models.dropout_graph import Drop
from evaljobs.models.dropout_run import NOTHING, Dropping, Place, place_of, sizes_to_try
from evaljobs.models.feeds import Feeds, feed_of
from evaljobs.models.fetching import localised
from evaljobs.models.independence import rows_are_independent
from evaljobs.models.model import PASSES, Model, Output
from evaljobs.models.options import CPU_PROVIDER, CUDA_PROVIDER, Runtime
from evaljobs.models.passes import without_passes
from evaljobs.models.pooling import rows_of
from evaljobs.models.runtime_errors import attempt, shorten
from evaljobs.models.source import source_of

if TYPE_CHECKING:
    from typing import Any

# Whatever fails is raised too; below this level onnxruntime writes it to the terminal as well.
_FATAL = 4

# Whether rows are independent of their batch, as found in this process: a pool loads the same models again and again.
_independent: dict[tuple[object, ...], bool] = {}


class Session:
    """A loaded model. Not picklable: make it where it runs.

    Parameters
    ----------
    model
        What to run.
    runtime
        What it runs on, and how.
    feeds
        What it is fed with, where it shares that with other sessions.

    Attributes
    ----------
    provider : str
        The execution provider that runs it, as the session says.

    Raises
    ------
    ModelError
        CORRUPT, if it cannot be loaded; FAILED, if its file changed since it was read or has an operator that this
        onnxruntime lacks; PROVIDER, if the device cannot be used; OUT_OF_MEMORY.
    """

    def __init__(self, model: Model, runtime: Runtime, feeds: Feeds | None = None) -> None:
        model = localised(model)
        self._feeds = feeds or Feeds(0)
        _check_unchanged(model)
        self._model = model
        self._session, self._drops = _load(model, runtime)
        self.provider: str = self._session.get_providers()[0]
        if self.provider != runtime.provider:
            raise _no_cuda("onnxruntime fell back to the CPU")
        self._widths: dict[str, int] = {}
        self._dropping = None if model.passes is None else Dropping(model, self._drops, self._places(runtime))
        pixels = model.pixels.geometry, model.pixels.normalisation
        self._identity = (model.digest, model.outputs, pixels, model.batch_size, runtime, model.passes is None)

    def run(self, block: NDArray[np.uint8], digests: Sequence[bytes] | None = None) -> dict[str, NDArray[np.float32]]:
        """Embed a block of images.

        The session is fed batches of exactly `batch_size` images; the last is filled up with copies of its last
        image (with black ones where the block is empty), whose rows are dropped.

        Parameters
        ----------
        block
            uint8 array of shape (n, h, w, c) as decoded with the model's geometry; it is not written to.
        digests
            Of its n images: the masks of dropout follow from them. Needed for models with passes alone.

        Returns
        -------
        For each role a float32 array of shape (n, d).

        Raises
        ------
        ModelError
            UNSUPPORTED_OUTPUT, if an output is not [n, d] floating rows, or d changes, or rows are not properties of
            their images (see `rows_are_independent`); OUT_OF_MEMORY; FAILED.
        ValueError
            If the block is not of the model's geometry, or digests are missing.
        """
        self._check_block(block)
        if self._dropping is not None and (digests is None or len(digests) != len(block)):
            raise ValueError("expected the digest of each image: masks of dropout follow from them")
        size = self.batch_size()
        feeds = self._feeds.of(self._model, block, digests, size)
        parts = [self._run_part(values, (digests or ())[i * size : (i + 1) * size]) for i, values in enumerate(feeds)]
        return {o.role: np.concatenate([part[o.role] for part in parts])[: len(block)] for o in self._model.outputs}

    def batch_size(self) -> int:
        """Return how many images are run at a time: one, where rows would depend on the others of an open batch.

        Found once for each model in a process, by running it three times.

        Raises
        ------
        ModelError
            As `run` does.
        """
        model = self._model
        if self._identity not in _independent:
            _independent[self._identity] = rows_are_independent(
                without_passes(model), lambda batch: self._run_batch(feed_of(model, batch))
            )
        return model.batch_size if _independent[self._identity] or model.input.batch is not None else 1

    def _check_block(self, block: NDArray[np.uint8]) -> None:
        geometry = self._model.pixels.geometry
        expected = (geometry.height, geometry.width, geometry.channels)
        if block.dtype != np.uint8 or block.ndim != 4 or block.shape[1:] != expected:
            raise ValueError(
                f"found a block {block.dtype} {block.shape}, expected uint8 (n, {', '.join(map(str, expected))})"
            )

    def _run_part(self, values: NDArray[Any], digests: Sequence[bytes]) -> dict[str, NDArray[np.float32]]:
        """Run a whole batch, and the passes with dropout where there are any."""
        rows = self._run_batch(values)
        if self._dropping is None:
            return rows
        last = digests[-1] if digests else bytes(32)
        feed = {self._model.input.name: values}
        rows[PASSES] = self._dropping.rows(self._ask, feed, [*digests, *[last] * (len(values) - len(digests))])
        return rows

    def _places(self, runtime: Runtime) -> list[Place]:
        """Find where each Dropout drops, by running the model without dropping anything.

        Raises
        ------
        ModelError
            As `place_of` does, and as `run` does.
        """
        tensors = [drop.tensor for drop in self._drops]
        session, _ = _load(self._model, runtime, tensors)
        geometry, sizes = self._model.pixels.geometry, sizes_to_try(self._model)
        shapes = []
        for size in sizes:
            black = np.zeros((size, geometry.height, geometry.width, geometry.channels), np.uint8)
            feed = self._feed(feed_of(self._model, black))
            shapes.append([values.shape for values in self._ask(tensors, feed, session)])
        return [place_of(drop, own, sizes) for drop, own in zip(self._drops, zip(*shapes, strict=True), strict=True)]

    def _feed(self, values: NDArray[Any]) -> dict[str, NDArray[Any]]:
        """Return the inputs for a batch of which nothing is dropped."""
        return {self._model.input.name: values, **{drop.mask: NOTHING for drop in self._drops}}

    def _ask(
        self, names: Sequence[str], feed: Mapping[str, NDArray[Any]], session: Any = None
    ) -> Sequence[NDArray[Any]]:
        """Run the graph, or that of another session: return the tensors of these names."""
        run = (session or self._session).run
        try:
            found: Sequence[NDArray[Any]] = attempt(
                lambda: run(list(names), dict(feed)), self._model.path, ModelErrorKind.FAILED
            )
        except ModelError as error:
            raise self._with_hint(error) from None
        return found

    def _run_batch(self, values: NDArray[Any]) -> dict[str, NDArray[np.float32]]:
        outputs = without_passes(self._model).outputs
        found = self._ask([output.tensor for output in outputs], self._feed(values))
        rows = {output.role: rows_of(v, output, len(values)) for output, v in zip(outputs, found, strict=True)}
        for output in outputs:
            self._check_width(output, rows[output.role].shape[1])
        return rows

    def _with_hint(self, error: ModelError) -> ModelError:
        # Exporters leave an axis open in the declaration, and the number of the example in a Reshape.
        if (
            error.kind is not ModelErrorKind.FAILED
            or self._model.batch_size == 1
            or self._model.input.batch is not None
        ):
            return error
        return ModelError(error.kind, f"{error}; if its graph holds a fixed batch, try `batch_size: 1`")

    def _check_width(self, output: Output, width: int) -> None:
        first = self._widths.setdefault(output.role, width)
        if width != first:
            raise ModelError(
                ModelErrorKind.UNSUPPORTED_OUTPUT,
                f"the output {output.tensor!r} has {width} dimensions here and had {first} before; expected the same",
            )


class Part:
    """A graph that was cut out of a model, loaded. Not picklable: make it where it runs.

    Parameters
    ----------
    source
        The graph, serialised; its other inputs and its external data are the model's.
    folder
        That its external data are relative to.
    model
        It was cut out of: for messages.
    runtime
        What it runs on, and how.

    Raises
    ------
    ModelError
        As `Session` does.
    """

    def __init__(self, source: bytes, folder: Path, model: Model, runtime: Runtime) -> None:
        self._path = model.path
        options = _options(runtime)
        options.add_session_config_entry("session.model_external_initializers_file_folder_path", str(folder))
        self._session = attempt(lambda: _open(source, options, _providers(runtime)), model.path, ModelErrorKind.CORRUPT)

    def run(self, feed: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
        """Return the graph's only output.

        Raises
        ------
        ModelError
            OUT_OF_MEMORY; FAILED.
        """
        (values,) = attempt(lambda: self._session.run(None, dict(feed)), self._path, ModelErrorKind.FAILED)
        found: NDArray[Any] = values
        return found


def sample_with_dropout(path: Path, feed: Mapping[str, NDArray[Any]], times: int) -> Iterator[NDArray[Any]]:
    """Run a model on the CPU again and again with its dropout in it, which onnxruntime takes out by itself otherwise.

    Parameters
    ----------
    path
        An ONNX file with one output.
    feed
        Its inputs by name.

    Yields
    ------
    The output of each run.

    Raises
    ------
    ModelError
        CORRUPT, if it cannot be loaded; FAILED, if it cannot run.
    """
    runtime = Runtime()
    session = attempt(
        lambda: onnxruntime.InferenceSession(
            str(path), _options(runtime), providers=[CPU_PROVIDER], disabled_optimizers=["EliminateDropout"]
        ),
        path,
        ModelErrorKind.CORRUPT,
    )
    for _ in range(times):
        (values,) = attempt(lambda: session.run(None, dict(feed)), path, ModelErrorKind.FAILED)
        yield values


def _check_unchanged(model: Model) -> None:
    """Refuse a file that is not the one that was resolved: its rows would be stored under the other's digest."""
    if model_digest(model.path, model.external_files) != model.digest:
        raise ModelError(
            ModelErrorKind.FAILED,
            f"{model.path.name} was changed while the run used it; run again to evaluate the new file",
        )


def _load(model: Model, runtime: Runtime, also: Sequence[str] = ()) -> tuple[Any, tuple[Drop, ...]]:
    """Return a session, with further tensors as outputs, and the dropout whose masks are inputs."""
    if runtime.device == "cuda":
        _need_cuda()
    options = _options(runtime)
    where = model.path, ModelErrorKind.CORRUPT, model.external_files
    source = attempt(lambda: source_of(model, also), *where)
    options.add_session_config_entry("session.model_external_initializers_file_folder_path", str(source.folder))
    return attempt(lambda: _open(source.graph, options, _providers(runtime)), *where), source.drops


def _providers(runtime: Runtime) -> list[tuple[str, dict[str, str]]]:
    """Return the providers in the order in which nodes are offered to them: the CPU takes what a device cannot run."""
    wanted = (runtime.provider, runtime.provider_options())
    return [wanted] if runtime.device == "cpu" else [wanted, (CPU_PROVIDER, {})]


def _open(source: str | bytes, options: Any, providers: Sequence[tuple[str, dict[str, str]]]) -> Any:
    # By itself it prints, and goes on with the CPU, when a device fails at the start or in the middle.
    return onnxruntime.InferenceSession(source, options, providers=providers, enable_fallback=0)


def _options(runtime: Runtime) -> Any:
    values = runtime.session_options()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = values["intra_op_num_threads"]
    options.inter_op_num_threads = values["inter_op_num_threads"]
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    # Spinning threads take the cores from decoding.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # Planning which tensors share a buffer takes up to half of a load; the arena shares memory all the same.
    options.enable_mem_reuse = runtime.device != "cpu"
    options.log_severity_level = _FATAL
    return options


class Devices(NamedTuple):
    """What sessions can run on beside the CPU; ``why_no_cuda`` is None where CUDA can be used."""

    why_no_cuda: str | None


@functools.cache
def provider_devices() -> Devices:
    """Say on which devices sessions run on this machine: found by running one, not by what is installed."""
    return Devices(_why_no_cuda())


def _need_cuda() -> None:
    """Raise where CUDA cannot be used.

    Raises
    ------
    ModelError
        PROVIDER, with the reason.
    """
    if (reason := provider_devices().why_no_cuda) is not None:
        raise _no_cuda(reason)


def _no_cuda(reason: str) -> ModelError:
    return ModelError(
        ModelErrorKind.PROVIDER,
        f"device cuda was asked for and cannot be used: {reason}; "
        "install evaljobs[cuda] on a machine with an NVIDIA GPU, or set `cluster: {device: cpu}`",
    )


def _why_no_cuda() -> str | None:
    if CUDA_PROVIDER not in onnxruntime.get_available_providers():
        return f"onnxruntime {onnxruntime.__version__} was built without CUDA"
    onnxruntime.set_default_logger_severity(_FATAL)
    missing = _preload()
    try:
        session = _open(_identity(), _options(Runtime("cuda")), _providers(Runtime("cuda")))
        session.run(None, {"x": np.zeros(1, np.float32)})
    except Exception as error:  # whatever a missing driver or library raises
        return shorten(str(error))
    if session.get_providers()[0] != CUDA_PROVIDER:
        return missing or "no CUDA device, or its driver, CUDA or cuDNN libraries are missing"
    return None


def _preload() -> str | None:
    """Load the CUDA libraries that came as wheels; return the first failure, which onnxruntime would print."""
    printed = io.StringIO()
    with warnings.catch_warnings(), contextlib.redirect_stdout(printed):
        warnings.simplefilter("ignore")
        onnxruntime.preload_dlls()
    return next(iter(printed.getvalue().splitlines()), None)


def _identity() -> bytes:
    """Return the smallest model."""
    x, y = (onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1]) for name in "xy")
    graph = onnx.helper.make_graph([onnx.helper.make_node("Identity", ["x"], ["y"])], "identity", [x], [y])
    opset = onnx.helper.make_opsetid("", 17)
    model: bytes = onnx.helper.make_model(graph, opset_imports=[opset], ir_version=8).SerializeToString()
    return model
