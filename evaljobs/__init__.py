"""Exact verification of image-embedding models: every pair, every model, one command."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from evaljobs.classification.classification import Classification, classify
    from evaljobs.pairs.protocols import verify_cross, verify_pairs
    from evaljobs.pairs.verification import Verification, verify

__version__ = "0.1.0"
__all__ = ["Classification", "Verification", "__version__", "classify", "verify", "verify_cross", "verify_pairs"]

_MODULES = {
    "Classification": "classification.classification",
    "classify": "classification.classification",
    "Verification": "pairs.verification",
    "verify": "pairs.verification",
    "verify_cross": "pairs.protocols",
    "verify_pairs": "pairs.protocols",
}


def __getattr__(name: str) -> Any:
    # Lazily, so that `evaljobs --help` and `--version` import neither numpy nor numba.
    if name in _MODULES:
        return getattr(importlib.import_module(f"evaljobs.{_MODULES[name]}"), name)
    raise AttributeError(f"module 'evaljobs' has no attribute {name!r}")
