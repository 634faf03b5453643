"""Run evaljobs on an NVIDIA GPU from end to end: check what must hold there, and measure.

    python benchmarks/gpu_smoke.py FOLDER [--images 8000] [--steps demo,no-gpu,speed,...] [--device cuda]

FOLDER is new or empty, or that of an earlier call with other steps. Images are synthetic, weights random: what is
measured is the machine, not a model's quality. Prints Markdown; exit code 1 if something does not hold.
`--device cpu` tries the script itself. Needs nvidia-smi, and torch for the steps sensors, guest and out-of-memory, in
which another process takes the GPU.
"""

from __future__ import annotations

import argparse
import os
import signal
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import onnx
from gpu_data import ResNet, write_images
from gpu_guests import guest, parallel, sensors
from gpu_inside import batches, breakdown, settings
from gpu_running import (
    BATCHES,
    CONFIG,
    another,
    check,
    failed,
    fresh,
    on,
    outside_execution,
    parts,
    print_differences,
    run,
    same,
    seconds,
    start,
    write_config,
)
from gpu_watch import Smi, descendants, living, nothing_left, on_gpu, query, seconds_until, workers

from evaljobs.demo.writing import write_demo
from evaljobs.models.options import Device

KILL_AFTER = 2  # parts of an embedding table
_SOME = ("--set", "images.limit=1500")


def demo(folder: Path, device: Device) -> None:
    """Run the demo on both devices, and a second time."""
    config = write_demo(folder / "demo")
    provider = "CUDAExecutionProvider" if device == "cuda" else "CPUExecutionProvider"
    code, text, first = run(config, "auto")
    check("`device: auto` exits with 0", code == 0, text if code else "")
    execution = first["execution"]
    found = {execution["provider"], *(model["provider"] for model in execution["models"].values())}
    check("provider of the run and of every model", found == {provider}, ", ".join(found))
    print(f"- {len(first['models'])} models, {execution['computed']['rows_embedded']:,} rows:", end=" ")
    print(f"{execution['seconds']:.1f} s; session making {load_seconds(first):.2f} s; {execution['versions']}")
    code, text, again = run(config, "auto")
    check("second run computes nothing", set(again["execution"]["computed"].values()) == {0}, seconds(again))
    check("and starts no Ray", "Everything is computed already" in text and "on this machine" not in text)
    check("and gives the same", outside_execution(again) == outside_execution(first))
    _, _, cpu = run(config, "cpu", "--set", "cluster.device=cpu")
    check("CPU run embeds on its own", cpu["execution"]["computed"]["rows_embedded"] > 0, seconds(cpu))
    print_differences(first, cpu)


def load_seconds(results: dict[str, Any]) -> float:
    """Return the seconds of making sessions, of all models."""
    return sum(model["load_seconds"] for model in results["execution"]["models"].values())


def no_gpu(folder: Path, _: Device) -> None:
    """Hide the GPU. What the demo's CPU run stored is used where the CPU is taken."""
    config = folder / "demo" / "benchmark.yaml"
    code, text, _none = run(config, "hidden", "--set", "cluster.device=cuda", CUDA_VISIBLE_DEVICES="")
    check("`device: cuda` without a visible GPU exits with 2", code == 2, " ".join(text.split()))
    code, text, results = run(config, "hidden-auto", CUDA_VISIBLE_DEVICES="")
    check("`device: auto` without one runs on the CPU", code == 0 and "CPU" in results["execution"]["provider"])
    print(f"- it says: {text.splitlines()[0]}")


