"""What a threshold that was set on one set does on another, for runs that verify several sets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from evaljobs.report.figures.transfer import transfer
from evaljobs.report.figures.transfer_figure import transfer_picture
from evaljobs.report.results import OK, VERIFICATION
from evaljobs.report.section import Found, Section

# Of more sets, each is moved to the first others alone: pairs of sets grow with their square.
MOST_SETS = 4


def with_transfers(found: Sequence[tuple[str, Found]], sections: Sequence[Section]) -> list[Section]:
    """Return the sections, those of verifications with what their thresholds do on the sets of the others."""
    verifications = [one for kind, one in found if kind == VERIFICATION]
    return [
        _moved(section, one, verifications) if kind == VERIFICATION else section
        for (kind, one), section in zip(found, sections, strict=True)
    ]


def _moved(section: Section, one: Found, verifications: Sequence[Found]) -> Section:
    others = [other for other in verifications if other is not one and _shared(one, other)][: MOST_SETS - 1]
    if not others:
        return section
    tables = [transfer(one, other) for other in others]
    pictures = [transfer_picture(one, other, rows=table.rows) for other, table in zip(others, tables, strict=True)]
    whole = replace(
        section.whole,
        tables=[*section.whole.tables, *(table for table in tables if table.rows)],
        pictures=[*section.whole.pictures, *(picture for picture in pictures if picture is not None)],
    )
    data = [*section.data, *(table for table in tables if table.rows)] if section.data else section.data
    return replace(section, whole=whole, data=data)


def _shared(a: Found, b: Found) -> bool:
    """Whether some model has a result on both."""
    worked = ({name for name, e in found.group.evaluations.items() if e["status"] == OK} for found in (a, b))
    return bool(set.intersection(*worked))
