"""The command about watching runs: dashboard."""

from __future__ import annotations

import click


@click.command()
def dashboard() -> None:
    """Print the Grafana dashboard of runs on a cluster, a JSON file to import."""
    from evaljobs.watching.dashboard import dashboard_json

    click.echo(dashboard_json(), nl=False)
