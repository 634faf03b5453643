"""Everything a run leaves in its folder, written so that a reader never meets half a file."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from evaljobs.errors import RunFailedError
from evaljobs.report.atomic import write_atomic
from evaljobs.report.columns import Column
from evaljobs.report.difference_tables import DIFFERENCE_COLUMNS
from evaljobs.report.differences import run_differences
from evaljobs.report.formats import to_csv, to_parquet
from evaljobs.report.markdown import to_markdown_page
from evaljobs.report.overlay import write_roc_figures
from evaljobs.report.results import OK, Document, failed_rows, group_rows, tag_keys, verification_groups
from evaljobs.report.sidecars import FOLDER, write_tables
from evaljobs.report.tables import point_columns

# Tables of an evaluation, by (job, set, model) and then by name.
Key = tuple[str, str, str]
Tables = Mapping[Key, Mapping[str, pa.Table]]


def write_results(results: Document, tables: Tables, out: Path) -> list[Path]:
    """Write tables, ROC figures (PNG and SVG), results and differences (CSV, Parquet), results.md; results.json last.

    All but ``execution`` in results.json is the same, byte for byte, for two equal runs.

    Parameters
    ----------
    results
        The results document. In what is written, its evaluations name their tables and figures, relative to `out`.
    tables
        By (job, set, model): the tables of the evaluation by name. A verification gives ``roc`` with the float64
        columns threshold, fpr, tpr; a model without it is left out of the figure.
    out
        An existing folder.

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
    columns, rows = point_rows(results)
    figures = write_roc_figures(results, tables, out)
    pictures = {key: paths[0].name for key, paths in figures.items()}
    table_files = write_tables(tables, out)
    results = _with_files(results, table_files, figures, out)
    written = [path for paths in (*figures.values(), *table_files.values()) for path in paths]
    written.append(write_atomic(out / "results.csv", to_csv(columns, rows)))
    written.append(write_atomic(out / "results.parquet", to_parquet(columns, rows)))
    between = run_differences(results)
    written.append(write_atomic(out / "differences.csv", to_csv(DIFFERENCE_COLUMNS, between)))
    written.append(write_atomic(out / "differences.parquet", to_parquet(DIFFERENCE_COLUMNS, between)))
    written.append(write_atomic(out / "results.md", to_markdown_page(results, pictures).encode()))
    written.append(write_atomic(out / "results.json", to_json(results)))
    for path in before - set(written):
        path.unlink(missing_ok=True)
    return written


def named_files(results: bytes | None) -> set[str]:
    """Return the tables and figures that a ``results.json`` names: ours, and nothing else there is in its folder.

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
        evaluations = json.loads(results or b"")["evaluations"]
        names = {str(name) for entry in evaluations for name in [*entry["tables"], *entry["figures"]]}
    except (ValueError, KeyError, TypeError):
        return set()
    return {name for name in names if ".." not in name and name.startswith((f"{FOLDER}/", "roc"))}


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None


def _with_files(
    results: Document, tables: Mapping[Key, list[Path]], figures: Mapping[tuple[str, str], Sequence[Path]], out: Path
) -> dict[str, Any]:
    """Return the document with the files of each evaluation, as paths relative to the folder."""

    def relative(paths: Sequence[Path]) -> list[str]:
        return [path.relative_to(out).as_posix() for path in paths]

    entries = [
        {
            **entry,
            "tables": relative(tables.get((entry["job"], entry["set"], entry["model"]), [])),
            "figures": relative(figures.get((entry["job"], entry["set"]), []) if entry["status"] == OK else []),
        }
        for entry in results["evaluations"]
    ]
    return {**results, "evaluations": entries}


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


def point_rows(results: Document) -> tuple[list[Column], list[dict[str, Any]]]:
    """Return the table of operating points: a row per verification and point; one row without point where it failed."""
    rows: list[dict[str, Any]] = []
    groups = verification_groups(results)
    for group in groups:
        for row in group_rows(results, group):
            points = row["result"]["points"] if row["result"] else []
            rows += [{**row, "point": point} for point in points] or [{**row, "point": None}]
    if not groups:
        rows = [{**row, "point": None} for row in failed_rows(results)]
    return point_columns(tag_keys(results)), rows
