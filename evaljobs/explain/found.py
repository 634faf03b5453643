"""What was found: maps as a table, and how faithful they are, as numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from evaljobs.explain.faithful import RANDOM_MAPS
from evaljobs.explain.looking import Looking, Seen, Task

if TYPE_CHECKING:
    import pyarrow as pa


def result_of(task: Task, seen: Sequence[Seen], work: Looking) -> dict[str, Any]:
    """Return how many maps there are, of which layer, and whether they can be believed; as JSON.

    Parameters
    ----------
    task, seen
        What was asked for, and what was found, in the same order.
    work
        Which checks were made.
    """
    layer = task.layer
    return {
        "n_images": len({item.row for item in task.items}),
        "n_maps": len(seen),
        "n_empty": sum(not one.values.any() for one in seen),
        "layer": {
            "tensor": layer.tensor,
            "form": layer.form,
            "channels": layer.channels,
            "height": layer.height,
            "width": layer.width,
            "skipped": layer.skipped,
        },
        "faithfulness": _faithfulness(seen, work.steps),
        "shuffled_weights": _shuffled(seen) if work.shuffled else None,
    }


def _shuffled(seen: Sequence[Seen]) -> dict[str, Any]:
    found = [one.shuffled for one in seen if one.shuffled is not None]
    return {"rank_correlation": float(np.mean(found)) if found else None, "n_maps": len(found)}


def _faithfulness(seen: Sequence[Seen], steps: int) -> dict[str, Any] | None:
    checked = np.array([one.faithfulness for one in seen if one.faithfulness is not None], np.float64)
    if not len(checked):
        return None
    deletion, insertion, random_deletion, random_insertion = checked.mean(axis=0).tolist()
    return {
        "steps": steps,
        "random_maps": RANDOM_MAPS,
        "deletion": deletion,
        "random_deletion": random_deletion,
        "deletion_better": float((checked[:, 0] < checked[:, 2]).mean()),
        "insertion": insertion,
        "random_insertion": random_insertion,
        "insertion_better": float((checked[:, 1] > checked[:, 3]).mean()),
    }


def table_of(task: Task, seen: Sequence[Seen], labels: Sequence[str]) -> pa.Table:
    """Return the maps, a row for each: whose, of what, its values, and the image as the model sees it.

    Parameters
    ----------
    labels
        Of the items, in their order.
    """
    import pyarrow as pa

    def areas(name: str) -> pa.Array:
        values = [None if one.faithfulness is None else getattr(one.faithfulness, name) for one in seen]
        return pa.array(values, pa.float64())

    names = ("deletion", "random_deletion", "insertion", "random_insertion")
    return pa.table(
        {
            "row": pa.array([item.row for item in task.items], pa.int64()),
            "label": pa.array(labels, pa.string()),
            "target": pa.array([item.said for item in task.items], pa.string()),
            "pair": pa.array([item.pair for item in task.items], pa.int32()),
            "score": pa.array([one.shown for one in seen], pa.float64()),
            "map_height": pa.array([one.values.shape[0] for one in seen], pa.int32()),
            "map_width": pa.array([one.values.shape[1] for one in seen], pa.int32()),
            "values": pa.array([one.values.ravel() for one in seen], pa.list_(pa.float32())),
            **{name: areas(name) for name in names},
            "shuffled_weights": pa.array([one.shuffled for one in seen], pa.float64()),
            "picture": pa.array([one.picture for one in seen], pa.binary()),
        }
    )
