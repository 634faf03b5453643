"""The engine's parts in a plain process: shards, decoding of a shard, device, output folder, progress."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from rich.console import Console

from evaljobs.engine import device, output
from evaljobs.engine.decoding import decode_shard
from evaljobs.engine.shards import SHARD_BYTES, SHARD_IMAGES, cut, images_per_shard
from evaljobs.errors import UsageError
from evaljobs.images.geometry import Geometry
from evaljobs.images.reading import digest_of
from evaljobs.progress import shown


@given(st.data())
def test_shards_hold_each_missing_row_once(data: st.DataObject) -> None:
    """Whatever is missing from whom: the shards are those rows, each once, and no shard is larger than allowed."""
    n = data.draw(st.integers(1, 700))
    models = data.draw(st.integers(0, 5))
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    missing = {m: rng.random(n) < rng.choice([0.0, 0.3, 1.0]) for m in range(models)}
    geometry_of = {m: int(rng.integers(2)) for m in range(models)}
    sizes = [100, 400_000]
    shards = cut(missing, geometry_of, sizes, dict.fromkeys(geometry_of, 32))
    rows = [(model, int(image)) for shard in shards for model in shard.models for image in shard.images]
    assert len(rows) == len(set(rows))
    assert set(rows) == {(m, int(i)) for m in missing for i in np.flatnonzero(missing[m])}
    for shard in shards:
        assert len(shard.images) * sizes[shard.geometry] <= SHARD_BYTES
        assert len(shard.images) <= SHARD_IMAGES
        assert all(geometry_of[model] == shard.geometry for model in shard.models)


def test_image_is_in_one_shard_of_its_geometry() -> None:
    """Decode once: models that lack the same images share every shard."""
    shards = cut(
        dict.fromkeys(range(3), np.ones(1000, bool)), dict.fromkeys(range(3), 0), [64], dict.fromkeys(range(3), 32)
    )
    assert [len(shard.images) for shard in shards] == [512, 488]
    assert all(shard.models == (0, 1, 2) for shard in shards)


def test_large_image_is_a_shard_of_its_own() -> None:
    """At least one, however large; full batches where there is room."""
    assert images_per_shard(10 * SHARD_BYTES, [32]) == 1
    assert images_per_shard(SHARD_BYTES // 20, [32]) == 20
    assert images_per_shard(SHARD_BYTES // 100, [32]) == 96
    assert images_per_shard(1, [32]) == SHARD_IMAGES
    # A multiple of all batch sizes; of the largest that fits where that would be too many.
    assert images_per_shard(1, [100]) == 500
    assert images_per_shard(1, [100, 48, 32]) == 500
    assert images_per_shard(1, [24, 32]) == 480
    assert images_per_shard(1, [1024, 64]) == 1024
    assert images_per_shard(SHARD_BYTES // 600, [1024]) == 600


def test_file_that_changed_since_it_was_looked_at_is_not_stored_as_the_old_one(tmp_path: Path) -> None:
    """Its row would stand under the digest of other bytes: it is left out, said, and not remembered."""
    paths = [tmp_path / f"{n}.png" for n in range(4)]
    for n, path in enumerate(paths):
        Image.new("RGB", (4, 4), (n, 0, 0)).save(path)
    digests = [digest_of(path.read_bytes()) for path in paths]
    Image.new("RGB", (4, 4), (9, 9, 9)).save(paths[1])
    paths[2].unlink()
    paths[3].write_bytes(b"")
    digests[3] = digest_of(b"")
    block, report, empty = decode_shard([str(p) for p in paths], digests, Geometry(4, 4))
    assert not empty
    assert block.digests == [digests[0]]
    assert block.pixels.shape == (1, 4, 4, 3)
    assert [digest for digest, _, _ in report.unreadable] == [digests[1], digests[2]]
    assert report.failure_table["image_digest"].to_pylist() == [digests[3]]
    assert report.failure_table["kind"].to_pylist() == ["empty"]


def test_cuda_where_there_is_none_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """Never a silent fall to the CPU: not here, not on a cluster."""
    found = device.Found
    monkeypatch.setattr(device, "_DEVICE_FILES", ())
    assert device.choose_device("auto", None).name == "cpu"
    assert device.choose_device("cpu", found(8)).name == "cpu"
    assert device.choose_device("auto", found(8)).name == "cuda"
    assert device.choose_device("auto", found(0)) == device.Device("cpu")
    (note,) = device.choose_device("auto", found(0, nodes=3)).notes
    assert note == "The cluster's 3 nodes have no GPUs now: running on their CPUs."
    with pytest.raises(UsageError, match="the cluster has no GPUs"):
        device.choose_device("cuda", found(0))


def test_device_of_a_cluster_that_grows_is_said_by_the_user() -> None:
    """Keys hold the provider: whether an idle GPU node happens to run still must not decide what is computed again."""
    idle, busy = device.Found(0, grows=True), device.Found(2, nodes=3, grows=True)
    assert device.choose_device("cuda", idle) == device.choose_device("cuda", busy) == device.Device("cuda")
    assert device.choose_device("cpu", idle) == device.choose_device("cpu", busy) == device.Device("cpu")
    assert device.choose_device("auto", busy).name == "cuda"
    with pytest.raises(UsageError, match=r"set `cluster\.device: cuda`, or `cpu`"):
        device.choose_device("auto", idle)


def test_gpu_that_cannot_be_used_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A driver file without a driver behind it: auto runs on the CPU and says why, cuda is refused."""
    (tmp_path / "nvidia0").touch()
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    from evaljobs.models.session import provider_devices

    if provider_devices().why_no_cuda is None:
        pytest.skip("this machine has a GPU that can be used")
    monkeypatch.setattr(device, "_DEVICE_FILES", (tmp_path / "nvidia0",))
    chosen = device.choose_device("auto", None)
    assert chosen.name == "cpu"
    assert "running on the CPU" in chosen.notes[0]
    with pytest.raises(UsageError, match="onnxruntime cannot use a GPU here"):
        device.choose_device("cuda", None)


