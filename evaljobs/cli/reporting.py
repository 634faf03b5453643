"""The command that makes the page again: of a run that is finished, or of several together."""

from __future__ import annotations

import click


@click.command()
@click.argument("run", nargs=-1, required=True)
@click.option("--out", metavar="FILE", help="File to write; by default report.html in the run's folder, or here.")
@click.option("--name", multiple=True, help="What a run is called beside others; once for each RUN.")
def report(run: tuple[str, ...], out: str | None, name: tuple[str, ...]) -> None:
    """Make report.html of a RUN that is finished again, or one page of several runs together.

    A run is its folder or its results.json, here or on S3. Of several, models of equal name and file are one, and runs
    on equal images can be told apart by paired intervals. Nothing else is changed.
    """
    from evaljobs.report.runs.remaking import remake

    click.echo(f"Report: {remake(run, name, out)}")
