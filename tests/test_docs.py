"""The documentation says what the code does: references are generated, examples run, links lead somewhere."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import click
import numpy as np
import onnx
import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

import evaljobs
from evaljobs import cli, config, jobs, schemas
from evaljobs.config.loading import parse_yaml
from evaljobs.engine.output import FAILURES_HEADER
from evaljobs.errors import ExitCode, ImageErrorKind, ModelErrorKind
from evaljobs.pairs.points import Flag
from evaljobs.progress import Quiet
from evaljobs.report.comparing.difference_tables import DIFFERENCE_COLUMNS
from evaljobs.report.tables.flags import MEANING
from evaljobs.report.tables.result_rows import result_columns
from raycluster.connection.connect import Cluster

ROOT = Path(__file__).parents[1]
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")),
    *sorted((ROOT / "docs").glob("*.md")),
]
NAMES = [str(page.relative_to(ROOT)) for page in PAGES]


def tokens(page: Path) -> list[Token]:
    return MarkdownIt("commonmark").enable("table").parse(page.read_text(encoding="utf-8"))


def blocks(page: Path, language: str) -> list[str]:
    """Return the code blocks of a language."""
    return [t.content for t in tokens(page) if t.type == "fence" and t.info == language]


def all_blocks(language: str) -> list[tuple[str, str]]:
    """Return the code blocks of every page, with the name of the page."""
    found = [(name, code) for name, page in zip(NAMES, PAGES, strict=True) for code in blocks(page, language)]
    assert found
    return found


@pytest.fixture(scope="module")
def reference() -> ModuleType:
    """Load the script that generates the reference."""
    spec = importlib.util.spec_from_file_location("make_reference", ROOT / "docs" / "make_reference.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# Generated references


@pytest.mark.parametrize("page", ["configuration.md", "cli.md", "raycluster.md", "monitoring.md"])
def test_reference_is_that_of_the_code(reference: ModuleType, page: str) -> None:
    """A key or an option that changed is in the documentation: `python docs/make_reference.py` writes it."""
    assert (ROOT / "docs" / page).read_text(encoding="utf-8") == reference.render(page)


def test_every_key_is_in_the_reference(reference: ModuleType) -> None:
    """No section of the configuration is left out, and every key says what it means."""
    sections = reference.models()
    assert set(sections) == set(reference.SECTIONS) | {kind.Parameters.__name__ for kind in jobs.KINDS.values()}
    keys = [(name, key, node) for name, part in sections.items() for key, node in part.get("properties", {}).items()]
    assert keys
    assert [f"{name}.{key}" for name, key, node in keys if "description" not in node] == []


def all_commands() -> dict[str, click.Command]:
    """Return every command by its name; groups, and their commands by both names."""
    found: dict[str, click.Command] = dict(cli.cli.commands)
    for name, command in cli.cli.commands.items():
        if isinstance(command, click.Group):
            found |= {f"{name} {inner}": one for inner, one in command.commands.items()}
    return found


@pytest.mark.parametrize("name", sorted(all_commands()))
def test_every_command_and_option_has_help(name: str) -> None:
    """A command says what it does and what its arguments are; an option says what it changes."""
    command = all_commands()[name]
    assert command.help
    assert command.help[0].isupper()
    assert command.help.rstrip().endswith(".")
    arguments = [p.name.upper() for p in command.params if isinstance(p, click.Argument) and p.name]
    assert [argument for argument in arguments if argument not in command.help] == []
    options = [p for p in command.params if isinstance(p, click.Option)]
    assert [option.opts for option in options if not (option.help or "").endswith(".")] == []


def test_exit_codes_are_documented() -> None:
    """The tables of the command line's page and of the README have every code, and no other."""

    def codes(page: str) -> set[int]:
        rows = re.findall(r"^\| ([\d, ]+) \|", (ROOT / page).read_text(encoding="utf-8"), re.MULTILINE)
        return {int(code) for row in rows for code in row.split(",")}

    assert codes("docs/cli.md") == codes("README.md") == {int(code) for code in ExitCode}


# Links, pictures, examples


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    found = tokens(page)
    titles = [found[i + 1].content for i, token in enumerate(found) if token.type == "heading_open"]
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def links(page: Path) -> Iterator[str]:
    for token in tokens(page):
        for child in token.children or ():
            target = child.attrs.get("href") or child.attrs.get("src")
            if target:
                yield str(target)


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_links_lead_somewhere(page: Path) -> None:
    """Files exist, and headings that are linked to are there."""
    for target in links(page):
        if target.startswith("https://"):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.is_file(), target
        assert not anchor or anchor in anchors(file), target


def test_every_page_is_in_the_index() -> None:
    """The README leads to the index, and the index to each page."""
    assert "docs/README.md" in set(links(ROOT / "README.md"))
    pages = {page.name for page in (ROOT / "docs").glob("*.md")} - {"README.md"}
    assert pages <= set(links(ROOT / "docs" / "README.md"))
    assert {"architecture.md", "images.md", "models.md", "results.md"} <= pages


