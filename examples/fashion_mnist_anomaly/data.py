"""Fetch Fashion-MNIST, and write its test images and the training images of the normal class as Parquet files.

    python data.py

The images (Xiao, Rasul and Vollgraf 2017, MIT licence) are in the Debian package dataset-fashion-mnist. Needs `apt-get`
and `dpkg`; nothing is installed.
"""

from __future__ import annotations

import gzip
import io
import subprocess
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from PIL import Image

DATA = Path(__file__).parent / "data"
PACKAGE = "dataset-fashion-mnist"
CLASSES = ["T-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "boot"]
NORMAL = "pullover"

Images = NDArray[np.uint8]


def fetched() -> Path:
    """Return the folder of the data set, which is fetched where it is not there."""
    unpacked = DATA / "package"
    if not unpacked.exists():
        DATA.mkdir(parents=True, exist_ok=True)
        subprocess.run(["apt-get", "download", "-qq", PACKAGE], cwd=DATA, check=True)  # noqa: S607
        (deb,) = DATA.glob(f"{PACKAGE}_*.deb")
        subprocess.run(["dpkg", "-x", str(deb), str(unpacked)], check=True)  # noqa: S607
    return next(unpacked.rglob("t10k-images-idx3-ubyte.gz")).parent


def read(part: str) -> tuple[Images, list[str]]:
    """Return the images, uint8 [n, 28, 28], and labels of ``train`` (60,000) or ``t10k`` (10,000)."""
    folder = fetched()
    pixels, numbers = (
        np.frombuffer(gzip.decompress((folder / f"{part}-{what}-ubyte.gz").read_bytes()), np.uint8, offset=offset)
        for what, offset in (("images-idx3", 16), ("labels-idx1", 8))
    )
    return pixels.reshape(-1, 28, 28), [CLASSES[number] for number in numbers]


def normal_training() -> Images:
    """Return the training images of the normal class: all that a model of normality may see."""
    images, labels = read("train")
    return images[np.array(labels) == NORMAL]


def write_parquet(path: Path, images: Images, labels: list[str]) -> None:
    """Write images as PNG into a Parquet file, as Hugging Face datasets does: columns id, image, label."""
    rows = {
        "id": [f"{number:05d}" for number in range(len(images))],
        "image": [{"bytes": _png(pixels), "path": None} for pixels in images],
        "label": labels,
    }
    pq.write_table(pa.table(rows), path)
    print(f"{path.relative_to(DATA.parent)}: {len(images):,} images")


def _png(pixels: Images) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "png")
    return stream.getvalue()


def main() -> None:
    """Write both."""
    images, labels = read("t10k")
    write_parquet(DATA / "test.parquet", images, labels)
    known = normal_training()
    write_parquet(DATA / "train.parquet", known, [NORMAL] * len(known))


if __name__ == "__main__":
    main()
