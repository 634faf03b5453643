"""Which checkpoints are read, what in them is taken, and what is refused."""

from __future__ import annotations

import argparse
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from tests.export.conftest import Place, by_torch

Wrap = Callable[[dict[str, Any]], Any]


def prefixed(prefix: str) -> Wrap:
    return lambda state: {f"{prefix}{name}": tensor for name, tensor in state.items()}


CONTAINERS: dict[str, Wrap] = {
    "bare": lambda state: state,
    "state_dict": lambda state: {"epoch": 3, "state_dict": state, "loss": np.float64(0.5)},
    "model": lambda state: {"model": state, "args": argparse.Namespace(lr=0.1), "optimizer": {"state": {}}},
    "model_state_dict": lambda state: {"model_state_dict": state, "scheduler": {"last": torch.ones(1)}},
    "ema.module": lambda state: {"ema": {"module": state}},
    "module.": prefixed("module."),
    "_orig_mod.": prefixed("_orig_mod."),
    "module._orig_mod.": prefixed("module._orig_mod."),
    "AveragedModel": lambda state: {"n_averaged": torch.tensor(5), **prefixed("module.")(state)},
    "no counters": lambda state: {k: v for k, v in state.items() if not k.endswith("num_batches_tracked")},
}


STRIPPED = {"module.", "_orig_mod.", "module._orig_mod.", "AveragedModel"}


@pytest.mark.parametrize("container", CONTAINERS)
def test_weights_are_found_wherever_training_put_them(place: Place, block: NDArray[np.uint8], container: str) -> None:
    """The exported file gives what the network gives that was saved."""
    net = place.net()
    done = place.export(place.save(CONTAINERS[container](net.state_dict())))
    assert (done.code, place.files()) == (0, ["net.onnx"])
    np.testing.assert_allclose(place.rows(block), by_torch(net, block), rtol=1e-5, atol=1e-6)
    assert ("stripped from the names" in done.err) == (container in STRIPPED)


def test_half_precision_is_said(place: Place) -> None:
    """The graph is float32, whatever the file is."""
    done = place.export(place.save(place.net().bfloat16().state_dict()))
    assert done.code == 0
    assert "stored as bfloat16, exported as float32" in done.err


def test_every_name_is_accounted_for(place: Place) -> None:
    """Missing, superfluous and misshapen weights are named; no file is left."""
    state = place.net().state_dict()
    del state["conv.weight"]
    state["neck.weight"] = torch.zeros(5, 8)
    state["extra.weight"] = torch.zeros(1)
    done = place.export(place.save(state))
    assert (done.code, done.out, place.files()) == (4, "", [])
    for part in (
        "missing in the checkpoint: conv.weight",
        "in the checkpoint alone: extra.weight",
        "neck.weight has the shape [5, 8], the architecture's has [4, 8]",
    ):
        assert part in done.err


def test_several_weights_are_not_chosen_from(place: Place, block: NDArray[np.uint8]) -> None:
    """Weights and their moving average differ: which one is exported is the user's word."""
    raw, average = place.net(seed=1), place.net(seed=2)
    path = place.save({"model": raw.state_dict(), "ema": {"module": average.state_dict()}})
    done = place.export(path)
    assert (done.code, place.files()) == (4, [])
    assert "several weights that fit: 'model', 'ema.module'" in done.err
    assert place.export(path, options="--weights ema.module").code == 0
    np.testing.assert_allclose(place.rows(block), by_torch(average, block), rtol=1e-5, atol=1e-6)
    done = place.export(path, options="--weights emma --overwrite")
    assert done.code == 4
    assert "it has them under 'model', 'ema.module'" in done.err


def test_a_part_of_a_larger_network(place: Place, block: NDArray[np.uint8]) -> None:
    """A backbone is found by its prefix, which the message proposes; or the rest is dropped by name."""
    wrapped = place.net("Wrapped")
    path = place.save(wrapped.state_dict())
    assert "try --prefix backbone." in place.export(path).err
    done = place.export(path, options="--prefix backbone.")
    assert done.code == 0
    assert "left out: the 1 others" in done.err
    np.testing.assert_allclose(place.rows(block), by_torch(wrapped.backbone, block), rtol=1e-5, atol=1e-6)
    path = place.save(place.net("Classifier").state_dict(), "head.pth")
    done = place.export(path, options="--drop fc.*")
    assert done.code == 0
    assert "left out: fc.weight, fc.bias" in done.err


def test_weights_that_nobody_gave_do_not_pass(place: Place) -> None:
    """What may be missing must not matter: an embedding that depends on it is refused, another is exported."""
    state = place.net().state_dict()
    path = place.save(state)
    done = place.export(path, arch="Classifier", options="--drop fc.*")
    assert (done.code, place.files()) == (4, [])
    assert "is NaN" in done.err
    assert place.export(path, arch="Classifier", options="--drop fc.* --output neck").code == 0


def test_weights_that_are_not_finite(place: Place) -> None:
    """A training that went wrong is named as such."""
    state = place.net().state_dict()
    state["neck.bias"][1] = float("nan")
    done = place.export(place.save(state))
    assert (done.code, place.files()) == (4, [])
    assert "NaN or infinite: neck.bias" in done.err


class Malicious:
    """Pickles into a command that makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("bare", [False, True])
def test_a_malicious_pickle_runs_nothing(place: Place, bare: bool) -> None:
    """Loading a stranger's checkpoint makes no file: it is refused, with what it asked for and what to do."""
    made = place.folder / "made"
    evil = {"state_dict": place.net().state_dict(), "extra": Malicious(made)}
    path = place.save(evil)
    if bare:
        path.write_bytes(pickle.dumps(evil["extra"], protocol=2))
    done = place.export(path)
    assert (done.code, done.out, place.files(), made.exists()) == (4, "", [], False)
    assert "net.pth is refused" in done.err
    assert "posix.mkdir" in done.err
    assert "torch.save(model.state_dict(), FILE)" in done.err
    # The same file does its work where it is loaded without care.
    torch.load(path, weights_only=False) if not bare else pickle.loads(path.read_bytes())  # noqa: S301 - our own
    assert made.exists()


def test_files_that_are_no_weights(place: Place) -> None:
    """Each is refused by name, and one good checkpoint among them is exported."""
    net = place.net()
    good = place.save(net.state_dict(), "good.pth")
    place.save(net, "whole.pth")
    place.save({"epoch": 3}, "none.pth")
    (place.folder / "text.pth").write_text("hello", encoding="utf-8")
    (place.folder / "empty.pth").write_bytes(b"")
    (place.folder / "cut.pth").write_bytes(good.read_bytes()[:-2000])
    names = ["whole.pth", "none.pth", "text.pth", "empty.pth", "cut.pth", "good.pth"]
    done = place.export(*names)
    assert (done.code, place.files()) == (1, ["good.onnx"])
    lines = [line for line in done.err.splitlines() if line.startswith("evaljobs: ")]
    assert [line.split()[1] for line in lines] == names[:-1]
    assert "asks for export_nets.Small" in lines[0]
    assert "found a mapping with the keys epoch" in lines[1]
    assert "Traceback" not in done.err
