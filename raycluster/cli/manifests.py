"""The command that writes what Kubernetes needs."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from raycluster.cli.options import LOCAL_FILE, duration
from raycluster.errors import ClusterError

if TYPE_CHECKING:
    from raycluster.program import Parcel, Program


@click.command()
@click.argument("config", type=LOCAL_FILE)
@click.option("--image", required=True, help="Container image with evaljobs and Ray in it.")
@click.option("--cron", metavar="EXPRESSION", help="Run whenever this is due, such as '0 3 * * *'; by default once.")
@click.option("--timezone", default="UTC", show_default=True, help="Of --cron.")
@click.option("--no-overlap", is_flag=True, help="Leave a run out while the one before it has not ended.")
@click.option("--gpus", type=click.IntRange(min=0), default=0, show_default=True, help="GPUs of all workers together.")
@click.option("--workers", type=click.IntRange(min=1), help="Worker pods; by default one a GPU, or one.")
@click.option("--cpus", default="4", show_default=True, help="Cores of each worker.")
@click.option("--memory", default="16Gi", show_default=True, help="Memory of each worker.")
@click.option("--queue", metavar="NAME", help="Kueue's LocalQueue: the run waits there for its quota.")
@click.option("--priority-class", metavar="NAME", help="Kueue's WorkloadPriorityClass.")
@click.option("--namespace", default="default", show_default=True, help="Where all of it lives.")
@click.option("--name", help="Of the run; by default the configuration's.")
@click.option("--service-account", metavar="NAME", help="That the pods run as, for a role on S3; it must exist.")
@click.option("--secret", metavar="NAME", help="A Secret whose keys become the pods' environment; it must exist.")
@click.option("--deadline", callback=duration, metavar="TIME", help="Give a run up after so long, such as 4h.")
@click.option(
    "--retries",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Of a run that fails; each has a cluster of its own.",
)
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Override a key of CONFIG.")
@click.option("--shared-files", "shared", is_flag=True, help="The pods see this machine's files at their paths.")
@click.option("--upload", is_flag=True, help="Bring local images and models to the store on S3 now.")
@click.option("--out", type=LOCAL_FILE, metavar="FILE", help="File to write; by default standard output.")
def manifest(
    config: Path,
    overrides: tuple[str, ...],
    shared: bool,
    upload: bool,
    out: Path | None,
    **asked: Any,
) -> None:
    """Write what Kubernetes needs to run CONFIG, once or again and again: for KubeRay, and Kueue with --queue.

    Nothing is sent to Kubernetes: `kubectl apply -f FILE` does that.
    """
    from raycluster.kubernetes.manifest import manifest as make
    from raycluster.kubernetes.manifest import to_yaml
    from raycluster.program import Asked, find_program

    program = find_program()
    wanted = _asked(**asked)
    parcel = program.pack(config, Asked(overrides, shared))
    text = to_yaml(make(parcel, wanted))
    for note in parcel.notes:
        _say(note)
    if parcel.gates or parcel.webhook:
        _say("gates and webhooks are those of `raycluster scheduler`: Kubernetes knows nothing of them")
    _bring(program, parcel, upload=upload)
    if out is None:
        click.echo(text, nl=False)
    else:
        out.write_text(text, encoding="utf-8")
        _say(f"wrote {out}; next: kubectl apply -f {out}")
    _say(f"results will lie below {parcel.results}/, in a folder for each attempt")


def _asked(**options: Any) -> Any:
    from raycluster.kubernetes.asked import Asked, Schedule, Workers, check_asked

    cron, timezone, no_overlap = (options.pop(key) for key in ("cron", "timezone", "no_overlap"))
    deadline = options.pop("deadline")
    size = {key: options.pop(key) for key in ("gpus", "cpus", "memory")}
    asked = Asked(
        workers=Workers(count=options.pop("workers"), **size),
        deadline_s=None if deadline is None else math.ceil(deadline),
        schedule=None if cron is None else Schedule(cron, timezone, overlap=not no_overlap),
        **options,
    )
    check_asked(asked)
    return asked


def _bring(program: Program, parcel: Parcel, *, upload: bool) -> None:
    """Bring what the run needs to its place, or refuse: a manifest whose files are nowhere would fail at night."""
    if not parcel.uploads:
        return
    if upload:
        program.upload(parcel, _say)
        return
    size = sum(one.size for one in parcel.uploads)
    raise ClusterError(
        f"{len(parcel.uploads):,} local files ({size / 1e6:,.1f} MB) must be on S3 first; nothing was written. "
        "--upload brings them there now, and --shared-files says that the pods see them as they are"
    )


def _say(text: str) -> None:
    click.echo(text, err=True)
