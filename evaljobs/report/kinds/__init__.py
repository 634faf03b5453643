"""What each kind of job shows: a function from what was found to its section, by the kind's name."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pyarrow as pa

from evaljobs.report.audits import AUDIT
from evaljobs.report.kinds.anomaly import anomaly_section
from evaljobs.report.kinds.audit import audit_section
from evaljobs.report.kinds.classification import classification_section
from evaljobs.report.kinds.explain import explain_section
from evaljobs.report.kinds.generic import generic_section
from evaljobs.report.kinds.map import map_section
from evaljobs.report.kinds.transfers import with_transfers
from evaljobs.report.kinds.uncertainty import uncertainty_section
from evaljobs.report.kinds.verification import verification_section
from evaljobs.report.kinds.views import with_views
from evaljobs.report.results import ANOMALY, CLASSIFICATION, UNCERTAINTY, VERIFICATION, Document, Group
from evaljobs.report.section import Found, Section
from evaljobs.report.tables.naming import file_name

# Tables of an evaluation, by (job, set, model) and then by name; of a job without a model, the model is None.
Tables = Mapping[tuple[str, str, str | None], Mapping[str, pa.Table]]

KINDS: dict[str, Callable[[Found], Section]] = {
    VERIFICATION: verification_section,
    CLASSIFICATION: classification_section,
    "map": map_section,
    "explain": explain_section,
    UNCERTAINTY: uncertainty_section,
    AUDIT: audit_section,
    ANOMALY: anomaly_section,
}


def sections(results: Document, tables: Tables, folder: Path) -> list[Section]:
    """Return a section for each job on each set, in the order of the results; pictures are written on the way.

    Parameters
    ----------
    results
        The results document.
    tables
        The tables of its evaluations.
    folder
        An existing folder: pictures go into its folder ``figures``, thumbnails are read from it.

    Raises
    ------
    RunFailedError
        If a picture cannot be written.
    """
    found = list(founds(results, tables, folder))
    made = [replace(KINDS.get(kind, generic_section(kind))(one), prefix=one.prefix) for kind, one in found]
    return with_views(found, with_transfers(found, made))


def founds(results: Document, tables: Tables, folder: Path) -> Iterator[tuple[str, Found]]:
    """Yield the kind and what was found of each job on each set."""
    groups: dict[tuple[str, str, str], Group] = {}
    for entry in results["evaluations"]:
        key = (entry["kind"], entry["job"], entry["set"])
        groups.setdefault(key, Group(*key[1:], {})).evaluations[entry["model"]] = entry
    for (kind, job, image_set), group in groups.items():
        of_models = {
            name: tables[job, image_set, name] for name in group.evaluations if (job, image_set, name) in tables
        }
        yield kind, Found(results, group, of_models, folder, _prefix(kind, group, list(groups)))


def _prefix(kind: str, group: Group, groups: list[tuple[str, str, str]]) -> str:
    """Return what the files of a section begin with: nothing for the only verification, and where there is one job."""
    alone = [key for key in groups if key[0] == VERIFICATION] if kind == VERIFICATION else groups
    return "" if len(alone) == 1 else f"{file_name(group.job)}-{file_name(group.set)}-"
