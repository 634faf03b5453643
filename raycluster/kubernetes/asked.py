"""What is asked of Kubernetes, checked before it is written: kubectl takes much that would then never start."""

from __future__ import annotations

import dataclasses
import re
import time

from raycluster.errors import ClusterError

# KubeRay's limit, which leaves room for what it appends.
RAYJOB_NAME = 47
# Kubernetes appends the minute that a job is due, as a number of eight digits.
CRONJOB_NAME = RAYJOB_NAME - 9
_LABEL = 63
_DIGITS = 12

_NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_QUANTITY = re.compile(r"\d+(\.\d+)?(m|[kMGTP]i?)?")
_IMAGE = re.compile(r"[\w][\w.:/@-]*")
_CRON_WORDS = {
    *("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"),
    *("mon", "tue", "wed", "thu", "fri", "sat", "sun"),
}


@dataclasses.dataclass(frozen=True)
class Schedule:
    """When runs are due.

    Attributes
    ----------
    cron
        Five fields.
    timezone
        A name such as Asia/Tokyo.
    overlap
        Whether a run may start while the one before it has not ended.
    """

    cron: str
    timezone: str = "UTC"
    overlap: bool = True


@dataclasses.dataclass(frozen=True)
class Workers:
    """Machines for the work, each a pod.

    Attributes
    ----------
    count
        How many; None for one a GPU, or one without GPUs.
    gpus
        All of them together.
    cpus, memory, spill
        Of each: cores, memory, and disk for what does not fit into it, as Kubernetes writes quantities.
    """

    count: int | None = None
    gpus: int = 0
    cpus: str = "4"
    memory: str = "16Gi"
    spill: str = "50Gi"

    @property
    def pods(self) -> int:
        """How many pods."""
        return max(1, self.gpus) if self.count is None else self.count


@dataclasses.dataclass(frozen=True)
class Asked:
    """What is asked of Kubernetes.

    Attributes
    ----------
    image
        With the program, Ray and Python in it.
    name
        Of what is created; None for the run's own.
    namespace, service_account, secret
        Where it lives; whose rights its pods have; a Secret whose keys become their environment. The last two exist.
    queue, priority_class
        Of Kueue.
    deadline_s, retries
        When a run is given up; how often it is begun again, whatever it ended with: KubeRay does not tell a driver that
        died from a run that has said what it had to say.
    schedule
        None: once, as soon as it is applied.
    """

    image: str
    name: str | None = None
    namespace: str = "default"
    service_account: str | None = None
    secret: str | None = None
    queue: str | None = None
    priority_class: str | None = None
    workers: Workers = Workers()
    deadline_s: int | None = None
    retries: int = 0
    schedule: Schedule | None = None


def check_asked(asked: Asked) -> None:
    """Refuse what Kubernetes would not take, or would take and never carry out.

    Raises
    ------
    ClusterError
        Naming the first thing that is wrong.
    """
    _must(bool(_IMAGE.fullmatch(asked.image)), "image", asked.image, "such as registry.example.org/evaljobs:0.1.0")
    names = {key: getattr(asked, key) for key in ("name", "namespace", "service_account", "secret", "queue")}
    for key, value in {**names, "priority_class": asked.priority_class}.items():
        if value is not None:
            fits = len(value) <= _LABEL and bool(_NAME.fullmatch(value))
            _must(fits, key, value, "a name of lower-case letters, digits and dashes")
    for key in ("cpus", "memory", "spill"):
        value = getattr(asked.workers, key)
        _must(bool(_QUANTITY.fullmatch(value)), key, value, "a quantity of Kubernetes such as 4, 500m or 16Gi")
    _check_workers(asked.workers)
    if asked.priority_class is not None and asked.queue is None:
        raise ClusterError("a priority class is Kueue's: name its queue too, with --queue")
    if asked.schedule is not None:
        _check_schedule(asked.schedule)


def _must(fits: bool, key: str, value: str, expected: str) -> None:
    if not fits:
        raise ClusterError(f"{key} is {value!r}; expected {expected}")


def _check_workers(workers: Workers) -> None:
    if workers.gpus < 0 or workers.pods < 1:
        raise ClusterError(f"found {workers.pods} workers with {workers.gpus} GPUs; expected one worker at least")
    if workers.gpus % workers.pods:
        raise ClusterError(
            f"{workers.gpus} GPUs cannot be shared evenly by {workers.pods} workers; expected a multiple, or leave out "
            "--workers for one worker a GPU"
        )


def _check_schedule(schedule: Schedule) -> None:
    try:
        from raycluster.schedule.cron import check_cron, check_timezone
    except ModuleNotFoundError as error:
        raise ClusterError(
            f"{error.name} is needed to read cron expressions: pip install 'evaljobs[schedule]'"
        ) from None
    check_timezone(schedule.timezone)
    check_cron(schedule.cron, time.time())
    words = re.findall(r"[a-z]+", schedule.cron.lower())
    foreign = next((word for word in words if word not in _CRON_WORDS), None) or next(
        iter(re.findall("#", schedule.cron)), None
    )
    if foreign is not None:
        raise ClusterError(f"Kubernetes does not know {foreign!r} in a cron expression; found {schedule.cron!r}")
    if re.search(r"(?<!/)\b0*7\b", schedule.cron.split()[4]):
        raise ClusterError(f"Kubernetes has days of the week from 0 to 6; found {schedule.cron!r}: write 0 for Sunday")


def resource_name(asked: Asked, run: str, digest: str) -> str:
    """Return the name of what is created: of a schedule its own, of a single run also what it computes.

    Parameters
    ----------
    run, digest
        Of the parcel.
    """
    name = asked.name or re.sub(r"[^a-z0-9]+", "-", run.lower()).strip("-") or "run"
    if not name[0].isalpha():  # of a RayJob it must be a letter
        name = f"run-{name}"
    if asked.schedule is not None:
        return name[:CRONJOB_NAME].rstrip("-")
    return f"{name[: RAYJOB_NAME - _DIGITS - 1].rstrip('-')}-{digest[:_DIGITS]}"
