"""The commands that need no configuration: score vectors that are there, compare runs that are done."""

from __future__ import annotations

import json
from typing import Any

import click

from evaljobs.cli.consoles import console, stdout
from evaljobs.cli.paths import ANY_FILE
from evaljobs.errors import ExitCode, UsageError


@click.command()
@click.argument("table", type=ANY_FILE)
@click.option("--fpr", multiple=True, metavar="RATE", help="Target false-positive rate, such as 1e-4; repeatable.")
@click.option("--embedding", default="embedding", show_default=True, help="Column of the vectors.")
@click.option("--label", default="label", show_default=True, help="Column of the labels.")
@click.option("--id", "id_", default="id", show_default=True, help="Column of the sample ids, if there is one.")
@click.option("--gallery", type=ANY_FILE, help="Compare the rows of TABLE with those of this table.")
@click.option("--pairs", type=ANY_FILE, help="Compare the pairs this CSV or Parquet file lists by id.")
@click.option("--groups", type=int, default=20, show_default=True, help="Groups for the 95% intervals; 0 for none.")
@click.option("--hardest", type=int, default=0, show_default=True, help="How many hardest pairs of each kind to list.")
@click.option("--self-check", type=int, default=0, show_default=True, help="Check on so many rows with scikit-learn.")
@click.option("--threads", type=click.IntRange(min=1), help="Threads; all cores by default.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def score(embedding: str, label: str, id_: str, fpr: tuple[str, ...], as_json: bool, **asked: Any) -> None:
    """Verify vectors you already have: TABLE is Arrow, Parquet or .npz with an embedding and a label in every row.

    Tables and lists of pairs are on this machine or on S3.

    All its pairs are compared; or its rows with those of a gallery, except of equal ids; or the pairs that a file lists
    in columns id_a, id_b and, in place of the labels, genuine.
    """
    from evaljobs.config import DEFAULT_TARGETS
    from evaljobs.progress import pair_progress
    from evaljobs.report.text.scored import render_scored
    from evaljobs.scoring import Asked, score_tables
    from evaljobs.vectors import Columns

    wanted = Asked(columns=Columns(embedding, label, id_), fpr=fpr or DEFAULT_TARGETS, **asked)
    with pair_progress(console()) as progress:
        found = score_tables(wanted, progress).to_json()
    if as_json:
        click.echo(json.dumps(found, indent=1, allow_nan=False))
    else:
        stdout().print(render_scored(found))


def _targets(_context: click.Context, _option: click.Parameter, rates: tuple[str, ...]) -> tuple[float, ...]:
    from evaljobs.config import parse_target

    try:
        return tuple(dict.fromkeys(map(parse_target, rates)))
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


@click.command()
@click.argument("run_a")
@click.argument("run_b")
@click.option("--job", help="Name of the job; by default all that both runs have.")
@click.option("--set", "set_", help="Name of the set; by default all that both runs have.")
@click.option("--fpr", multiple=True, callback=_targets, metavar="RATE", help="Target of both runs; repeatable.")
@click.option("--model", multiple=True, help="A model of RUN_A; by default those that both runs have.")
@click.option("--with", "with_", multiple=True, help="The model of RUN_B for each --model; by default of its name.")
@click.option("--best", is_flag=True, help="Compare the best model of each run, whatever their names.")
@click.option(
    "--gate",
    multiple=True,
    metavar="GATE",
    help="What models of RUN_B must hold against RUN_A, such as 'tpr@1e-4 >= baseline - 0.005'; repeatable.",
)
@click.option("--strict", is_flag=True, help="Let gates that are inconclusive fail too.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--out", metavar="FILE", help="File to write too: .csv, .parquet or .md.")
def compare(
    run_a: str,
    run_b: str,
    job: str | None,
    set_: str | None,
    fpr: tuple[float, ...],
    model: tuple[str, ...],
    with_: tuple[str, ...],
    best: bool,
    gate: tuple[str, ...],
    strict: bool,
    as_json: bool,
    out: str | None,
) -> ExitCode:
    """Say which models of RUN_B differ from those of RUN_A on the same images, with paired 95% intervals.

    A run is its folder or its results.json, here or on S3; both may be the same one. The exit code is 3 where a gate
    fails.
    """
    from evaljobs.config import parse_target
    from evaljobs.report.comparing.comparison import compare as compare_runs
    from evaljobs.report.comparing.comparison_page import render_comparison, to_document, write_comparison
    from evaljobs.report.comparing.gate import exit_code, parse_gate
    from evaljobs.report.comparing.matching import Wanted, named_pairs
    from evaljobs.report.runs.reading import read_results, same_run

    if strict and not gate:
        raise UsageError("--strict is about gates, and there is none; name one with --gate")
    gates = [parse_gate(text, parse_target) for text in gate]
    wanted = Wanted(job, set_, fpr, named_pairs(model, with_), same_run(run_a, run_b), best)
    found = compare_runs(read_results(run_a), read_results(run_b), wanted, gates)
    if out:
        write_comparison(out, found)
    if as_json:
        click.echo(json.dumps(to_document(found), indent=1, allow_nan=False))
    else:
        stdout().print(render_comparison(found))
    return exit_code(found.gates, strict=strict)
