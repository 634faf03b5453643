"""Views: image sets made of others by a declared change of their pixels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

import pydantic
from pydantic import BeforeValidator, Field, model_validator

from evaljobs.config.section import Section, as_list

# Where a step acts: on the picture as its file has it, or on the pixels that a model's geometry makes of it.
Point = Literal["file", "input"]


class Noise(Section):
    """Noise mixed into the pixels."""

    strength: float = Field(gt=0, le=1, description="s of (1 - s) x + s u, with u even from black to white")
    pattern: Literal["image", "shared"] = Field(
        "image", description="whether each image has noise of its own, or all pictures of one size have the same"
    )


class Jpeg(Section):
    """Compression as a JPEG."""

    quality: int = Field(ge=1, le=100, description="Pillow's, 1 the worst; 95 is nearly as good as it gets")
    subsampling: Literal["4:4:4", "4:2:2", "4:2:0"] = Field("4:2:0", description="of the colours")


class Resize(Section):
    """Scaling to one size."""

    size: tuple[int, int] = Field(description="[height, width]; one number for both")
    interpolation: Literal["nearest", "bilinear", "bicubic", "lanczos", "box", "hamming"] = Field(
        "bilinear", description="Pillow's filter"
    )

    @pydantic.field_validator("size", mode="before", json_schema_input_type=tuple[int, int] | int)
    @classmethod
    def _square(cls, size: object) -> object:
        return (size, size) if isinstance(size, str | int) else size

    @pydantic.field_validator("size")
    @classmethod
    def _positive(cls, size: tuple[int, int]) -> tuple[int, int]:
        if min(size) < 1 or max(size) > _LARGEST:
            raise ValueError(f"a size is [height, width], both from 1 to {_LARGEST:,}")
        return size


_LARGEST = 65_500


def _spelled(key: str, short: Any) -> BeforeValidator:
    """Let a bare value stand for the mapping of one key; `short` is the type of both, for the JSON schema."""
    return BeforeValidator(
        lambda value: value if isinstance(value, Mapping | Section) else {key: value}, json_schema_input_type=short
    )


_Factor = Annotated[float, Field(ge=0, le=100)]


class Step(Section):
    """One change of the pixels: the name of the step, and how strong it is."""

    noise: Annotated[Noise, _spelled("strength", Noise | float)] | None = Field(
        None, description="uniform noise; `noise: 0.7` is short for `{strength: 0.7}`"
    )
    blur: Annotated[float, Field(gt=0, le=1000)] | None = Field(
        None, description="Gaussian; the radius (standard deviation) in pixels"
    )
    jpeg: Annotated[Jpeg, _spelled("quality", Jpeg | int)] | None = Field(
        None, description="saved as a JPEG and decoded again; `jpeg: 30` is short for `{quality: 30}`"
    )
    brightness: _Factor | None = Field(None, description="a factor: 0 is black, 1 would change nothing")
    contrast: _Factor | None = Field(
        None, description="a factor: 0 is the mean grey of the picture, 1 would change nothing"
    )
    resize: Annotated[Resize, _spelled("size", Resize | tuple[int, int] | int)] | None = Field(
        None, description="to one size, before the model's own; `resize: 64` is short for `{size: [64, 64]}`"
    )
    rotate: Annotated[float, Field(gt=-360, lt=360)] | None = Field(
        None,
        description="degrees counter-clockwise: multiples of 90 turn the picture, other angles turn it inside its "
        "frame, black where nothing is",
    )
    grayscale: bool | None = Field(None, description="`true`: the luma on all channels")
    at: Point | None = Field(
        None,
        description="what it acts on: `file`, the picture as its file has it; or `input`, the pixels at the model's "
        "size. `input` for noise, `file` for all others where left out",
    )

    @model_validator(mode="before")
    @classmethod
    def _no_png(cls, data: object) -> object:
        if isinstance(data, Mapping) and "png" in data:
            raise ValueError(
                "PNG keeps every pixel, and models see nothing but pixels: `png` changes nothing; leave it out"
            )
        return data

    @model_validator(mode="after")
    def _one_that_changes_something(self) -> Step:
        given = [name for name in STEPS if getattr(self, name) is not None]
        if len(given) != 1:
            found = " and ".join(f"`{name}`" for name in given) or "none"
            raise ValueError(f"a step is one of {', '.join(STEPS)}; found {found}")
        (kind,) = given
        if kind in _NOTHING and getattr(self, kind) == _NOTHING[kind]:
            raise ValueError(f"`{kind}: {str(_NOTHING[kind]).lower()}` changes nothing; leave it out")
        if kind == "resize" and self.at == "input":
            raise ValueError("`resize` has no place `at: input`, where the size is the model's; leave `at` out")
        return self

    @property
    def kind(self) -> str:
        """Which step it is."""
        return next(name for name in STEPS if getattr(self, name) is not None)

    @property
    def point(self) -> Point:
        """Where it acts."""
        return self.at or ("input" if self.noise is not None else "file")

    @property
    def values(self) -> dict[str, Any]:
        """Return what the step takes, by name."""
        value = getattr(self, self.kind)
        if isinstance(value, Section):
            return value.model_dump(mode="json")
        return {_NAME_OF[self.kind]: value} if self.kind in _NAME_OF else {}


STEPS = tuple(name for name in Step.model_fields if name != "at")
# Values that change nothing.
_NOTHING = {"brightness": 1, "contrast": 1, "rotate": 0, "grayscale": False}
# What the number of a step is called.
_NAME_OF = {"blur": "radius", "brightness": "factor", "contrast": "factor", "rotate": "degrees"}


class View(Section):
    """How the pixels of a set differ from those of the set that it is made of."""

    steps: Annotated[tuple[Step, ...], BeforeValidator(as_list, json_schema_input_type=tuple[Step, ...] | Step)] = (
        Field(min_length=1, description="what is done to a picture, in order")
    )
    share: float | None = Field(
        None,
        gt=0,
        le=1,
        description="of the images, chosen by a hash of `seed` and their bytes, about so many are changed; all where "
        "neither this nor `first` is given",
    )
    first: int | None = Field(None, gt=0, description="so many are changed, the first in the order of the set")
    seed: int = Field(0, ge=0, le=2**63 - 1, description="of what is drawn: noise, and the images of a `share`")

    @model_validator(mode="after")
    def _whole(self) -> View:
        if self.share is not None and self.first is not None:
            raise ValueError("found `share` and `first`; give one of them, or neither to change every image")
        draws = any(step.noise is not None for step in self.steps)
        if "seed" in self.model_fields_set and self.seed and not draws and self.share in {None, 1.0}:
            raise ValueError("`seed` changes nothing, as nothing is drawn: there is no noise and no `share`")
        refuse_late_steps(self.steps)
        return self


def refuse_late_steps(steps: Sequence[Step]) -> None:
    """Refuse an order in which steps cannot act.

    Raises
    ------
    ValueError
        If a step that acts on the file's picture stands behind one that acts on the pixels made of it.
    """
    points = [step.point for step in steps]
    behind = steps[points.index("input") :] if "input" in points else ()
    if late := next((step.kind for step in behind if step.point == "file"), None):
        early = behind[0].kind
        raise ValueError(
            f"`{late}` acts on the file's picture, and `{early}` before it on what the model's size makes of that; "
            f"put `{late}` first, or say where one of them acts: `{{{early}: ..., at: file}}`"
        )
