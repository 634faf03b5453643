"""The command that looks at models: inspect."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from evaljobs.cli.consoles import console, stdout
from evaljobs.cli.paths import LOCAL_FILE
from evaljobs.errors import ExitCode, UsageError


@click.command()
@click.argument("model", nargs=-1)
@click.option("--config", type=LOCAL_FILE, help="Inspect the models of this configuration, with its settings.")
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Override a key of the configuration.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--out", type=LOCAL_FILE, help="File to write too: .csv, .parquet or .md.")
def inspect(
    model: tuple[str, ...], config: Path | None, overrides: tuple[str, ...], as_json: bool, out: Path | None
) -> ExitCode:
    """Say what each MODEL is and what a run would do with it: files, globs and s3:// uris of ONNX models.

    Nothing is run. The exit code is 1 where a model would be refused.
    """
    from evaljobs.report.text.inspected import check_inspected_path, render_inspected, write_inspected

    if out:
        check_inspected_path(out)
    found = _found(model, config, overrides)
    if out:
        write_inspected(out, found)
    if as_json:
        click.echo(json.dumps(found, indent=1, allow_nan=False))
    else:
        stdout().print(render_inspected(found))
    refused = any(entry["status"] != "ok" for entry in found["models"])
    return ExitCode.SOME_FAILED if refused else ExitCode.OK


def _found(model: tuple[str, ...], config: Path | None, overrides: tuple[str, ...]) -> dict[str, Any]:
    from evaljobs.config import load
    from evaljobs.engine.inspection import inspect_config, inspect_paths
    from evaljobs.progress import shown

    if bool(model) == bool(config) or (overrides and not config):
        raise UsageError(
            "inspect takes models or a configuration: `evaljobs inspect a.onnx 'ckpt/*.onnx'`, or "
            "`evaljobs inspect --config benchmark.yaml`, where --set may change a key"
        )
    with shown(console()) as progress:
        if config:
            return inspect_config(load(config, overrides), config, progress)
        return inspect_paths(model, progress)
