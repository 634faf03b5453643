"""The page: template, style and scripts in one file, with a policy that lets nothing else act or be loaded.

What comes from names, labels and metadata is text everywhere: the template escapes every expression, the data of the
script are JSON that cannot end its element, and the script writes text nodes alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape
from plotly.offline import get_plotlyjs

from evaljobs.report.page.about import failures_table, run_config, run_entries, run_findings, runs_table, sets_table
from evaljobs.report.page.encoding import all_visible, json_for_script, script_hash
from evaljobs.report.page.grids import grid_of
from evaljobs.report.page.views import CERTAINTY, book_of
from evaljobs.report.results import Document, run_name
from evaljobs.report.section import Level, Section
from evaljobs.report.tables.escape import visible

PAGE = "report.html"

_FOLDER = Path(__file__).parent

_LEVELS = {Level.BAD: "Problem", Level.WARNING: "Warning", Level.NOTE: "Note"}


def render_page(results: Document, sections: Sequence[Section], title: str = "") -> bytes:
    """Return the page as UTF-8 HTML: it needs no other file and no network.

    Parameters
    ----------
    results
        The results document.
    sections
        What is shown of each job on each set, in their order. Pictures are read from their files.
    title
        The name of the run by default.
    """
    failures = failures_table(results)
    findings = run_findings(results, len(failures.rows))
    book = book_of(results, sections, findings)
    models = {model["name"]: number for number, model in enumerate(results["models"])}
    html = (
        _environment()
        .get_template("template.html")
        .render(
            title=title or run_name(results) or "unnamed run",
            version=metadata.version("evaljobs"),
            policy=_policy(),
            style=_own("style.css"),
            plotly=Markup(_plotly()),  # noqa: S704 - the library as it is installed
            script=_script(),
            data=Markup(json_for_script(all_visible(book.data))),  # noqa: S704 - without <, > and &
            views=book.views,
            models=results["models"],
            sets=grid_of(sets_table(results), models),
            runs=grid_of(runs_table(results), models),
            failures=grid_of(failures, models),
            findings=findings,
            entries=run_entries(results),
            config=escape(run_config(results)),
            thumbnails_left_out=book.thumbnails_left_out,
            certainty=CERTAINTY,
            levels=_LEVELS,
        )
    )
    # The template's own text is ASCII or plain letters; a lone surrogate cannot come through `visible`.
    return html.encode()


@cache
def _environment() -> Environment:
    return Environment(
        loader=FileSystemLoader(_FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_finalize,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _finalize(value: Any) -> Any:
    """Make what is not seen, or turns text around, visible in every expression of the template."""
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _own(name: str) -> Markup:
    return Markup((_FOLDER / name).read_text(encoding="utf-8"))  # noqa: S704 - a file of this package


def _script() -> Markup:
    return Markup("\n").join(_own(name) for name in ("dom.js", "charts.js", "page.js"))


@cache
def _plotly() -> str:
    # A reader of HTML takes each carriage return for a line feed: the hash is that of what it reads.
    text: str = get_plotlyjs()
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _policy() -> str:
    """Return the content security policy: these two scripts, images inside the page, nothing from anywhere.

    Styles are free, since charts set them; without a place to load from they carry nothing out.
    """
    scripts = " ".join(script_hash(text) for text in (_plotly(), str(_script())))
    return (
        f"default-src 'none'; script-src {scripts}; style-src 'unsafe-inline'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