def test_output_folder_is_claimed_once(tmp_path: Path) -> None:
    """Two runs never write into one folder; afterwards it is free again."""
    out = tmp_path / "out"
    with output.claimed(out, "digest", overwrite=False), pytest.raises(UsageError, match="another run is writing"):
        output.claimed(out, "digest", overwrite=False).__enter__()
    with output.claimed(out, "digest", overwrite=False) as claimed:
        assert claimed.folder.is_dir()


def test_progress_in_a_pipe_is_plain_lines() -> None:
    """Now and then a line with how far, how fast and how long still; the last one always."""
    stream, now = io.StringIO(), [0.0]
    with shown(Console(file=stream), clock=lambda: now[0], every_s=5) as progress:
        progress.start("embedding", 1000)
        for _ in range(10):
            now[0] += 2
            progress.advance("embedding", 100)
        progress.say("a [bold]remark[/bold]")
    lines = stream.getvalue().splitlines()
    assert lines == [
        "embedding: 300 of 1,000 (50/s), 14 s left",
        "embedding: 600 of 1,000 (50/s), 8 s left",
        "embedding: 900 of 1,000 (50/s), 2 s left",
        "embedding: 1,000 of 1,000 (50/s)",
        "a [bold]remark[/bold]",
    ]


def test_progress_on_a_terminal_is_bars() -> None:
    """Stages, counts and rates stand on the screen."""
    stream = io.StringIO()
    with shown(Console(file=stream, force_terminal=True, width=100)) as progress:
        progress.start("decoding", 10)
        progress.advance("decoding", 10)
    assert "decoding" in stream.getvalue()
    assert "10/10" in stream.getvalue()