def test_first_screen_has_the_commands_and_the_picture() -> None:
    """What it is, how to try it, how to test it: in that order, before anything else."""
    found = tokens(ROOT / "README.md")
    screen = found[: next(i for i, token in enumerate(found) if token.type == "heading_open" and token.tag == "h2")]
    assert [token.content for token in screen if token.type == "fence" and token.info == "sh"] == [
        "make demo\n",
        "make test\n",
    ]
    assert "docs/pictures/roc.png" in set(links(ROOT / "README.md"))


def test_pictures_are_small() -> None:
    """A clone stays small."""
    pictures = list((ROOT / "docs" / "pictures").iterdir())
    assert pictures
    assert {path.name: path.stat().st_size for path in pictures if path.stat().st_size >= 150_000} == {}
    with Image.open(ROOT / "docs" / "pictures" / "roc.png") as picture:
        assert picture.format == "PNG"


@pytest.mark.parametrize(("page", "text"), all_blocks("yaml"))
def test_configurations_are_valid(page: str, text: str) -> None:
    """Each example is a configuration, or a part of one; its jobs can be built."""
    parsed = parse_yaml(text, page)
    data = {"models": ["a.onnx"], **parsed}
    if "sets" not in data:
        data.setdefault("images", {"folder": "a"})
    assert jobs.build_jobs(config.validate(config.Config, data, page))


def test_first_benchmark_is_short() -> None:
    """Ten lines are a benchmark."""
    (text,) = blocks(ROOT / "README.md", "yaml")
    lines = text.splitlines()
    assert len([line for line in lines if not line.startswith("#")]) <= 10
    assert {"images", "models", "fpr"} <= set(parse_yaml(text, "README.md"))


@pytest.mark.parametrize(("page", "code"), all_blocks("json"))
def test_json_is_json(page: str, code: str) -> None:
    """Excerpts can be parsed."""
    assert json.loads(code), page


def commands_shown() -> list[str]:
    lines = [line for _, code in all_blocks("sh") for line in code.splitlines()]
    found = [re.sub(r"\s+[#>].*", "", line) for line in lines if line.startswith("evaljobs ")]
    assert len(found) > 3
    return found


@pytest.mark.parametrize("line", commands_shown())
def test_commands_shown_exist(line: str) -> None:
    """Every command that a page shows has that name and takes these options."""
    _, name, *arguments = line.split()
    if isinstance(cli.cli.commands[name], click.Group):
        name = f"{name} {arguments.pop(0)}"
    command = all_commands()[name]
    with command.make_context(name, arguments) as context:
        assert context.command is command


