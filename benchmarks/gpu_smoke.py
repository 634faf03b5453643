"""Run evaljobs on an NVIDIA GPU from end to end: check what must hold there, and measure.

    python benchmarks/gpu_smoke.py FOLDER [--images 8000] [--steps demo,no-gpu,speed,...] [--device cuda]

FOLDER is new or empty, or that of an earlier call with other steps. Images are synthetic, weights random: what is
measured is the machine, not a model's quality. Prints Markdown; exit code 1 if something does not hold.
`--device cpu` tries the script itself. Needs nvidia-smi, and torch for the step out-of-memory.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from gpu_data import ResNet, write_images
from gpu_watch import Smi, descendants, living, nothing_left, on_gpu, query, seconds_until, workers
from numpy.typing import NDArray

from evaljobs.config import load
from evaljobs.demo.writing import write_demo
from evaljobs.images.decode import decode
from evaljobs.models.model import Model
from evaljobs.models.options import Device, Runtime
from evaljobs.models.resolve import resolve
from evaljobs.models.session import Session

Rows = NDArray[np.floating[Any]]

BATCHES = (32, 128)
KILL_AFTER = 2  # parts of an embedding table
CONFIG = """\
images: {{folder: images, label: prefix}}
models: [{{path: resnet50.onnx, batch_size: {batch}}}]
fpr: [1e-4, 1e-3, 1e-2]
jobs: [{{name: verification}}]
store: store
"""

failed: list[str] = []


def check(name: str, holds: bool, detail: object = "") -> None:
    """Print one thing that must hold, and remember it where it does not."""
    print(f"- {'ok' if holds else 'FAILED'}: {name}{f' ({detail})' if detail != '' else ''}", flush=True)
    if not holds:
        failed.append(name)


# Running it


def start(config: Path, *arguments: str, **environment: str) -> subprocess.Popen[str]:
    """Start `evaljobs run`."""
    command = [sys.executable, "-m", "evaljobs", "run", str(config), *arguments]
    pipe, merged = subprocess.PIPE, subprocess.STDOUT
    return subprocess.Popen(command, stdout=pipe, stderr=merged, text=True, env={**os.environ, **environment})


def run(config: Path, out: str, *arguments: str, **environment: str) -> tuple[int, str, dict[str, Any]]:
    """Run to the end; return exit code, output and results."""
    process = start(config, "--out", str(config.parent / out), *arguments, **environment)
    text, _ = process.communicate(timeout=300)
    path = config.parent / out / "results.json"
    if process.returncode and not path.exists():
        return process.returncode, text, {}
    return process.returncode, text, json.loads(path.read_bytes())


def outside_execution(results: dict[str, Any]) -> str:
    """Return what must be equal in equal runs."""
    return json.dumps({key: value for key, value in results.items() if key != "execution"})


def points(results: dict[str, Any]) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Yield each operating point with the result that it belongs to."""
    for evaluation in results["evaluations"]:
        for point in evaluation["result"]["points"]:
            yield evaluation["result"], point


def print_differences(a: dict[str, Any], b: dict[str, Any]) -> None:
    """Print how far two runs on different devices are from each other."""
    pairs = list(zip(points(a), points(b), strict=True))
    other = sum(x["true_positives"] != y["true_positives"] for (_, x), (_, y) in pairs)
    tpr = max(abs(x["tpr"] - y["tpr"]) for (_, x), (_, y) in pairs)
    threshold = max(abs(x["threshold"] - y["threshold"]) for (_, x), (_, y) in pairs)
    auroc = max(abs(x["auroc"] - y["auroc"]) for (x, _), (y, _) in pairs)
    print(f"- largest differences between the devices over {len(pairs)} points: TPR {tpr:.2e}, threshold", end=" ")
    print(f"{threshold:.2e}, AUROC {auroc:.2e}; true positives differ at {other} points", flush=True)


def parts(store: Path) -> int:
    """Return how many parts of embedding tables are committed."""
    return sum(1 for _ in store.glob("tables/*/part-*.arrow"))


