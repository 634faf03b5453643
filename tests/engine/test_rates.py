"""How fast a model is stands in the results, whoever measured it."""

from __future__ import annotations

from typing import Any

import pytest


def test_a_run_says_how_fast_models_are_that_it_did_not_run(bench: Any) -> None:
    """A rate is that of this run, or of an earlier one where the rows were in the store or are too few to measure."""
    bench.images().model("a", 1)
    bench.run()
    first = bench.results()["execution"]["models"]["a"]
    assert (first["rows"], first["measured"]) == (30, "this run")
    assert first["images_per_s"] == pytest.approx(30 / first["embed_seconds"])
    bench.run()
    second = bench.results()["execution"]["models"]["a"]
    assert (second["rows"], second["embed_seconds"], second["measured"]) == (0, 0, "earlier")
    assert second["provider"] == first["provider"]
    assert second["images_per_s"] == pytest.approx(first["images_per_s"])
    bench.image(0, 100)
    bench.run()
    third = bench.results()["execution"]["models"]["a"]
    assert (third["rows"], third["measured"]) == (1, "earlier")
    assert third["images_per_s"] == pytest.approx(first["images_per_s"])
    assert bench.results()["execution"]["computed"]["rows_embedded"] == 1
