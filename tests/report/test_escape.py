"""Names are text in every format, whatever stands in them."""

from __future__ import annotations

import csv
import io
import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token
from rich.console import Console

from evaljobs.report.columns import Column, Kind
from evaljobs.report.escape import csv_text, encodable, visible
from evaljobs.report.formats import to_arrow, to_csv, to_markdown, to_terminal

NAME = [Column("name", "name", "name", Kind.TEXT)]
HOSTILE = [
    "a|b",
    "a\\|b",
    "line\nfeed\r\ttab",
    "\x1b[31mred\x1b[0m\x07",
    "[link](http://x.y) ![i](j) <b>bold</b> <script>",
    "*em* _em_ __strong__ `code` ~~gone~~ $x^2$ &amp; &#124;",
    "[red]rich[/red] [/] \\[x]",
    "=1+1",
    "-x",
    "+x",
    "@x",
    " =x",
    "\u202egnp.exe",
    "\udcff-not-utf8",
    "名前-модель-😀",
    "resnet_50_v2",
    "# heading",
    "trailing \\",
]
# Letters that formats give a meaning, more often than drawn from all of Unicode.
NAMES = st.text(st.one_of(st.sampled_from("|\\`*_[]<>#~!&$=+-@'\" \t\n\r\x1b\x00ab1.)("), st.characters()), min_size=1)


def tokens(markdown: str) -> list[Token]:
    return MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(markdown)


def one_line(text: str) -> str:
    """Return what Markdown leaves of a cell: no spaces around it."""
    return text.strip()


def check_markdown(name: str) -> None:
    cells = [token for token in tokens(to_markdown(NAME, [{"name": name}])) if token.type == "inline"]
    assert len(cells) == 2, "a heading and one cell"
    children = cells[1].children or []
    assert {child.type for child in children} <= {"text", "text_special"}
    assert one_line("".join(child.content for child in children)) == one_line(visible(name))


@pytest.mark.parametrize("name", HOSTILE)
def test_markdown_shows_a_hostile_name_as_it_is(name: str) -> None:
    """An independent parser finds one cell with the name's text and no markup."""
    check_markdown(name)


@given(NAMES)
@example("_a_")
@example("&lt;")
def test_markdown_shows_any_name_as_it_is(name: str) -> None:
    """The same for names nobody thought of."""
    check_markdown(name)


@given(NAMES)
def test_csv_is_read_back_and_calculates_nothing(name: str) -> None:
    """A CSV reader finds one row with the visible name, and no spreadsheet takes it for a formula."""
    rows = list(csv.reader(io.StringIO(to_csv(NAME, [{"name": name}]).decode())))
    assert len(rows) == 2
    cell = rows[1][0]
    assert not cell.lstrip(" ").startswith(tuple("=+-@＝＋－＠\t\r"))
    assert cell.removeprefix("'") == visible(name).removeprefix("'")


@pytest.mark.parametrize("name", ["=1+1", "-2", "+x", "@SUM(A1)", " =x", "＝x"])
def test_csv_marks_formulas_as_text(name: str) -> None:
    """What a spreadsheet would calculate gets the apostrophe that makes it text."""
    assert csv_text(name) == f"'{name}"


@given(NAMES)
def test_nothing_in_a_name_acts_on_a_terminal(name: str) -> None:
    """No control character and no rich markup of a name reaches the terminal."""
    stream = io.StringIO()
    Console(file=stream, width=10_000, force_terminal=False).print(to_terminal(NAME, [{"name": name}]))
    shown = stream.getvalue()
    assert {c for c in shown if unicodedata.category(c) in {"Cc", "Cs"}} <= {"\n"}
    assert visible(name).strip() in shown


def test_visible_names_what_it_hides() -> None:
    """Escapes tell which character stood there; ordinary text of any script stays."""
    assert visible("\x1b[0m\n\u202e\udcff\U000e0001") == "\\x1b[0m\\n\\u202e\\udcff\\U000e0001"
    assert visible("名前 é ü ñ क्‍ष resnet_50") == "名前 é ü ñ क्‍ष resnet_50"


def test_parquet_keeps_the_name_for_joins() -> None:
    """Parquet holds the very name, but for what UTF-8 cannot hold."""
    names = [{"name": name} for name in HOSTILE]
    assert to_arrow(NAME, names).column("name").to_pylist() == [encodable(name) for name in HOSTILE]
    assert encodable("=a|b\x1b") == "=a|b\x1b"
