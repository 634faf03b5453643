"""What the template shows of each section, and what the script builds when somebody asks for it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import Any, NamedTuple

from evaljobs.report.comparing.differences import Verdict
from evaljobs.report.page.about import Entry, model_entries
from evaljobs.report.page.grids import Grid, Shared, grid_of
from evaljobs.report.page.images import Album, room_for
from evaljobs.report.results import Document
from evaljobs.report.section import Chart, Finding, Headline, Part, Picture, Section, Table, worst_first
from evaljobs.report.tables.levels import natural_texts
from evaljobs.report.tables.summary import FOLDER as SUMMARY

# A table of the page is read; who calculates takes the file.
MOST_ROWS, MOST_PAIRS, MOST_VALUES = 300, 12, 60

# How certain a headline is, in words.
CERTAINTY = {Verdict.REAL: "certain", Verdict.NOT_CERTAIN: "not certain", Verdict.UNKNOWN: "certainty unknown"}


class Shown(NamedTuple):
    """A picture in the page; ``uri`` is None where there is no room for it, and its file is named instead."""

    picture: Picture
    uri: str | None
    file: str


class Filter(NamedTuple):
    """A tag by which a leaderboard can be filtered, and its values."""

    tag: str
    values: Sequence[str]


class View(NamedTuple):
    """A section as the template shows it."""

    id: str
    title: str
    kind: str
    headline: Headline
    n_models: int
    choice: str
    choices: Sequence[str]
    chosen: str
    board: Grid | None
    filters: Sequence[Filter]
    grids: Sequence[Grid]
    charts: Sequence[Chart]
    pictures: Sequence[Shown]
    findings: Sequence[Finding]


class Book(NamedTuple):
    """The sections as the template shows them, the data of the script, and how many thumbnails had no room."""

    views: Sequence[View]
    data: Mapping[str, Any]
    thumbnails_left_out: int


def book_of(results: Document, sections: Sequence[Section], findings: Sequence[Finding]) -> Book:
    """Return all sections, and what the script needs: models, thumbnails, leaderboards, charts, panels of models.

    Parameters
    ----------
    results, sections
        The results document, and what is shown of it.
    findings
        What must be known of the run as a whole: it stands in the first section, which is read first.
    """
    room = room_for(len(results["evaluations"]))
    making = _Making(
        results["models"],
        {model["name"]: number for number, model in enumerate(results["models"])},
        Album(room.figures),
        Album(room.thumbnails),
        Shared(),
        results.get("summary") or (),
    )
    views, found = [], []
    for number, section in enumerate(sections):
        boards = {text: grid_of(table, making.numbers) for text, table in section.boards.items()}
        known = [*section.findings, *(() if number else findings)]
        views.append(_view(f"s{number}", section, boards, making)._replace(findings=worst_first(known)))
        found.append(_data(section, boards, making))
    data = {
        "models": [_model(model) for model in results["models"]],
        "sections": found,
        "shared": making.shared.values,
        "thumbnails": making.thumbnails.uris,
    }
    return Book(views, data, making.thumbnails.left_out)


class _Making(NamedTuple):
    """What all sections share: the models, their numbers by name, the room for images, and what is said often."""

    models: Sequence[Document]
    numbers: Mapping[str, int]
    figures: Album
    thumbnails: Album
    shared: Shared
    summary: Sequence[str]

    def file_of(self, section: Section, table: Table) -> str | None:
        """Return the file of a table in the run's folder; None where there is none, as of joined runs."""
        name = f"{SUMMARY}/{section.prefix}{table.name}.csv"
        return name if name in self.summary else None


def _view(name: str, section: Section, boards: Mapping[str, Grid], making: _Making) -> View:
    board = boards.get(section.chosen)
    drawn = {chart.name for chart in section.whole.charts}
    shown = [making.numbers[name] for name in section.models if name in making.numbers]
    numbers = shown if board is None else [line.model for line in board.lines if line.model is not None]
    return View(
        id=name,
        title=f"{section.job} on {section.set}",
        kind=section.kind,
        headline=section.headlines.get(section.chosen, section.headline),
        n_models=len(numbers),
        choice=section.choice,
        choices=list(boards),
        chosen=section.chosen,
        board=board,
        filters=_filters([making.models[number] for number in numbers]),
        grids=[
            grid_of(table, making.numbers, MOST_ROWS, making.file_of(section, table)) for table in section.whole.tables
        ],
        charts=section.whole.charts,
        pictures=[_shown(picture, making.figures) for picture in section.whole.pictures if picture.name not in drawn],
        findings=(),
    )


