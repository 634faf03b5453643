"""What an actor runs: it holds a session, and embeds block after block. A plain class, without Ray."""

from __future__ import annotations

import dataclasses
import gc
import time
from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from evaljobs.engine.decoding import Decoded
from evaljobs.engine.heap import keep_freed_memory
from evaljobs.errors import ModelError, ModelErrorKind, RemoteError, StoreError
from evaljobs.models.feeds import Feeds
from evaljobs.models.model import Model
from evaljobs.models.options import Runtime
from evaljobs.models.session import Session
from evaljobs.schemas import DIGEST
from evaljobs.store import Store


@dataclasses.dataclass(frozen=True)
class ModelLoad:
    """What an embedder loads: the model, and the key of the table that its rows go to."""

    model: Model
    key: Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class Embedded:
    """The rows of a block are committed.

    Attributes
    ----------
    rows, computed
        How many, and how many of them this call has committed: none where they were there, of a copy of this call, of
        one whose answer was lost, or of another run.
    provider
        Empty where nothing was computed.
    """

    rows: int
    computed: int
    provider: str
    load_seconds: float
    embed_seconds: float


@dataclasses.dataclass(frozen=True)
class EmbedFailed:
    """A model cannot be used."""

    kind: ModelErrorKind
    message: str


class Embedder:
    """Holds one session at a time, and embeds block after block with it.

    Every call is safe to repeat: the store keeps the first of two equal parts, and what it has is not computed again.
    """

    def __init__(self, store: str, runtime: Runtime, run: str = "") -> None:
        keep_freed_memory()
        self._run = run
        self._store = Store(store)
        self._runtime = runtime
        self._key: Mapping[str, Any] | None = None
        self._session: Session | None = None
        self._feeds = Feeds()

    def __call__(self, load: ModelLoad, block: Decoded) -> Embedded | EmbedFailed:
        """Embed a block and commit its rows."""
        digests, table = pa.array(block.digests, DIGEST), self._store.table(load.key)
        if table.has(digests):  # a copy of this call, or another run that began together with this one, was faster
            return Embedded(len(digests), 0, "", 0.0, 0.0)
        start = time.perf_counter()
        try:
            session = self._load(load)
            loaded = time.perf_counter()
            outputs = session.run(block.pixels, block.digests)
        except ModelError as error:
            return EmbedFailed(error.kind, str(error))
        except (RemoteError, StoreError):  # nothing that follows from the model: the run ends, and can be resumed
            raise
        except MemoryError:
            return EmbedFailed(ModelErrorKind.OUT_OF_MEMORY, "there is not enough memory for a batch of it")
        except Exception as error:  # whatever a model's file or operators raise ends that model, not the sweep
            return EmbedFailed(ModelErrorKind.FAILED, f"{type(error).__name__}: {error}")
        embedded = time.perf_counter()
        committed = len(digests) if table.commit(digests, outputs, self._run) else 0
        return Embedded(len(digests), committed, session.provider, loaded - start, embedded - loaded)

    def _load(self, load: ModelLoad) -> Session:
        if self._session is None or self._key != load.key:
            # Freed first: two sessions of large models may not fit beside each other.
            self._session, self._key = None, None
            gc.collect()
            self._feeds.next_model()
            self._session = Session(load.model, self._runtime, self._feeds)
            self._key = load.key
        return self._session


def obstacle(store: Store, nonce: str) -> str:
    """Return why this machine cannot use a store in which another one has left a nonce; nothing where it can."""
    try:
        return "" if store.sees_nonce(nonce) else "do not see what this machine writes there"
    except StoreError as error:
        return f"cannot use it ({error})"


def build_embedder(store: str, runtime: Runtime, nonce: str | None, run: str = "") -> Embedder:
    """Return an embedder of this process, which does nothing else: an actor calls it. Its rows are those of a run.

    Raises
    ------
    StoreError
        If this machine does not see the nonce: its rows would be found by nobody.
    """
    if nonce is not None and (why := obstacle(Store(store), nonce)):
        raise StoreError(f"the store {store} is not shared: nodes that joined later {why}")
    # What is imported stays: the collection before each load looks only at what came later.
    gc.freeze()
    return Embedder(store, runtime, run)
