"""Metrics are declared as Prometheus has them, and the dashboard asks for nothing else."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from evaljobs.watching.dashboard import dashboard_json
from evaljobs.watching.metrics import METRICS, PREFIX
from evaljobs.watching.standing import State

LABELS = {PREFIX + metric.name: set(metric.labels) for metric in METRICS}
KINDS = {PREFIX + metric.name: metric.kind for metric in METRICS}


@pytest.fixture(scope="module")
def dashboard() -> dict[str, Any]:
    found = json.loads(dashboard_json())
    assert isinstance(found, dict)
    return found


def targets(dashboard: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for panel in dashboard["panels"]:
        yield from panel["targets"]


def names(expression: str) -> set[str]:
    return set(re.findall(r"\bray_\w+", expression))


def test_metrics_have_names_and_labels_as_prometheus_wants_them() -> None:
    """Counters end in _total and gauges do not; a label that Prometheus sets itself would be renamed."""
    assert len(LABELS) == len(METRICS) > 10
    for metric in METRICS:
        assert re.fullmatch(r"evaljobs_[a-z_]+", metric.name)
        assert metric.name.endswith("_total") == (metric.kind == "counter")
        assert not {"job", "instance", "le", "WorkerId", "NodeAddress"} & set(metric.labels)
        assert metric.labels[0] == "run"
        assert metric.help.endswith(".")
        # Ray never forgets a counter: one of each model would add up over months.
        assert metric.kind == "gauge" or "model" not in metric.labels


def test_every_panel_asks_for_declared_metrics(dashboard: dict[str, Any]) -> None:
    """A metric that is renamed leaves no empty panel; every metric is on the dashboard."""
    asked = [names(target["expr"]) for target in targets(dashboard)]
    assert all(asked)
    assert set.union(*asked) == set(LABELS)
    variables = [v["definition"] for v in dashboard["templating"]["list"] if v["type"] == "query"]
    assert [names(definition) - set(LABELS) for definition in variables] == [set()]


def test_every_label_is_declared(dashboard: dict[str, Any]) -> None:
    """Sums and legends are by labels that the metric has; no run is shown that was not chosen."""
    for target in targets(dashboard):
        (name,) = names(target["expr"])
        by = re.findall(r"by \(([^)]*)\)", target["expr"])
        wanted = {label.strip() for group in by for label in group.split(",")}
        assert wanted <= LABELS[name]
        assert set(re.findall(r"{{(\w+)}}", target["legendFormat"])) <= wanted
        assert '{run=~"$run"}' in target["expr"]


def test_counters_that_are_rates_are_asked_so(dashboard: dict[str, Any]) -> None:
    """The rate of a gauge means nothing."""
    rated = {name for t in targets(dashboard) if "rate(" in t["expr"] for name in names(t["expr"])}
    assert len(rated) > 3
    assert {KINDS[name] for name in rated} == {"counter"}


def test_dashboard_can_be_imported(dashboard: dict[str, Any]) -> None:
    """Its panels have ids and places of their own; it is bound to no data source, so that one can be chosen."""
    panels = dashboard["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    cells = [
        (x, y)
        for place in (panel["gridPos"] for panel in panels)
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) < 24
    assert {panel["datasource"]["uid"] for panel in panels} == {"${datasource}"}
    (states,) = [p["value"] for p in _properties(dashboard) if p["id"] == "mappings"]
    assert [states[0]["options"][str(n)]["text"] for n in range(len(State))] == [str(state) for state in State]


def _properties(dashboard: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for panel in dashboard["panels"]:
        for override in panel["fieldConfig"]["overrides"]:
            yield from override["properties"]


def test_command_prints_it(dashboard: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    """The file of the package, as it is."""
    from evaljobs.cli.watching import dashboard as command

    callback: Callable[[], None] | None = command.callback
    assert callback is not None
    callback()
    assert json.loads(capsys.readouterr().out) == dashboard
