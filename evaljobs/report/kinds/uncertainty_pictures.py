"""The pictures of uncertainty: distributions, risk and coverage, ROC of foreign images, the least certain images."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from evaljobs.report.comparing.uncertainties import set_names, title_of
from evaljobs.report.figures.found import picture_stem
from evaljobs.report.figures.uncertain_sheet import uncertain_sheets
from evaljobs.report.figures.uncertainty import (
    MOST_PANELS,
    Curve,
    Frame,
    Panel,
    curves_figure,
    distributions_figure,
)
from evaljobs.report.section import Found, Picture
from evaljobs.report.tables.naming import file_name


def pictures(found: Found, model: str) -> Iterator[Picture]:
    """Draw what can be drawn of a model.

    Raises
    ------
    RunFailedError
        If a picture cannot be written.
    """
    tables = found.tables.get(model, {})
    measure = found.group.evaluations[model]["result"]["measure"]
    for made in (
        _distributions(found, model, tables.get("histogram")),
        _coverage(found, model, tables.get("risk_coverage"), measure),
        _roc(found, model, tables.get("roc")),
    ):
        if made is not None:
            yield made
    yield from uncertain_sheets(found, model, measure, set_names(found.group))


def _distributions(found: Found, model: str, table: pa.Table | None) -> Picture | None:
    if table is None or not table.num_rows:
        return None
    names, measures = set_names(found.group), found.group.evaluations[model]["result"]["measures"]
    panels = [
        _panel(table.filter(pc.equal(table["measure"], name)), title_of(name), names, one["threshold"]["value"])
        for name, one in list(measures.items())[:MOST_PANELS]
    ]
    name = f"uncertainty-{file_name(model)}"
    return Picture(
        name=name,
        title=f"Uncertainty: {model}",
        alt=f"How many images of each set have which uncertainty, by {len(panels)} measures of {model}",
        files=distributions_figure(panels, picture_stem(found, name), model),
        caption="Counts are logarithmic. At the right of the threshold images are unsure: those that a model was made "
        "for should be few there, foreign ones many.",
    )


def _panel(table: pa.Table, title: str, names: dict[str, str], threshold: float | None) -> Panel:
    counts = {}
    for role in pc.unique(table["role"]).to_pylist():
        own = table.filter(pc.equal(table["role"], role))
        counts[names.get(role, role)] = own["n_samples"].to_numpy()
        edges = np.append(own["from"].to_numpy(), own["to"].to_numpy()[-1:])
    return Panel(title, edges, counts, threshold)


def _coverage(found: Found, model: str, table: pa.Table | None, measure: str) -> Picture | None:
    names = set_names(found.group)
    own = None if table is None else table.filter(pc.equal(table["measure"], measure))
    if own is None or not own.num_rows:
        return None
    curves = {}
    for role in pc.unique(own["role"]).to_pylist():
        points = own.filter(pc.equal(own["role"], role))
        curves[names.get(role, role)] = Curve(points["coverage"].to_numpy(), points["risk"].to_numpy())
    name = f"risk-coverage-{file_name(model)}"
    frame = Frame(
        "coverage (share of the images that is kept, surest first)", "risk (share of them that is wrong)", False
    )
    return Picture(
        name=name,
        title=f"Risk and coverage: {model}",
        alt=f"Share of wrong images among those that are kept, as {model} keeps more of them",
        files=curves_figure(curves, picture_stem(found, name), frame, title_of(measure)),
        caption="A curve that stays low until the right end: what is wrong is found among the unsure.",
    )


def _roc(found: Found, model: str, table: pa.Table | None) -> Picture | None:
    if table is None or not table.num_rows:
        return None
    names = set_names(found.group)
    roles = pc.unique(table["role"]).to_pylist()
    curves = {}
    for measure in pc.unique(table["measure"]).to_pylist():
        for role in roles:
            own = table.filter(pc.and_(pc.equal(table["measure"], measure), pc.equal(table["role"], role)))
            title = title_of(measure) if len(roles) == 1 else f"{title_of(measure)}, {names.get(role, role)}"
            curves[title] = Curve(np.append(0.0, own["fpr"].to_numpy()), np.append(0.0, own["tpr"].to_numpy()))
    name = f"foreign-{file_name(model)}"
    frame = Frame("in-distribution images that are flagged (FPR)", "foreign images that are flagged (TPR)")
    return Picture(
        name=name,
        title=f"Foreign images: {model}",
        alt=f"ROC of foreign against in-distribution images by {len(curves)} measures of {model}",
        files=curves_figure(curves, picture_stem(found, name), frame, model),
    )
