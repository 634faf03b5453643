"""Maps in results.md and on a terminal: how many of how many, how near, and names that stay text."""

from __future__ import annotations

import io
from typing import Any

import pytest
from markdown_it import MarkdownIt
from rich.console import Console

from evaljobs.report.tables.leaderboard import render_terminal
from evaljobs.report.text.map_words import map_lines, map_markdown, shown_text
from tests.report.mapped import mapped


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Give the results of a map of 30 of 60 digits."""
    return mapped(tmp_path_factory.mktemp("run"), 60, methods="pca", sample=30).results


def test_a_sentence_for_each_model(results: Any) -> None:
    """The same words on a terminal as in the page: what is shown, and how often the nearest has the same label."""
    (line,) = map_lines(results)
    assert line.startswith(
        "map on main: 30 of 60 images (labels alike, chosen by a hash of the image) as edges sees them"
    )
    assert "the nearest image has the same label for" in line
    shown = io.StringIO()
    Console(file=shown, width=400).print(render_terminal(results))
    assert line in shown.getvalue()


def test_pictures_stand_in_the_page(results: Any) -> None:
    """A heading, the sentence, and each picture once; SVG is for others."""
    entry = {**results["evaluations"][0], "figures": ["figures/a.png", "figures/a.svg", "figures/b.png"]}
    page = "\n".join(map_markdown({**results, "evaluations": [entry]}))
    tokens = [child for token in MarkdownIt().parse(page) for child in token.children or ()]
    assert [token.attrs["src"] for token in tokens if token.type == "image"] == ["figures/a.png", "figures/b.png"]
    assert page.startswith("## Map: map on main\n")


def test_names_stay_text(results: Any) -> None:
    """A model called like a link or a picture is shown as it is called."""
    name = "[x](javascript:alert(1)) ![y](z) <b>"
    entry = {**results["evaluations"][0], "model": name}
    page = "\n".join(map_markdown({**results, "evaluations": [entry]}))
    tokens = [child for token in MarkdownIt().parse(page) for child in token.children or ()]
    assert not {"link_open", "image", "html_inline"} & {token.type for token in tokens}
    assert any(name in token.content for token in tokens)


def test_failed_maps_are_not_shown(results: Any) -> None:
    """They stand among the failures."""
    entry = {**results["evaluations"][0], "status": "failed", "result": None}
    assert map_markdown({**results, "evaluations": [entry]}) == []
    assert map_lines({**results, "evaluations": [entry]}) == []


def test_how_many_of_how_many() -> None:
    """One, all, some."""
    some = {"n_shown": 1000, "n_samples": 60_000, "sampling": "random"}
    assert shown_text(some) == "1,000 of 60,000 images (each with the same chance, chosen by a hash of the image)"
    assert shown_text({"n_shown": 5, "n_samples": 5, "sampling": "all"}) == "All 5 images"
    assert shown_text({"n_shown": 1, "n_samples": 1, "sampling": "all"}) == "The only image"
