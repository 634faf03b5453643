"""What views look like, in the sections of the jobs that were carried out on them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from evaljobs.report.figures.view_sheet import view_sheet
from evaljobs.report.section import Found, Section

# Of the names of several sets, as a job has them.
_BETWEEN = " / "


def with_views(found: Sequence[tuple[str, Found]], sections: Sequence[Section]) -> list[Section]:
    """Return the sections, those on views with pictures of what is changed."""
    return [_seen(section, one) for (_, one), section in zip(found, sections, strict=True)]


def _seen(section: Section, one: Found) -> Section:
    names = one.group.set.split(_BETWEEN)
    sets = [entry for entry in one.results["sets"] if entry["name"] in names]
    drawn = (view_sheet(image_set, one.folder, one.prefix) for image_set in sets)
    pictures = [picture for picture in drawn if picture is not None]
    if not pictures:
        return section
    whole = replace(section.whole, pictures=[*section.whole.pictures, *pictures])
    return replace(section, whole=whole)
