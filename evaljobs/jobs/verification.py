"""Verification: every pair of a set, exactly."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, cast

from pydantic import Field

from evaljobs.config import DEFAULT_TARGETS, Section, Targets
from evaljobs.jobs.job import Job, Outcome, Passes, Rows

if TYPE_CHECKING:
    from evaljobs.pairs.samples import Samples


class VerificationParameters(Section):
    """The keys of a verification job."""

    set: str = Field("main", description="the set whose images are compared; the only set where there is one")
    fpr: Targets = Field(DEFAULT_TARGETS, description="as `fpr` of the file, whose value it is where left out")


class VerificationJob(Job):
    """TPR at given FPRs over all pairs of a set, with thresholds and AUROC."""

    kind: ClassVar[str] = "verification"
    version: ClassVar[int] = 1
    Parameters: ClassVar[type[Section]] = VerificationParameters

    def sets(self) -> dict[str, str]:
        """Return the one set whose samples are compared with each other."""
        return {"set": cast("VerificationParameters", self.parameters).set}

    def passes(self, rows: Mapping[str, Rows]) -> Passes:
        """Compare all pairs of the set."""
        # numba and BLAS are wanted where pairs are compared, not where a configuration is checked.
        from evaljobs.pairs.samples import prepare

        members = rows["set"]
        samples = prepare(members.outputs["embedding"], members.labels)
        return Passes(samples, self._rounds(samples))

    def _rounds(self, samples: Samples) -> Generator[Any, Any, Outcome]:
        from evaljobs.pairs.rounds import Limits, rounds
        from evaljobs.pairs.verification import conclude

        targets = cast("VerificationParameters", self.parameters).fpr
        found = conclude(samples, (yield from rounds(samples, targets, Limits())))
        return Outcome(found.to_json(), {"roc": found.curve_table()})
