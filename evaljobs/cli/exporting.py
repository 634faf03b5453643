"""The command that makes ONNX files of checkpoints: export."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import click

from evaljobs.cli.paths import ANY_FILE, LOCAL_FILE
from evaljobs.errors import ExitCode


def _size(_context: click.Context, _option: click.Parameter, text: str | None) -> tuple[int, int] | None:
    """Read HEIGHTxWIDTH, or one number for both."""
    if text is None:
        return None
    parts = text.lower().split("x")
    if len(parts) > 2 or not all(part.isdecimal() and int(part) > 0 for part in parts):
        raise click.BadParameter(f"found {text!r}, expected HEIGHTxWIDTH such as 112x112, or one number for both")
    return int(parts[0]), int(parts[-1])


def _arguments(_context: click.Context, _option: click.Parameter, texts: tuple[str, ...]) -> dict[str, Any]:
    """Read KEY=VALUE; a value is JSON, or else text."""
    found: dict[str, Any] = {}
    for text in texts:
        key, sign, value = text.partition("=")
        if not sign or not key.isidentifier():
            raise click.BadParameter(f"found {text!r}, expected KEY=VALUE such as drop_rate=0.1")
        try:
            found[key] = json.loads(value)
        except ValueError:
            found[key] = value
    return found


@click.command()
@click.argument("checkpoint", nargs=-1, required=True, type=ANY_FILE)
@click.option("--arch", required=True, metavar="NAME", help="Architecture: timm:NAME, or module:factory of your own.")
@click.option(
    "--arg",
    "arguments",
    multiple=True,
    callback=_arguments,
    metavar="KEY=VALUE",
    help="Keyword of the factory; VALUE is JSON, else text.",
)
@click.option(
    "--out",
    type=ANY_FILE,
    help="File ending in .onnx, or folder; beside the checkpoint where left out.",
)
@click.option("--overwrite", is_flag=True, help="Replace files that are there.")
@click.option(
    "--weights",
    metavar="KEY",
    help="Where the checkpoint holds the weights, such as ema or model.state_dict; found where one alone fits.",
)
@click.option(
    "--prefix",
    default="",
    metavar="TEXT",
    help="Take the weights whose names begin so, without it, and leave out the others.",
)
@click.option(
    "--drop",
    multiple=True,
    metavar="PATTERN",
    help="Weights that may be left out on either side, such as 'fc.*'; repeatable.",
)
@click.option(
    "--embedding-dim",
    type=click.IntRange(min=1),
    help="With timm: keep the last layer, of so many outputs, as the embedding.",
)
@click.option(
    "--output", metavar="NAME", help="Submodule whose output is the embedding; what the module returns where left out."
)
@click.option(
    "--pooling",
    type=click.Choice(["mean", "max", "first", "flatten"]),
    metavar="HOW",
    help="How an output of more dimensions becomes one row per image: mean, max, first or flatten.",
)
@click.option("--l2-normalise", is_flag=True, help="Divide rows by their length.")
@click.option(
    "--size", callback=_size, metavar="HEIGHTxWIDTH", help="Of the input; the architecture's own where left out."
)
@click.option(
    "--preprocessing",
    type=LOCAL_FILE,
    help="YAML or JSON file with the configuration's keys; stands over what the architecture says.",
)
@click.option(
    "--classes",
    type=LOCAL_FILE,
    help="Of a classifier: text file with the name of a class a line, in the order of its outputs; written into the "
    "metadata.",
)
@click.option("--keep-dropout", is_flag=True, help="Leave dropout random in the graph, for Monte Carlo dropout.")
@click.option(
    "--exporter",
    type=click.Choice(["torchscript", "dynamo"]),
    default="torchscript",
    show_default=True,
    metavar="NAME",
    help="Which of PyTorch's exporters: torchscript, or dynamo, which is slower and follows branches.",
)
@click.option(
    "--opset", type=click.IntRange(min=13), default=18, show_default=True, help="Version of ONNX's operators."
)
@click.option(
    "--images",
    type=LOCAL_FILE,
    help="Folder of images to compare torch and onnxruntime on; scikit-learn's photographs and digits where left out.",
)
@click.option(
    "--tolerance",
    type=click.FloatRange(min=0, min_open=True),
    default=1e-4,
    show_default=True,
    help="Largest difference that passes, as a share of a row's length.",
)
def export(checkpoint: tuple[Path | str, ...], out: Path | str | None, overwrite: bool, **asked: Any) -> ExitCode:
    """Make ONNX files of the weights in each CHECKPOINT, and compare them with PyTorch on real images.

    A file that differs, or that cannot be made, is not written; the others are. Nothing in a checkpoint is run.
    Checkpoints and models are on this machine or on S3.
    """
    from evaljobs.export import Exported, export_all

    recipe, check = _understood(**asked)
    written: list[Path | str] = []
    for result in export_all(checkpoint, recipe, out, check, overwrite=overwrite):
        if isinstance(result, Exported):
            written.append(result.path)
            _say(result)
        else:
            click.echo(f"evaljobs: {result.message}", err=True)
    if written:
        click.echo(f"\nWhat evaljobs makes of it:\n  evaljobs inspect {shlex.join(map(str, written))}")
    if len(written) == len(set(checkpoint)):
        return ExitCode.OK
    return ExitCode.SOME_FAILED if written else ExitCode.NO_RESULTS


def _understood(
    *,
    arch: str,
    arguments: dict[str, Any],
    embedding_dim: int | None,
    output: str | None,
    pooling: Any,
    l2_normalise: bool,
    preprocessing: Path | None,
    classes: Path | None,
    images: Path | None,
    tolerance: float,
    **rest: Any,
) -> tuple[Any, Any]:
    """Put the options together: a recipe, and what is compared."""
    from evaljobs.export import Check, Head, Recipe, built_in, from_folder, read_classes, read_preprocessing

    recipe = Recipe(
        arch=arch,
        arguments=arguments,
        head=Head(embedding_dim, output, pooling, l2_normalise),
        preprocessing=read_preprocessing(preprocessing) if preprocessing else None,
        classes=read_classes(classes) if classes else None,
        **rest,
    )
    return recipe, Check(from_folder(images) if images else built_in(), tolerance)


def _say(result: Any) -> None:
    channels, height, width = result.shape
    parity = result.parity
    click.echo(
        f"{result.path}: {result.dim} values from {channels} x {height} x {width} pixels, "
        f"{result.size_bytes / 1e6:.1f} MB"
    )
    click.echo(
        f"  torch and onnxruntime agree on {parity.images} images: largest difference {parity.difference:.1e} "
        f"of a row's length, lowest cosine {parity.cosine:.9f}"
    )
    if result.dropouts:
        listed = ", ".join(f"{p:g}" for p in sorted(set(result.dropouts)))
        click.echo(f"  dropout kept: {len(result.dropouts)} nodes, probability {listed}; compared with it at 0")
    for note in result.notes:
        click.echo(f"  {note}", err=True)
