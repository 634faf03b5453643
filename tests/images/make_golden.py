"""Write golden.json: the sha256 of the tensors that torchvision makes of the images of `images()`.

Run it where torch and torchvision are installed::

    python tests/images/make_golden.py

It reads data/*.jpg, which ``--jpeg`` wrote once: encoders differ between versions, so these files are kept.
"""

from __future__ import annotations

import hashlib
import io
import json
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

HERE = Path(__file__).parent
GOLDEN = HERE / "golden.json"

MEAN = {"rgb": (0.485, 0.456, 0.406), "gray": (0.5,)}
STD = {"rgb": (0.229, 0.224, 0.225), "gray": (0.25,)}


class Case(NamedTuple):
    """One way of making pixels, in the words of `evaljobs.images.decode.Geometry`."""

    height: int
    width: int
    interpolation: str = "bilinear"
    color: str = "rgb"
    shorter_side: int | None = None  # resize: crop


CASES = {
    "down": Case(32, 32),
    "up": Case(224, 160),
    "one": Case(1, 1),
    "bicubic": Case(48, 80, "bicubic"),
    "lanczos": Case(50, 21, "lanczos"),
    "nearest": Case(33, 47, "nearest"),
    "box": Case(20, 20, "box"),
    "hamming": Case(20, 90, "hamming"),
    "gray": Case(40, 40, color="gray"),
    "crop": Case(32, 32, shorter_side=40),
    "crop-odd": Case(31, 44, "bicubic", shorter_side=47),
    "crop-beyond": Case(33, 70, shorter_side=20),
    "crop-gray": Case(24, 24, color="gray", shorter_side=29),
}


def pattern(height: int, width: int, channels: int) -> np.ndarray:
    """Return uint8 [height, width, channels] with smooth and rough parts, by integer arithmetic alone."""
    y, x, c = np.meshgrid(np.arange(height), np.arange(width), np.arange(channels), indexing="ij")
    smooth = (x * 255) // max(1, width - 1)
    rough = (x * 7919 + y * 104729 + c * 1299709 + x * y * (c + 3)) % 256
    return np.where((x // 9 + y // 11 + c) % 3 == 0, rough, (smooth + 40 * c + 3 * y) % 256).astype(np.uint8)


def png(image: Image.Image, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, "PNG", **options)
    return file.getvalue()


def images() -> dict[str, bytes]:
    """Return the encoded test images by name."""
    rgb = Image.fromarray(pattern(61, 97, 3))
    palette = Image.fromarray(pattern(61, 97, 1)[..., 0] // 8)
    palette.putpalette([(i * 37 + c * 91) % 256 for i in range(32) for c in range(3)])
    y, x = np.mgrid[:45, :64]
    made = {
        "rgb": png(rgb),
        "tall": png(Image.fromarray(pattern(203, 40, 3))),
        "tiny": png(Image.fromarray(pattern(5, 7, 3))),
        "gray": png(Image.fromarray(pattern(70, 50, 1)[..., 0])),
        "alpha": png(Image.fromarray(pattern(52, 66, 4))),
        "gray-alpha": png(Image.fromarray(pattern(52, 66, 2))),
        "palette": png(palette),
        "palette-one-transparent": png(palette, transparency=3),
        "palette-transparent": png(palette, transparency=bytes(range(0, 256, 8))),
        "rgb-one-transparent": png(rgb, transparency=(1, 2, 3)),
        "bits": png(rgb.convert("1", dither=Image.Dither.NONE)),
        "gray16": png(Image.fromarray(((x * 8 + y * 3) % 600).astype(np.uint16))),
    }
    return made | {path.name: path.read_bytes() for path in sorted((HERE / "data").glob("*.jpg"))}


def torchvision_tensor(data: bytes, case: Case) -> np.ndarray:
    """Return float32 [c, h, w] as torchvision makes it."""
    from torchvision import transforms  # not installed everywhere

    mode = transforms.InterpolationMode(case.interpolation)
    if case.shorter_side:
        steps = [
            transforms.Resize(case.shorter_side, mode, antialias=True),
            transforms.CenterCrop((case.height, case.width)),
        ]
    else:
        steps = [transforms.Resize((case.height, case.width), mode, antialias=True)]
    steps += [transforms.ToTensor(), transforms.Normalize(MEAN[case.color], STD[case.color])]
    image = Image.open(io.BytesIO(data)).convert("L" if case.color == "gray" else "RGB")
    return transforms.Compose(steps)(image).numpy()


def digest(tensor: np.ndarray) -> str:
    """Return the sha256 of the bytes of a float32 array, little-endian."""
    return hashlib.sha256(np.ascontiguousarray(tensor, "<f4").tobytes()).hexdigest()


def _write_jpegs() -> None:
    rgb = Image.fromarray(pattern(61, 97, 3))
    (HERE / "data").mkdir(exist_ok=True)
    rgb.save(HERE / "data" / "rgb.jpg", quality=85, subsampling="4:2:0")
    rgb.convert("L").save(HERE / "data" / "gray-progressive.jpg", quality=70, progressive=True)
    rgb.convert("CMYK").save(HERE / "data" / "cmyk.jpg", quality=80)


def main() -> None:
    import torchvision  # not installed everywhere

    if "--jpeg" in sys.argv:
        _write_jpegs()
    made = images()
    tensors = {
        name: {case: digest(torchvision_tensor(data, spec)) for case, spec in CASES.items()}
        for name, data in made.items()
    }

    golden = {
        "made_with": {name: version(name) for name in ("torch", "torchvision", "pillow")},
        "tensors": tensors,
    }
    GOLDEN.write_text(json.dumps(golden, indent=1) + "\n", encoding="utf-8")
    print(f"{sum(map(len, tensors.values()))} digests from torchvision {torchvision.__version__} in {GOLDEN}")


if __name__ == "__main__":
    main()
