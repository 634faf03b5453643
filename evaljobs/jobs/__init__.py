"""Jobs: evaluations over model outputs. A new one is a module here and a line below."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from evaljobs.config import OWN_COLUMN, Config, JobConfig, Set, lineage, validate
from evaljobs.errors import UsageError
from evaljobs.jobs.anomaly import AnomalyJob
from evaljobs.jobs.audit import AuditJob
from evaljobs.jobs.classification import ClassificationJob
from evaljobs.jobs.explain import ExplainJob
from evaljobs.jobs.job import Job
from evaljobs.jobs.map import MapJob
from evaljobs.jobs.order import connect
from evaljobs.jobs.uncertainty import UncertaintyJob
from evaljobs.jobs.verification import VerificationJob
from evaljobs.jobs.views import sets_with_views

KINDS: Final[dict[str, type[Job]]] = {
    "verification": VerificationJob,
    "classification": ClassificationJob,
    "map": MapJob,
    "explain": ExplainJob,
    "uncertainty": UncertaintyJob,
    "audit": AuditJob,
    "anomaly": AnomalyJob,
}
_DEFAULT = (JobConfig(name="verification"), JobConfig(name="map", kind="map"))
# Keys that name sets in place of `set`.
_SIDES = frozenset({"probe", "gallery"})


def build_jobs(config: Config) -> tuple[Job, ...]:
    """Return the jobs of a configuration.

    By default one verification on the set main, or on the only set, and a map of the best model.

    Raises
    ------
    UsageError
        If a job's kind, keys or sets are unknown, or the job that it comes after; or if it needs models, and there are
        none.
    """
    entries = config.jobs or _DEFAULT
    jobs = tuple(_build(entry, config) for entry in entries)
    connect(jobs, entries)
    sets = sets_with_views(config, jobs)
    for job in jobs:
        _refuse_unkept(job, sets)
        if not config.models and job.of_images() is None:
            raise UsageError(
                f"the file names no models, and job {job.name!r} evaluates them; expected `models`, files or globs"
            )
    return jobs


def set_names(jobs: Iterable[Job], *, models: bool = True) -> set[str]:
    """Return the names of all sets that jobs need.

    Parameters
    ----------
    models
        Whether there are models; without any, the parts alone are carried out that need none.
    """
    return {name for job in jobs for part in _parts(job, models=models) for name in part.sets().values()}


def _parts(job: Job, *, models: bool) -> Iterator[Job]:
    """Yield a job, and its part without a model if there is one."""
    if models:
        yield job
    if (part := job.of_images()) is not None:
        yield part


def config_schema() -> dict[str, Any]:
    """Return the JSON schema of the configuration file, the keys of every kind of job included."""
    schema = Config.model_json_schema()
    jobs = [_job_schema(kind) for kind in KINDS.values()]
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["title"] = "evaljobs configuration"
    schema["$defs"]["JobConfig"] = {"anyOf": jobs}
    return schema


def _job_schema(kind: type[Job]) -> dict[str, Any]:
    schema = kind.Parameters.model_json_schema()
    own = JobConfig.model_json_schema()["properties"]
    schema["properties"] = {**own, "kind": {**own["kind"], "const": kind.kind}, **schema["properties"]}
    schema["required"] = ["name", *schema.get("required", ())]
    return schema


def _build(entry: JobConfig, config: Config) -> Job:
    where = f"job {entry.name!r}"
    kind = KINDS.get(entry.kind)
    if kind is None:
        near = difflib.get_close_matches(entry.kind, KINDS, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"known kinds: {', '.join(sorted(KINDS))}"
        raise UsageError(f"{where}: no kind {entry.kind!r}; {hint}")
    sets = config.named_sets()
    given = {key: value for key, value in entry.parameters().items() if value is not None}
    given = {**_defaults(kind, config, given), **given}
    if "set" in kind.Parameters.model_fields and not {"set", *_SIDES} & given.keys():
        raise UsageError(f"{where}: name its `set`, one of {', '.join(sets)}")
    job = kind(entry.name, validate(kind.Parameters, given, where))
    for name in set_names([job]):
        if name not in sets and name not in job.views():
            raise UsageError(f"{where}: no set {name!r}; the sets are {', '.join(sets)}")
    job.refuse(sets)
    return job


def _refuse_unkept(job: Job, sets: Mapping[str, Set]) -> None:
    """Refuse columns of a manifest that a set of the job does not keep."""
    own = [column.removeprefix(OWN_COLUMN) for column in job.columns() if column.startswith(OWN_COLUMN)]
    for name in job.sets().values() if own else ():
        root = lineage(sets, name)[0]
        images = sets[root].images
        lacking = [column for column in own if images is None or column not in images.columns]
        if lacking:
            hint = f"add `columns: [{', '.join(lacking)}]` beside its `manifest`"
            if images is None or images.kind != "manifest":
                hint = "only a set that is a manifest has such columns"
            found = f"{OWN_COLUMN}{lacking[0]}, a column that the set {root!r} does not keep"
            raise UsageError(f"job {job.name!r} asks for {found}; {hint}")


def _defaults(kind: type[Job], config: Config, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the file says for all jobs: the targets; and the set, where no other set is named."""
    sets = config.named_sets()
    only = next(iter(sets)) if len(sets) == 1 else None
    defaults: dict[str, Any] = {"fpr": config.fpr}
    if not _SIDES & given.keys():
        defaults["set"] = "main" if "main" in sets else only
    return {key: value for key, value in defaults.items() if key in kind.Parameters.model_fields and value is not None}
