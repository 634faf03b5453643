"""What earlier runs found out about model files: each is read once, not once for each run."""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx

from evaljobs.config import canonical_json
from evaljobs.images.versions import SETTLED_NS
from evaljobs.models.cost import COST_VERSION, count_cost, structure_of
from evaljobs.models.digest import model_digest
from evaljobs.models.inspect import Graph, Tensor, find_maker, infer_tensor, inspect
from evaljobs.models.model import Cost
from evaljobs.models.places import Files, ModelFile
from evaljobs.models.shapes import Shape

# Counts changes of what is read out of a file: what was kept before one is read again.
FACTS_VERSION = 3


class _NoStructureError(Exception):
    """A graph could not be read."""


class Known:
    """Answers questions about model files, from a cache where the files are the ones that were asked about before.

    The cache's key is made of the question and the stamps of the files: for local ones the resolved path, size and
    times of change, for objects on S3 uri, ETag and size. Of local files changed within the last two seconds nothing is
    kept: a time stamp does not yet tell their next change. What follows from a digest is kept under that.

    Parameters
    ----------
    get
        Returns what was put under a key of 64 hexadecimal digits, or None.
    put
        Keeps a text under such a key. Neither is called by two threads at a time.
    """

    def __init__(
        self, get: Callable[[str], str | None] = lambda _: None, put: Callable[[str, str], None] = lambda *_: None
    ) -> None:
        self._get = get
        self._put = put
        self._lock = threading.Lock()

    def graph(self, file: ModelFile) -> Graph:
        """Return what a file holds, see `inspect`.

        Raises
        ------
        ModelError
            CORRUPT.
        RemoteError
            If it is on S3 and cannot be copied.
        """
        found = self._recall(["graph", FACTS_VERSION], (file,), lambda: inspect(_here(file)).to_json())
        return Graph.from_json(found)

    def tensor(self, file: ModelFile, name: str) -> Tensor:
        """Return any tensor of the graph, see `infer_tensor`.

        Raises
        ------
        ModelError
            CORRUPT; UNSUPPORTED_OUTPUT, if there is no such tensor.
        """
        question = ["tensor", FACTS_VERSION, onnx.__version__, name]
        return Tensor.from_json(self._recall(question, (file,), lambda: infer_tensor(_here(file), name).to_json()))

    def maker(self, file: ModelFile, name: str) -> str:
        """Return the operator that makes a tensor, see `find_maker`.

        Raises
        ------
        ModelError
            CORRUPT.
        """
        found: str = self._recall(["maker", FACTS_VERSION, name], (file,), lambda: find_maker(_here(file), name))
        return found

    def digest(self, files: Files) -> str:
        """Return the digest of a model, see `model_digest`.

        Raises
        ------
        ModelError
            CORRUPT, if a file cannot be read.
        """
        question = ["digest", [location for location, _ in files.external]]
        found: str = self._recall(question, files.all(), lambda: model_digest(*files.paths()))
        return found

    def cost(self, files: Files, digest: str, input_name: str, shape: Shape, outputs: tuple[str, ...]) -> Cost:
        """Return what an image costs the model of a digest, see `count_cost`: once for all checkpoints of one graph.

        Raises
        ------
        ModelError
            CORRUPT, if its file cannot be read.
        """
        asked = [COST_VERSION, onnx.__version__, input_name, shape, outputs]

        def count() -> Any:
            structure = structure_of(files.paths()[0], outputs)
            if structure is None:
                raise _NoStructureError
            question = ["cost of structure", *asked, hashlib.sha256(structure).hexdigest()]
            return self._recall(question, (), lambda: count_cost(structure, input_name, shape, outputs).to_json())

        try:
            return Cost.from_json(self._recall(["cost", *asked, digest], (), count))
        except _NoStructureError:  # a disk may have failed for a moment: nothing to be kept
            return count_cost(None, input_name, shape, outputs)

    def _recall(self, question: list[Any], files: tuple[ModelFile, ...], find: Callable[[], Any]) -> Any:
        """Return the answer (JSON) to a question about files, from the cache or else by finding it."""
        started_ns = time.time_ns()
        stamps = [file.stamp() for file in files]
        identities = [None if stamp is None else stamp.identity for stamp in stamps]
        if None in identities:
            return find()
        key = hashlib.sha256(canonical_json([question, identities]).encode(errors="backslashreplace")).hexdigest()
        with self._lock:
            kept = self._get(key)
        if kept is not None:
            return json.loads(kept)
        found = find()
        settled = all(stamp.changed_ns < started_ns - SETTLED_NS for stamp in stamps if stamp is not None)
        if settled and [file.stamp() for file in files] == stamps:
            with self._lock:
                self._put(key, json.dumps(found))
        return found


def _here(file: ModelFile) -> Path:
    return Files(file).paths()[0]
