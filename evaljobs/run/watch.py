"""What a run tells while it goes on: to metrics of the cluster, and to progress, model by model."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from evaljobs.engine.execution import Record
from evaljobs.engine.prepare import Prepared
from evaljobs.engine.shards import Shard
from evaljobs.engine.todo import Evaluation
from evaljobs.progress import Progress
from evaljobs.watching import metrics
from evaljobs.watching.standing import Counts, Standing, State, Sweep
from raycluster.metrics import Declared, Meters

if TYPE_CHECKING:
    # A run with nothing to compute does without the runtime of the models.
    from evaljobs.engine.decoding import DecodeReport
    from evaljobs.engine.embedding import Embedded


class Watch:
    """Tells of a run; where no Ray is connected, to progress alone.

    Parameters
    ----------
    prepared
        The run.
    record
        What was computed so far, for rates.
    progress
        Told how far the models are.
    """

    def __init__(self, prepared: Prepared, record: Record, progress: Progress) -> None:
        self._record = record
        self._meters = Meters([Declared(*metric) for metric in metrics.METRICS], run=prepared.name)
        self._to = progress
        self.progress: Progress = _Measured(progress, self._meters)
        names = [*(model.load for model in prepared.models), *(refused.name for refused in prepared.refused)]
        self._each = len(names) <= metrics.MOST_MODELS
        self._sweep = Sweep(names, self._told)
        self._failed: set[str] = set()
        self._reused = False
        for refused in prepared.refused:
            self.lost(refused.name, refused.kind)

    def close(self) -> None:
        """Let go of the metrics, before Ray is left."""
        self._meters.close()

    # Before anything is computed

    def begin(self, evaluations: Collection[Evaluation], wanted: Collection[Evaluation]) -> None:
        """Take in what there is to do: which evaluations have no result."""
        able = [evaluation for evaluation in evaluations if evaluation.lack is None]
        self._add(metrics.CACHE_HITS, len(able) - len(wanted), what="results")
        busy = {evaluation.load for evaluation in wanted}
        idle = list(dict.fromkeys(e.load for e in evaluations if e.load is not None and e.load not in busy))
        self._sweep.there_already(idle)
        for name in idle:
            self._show(Standing(name, State.DONE))
        self._tell(self._sweep.counts)

    def reuse(self, prepared: Prepared, wanted: Iterable[Evaluation], shards: Sequence[Shard], bad: pa.Array) -> None:
        """Take in which wanted embeddings stand in the store: all that are in no shard of the first pass.

        Parameters
        ----------
        bad
            Digests of images that are left out.
        """
        if self._reused:
            return
        self._reused = True
        sets: dict[str, set[str]] = {}
        for evaluation in wanted:
            if evaluation.load is not None:
                sets.setdefault(evaluation.load, set()).update(evaluation.job.sets().values())
        good = ~pc.is_in(prepared.images, value_set=bad).to_numpy(zero_copy_only=False)
        images = {names: int((prepared.in_sets(names) & good).sum()) for names in map(frozenset, sets.values())}
        needed = sum(images[frozenset(names)] for names in sets.values())
        self._add(metrics.CACHE_HITS, needed - sum(len(s.images) * len(s.models) for s in shards), what="embeddings")

    # Decoding and embedding

    def embedding(self, prepared: Prepared, shards: Iterable[Shard]) -> None:
        """Begin to embed what is in shards."""
        images: dict[int, int] = {}
        for shard in shards:
            for model in shard.models:
                images[model] = images.get(model, 0) + len(shard.images)
        for model, number in images.items():
            self._sweep.embedding(prepared.models[model].load, number)

    def decoded(self, report: DecodeReport, models: Iterable[str]) -> None:
        """Take in a decoded shard of these models."""
        self._add(metrics.IMAGES_DECODED, report.decoded)
        self._add(metrics.STAGE_SECONDS, report.seconds, stage="decode")
        # No model will have rows of these.
        if failures := len(report.failures) + len(report.unreadable):
            for name in models:
                self._sweep.embedded(name, failures)

    def embedded(self, name: str, embedded: Embedded) -> None:
        """Take in an embedded block; after the record."""
        self._add(metrics.IMAGES_EMBEDDED, embedded.computed)
        self._add(metrics.STAGE_SECONDS, embedded.load_seconds, stage="load")
        self._add(metrics.STAGE_SECONDS, embedded.embed_seconds, stage="embed")
        if self._each and embedded.computed:
            self._set(metrics.MODEL_RATE, self._record.models[name]["images_per_s"], model=name)
        self._sweep.embedded(name, embedded.rows)

    def found(self, ours: int, others: int) -> None:
        """Take in whose the rows are that were there when they were asked for; no call has said it."""
        self._add(metrics.IMAGES_EMBEDDED, ours)
        self._add(metrics.CACHE_HITS, others, what="embeddings")

    def begun_again(self, name: str) -> None:
        """Take in that a model is embedded in another way, in another pass."""
        self._sweep.begun_again(name)

    def lost(self, name: str, kind: str) -> None:
        """Take in that a model failed."""
        if name not in self._failed:
            self._failed.add(name)
            self._add(metrics.FAILURES, 1, what="model", kind=str(kind))
        self._sweep.failed(name, str(kind))

    # Evaluating

    def evaluating(self, names: Iterable[str]) -> None:
        """Begin an evaluation of each of these models; a name may come several times."""
        for name in names:
            self._sweep.evaluating(name, 1)

    def compared(self, kind: str, pairs: int) -> None:
        """Take in that pairs were compared, for a kind of job."""
        self._add(metrics.PAIRS_COMPARED, pairs, kind=kind)

    def evaluated(self, evaluation: Evaluation, seconds: float) -> None:
        """Take in a finished evaluation."""
        self._add(metrics.EVALUATIONS, 1, kind=evaluation.job.kind)
        self._add(metrics.STAGE_SECONDS, seconds, stage="evaluate")
        if evaluation.load is not None:
            self._sweep.evaluated(evaluation.load)

    def unevaluated(self, name: str | None, kind: str) -> None:
        """Take in that an evaluation of a model came to nothing; or one that needs no model."""
        self._add(metrics.FAILURES, 1, what="evaluation", kind=str(kind))
        if name is not None:
            self.lost(name, kind)

    # At any time

    def waited(self, seconds: float, waiting: int) -> None:
        """Take in that processes have waited so long, together, for others on their machines, and how many still do."""
        self._add(metrics.PAUSED_SECONDS, seconds)
        self._set(metrics.PAUSED_WORKERS, waiting)

    def finished(self, results: Mapping[str, Any]) -> None:
        """Take in the results: what stands in the store may be that a model cannot be evaluated."""
        for image_set in results["sets"]:
            for kind, images in image_set["excluded_by_kind"].items():
                self._add(metrics.FAILURES, images, what="image", kind=kind)
        for entry in results["models"]:
            if entry["error"]:
                self.lost(entry["name"], entry["error"]["kind"])
        self._sweep.finished()
        self._tell(self._sweep.counts)

    def _told(self, counts: Counts, changed: Standing) -> None:
        self._show(changed)
        self._tell(counts, changed)

    def _tell(self, counts: Counts, changed: Standing | None = None) -> None:
        for state, number in counts.items():
            self._set(metrics.MODELS, number, state=str(state))
        self._to.models(counts, changed)

    def _show(self, standing: Standing) -> None:
        if not self._each:
            return
        self._set(metrics.MODEL_STATE, metrics.STATE_NUMBERS[standing.state], model=standing.model)
        if standing.state is State.EMBEDDING:
            self._set(metrics.MODEL_EMBEDDED, standing.done / max(1, standing.total), model=standing.model)
        elif standing.state in {State.EVALUATING, State.DONE}:
            self._set(metrics.MODEL_EMBEDDED, 1.0, model=standing.model)

    def _add(self, metric: metrics.Metric, value: float, **labels: str) -> None:
        self._meters.add(metric.name, value, **labels)

    def _set(self, metric: metrics.Metric, value: float, **labels: str) -> None:
        self._meters.set(metric.name, value, **labels)


class _Measured:
    """Progress that also says what is left of each stage as a metric."""

    def __init__(self, progress: Progress, meters: Meters) -> None:
        self._progress = progress
        self._meters = meters
        self._left: dict[str, int] = {}
        self._done: dict[str, int] = {}

    def start(self, stage: str, total: int) -> None:
        """Begin a stage of so many steps; an unfinished one may be given a new total."""
        self._left[stage] = total - self._done.get(stage, 0)
        self._show(stage)
        self._progress.start(stage, total)

    def advance(self, stage: str, steps: int = 1) -> None:
        """Say that steps of a stage are done."""
        self._done[stage] = self._done.get(stage, 0) + steps
        self._left[stage] -= steps
        self._show(stage)
        self._progress.advance(stage, steps)

    def say(self, text: str) -> None:
        """Show a line of text."""
        self._progress.say(text)

    def models(self, counts: Counts, changed: Standing | None = None) -> None:
        """Pass it on."""
        self._progress.models(counts, changed)

    def _show(self, stage: str) -> None:
        self._meters.set(metrics.STEPS_LEFT.name, max(0, self._left[stage]), stage=stage)
