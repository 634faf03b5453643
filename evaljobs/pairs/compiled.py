"""How the kernels are compiled: cached on disk, without the GIL, and with IEEE arithmetic as it is written.

`fastmath` stays off everywhere: it would let the compiler reorder the sums, or contract a product and a sum into one
fused step, and the definition of a score would then depend on the machine.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, cast

import numba

F = TypeVar("F", bound=Callable[..., object])


def compiled(function: F) -> F:
    """Compile a kernel on its first call."""
    try:
        kernel = numba.njit(nogil=True, error_model="numpy", cache=True)(function)
    except RuntimeError:  # no folder to cache in: an installation that is read-only for a user without a home
        kernel = numba.njit(nogil=True, error_model="numpy")(function)
    return cast("F", kernel)
