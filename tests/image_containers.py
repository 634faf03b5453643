"""Containers as their own libraries write them."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image


def png(number: int) -> bytes:
    """Return a small image, another one for each number."""
    file = io.BytesIO()
    pixels = np.random.default_rng(number).integers(0, 256, (5, 6, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def write_tar(path: Path, members: Mapping[str, bytes] | Sequence[tuple[str, bytes]], **options: Any) -> Path:
    """Write a tar as WebDataset does: regular members one after the other, in the format of Python's tarfile."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w", **options) as archive:
        for name, data in members.items() if isinstance(members, Mapping) else members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


def write_parquet(
    path: Path, images: Sequence[Any], labels: Any, *, names: Sequence[str] = (), rows_per_group: int = 4
) -> Path:
    """Write Parquet as Hugging Face datasets does.

    Parameters
    ----------
    images
        Bytes, or (bytes, path) for the struct that datasets writes.
    labels
        Of a ClassLabel, where there are `names`: their numbers.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if images and isinstance(images[0], tuple):
        kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
        column = pa.array([{"bytes": data, "path": place} for data, place in images], kind)
    else:
        column = pa.array(images, pa.binary())
    table = pa.table({"image": column, "label": labels})
    if names:
        features = {"image": {"_type": "Image"}, "label": {"names": list(names), "_type": "ClassLabel"}}
        text = json.dumps({"info": {"features": features}})
        table = table.replace_schema_metadata({"huggingface": text})
    pq.write_table(table, path, row_group_size=rows_per_group)
    return path
