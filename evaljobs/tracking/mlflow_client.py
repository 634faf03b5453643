"""Log finished runs into MLflow, through its own client: a run for the results as a whole, with one below it per model.

What is logged twice is found by its tags and updated, never doubled.
"""

from __future__ import annotations

import datetime as dt
import os
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from evaljobs.errors import TrackingError, UsageError
from evaljobs.remote import is_remote
from evaljobs.report.results import Document
from evaljobs.report.runs.places import read_bytes
from evaljobs.report.runs.reading import read_results, results_file
from evaljobs.tracking.entries import ID_TAG, MODEL_TAG, Entry, model_entries, whole_entry

_PARENT_TAG = "mlflow.parentRunId"
# In one request.
_MOST_PARAMS, _MOST_METRICS = 100, 1000
# Of the run's folder; what is not there is left out.
_FILES = ("report.html", "results.json", "results.md", "results.csv", "differences.csv")
_FOLDERS = ("summary", "figures")


class Logged(NamedTuple):
    """Where a run stands in MLflow.

    Attributes
    ----------
    tracking_uri, experiment_id, run_id
        The server or store, and the ids there of the experiment and of the run as a whole.
    models
        How many models it has.
    updated
        Whether it was there already.
    """

    tracking_uri: str
    experiment_id: str
    run_id: str
    models: int
    updated: bool


class _Place(NamedTuple):
    """Where to log: the client, the experiment, its runs that are there by model, and the start in ms since 1970."""

    client: Any
    experiment_id: str
    there: Mapping[str, Any]
    began: int | None


def track(run: str, experiment: str, tracking_uri: str | None) -> Logged:
    """Log a finished run into an experiment; one that was logged before is updated.

    Parameters
    ----------
    run
        The run's folder or its ``results.json``; local, or ``s3://``.
    experiment
        Its name; made where there is none.
    tracking_uri
        As MLflow has it: ``sqlite:///mlflow.db``, ``http://...``; MLflow's own default where it is None.

    Raises
    ------
    UsageError
        If the run cannot be read, or MLflow is not installed.
    TrackingError
        If MLflow does not take it; what was logged until then stays, and is updated by the next call.
    """
    document = read_results(run)
    client, error = _client(tracking_uri)
    try:
        experiment_id = _experiment(client, experiment)
        began, ended = _times(document)
        whole = whole_entry(document)
        there = _logged_before(client, experiment_id, whole.tags[ID_TAG])
        place = _Place(client, experiment_id, there, began)
        parent = _log(place, whole, {})
        for entry in model_entries(document):
            client.set_terminated(_log(place, entry, {_PARENT_TAG: parent}), end_time=ended)
        _log_files(client, parent, results_file(run).rpartition("/")[0])
        client.set_terminated(parent, end_time=ended)
    except (error, OSError) as problem:
        where = tracking_uri or "its default store"
        raise TrackingError(
            f"MLflow at {where} does not take the run {run}: {problem}. What was logged stays; the same command goes on"
        ) from None
    updated = whole.tags[MODEL_TAG] in there
    return Logged(client.tracking_uri, experiment_id, parent, len(document["models"]), updated)


def _client(tracking_uri: str | None) -> tuple[Any, type[Exception]]:
    """Return MLflow's client, and the class of its errors."""
    # Who logs results has not agreed to tell others about it; and standard output is for our own.
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    try:
        from mlflow import MlflowClient
        from mlflow.exceptions import MlflowException
    except ImportError as error:
        raise UsageError(
            f"MLflow cannot be imported ({error}); install it with `pip install 'evaljobs[mlflow]'`. Nothing was logged"
        ) from None
    try:
        return MlflowClient(tracking_uri), MlflowException
    except (MlflowException, OSError) as error:
        raise UsageError(
            f"MLflow cannot use {tracking_uri or 'its default store'}: {error} Databases such as sqlite:///mlflow.db "
            "need the whole package (`pip install mlflow`); servers and folders do not. Nothing was logged"
        ) from None


def _experiment(client: Any, name: str) -> str:
    found = client.get_experiment_by_name(name)
    return str(client.create_experiment(name) if found is None else found.experiment_id)


def _times(document: Document) -> tuple[int | None, int | None]:
    """Return when a run began and ended, in ms since 1970; None where it does not say."""
    execution = document.get("execution") or {}
    try:
        began = dt.datetime.fromisoformat(execution["started"]).timestamp()
        return round(1000 * began), round(1000 * (began + execution["seconds"]))
    except (KeyError, TypeError, ValueError):
        return None, None


def _logged_before(client: Any, experiment_id: str, known_by: str) -> dict[str, Any]:
    """Return the runs of MLflow that hold one run of ours, by the names of their models."""
    found: dict[str, Any] = {}
    token = None
    while True:
        page = client.search_runs([experiment_id], filter_string=f"tags.`{ID_TAG}` = '{known_by}'", page_token=token)
        found |= {run.data.tags.get(MODEL_TAG, ""): run for run in page}
        token = page.token
        if not token:
            return found


def _log(place: _Place, entry: Entry, tags: Mapping[str, str]) -> str:
    """Log an entry into the run that is there for it, or into a new one; return its id."""
    found = place.there.get(entry.tags[MODEL_TAG])
    if found is None:
        all_tags = {**entry.tags, **tags}
        found = place.client.create_run(place.experiment_id, start_time=place.began, tags=all_tags, run_name=entry.name)
    logged = str(found.info.run_id)
    params = {key: text for key, text in entry.params.items() if found.data.params.get(key) != text}
    metrics = {key: value for key, value in entry.metrics.items() if found.data.metrics.get(key) != value}
    _log_values(place.client, logged, params, metrics)
    return logged


def _log_values(client: Any, logged: str, params: Mapping[str, str], metrics: Mapping[str, float]) -> None:
    from mlflow.entities import Metric, Param

    now = round(1000 * time.time())
    texts = [Param(key, text) for key, text in params.items()]
    for start in range(0, len(texts), _MOST_PARAMS):
        client.log_batch(logged, params=texts[start : start + _MOST_PARAMS])
    numbers = [Metric(key, value, now, 0) for key, value in metrics.items()]
    for start in range(0, len(numbers), _MOST_METRICS):
        client.log_batch(logged, metrics=numbers[start : start + _MOST_METRICS])


def _log_files(client: Any, logged: str, folder: str) -> None:
    """Log the files that people look at; those on S3 are brought here first."""
    with tempfile.TemporaryDirectory(prefix="evaljobs-") as here:
        for name, path in _files(folder, Path(here)):
            client.log_artifact(logged, str(path), str(Path(name).parent) if "/" in name else None)


def _files(folder: str, here: Path) -> Iterator[tuple[str, Path]]:
    """Yield the files of a run by their names in its folder, where they are on this machine."""
    if not is_remote(folder):
        names = [
            *_FILES,
            *(str(p.relative_to(folder)) for sub in _FOLDERS for p in sorted(Path(folder, sub).glob("*"))),
        ]
        yield from ((name, Path(folder, name)) for name in names if Path(folder, name).is_file())
        return
    # It loads the S3 library.
    from evaljobs.remote import objects

    listed = [found.uri.removeprefix(f"{folder}/") for found in objects.find(folder)]
    for name in listed:
        # A key may hold `..`, which would lead out of the temporary folder: a run has no such file.
        inside = name.partition("/")[0] in _FOLDERS and ".." not in PurePosixPath(name).parts
        if name in _FILES or inside:
            copy = here / name
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(read_bytes(f"{folder}/{name}"))
            yield name, copy
