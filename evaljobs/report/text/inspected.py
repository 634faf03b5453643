"""What was found out about models, for people and as tables."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from rich.console import Group as Renderables
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from evaljobs.errors import UsageError
from evaljobs.report.atomic import write_atomic
from evaljobs.report.results import OK, Document
from evaljobs.report.tables.columns import Column, Kind, Row, used_columns
from evaljobs.report.tables.escape import markdown_text, visible
from evaljobs.report.tables.formats import to_csv, to_markdown, to_parquet, to_terminal
from evaljobs.report.tables.numbers import count_text

_LONGEST_VALUE = 300


def _tensors(key: str) -> Callable[[Row], str | None]:
    def value(row: Row) -> str | None:
        return "; ".join(tensor_text(tensor) for tensor in row[key]) or None

    return value


def tensor_text(tensor: Document) -> str:
    """Write a tensor as people do: ``x float32 [n, 3, 112, 112]``."""
    axes = "of unknown rank" if tensor["shape"] is None else f"[{', '.join(str(d or '?') for d in tensor['shape'])}]"
    return f"{tensor['name']} {tensor['dtype']} {axes}"


def _batch(row: Row) -> str | None:
    decided = row["decided"]
    return None if decided is None else str(decided["input"]["batch"] or "open")


def _dropout(row: Row) -> str | None:
    """Say how many Dropout nodes there are, and how many drop when the model runs."""
    found = row["dropout"]
    if not found or not found["nodes"]:
        return None
    return f"{found['nodes']}, {found['active']} in training mode" if found["active"] else f"{found['nodes']}, idle"


def _pixels(row: Row) -> str | None:
    """Return how an image becomes the input: ``112x112 rgb stretch bilinear``."""
    if row["decided"] is None:
        return None
    pixels = row["decided"]["preprocessing"]
    return f"{pixels['height']}x{pixels['width']} {pixels['color']} {pixels['resize']} {pixels['interpolation']}"


def _size(row: Row) -> str | None:
    """Return the height and width of the input, without what only some have: ``112x112``, ``112x112 bgr``."""
    words = (_pixels(row) or "").split()
    return " ".join(word for word in words if word not in {"rgb", "stretch", "bilinear"}) or None


def _scaling(row: Row) -> str | None:
    """Return what is done to values: ``(x / 255 - 0.5) / 0.5``."""
    if row["decided"] is None:
        return None
    found = row["decided"]["preprocessing"]["normalisation"]
    if found is None:
        return "none: raw pixels"
    mean, std = (_channels(found[name]) for name in ("mean", "std"))
    return f"(x / {found['divisor']:g} - {mean}) / {std}"


def _channels(values: Sequence[float]) -> str:
    return f"{values[0]:g}" if len(set(values)) == 1 else f"[{', '.join(f'{value:g}' for value in values)}]"


def _scores(row: Row) -> str | None:
    """Return the tensor of class scores, and what they are: ``logits (logits)``."""
    scores = row["decided"] and row["decided"]["scores"]
    return f"{scores['tensor']} ({scores['are']})" if scores else None


def _embedded(row: Row) -> str | None:
    value: str | None = row["metadata"].get("evaljobs.preprocessing")
    return value


def _params_text(row: Row) -> str:
    return count_text(row["cost"]["params"])


_SHORT = [
    Column("model", "model", "name", Kind.TEXT),
    Column("size", "size", _size, Kind.TEXT),
    Column("dimension", "d", "decided.output.dimension", Kind.INTEGER),
    Column("gmacs", "GMACs", "cost.gmacs", Kind.NUMBER, format=".3g"),
    Column("gflops", "GFLOPs", "cost.gflops", Kind.NUMBER, format=".3g"),
    Column("params", "params", "cost.params", Kind.INTEGER, format=_params_text),
    Column("size_mb", "", "cost.size_mb", Kind.NUMBER, "MB", ".3g"),
    Column("error", "refused", "error.kind", Kind.TEXT),
]

COLUMNS = [
    Column("model", "model", "name", Kind.TEXT),
    Column("location", "file", "location", Kind.TEXT),
    Column("status", "status", "status", Kind.TEXT),
    Column("inputs", "inputs", _tensors("inputs"), Kind.TEXT),
    Column("outputs", "outputs", _tensors("outputs"), Kind.TEXT),
    Column("layout", "layout", "decided.input.layout", Kind.TEXT),
    Column("batch", "batch", _batch, Kind.TEXT),
    Column("batch_size", "batch size", "decided.batch_size", Kind.INTEGER),
    Column("pixels", "pixels", _pixels, Kind.TEXT),
    Column("scaling", "scaling", _scaling, Kind.TEXT),
    Column("tensor", "embedding", "decided.output.tensor", Kind.TEXT),
    Column("pooling", "pooling", "decided.output.pooling", Kind.TEXT),
    Column("dimension", "dimension", "decided.output.dimension", Kind.INTEGER),
    Column("scores", "class scores", _scores, Kind.TEXT),
    Column("classes", "classes", "decided.scores.classes.n", Kind.INTEGER),
    Column("opset", "opset", "opset", Kind.INTEGER),
    Column("params", "parameters", "cost.params", Kind.INTEGER, format=",d"),
    Column("gmacs", "GMACs", "cost.gmacs", Kind.NUMBER, format=".3g"),
    Column("gflops", "GFLOPs", "cost.gflops", Kind.NUMBER, format=".3g"),
    Column("size_mb", "size", "cost.size_mb", Kind.NUMBER, "MB", ".3g"),
    Column("dropout", "dropout", _dropout, Kind.TEXT),
    Column("embedded_preprocessing", "embedded preprocessing", _embedded, Kind.TEXT),
    Column("error", "error", "error.kind", Kind.TEXT),
    Column("message", "what was found", "error.message", Kind.TEXT),
    Column("digest", "sha256", "digest", Kind.TEXT),
]


def render_inspected(found: Document) -> RenderableType:
    """Return one model as a page, several as a table with what is to be known below it."""
    models = found["models"]
    if len(models) == 1:
        return _page(models[0])
    parts: list[RenderableType] = [to_terminal(used_columns(_SHORT, models), models)]
    parts += [Text(visible(line)) for line in _remarks(models)]
    return Renderables(*parts)


def _remarks(models: Sequence[Document]) -> list[str]:
    """Return why models are refused, a line each, and notes with the names of the models that they are about."""
    refused = [f"{m['name']} (refused): {m['error']['message']}" for m in models if m["status"] != OK]
    notes: dict[str, list[str]] = {}
    for model in models:
        for note in model["notes"]:
            notes.setdefault(note, []).append(model["name"])
    return refused + [f"note: {note}: {', '.join(names)}" for note, names in notes.items()]


def _page(model: Document) -> RenderableType:
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in [*_file_lines(model), *_decided_lines(model)]:
        table.add_row(Text(name, style="dim"), Text(visible(value)))
    return Renderables(Text(visible(model["name"]), style="bold"), table)


def _file_lines(model: Document) -> list[tuple[str, str]]:
    cost, opset = model["cost"], model["opset"]
    weight = [f"{cost['size_mb']:.3g} MB"] if cost["size_mb"] is not None else []
    weight += [f"{cost['params']:,} parameters"] if cost["params"] is not None else []
    weight += [f"opset {opset}"] if opset is not None else []
    lines = [("file", model["location"]), ("weight", ", ".join(weight) or "-")]
    lines += [("sha256", model["digest"])] if model["digest"] else []
    lines += [("input", tensor_text(tensor)) for tensor in model["inputs"]]
    lines += [("output", tensor_text(tensor)) for tensor in model["outputs"]]
    if cost["gmacs"] is not None:
        lines.append(("work", f"{cost['gmacs']:.4g} GMACs = {cost['gflops']:.4g} GFLOPs for one image"))
    if model["opset"] is not None:
        lines.append(("dropout", _dropout(model) or "none"))
    return lines + [(f"metadata {key}", _shortened(value)) for key, value in model["metadata"].items()]


def _decided_lines(model: Document) -> list[tuple[str, str]]:
    if model["status"] != OK:
        return [("refused", f"{model['error']['kind']}: {model['error']['message']}")]
    decided = model["decided"]
    image, sources = decided["input"], decided["preprocessing"]["sources"]
    batch = f"a fixed batch of {image['batch']}" if image["batch"] else f"batches of {decided['batch_size']}"
    return [
        ("", ""),
        ("is fed", f"{image['layout'].upper()} {image['dtype']}, {batch}"),
        ("pixels", str(_pixels(model))),
        ("scaling", str(_scaling(model))),
        ("taken from", "; ".join(f"{names}: {source}" for source, names in _by_source(sources))),
        *_output_lines(decided),
        *(("note", note) for note in model["notes"]),
    ]


def _output_lines(decided: Document) -> list[tuple[str, str]]:
    """Say what is kept of a model, and what jobs ask for that it does not have."""
    lines = []
    if output := decided["output"]:
        pooled = f", pooling {output['pooling']}" if output["pooling"] else ""
        lines.append(("embedding", f"{output['tensor']}{pooled}: [N, {output['dimension'] or '?'}]"))
    if scores := decided["scores"]:
        found = scores["classes"]
        classes = f"{found['n']:,} classes ({found['source']})" if found else "nobody names the classes"
        what = f"{scores['tensor']}: [N, {scores['dimension'] or '?'}], {scores['are']} ({scores['source']})"
        lines.append(("class scores", f"{what}; {classes}"))
    return lines + [(f"no {role}", message) for role, message in decided["lacks"].items()]


def _by_source(sources: Document) -> list[tuple[str, str]]:
    found: dict[str, list[str]] = {}
    for name, source in sources.items():
        found.setdefault(source, []).append(name)
    return [(source, ", ".join(names)) for source, names in found.items()]


def _shortened(value: str) -> str:
    return value if len(value) <= _LONGEST_VALUE else f"{value[:_LONGEST_VALUE]}... ({len(value):,} characters)"


def _to_page(models: Sequence[Document]) -> str:
    lines = [f"- {markdown_text(line)}" for line in _remarks(models)]
    return "\n".join(["# Models\n", to_markdown(used_columns(COLUMNS, models), models), *lines])


_FORMATS: dict[str, Callable[[Sequence[Document]], bytes]] = {
    ".csv": lambda models: to_csv(COLUMNS, models),
    ".parquet": lambda models: to_parquet(COLUMNS, models),
    ".md": lambda models: f"{_to_page(models).rstrip()}\n".encode(),
}


def check_inspected_path(path: Path) -> None:
    """Refuse a file that `write_inspected` could not write.

    Raises
    ------
    UsageError
        If no format is known by its ending, or there is no such folder.
    """
    if path.suffix not in _FORMATS:
        raise UsageError(f"{path}: no format is known by the ending {path.suffix!r}; expected {', '.join(_FORMATS)}")
    if not path.parent.is_dir():
        raise UsageError(f"no folder {path.parent} to write {path.name} to; make it, or name another --out")


def write_inspected(path: Path, found: Document) -> None:
    """Write a row for each model in the format of the file's ending.

    Raises
    ------
    UsageError
        As `check_inspected_path` does.
    RunFailedError
        If the file cannot be written.
    """
    check_inspected_path(path)
    write_atomic(path, _FORMATS[path.suffix](found["models"]))
