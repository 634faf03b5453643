"""The seam: the one place that knows both the evaluation and the cluster."""

from evaljobs.run.main import Finished, Options, run
from raycluster.access.redaction import redact

__all__ = ["Finished", "Options", "redact", "run"]
