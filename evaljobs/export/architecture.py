"""From the name of an architecture to a module of PyTorch: ``timm:NAME`` or ``module:factory``."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Mapping
from typing import Any, NamedTuple

from evaljobs import config
from evaljobs.errors import UsageError
from evaljobs.export.packages import require
from evaljobs.export.recipe import Recipe

TIMM = "timm:"


class Built(NamedTuple):
    """An architecture with random weights.

    Attributes
    ----------
    module
        The ``torch.nn.Module``, in evaluation mode, of float32.
    shape
        (channels, height, width) of its input.
    preprocessing
        All that is known of it: the architecture's, with the recipe's over it.
    heads
        Names of the classifiers that it was built without; a checkpoint may hold their weights.
    notes
        What was decided, in plain sentences.
    """

    module: Any
    shape: tuple[int, int, int]
    preprocessing: config.Preprocessing
    heads: tuple[str, ...]
    notes: tuple[str, ...]


def build(recipe: Recipe) -> Built:
    """Build the architecture of a recipe. No weights are downloaded.

    Raises
    ------
    UsageError
        If there is none of that name, it cannot be built with these arguments, or the size of its input is not known.
    """
    if recipe.arch.startswith(TIMM):
        from evaljobs.export.timm_models import build_timm

        built = build_timm(recipe, recipe.arch.removeprefix(TIMM))
    else:
        built = _build_own(recipe)
    built.module.eval().float()
    return built


def call(factory: Any, name: str, arguments: Mapping[str, Any]) -> Any:
    """Call a factory of modules.

    Raises
    ------
    UsageError
        If it fails, or returns something else.
    """
    import torch

    try:
        module = factory(**arguments)
    except Exception as error:  # whatever the code of others raises
        reason = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
        raise UsageError(
            f"the architecture {name} cannot be built with the arguments {dict(arguments)}: {reason}; "
            "nothing was written. Arguments are given with --arg KEY=VALUE"
        ) from None
    if not isinstance(module, torch.nn.Module):
        raise UsageError(
            f"{name} gave {_article(type(module).__name__)}, expected a torch.nn.Module: name a class of modules, "
            "or a function that returns one"
        )
    return module


def _build_own(recipe: Recipe) -> Built:
    if recipe.head.dim is not None:
        raise UsageError("--embedding-dim is for timm:NAME; a factory of your own takes it with --arg, as it names it")
    preprocessing = with_size(recipe.preprocessing or config.Preprocessing(), recipe.size)
    if preprocessing.size is None:
        raise UsageError(
            f"the size of the input of {recipe.arch} is not known; give --size HEIGHTxWIDTH, such as --size 112x112, "
            "or `size` in the file of --preprocessing"
        )
    factory = _find(recipe.arch)
    module = call(factory, recipe.arch, recipe.arguments)
    channels = 1 if preprocessing.color == "gray" else 3
    return Built(module, (channels, *preprocessing.size), preprocessing, (), ())


def with_size(preprocessing: config.Preprocessing, size: tuple[int, int] | None) -> config.Preprocessing:
    """Return a preprocessing of another size, or as it is for None."""
    return preprocessing if size is None else preprocessing.model_copy(update={"size": size})


def _find(arch: str) -> Any:
    """Import a factory; modules of the current folder are found first, as ``python -m`` finds them."""
    name, colon, attribute = arch.partition(":")
    if not colon or not name or not attribute:
        raise UsageError(f"--arch {arch}: expected timm:NAME or module:factory, such as timm:resnet18 or nets:resnet")
    if (here := os.getcwd()) not in sys.path:  # noqa: PTH109 - as Python itself writes it into the path
        sys.path.insert(0, here)
    try:
        found = importlib.import_module(name)
        for part in attribute.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError) as error:
        raise UsageError(
            f"--arch {arch}: {error}; expected a module that Python can import from here or from what is installed, "
            "and the name of a factory in it"
        ) from None
    except Exception as error:  # the module's own code runs when it is imported
        raise UsageError(
            f"--arch {arch}: the module {name} fails when it is imported: {type(error).__name__}: {error}"
        ) from None
    if not callable(found):
        raise UsageError(f"--arch {arch}: found {_article(type(found).__name__)}, expected a function or a class")
    return found


def _article(noun: str) -> str:
    return f"{'an' if noun[0] in 'aeiouAEIOU' else 'a'} {noun}"


def require_torch() -> None:
    """Make sure that PyTorch is there.

    Raises
    ------
    UsageError
        If it is not.
    """
    require("torch", "evaljobs export")
