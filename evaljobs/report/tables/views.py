"""What a set is that was made of another one, in words."""

from __future__ import annotations

from evaljobs.report.tables.columns import Row


def view_text(image_set: Row) -> str | None:
    """Return how many images of a view are changed, and how; None for a set with images of its own.

    Parameters
    ----------
    image_set
        An entry of `sets` of a results document, of an earlier version too.
    """
    view = image_set.get("view")
    if not view:
        return None
    steps = ", then ".join(view["steps"])
    return f"{view['n_changed']:,} of {image_set['n_samples']:,} images of {view['of']} are changed: {steps}"
