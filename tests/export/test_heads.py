"""What the embedding is: a submodule, pooled, of length one."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.export.conftest import Place, by_torch


def test_a_submodule_is_the_embedding(place: Place, block: NDArray[np.uint8]) -> None:
    """The classifier behind it is not in the file."""
    net = place.net("Classifier")
    assert place.export(place.save(net.state_dict()), arch="Classifier", options="--output neck").code == 0
    rows = place.rows(block)
    assert rows.shape == (7, 4)
    np.testing.assert_allclose(
        by_torch(net, block),
        rows @ net.fc.weight.detach().numpy().T + net.fc.bias.detach().numpy(),
        rtol=1e-4,
        atol=1e-5,
    )
    assert place.model().parameters == sum(p.numel() for n, p in net.named_parameters() if n[:2] != "fc") - 16


def test_rows_of_length_one(place: Place, block: NDArray[np.uint8]) -> None:
    """They point where the others point."""
    net = place.net()
    assert place.export(place.save(net.state_dict()), options="--l2-normalise").code == 0
    rows, expected = place.rows(block), by_torch(net, block)
    np.testing.assert_allclose(rows, expected / np.linalg.norm(expected, axis=1, keepdims=True), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("pooling", ["mean", "max", "first", "flatten"])
def test_maps_are_pooled_as_a_run_pools_them(place: Place, block: NDArray[np.uint8], pooling: str) -> None:
    """The words mean what they mean in the configuration: [N, c, h, w] over h and w."""
    net = place.net("Maps")
    assert place.export(place.save(net.state_dict()), arch="Maps", options=f"--pooling {pooling}").code == 0
    maps = by_torch(net, block)
    expected = {
        "mean": maps.mean((2, 3)),
        "max": maps.max((2, 3)),
        "first": maps[:, :, 0, 0],
        "flatten": maps.reshape(7, -1),
    }
    np.testing.assert_allclose(place.rows(block), expected[pooling], rtol=1e-4, atol=1e-5)


def test_what_is_no_row_is_refused(place: Place) -> None:
    """Several outputs and maps need a word; a name that is not there is answered with the nearest."""
    path = place.save(place.net("Both").state_dict())
    done = place.export(path, arch="Both")
    assert (done.code, place.files()) == (4, [])
    assert "returns a tuple" in done.err
    done = place.export(place.save(place.net("Maps").state_dict(), "maps.pth"), arch="Maps")
    assert done.code == 4
    assert "say how it becomes one with --pooling" in done.err
    place.export(path, arch="Both", options="--output nek").refused("no such submodule", "neck")
