"""Verification: all pairs of a set, probes against a gallery, or listed pairs; exactly."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, cast

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field, field_validator, model_validator

from evaljobs.config import DEFAULT_TARGETS, PathText, Section, Targets
from evaljobs.errors import InputError
from evaljobs.jobs.job import Job, Outcome, Passes, Result, Rows
from evaljobs.pairs_file import ListedPairs

if TYPE_CHECKING:
    from evaljobs.pairs.samples import Samples


class VerificationParameters(Section):
    """The keys of a verification job."""

    set: str | None = Field(None, description="the set whose images are compared; the only set where there is one")
    pairs: PathText | None = Field(
        None,
        description="with `set`: compare the pairs that this CSV or Parquet file lists, by sample id in columns `id_a` "
        "and `id_b`; genuine by the labels, or by a column `genuine`",
    )
    probe: str | None = Field(
        None, description="in place of `set`: the set whose images are compared with those of `gallery`"
    )
    gallery: str | None = Field(
        None, description="with `probe`: the set that they are compared with; images of equal sample id are not"
    )
    fpr: Targets = Field(DEFAULT_TARGETS, description="as `fpr` of the file, whose value it is where left out")
    groups: int = Field(
        20,
        ge=0,
        le=200,
        description="of how many groups of labels one is left out at a time for the 95% intervals; 0: no intervals",
    )
    hardest: int = Field(100, ge=0, le=10_000, description="how many of the hardest pairs of each kind are listed")
    by_label: bool = Field(True, description="whether errors are counted by label and by pair of labels")
    self_check: int = Field(
        0,
        ge=0,
        le=10_000,
        description="check the fast way against scikit-learn on so many samples, and fail where they differ; 0: no",
    )

    @field_validator("groups", "self_check")
    @classmethod
    def _refuse_one(cls, number: int) -> int:
        if number == 1:
            raise ValueError("one is too few; write 0 for none, or at least 2")
        return number

    @model_validator(mode="after")
    def _one_protocol(self) -> VerificationParameters:
        sides = [key for key in ("probe", "gallery") if getattr(self, key) is not None]
        if len(sides) == 1:
            (other,) = {"probe", "gallery"} - {*sides}
            raise ValueError(f"`{sides[0]}` is given without `{other}`; name the sets of both")
        if sides and self.set is not None:
            raise ValueError("found `set` beside `probe` and `gallery`; give `set` alone, or the two")
        if sides and self.pairs is not None:
            raise ValueError("found `pairs` beside `probe` and `gallery`; pairs are listed of one `set`")
        if sides and self.probe == self.gallery:
            raise ValueError("`probe` and `gallery` are the same set; for all its pairs, each once, write `set`")
        if self.pairs is not None and self.self_check:
            raise ValueError(
                "found `self_check` beside `pairs`: listed pairs are not compared in the fast way that it checks"
            )
        return self


class VerificationJob(Job):
    """TPR at given FPRs over all pairs of a set, a probe and a gallery set, or listed pairs; thresholds and AUROC."""

    kind: ClassVar[str] = "verification"
    version: ClassVar[int] = 6
    Parameters: ClassVar[type[Section]] = VerificationParameters
    places: ClassVar[frozenset[str]] = frozenset({"set", "probe", "gallery", "pairs"})

    def sets(self) -> dict[str, str]:
        """Return the one set whose samples are compared with each other, or the probes and the gallery."""
        given = self._given
        if given.probe is not None and given.gallery is not None:
            return {"probe": given.probe, "gallery": given.gallery}
        return {"set": given.set or "main"}

    def listed(self) -> dict[str, str]:
        """Return the file of pairs, if there is one."""
        return {} if self._given.pairs is None else {"set": self._given.pairs}

    @property
    def uses_ids(self) -> bool:
        """Whether samples of equal id are left out: between probes and a gallery."""
        return self._given.probe is not None

    def n_pairs(self, ids: Mapping[str, pa.Array], listed: ListedPairs | None) -> int:
        """Return how many pairs are compared."""
        if listed is not None:
            return len(listed.rows)
        if "set" in ids:
            return len(ids["set"]) * (len(ids["set"]) - 1) // 2
        same = pc.sum(pc.is_in(ids["probe"], value_set=ids["gallery"])).as_py() or 0
        return len(ids["probe"]) * len(ids["gallery"]) - int(same)

    def best_first(self, results: Mapping[str, Result]) -> list[str]:
        """Return the models by their TPR at the FPR that the leaderboard chooses for all of them, then their AUROC."""
        from evaljobs.report.results import OK, Group
        from evaljobs.report.tables.leaderboard import chosen_fpr, leaderboard_rows

        group = Group(self.name, "", {name: {"status": OK, "result": found} for name, found in results.items()})
        fpr = chosen_fpr(group)
        if fpr is None:
            return []
        models = [{"name": name, "status": OK} for name in results]
        rows = leaderboard_rows({"models": models, "evaluations": []}, group, fpr)
        return [row["model"]["name"] for row in rows if row["rank"] is not None]

    @property
    def _given(self) -> VerificationParameters:
        return cast("VerificationParameters", self.parameters)

    def passes(self, rows: Mapping[str, Rows]) -> Passes:
        """Compare the pairs."""
        samples = _prepared(rows, self._given.groups)
        return Passes(samples, self._rounds(samples, rows))

    def _rounds(self, samples: Samples, rows: Mapping[str, Rows]) -> Generator[Any, Any, Outcome]:
        from evaljobs.jobs.beside import notes_of
        from evaljobs.pairs.closer import Wanted
        from evaljobs.pairs.listed import Listed, listed_rounds
        from evaljobs.pairs.rounds import Limits, rounds
        from evaljobs.pairs.verification import conclude

        given = self._given
        checked = self._check(rows)
        wanted = Wanted(given.hardest, given.by_label)
        if isinstance(samples, Listed):
            found = conclude(samples, (yield from listed_rounds(samples, given.fpr, wanted)))
        else:
            found = conclude(samples, (yield from rounds(samples, given.fpr, Limits(), wanted)))
        listed = next((side.listed for side in rows.values() if side.listed is not None), None)
        beside = {
            "listed": None if listed is None else {"digest": listed.digest(), "excluded_pairs": listed.excluded},
            "notes": notes_of(found, given.hardest, n_probes=samples.gallery, listed=listed),
            "self_check": checked,
        }
        return Outcome({**found.to_json(), **beside}, found.tables())

    def _check(self, rows: Mapping[str, Rows]) -> dict[str, Any] | None:
        """Compare with scikit-learn on a part of the samples.

        Raises
        ------
        ModelError
            If there is a difference: no number of this evaluation can be relied on.
        """
        size = self._given.self_check
        if not size:
            return None
        import numpy as np

        from evaljobs.jobs.beside import check_itself

        # Of probes and gallery, those that are drawn are compared with each other: the way is the same.
        embeddings = np.concatenate([side.outputs["embedding"] for side in rows.values()])
        return check_itself(
            embeddings, [label for side in rows.values() for label in side.labels], self._given.fpr, size
        )


def _prepared(rows: Mapping[str, Rows], groups: int) -> Samples:
    """Make the samples ready to be compared.

    Raises
    ------
    InputError
        If they cannot be compared.
    """
    # numba and BLAS are wanted where pairs are compared, not where a configuration is checked.
    from evaljobs.pairs.cross import prepare_cross
    from evaljobs.pairs.listed import prepare_listed
    from evaljobs.pairs.samples import prepare

    embeddings = {role: side.outputs["embedding"] for role, side in rows.items()}
    if "probe" in rows:
        probe, gallery = rows["probe"], rows["gallery"]
        ids = probe.ids.to_pylist(), gallery.ids.to_pylist()
        return prepare_cross(
            embeddings["probe"], probe.labels, embeddings["gallery"], gallery.labels, *ids, n_groups=groups
        )
    members = rows["set"]
    if members.listed is None:
        return prepare(embeddings["set"], members.labels, n_groups=groups)
    listed = members.listed
    if not len(listed.rows):
        raise InputError(f"each of the {listed.excluded:,} listed pairs has an image that is excluded (failures.csv)")
    return prepare_listed(embeddings["set"], listed.rows, members.labels, listed.genuine, n_groups=groups)
