"""The page does what it says in a real browser: sorting, filtering, choosing, pointing, copying; by keys too."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from tests.browser.conftest import Open, Opened
from tests.browser.runs import Run, make_run

BOARD = "#s0-board"


def column(opened: Opened, name: str) -> list[str | None]:
    """Return what a column of the leaderboard sorts by, in the order of the rows that are shown."""
    return opened.page.evaluate(
        """name => {
          const table = document.querySelector("#s0-board");
          const at = [...table.tHead.rows[0].cells].findIndex((cell) => cell.dataset.name === name);
          const rows = [...table.tBodies[0].rows].filter((row) => !row.hidden);
          return rows.map(({ cells }) => cells[at].classList.contains("n")
            ? cells[at].dataset.value ?? null : cells[at].textContent);
        }""",
        name,
    )


def test_the_first_screen_says_which_model_is_best(open_page: Open, small_page: Path, small_run: Run) -> None:
    """Best model, its TPR, the certainty of it and its threshold stand above the fold."""
    opened = open_page(small_page)
    points = {e["model"]: e["result"]["points"] for e in small_run.document["evaluations"] if e["result"]}
    best = max(points, key=lambda name: points[name][0]["tpr"])  # at 1e-4
    assert opened.text(".headline .name") == [best]
    (badge,) = opened.text(".headline .badge")
    assert badge in {"certain", "not certain"}
    box = opened.page.locator(".headline").bounding_box()
    assert box is not None
    assert box["y"] + box["height"] < 900
    assert opened.page.locator(".headline .copy").first.get_attribute("data-copy") == repr(points[best][0]["threshold"])


def test_every_column_sorts_both_ways(open_page: Open, small_page: Path) -> None:
    """Numbers by size, words as words; cells without a number come last; aria-sort says which and how."""
    opened = open_page(small_page)
    heads = opened.page.locator(f"{BOARD} thead th")
    names = [head.get_attribute("data-name") for head in heads.all()]
    assert {"rank", "model", "tpr", "auroc", "gflops", "params", "size_mb", "images_per_s"} <= set(names)
    for number, name in enumerate(names):
        assert name is not None
        numeric = "n" in (heads.nth(number).get_attribute("class") or "").split()
        for _ in range(2):
            heads.nth(number).locator("button").click()
            order = heads.nth(number).get_attribute("aria-sort")
            cells = column(opened, name)
            known = [float(cell) if numeric else cell for cell in cells if cell is not None]
            assert cells[len(known) :] == [None] * (len(cells) - len(known))
            down = order == "descending"
            assert known == sorted(known, reverse=down) if numeric else len(known) == len(cells)
        assert [head.get_attribute("aria-sort") for head in heads.all()].count("none") == len(names) - 1
    heads.nth(names.index("model")).locator("button").click()
    assert column(opened, "model") == sorted(str(name) for name in column(opened, "model"))


def test_words_and_tags_filter_and_the_count_says_it(open_page: Open, small_page: Path) -> None:
    """What does not match is hidden, and a screen reader hears how many are left."""
    opened = open_page(small_page)
    assert opened.text("#s0 .count") == ["13 of 13 shown"]
    opened.page.select_option("#s0 select.tag[data-tag=loss]", "=a")
    assert opened.text("#s0 .count") == ["6 of 13 shown"]
    assert {str(name)[-1] for name in column(opened, "model")} == {"a"}
    opened.page.fill("#s0 .words", "M0")
    assert opened.text("#s0 .count") == ["5 of 13 shown"]
    opened.page.fill("#s0 .words", "no such model")
    assert opened.text("#s0 .count") == ["0 of 13 shown"]
    assert opened.page.locator("#s0 .count").get_attribute("role") == "status"


def test_another_fpr_is_another_table_and_headline(open_page: Open, small_page: Path, small_run: Run) -> None:
    """Choosing the FPR changes rates, ranks, caption, headline and who is named in the ROC; sorting and filter stay."""
    opened = open_page(small_page)
    points = {e["model"]: e["result"]["points"] for e in small_run.document["evaluations"] if e["result"]}
    before = opened.text("#s0 .sentence")
    opened.page.fill("#s0 .words", "m0")
    opened.page.click(f"{BOARD} th[data-name=model] button")
    opened.page.select_option("#s0 .choice", "1e-1")
    names = column(opened, "model")
    assert names == sorted(name for name in points if name.startswith("m0"))
    assert [float(str(tpr)) for tpr in column(opened, "tpr")] == [points[str(name)][3]["tpr"] for name in names]
    assert opened.text("#s0 .sentence") != before
    assert "FPR 1e-1" in opened.text("#s0 .sentence")[0]
    assert opened.text(".headline .name") == [max(points, key=lambda name: points[name][3]["tpr"])]
    assert "1e-1" in opened.text(f"{BOARD} caption")[0]
    for choice, place in (("1e-1", 3), ("1e-4", 0)):
        opened.page.select_option("#s0 .choice", choice)
        opened.page.locator("#s0 .plot").first.scroll_into_view_if_needed()
        opened.page.wait_for_selector("#s0 .plot .main-svg")
        best = sorted((result[place]["tpr"] for result in points.values()), reverse=True)[:8]
        legend = opened.page.locator("#s0 .legend").first.locator("li a").all_inner_texts()
        assert [points[name][place]["tpr"] for name in legend] == best


def test_what_the_data_cannot_resolve_is_said(open_page: Open, tmp_path: Path) -> None:
    """Notes are those of the chosen FPR; a chart has the numbers of the table, and none left of one false positive."""
    run = make_run(["one", "two"], n=60, targets=("1e-6", "1e-1"))
    opened = open_page(run.write(tmp_path))
    notes = {}
    for choice, place in (("1e-6", 0), ("1e-1", 1)):
        opened.page.select_option("#s0 .choice", choice)
        notes[choice] = opened.text(f"{BOARD} >> xpath=../following-sibling::div[1] >> css=.note")
        plot = opened.page.locator("#s0 .plot").first
        plot.scroll_into_view_if_needed()
        opened.page.wait_for_selector("#s0 .plot .main-svg")
        plot.focus()
        opened.page.keyboard.press("ArrowRight")
        name, _, said = str(opened.text("#s0 .tip")[0]).partition(": TPR ")
        (result,) = [e["result"] for e in run.document["evaluations"] if e["model"] == name]
        assert float(said.partition(" at ")[0]) == pytest.approx(result["points"][place]["tpr"], abs=1e-4)
    assert any("not one false positive" in note for note in notes["1e-6"])
    assert not any("not one false positive" in note for note in notes["1e-1"])
    box = plot.bounding_box()
    assert box is not None
    plot.hover(position={"x": 80, "y": box["height"] / 2})
    assert "is not resolvable" in opened.text("#s0 .tip")[0]


def test_pointing_at_a_chart_names_the_curve(open_page: Open, small_page: Path, small_run: Run) -> None:
    """The mouse and the arrow keys name curves, with the numbers at that place."""
    opened = open_page(small_page)
    names = [model["name"] for model in small_run.document["models"] if model["status"] == "ok"]
    plot = opened.page.locator("#s0 .plot").first
    plot.scroll_into_view_if_needed()
    opened.page.wait_for_selector("#s0 .plot .main-svg")
    plot.hover()
    (tip,) = opened.text("#s0 .tip")
    name, _, said = tip.partition(": ")
    assert name in names
    assert said.startswith("TPR 0.")
    assert " at FPR " in said
    plot.focus()
    opened.page.keyboard.press("ArrowRight")
    opened.page.keyboard.press("ArrowRight")
    (after,) = opened.text("#s0 .tip")
    assert after.partition(": ")[0] in set(names) - {name}
    assert opened.page.locator("#said").text_content() == after


def test_a_threshold_is_copied_with_all_its_digits(open_page: Open, small_page: Path, small_run: Run) -> None:
    """Both scales, in the headline and in the panel of each model."""
    opened = open_page(small_page)
    result = next(e["result"] for e in small_run.document["evaluations"] if e["model"] == "m03-d8-b")
    opened.page.goto(f"{small_page.as_uri()}#model-3")
    opened.page.wait_for_selector("#panel table")
    wanted = {repr(point["threshold"]) for point in result["points"]}
    wanted |= {repr((point["threshold"] + 1) / 2) for point in result["points"]}
    copied = set()
    for button in opened.page.locator("#panel td .copy").all():
        button.click()
        copied.add(opened.page.evaluate("navigator.clipboard.readText()"))
        assert button.inner_text() == "copied"
    assert copied == wanted


def test_a_panel_shows_a_model(open_page: Open, small_page: Path) -> None:
    """The best one's is open; a name in a table leads to thresholds, scores, hardest pairs with pictures, metadata."""
    opened = open_page(small_page)
    assert opened.text("#panel h3") == opened.text(".headline .name")
    link = opened.page.locator(f"{BOARD} tbody a").nth(1)
    name = link.inner_text()
    link.click()
    assert opened.text("#panel h3") == [name]
    assert opened.page.evaluate("document.activeElement.textContent") == name
    assert opened.page.locator("#panel .pairs li").count() == 24
    assert opened.page.evaluate("[...document.querySelectorAll('#panel .pairs img')].every((i) => i.naturalWidth > 9)")
    opened.page.wait_for_selector("#panel .plot .main-svg")
    assert any("signature" in text for text in opened.text("#panel dt"))
    opened.page.select_option("#model", "5")
    opened.page.wait_for_function("document.querySelector('#panel h3').textContent.startsWith('m05')")


