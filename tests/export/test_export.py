"""The whole way: what is written, what is checked, and when nothing is left."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

import evaljobs
from evaljobs import config
from evaljobs.models.inspect import inspect
from evaljobs.models.resolve import resolve
from evaljobs.remote import objects
from tests.cli.conftest import Command
from tests.export.conftest import SIZE, Place, by_torch
from tests.s3_server import S3Server


def test_file_says_where_it_comes_from(place: Place) -> None:
    """Preprocessing and signature stand in the metadata, and the preprocessing is what a run then does."""
    (place.folder / "pixels.yaml").write_text("{mean: [0.5], std: [0.25], interpolation: bicubic, resize: crop}\n")
    path = place.save({"ema": place.net().state_dict()})
    done = place.export(path, options="--preprocessing pixels.yaml --arg dim=4 --l2-normalise")
    assert done.code == 0
    assert "net.onnx: 4 values from 3 x 16 x 16 pixels" in done.out
    assert done.out.endswith("evaljobs inspect net.onnx\n") or "evaljobs inspect " in done.out
    proto = onnx.load(place.folder / "net.onnx")
    metadata = {entry.key: json.loads(entry.value) for entry in proto.metadata_props}
    assert metadata["evaljobs.preprocessing"] == {
        "size": [SIZE, SIZE],
        "mean": [0.5],
        "std": [0.25],
        "interpolation": "bicubic",
        "resize": "crop",
    }
    signature = metadata["evaljobs.export"]
    packages = signature.pop("packages")
    assert packages["torch"] == torch.__version__.partition("+")[0] or packages["torch"] == torch.__version__
    assert packages["evaljobs"] == evaljobs.__version__
    assert len(signature.pop("checkpoint").pop("sha256")) == 64
    assert signature == {
        "version": 1,
        "arch": "export_nets:Small",
        "arguments": {"dim": 4},
        "input": {"name": "image", "dtype": "float32", "shape": ["batch", 3, SIZE, SIZE]},
        "output": {
            "name": "embedding",
            "shape": ["batch", 4],
            "module": None,
            "pooling": None,
            "l2_normalised": True,
        },
        "dropout": False,
        "exporter": {"name": "torchscript", "opset": 18},
    }
    model = place.model()
    assert (model.input.batch, model.opset) == (None, 18)
    assert (model.pixels.geometry.interpolation, model.pixels.geometry.shorter_side) == ("bicubic", SIZE)


def test_classes_are_written_where_a_run_finds_them(place: Place) -> None:
    """A classifier carries the names of its classes; a wrong number of them is refused, and nothing written."""
    (place.folder / "classes.txt").write_text("ankle boot\nbag\ncoat\n", encoding="utf-8")
    path = place.save(place.net(dim=4).state_dict())
    place.export(path, options="--classes nowhere.txt").refused("nowhere.txt cannot be read")
    done = place.export(path, options="--classes classes.txt")
    assert (done.code, place.files()) == (4, [])
    assert "names 3 classes, and the model gives 4 values" in done.err
    assert (
        place.export(place.save(place.net(dim=3).state_dict()), options="--arg dim=3 --classes classes.txt").code == 0
    )
    run = config.Config(models=(config.Models(path="net.onnx"),), images=config.Images(folder="images"))
    (model,) = resolve(run, place.folder, None, ("scores",)).models
    assert model.scores is not None
    assert model.scores.classes == (("ankle boot", "bag", "coat"), "metadata")


def test_batch_is_open(place: Place, block: NDArray[np.uint8]) -> None:
    """A row is the same in a batch of any size."""
    net = place.net()
    assert place.export(place.save(net.state_dict())).code == 0
    for batch_size in (1, 2, 7, 32):
        rows = place.rows(block, batch_size=batch_size)
        np.testing.assert_allclose(rows, by_torch(net, block), rtol=1e-5, atol=1e-6)


def test_equal_input_gives_equal_bytes(place: Place) -> None:
    """No date, no path, no order of a hash: two exports are one file, and no folder of this machine is in it."""
    path = place.save(place.net().state_dict())
    assert place.export(path, options="--out a.onnx").code == 0
    assert place.export(path, options="--out b.onnx").code == 0
    data = (place.folder / "a.onnx").read_bytes()
    assert data == (place.folder / "b.onnx").read_bytes()
    assert str(place.folder).encode() not in data
    assert b"site-packages" not in data


def test_a_file_that_is_there_stays(place: Place) -> None:
    """It is replaced on request alone, and by a model that passed alone."""
    path = place.save(place.net().state_dict())
    (place.folder / "net.onnx").write_bytes(b"mine")
    place.export(path).refused("net.onnx is there already", "--overwrite")
    assert place.export(place.save({"a": torch.ones(1)}, "net.pth"), options="--overwrite").code == 4
    assert (place.folder / "net.onnx").read_bytes() == b"mine"
    path = place.save(place.net().state_dict())
    assert place.export(path, options="--overwrite").code == 0
    assert inspect_outputs(place.folder / "net.onnx") == ["embedding"]


def inspect_outputs(path: Path) -> list[str]:
    return [value.name for value in onnx.load(path).graph.output]


def test_a_graph_that_differs_is_not_written(place: Place, block: NDArray[np.uint8]) -> None:
    """A trace that holds a number of one image as a constant fails on others, and says by how much on which."""
    path = place.save(place.net("Brightness").state_dict())
    done = place.export(path, arch="Brightness")
    assert (done.code, done.out, place.files()) == (4, "", [])
    assert "torch and onnxruntime do not agree: on " in done.err
    assert "allowed is 0.0001" in done.err
    assert "nothing was written" in done.err
    # The same network passes where any difference may.
    assert place.export(path, arch="Brightness", options="--tolerance 1000").code == 0
    expected = by_torch(place.net("Brightness"), block)
    assert np.abs(place.rows(block) - expected).max() > 0.1 * np.abs(expected).max()


def test_layers_of_transformers_are_exported(place: Place) -> None:
    """PyTorch computes them at once in evaluation mode, by an operator that ONNX lacks."""
    done = place.export(place.save(place.net("Encoder").state_dict()), arch="Encoder")
    assert (done.code, done.err.count("failed")) == (0, 0)


def test_what_an_exporter_cannot_translate(place: Place) -> None:
    """It is said in a sentence: compiled code prints no graph, there is no traceback, no file is left."""
    path = place.save(place.net("Eigen").state_dict())
    command = [sys.executable, "-m", "evaljobs", "export", path, "--arch", "export_nets:Eigen", "--size", "16"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stdout, place.files()) == (4, "", [])
    assert "the exporter torchscript failed with opset 18" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_images_of_ones_own(place: Place) -> None:
    """The check runs on the images of a folder; one that is damaged is named, none at all is an error."""
    for number in range(40):
        path = place.folder / "images" / f"{number:02d}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(np.full((20, 30, 3), 6 * number, np.uint8)).save(path)
    (place.folder / "images" / "39.png").write_bytes(b"no image")
    checkpoint = place.save(place.net().state_dict())
    done = place.export(checkpoint, options="--images images")
    assert done.code == 0
    assert "agree on 15 images" in done.out
    assert "not compared: 39.png" in done.err
    place.export(checkpoint, options="--images nowhere --overwrite").refused("nowhere", "is no folder")
    (place.folder / "bad").mkdir()
    (place.folder / "bad" / "a.png").write_bytes(b"no image")
    assert place.export(checkpoint, options="--images bad --overwrite").code == 4


def test_grey_input(place: Place) -> None:
    """The colour of the preprocessing says how many channels there are."""
    (place.folder / "grey.json").write_text(json.dumps({"color": "gray", "mean": 0.5, "std": 0.5}))
    path = place.save(place.net(channels=1).state_dict())
    assert place.export(path, options="--preprocessing grey.json --arg channels=1").code == 0
    assert place.model().pixels.geometry.channels == 1


def test_several_go_to_a_folder(place: Place) -> None:
    """Each has the name of its checkpoint; names that meet and a file for several are refused before the start."""
    paths = [place.save(place.net(seed=seed).state_dict(), f"{seed}.pth") for seed in (1, 2)]
    (place.folder / "bad.pth").write_bytes(b"")
    done = place.export(*paths, "bad.pth", options="--out models/new")
    assert done.code == 1
    assert sorted(p.name for p in (place.folder / "models" / "new").iterdir()) == ["1.onnx", "2.onnx"]
    place.export(*paths, options="--out one.onnx").refused("one file for 2 checkpoints")
    (place.folder / "other").mkdir()
    again = place.save(place.net().state_dict(), "other/1.pth")
    place.export(paths[0], again, options="--out x").refused("both be written to")
    assert place.files() == []


def test_checkpoints_and_models_on_s3(place: Place, s3: S3Server) -> None:
    """The same model as from a file, beside its checkpoint or where it is asked for; nothing there is replaced."""
    path, bucket = place.save(place.net().state_dict()), s3.bucket()
    objects.replace(f"{bucket}/ckpt/net.pth", path.read_bytes())
    assert place.export(path).code == 0
    expected = (place.folder / "net.onnx").read_bytes()
    done = place.export(f"{bucket}/ckpt/net.pth")
    assert (done.code, objects.read(f"{bucket}/ckpt/net.onnx")) == (0, expected)
    assert f"evaljobs inspect {bucket}/ckpt/net.onnx" in done.out
    place.export(f"{bucket}/ckpt/net.pth").refused(f"{bucket}/ckpt/net.onnx is there already")
    assert place.export(f"{bucket}/ckpt/net.pth", options="--overwrite").code == 0
    assert place.export(path, options=f"--out {bucket}/models").code == 0
    assert place.export(f"{bucket}/ckpt/net.pth", options=f"--out {bucket}//one.onnx/").code == 0
    assert place.export(f"{bucket}/ckpt/net.pth", options="--out here").code == 0
    assert objects.read(f"{bucket}/models/net.onnx") == objects.read(f"{bucket}/one.onnx") == expected
    assert (place.folder / "here" / "net.onnx").read_bytes() == expected
    place.export(f"{bucket}/none.pth").refused("there is no such object", "nothing was started")
    objects.replace(f"{bucket}/bad.pth", b"")
    assert place.export(f"{bucket}/bad.pth").code == 4
    assert objects.read(f"{bucket}/bad.onnx") is None


@pytest.mark.parametrize(
    ("arch", "said"),
    [
        ("nets", "expected timm:NAME or module:factory"),
        ("no_such_module:net", "No module named 'no_such_module'"),
        ("export_nets:Smal", "no attribute 'Smal'"),
        ("export_nets:number", "found an int, expected a function or a class"),
        ("export_nets:text", "gave a str, expected a torch.nn.Module"),
        ("export_nets:fails", "RuntimeError: no such variant"),
    ],
)
def test_architectures_that_are_none(place: Place, command: Command, arch: str, said: str) -> None:
    """A mistake in the name or in the arguments is said before anything is read."""
    path = place.save(place.net().state_dict())
    command("export", path, "--arch", arch, "--size", "16").refused(said)
    assert place.files() == []


def test_mistakes_in_the_options(place: Place, command: Command) -> None:
    """Files that are not there, sizes and keys that are none, an architecture that does not take them."""
    path = place.save(place.net().state_dict())
    place.export("nowhere.pth").refused("there is no such file")
    place.export("-").refused("weights are never downloaded")
    command("export", path, "--arch", "export_nets:Small").refused("the size of the input", "--size 112x112")
    command("export", path, "--arch", "export_nets:Small", "--size", "4x").refused("expected HEIGHTxWIDTH")
    place.export(path, options="--arg dim").refused("expected KEY=VALUE")
    place.export(path, options="--arg width=3").refused("unexpected keyword argument 'width'")
    place.export(path, options="--embedding-dim 3").refused("--embedding-dim is for timm:NAME")
    done = place.export(path, options="--arg channels=1")
    assert done.code == 4
    assert "conv.weight has the shape [8, 3, 3, 3], the architecture's has [8, 1, 3, 3]" in done.err


def test_size_of_two_numbers(place: Place, command: Command) -> None:
    """Height comes first."""
    path = place.save(place.net().state_dict())
    assert command("export", path, "--arch", "export_nets:Small", "--size", "8x24").code == 0
    assert inspect(place.folder / "net.onnx").inputs[0].shape[2:] == (8, 24)  # type: ignore[index]
