"""Exact verification of image-embedding models: every pair, every model, one command."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from evaljobs.pairs.verification import Verification, verify

__version__ = "0.1.0"
__all__ = ["Verification", "__version__", "verify"]


def __getattr__(name: str) -> Any:
    # Lazily, so that `evaljobs --help` and `--version` import neither numpy nor numba.
    if name in {"verify", "Verification"}:
        from evaljobs.pairs import verification

        return getattr(verification, name)
    raise AttributeError(f"module 'evaljobs' has no attribute {name!r}")
