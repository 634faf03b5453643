"""The keys of an anomaly job."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, field_validator, model_validator

from evaljobs.config import DEFAULT_TARGETS, Section, Targets

_Label = Annotated[str, Field(min_length=1)]
_Labels = tuple[_Label, ...]
_Degrees = Annotated[float, Field(gt=-360, lt=360)]
QUARTERS = (0.0, 90.0, 180.0, 270.0)


def _as_list(value: object) -> object:
    return [value] if isinstance(value, str | int | float) else value


class AnomalyParameters(Section):
    """The keys of an anomaly job."""

    set: str | None = Field(None, description="the set whose images are judged; the only set where there is one")
    normal: Annotated[_Labels, BeforeValidator(_as_list, json_schema_input_type=_Labels | _Label)] = Field(
        min_length=1, description="the labels of normal images; those of all others are anomalous, the positives"
    )
    rotations: tuple[_Degrees, ...] = Field(
        QUARTERS,
        description="of models that tell rotations apart: the degrees, counter-clockwise, that their classes stand "
        "for, in the order of the classes; 0 is one of them. The job makes these views itself",
    )
    at: Literal["file", "input"] = Field(
        "file", description="what is turned: the picture of the `file`, or the `input` at the model's size"
    )
    reference: str | None = Field(
        None,
        description="for embeddings in place of class scores: the set whose normal images others are to be near; the "
        "score is then the mean distance to the nearest of them",
    )
    neighbours: int = Field(
        10, ge=1, le=10_000, description="with `reference`: the distance to how many of the nearest"
    )
    fpr: Targets = Field(DEFAULT_TARGETS, description="as `fpr` of the file, whose value it is where left out")
    groups: int = Field(
        20,
        ge=0,
        le=200,
        description="of how many groups of images one is left out at a time for the 95% intervals; 0: no intervals",
    )

    @field_validator("groups")
    @classmethod
    def _refuse_one(cls, number: int) -> int:
        if number == 1:
            raise ValueError("one is too few; write 0 for none, or at least 2")
        return number

    @field_validator("normal")
    @classmethod
    def _once(cls, labels: tuple[str, ...]) -> tuple[str, ...]:
        if len({*labels}) < len(labels):
            raise ValueError("name each label once")
        return tuple(sorted(labels))

    @field_validator("rotations")
    @classmethod
    def _different(cls, rotations: tuple[float, ...]) -> tuple[float, ...]:
        turns = [rotation % 360 for rotation in rotations]
        if len(turns) < 2 or len({*turns}) < len(turns) or 0 not in turns:
            raise ValueError("expected at least two different rotations, 0 among them, such as [0, 90, 180, 270]")
        return tuple(turns)

    @model_validator(mode="after")
    def _one_method(self) -> AnomalyParameters:
        if self.reference is not None and {"rotations", "at"} & self.model_fields_set:
            raise ValueError(
                "found `reference` beside `rotations` or `at`: distances are of embeddings, and nothing is turned for "
                "them; leave one out, or write two jobs"
            )
        if self.reference is None and "neighbours" in self.model_fields_set:
            raise ValueError("`neighbours` belongs to `reference`, and changes nothing without; leave it out")
        return self
