"""The command about this machine's sensors."""

from __future__ import annotations

import json

import click


@click.command()
@click.option("--json", "as_json", is_flag=True, help="A JSON object a line, one for each device.")
def sensors(as_json: bool) -> None:
    """Show what this machine's sensors tell at this moment: what limits of guests can be watched here."""
    from raycluster.sensors.looking import look, sentence

    for seen in look():
        click.echo(json.dumps(seen.as_json()) if as_json else sentence(seen))
