"""Classification: is the class with the highest score the right one, how often, and how sure is the model of it."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal, cast

import pyarrow as pa
from pydantic import Field, field_validator

from evaljobs.config import Section
from evaljobs.jobs.job import Job, Outcome, Passes, Result, Rows
from evaljobs.pairs_file import ListedPairs

if TYPE_CHECKING:
    from evaljobs.classification.count import Counting
    from evaljobs.classification.samples import Samples


class ClassificationParameters(Section):
    """The keys of a classification job."""

    set: str | None = Field(None, description="the set whose images are classified; the only set where there is one")
    top_k: tuple[int, ...] = Field(
        (1, 5),
        description="how often the right class is among the best so many; numbers below that of the classes",
    )
    label_map: dict[str, str] = Field(
        default_factory=dict, description="by label of an image: the name of the class that is meant"
    )
    missing: Literal["refuse", "exclude"] = Field(
        "refuse",
        description="where a label is no class of a model: the model is refused, or such images are left out",
    )
    bins: int = Field(15, ge=1, le=1000, description="of the reliability diagram and ECE: bins of equal width")
    groups: int = Field(
        20,
        ge=0,
        le=200,
        description="of how many groups of images one is left out at a time for the 95% intervals; 0: no intervals",
    )
    mistakes: int = Field(100, ge=0, le=10_000, description="how many of the most confident mistakes are listed")

    @field_validator("groups")
    @classmethod
    def _refuse_one(cls, number: int) -> int:
        if number == 1:
            raise ValueError("one is too few; write 0 for none, or at least 2")
        return number

    @field_validator("top_k", mode="before", json_schema_input_type=tuple[int, ...] | int)
    @classmethod
    def _one_or_several(cls, top_k: object) -> object:
        return [top_k] if isinstance(top_k, str | int) else top_k

    @field_validator("top_k")
    @classmethod
    def _once_each(cls, several: tuple[int, ...]) -> tuple[int, ...]:
        if any(k < 1 for k in several):
            raise ValueError("expected numbers from 1")
        return tuple(sorted({*several}))


class ClassificationJob(Job):
    """Accuracy, top-k, precision, recall and F1, confusion and calibration of models that give class scores."""

    kind: ClassVar[str] = "classification"
    version: ClassVar[int] = 2
    outputs: tuple[str, ...] = ("scores",)
    Parameters: ClassVar[type[Section]] = ClassificationParameters

    def sets(self) -> dict[str, str]:
        """Return the set whose images are classified."""
        return {"set": self._given.set or "main"}

    def n_pairs(self, ids: Mapping[str, pa.Array], listed: ListedPairs | None) -> int:
        """Return how many pairs are compared: none, each image is judged by itself."""
        del ids, listed
        return 0

    @property
    def _given(self) -> ClassificationParameters:
        return cast("ClassificationParameters", self.parameters)

    def passes(self, rows: Mapping[str, Rows]) -> Passes:
        """Count, in one pass over the images."""
        from evaljobs.classification.classification import counting
        from evaljobs.classification.groups import keys_of_digests
        from evaljobs.classification.measure import Scale
        from evaljobs.classification.samples import Setting, prepare

        given, side = self._given, rows["set"]
        scale = side.model.scores_are
        setting = Setting(
            side.model.classes,
            given.label_map,
            given.missing == "exclude",
            None if scale is None else Scale(scale),
            given.groups,
            side.model.scores_told,
        )
        keys = keys_of_digests(b"".join(side.digests.to_pylist()))
        samples = prepare(side.outputs["scores"], side.labels, keys, setting)
        return Passes(samples, _rounds(samples, counting(samples, given.top_k, given.bins, given.mistakes)))

    def best_first(self, results: Mapping[str, Result]) -> list[str]:
        """Return the models by their accuracy, then their balanced accuracy; those judged on other images left out."""
        from evaljobs.report.comparing.measures import class_rows
        from evaljobs.report.results import OK, Group

        group = Group(self.name, "", {name: {"status": OK, "result": found} for name, found in results.items()})
        models = [{"name": name, "status": OK} for name in results]
        rows = class_rows({"models": models, "evaluations": []}, group)
        return [row["model"]["name"] for row in rows if row["rank"] is not None]


def _rounds(samples: Samples, work: Counting) -> Generator[Any, Any, Outcome]:
    from evaljobs.classification.classification import conclude

    found = conclude(samples, work, (yield work))
    return Outcome(found.to_json(), found.tables())
