"""Names, labels, ids and metadata come from strangers: in the page they are text, and nothing of them acts."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from tests.browser.conftest import Open
from tests.browser.runs import Run, make_run

EVIL = [
    "<script>alert(1)</script>",
    "</script><script>alert(2)</script>",
    "<img src=x onerror=alert(3)>",
    '" onmouseover="alert(4)" x="',
    "javascript:alert(5)",
    "<!--<script>",
    "{{7*7}}{% raw %}",
    "<a href='https://example.com/track'>b</a><b>bold</b>%{x}$\\frac{1}{2}$",
    "\u202egnp.exe\u2066\u2028\u0000x\x1b[31m",
    "<svg><style>*{background:url(https://example.com/s)}</style></svg>",
    "&lt;script&gt;alert(6)&lt;/script&gt;",
    "caf\udce9",
]


def hostile_run() -> Run:
    """Put a hostile text wherever one may come from."""
    tags = [{evil: evil, "loss": evil} for evil in EVIL]
    run = make_run(EVIL, tags, failed=["<script>alert(7)</script>broken"], run=EVIL[1])
    document, tables = run
    for model, evil in zip(document["models"], EVIL, strict=False):
        model |= {"metadata": {evil: evil}, "notes": [evil], "digest": evil}
        model["preprocessing"] = {"color": evil}
    document["models"][-1]["error"] = {"kind": "corrupt", "message": EVIL[2]}
    document["sets"][0] |= {"excluded_by_kind": {EVIL[0]: 2}, "digest": EVIL[3]}
    document["sets"][0]["notices"] = [{"kind": EVIL[0], "n_images": 3, "explanation": EVIL[2]}]
    document["execution"] |= {"host": EVIL[0], "versions": {EVIL[2]: EVIL[1]}, "command": EVIL[1]}
    for entry in document["evaluations"]:
        if entry["result"]:
            entry["result"]["notes"] = [EVIL[2]]
    for key, named in tables.items():
        named["hardest"] = _evil_labels(named["hardest"])
        tables[key] = named
    return run


def _evil_labels(table: pa.Table) -> pa.Table:
    for name in ("label_a", "label_b", "id_a", "id_b"):
        evil = pa.array([EVIL[i % 11] for i in range(table.num_rows)])
        place = table.column_names.index(name)
        joined = pc.binary_join_element_wise(pc.cast(table[name], pa.string()), evil, "")
        table = table.set_column(place, name, joined)
    return table


@pytest.fixture(scope="module")
def hostile_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return hostile_run().write(tmp_path_factory.mktemp("hostile"))


def test_nothing_of_a_name_acts(open_page: Open, hostile_page: Path) -> None:
    """No dialog, no request, no element, no handler: wherever a text stands, and whatever is clicked."""
    opened = open_page(hostile_page)
    page = opened.page
    known = "[...document.querySelectorAll('script,img,a,style,svg,b,iframe,object,base,form,link,meta')]"
    bad = f"""{known}.filter((e) => [...e.attributes].some((a) => /^on|javascript:|example/i.test(a.name + a.value)))
      .map((e) => e.outerHTML)"""
    assert page.evaluate(bad) == []
    assert page.locator("script").count() == 3
    for number in range(len(EVIL)):
        page.goto(f"{hostile_page.as_uri()}#model-{number}")
        page.wait_for_selector("#panel h3")
        assert page.evaluate(bad) == []
        assert page.locator("#panel script, #panel a[href^=http], #panel [onerror], #panel [onmouseover]").count() == 0
    for value in page.evaluate("[...document.querySelectorAll('#s0 select.tag option')].map((o) => o.value)"):
        if value:
            page.evaluate(
                """value => { const o = [...document.querySelectorAll('#s0 select.tag option')]
                .find((one) => one.value === value); o.selected = true;
                o.parentElement.dispatchEvent(new Event('input', { bubbles: true })); }""",
                value,
            )
    for plot in page.locator(".plot").all():
        plot.scroll_into_view_if_needed()
        plot.hover()
    page.wait_for_timeout(200)
    assert page.evaluate(bad) == []


def test_names_are_shown_as_they_are(open_page: Open, hostile_page: Path) -> None:
    """Text stays text: what is written is what is read, and what is not seen is made visible."""
    opened = open_page(hostile_page)
    names = opened.page.evaluate("[...document.querySelectorAll('#s0-board tbody th')].map((cell) => cell.textContent)")
    assert {EVIL[0], EVIL[2], EVIL[6], EVIL[10]} <= set(names)
    shown = opened.page.evaluate(
        "document.title + document.querySelector('header').textContent + document.querySelector('main').textContent"
    )
    assert not {"\u202e", "\u2066", "\u2028", "\x00", "\x1b", "\ufffd"} & set(shown)
    assert "\\u202egnp.exe" in " ".join(names)
    assert "caf\\udce9" in names


def test_the_policy_holds_where_escaping_would_not(open_page: Open, hostile_page: Path) -> None:
    """Were markup ever to come through, its script would not run and its image would not be asked for."""
    opened = open_page(hostile_page)
    inserted = """() => new Promise((done) => {
      const holder = document.createElement("div");
      holder.innerHTML = "<img src='https://example.com/x.png' onerror='window.ran = 1'>";
      document.body.append(holder);
      const script = document.createElement("script");
      script.textContent = "window.ran = 2";
      document.body.append(script);
      setTimeout(() => done(window.ran ?? null), 300);
    })"""
    assert opened.page.evaluate(inserted) is None
    refused = [deed for deed in opened.deeds if "Content Security Policy" in deed]
    assert len(refused) >= 2
    assert refused == opened.deeds
    opened.deeds.clear()
