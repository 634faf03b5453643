"""The section `loop` of `embedding.py`: a run with one model against a bare loop."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import embedding_data
from embedding_parts import median, parts, table, working
from embedding_turns import Share

if TYPE_CHECKING:
    from embedding import Bench


def loop(bench: Bench) -> None:
    """Compare a run with one model and a bare loop, for each model."""
    for architecture in embedding_data.ARCHITECTURES:
        loop_of(bench, architecture)


def loop_of(bench: Bench, architecture: str) -> None:
    """Embed with one model: in turns of a second once both run, then each as a whole, for what start-up takes."""
    found = [bench.beside(architecture, bench.sizes.loop) for _ in range(bench.repeats)]
    ours, bare = (list(shares) for shares in zip(*found, strict=True))
    rows = [
        [name, f"{median([s.rate for s in shares]):.0f}", f"{median([s.cpu for s in shares]) * 1e3:.2f}"]
        for name, shares in (("run", ours), ("bare loop", bare))
    ]
    rows[0] += [
        f"{median([o.rate / b.rate for o, b in zip(ours, bare, strict=True)]):.2f}",
        f"{median([b.cpu / o.cpu for o, b in zip(ours, bare, strict=True)]):.2f}",
    ]
    rows[1] += ["", ""]
    print(f"### {architecture}, {bench.sizes.loop:,} images, in turns of a second once running\n")
    table(["what", "images/s", "CPU ms an image", "factor", "of CPU"], rows)
    table(
        ["processes", "CPU ms an image", "of these of the system", "page faults an image"],
        [row for name, shares in (("run", ours), ("bare loop", bare)) for row in _by_role(name, shares)],
    )
    _start_up(bench, architecture)


def _by_role(name: str, shares: Sequence[Share]) -> Iterator[list[str]]:
    """Yield what each kind of processes takes for an image, over all repeats."""
    images = sum(share.images for share in shares)
    for role in sorted({role for share in shares for role in share.by_role}):
        used = [share.by_role[role] for share in shares if role in share.by_role]
        user, system, faults = (sum(getattr(u, field) for u in used) / images for field in ("user", "system", "faults"))
        yield [f"{name}: {role}", f"{(user + system) * 1e3:.3f}", f"{system * 1e3:.3f}", f"{faults:.1f}"]


def _start_up(bench: Bench, architecture: str) -> None:
    """Carry each out once as a whole, with nothing beside it."""
    ours = bench.ours(bench.config(architecture, bench.sizes.loop, slice(0, 1)))
    bare = bench.rival("stream", bench.config(architecture, bench.sizes.loop, slice(0, 1)))
    table(
        ["as a whole", "s", "decoding and embedding, s", "all else, s"],
        [
            [name, f"{run.seconds:.1f}", f"{part.wall:.1f}", f"{run.seconds - part.wall:.1f}"]
            for name, run, part in (
                ("run", ours, parts(ours)["decoding and embedding"]),
                ("bare loop", bare, working(bare)),
            )
        ],
    )
    table(["part of the run", "s (CPU s)"], [[k, str(v)] for k, v in parts(ours).items()])