# The steps


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


def seconds(results: dict[str, Any]) -> str:
    """Return the wall seconds of a run for print."""
    return f"{results['execution']['seconds']:.1f} s"


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


def write_config(folder: Path, batch: int) -> Path:
    """Write a configuration of a batch size."""
    config = folder / f"batch{batch}.yaml"
    config.write_text(CONFIG.format(batch=batch))
    return config


def on(device: Device) -> tuple[str, ...]:
    """Return the override that chooses the device."""
    return ("--set", f"cluster.device={device}")


def parity(folder: Path, device: Device) -> None:
    """Compare the devices on some images of the large set."""
    config = write_config(folder, BATCHES[0])
    limit = ("--set", "images.limit=1000")
    _, _, gpu = run(config, "parity-gpu", *on(device), *limit)
    _, _, cpu = run(config, "parity-cpu", *on("cpu"), *limit)
    rate = cpu["execution"]["models"].get("resnet50", {}).get("images_per_s", 0)
    print(f"- CPU: {rate:.0f} images/s a process of one thread, {os.cpu_count()} cores, whole run {seconds(cpu)}")
    check("the rows that the GPU run needs are there already", gpu["execution"]["computed"]["rows_embedded"] == 0)
    print_differences(gpu, cpu)


def kill_actor(folder: Path, device: Device) -> None:
    """Kill the embedding process in the middle."""
    config = write_config(folder, BATCHES[-1])
    store = fresh(folder / "store-actor")
    process = start(config, "--out", str(folder / "actor"), "--set", f"store={store}", *on(device))
    seconds_until(lambda: parts(store) >= KILL_AFTER, 120)
    killed = workers(process.pid)
    for pid in killed[:1]:
        os.kill(pid, signal.SIGKILL)
    done = parts(store)
    text, _ = process.communicate(timeout=300)
    check("an embedding process was killed in the middle", bool(killed), f"after {done} parts")
    check("the run ends with 0", process.returncode == 0, text if process.returncode else "")
    check("and gives what the undisturbed run gave", same(folder, "actor"))


def fresh(store: Path) -> Path:
    """Remove what an earlier call left."""
    shutil.rmtree(store, ignore_errors=True)
    return store


def same(folder: Path, out: str) -> bool:
    """Say whether a run's results are those of the undisturbed run."""
    a, b = (json.loads((folder / name / "results.json").read_bytes()) for name in (out, f"batch{BATCHES[-1]}"))
    return outside_execution(a) == outside_execution(b)


def kill_driver(folder: Path, device: Device) -> None:
    """Kill the driver in the middle, see that nothing stays behind, and go on."""
    config = write_config(folder, BATCHES[-1])
    store = fresh(folder / "store-driver")
    process = start(config, "--out", str(folder / "driver"), "--set", f"store={store}", *on(device))
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
    check("and gives what the undisturbed run gave", same(folder, "driver"))


def out_of_memory(folder: Path, device: Device) -> None:
    """Ask for more memory than the GPU has, beside a model that fits."""
    free = [row[0] for row in query("gpu", "memory.free")]
    config = folder / "memory.yaml"
    large = "models: [{path: resnet50.onnx, name: large, batch_size: 1024}, "
    config.write_text(CONFIG.format(batch=32).replace("models: [", large))
    # All but 3 GB is held by another process.
    command = [sys.executable, "-c", HOLD, str(max(0, free[0] - 3000) if free else 0)]
    holder = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    if holder.stdout is not None:
        holder.stdout.readline()
    code, text, results = run(config, "memory", *on(device), "--set", "images.limit=2000")
    holder.kill()
    holder.wait()
    states = {m["name"]: (m["status"], (m["error"] or {}).get("kind")) for m in results.get("models", [])}
    wanted = {"large": ("failed", "out_of_memory"), "resnet50": ("ok", None)}
    check("a batch too large ends that model alone, exit code 1", code == 1 and states == wanted, f"{code}, {states}")
    print("\n".join(f"  {line}" for line in text.splitlines() if "large" in line or "memory" in line))


