"""How the kernels are compiled: cached on disk, without the GIL, and with IEEE arithmetic as it is written.

`fastmath` stays off wherever a score is computed: it would let the compiler reorder the sums, or contract a product and
a sum into one fused step, and the definition of a score would then depend on the machine. A filter whose bound holds
for any order may be reordered.

A kernel is compiled with the constants that it names, and its cached form is renewed with its own file alone. So it
names none of another module: these are arguments.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

F = TypeVar("F", bound=Callable[..., object])


def compiled(function: F) -> F:
    """Compile a kernel on its first call."""
    return _compile(function)


def compiled_reordered(function: F) -> F:
    """Compile a kernel whose sums may be reordered, and fused with products."""
    return _compile(function, fastmath={"reassoc", "contract"})


def _compile(function: F, **options: Any) -> F:
    try:
        kernel = numba.njit(nogil=True, error_model="numpy", cache=True, **options)(function)
    except RuntimeError:  # no folder to cache in: an installation that is read-only for a user without a home
        kernel = numba.njit(nogil=True, error_model="numpy", **options)(function)
    return cast("F", kernel)
