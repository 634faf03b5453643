"""A worker that decodes does not give the memory of each image back."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
from PIL import Image

_COUNT = 40
# In a process of its own: what this one has freed before teaches its allocator.
_DECODE = """
import resource, sys
from pathlib import Path
from evaljobs.engine.decoding import decode_shard
from evaljobs.images.geometry import Geometry
from evaljobs.images.reading import digest_of

uris = [sys.argv[1]] * int(sys.argv[2])
digests = [digest_of(Path(uri).read_bytes()) for uri in uris]
faults = []
for _ in range(2):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    _, report, _ = decode_shard(uris, digests, Geometry(48, 48))
    faults.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
print(report.decoded, faults[1])
"""


def test_memory_of_an_image_is_used_for_the_next_one(tmp_path: Path) -> None:
    """Else the system zeroes 1.6 MB for each of these images, 400 pages and more of them, again and again."""
    noise = np.random.default_rng(0).integers(0, 256, (640, 640, 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / "image.jpg")
    command = [sys.executable, "-c", _DECODE, str(tmp_path / "image.jpg"), str(_COUNT)]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    decoded, faults = map(int, said.split())
    assert decoded == _COUNT
    assert faults < 40 * _COUNT
