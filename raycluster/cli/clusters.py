"""The commands about clusters: up, down, status."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from raycluster.cli.options import LOCAL_FILE, address_options

if TYPE_CHECKING:
    from raycluster.cluster.local_head import Ports, Size

_FILE = Path("cluster.yaml")
_LOCAL_HELP = "A head on this machine, for this user, on loopback."


@click.command()
@click.argument("file", type=LOCAL_FILE, required=False)
@click.option("--local", is_flag=True, help=_LOCAL_HELP)
@click.option("--cpus", type=click.IntRange(min=0), help="Cores of the local head; all by default.")
@click.option("--gpus", type=click.IntRange(min=0), help="GPUs of the local head; all by default.")
@click.option("--object-store-mb", type=click.IntRange(min=80), help="Shared memory of the local head.")
@click.option("--port", type=click.IntRange(1024, 65535), default=6379, show_default=True, help="Ray's, if local.")
@click.option(
    "--dashboard-port",
    type=click.IntRange(1024, 65535),
    default=8265,
    show_default=True,
    help="Of dashboard and jobs, if local.",
)
@click.option("--yes", "-y", is_flag=True, help="Do not ask before machines are started.")
@click.option("--no-restart", is_flag=True, help="Leave Ray alone on a head that runs, and so the jobs on it.")
@click.option("--check", is_flag=True, help="Only check FILE, and start nothing.")
def up(
    file: Path | None,
    local: bool,
    cpus: int | None,
    gpus: int | None,
    object_store_mb: int | None,
    port: int,
    dashboard_port: int,
    yes: bool,
    no_restart: bool,
    check: bool,
) -> None:
    """Start the cluster that FILE describes (cluster.yaml by default), or with --local a head on this machine.

    FILE is checked before anything is started. A token is made where there is none; whoever talks to the cluster must
    have it.
    """
    from raycluster.cluster.local_head import Ports, Size

    if local:
        _only_one(file, "--local starts a head on this machine")
        _up_local(Size(cpus, gpus, object_store_mb), Ports(port, dashboard_port))
    elif (cpus, gpus, object_store_mb) != (None, None, None):
        raise click.UsageError("--cpus, --gpus and --object-store-mb are of the local head: add --local")
    else:
        _up(file or _FILE, yes=yes, restart=not no_restart, check=check)


@click.command()
@click.argument("file", type=LOCAL_FILE, required=False)
@click.option("--local", is_flag=True, help="End the head that `raycluster up --local` has started, and nothing else.")
@click.option("--yes", "-y", is_flag=True, help="Do not ask before machines are ended.")
def down(file: Path | None, local: bool, yes: bool) -> None:
    """End every machine of the cluster that FILE describes (cluster.yaml by default), or the local head."""
    from raycluster.cluster.launching import down as end
    from raycluster.cluster.local_head import stop_head

    if not local:
        end(file or _FILE, yes=yes)
        return
    _only_one(file, "--local ends the head on this machine")
    ended = stop_head()
    click.echo("no head of yours runs on this machine" if ended is None else f"ended the head at {ended.dashboard}")


@click.command()
@address_options
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def status(address: str | None, insecure: bool, as_json: bool) -> None:
    """Show nodes and their slots, jobs and how far they are, and what waits for what."""
    from rich.console import Console

    from raycluster.cluster.looking import status as look
    from raycluster.cluster.showing import render_status

    found = look(address, insecure=insecure)
    if as_json:
        click.echo(json.dumps(found.as_json(), indent=1))
    else:
        Console(soft_wrap=not sys.stdout.isatty()).print(render_status(found))


def _only_one(file: Path | None, what: str) -> None:
    if file is not None:
        raise click.UsageError(f"{what}; found {file} too, which describes another cluster")


def _up_local(size: Size, ports: Ports) -> None:
    from raycluster.access.tokens import find_token
    from raycluster.cluster.local_head import start_head

    started = start_head(size, ports)
    head, token = started.head, find_token()
    click.echo("A head runs on this machine already:" if started.already else "A head runs on this machine:")
    click.echo(f"  dashboard and jobs  {head.dashboard}")
    click.echo(f"  token               {token.source if token else 'none'}")
    click.echo(f"  log                 {head.folder}/head.log")
    click.echo("Next:  raycluster submit CONFIG\nLater: raycluster down --local")


def _up(file: Path, *, yes: bool, restart: bool, check: bool) -> None:
    from raycluster.cluster.checking import check_cluster_file
    from raycluster.cluster.launching import launch

    checked = check_cluster_file(file)
    for remark in checked.remarks:
        click.echo(f"{file}: {remark}", err=True)
    if check:
        click.echo(f"{file}: nothing found that is wrong; nothing was started")
        return
    launch(checked, yes=yes, restart=restart)
    click.echo(
        f"The cluster {checked.name} is up. Its dashboard listens on the head alone; leave a tunnel to it open:\n"
        f"  ray dashboard {file}\n"
        "Next:  raycluster submit CONFIG --address http://127.0.0.1:8265\n"
        f"Later: raycluster down {file}"
    )
