"""Where things lie in a store that a cluster shares: what is sent there, and the results of runs. Pure."""

from __future__ import annotations

import re

from evaljobs.config import Config
from evaljobs.remote import is_remote
from evaljobs.shipping.inputs import Inputs

_SHOWN = 3
# What a run may be called, and a folder should not be.
_ODD = re.compile(r"[^A-Za-z0-9_.-]+")


def uploads_folder(store: str) -> str:
    """Return the folder for what is sent."""
    return f"{store}/uploads"


def runs_folder(store: str, name: str, digest: str) -> str:
    """Return the folder for the results of the runs of one parcel."""
    return f"{store}/runs/{_ODD.sub('-', name).strip('-.') or 'run'}-{digest[:12]}"


def local_things(config: Config, inputs: Inputs, store: str) -> list[str]:
    """Return, a line each, what is on this machine alone and would have to be brought to a cluster."""
    lines = []
    if not is_remote(store):
        named = "" if config.store else ", since the configuration names none"
        lines.append(f"the store {store}{named}")
    sets = [one for one in inputs.sets if one.is_local]
    lines += [f"images of the set {one.name!r}: {one.location} ({one.listing.num_rows:,} images)" for one in sets]
    models = [str(one.candidate.file) for one in inputs.models if one.is_local]
    if models:
        more = f" and {len(models) - _SHOWN:,} more" if len(models) > _SHOWN else ""
        lines.append(f"{len(models):,} model(s): {', '.join(models[:_SHOWN])}{more}")
    return lines


def refusal(things: list[str]) -> str:
    """Say what a cluster would not find, and what can be done."""
    listed = "\n".join(f"  {thing}" for thing in things)
    return (
        f"on this machine alone, where the cluster does not find it:\n{listed}\nNothing was sent. Either name a store "
        "that both see (`store: s3://bucket/prefix`): then what is here is uploaded into it, once. Or, where the "
        "cluster's machines see the same files at the same paths, say --shared-files"
    )
