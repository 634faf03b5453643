"""Names come from files and metadata of strangers: what each format needs so that text stays text."""

from __future__ import annotations

import html
import re
import unicodedata

# Control characters, format characters (which reorder text), lone surrogates, line and paragraph separators.
_HIDDEN = {"Cc", "Cf", "Cs", "Zl", "Zp"}
# Zero-width (non-)joiners are part of the spelling of several scripts.
_JOINERS = {"\u200c", "\u200d"}
_SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}

# What spreadsheets take for the start of a formula, full-width forms included.
_FORMULA = tuple("=+-@＝＋－＠")

# Brackets and stars mean something to the command before them, such as the end of a line.
_LATEX = str.maketrans(
    {
        "\\": r"\textbackslash{}",
        "^": r"\textasciicircum{}",
        "~": r"\textasciitilde{}",
        "<": r"\textless{}",
        ">": r"\textgreater{}",
        "|": r"\textbar{}",
        '"': r"{\char34}",  # the one way that every font encoding has
        "`": r"\textasciigrave{}",
        **{c: f"\\{c}" for c in "{}$&#_%"},
        **{c: f"{{{c}}}" for c in "[]*"},
    }
)
# Two of these in a row would become one character.
_LIGATURES = re.compile(r"(?<=[-',])(?=[-',])")

_MARKDOWN = re.compile(r"[\\`*\[\]<>#~!&$]|(?<![^\W_])_|_(?![^\W_])")


def visible(text: str) -> str:
    r"""Replace what is not seen, or acts on a terminal, by a backslash escape such as ``\x1b``."""
    if text.isprintable():  # at once, of nearly every text; what is hidden is not printable
        return text
    return "".join(_escape(c) if _is_hidden(c) else c for c in text)


def _is_hidden(character: str) -> bool:
    return unicodedata.category(character) in _HIDDEN and character not in _JOINERS


def _escape(character: str) -> str:
    code = ord(character)
    if character in _SHORT:
        return _SHORT[character]
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def encodable(text: str) -> str:
    """Replace lone surrogates (file names that are not UTF-8), which no file format can hold, by escapes."""
    return "".join(_escape(c) if unicodedata.category(c) == "Cs" else c for c in text)


def csv_text(text: str) -> str:
    """Return text for a CSV cell: visible, and with an apostrophe before what a spreadsheet would calculate."""
    shown = visible(text)
    return f"'{shown}" if shown.lstrip(" ").startswith(_FORMULA) else shown


def markdown_text(text: str) -> str:
    """Return text that CommonMark shows as it is, in a cell, in a heading and in a line."""
    shown = _MARKDOWN.sub(lambda match: f"\\{match[0]}", visible(text))
    # Parsers differ on a backslash before a pipe in a table: an entity is the same to all.
    return shown.replace("|", "&#124;")


def latex_text(text: str) -> str:
    """Return text that LaTeX sets as it is, at the start of a table's line too; other scripts stay as they are."""
    return "{}".join(piece.translate(_LATEX) for piece in _LIGATURES.split(visible(text)))


def html_text(text: str) -> str:
    """Return text for HTML, between tags and in quoted attributes."""
    return html.escape(visible(text))
