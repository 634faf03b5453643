"""The command that logs runs elsewhere: track."""

from __future__ import annotations

import json

import click

from evaljobs.errors import ExitCode


@click.command()
@click.argument("run")
@click.option(
    "--to",
    type=click.Choice(["mlflow"]),
    default="mlflow",
    show_default=True,
    expose_value=False,
    help="What to log into.",
)
@click.option("--experiment", required=True, metavar="NAME", help="Experiment, made where there is none.")
@click.option("--tracking-uri", metavar="URI", help="Server or store, such as sqlite:///mlflow.db; MLflow's default.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def track(run: str, experiment: str, tracking_uri: str | None, as_json: bool) -> ExitCode:
    """Log a finished RUN, its folder here or on S3, into MLflow: results as a whole, and each model.

    A run that was logged before is updated. Needs the extra `mlflow`.
    """
    from evaljobs.tracking import track as log

    found = log(run, experiment, tracking_uri)
    if as_json:
        click.echo(json.dumps(found._asdict(), indent=1))
    else:
        word = "updated" if found.updated else "logged"
        click.echo(f"{word} {found.models:,} models in {experiment!r} at {found.tracking_uri}: run {found.run_id}")
    return ExitCode.OK
