"""Names come from files and metadata of strangers: what each format needs so that text stays text."""

from __future__ import annotations

import re
import unicodedata

# Control characters, format characters (which reorder text), lone surrogates, line and paragraph separators.
_HIDDEN = {"Cc", "Cf", "Cs", "Zl", "Zp"}
# Zero-width (non-)joiners are part of the spelling of several scripts.
_JOINERS = {"\u200c", "\u200d"}
_SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}

# What spreadsheets take for the start of a formula, full-width forms included.
_FORMULA = tuple("=+-@＝＋－＠")

_MARKDOWN = re.compile(r"[\\`*\[\]<>#~!&$]|(?<![^\W_])_|_(?![^\W_])")


def visible(text: str) -> str:
    r"""Replace what is not seen, or acts on a terminal, by a backslash escape such as ``\x1b``."""
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
