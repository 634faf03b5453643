"""The command that shows where a model looks: explain."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from evaljobs.cli.exporting import _arguments, _size
from evaljobs.cli.paths import LOCAL_FILE
from evaljobs.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from evaljobs.explain.onnx_files import Explanation


@click.command()
@click.argument("model", type=LOCAL_FILE)
@click.argument("image", nargs=-1, required=True, type=LOCAL_FILE)
@click.option(
    "--class",
    "of_class",
    metavar="NAME",
    help="The class that is explained, by its name or number; that which is predicted where left out.",
)
@click.option("--like", type=LOCAL_FILE, help="Image: explain the similarity of embeddings to it, in place of a class.")
@click.option("--layer", metavar="NAME", help="Tensor, or submodule, whose channels are weighed; found by itself.")
@click.option("--output", metavar="TENSOR", help="Of an ONNX file: the embedding.")
@click.option("--scores", metavar="TENSOR", help="Of an ONNX file: the class scores.")
@click.option(
    "--scores-are",
    type=click.Choice(["logits", "probabilities"]),
    help="What class scores are; left out: as metadata or a softmax at the end of an ONNX file say, of a checkpoint "
    "logits.",
)
@click.option("--classes", type=LOCAL_FILE, help="Text file with a class a line, in the order of the scores.")
@click.option(
    "--preprocessing", type=LOCAL_FILE, help="YAML or JSON file with the configuration's keys; else as the model says."
)
@click.option("--arch", metavar="NAME", help="Of a checkpoint: its architecture, timm:NAME or module:factory.")
@click.option(
    "--arg",
    "arguments",
    multiple=True,
    callback=_arguments,
    metavar="KEY=VALUE",
    help="With --arch: keyword of the factory; VALUE is JSON, else text.",
)
@click.option(
    "--size",
    callback=_size,
    metavar="HEIGHTxWIDTH",
    help="With --arch: of the input; the architecture's own where left out.",
)
@click.option(
    "--style", type=click.Choice(["smooth", "blocks"]), default="smooth", show_default=True, help="How maps are drawn."
)
@click.option(
    "--out", type=LOCAL_FILE, default=Path("explained.png"), show_default=True, help="PNG to write, with an SVG beside."
)
def explain(model: Path, image: tuple[Path, ...], style: Any, out: Path, **asked: Any) -> ExitCode:
    """Draw where MODEL, an ONNX file or a checkpoint of PyTorch, looks in each IMAGE.

    Channels weigh what their removal costs the score (Ablation-CAM); in a checkpoint, their gradients (Grad-CAM).
    """
    from evaljobs.report.figures.saliency import Explained, saliency_figure

    if out.suffix.lower() != ".png":
        raise UsageError(f"--out {out}: expected a name that ends in .png")
    found = _explained(model, image, **asked)
    cells = []
    for file, one in zip(image, found, strict=True):
        click.echo(f"{one.target}: {one.score:.4f}")
        cells.append([Explained(one.picture(), one.values, file.name, f"{one.score:.3f}")])
    out.parent.mkdir(parents=True, exist_ok=True)
    written = saliency_figure(cells, out.with_suffix(""), f"Where {model.name} looks, by {found[0].layer}", style)
    click.echo(f"{written.png}: {len(cells)} image(s), layer {found[0].layer}")
    return ExitCode.OK


def _explained(
    model: Path,
    image: tuple[Path, ...],
    *,
    of_class: str | None,
    like: Path | None,
    layer: str | None,
    arch: str | None,
    **rest: Any,
) -> list[Explanation]:
    from evaljobs.explain.onnx_files import Towards, explain_onnx

    if of_class is not None and like is not None:
        raise UsageError("found --class and --like; a map explains one of them")
    towards = Towards(of_class, like)
    settings = _settings(rest)
    if arch is None:
        if rest["arguments"] or rest["size"]:
            raise UsageError("--arg and --size say how a checkpoint is built; give its architecture with --arch")
        return explain_onnx(model, image, towards, layer, settings)
    from evaljobs.export import Recipe, read_classes
    from evaljobs.export.explained import explain_checkpoint

    if rest["output"] or rest["scores"]:
        raise UsageError("--output and --scores name tensors of an ONNX file; leave them out with --arch")
    classes = read_classes(rest["classes"]) if rest["classes"] else None
    preprocessing = settings.get("preprocessing")
    recipe = Recipe(arch, rest["arguments"], size=rest["size"], preprocessing=preprocessing, classes=classes)
    return explain_checkpoint(model, recipe, image, towards._replace(scores_are=rest["scores_are"]), layer)


def _settings(rest: dict[str, Any]) -> dict[str, Any]:
    """Return the keys of a model's entry in the configuration that were given."""
    from evaljobs.export import read_preprocessing

    found = {key: rest[key] for key in ("output", "scores", "scores_are") if rest[key] is not None}
    if rest["classes"] is not None:
        found["classes"] = str(rest["classes"].absolute())
    if rest["preprocessing"] is not None:
        found["preprocessing"] = read_preprocessing(rest["preprocessing"])
    return found
