"""Checkpoints of the safetensors format."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from safetensors.torch import save_file

from tests.export.conftest import Place, by_torch


def test_safetensors(place: Place, block: NDArray[np.uint8]) -> None:
    """They are read as the other files are; a damaged one is refused."""
    net = place.net()
    save_file(net.state_dict(), place.folder / "net.safetensors")
    (place.folder / "bad.safetensors").write_bytes(b"\x10\0\0\0\0\0\0\0not what it says")
    done = place.export("net.safetensors", "bad.safetensors")
    assert (done.code, place.files()) == (1, ["net.onnx"])
    assert "bad.safetensors is no safetensors file" in done.err
    np.testing.assert_allclose(place.rows(block), by_torch(net, block), rtol=1e-5, atol=1e-6)
