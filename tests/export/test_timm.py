"""Architectures of timm: without their classifier, with the pixels that timm makes."""

from __future__ import annotations

import io

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from timm.data import create_transform, resolve_model_data_config

from evaljobs.errors import UsageError
from evaljobs.export import Recipe, built_in
from evaljobs.export.architecture import build
from evaljobs.images.decode import decode
from evaljobs.models.model import Input
from evaljobs.models.preprocessing import resolve_preprocessing
from tests.cli.conftest import Command
from tests.export.conftest import Place


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("resnet18", None),
        ("resnet18.a3_in1k", (112, 112)),
        ("vit_tiny_patch16_224", (96, 96)),
        ("mobilenetv3_small_050", None),
    ],
)
def test_pixels_are_those_of_timm(name: str, size: tuple[int, int] | None) -> None:
    """What is written into the metadata makes timm's evaluation transform, bit for bit."""
    built = build(Recipe(arch=f"timm:{name}", size=size))
    data = resolve_model_data_config(built.module)
    transform = create_transform(**{**data, "input_size": built.shape}, is_training=False)
    seen = Input("image", "float32", "nchw", None, *built.shape)
    pixels = resolve_preprocessing(built.preprocessing, None, None, seen, 10**8)
    assert pixels.normalisation is not None
    for image in built_in():
        ours = pixels.normalisation.apply(decode(image.data, pixels.geometry)[None])[0]
        theirs = transform(Image.open(io.BytesIO(image.data)).convert("RGB")).numpy()
        np.testing.assert_array_equal(ours, theirs)


def saved(place: Place, name: str, **arguments: object) -> torch.nn.Module:
    torch.manual_seed(3)
    net = timm.create_model(name, pretrained=False, **arguments).eval()
    place.save({"state_dict": {f"module.{key}": value for key, value in net.state_dict().items()}})
    return net


def test_classifier_is_left_out(place: Place, command: Command) -> None:
    """The embedding is what timm calls the pooled features before the head."""
    net = saved(place, "mobilenetv3_small_050")
    done = command("export", "net.pth", "--arch", "timm:mobilenetv3_small_050", "--size", "64")
    assert done.code == 0
    assert "left out: classifier.weight, classifier.bias" in done.err
    block = np.random.default_rng(1).integers(0, 256, (3, 64, 64, 3), dtype=np.uint8)
    model = place.model()
    assert model.pixels.normalisation is not None
    images = torch.from_numpy(np.asarray(model.pixels.normalisation.apply(block)))
    with torch.no_grad():
        expected = net.forward_head(net.forward_features(images), pre_logits=True).numpy()
    np.testing.assert_allclose(place.rows(block), expected, rtol=1e-3, atol=1e-4 * np.abs(expected).max())


def test_last_layer_is_the_embedding_on_request(place: Place, command: Command) -> None:
    """A network that was trained to give 24 values gives them; the other way its layer would be left out."""
    saved(place, "mobilenetv3_small_050", num_classes=24)
    done = command("export", "net.pth", "--arch", "timm:mobilenetv3_small_050", "--size", "32", "--embedding-dim", "24")
    assert done.code == 0
    assert "net.onnx: 24 values" in done.out


def test_dropout_of_timm_is_kept(place: Place, command: Command) -> None:
    """Also where timm writes it out in `forward`, and in attention."""
    saved(place, "vit_tiny_patch16_224", depth=2, img_size=32)
    options = ["--size", "32", "--arg", "depth=2", "--arg", "attn_drop_rate=0.2", "--arg", "proj_drop_rate=0.1"]
    done = command("export", "net.pth", "--arch", "timm:vit_tiny_patch16_224", *options, "--keep-dropout")
    assert done.code == 0, done.err
    assert "dropout kept: 8 nodes, probability 0.1, 0.2" in done.out


@pytest.mark.parametrize(
    ("name", "arguments", "said"),
    [
        ("resnet81", {}, "did you mean"),
        ("resnet18.nobody", {}, "timm has .*a1_in1k"),
        ("hf-hub:timm/resnet18", {}, "nothing is downloaded"),
        ("resnet18", {"pretrained": True}, "weights come from CHECKPOINT alone"),
        ("resnet18", {"num_classes": 3}, "--embedding-dim"),
        ("resnet18", {"no_such": 3}, "cannot be built"),
        ("resnet18", {"in_chans": 4}, "1 or 3 channels"),
    ],
)
def test_names_and_arguments_that_are_refused(name: str, arguments: dict[str, object], said: str) -> None:
    """Nothing is downloaded, and a misspelt name is answered."""
    with pytest.raises(UsageError, match=said):
        build(Recipe(arch=f"timm:{name}", arguments=arguments))
