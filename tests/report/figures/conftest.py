"""Verifications of real vectors, as what figures are drawn from."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from evaljobs.pairs.verification import Verification
from evaljobs.report.section import Found
from tests.report.figures.drawn import found_of, vectors, verified


@pytest.fixture(scope="session")
def verifications() -> list[Verification]:
    """Eight models, from good to bad."""
    return [verified(vectors(seed, spread=0.3 + 0.2 * seed)) for seed in range(8)]


@pytest.fixture
def many(verifications: list[Verification], tmp_path: Path) -> Callable[[int], Found]:
    """Give what was found of any number of models: copies of the eight, each with a name of its own."""

    def build(number: int) -> Found:
        return found_of({f"model-{i:03d}": verifications[i % 8] for i in range(number)}, tmp_path)

    return build
