"""The Grafana dashboard of runs: a file of this package, to be imported as it is."""

from __future__ import annotations

import importlib.resources


def dashboard_json() -> str:
    """Return the text of the dashboard's file."""
    return importlib.resources.files(__package__).joinpath("grafana.json").read_text(encoding="utf-8")
