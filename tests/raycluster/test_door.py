"""The public door of raycluster."""

from __future__ import annotations

import pytest

import raycluster

NAMES = ["down", "list_jobs", "logs", "start_head", "status", "stop", "stop_head", "submit", "up"]


def test_public_names_are_pinned() -> None:
    """What can be done on the command line can be done in Python; a change here is a change for users."""
    assert sorted(raycluster.__all__) == NAMES
    assert all(callable(getattr(raycluster, name)) for name in raycluster.__all__)
    with pytest.raises(AttributeError, match="no attribute 'sbmit'"):
        _ = raycluster.sbmit
