"""Results in a tracking server: what is logged, and the client of MLflow that logs it."""

from evaljobs.tracking.mlflow_client import Logged, track

__all__ = ["Logged", "track"]
