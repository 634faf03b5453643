"""The keys of an uncertainty job."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, field_validator, model_validator

from evaljobs.config import Section
from evaljobs.uncertainty.measures import OF_EMBEDDINGS, OF_PASSES, OF_SCORES, Measure


def _as_list(value: object) -> object:
    return [value] if isinstance(value, str) else value


def _once(names: tuple[str, ...]) -> tuple[str, ...]:
    if len(set(names)) < len(names):
        raise ValueError("name each set once")
    return names


_Name = Annotated[str, Field(min_length=1)]
_Names = tuple[_Name, ...]
Sets = Annotated[_Names, BeforeValidator(_as_list, json_schema_input_type=_Names | _Name), AfterValidator(_once)]
MeasureName = Literal[
    "entropy",
    "doubt",
    "predictive_entropy",
    "mutual_information",
    "expected_entropy",
    "variance",
    "disagreement",
    "distance",
    "farthest",
]


class UncertaintyParameters(Section):
    """The keys of an uncertainty job."""

    set: str | None = Field(
        None,
        description="the set of in-distribution images, what the models were made for; the only set where there is one",
    )
    corrupted: Sets = Field(
        (), description="sets of the same kind of images with something done to them, such as views: their labels count"
    )
    foreign: Sets = Field(
        (),
        description="sets of what the models were not made for: their images are the positives, and no label is right",
    )
    reference: str | None = Field(
        None,
        description="for embeddings in place of class scores: the set of images that others are to be near; "
        "uncertainty is then the distance to the nearest of them",
    )
    neighbours: int = Field(
        10, ge=1, le=10_000, description="with `reference`: the distance to how many of the nearest"
    )
    passes: int = Field(
        0,
        ge=0,
        le=1000,
        description="how often each image is run with the dropout that the model was exported with; 0: without dropout",
    )
    seed: int = Field(0, ge=0, le=2**63 - 1, description="with `passes`: what the masks of dropout are drawn from")
    measure: MeasureName | None = Field(
        None,
        description="what leads in headlines and ranks: of class scores `entropy` or `doubt`; with `passes` also "
        "`predictive_entropy` (by itself), `mutual_information`, `expected_entropy`, `variance`, `disagreement`; with "
        "`reference` `distance` or `farthest`. All of them are computed",
    )
    threshold: float | None = Field(
        None,
        allow_inf_nan=False,
        description="of that measure: images at least so uncertain are unsure; chosen by `share` where left out",
    )
    share: float = Field(
        0.1,
        gt=0,
        lt=1,
        description="the threshold is the lowest one at which at most this share of in-distribution images is unsure",
    )
    label_map: dict[str, str] = Field(
        default_factory=dict, description="by label of an image: the name of the class that is meant"
    )
    missing: Literal["refuse", "exclude", "ignore"] = Field(
        "refuse",
        description="where a label is no class of a model: the model is refused, such images are left out, or it is "
        "not asked whether any is right",
    )
    groups: int = Field(
        20,
        ge=0,
        le=200,
        description="of how many groups of images one is left out at a time for the 95% intervals; 0: no intervals",
    )
    bins: int = Field(50, ge=2, le=1000, description="of the histograms: bins of equal width")

    @field_validator("passes", "groups")
    @classmethod
    def _refuse_one(cls, number: int) -> int:
        if number == 1:
            raise ValueError("one is too few to see a spread; write 0 for none, or at least 2")
        return number

    @model_validator(mode="after")
    def _one_way(self) -> UncertaintyParameters:
        if self.reference is not None and self.passes:
            raise ValueError(
                "found `passes` beside `reference`; dropout is of class scores, distances are of embeddings"
            )
        for key, owner in (("neighbours", "reference"), ("seed", "passes")):
            if key in self.model_fields_set and not getattr(self, owner):
                raise ValueError(f"`{key}` changes nothing without `{owner}`; leave it out, or add that")
        if self.threshold is not None and "share" in self.model_fields_set:
            raise ValueError("found `share` beside `threshold`: the threshold is given, or chosen by a share")
        if self.measure is not None and self.measure not in self.measures():
            raise ValueError(f"no measure {self.measure!r} here; expected one of {', '.join(self.measures())}")
        self._refuse_one_set_twice()
        return self

    def _refuse_one_set_twice(self) -> None:
        for name in self.foreign:
            for role, others in (("set", (self.set,)), ("corrupted", self.corrupted), ("reference", (self.reference,))):
                if name in others:
                    raise ValueError(
                        f"the set {name!r} is `foreign` and `{role}`: nothing tells its images from themselves"
                    )
        if self.set is not None and self.set in self.corrupted:
            raise ValueError(f"the set {self.set!r} is `set` and `corrupted`; name a view of it, or another set")

    def measures(self) -> tuple[Measure, ...]:
        """Return what is measured, the leading one first where none is named."""
        if self.reference is not None:
            return OF_EMBEDDINGS
        return (*OF_PASSES, *OF_SCORES) if self.passes else OF_SCORES

    @property
    def leading(self) -> Measure:
        """The measure that a threshold is of, and that ranks."""
        return self.measures()[0] if self.measure is None else Measure(self.measure)
