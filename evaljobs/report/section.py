"""What a kind of job gives to people: one section of the report for each job and set, made of tables and pictures.

The same section becomes a part of report.html, the files in ``summary/`` and the pictures in ``figures/``.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from evaljobs.report.comparing.differences import Verdict
from evaljobs.report.figures.canvas import Written
from evaljobs.report.results import Document, Group
from evaljobs.report.tables.columns import Column, Row, used_columns


class Found(NamedTuple):
    """What a section is made of: the evaluations of one job on one set.

    Attributes
    ----------
    results
        The results document.
    group
        The evaluations, by model.
    tables
        By model and name: the tables of its evaluation.
    folder
        The run's folder, where pictures are written.
    prefix
        Of file names: empty where the run has one group, else ``JOB-SET-``.
    """

    results: Document
    group: Group
    tables: Mapping[str, Mapping[str, pa.Table]]
    folder: Path
    prefix: str = ""


class Fact(NamedTuple):
    """A number beside a headline: ``text`` for people, ``exact`` with all its digits where it is worth copying."""

    label: str
    text: str
    exact: str = ""


class Headline(NamedTuple):
    """Which model is best, by how much, and whether that is certain; ``best`` is None where no model has a number."""

    best: str | None
    sentence: str
    verdict: Verdict
    facts: Sequence[Fact] = ()


class Level(enum.StrEnum):
    """How much a finding matters."""

    BAD = "bad"
    WARNING = "warning"
    NOTE = "note"


class Finding(NamedTuple):
    """Something that people must know beside the numbers: what was found, and what to do; ``advice`` may be empty."""

    level: Level
    text: str
    advice: str = ""


def worst_first(findings: Iterable[Finding]) -> list[Finding]:
    """Return findings in the order of their levels."""
    order = list(Level)
    return sorted(findings, key=lambda finding: order.index(finding.level))


@dataclass(frozen=True)
class Table:
    """A table as data: every format follows from it. ``name`` is unique in its section, and a part of file names."""

    name: str
    title: str
    columns: Sequence[Column]
    rows: Sequence[Row]
    notes: Sequence[str] = ()

    @cached_property
    def shown(self) -> list[Column]:
        """The columns for people: those that say something in some row. Files for machines have all."""
        return used_columns(self.columns, self.rows) if self.rows else list(self.columns)


@dataclass(frozen=True)
class Picture:
    """A figure that is written: ``alt`` says in a sentence what can be seen, ``caption`` what a reader must know."""

    name: str
    title: str
    alt: str
    files: Written
    caption: str = ""


@dataclass(frozen=True)
class Chart:
    """A figure that the page draws itself, to point at: curves or bars by name. `data` is JSON of its kind.

    ``roc``: ``{curves: [{name, fpr: [], tpr: [], at: []}], n_impostor, targets: []}``, best first, ``at`` being the TPR
    at each target; ``front``: ``{points: [{name, x, y, low, high, on_front}], x_title, y_title, log_x}``; ``scores``:
    ``{edges: [], genuine: [], impostor: [], thresholds: {text: score}}``; ``lines``: ``{lines: [{name, x: [], y: [],
    low: [], high: []}], x_title, y_title}``, with ``ticks``, the texts at x = 0, 1, 2, ..., where x is no number.
    """

    name: str
    title: str
    alt: str
    kind: str
    data: Mapping[str, Any]


@dataclass(frozen=True)
class Part:
    """What is shown of one model, or of a section as a whole.

    Attributes
    ----------
    tables, pictures, charts
        In their order. The page draws itself what there is a chart or `pairs` of: pictures of a chart's name, or of a
        part with pairs, are files alone.
    pairs
        Pairs of images side by side, as `evaljobs.report.figures.contact_sheet.hardest_rows` gives them.
    findings
        What must be known of this model.
    """

    tables: Sequence[Table] = ()
    pictures: Sequence[Picture] = ()
    charts: Sequence[Chart] = ()
    pairs: Sequence[Mapping[str, Any]] = ()
    findings: Sequence[Finding] = ()


@dataclass(frozen=True)
class Section:
    """All that is shown of one job on one set.

    Attributes
    ----------
    job, kind, set
        As in the results document.
    headline
        The first thing that is read.
    choice
        What can be chosen, such as ``FPR``.
    boards
        The leaderboard, best first, by what is chosen, such as ``1e-4``; rows have ``model`` (the model's entry).
    chosen
        The board that is shown first.
    whole
        Factor tables, thresholds, fronts; figures of all models.
    models
        By name: of each model.
    findings
        Warnings, worst first.
    headlines
        By what is chosen, where the headline depends on it.
    data
        The tables that are written into ``summary/``: the same bytes for two equal runs, so without rates and seconds.
        Left out: the chosen board and the tables of the whole.
    prefix
        Of file names, as of what was found.
    """

    job: str
    kind: str
    set: str
    headline: Headline
    choice: str
    boards: Mapping[str, Table]
    chosen: str
    whole: Part = field(default_factory=Part)
    models: Mapping[str, Part] = field(default_factory=dict)
    findings: Sequence[Finding] = ()
    headlines: Mapping[str, Headline] = field(default_factory=dict)
    data: Sequence[Table] = ()
    prefix: str = ""

    @property
    def files(self) -> list[Table]:
        """The tables that are written."""
        if self.data:
            return list(self.data)
        return [*(self.boards[text] for text in [self.chosen] if text in self.boards), *self.whole.tables]

    @property
    def pictures(self) -> list[Picture]:
        """All pictures, those of single models last."""
        return [*self.whole.pictures, *(picture for part in self.models.values() for picture in part.pictures)]
