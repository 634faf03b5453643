"""Everything a run leaves in its folder, written so that a reader never meets half a file."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from evaljobs.errors import RunFailedError
from evaljobs.report.atomic import write_atomic
from evaljobs.report.comparing.anomalies import anomaly_differences
from evaljobs.report.comparing.difference_tables import DIFFERENCE_COLUMNS
from evaljobs.report.comparing.differences import run_differences
from evaljobs.report.comparing.measures import all_measure_differences
from evaljobs.report.digests import files_digest
from evaljobs.report.figures.canvas import FOLDER as FIGURES
from evaljobs.report.kinds import sections
from evaljobs.report.page import PAGE, render_page
from evaljobs.report.results import OK, Document, tag_keys
from evaljobs.report.section import Section
from evaljobs.report.tables.formats import to_csv, to_parquet
from evaljobs.report.tables.result_rows import result_columns, result_rows
from evaljobs.report.tables.sidecars import FOLDER, write_tables
from evaljobs.report.tables.summary import FOLDER as SUMMARY
from evaljobs.report.tables.summary import write_summary
from evaljobs.report.text.markdown import to_markdown_page

# What a run writes beside results.json, and the files that it names.
_ALWAYS = (
    "results.md",
    "results.csv",
    "results.parquet",
    "differences.csv",
    "differences.parquet",
    "samples.arrow",
    "thumbnails.arrow",
)

# Tables of an evaluation, by (job, set, model) and then by name.
Key = tuple[str, str, str | None]
Tables = Mapping[Key, Mapping[str, pa.Table]]


def write_results(results: Document, tables: Tables, out: Path, *, report: bool = True) -> list[Path]:
    """Write all files of a run but those of its images; report.html and then results.json come last.

    The sections of the run (`evaljobs.report.kinds`) are made once: their tables go into ``summary/``, their pictures
    into ``figures/``, and all of them into report.html. All but report.html, which says seconds and rates, and
    ``execution`` in results.json is the same, byte for byte, for two equal runs.

    Parameters
    ----------
    results
        The results document. In what is written, its evaluations name their tables and figures, relative to `out`.
    tables
        By (job, set, model): the tables of the evaluation by name. What lacks a table is left out of its figures.
    out
        An existing folder; pictures of images are taken from its ``thumbnails.arrow``, if there is one.
    report
        Whether there are sections; without them, pictures, ``summary/`` and report.html are left out.

    Returns
    -------
    list of Path
        What was written, results.json last.

    Raises
    ------
    RunFailedError
        If a file cannot be written; results.json is then the one that stood there before, if any.
    """
    before = {out / name for name in named_files(_read(out / "results.json"))}
    columns, rows = result_columns(tag_keys(results)), result_rows(results)
    made = sections(results, tables, out) if report else []
    table_files = write_tables(tables, out)
    summary = [path for section in made for path in write_summary(section.files, out, section.prefix)]
    results = _with_files(results, table_files, made, summary, out)
    written = [*summary, *(path for paths in table_files.values() for path in paths)]
    written += [path for section in made for picture in section.pictures for path in picture.files]
    written.append(write_atomic(out / "results.csv", to_csv(columns, rows)))
    written.append(write_atomic(out / "results.parquet", to_parquet(columns, rows)))
    between = [*run_differences(results), *all_measure_differences(results), *anomaly_differences(results)]
    written.append(write_atomic(out / "differences.csv", to_csv(DIFFERENCE_COLUMNS, between)))
    written.append(write_atomic(out / "differences.parquet", to_parquet(DIFFERENCE_COLUMNS, between)))
    written.append(write_atomic(out / "results.md", to_markdown_page(results, _roc_pictures(made, out)).encode()))
    if report:
        written.append(write_atomic(out / PAGE, render_page(results, made)))
    else:  # what stands there was made of other results
        (out / PAGE).unlink(missing_ok=True)
    if "inputs" in results.get("execution", ()):  # whoever runs it again may leave them as they are
        files = written_digest(results, out, report=report)
        results = {**results, "execution": {**results["execution"], "files": files}}
    written.append(write_atomic(out / "results.json", to_json(results)))
    for path in before - set(written):
        path.unlink(missing_ok=True)
    return written


def _roc_pictures(made: Sequence[Section], out: Path) -> dict[tuple[str, str], str]:
    """Return the ROC figure by (job, set), relative to the folder."""
    return {
        (section.job, section.set): picture.files.png.relative_to(out).as_posix()
        for section in made
        for picture in section.whole.pictures
        if picture.name == "roc"
    }


def named_files(results: bytes | None) -> set[str]:
    """Return the tables, figures and summaries that a ``results.json`` names: ours, and nothing else that is there.

    Parameters
    ----------
    results
        Its bytes, whatever they are; None where there is no such file.

    Returns
    -------
    set of str
        Relative to its folder.
    """
    try:
        return _named(json.loads(results or b""))
    except (ValueError, KeyError, TypeError):
        return set()


def written_digest(results: Document, out: Path, *, report: bool) -> str:
    """Return the sha256 of a document but for its ``execution``, and of all files of its run beside it.

    Parameters
    ----------
    results
        The document as it stands there, or will.
    out
        The folder.
    report
        Whether report.html is one of the files.
    """
    document = json.dumps({key: value for key, value in results.items() if key != "execution"})
    files = files_digest(out, {*_ALWAYS, *_named(results), *([PAGE] if report else [])})
    return hashlib.sha256(f"{document} {files}".encode()).hexdigest()


def _named(document: Document) -> set[str]:
    names = {str(name) for entry in document["evaluations"] for name in [*entry["tables"], *entry["figures"]]}
    names |= {str(name) for name in document.get("summary") or ()}
    ours = tuple(f"{folder}/" for folder in (FOLDER, FIGURES, SUMMARY))
    return {name for name in names if ".." not in name and name.startswith(ours)}


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None


def _with_files(
    results: Document, tables: Mapping[Key, list[Path]], made: Sequence[Section], summary: Sequence[Path], out: Path
) -> dict[str, Any]:
    """Return the document with the files of each evaluation and of the whole, as paths relative to the folder."""

    def relative(paths: Iterable[Path]) -> list[str]:
        return [path.relative_to(out).as_posix() for path in paths]

    by_place = {(section.job, section.set): section for section in made}

    def figures(entry: Document) -> list[str]:
        if entry["status"] != OK:
            return []
        section = by_place.get((entry["job"], entry["set"]))
        if section is None:
            return []
        own = section.models[entry["model"]].pictures if entry["model"] in section.models else ()
        pictures = {picture.name: picture for picture in [*section.whole.pictures, *own]}
        return relative(path for picture in pictures.values() for path in picture.files)

    entries = [
        {
            **entry,
            "tables": relative(tables.get((entry["job"], entry["set"], entry["model"]), [])),
            "figures": figures(entry),
        }
        for entry in results["evaluations"]
    ]
    return {**_before_execution(results, "summary", relative(summary)), "evaluations": entries}


def _before_execution(results: Document, key: str, value: Any) -> dict[str, Any]:
    """Return the document with one more key, ahead of ``execution``: what differs between equal runs stays last."""
    rest = {name: inner for name, inner in results.items() if name == "execution"}
    return {**{name: inner for name, inner in results.items() if name not in rest}, key: value, **rest}


def to_json(results: Document) -> bytes:
    """Return the document as UTF-8 JSON, keys in their order, with a final line feed.

    Raises
    ------
    RunFailedError
        If it holds a number that JSON has not (NaN, infinity).
    """
    try:
        text = json.dumps(results, indent=1, allow_nan=False, ensure_ascii=False)
    except ValueError as error:
        raise RunFailedError(
            f"the results are not valid JSON ({error}); undefined numbers are null. Please report this"
        ) from None
    # Lone surrogates (file names that are not UTF-8) become the escapes that JSON has for them.
    return f"{text}\n".encode(errors="backslashreplace")
