"""The job kind map: parts in any order, rows in any order, and results that are JSON whatever the embeddings."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from evaljobs.config import Config, validate
from evaljobs.errors import NonFiniteError, UsageError
from evaljobs.jobs import build_jobs
from evaljobs.jobs.job import Job, Outcome, Rows
from evaljobs.pairs.threads import run_rounds
from evaljobs.projection.passes import Found


def make(**keys: Any) -> Job:
    config = {"images": {"folder": "a"}, "models": ["a.onnx"], "jobs": [{"name": "m", "kind": "map", **keys}]}
    (job,) = build_jobs(validate(Config, config, "test"))
    return job


def carry_out(job: Job, rows: Rows, threads: int = 1) -> Outcome:
    passes = job.passes({"set": rows})
    found = run_rounds(passes.rounds, passes.samples, threads)
    json.dumps(found.result, allow_nan=False)
    return found


def by_digest(table: pa.Table, *columns: str) -> dict[bytes, tuple[Any, ...]]:
    names = ("image_digest", *columns)
    return {row[0]: row[1:] for row in zip(*(table[name].to_pylist() for name in names), strict=True)}


PLACES = ("pca_x", "pca_y", "tsne_x", "tsne_y", "nearest_score")


def test_all_is_there(digits: Any) -> None:
    """A row for each image with its place by both methods; shares that scikit-learn's data are known for."""
    found = carry_out(make(), digits.as_rows())
    assert found.result["n_samples"] == found.result["n_shown"] == 300
    assert found.result["sampling"] == "all"
    assert found.result["notes"] == []
    assert found.result["nearest_same_label"] > 0.9
    assert found.result["nearest_same_label_by_chance"] == pytest.approx(0.1, abs=0.01)
    table = found.tables["map"]
    assert sorted(table["row"].to_pylist()) == list(range(300))
    assert [digits.labels[n] for n in table["row"].to_pylist()] == table["label"].to_pylist()
    assert all(table[name].null_count == 0 for name in PLACES)


def test_the_order_of_rows_changes_nothing(digits: Any) -> None:
    """A set that is listed otherwise has the same map, to the last bit."""
    order = np.random.default_rng(5).permutation(300).tolist()
    job = make(sample=200)
    plain, shuffled = carry_out(job, digits.as_rows()), carry_out(job, digits.as_rows(order))
    assert plain.result == shuffled.result
    assert len(by_digest(plain.tables["map"], *PLACES)) == 200
    assert by_digest(plain.tables["map"], *PLACES) == by_digest(shuffled.tables["map"], *PLACES)


def test_parts_add_up_in_any_order(digits: Any) -> None:
    """Each projection is a part: carried out by whom and when one likes, the sum is the same."""
    job = make(sample=100)
    rows = digits.as_rows()
    passes = job.passes({"set": rows})
    work = next(passes.rounds)
    parts = work.parts(64)
    assert len(parts) == 3
    assert sum(work.pairs(part) for part in parts) == job.n_pairs({"set": rows.ids}, None) == 3 * 4950
    total = Found()
    for part in reversed(parts):
        total = work.run(passes.samples, part) + total
    with pytest.raises(StopIteration) as stop:
        passes.rounds.send(total)
    threaded = carry_out(job, rows, threads=2)
    assert stop.value.value.result == threaded.result
    assert stop.value.value.tables["map"].equals(threaded.tables["map"])


def test_only_what_is_asked_for(digits: Any) -> None:
    """One method makes one pair of columns, and the other is null in the result."""
    found = carry_out(make(methods="pca", color="format"), digits.as_rows())
    assert found.result["tsne"] is None
    assert found.result["color"] == ["format"]
    assert not {"tsne_x", "tsne_y"} & set(found.tables["map"].column_names)
    assert found.result["notes"] == []


@pytest.mark.parametrize("n", [1, 2])
def test_very_few_images(digits: Any, n: int) -> None:
    """One image or two are shown as far as they can be, and what is missing is said."""
    found = carry_out(make(), digits.as_rows(range(n)))
    table = found.tables["map"]
    assert table.num_rows == n
    assert table["tsne_x"].null_count == n
    assert table["pca_x"].null_count == 0
    assert "fewer than five" in found.result["notes"][0]
    assert (found.result["nearest_same_label"] is None) == (n == 1)


def test_collapsed_model(digits: Any) -> None:
    """Where all embeddings are equal, the map says so."""
    rows = digits.as_rows()
    collapsed = Rows(rows.digests, rows.labels, {"embedding": np.ones((300, 8), np.float32)}, rows.ids)
    found = carry_out(make(), collapsed)
    assert found.result["pca"] == {"explained_variance": None}
    assert found.result["tsne"] is None
    assert "collapsed" in found.result["notes"][0]


def test_nan_is_found_wherever_it_is(digits: Any) -> None:
    """An embedding that is not finite fails the model, also where its image would not be shown."""
    for row in range(0, 300, 60):
        rows = digits.as_rows()
        rows.outputs["embedding"][row, 3] = np.nan
        with pytest.raises(NonFiniteError) as error:
            make(sample=10).passes({"set": rows})
        assert error.value.rows == (row,)


def test_copies_are_said(digits: Any) -> None:
    """The nearest image of a copy is the other one: that is no merit of the model."""
    found = carry_out(make(), digits.as_rows([*range(20), 3, 3, 7]))
    assert found.result["notes"] == [
        "5 of the images that are shown are there more than once, byte for byte: nearest is their copy"
    ]


def test_color_alone_is_another_evaluation_of_the_same_places(digits: Any) -> None:
    """What is coloured changes no place."""
    plain, colored = (carry_out(make(sample=50, color=color), digits.as_rows()) for color in ("label", "width"))
    assert plain.tables["map"].equals(colored.tables["map"])


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"methods": []}, "name at least one"),
        ({"methods": ["pca", "pca"]}, "each once"),
        ({"methods": "umap"}, "pca"),
        ({"color": "colour"}, "format"),
        ({"sample": 1}, "greater than or equal to 2"),
        ({"sample": 100_000}, "less than or equal to 20000"),
        ({"perplexity": 0}, "greater than or equal to 1"),
        ({"smaple": 10}, "did you mean 'sample'"),
        ({"set": "other"}, "no set 'other'"),
    ],
)
def test_mistakes_are_refused(keys: dict[str, Any], said: str) -> None:
    """Before the start, with what is right."""
    with pytest.raises(UsageError, match=said):
        make(**keys)