def test_everything_can_be_done_by_keys(open_page: Open, small_page: Path) -> None:
    """Skip link, filter, sort, open a model: Tab, Enter and letters; focus is always seen."""
    opened = open_page(small_page)
    keys = opened.page.keyboard
    keys.press("Tab")
    assert opened.page.evaluate("document.activeElement.className") == "skip"
    keys.press("Enter")
    assert opened.page.evaluate("document.activeElement.id") == "main"
    seen = set()
    for _ in range(60):
        keys.press("Tab")
        kind, outline = opened.page.evaluate(
            "[document.activeElement.className, getComputedStyle(document.activeElement).outlineStyle]"
        )
        assert outline != "none"
        seen.add(kind)
        if kind == "words":
            keys.type("m0")
        if kind == "sort" and "sorted" not in seen:
            keys.press("Enter")
            seen.add("sorted")
        if opened.page.evaluate("document.activeElement.matches('tbody a')"):
            keys.press("Enter")
            break
    assert {"copy", "choice", "words", "tag", "sort", "scroll"} <= seen
    opened.page.wait_for_selector("#panel h3")
    assert opened.text("#s0 .count")[0].startswith("10 of")


@pytest.mark.parametrize("selector", ["main", "header nav", "footer", "#s0 nav[aria-label]", "#s0[aria-labelledby]"])
def test_screen_readers_find_their_way(open_page: Open, small_page: Path, selector: str) -> None:
    """Landmarks, one h1, headings without a gap, names of tables and regions."""
    opened = open_page(small_page)
    assert opened.page.locator(selector).count() == 1
    levels = [
        int(tag[1]) for tag in opened.page.evaluate("[...document.querySelectorAll('h1,h2,h3,h4')].map(h => h.tagName)")
    ]
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))
    unnamed = "[...document.querySelectorAll('table')].filter(t => !t.caption && !t.closest('details')).length"
    assert opened.page.evaluate(unnamed) == 0
    assert opened.page.evaluate("[...document.querySelectorAll('img')].filter(i => !i.hasAttribute('alt')).length") == 0


def test_a_long_table_is_folded_until_it_is_asked_for(open_page: Open, small_page: Path) -> None:
    """Each table of a section has its link among the section's parts, which unfolds it."""
    opened = open_page(small_page)
    links = opened.page.locator("#s0 .parts a[href*=grid]")
    assert links.count() == opened.page.locator("#s0 details.fold").count() > 3
    for link in links.all():
        link.click()
    assert opened.page.locator("#s0 details.fold:not([open])").count() == 0
    assert opened.page.locator("#s0 details.fold table").last.is_visible()
