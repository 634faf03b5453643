"""The commands that look after a store: what is in it, whether it is whole, what is to go."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from evaljobs.cli.consoles import console, stdout
from evaljobs.cli.paths import LOCAL_FILE
from evaljobs.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from evaljobs.store import Store

F = TypeVar("F", bound=Callable[..., Any])

_BYTES = {"": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
_BYTES |= {"KIB": 2**10, "MIB": 2**20, "GIB": 2**30, "TIB": 2**40}
_SECONDS = {"h": 3600, "d": 86400, "w": 7 * 86400}


def store_options(command: F) -> F:
    """Add what every command on a store takes."""
    command = click.argument("store", required=False)(command)
    command = click.option("--config", type=LOCAL_FILE, help="Take the store of this configuration.")(command)
    return click.option("--json", "as_json", is_flag=True, help="Print JSON.")(command)


@click.group()
def store() -> None:
    """Look after a store: what is in it, whether it is whole, what is to go."""


@store.command()
@store_options
def ls(store: str | None, config: Path | None, as_json: bool) -> None:
    """List what is in STORE, a folder or s3:// uri; by default the user's own store."""
    from evaljobs.report.text.stored import render_usage
    from evaljobs.store.usage import usage_of

    found = usage_of(_store(store, config)).as_json()
    if as_json:
        click.echo(json.dumps(found, indent=1))
    else:
        stdout().print(render_usage(found))


@store.command()
@store_options
@click.option("--delete", is_flag=True, help="Delete what is damaged; the next run that needs it makes it again.")
def verify(store: str | None, config: Path | None, as_json: bool, delete: bool) -> ExitCode:
    """Read every file in STORE, a folder or s3:// uri, and check it; by default the user's own store."""
    from evaljobs.progress import shown
    from evaljobs.report.text.stored import verified_lines
    from evaljobs.store.verifying import verify as verify_store

    opened = _store(store, config)
    with shown(console()) as progress:
        found = verify_store(
            opened,
            delete=delete,
            start=lambda size: progress.start("checking", size),
            advance=lambda size: progress.advance("checking", size),
        )
    _print(found.as_json(), verified_lines, as_json=as_json)
    return ExitCode.OK if found.whole else ExitCode.SOME_FAILED


def _parsed(pattern: str, units: dict[str, int], example: str) -> Callable[..., float | None]:
    """Return a callback that reads a number with a unit."""

    def parse(_context: click.Context, _option: click.Parameter, text: str | None) -> float | None:
        if text is None:
            return None
        found = re.fullmatch(pattern, text.strip(), re.IGNORECASE)
        unit = found[2].upper() if found and found[2].upper() in units else found[2].lower() if found else ""
        if found is None or unit not in units:
            raise click.BadParameter(f"found {text!r}, expected a number with a unit such as {example}")
        return float(found[1]) * units[unit]

    return parse


_NUMBER = r"(\d+(?:\.\d+)?)\s*([a-z]*)"


@store.command()
@store_options
@click.option(
    "--keep-bytes",
    metavar="SIZE",
    callback=_parsed(_NUMBER, _BYTES, "50GB or 20GiB"),
    help="Delete what was used least recently until the store takes at most this, such as 50GB.",
)
@click.option(
    "--older-than",
    metavar="AGE",
    callback=_parsed(_NUMBER, _SECONDS, "12h, 30d or 8w"),
    help="Delete what was last used longer ago than this, such as 30d.",
)
@click.option(
    "--submitted",
    is_flag=True,
    help="With --older-than: delete what `raycluster submit` has sent and the results in runs/, too.",
)
@click.option("--model", multiple=True, metavar="DIGEST", help="Delete what belongs to this model file; repeatable.")
@click.option(
    "--unused-by",
    multiple=True,
    type=LOCAL_FILE,
    metavar="CONFIG",
    help="Delete what belongs to none of the models of this configuration; repeatable.",
)
@click.option("--dry-run", is_flag=True, help="Say what would be deleted, and delete nothing.")
def gc(store: str | None, config: Path | None, as_json: bool, dry_run: bool, **asked: Any) -> None:
    """Trim STORE, a folder or s3:// uri; by default the user's own store.

    Tables and results are deleted, and computed again if a run needs them. What a run at work uses stays.
    """
    from evaljobs.progress import shown
    from evaljobs.report.text.stored import trimmed_lines
    from evaljobs.store.collecting import Tell, collect

    wish = _wish(**asked)
    opened = _store(store, config)
    with shown(console()) as progress:
        tell = Tell(lambda n: progress.start("deleting", n), lambda n: progress.advance("deleting", n))
        found = collect(opened, wish(opened), tell, dry_run=dry_run)
    _print(found.as_json(), trimmed_lines, as_json=as_json)


def _wish(
    keep_bytes: float | None,
    older_than: float | None,
    submitted: bool,
    model: tuple[str, ...],
    unused_by: tuple[Path, ...],
) -> Callable[[Store], Any]:
    """Return what is to go, as soon as the store is known."""
    from evaljobs.store.trimming import Wish

    given = [keep_bytes is not None, older_than is not None, bool(model), bool(unused_by)]
    if sum(given) != 1:
        raise UsageError(
            f"found {sum(given)} of --keep-bytes, --older-than, --model and --unused-by; expected one of them, which "
            "says what is to go. Nothing was deleted"
        )

    if submitted and older_than is None:
        raise UsageError(
            "found --submitted without --older-than, which says how long what was sent is kept. Nothing was deleted"
        )

    def wish(opened: Store) -> Wish:
        if not unused_by:
            return Wish(None if keep_bytes is None else int(keep_bytes), older_than, model, submitted=submitted)
        from evaljobs.config import load
        from evaljobs.engine.prepare import models_of

        configs = [(load(path), path) for path in unused_by]
        return Wish(wanted=frozenset[str]().union(*(models_of(config, path, opened) for config, path in configs)))

    return wish


def _store(location: str | None, config: Path | None) -> Store:
    """Return a store that is there: the one that is named, or a configuration's, or the user's own."""
    from evaljobs.config import load
    from evaljobs.engine.prepare import store_location
    from evaljobs.remote import locate
    from evaljobs.store import Store

    if location is not None and config is not None:
        raise UsageError(f"found both a store ({location}) and --config ({config}); give one of them")
    if location is not None:
        if Path(location).is_file():
            raise UsageError(f"{location} is a file; expected a store, which is a folder or an s3:// uri")
        return Store(locate(location, Path.cwd())).there()
    if config is not None:
        return Store(store_location(load(config), config.resolve().parent)).there()
    return Store(store_location(None, Path.cwd())).there()


def _print(found: dict[str, Any], lines: Callable[[dict[str, Any]], list[str]], *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(found, indent=1))
    else:
        for line in lines(found):
            click.echo(line)
