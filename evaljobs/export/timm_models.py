"""Architectures of timm (https://huggingface.co/docs/timm), with the preprocessing that it declares for them."""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping
from typing import Any

from evaljobs import config
from evaljobs.errors import UsageError
from evaljobs.export.architecture import TIMM, Built, call
from evaljobs.export.packages import require
from evaljobs.export.recipe import Recipe

_HUBS = ("hf-hub:", "hf_hub:", "local-dir:")
# What the recipe decides by options of its own, or what would download.
_RESERVED = {
    "num_classes": "--embedding-dim keeps the last layer",
    "img_size": "--size sets the size of the input",
    "pretrained": "weights come from CHECKPOINT alone, nothing is downloaded",
    "checkpoint_path": "weights come from CHECKPOINT alone",
}


def build_timm(recipe: Recipe, name: str) -> Built:
    """Build an architecture of timm without its classifier, or with its last layer as the embedding.

    Raises
    ------
    UsageError
        As `architecture.build` does.
    """
    require("timm", f"--arch {TIMM}{name}")
    import timm

    _check(name, recipe.arguments)
    declared = timm.get_pretrained_cfg(name, allow_unregistered=False).to_dict()
    asked = recipe.preprocessing or config.Preprocessing()
    size = recipe.size or asked.size
    arguments = dict(recipe.arguments)
    if size is not None and declared.get("fixed_input_size"):
        arguments["img_size"] = size  # position embeddings and windows are made for one size
    module = call(
        lambda **given: timm.create_model(
            name, pretrained=False, num_classes=recipe.head.dim or 0, exportable=True, **given
        ),
        f"{TIMM}{name}",
        arguments,
    )
    channels = _channels(arguments)
    height, width = size or module.pretrained_cfg["input_size"][1:]
    known, notes = preprocessing_of(module.pretrained_cfg, (channels, height, width), asked)
    heads = declared.get("classifier") or () if recipe.head.dim is None else ()
    names = (heads,) if isinstance(heads, str) else tuple(heads)
    return Built(module, (channels, height, width), known, names, notes)


def preprocessing_of(
    declared: Mapping[str, Any], shape: tuple[int, int, int], asked: config.Preprocessing
) -> tuple[config.Preprocessing, tuple[str, ...]]:
    """Put timm's evaluation transform into the words of the configuration, and what was asked over it.

    Its transform (``timm.data.transforms_factory.transforms_imagenet_eval``) scales the shorter side to
    ``floor(size / crop_pct)`` and crops the centre; with the mode ``squash`` and a crop_pct of 1 it stretches.

    Parameters
    ----------
    declared
        The module's ``pretrained_cfg``.
    shape
        (channels, height, width) of the input.
    asked
        Stands over what timm declares.

    Raises
    ------
    UsageError
        If the transform cannot be said in these words, and nothing else was asked for.
    """
    import timm.data

    found = timm.data.resolve_data_config(pretrained_cfg=declared)
    channels, height, width = shape
    fields: dict[str, Any] = {"interpolation": found["interpolation"], "divisor": 255.0}
    if asked.resize is None:
        fields |= _resize(found, height, width)
    fields["color"] = "gray" if channels == 1 else "rgb"
    notes = [f"preprocessing: timm's for {declared.get('architecture')}, tag {declared.get('tag') or '(none)'}"]
    if len(found["mean"]) == channels:
        fields |= {"mean": list(found["mean"]), "std": list(found["std"])}
    elif asked.mean is None or asked.std is None:
        notes.append(f"timm's mean and std are for {len(found['mean'])} channels: not taken for an input of {channels}")
    over = asked.model_dump(exclude_none=True)
    data = {**fields, **over, "size": [height, width]}
    if notes and over:
        notes[0] += f"; from --preprocessing: {', '.join(over)}"
    return config.validate(config.Preprocessing, data, "the preprocessing"), tuple(notes)


def _resize(found: Mapping[str, Any], height: int, width: int) -> dict[str, Any]:
    mode, share = found["crop_mode"], found["crop_pct"]
    if mode == "center" and height == width:
        return {"resize": "crop", "shorter_side": math.floor(height / share)}
    if mode == "squash" and share == 1:
        return {"resize": "stretch"}
    raise UsageError(
        f"timm resizes for this architecture with crop_mode {mode!r} and crop_pct {share} to {height} x {width}, which "
        "evaljobs cannot do alike; say what is to be done with --preprocessing FILE, with `resize: crop`, `stretch` or "
        "`pad` in it"
    )


def _channels(arguments: Mapping[str, Any]) -> int:
    channels = arguments.get("in_chans", 3)
    if channels not in {1, 3}:
        raise UsageError(f"--arg in_chans={channels}: images have 1 or 3 channels")
    return int(channels)


def _check(name: str, arguments: Mapping[str, Any]) -> None:
    import timm

    for reserved in _RESERVED.keys() & arguments.keys():
        raise UsageError(f"--arg {reserved}: {_RESERVED[reserved]}")
    if name.startswith(_HUBS):
        raise UsageError(
            f"--arch {TIMM}{name}: nothing is downloaded; name an architecture that timm itself has, such as "
            f"{TIMM}resnet18, and give the weights as CHECKPOINT"
        )
    base, _, tag = name.partition(".")
    if not timm.is_model(base):
        near = difflib.get_close_matches(base, timm.list_models(), n=3)
        hint = f"did you mean {', '.join(near)}?" if near else "timm.list_models() lists them"
        raise UsageError(f"--arch {TIMM}{name}: timm {timm.__version__} has no such architecture; {hint}")
    tags = [full.partition(".")[2] for full in timm.list_pretrained(base)]
    if tag and tag not in tags:
        raise UsageError(f"--arch {TIMM}{name}: no such tag; timm has {', '.join(tags) or 'none'} for {base}")
