r"""Tags from file names, by a pattern.

``{backbone}-f{dim}-r{res}-{norm}-{loss}[-{variant}]``: braces name fields, brackets hold optional parts (which may
hold further ones), everything else stands for itself. A field takes one character at least and as few as possible,
from the left, so ``variant`` above keeps its hyphens: ``ln-cos-from-scratch`` is norm ``ln``, loss ``cos``, variant
``from-scratch``. A slash stands for itself: ``{run}/epoch-{epoch}`` is matched with the file's folder too.
"""

from __future__ import annotations

import functools
import re

from evaljobs.errors import UsageError

_TOKEN = re.compile(r"\{(?P<field>[^{}\[\]]*)\}|(?P<open>\[)|(?P<close>\])|(?P<stray>[{}])|(?P<text>[^{}\[\]]+)")
_FIELD_NAME = re.compile(r"\w[\w-]*")


def parse_tags(pattern: str, name: str) -> dict[str, str] | None:
    """Return the fields of a name, or None where it does not match.

    Optional parts that are absent give no field.

    Raises
    ------
    UsageError
        If the pattern is malformed.
    """
    expression, fields = compile_pattern(pattern)
    match = expression.fullmatch(name)
    if match is None:
        return None
    return {field: match[i] for i, field in enumerate(fields, start=1) if match[i] is not None}


@functools.cache
def compile_pattern(pattern: str) -> tuple[re.Pattern[str], tuple[str, ...]]:
    """Turn a pattern into a regular expression and the names of its groups.

    Raises
    ------
    UsageError
        If the pattern is malformed.
    """
    parts: list[str] = []
    fields: list[str] = []
    depth, after_field = 0, False
    for token in _TOKEN.finditer(pattern):
        kind = token.lastgroup
        if kind == "field":
            _check_field(pattern, token["field"], fields, after_field=after_field)
            fields.append(token["field"])
            parts.append("(.+?)")
        elif kind == "open":
            depth += 1
            parts.append("(?:")
        elif kind == "close":
            depth -= 1
            parts.append(")?")
        elif kind == "stray":
            raise _malformed(pattern, f"a single {token[0]!r} at position {token.start() + 1}")
        else:
            parts.append(re.escape(token[0]))
        if depth < 0:
            raise _malformed(pattern, f"a ']' without its '[' at position {token.start() + 1}")
        after_field = kind == "field"
    if depth:
        raise _malformed(pattern, f"{depth} '[' without ']'")
    if not fields:
        raise _malformed(pattern, "no field")
    return re.compile("".join(parts), re.DOTALL), tuple(fields)


def _check_field(pattern: str, field: str, fields: list[str], *, after_field: bool) -> None:
    if not _FIELD_NAME.fullmatch(field):
        raise _malformed(pattern, f"the field name {field!r}; names are letters, digits, '_' and '-'")
    if field in fields:
        raise _malformed(pattern, f"the field {field!r} twice")
    if after_field:
        raise _malformed(pattern, f"{{{fields[-1]}}}{{{field}}} with nothing between, so nobody knows where one ends")


def _malformed(pattern: str, found: str) -> UsageError:
    return UsageError(
        f"tag pattern {pattern!r}: found {found}; expected fields in braces and optional parts in brackets, "
        "such as {backbone}-f{dim}-r{res}-{norm}-{loss}[-{variant}]"
    )
