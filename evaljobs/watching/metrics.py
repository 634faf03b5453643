"""Every metric of a run: names and units as Prometheus has them, declared once.

Counters have few series, since Ray keeps each of them for as long as its node lives, and a node's agent no more than
2,000 of a name: so a counter is of a run, and never of a model. Gauges are forgotten soon after their run has ended,
so these may be of a model.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from evaljobs.watching.standing import State

# What Ray puts before each name.
PREFIX = "ray_"
# Models with gauges of their own; of a run with more, there are only the counts by state.
MOST_MODELS = 1000
# Values of evaljobs_model_state.
STATE_NUMBERS = {state: number for number, state in enumerate(State)}


class Metric(NamedTuple):
    """A metric: its name, what it is, what people read of it, and its labels."""

    name: str
    kind: Literal["counter", "gauge"]
    help: str
    labels: tuple[str, ...]


IMAGES_DECODED = Metric("evaljobs_images_decoded_total", "counter", "Images decoded.", ("run",))
IMAGES_EMBEDDED = Metric(
    "evaljobs_images_embedded_total", "counter", "Embeddings computed: an image counts once for each model.", ("run",)
)
PAIRS_COMPARED = Metric(
    "evaljobs_pairs_compared_total", "counter", "Pairs of samples compared, by kind of job.", ("run", "kind")
)
EVALUATIONS = Metric(
    "evaljobs_evaluations_total", "counter", "Evaluations carried out, by kind of job.", ("run", "kind")
)
CACHE_HITS = Metric(
    "evaljobs_cache_hits_total",
    "counter",
    "What stood in the store already and was not computed again: `embeddings` or `results`.",
    ("run", "what"),
)
FAILURES = Metric(
    "evaljobs_failures_total",
    "counter",
    "What failed, by the kind of its error: `model`, `evaluation`; `image`, of each set, when the results are there.",
    ("run", "what", "kind"),
)
STAGE_SECONDS = Metric(
    "evaljobs_stage_seconds_total",
    "counter",
    "Seconds of work, added up over workers: `decode`, `load` (a model), `embed`, `evaluate`.",
    ("run", "stage"),
)
PAUSED_SECONDS = Metric(
    "evaljobs_paused_seconds_total",
    "counter",
    "Seconds in which work waited for others on the machine, added up over workers.",
    ("run",),
)
PAUSED_WORKERS = Metric(
    "evaljobs_paused_workers", "gauge", "Processes that wait for others on their machine.", ("run",)
)
MODELS = Metric(
    "evaljobs_models",
    "gauge",
    f"Models by state: {', '.join(f'`{state}`' for state in State)}.",
    ("run", "state"),
)
STEPS_LEFT = Metric(
    "evaljobs_steps_left",
    "gauge",
    "What is left of a stage: images to decode, embeddings, evaluations, pairs.",
    ("run", "stage"),
)
MODEL_STATE = Metric(
    "evaljobs_model_state",
    "gauge",
    f"State of a model: {', '.join(f'{number} {state}' for state, number in STATE_NUMBERS.items())}.",
    ("run", "model"),
)
MODEL_EMBEDDED = Metric(
    "evaljobs_model_embedded_ratio", "gauge", "Part of a model's missing images that is embedded.", ("run", "model")
)
MODEL_RATE = Metric(
    "evaljobs_model_images_per_second",
    "gauge",
    "Images that one worker embeds with a model in a second.",
    ("run", "model"),
)

METRICS: tuple[Metric, ...] = (
    IMAGES_DECODED,
    IMAGES_EMBEDDED,
    PAIRS_COMPARED,
    EVALUATIONS,
    CACHE_HITS,
    FAILURES,
    STAGE_SECONDS,
    PAUSED_SECONDS,
    PAUSED_WORKERS,
    MODELS,
    STEPS_LEFT,
    MODEL_STATE,
    MODEL_EMBEDDED,
    MODEL_RATE,
)
