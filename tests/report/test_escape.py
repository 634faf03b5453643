"""Names are text in every format, whatever stands in them."""

from __future__ import annotations

import csv
import io
import re
import unicodedata
from html.parser import HTMLParser

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token
from rich.console import Console

from evaljobs.report.tables.columns import Column, Kind
from evaljobs.report.tables.escape import csv_text, encodable, latex_text, visible
from evaljobs.report.tables.formats import to_arrow, to_csv, to_html, to_latex, to_markdown, to_terminal

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
    "</td></table><script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    "a & b % c # d $ e _ f ^ g ~ h { i } j \\input{/etc/passwd}",
    "[1ex] *[2ex]",
    "--- ,, '' `` ?` !`",
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


class Cells(HTMLParser):
    """Every tag, and the text of each cell, as a browser finds them."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, tuple[str, ...]]] = []
        self.cells: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, tuple(name for name, _ in attrs)))
        if tag in {"td", "th"}:
            self.cells.append("")

    def handle_data(self, data: str) -> None:
        if self.cells:
            self.cells[-1] += data


def check_html(name: str) -> None:
    found = Cells(to_html(NAME, [{"name": name}], name))
    expected = ["table", "caption", "thead", "tr", "th", "tbody", "tr", "th"]
    assert [tag for tag, _ in found.tags] == expected
    assert {attributes for _, attributes in found.tags} == {(), ("scope",)}
    assert found.cells[-1].strip() == visible(name).strip()


@pytest.mark.parametrize("name", HOSTILE)
def test_html_shows_a_hostile_name_as_it_is(name: str) -> None:
    """A parser finds the table's own tags and attributes, and one cell with the name's text."""
    check_html(name)


@given(NAMES)
def test_html_shows_any_name_as_it_is(name: str) -> None:
    """The same for names nobody thought of."""
    check_html(name)


# What LaTeX reads: a command with its braces, an escaped character, or a character.
LATEX = re.compile(r"\\(?:[a-zA-Z]+|.)|[\s\S]")
COMMANDS = {
    r"\textbackslash": "\\",
    r"\textasciicircum": "^",
    r"\textasciitilde": "~",
    r"\textless": "<",
    r"\textgreater": ">",
    r"\textbar": "|",
    r"\textasciigrave": "`",
    **{f"\\{c}": c for c in "{}$&#_%"},
}


def typeset(source: str) -> str:
    """Return the text that LaTeX sets: groups opened and closed, known commands alone, nothing with a meaning left."""
    depth, text = 0, ""
    for piece in LATEX.findall(source.replace(r"{\char34}", '"')):
        if piece in "{}":
            depth += 1 if piece == "{" else -1
            assert depth >= 0
        elif piece.startswith("\\"):
            text += COMMANDS[piece]
        else:
            assert piece not in "$&#_%^~"
            text += piece
    assert depth == 0
    return text


def check_latex(name: str) -> None:
    source = latex_text(name)
    assert typeset(source) == visible(name)
    assert "\n" not in source
    assert not source.startswith(("[", "*")), "an option or a star of the line's end before it"
    assert re.search(r"--|''|,,|``", source) is None
    (line,) = [line for line in to_latex(NAME * 3, [{"name": name}]).splitlines() if line.startswith(f"{source} & ")]
    assert line == f"{source} & {source} & {source} \\\\"


@pytest.mark.parametrize("name", HOSTILE)
def test_latex_shows_a_hostile_name_as_it_is(name: str) -> None:
    """Braces balance, a row has its two separators, no command is made, and the text that is set is the name's."""
    check_latex(name)


@given(NAMES)
@example("\\\\[1ex]")
@example("%\n}")
def test_latex_shows_any_name_as_it_is(name: str) -> None:
    """The same for names nobody thought of."""
    check_latex(name)


def test_visible_names_what_it_hides() -> None:
    """Escapes tell which character stood there; ordinary text of any script stays."""
    assert visible("\x1b[0m\n\u202e\udcff\U000e0001") == "\\x1b[0m\\n\\u202e\\udcff\\U000e0001"
    assert visible("名前 é ü ñ क्‍ष resnet_50") == "名前 é ü ñ क्‍ष resnet_50"


def test_parquet_keeps_the_name_for_joins() -> None:
    """Parquet holds the very name, but for what UTF-8 cannot hold."""
    names = [{"name": name} for name in HOSTILE]
    assert to_arrow(NAME, names).column("name").to_pylist() == [encodable(name) for name in HOSTILE]
    assert encodable("=a|b\x1b") == "=a|b\x1b"