def test_readme_example_gives_what_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The Python example and the command after it print, to the last digit, what stands below them."""
    (code,) = blocks(ROOT / "README.md", "python")
    texts = blocks(ROOT / "README.md", "text")
    monkeypatch.chdir(tmp_path)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(code, "README.md", "exec"), {})  # noqa: S102 - the example itself
    assert printed.getvalue() == texts[1]
    (line,) = [line for line in commands_shown() if line.startswith("evaljobs score digits.npz")]
    done = subprocess.run(
        [sys.executable, "-m", *line.split()], cwd=tmp_path, capture_output=True, text=True, check=True, timeout=240
    )
    assert _stripped(done.stdout) == _stripped(texts[2])


def _stripped(text: str) -> list[str]:
    return [line.rstrip() for line in text.splitlines()]


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_pages_name_no_machine(page: Path) -> None:
    """What is pasted from a terminal holds no path of the machine it was made on."""
    assert re.findall(r"(?<![\w.…\]])/(?:tmp|home|root|work|usr|Users)/\S*", page.read_text(encoding="utf-8")) == []


def test_changelog_has_this_version() -> None:
    """Whoever installs it finds what is new."""
    assert evaljobs.__version__ in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


# What a run leaves


def first_column(heading: str) -> set[str]:
    """Return the first column of the tables under a heading of the results page."""
    text = (ROOT / "docs" / "results.md").read_text(encoding="utf-8")
    _, found, section = text.partition(f"\n{heading}\n")
    assert found
    level = heading.split(maxsplit=1)[0]
    section = re.split(rf"^{level} ", section, maxsplit=1, flags=re.MULTILINE)[0]
    names = re.findall(r"^\| `([^`]+)` \|", section, re.MULTILINE)
    assert len(names) == len(set(names)) > 0
    return set(names)


# Mappings whose keys are names.
FREE = re.compile(
    r"\.(tags|metadata|excluded_by_kind|sources|versions|measures)$|(evaluations\[\]|measures\.\*)\.sets$|^execution\.models$"
)


def fields(value: Any, path: str = "") -> Iterator[str]:
    """Yield the path of every value in a document; keys that are names count as one."""
    if path.endswith(".evidence"):  # each check of an audit has its own
        yield path
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from fields(inner, f"{path}.*" if FREE.search(path) else f"{path}.{key}".lstrip("."))
    elif isinstance(value, list) and value and isinstance(value[0], dict):
        for inner in value:
            yield from fields(inner, f"{path}[]")
    else:
        yield path


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory, cluster: Cluster) -> dict[str, Any]:
    """Carry out a run that leaves every field: good, refused and failed models, a bad and a remarkable image."""
    from evaljobs.run import run

    assert cluster.cpus == 2
    folder = tmp_path_factory.mktemp("documented")
    for number in range(9):
        path = folder / "images" / f"label{number % 3}" / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        channels = 4 if number == 1 else 3
        pixels = np.random.default_rng(number).integers(0, 256, (4, 4, channels), dtype=np.uint8)
        Image.fromarray(pixels).save(path)
    (folder / "images" / "label0" / "bad.png").write_bytes(b"")
    _model(folder / "good-d2.onnx", scale=1)
    _model(folder / "zero-d2.onnx", scale=0)
    (folder / "corrupt-d2.onnx").write_bytes(b"no model")
    path = folder / "benchmark.yaml"
    path.write_text(
        "images: {folder: images}\n"
        "models: [{path: '*.onnx', tag_pattern: '{name}-d{dim}', series: dim, classes: [label0, label1]}]\n"
        "max_failed_images: 0.5\nstore: store\nout: out\n"
        "sets: {noisy: {of: main, view: {steps: [{noise: 0.7}], first: 3}}}\n"
        # Nine images are too few for twenty groups, and so for intervals.
        "jobs: [{name: all, groups: 3, self_check: 9}, {name: listed, pairs: pairs.csv},"
        " {name: looks, kind: explain, set: main, images: 2, steps: 2},"
        " {name: map, kind: map, models: all}, {name: seen, set: noisy, groups: 3},"
        " {name: classes, kind: classification, missing: exclude, groups: 2},"
        " {name: doubts, kind: uncertainty, set: main, foreign: noisy, missing: exclude, groups: 2},"
        " {name: near, kind: uncertainty, set: main, corrupted: noisy, reference: main, neighbours: 2, groups: 0},"
        " {name: turned, kind: anomaly, set: main, normal: label0, rotations: [0, 180], groups: 2},"
        " {name: far, kind: anomaly, set: main, normal: label0, reference: main, neighbours: 2, groups: 2},"
        " {name: believed, kind: audit, set: main, counterfactual: [{jpeg: 75}], groups: 3}]\n"
    )
    (folder / "pairs.csv").write_text("id_a,id_b\nlabel0/0.png,label0/3.png\nlabel0/0.png,label1/1.png\n")
    assert run(config.load(path), path, Quiet(), _options()).exit_code == ExitCode.SOME_FAILED
    found = json.loads((folder / "out" / "results.json").read_text(encoding="utf-8"))
    assert isinstance(found, dict)
    return found


def _options() -> Any:
    from evaljobs.run import Options

    return Options()


def _model(path: Path, scale: int) -> None:
    weights = scale * np.random.default_rng(0).standard_normal((48, 2)).astype(np.float32)
    graph = helper.make_graph(
        [
            helper.make_node("Relu", ["x"], ["features"]),
            helper.make_node("Flatten", ["features"], ["flat"]),
            helper.make_node("MatMul", ["flat", "w"], ["y"]),
        ],
        "linear",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, 4, 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 2])],
        [numpy_helper.from_array(weights, "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    helper.set_model_props(model, {"signature": "made by a test"})
    onnx.save(model, path)


def test_the_configuration_of_a_run_can_be_run_again(results: dict[str, Any], tmp_path: Path) -> None:
    """What the results keep of it is a file that asks for the same."""
    path = tmp_path / "again.yaml"
    path.write_text(results["execution"]["config"])
    assert config.load(path).digest() == results["config_digest"]


def test_every_field_of_the_results_is_documented(results: dict[str, Any]) -> None:
    """The page lists what results.json holds: nothing is missing, nothing is there no more."""
    found = set(fields(results))
    # A value that is null in one entry and a mapping in another is documented by its parts.
    leaves = {path for path in found if not any(other.startswith((f"{path}.", f"{path}[]")) for other in found)}
    assert leaves == first_column("## results.json") - {str(flag) for flag in Flag}


def test_every_column_and_flag_is_documented() -> None:
    """Columns of the tables in their order of writing, flags with the words that results.md has for them."""
    assert first_column("## results.csv and results.parquet") == {column.name for column in result_columns(())}
    assert first_column("## differences.csv and differences.parquet") == {c.name for c in DIFFERENCE_COLUMNS}
    assert first_column("## failures.csv") == set(FAILURES_HEADER)
    assert first_column("## samples.arrow") == {"set", *schemas.SAMPLES.names}
    assert first_column("### Flags") == {str(flag) for flag in Flag} == set(MEANING)


def test_every_kind_of_error_is_documented() -> None:
    """What failures.csv and results.json may say is explained somewhere."""
    text = "".join(page.read_text(encoding="utf-8") for page in PAGES)
    kinds = [*ImageErrorKind, *ModelErrorKind]
    assert [str(kind) for kind in kinds if f"`{kind}`" not in text] == []
