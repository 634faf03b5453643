"""The seam: the one place that knows both the evaluation and the cluster."""

from evaljobs.run.main import Finished, Options, run

__all__ = ["Finished", "Options", "run"]
