"""Explain: where a model looks, for the hardest pairs or for single images, as maps over the images."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal, cast

import pyarrow as pa
from pydantic import Field, model_validator

from evaljobs.config import Section
from evaljobs.errors import UsageError
from evaljobs.jobs.job import After, Job, Outcome, Passes, Rows
from evaljobs.pairs_file import ListedPairs

if TYPE_CHECKING:
    from evaljobs.explain.choosing import Asked
    from evaljobs.explain.looking import All, Looking, Task

MAX_IMAGES = 1000
_TOO_LARGE = "maps are not compared with those of shuffled weights: the model is too large to be held as a whole"

TargetName = Literal["pairs", "prototype", "predicted", "label", "class"]


class ExplainParameters(Section):
    """The keys of an explain job."""

    set: str | None = Field(None, description="the set whose images are explained; the only set where there is one")
    target: TargetName = Field(
        "pairs",
        description="what is explained. Embeddings: why the hardest impostor `pairs` of a verification are alike; or "
        "the similarity to the `prototype`, the mean of the label's other images. Class scores: of the class that is "
        "`predicted`, of the `label`'s class, or of one named `class`",
    )
    class_name: str | None = Field(None, description="with `target: class`: which one")
    label_map: dict[str, str] = Field(
        default_factory=dict, description="with `target: label`, by label of an image: the name of the class it means"
    )
    images: int = Field(24, ge=1, le=MAX_IMAGES, description="how many images at most; of pairs, twice their number")
    choose: Literal["hard", "labels"] = Field(
        "hard",
        description="which of more, where there are no pairs. `hard`: the least similar to the prototype, the least "
        "certain, the most wrong, the highest scores of the named class; `labels`: labels alike, by a hash of bytes",
    )
    layer: str | None = Field(
        None, description="tensor whose channels are weighed; left out: the last one with places that all goes through"
    )
    steps: int = Field(
        16, ge=0, le=256, description="of the deletion and insertion curves that maps are checked by; 0: no check"
    )
    shuffled: bool = Field(True, description="whether maps are compared with those of the model with shuffled weights")
    seed: int = Field(0, ge=0, le=2**63 - 1, description="of random maps, shuffled weights and `choose: labels`")

    @model_validator(mode="after")
    def _class_where_it_belongs(self) -> ExplainParameters:
        if (self.target == "class") != (self.class_name is not None):
            found = "`target: class` without `class_name`" if self.class_name is None else "`class_name`"
            raise ValueError(f"found {found}; write both, `target: class` and `class_name: NAME`, or none")
        if self.label_map and self.target != "label":
            raise ValueError("`label_map` says what labels mean, which `target: label` alone asks for")
        return self


class ExplainJob(Job):
    """Where a model looks: Ablation-CAM maps of the hardest pairs or of single images, checked by deletion curves."""

    kind: ClassVar[str] = "explain"
    version: ClassVar[int] = 2
    uses_images: ClassVar[bool] = True
    compares: ClassVar[bool] = False
    Parameters: ClassVar[type[Section]] = ExplainParameters

    def __init__(self, name: str, parameters: Section, after: After | None = None) -> None:
        super().__init__(name, parameters, after)
        of_embeddings = self._given.target in {"pairs", "prototype"}
        self.outputs = ("embedding",) if of_embeddings else ("scores",)
        # By default the best model of the first such job on its set.
        self.follows = "verification" if of_embeddings else "classification"
        self.uses_before = self._given.target == "pairs"

    def sets(self) -> dict[str, str]:
        """Return the set whose images are explained."""
        return {"set": self._given.set or "main"}

    def n_pairs(self, ids: Mapping[str, pa.Array], listed: ListedPairs | None) -> int:  # noqa: ARG002 - it lists none
        """Return what it costs: each image as much as comparing so many pairs."""
        from evaljobs.explain.looking import PAIRS_AN_IMAGE

        return min(len(ids["set"]), self._given.images) * PAIRS_AN_IMAGE

    @property
    def _given(self) -> ExplainParameters:
        return cast("ExplainParameters", self.parameters)

    def passes(self, rows: Mapping[str, Rows]) -> Passes:
        """Choose the images and find the layer."""
        # The runtime of models is wanted where they run, not where a configuration is checked.
        from evaljobs.explain.halved import can_shuffle, find_layer
        from evaljobs.explain.looking import Looking, Task

        given, side = self._given, rows["set"]
        if side.sight is None:
            raise UsageError(f"job {self.name!r} looks at images; vectors alone cannot be explained")
        asked = self._asked(side)
        (role,) = self.outputs
        layer = find_layer(side.sight.model, role, given.layer)
        task = Task(side.sight.of([item.row for item in asked.items]), tuple(asked.items), role, layer)
        shuffled = given.shuffled and can_shuffle(side.sight.model)
        large = [] if shuffled or not given.shuffled else [_TOO_LARGE]
        work = Looking(len(task.items), given.steps, shuffled, given.seed)
        return Passes(task, self._rounds(task, side, work, [*asked.notes, *large]))

    def _asked(self, side: Rows) -> Asked:
        """Return what is explained.

        Raises
        ------
        InputError, NonFiniteError
            If it cannot be: of what the model gave, or for want of such images.
        """
        from evaljobs.classification.scale import known_scale, refuse_non_finite
        from evaljobs.explain.choosing import (
            Classes,
            How,
            Images,
            hardest_pairs,
            labelled,
            of_class,
            predicted,
            prototypes,
        )

        given = self._given
        images = Images(side.digests.to_pylist(), side.labels, side.outputs[self.outputs[0]])
        how = How(given.images, given.choose, given.seed)
        if given.target == "pairs":
            found = None if side.before is None else side.before.tables.get("hardest")
            return hardest_pairs(found, images, given.images)
        if given.target == "prototype":
            return prototypes(images, how)
        refuse_non_finite(images.rows)
        model = side.model
        scale = known_scale(images.rows, model.scores_are, told=model.scores_told, need="what is explained")
        classes = Classes(model.classes, scale.value, given.label_map)
        if given.class_name is not None:
            return of_class(images, classes, given.class_name, how)
        return (labelled if given.target == "label" else predicted)(images, classes, how)

    def _rounds(self, task: Task, side: Rows, work: Looking, notes: list[str]) -> Generator[Any, Any, Outcome]:
        from evaljobs.explain.found import result_of, table_of

        given = self._given
        found: All = yield work
        result = {
            "n_samples": len(side.labels),
            "target": given.target,
            "class": given.class_name,
            "choose": "pairs" if given.target == "pairs" else given.choose,
            **result_of(task, found.in_order, work),
            "notes": notes,
        }
        labels = [side.labels[item.row] for item in task.items]
        return Outcome(result, {"explained": table_of(task, found.in_order, labels)})
