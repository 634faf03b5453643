"""Simulate the scheduling of a whole cluster, on the engine's own plan, without Ray; everything replays from its seed.

    python benchmarks/scheduling.py --histories 100000 [--processes 2] [--seed 0]
    python benchmarks/scheduling.py --mutants 500
    python benchmarks/scheduling.py --cluster 20 [--shape large | small] [--processes 2] [--plan FILE]
    python benchmarks/scheduling.py --calls 120 [--plan FILE]

`--histories` plays random histories of a hostile cluster; the first that breaks a promise is named by its seed, and
`--histories 1 --seed N` plays it alone. `--mutants` takes each statement out of the plan in turn, and tells which are
not missed. `--cluster` measures makespans against a lower bound. `--calls` measures what the plan itself takes.
`--plan` takes another plan in place of the present one, for example an old one:
``git show COMMIT:raycluster/planning/plan.py``.
"""

from __future__ import annotations

import argparse
import collections
import concurrent.futures
import dataclasses
import functools
import itertools
import statistics
import sys
import time
import types
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from scheduling_cluster import Outcome, Simulation
from scheduling_histories import Ended, History
from scheduling_mutants import first_fault, mutants
from scheduling_scenario import Scenario, Shape

from raycluster.planning import plan as plan_module

SHAPES = {
    # 1,000 models on 400 workers, four memories full of blocks.
    "large": Shape(),
    # What a plan can be measured on that looks at every load for every call.
    "small": Shape(loads=200, blocks=120, blocks_in_memory=30, nodes=20, slow_nodes=2, up_s=3600.0),
}


def main() -> None:
    """Do what the command line asks for."""
    arguments = parse()
    if arguments.histories:
        play_histories(range(arguments.seed, arguments.seed + arguments.histories), arguments.processes)
    if arguments.mutants:
        try_mutants(arguments.mutants, arguments.processes)
    if arguments.cluster:
        seeds = range(arguments.seed, arguments.seed + arguments.cluster)
        simulate(seeds, SHAPES[arguments.shape], arguments.plan, arguments.processes)
    if arguments.calls:
        measure_calls(arguments.plan, arguments.calls)


