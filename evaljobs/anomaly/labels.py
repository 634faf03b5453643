"""Which images are normal: those of some labels; all others are anomalous."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from evaljobs.errors import InputError

_NAMED = 5


def anomalous_of(labels: Sequence[str], normal: Collection[str]) -> NDArray[np.bool_]:
    """Return which of the images that can be used are anomalous: ``[n]`` bool.

    Raises
    ------
    InputError
        If there is no normal or no anomalous image: nothing can be told apart.
    """
    anomalous = np.fromiter((label not in normal for label in labels), np.bool_, len(labels))
    if anomalous.all() or not anomalous.any():
        which = "none" if anomalous.all() else "every one"
        raise InputError(
            f"{which} of the {len(labels):,} images that can be used has a normal label ({named(sorted(normal))}); "
            "expected images of both kinds: mend those that cannot be used, which `failures.csv` names"
        )
    return anomalous


def refuse_one_kind(labels: Iterable[str], normal: Collection[str]) -> None:
    """Refuse labels that are all normal, or all anomalous.

    Raises
    ------
    InputError
        Naming what was found.
    """
    found = {*labels}
    if missing := sorted({*normal} - found):
        raise InputError(
            f"no image of the set has the normal label {named(missing)}; its labels are {named(sorted(found))}: mend "
            "`normal`"
        )
    if found <= {*normal}:
        raise InputError(
            f"every image of the set is normal: its labels are {named(sorted(found))}; expected other ones too, whose "
            "images are anomalous: add such images, or name fewer labels in `normal`"
        )


def named(labels: Sequence[str]) -> str:
    """Return the first labels of several, quoted."""
    more = f" and {len(labels) - _NAMED:,} more" if len(labels) > _NAMED else ""
    return (", ".join(repr(label) for label in labels[:_NAMED]) or "none") + more
