"""The steps of the benchmark of a GPU that share it: with others who come and go, and among several actors."""

from __future__ import annotations

import contextlib
import json
import shutil
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path

import onnx
from gpu_data import ResNet
from gpu_running import (
    BATCHES,
    CONFIG,
    another,
    check,
    fresh,
    on,
    outside_execution,
    parts,
    results_of,
    run,
    same,
    seconds,
    start,
    write_config,
)
from gpu_watch import Smi, query, seconds_until

from evaljobs.models.options import Device

_FEW = ("--set", "images.limit=3000")


def sensors(_folder: Path, _device: Device) -> None:
    """Compare what `raycluster sensors` tells with nvidia-smi, with and without somebody else on the GPU."""
    for name, held, busy in (("idle", None, False), ("another holds 20,000 MiB", 20_000, False), ("busy", 2000, True)):
        with contextlib.ExitStack() as others:
            if held is not None:
                be_busy = others.enter_context(another(held))
                if busy:
                    be_busy()
                time.sleep(3)
            text, readable = (_told(*words) for words in (["--json"], []))
            told = query("gpu", "memory.free,utilization.gpu,temperature.gpu")
        gpu = json.loads(text.splitlines()[0])
        print(f"- {name}: {gpu}; nvidia-smi: {told}")
        print("\n".join(f"  {line}" for line in readable.splitlines()))
        found = [gpu["gpu_free_memory_mb"], gpu["gpu_utilisation"], gpu["gpu_temperature"]]
        near = bool(told) and all(abs(a - b) <= slack for a, b, slack in zip(found, told[0], (600, 15, 5), strict=True))
        check(f"{name}: as nvidia-smi tells", near)


def _told(*words: str) -> str:
    command = [sys.executable, "-m", "raycluster", "sensors", *words]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def guest(folder: Path, device: Device) -> None:
    """Be a guest: wait for memory, wait for idleness in the middle, and never for oneself."""
    free = [row[0] for row in query("gpu", "memory.free")] or [0]
    _wait_for_memory(folder, device, free[0])
    _wait_for_idleness(folder, device)
    limits = (*_limits(f"gpu_free_memory_mb={free[0] - 2000}", "gpu_utilisation=30"), *_limits("patience_s=60"))
    config, store = write_config(folder, BATCHES[-1]), fresh(folder / "store-own")
    with Smi() as smi:
        code, text, results = run(config, "own", *store, *limits, *_FEW, *on(device))
    paused = results.get("execution", {}).get("paused_seconds")
    detail = f"{smi.memory} MiB held, busy at most {max(smi.busy)}%, paused {paused} s"
    check("what the run itself holds and does makes nobody wait", code == 0 and paused == 0, detail)
    print("\n".join(f"  {line}" for line in text.splitlines() if "pause" in line or "watched" in line))


def _wait_for_memory(folder: Path, device: Device, free: int) -> None:
    """Begin while another one holds most of the memory."""
    config, store = write_config(folder, BATCHES[0]), fresh(folder / "store-guest")
    with another(free - 10_000):
        process = start(
            config, "--out", str(folder / "guest"), *store, *_limits("gpu_free_memory_mb=20000"), *on(device)
        )
        heard = _Heard(process)
        waited = heard.until("paused", 120)
        time.sleep(5)
        rows = parts(folder / "store-guest")
    heard.end(process)
    check("a run waits while another one holds the memory", waited and rows == 0, heard.said())
    check("goes on when it is free", process.returncode == 0 and "going on" in heard.said())
    check("and gives what the undisturbed run gave", same(folder, "guest", f"batch{BATCHES[0]}"))
    print(f"- paused_seconds {results_of(folder / 'guest').get('execution', {}).get('paused_seconds')}")


def _wait_for_idleness(folder: Path, device: Device) -> None:
    """Meet somebody who is busy in the middle."""
    config, store = write_config(folder, BATCHES[0]), fresh(folder / "store-busy")
    with another(1000) as be_busy:
        process = start(config, "--out", str(folder / "busy"), *store, *_limits("gpu_utilisation=50"), *on(device))
        heard = _Heard(process)
        seconds_until(lambda: parts(folder / "store-busy") >= 2, 120)
        be_busy()
        waited = heard.until("paused", 60)
        before = parts(folder / "store-busy")
        time.sleep(5)
        after = parts(folder / "store-busy")
    heard.end(process)
    total = parts(folder / "store-busy")
    check("a run pauses for one who is busy", waited and after - before <= 1, f"{before}, {after} of {total} parts")
    check("and goes on afterwards", process.returncode == 0 and "going on" in heard.said(), heard.said())
    check("and gives what the undisturbed run gave", same(folder, "busy", f"batch{BATCHES[0]}"))


def _limits(*limits: str) -> tuple[str, ...]:
    return tuple(word for limit in ("every_s=1", *limits) for word in ("--set", f"cluster.guest.{limit}"))


class _Heard:
    """Listens to a process."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.lines: list[str] = []
        self._thread = threading.Thread(target=self._listen, args=(process,))
        self._thread.start()

    def _listen(self, process: subprocess.Popen[str]) -> None:
        for line in process.stdout or ():
            self.lines.append(line.rstrip())

    def until(self, word: str, limit: float) -> bool:
        """Wait for a line that has a word in it."""
        return seconds_until(lambda: any(word in line for line in self.lines), limit) < limit

    def end(self, process: subprocess.Popen[str]) -> None:
        """Wait for its end."""
        process.wait(timeout=300)
        self._thread.join()

    def said(self) -> str:
        """Return what it said of its pauses."""
        return "; ".join(line for line in self.lines if line.startswith(("paused", "still paused", "going on")))


def parallel(folder: Path, device: Device) -> None:
    """Embed with four models, one to four actors on the GPU."""
    for seed in (1, 2, 3):
        if not (folder / f"other{seed}.onnx").exists():
            onnx.save(ResNet(seed=seed).build(), folder / f"other{seed}.onnx")
    names = ["resnet50", "other1", "other2", "other3"]
    listed = ", ".join(f"{{{{path: {name}.onnx, batch_size: {BATCHES[0]}}}}}" for name in names)
    config = folder / "parallel.yaml"
    config.write_text(CONFIG.replace("{{path: resnet50.onnx, batch_size: {batch}}}", listed).format())
    print("\n| actors | processes on the GPU | GPU memory, MiB | GPU busy, median | images/s of each | whole run |")
    print("| --- | --- | --- | --- | --- | --- |")
    found = []
    for actors in (1, 2, 4):
        store = fresh(folder / f"store-parallel{actors}")
        settings = (
            "--set",
            f"cluster.gpu.actors={actors}",
            "--set",
            "cluster.gpu.memory_mb=8000",
            "--set",
            "images.limit=2000",
        )
        with Smi() as smi:
            code, text, results = run(config, f"parallel{actors}", *store, *settings, *on(device))
        if code:
            check(f"{actors} actors", holds=False, detail=text)
            continue
        found.append(outside_execution(results))
        busy = statistics.median([b for b in smi.busy if b] or [0])
        rates = [f"{model['images_per_s']:.0f}" for model in results["execution"]["models"].values()]
        figures = [f"{len(smi.processes)}", f"{smi.memory}", f"{busy:.0f}%", ", ".join(rates), seconds(results)]
        print("|", " | ".join([f"{actors}", *figures]), "|", flush=True)
        shutil.rmtree(folder / f"store-parallel{actors}")
    print()
    check("the same results for any number of actors", len(found) == 3 and len(set(found)) == 1)
