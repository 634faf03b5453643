"""Exact verification of image-embedding models: every pair, every model, one command."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from evaljobs.anomaly.detection import Anomalies, detect_anomalies
    from evaljobs.anomaly.rotations import rotation_anomaly
    from evaljobs.audit.arrays import audit_embeddings
    from evaljobs.audit.metadata import check_metadata
    from evaljobs.classification.classification import Classification, classify
    from evaljobs.pairs.protocols import verify_cross, verify_pairs
    from evaljobs.pairs.verification import Verification, verify
    from evaljobs.uncertainty.assessment import UncertainImages, Uncertainty, assess_uncertainty
    from evaljobs.uncertainty.measuring import dropout_uncertainty, softmax_entropy
    from evaljobs.uncertainty.neighbours import neighbour_distances

__version__ = "0.1.0"
__all__ = [
    "Anomalies",
    "Classification",
    "UncertainImages",
    "Uncertainty",
    "Verification",
    "__version__",
    "assess_uncertainty",
    "audit_embeddings",
    "check_metadata",
    "classify",
    "detect_anomalies",
    "dropout_uncertainty",
    "neighbour_distances",
    "rotation_anomaly",
    "softmax_entropy",
    "verify",
    "verify_cross",
    "verify_pairs",
]

_MODULES = {
    "Anomalies": "anomaly.detection",
    "detect_anomalies": "anomaly.detection",
    "rotation_anomaly": "anomaly.rotations",
    "audit_embeddings": "audit.arrays",
    "check_metadata": "audit.metadata",
    "Classification": "classification.classification",
    "classify": "classification.classification",
    "Verification": "pairs.verification",
    "verify": "pairs.verification",
    "verify_cross": "pairs.protocols",
    "verify_pairs": "pairs.protocols",
    "UncertainImages": "uncertainty.assessment",
    "Uncertainty": "uncertainty.assessment",
    "assess_uncertainty": "uncertainty.assessment",
    "dropout_uncertainty": "uncertainty.measuring",
    "neighbour_distances": "uncertainty.neighbours",
    "softmax_entropy": "uncertainty.measuring",
}


def __getattr__(name: str) -> Any:
    # Lazily, so that `evaljobs --help` and `--version` import neither numpy nor numba.
    if name in _MODULES:
        return getattr(importlib.import_module(f"evaljobs.{_MODULES[name]}"), name)
    raise AttributeError(f"module 'evaljobs' has no attribute {name!r}")
