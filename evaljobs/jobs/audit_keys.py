"""The keys of an audit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import BeforeValidator, Discriminator, Field, Tag, field_validator, model_validator

from evaljobs.config import DEFAULT_TARGETS, PathText, Section, Step, Targets
from evaljobs.config.section import Name, as_list

Png = Literal["png"]
# One way to encode all images anew: PNG, one step, or several in order.
_Steps = Annotated[tuple[Step, ...], Field(min_length=1)]
Recoding = Png | _Steps


def _kind(value: object) -> str:
    """Return which of both something is meant to be, so that mistakes are told of this one alone."""
    return "png" if isinstance(value, str) else "steps"


_Recoding = Annotated[Annotated[Png, Tag("png")] | Annotated[_Steps, Tag("steps")], Discriminator(_kind)]
# Steps after which a property of the files is the same for all images.
_EVENS_OUT = ("jpeg", "resize", "grayscale")
_Names = tuple[Name, ...]


def _recoding(value: object) -> object:
    """Take a single step for a list of it."""
    if isinstance(value, str) and value != "png":
        raise ValueError(f"found {value!r}; expected `png`, or a step with its value, such as `jpeg: 75`")
    return value if isinstance(value, str | list | tuple) else [value]


def _recodings(value: object) -> object:
    return [_recoding(one) for one in value] if isinstance(value, list | tuple) else value


_Given = tuple[Png | Step | tuple[Step, ...], ...]
Recodings = Annotated[
    tuple[_Recoding, ...],
    BeforeValidator(_recodings, json_schema_input_type=_Given),
    BeforeValidator(as_list, json_schema_input_type=_Given | Png),
]
DEFAULT_RECODINGS: tuple[Recoding, ...] = (
    "png",
    (Step.model_validate({"jpeg": 75}),),
    (Step.model_validate({"resize": 100}),),
)


class AuditParameters(Section):
    """The keys of an audit."""

    set: str | None = Field(None, description="the set that is audited; the only set where there is one")
    training: str | None = Field(
        None, description="a set of the images that the models were trained on: are labels or images shared with it?"
    )
    training_list: PathText | None = Field(
        None,
        description="in place of `training`: a CSV or Parquet file, local or `s3://`, with a column `label`, a column "
        "`sha256` of the training images' bytes, or both",
    )
    counterfactual: Recodings = Field(
        DEFAULT_RECODINGS,
        description="ways to encode all images anew, after each of which every model is evaluated again: `png`, which "
        "keeps every pixel, and steps of views that make files alike: `jpeg: 75`, `resize: 100`, `grayscale: true`, or "
        "a list of these in order; `[]`: none",
    )
    fpr: Targets = Field(DEFAULT_TARGETS, description="as `fpr` of the file, whose value it is where left out")
    groups: int = Field(
        20, ge=2, le=200, description="of how many groups of labels one is left out at a time for the 95% intervals"
    )
    hardest: int = Field(
        1000,
        ge=0,
        le=10_000,
        description="how many of the hardest pairs of each kind are searched for likely label errors; 0: none",
    )
    pictures: bool = Field(
        True, description="whether images are decoded to find near duplicates and blank ones; exact ones need none"
    )
    near: int = Field(
        4, ge=0, le=8, description="bits, of 64, by which the perceptual hashes of near duplicates differ at most"
    )
    columns: Annotated[_Names, BeforeValidator(as_list, json_schema_input_type=_Names | str)] = Field(
        (), description="columns that the manifest keeps, such as `manifest.camera`, asked like the facts of files"
    )
    seed: int = Field(0, ge=0, le=2**63 - 1, description="of permutations, splits and samples of large sets")

    @model_validator(mode="after")
    def _one_training(self) -> AuditParameters:
        if self.training is not None and self.training_list is not None:
            raise ValueError("found `training` and `training_list`; name the set, or a list of its labels and digests")
        return self

    @field_validator("counterfactual")
    @classmethod
    def _evens_out(cls, recodings: tuple[Recoding, ...]) -> tuple[Recoding, ...]:
        for steps in recodings:
            other = next((step.kind for step in steps if step.kind not in _EVENS_OUT), None) if steps != "png" else None
            if other is not None:
                raise ValueError(
                    f"`{other}` leaves files as different as they were; expected png, {', '.join(_EVENS_OUT)}. What "
                    "other changes cost is a verification of a view"
                )
        if len({repr(one) for one in recodings}) < len(recodings):
            raise ValueError("the same twice; leave one of them out")
        return recodings

    def steps(self) -> Sequence[tuple[Step, ...]]:
        """Return what is done to images in each of the ways that change pixels: all but PNG."""
        return [recoding for recoding in self.counterfactual if not isinstance(recoding, str)]
