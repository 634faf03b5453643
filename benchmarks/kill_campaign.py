"""Kill what can be killed, at random moments, round after round; every run must end as the undisturbed one.

    python benchmarks/kill_campaign.py --rounds 20 --seed 1

A real Ray of a head without CPUs and two nodes of one CPU on this machine, and `evaljobs run` on it in a process of its
own. In every round a run begins with an empty store, and one to four times something is killed with SIGKILL: an
embedding actor, a worker that decodes, one that evaluates, a whole node (its raylet, which is its object store, and all
its workers; then a new node joins), or the driver (the same command is given again). In every third round, calls from
the driver to workers get lost on top of that, or are carried out with their answer lost, so that they are repeated.
Then the embedding tables, row for row, and results.json are compared with those of a run that nobody disturbed.

Exit code 1 if a run did not end well or differs. A seed gives the same kinds and moments; what they hit also depends on
the machine.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

# Before Ray is imported.
os.environ["RAY_AUTH_MODE"] = "disabled"
os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.faults.multinode import MultiNode
from tests.faults.workload import Run, parts, results, rows, write_workload

# How long a victim is waited for that may not be there: decoding takes moments.
_PATIENCE_S = 3.0
_KINDS = ("actor", "decode", "evaluate", "node", "driver")
_TITLES = {"actor": "ray::_Worker", "decode": "ray::decode_shard", "evaluate": "ray::evaluate"}
# In percent; a call fails before or after it was carried out, as far as the driver can tell, and is made again.
_LOST_CALLS = {
    "CoreWorkerService.grpc_client.PushTask": {
        "num_failures": 4,
        "req_failure_prob": 2,
        "resp_failure_prob": 5,
        "in_flight_failure_prob": 5,
    }
}


@dataclasses.dataclass(frozen=True)
class Kill:
    """What is killed, and when: at a share of the committed parts (0 to 1), then of the results (1 to 2)."""

    kind: str
    moment: float


class Round:
    """One run that is disturbed."""

    def __init__(
        self, cluster: MultiNode, config: Path, rng: random.Random, whole: tuple[int, int], *, lossy: bool
    ) -> None:
        self.cluster, self.config, self.rng, self.whole = cluster, config, rng, whole
        self.environment = {"RAY_testing_rpc_failure": json.dumps(_LOST_CALLS)} if lossy else {}
        self.run = self._begin()
        self.start = time.monotonic()

    def _begin(self) -> Run:
        return Run(self.config, "--address", self.cluster.address, environment=self.environment)

    def carry_out(self, kills: list[Kill]) -> tuple[int, str]:
        """Kill one after the other, as long as the run lasts; return how it ended."""
        for kill in kills:
            while self._progress() < kill.moment and self.run.running:
                time.sleep(0.01)
            # Between two commits too, not only right after one.
            time.sleep(self.rng.uniform(0, 0.5))
            if not self.run.running:
                break
            self._say(f"{kill.kind} at {kill.moment:.2f}: {self._kill(kill.kind)}")
        return self.run.wait()

    def _progress(self) -> float:
        done = progress(self.config)
        return sum(min(1.0, n / of) for n, of in zip(done, self.whole, strict=True))

    def _kill(self, kind: str) -> str:
        if kind == "driver":
            self.run.kill()
            self.run = self._begin()
            return "killed, and begun again"
        if kind == "node":
            node = self.rng.choice(self.cluster.nodes)
            self.cluster.kill_node(node)
            time.sleep(self.rng.uniform(0, 3))
            self.cluster.heal()
            return "killed, a new one joined"
        return self._kill_worker(kind)

    def _kill_worker(self, kind: str) -> str:
        deadline = time.monotonic() + _PATIENCE_S
        while time.monotonic() < deadline and self.run.running:
            found = self.cluster.workers(_TITLES[kind])
            if found:
                victim = self.rng.choice(found)
                victim.kill()
                return f"killed {victim.command.split()[0]}"
        return "none was there"

    def _say(self, text: str) -> None:
        print(f"    {time.monotonic() - self.start:5.1f} s  {text}", flush=True)


def draw(rng: random.Random, kinds: tuple[str, ...]) -> list[Kill]:
    """Draw what is killed in a round, in order of time."""
    moments = sorted(rng.uniform(0, 1.8) for _ in range(rng.randint(1, 4)))
    return [Kill(rng.choice(kinds), moment) for moment in moments]


def progress(config: Path) -> tuple[int, int]:
    """Return how many parts and results are committed."""
    store = config.parent / "store"
    return len(parts(store)), len(list((store / "results").glob("*/result.json")))


def fresh(template: Path, folder: Path) -> Path:
    """Copy the images, the models and the configuration; return the configuration."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(template, folder)
    return folder / "benchmark.yaml"


def campaign(folder: Path, rounds: int, seed: int, kinds: tuple[str, ...], say: Callable[[str], None]) -> int:
    """Carry a campaign out; return how many rounds went wrong."""
    template = folder / "template"
    write_workload(template)
    cluster = MultiNode()
    try:
        config = fresh(template, folder / "undisturbed")
        start = time.monotonic()
        code, output = Run(config, "--address", cluster.address).wait()
        duration_s = time.monotonic() - start
        if code:
            raise SystemExit(f"the undisturbed run ended with {code}:\n{output}")
        expected = rows(config.parent / "store"), results(config)
        whole = progress(config)
        say(f"undisturbed: {duration_s:.1f} s, {len(expected[0])} rows")
        wrong = 0
        for number in range(rounds):
            rng = random.Random(f"{seed}-{number}")
            lossy = number % 3 == 2
            say(f"round {number}{', with lost calls' if lossy else ''}")
            config = fresh(template, folder / "round")
            start = time.monotonic()
            code, output = Round(cluster, config, rng, whole, lossy=lossy).carry_out(draw(rng, kinds))
            took_s = time.monotonic() - start
            if code:
                wrong += 1
                say(f"    WRONG: exit code {code} after {took_s:.1f} s:\n{output}")
            else:
                equal = [
                    a == b for a, b in zip(expected, (rows(config.parent / "store"), results(config)), strict=True)
                ]
                wrong += not all(equal)
                said = ["equal" if same else "DIFFERENT" for same in equal]
                say(f"    ended after {took_s:.1f} s: rows {said[0]}, results {said[1]}")
            cluster.heal()
        return wrong
    finally:
        cluster.shutdown()


def main() -> None:
    """Read the arguments, and carry the campaign out."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--kinds", nargs="+", choices=_KINDS, default=list(_KINDS))
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        wrong = campaign(Path(folder), arguments.rounds, arguments.seed, tuple(arguments.kinds), print)
    print(f"{arguments.rounds} rounds with seed {arguments.seed}: {wrong} went wrong")
    raise SystemExit(1 if wrong else 0)


if __name__ == "__main__":
    main()
