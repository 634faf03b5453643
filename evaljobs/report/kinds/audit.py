"""What an audit shows: the verdict first, then what it rests on."""

from __future__ import annotations

from collections.abc import Iterator

from evaljobs.report.audits import AUDIT, by_verdict, of_models
from evaljobs.report.comparing.differences import Verdict
from evaljobs.report.kinds.audit_pictures import pictures
from evaljobs.report.kinds.audit_tables import (
    duplicates_table,
    fields_table,
    findings_table,
    model_tables,
    models_table,
    suspects_table,
)
from evaljobs.report.results import OK
from evaljobs.report.section import Finding, Found, Headline, Level, Part, Section, worst_first
from evaljobs.report.text.audit_words import headline, line

_LEVELS = {"leak": Level.BAD, "suspicious": Level.WARNING, "unknown": Level.NOTE}
# Of one kind and check: models that are named, since hundreds say the same.
_NAMED = 3


def audit_section(found: Found) -> Section:
    """Return the section of the audit of one set.

    Raises
    ------
    RunFailedError
        If a picture cannot be written.
    """
    group = found.group
    several = [
        findings_table(group),
        *([models_table(found)] if of_models(group) else []),
        fields_table(found),
        duplicates_table(found),
        suspects_table(found),
    ]
    tables = [table for table in several if table.rows]
    return Section(
        job=group.job,
        kind=AUDIT,
        set=group.set,
        headline=Headline(None, headline(group), Verdict.UNKNOWN),
        choice="",
        boards={},
        chosen="",
        whole=Part(tables=tables, pictures=list(pictures(found))),
        models={name: Part(tables=list(model_tables(found, name))) for name in of_models(group)},
        findings=worst_first(_findings(found)),
        data=tables,
    )


def _findings(found: Found) -> Iterator[Finding]:
    failed = [entry for entry in found.group.evaluations.values() if entry["status"] != OK]
    if failed:
        text = f"{len(failed):,} of {len(found.group.evaluations):,} parts of the audit have no result"
        yield Finding(Level.BAD, text, "They are listed below, with the reasons.")
    said: dict[tuple[str, str], int] = {}
    for name, one in by_verdict(found.group):
        if one["verdict"] not in _LEVELS:
            continue
        kind = (one["check"], one["verdict"])
        said[kind] = said.get(kind, 0) + 1
        if name is None or said[kind] <= _NAMED:
            yield Finding(_LEVELS[one["verdict"]], line(name, one), one["advice"])
    for (check, verdict), n in said.items():
        if n > _NAMED and check in _OF_MODELS:
            yield Finding(_LEVELS[verdict], f"{verdict}: {n - _NAMED:,} more findings of {check}, in the table below")


_OF_MODELS = frozenset({"counterfactual", "by_format", "label_errors"})
