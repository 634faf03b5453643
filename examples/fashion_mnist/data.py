"""Fetch Fashion-MNIST (Xiao, Rasul and Vollgraf 2017, MIT licence) and write its test images as two Parquet files.

    python data.py

Needs Debian or Ubuntu: the images are those of the package dataset-fashion-mnist. Nothing is installed.
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
CLASSES = (
    "t-shirt",
    "trouser",
    "pullover",
    "dress",
    "coat",
    "sandal",
    "shirt",
    "sneaker",
    "bag",
    "ankle boot",
)


def read(part: str) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return the images, uint8 [n, 28, 28], and labels, uint8 [n], of ``train`` (60,000) or ``t10k`` (10,000)."""
    folder = _fetched()
    images = np.frombuffer(gzip.decompress((folder / f"{part}-images-idx3-ubyte.gz").read_bytes()), np.uint8, offset=16)
    labels = np.frombuffer(gzip.decompress((folder / f"{part}-labels-idx1-ubyte.gz").read_bytes()), np.uint8, offset=8)
    return images.reshape(-1, 28, 28), labels


def _fetched() -> Path:
    """Return the folder of the package's files, which is fetched where it is not there."""
    unpacked = DATA / "package"
    if not unpacked.exists():
        DATA.mkdir(parents=True, exist_ok=True)
        subprocess.run(["apt-get", "download", "-qq", PACKAGE], cwd=DATA, check=True)  # noqa: S607
        (deb,) = DATA.glob(f"{PACKAGE}_*.deb")
        subprocess.run(["dpkg", "-x", str(deb), str(unpacked)], check=True)  # noqa: S607
    (found,) = unpacked.rglob("t10k-images-idx3-ubyte.gz")
    return found.parent


def write_parquet(path: Path, images: NDArray[np.uint8], labels: NDArray[np.uint8], first: int) -> None:
    """Write images as PNG into a Parquet file, as Hugging Face datasets does: columns id, image, label."""
    rows = {
        "id": [f"{first + number:05d}" for number in range(len(images))],
        "image": [{"bytes": _png(pixels), "path": None} for pixels in images],
        "label": [CLASSES[label] for label in labels],
    }
    pq.write_table(pa.table(rows), path)


def _png(pixels: NDArray[np.uint8]) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "png")
    return stream.getvalue()


def main() -> None:
    """Write the two halves of the test images."""
    images, labels = read("t10k")
    half = len(images) // 2
    for name, part in (("first", slice(0, half)), ("second", slice(half, None))):
        path = DATA / f"{name}.parquet"
        write_parquet(path, images[part], labels[part], part.start)
        print(f"{path}: {len(images[part]):,} images")


if __name__ == "__main__":
    main()