def parse() -> argparse.Namespace:
    """Return the command line's arguments."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--histories", type=int, default=0, metavar="N")
    parser.add_argument("--mutants", type=int, default=0, metavar="N", help="histories to try on each")
    parser.add_argument("--cluster", type=int, default=0, metavar="SEEDS")
    parser.add_argument("--calls", type=float, default=0, metavar="S", help="processor seconds to spend at most")
    parser.add_argument("--shape", choices=SHAPES, default="large")
    parser.add_argument("--seed", type=int, default=0, help="the first")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--plan", type=Path)
    return parser.parse_args()


@functools.cache
def load_code(path: Path | None) -> Any:
    """Return the module with `Plan`, `Limits` and `Cell`: the present one, or that of a file."""
    if path is None:
        return plan_module
    module = types.ModuleType("other_plan")
    sys.modules[module.__name__] = module  # dataclasses look for it there
    exec(compile(path.read_text(encoding="utf-8"), str(path), "exec"), vars(module))  # noqa: S102 - named by the caller
    return module


# Histories


def play_histories(seeds: range, processes: int) -> None:
    """Play one history for each seed, and say what happened in them."""
    start = time.perf_counter()
    chunks = [seeds[i : i + 500] for i in range(0, len(seeds), 500)]
    happened: collections.Counter[str] = collections.Counter()
    totals: collections.Counter[str] = collections.Counter()
    with concurrent.futures.ProcessPoolExecutor(processes) as pool:
        for ended in itertools.chain.from_iterable(pool.map(play_chunk, chunks)):
            happened.update(ended.happened)
            totals.update(steps=ended.steps, cells=ended.cells, lost_loads=ended.lost_loads)
    seconds = time.perf_counter() - start
    print(f"{len(seeds):,} histories (seeds {seeds[0]} to {seeds[-1]}), no promise broken, {seconds:.0f} s:")
    print(", ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in totals.items()))
    print("histories with: " + ", ".join(f"{name} {count:,}" for name, count in happened.most_common()))


def play_chunk(seeds: range) -> list[Ended]:
    """Play histories in a process of its own."""
    return [History(seed).run() for seed in seeds]


def try_mutants(histories: int, processes: int) -> None:
    """Take each statement out of the plan in turn; print those that no history misses."""
    found: collections.Counter[bool] = collections.Counter()
    trials = list(mutants())
    with concurrent.futures.ProcessPoolExecutor(processes) as pool:
        seeds = pool.map(functools.partial(first_fault, histories=histories), trials)
        for mutant, seed in zip(trials, seeds, strict=True):
            found[seed is not None] += 1
            if seed is None:
                print(f"not missed: {mutant}")
    print(f"{len(trials)} statements taken out, one at a time: {found[True]} were missed within {histories} histories")


# The cluster


def simulate(seeds: Iterable[int], shape: Shape, plan: Path | None, processes: int) -> None:
    """Print makespans over their lower bounds, and where the time went."""
    print(shape, end="\n\n")
    print("| seed | makespan, s | bound, s | ratio | loadings | node deaths |\n| --- | --- | --- | --- | --- | --- |")
    outcomes: list[Outcome] = []
    with concurrent.futures.ProcessPoolExecutor(processes) as pool:
        for seed, outcome in zip(seeds, pool.map(functools.partial(play, shape=shape, plan=plan), seeds), strict=True):
            outcomes.append(outcome)
            print(
                f"| {seed} | {outcome.makespan:.0f} | {outcome.bound:.0f} | {outcome.makespan / outcome.bound:.3f} "
                f"| {outcome.loadings:,} | {outcome.deaths} |",
                flush=True,
            )
    ratios = [outcome.makespan / outcome.bound for outcome in outcomes]
    print(f"\nmakespan / bound: median {statistics.median(ratios):.3f}, worst {max(ratios):.3f}\n")
    print("| of the workers' time | median | worst |\n| --- | --- | --- |")
    for name in (field.name for field in dataclasses.fields(outcomes[0].losses)):
        shares = [getattr(outcome.losses, name) / outcome.losses.total() for outcome in outcomes]
        worst = min(shares) if name == "work" else max(shares)
        print(f"| {name} | {100 * statistics.median(shares):.2f}% | {100 * worst:.2f}% |")


def play(seed: int, shape: Shape, plan: Path | None) -> Outcome:
    """Simulate one cluster."""
    return Simulation(Scenario(seed, shape), load_code(plan)).run()


# The plan itself


class Rate(NamedTuple):
    """What the plan took, in seconds of processor time."""

    cells: int
    seconds: float


def measure_calls(plan: Path | None, limit_s: float, loads: int = 1000, blocks: int = 2000, workers: int = 400) -> None:
    """Print how many cells a second the plan hands out and takes back; each is two calls."""
    code = load_code(plan)
    start = time.process_time()
    schedule = code.Plan([1] * blocks, {n: set(range(blocks)) for n in range(loads)}, code.Limits(blocks // 4))
    built = time.process_time() - start
    rate = drive(schedule, workers, limit_s)
    print(
        f"{loads:,} loads x {blocks:,} blocks, {workers} workers: built in {built:.1f} s; {rate.cells:,} cells in "
        f"{rate.seconds:.1f} s: {2 * rate.cells / rate.seconds:,.0f} calls/s, finished: {schedule.finished}"
    )


def drive(schedule: Any, workers: int, limit_s: float) -> Rate:
    """Answer every call in order, until all is done or the time is over."""
    for worker in range(workers):
        schedule.worker_joined(worker)
    in_flight: collections.deque[tuple[int, Any]] = collections.deque()
    start = time.process_time()
    cells = 0
    while not schedule.finished and time.process_time() - start < limit_s:
        for block in blocks_of(schedule):
            schedule.block_made(block)
        if len(in_flight) < workers:
            for worker in range(workers):
                in_flight += ((worker, cell) for cell in iter(functools.partial(schedule.next_cell, worker), None))
        worker, cell = in_flight.popleft()
        schedule.cell_done(worker, cell)
        cells += 1
        if (another := schedule.next_cell(worker)) is not None:
            in_flight.append((worker, another))
    return Rate(cells, time.process_time() - start)


def blocks_of(schedule: Any) -> Iterator[int]:
    """Yield the blocks that can be made now."""
    yield from iter(schedule.next_block, None)


if __name__ == "__main__":
    main()