def _filters(models: Sequence[Document]) -> list[Filter]:
    """Return the tags that tell some models from others, but not each from each."""
    filters = []
    for tag in dict.fromkeys(key for model in models for key in model.get("tags") or {}):
        values = {str(model["tags"][tag]) for model in models if tag in (model.get("tags") or {})}
        # A model without the tag is told from the others by that, too.
        if len(values) <= MOST_VALUES and len(values) < len(models) and not _constant(tag, models):
            filters.append(Filter(tag, natural_texts(values)))
    return filters


def _constant(tag: str, models: Sequence[Document]) -> bool:
    return len({(model.get("tags") or {}).get(tag) for model in models}) == 1


def _shown(picture: Picture, album: Album) -> Shown:
    file = f"{picture.files.png.parent.name}/{picture.files.png.name}"
    return Shown(picture, album.add_file(picture.files.png), file)


def _model(model: Document) -> dict[str, Any]:
    tags = {str(key): str(value) for key, value in (model.get("tags") or {}).items()}
    return {"name": model["name"], "tags": tags, "entries": [_entry(entry) for entry in model_entries(model)]}


def _entry(entry: Entry) -> list[Any]:
    return [entry.name, entry.text, int(entry.copied)]


def _data(section: Section, boards: Mapping[str, Grid], making: _Making) -> dict[str, Any]:
    headlines = section.headlines or {section.chosen: section.headline}
    return {
        "title": f"{section.job} on {section.set}",
        "chosen": section.chosen,
        "headlines": {text: _headline(headline) for text, headline in headlines.items()},
        "boards": {text: grid.as_json(making.shared) for text, grid in boards.items()},
        "charts": [_chart(chart) for chart in section.whole.charts],
        # Best first: theirs are the thumbnails for which there is room.
        "panels": {
            making.numbers[name]: _panel(part, making)
            for name, part in section.models.items()
            if name in making.numbers
        },
    }


def _headline(headline: Headline) -> dict[str, Any]:
    facts = [[fact.label, fact.text, fact.exact] for fact in headline.facts]
    return {
        "best": headline.best,
        "sentence": headline.sentence,
        "verdict": str(headline.verdict),
        "certainty": CERTAINTY[headline.verdict],
        "facts": facts,
    }


def _chart(chart: Chart) -> dict[str, Any]:
    data = dict(chart.data)
    if chart.kind == "scores":  # bins are equally wide: the ends say it all
        data["edges"] = [data["edges"][0], data["edges"][-1]]
    return {"name": chart.name, "title": chart.title, "alt": chart.alt, "kind": chart.kind, "data": data}


def _panel(part: Part, making: _Making) -> dict[str, Any]:
    pairs = [pair for genuine in (False, True) for pair in _first(part.pairs, genuine=genuine)]
    return {
        "grids": [grid_of(table, making.numbers, MOST_ROWS).as_json(making.shared) for table in part.tables],
        "charts": [_chart(chart) for chart in part.charts],
        "pictures": [] if part.pairs else [_picture(picture, making.figures) for picture in part.pictures],
        "findings": [[str(finding.level), finding.text, finding.advice] for finding in part.findings],
        "pairs": [_pair(pair, making.thumbnails) for pair in pairs],
    }


def _picture(picture: Picture, album: Album) -> list[str | None]:
    shown = _shown(picture, album)
    return [picture.title, shown.uri, picture.alt, picture.caption, shown.file]


def _first(pairs: Iterable[Mapping[str, Any]], *, genuine: bool) -> Iterable[Mapping[str, Any]]:
    return islice((pair for pair in pairs if bool(pair["genuine"]) is genuine), MOST_PAIRS)


def _pair(pair: Mapping[str, Any], thumbnails: Album) -> list[Any]:
    sides = [[str(pair[f"id_{s}"]), str(pair[f"label_{s}"]), thumbnails.add(pair.get(f"thumb_{s}"))] for s in "ab"]
    return [int(bool(pair["genuine"])), float(pair["score"]), *sides]
