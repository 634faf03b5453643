"""The page on any screen: hundreds of models, 360 pixels, in the dark, on paper, with little or nothing to show."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.browser.conftest import Open
from tests.browser.runs import Run, make_run, many_models

# A page as wide as the screen is not scrolled sideways.
OVERFLOW = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


@pytest.fixture(scope="module")
def large_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return many_models(300).write(tmp_path_factory.mktemp("large"))


def test_three_hundred_models(open_page: Open, large_page: Path) -> None:
    """The page is below 12 MB, opens at once, filters and sorts in a blink, and draws all curves."""
    assert large_page.stat().st_size < 12_000_000
    opened = open_page(large_page)
    assert opened.page.locator("#s0-board tbody tr").count() == 300
    opened.page.fill("#s0 .words", "backbone3 s0")
    assert opened.text("#s0 .count") == ["5 of 300 shown"]
    opened.page.click("#s0-board th[data-name=auroc] button")
    opened.page.locator("#s0 .plot").first.scroll_into_view_if_needed()
    opened.page.wait_for_selector("#s0 .plot .main-svg")
    assert "292 more in grey" in " ".join(opened.text("#s0 .legend"))
    assert opened.page.evaluate(OVERFLOW) == 0


@pytest.mark.parametrize("which", ["small_page", "large_page"])
def test_a_narrow_screen_scrolls_tables_alone(open_page: Open, which: str, request: pytest.FixtureRequest) -> None:
    """At 360 pixels everything is there, and nothing is wider than the screen but what scrolls inside."""
    opened = open_page(request.getfixturevalue(which), width=360, height=740)
    opened.page.goto(f"{opened.page.url}#model-1")
    opened.page.wait_for_selector("#panel h3")
    for plot in opened.page.locator(".plot").all():
        plot.scroll_into_view_if_needed()
    opened.page.wait_for_timeout(200)
    assert opened.page.evaluate(OVERFLOW) == 0
    inside = "document.querySelector('#s0-board').parentElement"
    assert opened.page.evaluate(f"{inside}.scrollWidth > {inside}.clientWidth")


def test_dark_mode_is_dark(open_page: Open, small_page: Path) -> None:
    """Text and ground change together, in charts too, while the page is open."""
    opened = open_page(small_page)
    opened.page.locator("#s0 .plot").first.scroll_into_view_if_needed()
    opened.page.wait_for_selector("#s0 .plot .main-svg")
    look = "[getComputedStyle(document.body).backgroundColor, document.querySelector('.plot .xtick text').style.fill]"
    light = opened.page.evaluate(look)
    opened.page.emulate_media(color_scheme="dark")
    # Charts are drawn again when the page is told of it, which on busy cores is later than the style.
    opened.page.wait_for_function(f"text => {look}[1] !== text", arg=light[1])
    dark = opened.page.evaluate(look)
    assert light[0] == "rgb(255, 255, 255)"
    assert dark[0] == "rgb(20, 23, 27)"


def test_paper_has_all_rows(open_page: Open, small_page: Path) -> None:
    """Printed, tables are whole, and nothing that is pressed is there."""
    opened = open_page(small_page)
    opened.page.emulate_media(media="print")
    assert opened.text("button.copy, form.tools") == []
    whole = "[...document.querySelectorAll('.scroll')].every((box) => box.scrollHeight <= box.clientHeight + 1)"
    assert opened.page.evaluate(whole)
    assert len(opened.page.pdf()) > 10_000


def test_one_model_has_nothing_to_be_better_than(open_page: Open, tmp_path: Path) -> None:
    """No certainty is claimed where there is nothing to compare with."""
    opened = open_page(make_run(["alone"]).write(tmp_path))
    assert opened.text(".headline .name") == ["alone"]
    assert opened.text(".badge") == []
    assert "no other model" in opened.text(".sentence")[0]


@pytest.mark.parametrize("failed", [["a", "b"], []])
def test_a_run_without_a_result_is_a_page(open_page: Open, tmp_path: Path, failed: list[str]) -> None:
    """Every model failed, or there is none: the page says so, with the reasons."""
    opened = open_page(make_run([], failed=failed).write(tmp_path))
    assert opened.page.locator("h1").inner_text() == "digits"
    assert opened.text("#failures tbody th") == failed
    opened.page.wait_for_timeout(100)


def test_an_unknown_kind_of_job_is_shown(open_page: Open, tmp_path: Path, small_run: Run) -> None:
    """What nobody has written a section for is a table of its results."""
    entries = [
        {**entry, "kind": "survey", "result": {"auroc": 0.5 + number / 100, "nested": {"n": number}, "list": [1]}}
        for number, entry in enumerate(small_run.document["evaluations"][:3])
    ]
    opened = open_page(Run({**small_run.document, "evaluations": entries}, {}).write(tmp_path))
    assert opened.text("#s0 thead th") == ["model", "auroc", "nested.n"]
    assert "3 of 3 evaluations worked." in opened.text("#s0 .sentence")
