"""All that Kubernetes needs for one run, or for one that comes again, in the order in which it is applied."""

from __future__ import annotations

from typing import Any

import yaml

from raycluster.kubernetes.asked import Asked, check_asked, resource_name
from raycluster.kubernetes.cronjob import scheduled
from raycluster.kubernetes.files import config_map
from raycluster.kubernetes.rayjob import rayjob, start_script
from raycluster.program import Parcel

_DIGITS = 12


def manifest(parcel: Parcel, asked: Asked) -> list[dict[str, Any]]:
    """Return the objects: the files of the run, then its RayJob, or what creates one whenever it is due.

    Raises
    ------
    ClusterError
        If something is asked that Kubernetes would not take.
    """
    check_asked(asked)
    name = resource_name(asked, parcel.name, parcel.digest)
    digest = parcel.digest[:_DIGITS]
    labels = {"app.kubernetes.io/managed-by": "raycluster", "raycluster/digest": digest}
    metadata = {"name": name, "namespace": asked.namespace, "labels": labels}
    noted = {**metadata, "annotations": {"raycluster/results": parcel.results}}
    first = config_map(parcel, start_script(parcel), metadata)
    job = rayjob(parcel, asked, first["metadata"]["name"], noted)
    if asked.schedule is None:
        return [first, job]
    return [first, *scheduled(job, asked, asked.schedule, metadata)]


def to_yaml(objects: list[dict[str, Any]]) -> str:
    """Return objects as one YAML file that kubectl applies."""
    return yaml.dump_all(objects, Dumper=_Dumper, sort_keys=False, explicit_start=True, width=1000)


class _Dumper(yaml.SafeDumper):
    """Writes texts of several lines as blocks, and equal objects twice: people read it, and anchors confuse them."""

    def ignore_aliases(self, data: object) -> bool:
        del data
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _text)
