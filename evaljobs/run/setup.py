"""What a computation is made of, on a given cluster: the plan, its work, its actors."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator, Sequence

from evaljobs.engine import todo
from evaljobs.engine.decoding import decode_shard
from evaljobs.engine.embedding import ModelLoad, build_embedder, obstacle
from evaljobs.engine.prepare import Prepared
from evaljobs.engine.shards import Indices, Shard
from evaljobs.engine.sharing import Sharing
from evaljobs.errors import UsageError
from evaljobs.images.geometry import Geometry
from evaljobs.images.views.chain import Change
from evaljobs.remote import is_remote
from evaljobs.run.guest import guest_rules
from evaljobs.store import Store
from raycluster.connection.connect import Cluster
from raycluster.connection.nodes import on_every_node
from raycluster.planning.plan import Limits, Plan
from raycluster.pool.room import Node
from raycluster.pool.work import Actors, Work

# Of Ray's object store; the rest is for answers and for blocks on their way out.
BLOCK_SHARE = 0.5


def block_memory(prepared: Prepared, cluster: Cluster) -> int:
    """Return the bytes that decoded images may take at a time."""
    memory_mb = prepared.config.cluster.memory_mb
    return memory_mb * 2**20 if memory_mb else int(cluster.object_store_bytes * BLOCK_SHARE)


@contextlib.contextmanager
def shared_store(store: Store, cluster: Cluster) -> Iterator[str | None]:
    """See that every node reads and writes the same store; yield what a node that joins later is to find there.

    Raises
    ------
    UsageError
        Naming the nodes that do not, before anything is computed.
    """
    if cluster.nodes == 1 and cluster.embedded:
        yield None
        return
    nonce = store.leave_nonce()
    try:
        found = on_every_node(obstacle, store, nonce)
        if blind := sorted(node for node, why in found.items() if why):
            raise UsageError(
                f"the store {store.location} is not shared: the node(s) {', '.join(blind)} {found[blind[0]]}. "
                + (_SAME_BUCKET if is_remote(store.location) else _SAME_FOLDER)
            )
        yield nonce
    finally:
        store.remove_nonce(nonce)


_SAME_FOLDER = "Name a `store` on a file system that every node mounts at the same place, or on S3"
_SAME_BUCKET = "Every node needs credentials for the bucket and AWS_ENDPOINT_URL in the environment that Ray started in"


def make_plan(prepared: Prepared, shards: Sequence[Shard], memory_bytes: int) -> Plan:
    """Return the plan of a pass: every shard is a block, every model a load."""
    sizes = [todo.image_bytes(geometry) for geometry in prepared.geometries]
    blocks: dict[int, set[int]] = {}
    for number, shard in enumerate(shards):
        for model in shard.models:
            blocks.setdefault(model, set()).add(number)
    block_bytes = [len(shard.images) * sizes[shard.geometry] for shard in shards]
    # All are made, also when their models are lost meanwhile: which images are excluded must not depend on when.
    return Plan(block_bytes, blocks, Limits(memory_bytes), make_all=True)


def decode_arguments(
    prepared: Prepared, geometry: int, images: Indices
) -> tuple[list[str], list[bytes], Geometry, dict[bytes, Change]]:
    """Return what `decode_shard` takes."""
    uris, digests = prepared.uris.take(images), prepared.images.take(images)
    changes = prepared.changes.of(prepared.images, images)
    return uris.to_pylist(), digests.to_pylist(), prepared.geometries[geometry], changes


def make_work(prepared: Prepared, shards: Sequence[Shard]) -> Work:
    """Return what the numbers of the plan stand for."""
    return Work(
        make=decode_shard,
        make_arguments=lambda block: decode_arguments(prepared, shards[block].geometry, shards[block].images),
        load_arguments={n: ModelLoad(m, prepared.keys[m.load]) for n, m in enumerate(prepared.models)},
    )


def make_actors(prepared: Prepared, nonce: str | None, run: str, avoid: frozenset[str] = frozenset()) -> Actors:
    """Return the pool of embedders: so many on each GPU, or one for each `threads` cores, of all nodes but some."""
    settings = prepared.config.cluster
    guest = guest_rules(settings.guest, prepared.runtime.device)
    build = functools.partial(build_embedder, prepared.store.location, prepared.runtime, nonce, run)
    if prepared.runtime.device == "cuda":
        # Exactly 1/n: Ray keeps books of parts of a GPU, and any other part would leave a rest that nobody can have.
        return Actors(build, count=settings.workers, cpus=1, gpus=1 / settings.gpu.actors, avoid=avoid, guest=guest)
    return Actors(build, count=settings.workers, cpus=settings.threads, avoid=avoid, guest=guest)


def make_sharing(nodes: Sequence[Node]) -> Sharing:
    """Return the rules by which evaluations share the CPUs that the nodes of this moment have."""
    working = [int(node.cpus) for node in nodes if node.cpus >= 1]
    slots = max(1, sum(working))
    return Sharing(slots, max(1, slots // max(1, len(working))))


def announce(prepared: Prepared, shards: Sequence[Shard], evaluations: int, cluster: Cluster) -> str:
    """Say what is about to be done, and where."""
    decodes = sum(len(shard.images) for shard in shards)
    rows = sum(len(shard.images) * len(shard.models) for shard in shards)
    where = "this machine" if cluster.embedded else f"{cluster.nodes} node(s) of {cluster.address}"
    return (
        f"{len(prepared.images):,} images, {len(prepared.plain_models):,} models: {decodes:,} to decode, "
        f"{rows:,} to embed, {evaluations:,} evaluations, on {where} "
        f"({cluster.cpus} CPUs, {cluster.gpus} GPUs, {prepared.runtime.provider})"
    )