def speed(folder: Path, device: Device) -> None:
    """Embed with a ResNet-50 in batches of 32 and of 128."""
    print("\n| batch | images/s | session, s | embedding, s | whole run | GPU busy, median | GPU memory, MiB |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for batch in BATCHES:
        config = write_config(folder, batch)
        with Smi() as smi:
            code, text, results = run(config, f"batch{batch}", *on(device))
        if code:
            check(f"batch {batch}", holds=False, detail=text)
            continue
        model = results["execution"]["models"]["resnet50"]
        busy = statistics.median([b for b in smi.busy if b] or [0])
        figures = [f"{model['images_per_s']:.0f}", f"{model['load_seconds']:.2f}", f"{model['embed_seconds']:.2f}"]
        figures += [seconds(results), f"{busy:.0f}%", f"{smi.memory} (by process: {sorted(smi.processes.values())})"]
        print("|", " | ".join([str(batch), *figures]), "|", flush=True)
    left = seconds_until(nothing_left)
    check("no process of Ray is left that was not there before", left < 60, f"gone {left:.1f} s after the end")


def parity(folder: Path, device: Device) -> None:
    """Compare the devices on some images of the large set."""
    config = write_config(folder, BATCHES[0])
    limit = ("--set", "images.limit=500")
    _, _, gpu = run(config, "parity-gpu", *on(device), *limit)
    _, _, cpu = run(config, "parity-cpu", *on("cpu"), *limit)
    rate = cpu["execution"]["models"].get("resnet50", {}).get("images_per_s", 0)
    print(f"- CPU: {rate:.0f} images/s a process of one thread, {os.cpu_count()} cores, whole run {seconds(cpu)}")
    check("the rows that the GPU run needs are there already", gpu["execution"]["computed"]["rows_embedded"] == 0)
    print_differences(gpu, cpu)


def kill_actor(folder: Path, device: Device) -> None:
    """Kill one of two embedding processes on the GPU in the middle."""
    config, store = write_config(folder, BATCHES[-1]), folder / "store-actor"
    two = ("--set", "cluster.gpu.actors=2", "--set", "cluster.workers=2")
    process = start(config, "--out", str(folder / "actor"), *fresh(store), *two, *on(device))
    seconds_until(lambda: parts(store) >= KILL_AFTER, 120)
    killed = workers(process.pid)
    for pid in killed[:1]:
        os.kill(pid, signal.SIGKILL)
    done = parts(store)
    text, _ = process.communicate(timeout=300)
    detail = f"after {done} of {parts(store)} parts"
    check("one of two embedding processes was killed in the middle", len(killed) == 2, detail)
    check("the run ends with 0", process.returncode == 0, text if process.returncode else "")
    check("and gives what the undisturbed run gave", same(folder, "actor", f"batch{BATCHES[-1]}"))


def kill_driver(folder: Path, device: Device) -> None:
    """Kill the driver in the middle, see that nothing stays behind, and go on."""
    config, store = write_config(folder, BATCHES[-1]), folder / "store-driver"
    process = start(config, "--out", str(folder / "driver"), *fresh(store), *on(device))
    seconds_until(lambda: parts(store) >= KILL_AFTER, 120)
    family = descendants(process.pid)
    process.kill()
    free = seconds_until(lambda: not on_gpu())
    working = seconds_until(lambda: not living(family, "ray::_Worker", "/ray/core/src/ray/"))
    check("the GPU is free after SIGKILL of the driver", free < 30, f"after {free:.1f} s")
    check("and embedding processes and servers are gone", working < 30, f"{working:.1f} s later")
    check("Ray was running when it was killed", len(family) > 3, f"{len(family)} processes")
    # Two agents of Ray try to reach their dead server for a minute.
    left = seconds_until(lambda: not living(family), 150)
    check("and nothing is left", left < 150, f"{left:.1f} s after that")
    process.communicate(timeout=10)
    done = parts(store)
    code, _, results = run(config, "driver", "--set", f"store={store}", *on(device))
    rows = results["execution"]["computed"]["rows_embedded"]
    total = results["sets"][0]["n_samples"]
    rest = f"{done} parts were there; {rows:,} of {total:,}"
    check("the next run embeds the rest", code == 0 and 0 < rows < total, rest)
    check("and gives what the undisturbed run gave", same(folder, "driver", f"batch{BATCHES[-1]}"))


def out_of_memory(folder: Path, device: Device) -> None:
    """Ask for more memory than the GPU has: with an open batch, and with a fixed one, beside a model that fits."""
    if not (folder / "fixed.onnx").exists():
        onnx.save(ResNet(seed=0, batch=256).build(), folder / "fixed.onnx")
    config = folder / "memory.yaml"
    listed = (
        "{path: resnet50.onnx, name: large, batch_size: 256}, {path: fixed.onnx}, {path: resnet50.onnx, name: small, "
    )
    config.write_text(CONFIG.format(batch=16).replace("{path: resnet50.onnx, ", listed))
    free = [row[0] for row in query("gpu", "memory.free")] or [0]
    # All but 4 GB is held by another process.
    with another(free[0] - 4000):
        code, text, results = run(config, "memory", *fresh(folder / "store-memory"), *on(device), *_SOME)
    models = {model["name"]: model for model in results.get("models", [])}
    states = {name: (m["status"], (m["error"] or {}).get("kind"), m["batch_size"]) for name, m in models.items()}
    large = models.get("large", {"status": "", "batch_size": 0, "notes": [""]})
    halved = large["status"] == "ok" and large["batch_size"] < 256
    check("a batch too large is halved until it fits", halved, "; ".join(large["notes"]))
    lost = states.get("fixed", ())[:2] == ("failed", "out_of_memory")
    check("a fixed one ends its model alone, exit code 1", code == 1 and lost, f"{code}, {states}")
    print("\n".join(f"  {line}" for line in text.splitlines() if "large" in line or "memory" in line))


STEPS = {
    "demo": demo,
    "no-gpu": no_gpu,
    "speed": speed,
    "kill-actor": kill_actor,
    "kill-driver": kill_driver,
    "breakdown": breakdown,
    "settings": settings,
    "batches": batches,
    "parallel": parallel,
    "sensors": sensors,
    "guest": guest,
    "parity": parity,
    "out-of-memory": out_of_memory,
}


def main() -> int:
    """Run the steps."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--images", type=int, default=8000)
    parser.add_argument("--steps", default=",".join(STEPS))
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    options = parser.parse_args()
    folder: Path = options.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    if (
        set(steps := options.steps.split(",")) - {"demo", "no-gpu", "sensors", "batches"}
        and not (folder / "images").exists()
    ):
        write_images(folder / "images", options.images)
        onnx.save(ResNet(seed=0).build(), folder / "resnet50.onnx")
    for step in steps:
        print(f"\n## {step}\n", flush=True)
        begin = time.perf_counter()
        try:
            STEPS[step](folder, options.device)
        except Exception as error:  # the other steps can still say something
            check(step, holds=False, detail=repr(error))
        print(f"\n({time.perf_counter() - begin:.1f} s)", flush=True)
    print(f"\n{len(failed)} failed: {failed}")
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