HOLD = """
import sys, time, torch
held = torch.empty(int(sys.argv[1]) * 2**20, dtype=torch.uint8, device="cuda")
print("holding", flush=True)
time.sleep(300)
"""


def breakdown(folder: Path, device: Device) -> None:
    """Measure what a batch costs inside the embedding process, and whether rows are equal every time."""
    print("\n| batch | normalise, images/s | session with its input on the device, images/s | both in turn, images/s |")
    print("| --- | --- | --- | --- |")
    models = [resolve(load(write_config(folder, batch), ()), folder).models[0] for batch in BATCHES]
    images = sorted((folder / "images").iterdir())[: 4 * max(BATCHES)]
    block = np.stack([decode(path.read_bytes(), models[0].pixels.geometry) for path in images])
    notes = []
    for model in models:
        session = Session(model, Runtime(device))
        first = session.run(block)["embedding"]
        both = rate(lambda s=session: s.run(block), len(block))
        fed, alone = feed_rate(model, block), bare_rate(model, block, device)
        print(f"| {model.batch_size} | {fed:.0f} | {alone:.0f} | {both:.0f} |", flush=True)
        again = np.array_equal(first, session.run(block)["embedding"])
        anew = np.array_equal(first, Session(model, Runtime(device)).run(block)["embedding"])
        notes.append((f"batch {model.batch_size}: equal rows in a second call, and in a new session", again and anew))
    print()
    for name, holds in notes:
        check(name, holds)
    on_cpu = Session(models[0], Runtime(threads=os.cpu_count() or 1)).run(block[: BATCHES[0]])["embedding"]
    on_device = Session(models[0], Runtime(device)).run(block[: BATCHES[0]])["embedding"]
    print(f"- 1 - cosine between rows of the devices: at most {1 - (unit(on_device) * unit(on_cpu)).sum(1).min():.1e}")


def feed(model: Model, block: NDArray[np.uint8]) -> Rows:
    """Normalise a block as a session does."""
    if model.pixels.normalisation is None:
        raise ValueError("the model takes raw pixels")
    return model.pixels.normalisation.apply(block)


def feed_rate(model: Model, block: NDArray[np.uint8]) -> float:
    """Return how many images a second are normalised."""
    size = model.batch_size
    return rate(lambda: [feed(model, block[i : i + size]) for i in range(0, len(block), size)], len(block))


def bare_rate(model: Model, block: NDArray[np.uint8], device: Device) -> float:
    """Return what the device alone does: its input lies there already, and its output stays there."""
    size, runtime = model.batch_size, Runtime(device)
    session = onnxruntime.InferenceSession(model.path, providers=[(runtime.provider, runtime.provider_options())])
    binding = session.io_binding()
    there = onnxruntime.OrtValue.ortvalue_from_numpy(feed(model, block[:size]), device, 0)
    binding.bind_ortvalue_input(model.input.name, there)
    binding.bind_output(model.graph_outputs[0], device)
    return rate(lambda: session.run_with_iobinding(binding), size)


def unit(rows: Rows) -> Rows:
    """Return rows of length one, in float64."""
    wide = rows.astype(np.float64)
    return wide / np.linalg.norm(wide, axis=1, keepdims=True)


def rate(call: Callable[[], object], images: int) -> float:
    """Return images per second: the median of five calls after one to warm up."""
    taken = []
    for _ in range(6):
        begin = time.perf_counter()
        call()
        taken.append(time.perf_counter() - begin)
    return images / statistics.median(taken[1:])


STEPS = {
    "demo": demo,
    "no-gpu": no_gpu,
    "speed": speed,
    "kill-actor": kill_actor,
    "kill-driver": kill_driver,
    "breakdown": breakdown,
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
    if set(steps := options.steps.split(",")) - {"demo", "no-gpu"} and not (folder / "images").exists():
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
