"""Audit: whether numbers can be believed. What files give away, and what models make of that."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar, cast

import pyarrow as pa
import pyarrow.compute as pc

from evaljobs.config import OWN_COLUMN, Section, Set, Step
from evaljobs.errors import UsageError
from evaljobs.jobs.audit_images import ImagesAudit, outcome_of
from evaljobs.jobs.audit_keys import AuditParameters
from evaljobs.jobs.job import Job, Passes, Rows
from evaljobs.jobs.views import view_of
from evaljobs.pairs_file import ListedPairs

if TYPE_CHECKING:
    from evaljobs.audit.models import Asked
    from evaljobs.audit.training import Training

_OF_IMAGES = frozenset({"pictures", "near", "columns", "seed", "training", "training_list"})


class AuditJob(Job):
    """Whether files tell labels, and what of a model's numbers goes away when all files are made alike."""

    kind: ClassVar[str] = "audit"
    version: ClassVar[int] = 1
    uses_facts: ClassVar[bool] = True
    Parameters: ClassVar[type[Section]] = AuditParameters
    # What the other part is asked decides nothing here.
    places: ClassVar[frozenset[str]] = frozenset({"set"}) | _OF_IMAGES

    @property
    def _given(self) -> AuditParameters:
        return cast("AuditParameters", self.parameters)

    # What stands in the list of the training set, once it is read.
    _training: Training | None = None

    def attached(self) -> tuple[str, ...]:
        """Return the list of the training set, if there is one."""
        return () if self._given.training_list is None else (self._given.training_list,)

    def opened(self, locate: Callable[[str], str]) -> AuditJob:
        """Return it with what stands in that list."""
        if self._given.training_list is None:
            return self
        from evaljobs.audit.training_list import read_training

        found = copy.copy(self)
        found._training = read_training(locate(self._given.training_list), f"job {self.name!r}: training_list")
        return found

    def of_images(self) -> Job:
        """Return what is asked of the images alone."""
        return ImagesAudit(self.name, self.parameters, self._training)

    def shown_set(self) -> str:
        """Return the set that is audited."""
        return self._given.set or "main"

    def views(self) -> dict[str, Set]:
        """Return the set with all images encoded anew, once for each way."""
        return dict(view_of(self.shown_set(), *steps) for steps in self._given.steps())

    def sets(self) -> dict[str, str]:
        """Return the set, and its views, by role: ``set``, ``counterfactual 1``, ..."""
        return {"set": self.shown_set(), **{f"counterfactual {n}": name for n, name in enumerate(self.views(), 1)}}

    def refuse(self, sets: Mapping[str, Set]) -> None:
        """Refuse views, whose files are those of another set, and a set that is its own training set."""
        given, name = self._given, self.shown_set()
        of = sets[name].of
        if of is not None:
            raise UsageError(
                f"job {self.name!r}: the set {name!r} is a view, and has no files of its own to audit; audit {of!r}"
            )
        if given.training == name:
            raise UsageError(
                f"job {self.name!r}: `training` names the set {name!r} that is audited; name one of training images"
            )
        if others := [column for column in given.columns if not column.startswith(OWN_COLUMN)]:
            raise UsageError(
                f"job {self.name!r}: found `columns: {others[0]}`; expected columns of people's own, such as "
                f"{OWN_COLUMN}{others[0]}: facts of files are looked at anyway"
            )

    def check_samples(self, samples: Mapping[str, pa.Table]) -> None:
        """Refuse images of one label, and ways to encode them that change nothing."""
        side = samples["set"]
        labels = pc.unique(side["label"])
        if len(labels) < 2:
            raise UsageError(
                f"job {self.name!r}: all {side.num_rows:,} images of {self.shown_set()!r} have one label, "
                f"{str(labels[0].as_py())!r}, and an audit asks what tells labels apart; expected two or more: see "
                "`label` of the set"
            )
        if self.may_idle:
            return
        for steps in self._given.steps():
            if same := _same_already(side, steps):
                raise UsageError(
                    f"job {self.name!r}: `counterfactual: {same}` changes nothing: every image is so already; leave it "
                    "out"
                )

    @property
    def may_idle(self) -> bool:
        """Whether nobody asked for these very ways."""
        return "counterfactual" not in self._given.model_fields_set

    def columns(self) -> tuple[str, ...]:
        """Return people's own columns that are asked like facts of files."""
        return self._given.columns

    def n_pairs(self, ids: Mapping[str, pa.Array], listed: ListedPairs | None) -> int:
        """Return how many pairs are compared: those of the set, of each view, and those of the set once by format."""
        del listed
        return sum(len(of_role) * (len(of_role) - 1) // 2 for of_role in [*ids.values(), ids["set"]])

    def passes(self, rows: Mapping[str, Rows]) -> Passes:
        """Compare the pairs of the set and of each view."""
        from evaljobs.audit.models import rounds
        from evaljobs.audit.several import several_of

        facts = rows["set"].facts
        if facts is None:
            raise UsageError("an audit looks at the files of images; vectors alone have none")
        several = several_of(
            {role: of_role.outputs["embedding"] for role, of_role in rows.items()},
            {role: (of_role.ids.to_pylist(), of_role.labels) for role, of_role in rows.items()},
            self._given.groups,
        )
        return Passes(several, outcome_of(rounds(several, facts, self._asked())))

    def _asked(self) -> Asked:
        from evaljobs.audit.models import Asked, Recoding

        given = self._given
        titles = [name.removeprefix(f"{self.shown_set()}, ") for name in self.views()]
        return Asked(
            recodings=tuple(
                Recoding(f"counterfactual {n}", title, tuple(step.kind for step in steps))
                for n, (title, steps) in enumerate(zip(titles, given.steps(), strict=True), 1)
            ),
            png="png" in given.counterfactual,
            fpr=given.fpr,
            hardest=given.hardest,
        )


def _same_already(samples: pa.Table, steps: Sequence[Step]) -> str:
    """Return what a single step would make of files that all have it already; empty where it changes some."""
    (step, *others) = steps
    known = samples.filter(pc.is_valid(samples["mode"]))  # the others are no images
    if others or not known.num_rows:
        return ""
    if step.resize is not None:
        height, width = step.resize.size
        same = pc.and_(pc.equal(known["height"], height), pc.equal(known["width"], width))
        said = f"resize: [{height}, {width}]"
    elif step.grayscale:
        same, said = pc.is_in(known["mode"], value_set=pa.array(["1", "L"])), "grayscale: true"
    else:
        return ""
    return said if pc.all(same).as_py() else ""
