"""What is simulated, drawn from a seed: costs, stragglers, nodes that die and come back; and a lower bound."""

from __future__ import annotations

import dataclasses
import functools
import math
import random
from typing import NamedTuple


@dataclasses.dataclass(frozen=True)
class Shape:
    """What is simulated. Times in seconds, of a node of speed 1; pairs are the ends of a uniform draw."""

    loads: int = 1000
    blocks: int = 240
    blocks_in_memory: int = 60
    nodes: int = 100
    workers_per_node: int = 4
    cell_s: tuple[float, float] = (0.2, 6.0)  # log-uniform, by load
    noise: float = 0.1  # of each cell, as a share
    load_s: tuple[float, float] = (1.0, 5.0)
    make_s: tuple[float, float] = (2.0, 6.0)
    slow_nodes: int = 5
    slowness: tuple[float, float] = (3.0, 10.0)
    up_s: float = 7200.0  # mean, exponential
    down_s: tuple[float, float] = (30.0, 300.0)
    start_s: tuple[float, float] = (5.0, 15.0)
    detect_s: float = 10.0  # from a node's death until the driver knows it
    call_s: float = 0.005  # from an answer until the next call is there
    partial_loads: float = 0.2  # share of the loads that lack only some of the blocks


class Span(NamedTuple):
    """From when until when the workers of a node live."""

    joined: float
    died: float


class Scenario:
    """All that chance decides, drawn beforehand from the seed: no schedule can change it."""

    def __init__(self, seed: int, shape: Shape) -> None:
        draw = random.Random(seed)
        low, high = map(math.log, shape.cell_s)
        self.seed, self.shape = seed, shape
        self.cell_s = [math.exp(draw.uniform(low, high)) for _ in range(shape.loads)]
        self.load_s = [draw.uniform(*shape.load_s) for _ in range(shape.loads)]
        self.noise = [1 + shape.noise * draw.uniform(-1, 1) for _ in range(997)]
        self.make_s = [draw.uniform(*shape.make_s) for _ in range(shape.blocks)]
        self.block_bytes = [draw.randint(20, 32) for _ in range(shape.blocks)]
        self.memory_bytes = 32 * shape.blocks_in_memory
        slow = set(draw.sample(range(shape.nodes), shape.slow_nodes))
        self.slowness = [draw.uniform(*shape.slowness) if n in slow else 1.0 for n in range(shape.nodes)]
        self.needs = {load: self._needs(draw) for load in range(shape.loads)}
        self.lives = [self._lives(random.Random(f"{seed} {node}")) for node in range(shape.nodes)]

    def _needs(self, draw: random.Random) -> set[int]:
        blocks = range(self.shape.blocks)
        if draw.random() >= self.shape.partial_loads:
            return set(blocks)
        share = draw.random()
        return {block for block in blocks if draw.random() < share} or {0}

    def _lives(self, draw: random.Random) -> list[Span]:
        spans: list[Span] = []
        now = 0.0
        while now < self.horizon_s:
            joined = now + draw.uniform(*self.shape.start_s)
            died = joined + draw.expovariate(1 / self.shape.up_s)
            spans.append(Span(joined, died))
            now = died + draw.uniform(*self.shape.down_s)
        return spans

    def cost(self, load: int, block: int) -> float:
        """Return the seconds of a cell on a node of speed 1: the same whoever asks."""
        return self.cell_s[load] * self.noise[(load * 7919 + block * 104729) % len(self.noise)]

    @property
    def horizon_s(self) -> float:
        """Until when nodes are simulated: ten times what the work takes on workers of speed 1."""
        return 10 * self.work_s / (self.shape.nodes * self.shape.workers_per_node) + 1000

    @functools.cached_property
    def work_s(self) -> float:
        """Seconds, at speed 1, of every cell once and every load once."""
        cells = (self.cost(load, block) for load, blocks in self.needs.items() for block in blocks)
        return sum(cells) + sum(self.load_s)

    def capacity(self, until: float, since: float = 0.0) -> float:
        """Return what all workers that live can do between two moments, in seconds at speed 1."""
        total = 0.0
        for node, spans in enumerate(self.lives):
            up = sum(max(0.0, min(until, s.died) - max(since, s.joined)) for s in spans)
            total += up / self.slowness[node]
        return total * self.shape.workers_per_node

    def bound(self) -> float:
        """Return a time before which no schedule ends.

        Whatever is done when and where, the workers that live must do every cell once and load every load once, and
        nothing can be done before a first block is made. Work that is cut at will and never waits would end here.
        """
        first = min(self.make_s)
        low, high = first, 2 * self.horizon_s
        for _ in range(60):
            middle = (low + high) / 2
            low, high = (low, middle) if self.capacity(middle, first) >= self.work_s else (middle, high)
        return high
