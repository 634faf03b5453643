"""The image sets of the configuration file."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, field_validator, model_validator

from evaljobs.config.section import Name, PathText, Section, as_list
from evaljobs.config.views import Step, View, refuse_late_steps

_FORMATS = "avif bmp gif jp2 jpeg jpg pbm pgm png ppm tif tiff webp"
_EXTENSIONS = tuple(f".{name}" for name in _FORMATS.split())
# What the names of people's own columns begin with in samples.arrow.
OWN_COLUMN = "manifest."
# Columns that a listing has at any rate.
_LISTED = ("sample_id", "label", "uri")
_Names = tuple[Name, ...]


class Images(Section):
    """One image set: a folder, a manifest, Parquet files that hold images, or WebDataset tars; local or ``s3://``."""

    folder: PathText | None = Field(None, description="folder, searched with its subfolders")
    manifest: PathText | None = Field(None, description="CSV or Parquet file with a row per image that names its file")
    parquet: PathText | None = Field(
        None, description="Parquet that holds the images, as Hugging Face datasets writes it: a file, folder or glob"
    )
    tar: PathText | None = Field(
        None, description="WebDataset tars: a file, folder or glob, ranges such as {000..012} included"
    )
    label: Literal["folder", "prefix", "cls", "json"] | None = Field(
        None,
        description="folders and tars: label from the parent `folder`, or as `prefix` from the file name up to "
        "`separator`; tars: from the member `cls` or `json`. Left out: folder; in tars the first of cls, json, folder",
    )
    separator: str = Field("_", min_length=1, description="with `label: prefix`: where the label ends")
    uri_column: str = Field("uri", description="manifests: column of the files")
    image_column: str = Field("image", description="Parquet: column of the images")
    label_column: str = Field("label", description="manifests, Parquet: column of the labels; tars: key of the json")
    id_column: str | None = Field(None, description="manifests, Parquet: column of sample ids; else the uri or path")
    columns: Annotated[_Names, BeforeValidator(as_list, json_schema_input_type=_Names | str)] = Field(
        (),
        description="manifests: further columns to keep, of texts or numbers; in samples.arrow, and for maps, each is "
        "called `manifest.` and its name",
    )
    extensions: Annotated[tuple[str, ...], BeforeValidator(as_list, json_schema_input_type=tuple[str, ...] | str)] = (
        Field(
            _EXTENSIONS,
            description="folders and tars: which files are images (upper or lower case)",
        )
    )
    limit: int | None = Field(None, gt=0, description="quick look: at most so many images, spread over the labels")

    @model_validator(mode="after")
    def _one_source(self) -> Images:
        given = [name for name in _SOURCES if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError("give one of `folder`, `manifest`, `parquet` and `tar`")
        if self.label in {"cls", "json"} and self.tar is None:
            raise ValueError(f"`label: {self.label}` belongs to `tar`; the label is to be `folder` or `prefix`")
        self._refuse_keys_of_others()
        self._refuse_columns()
        return self

    def _refuse_columns(self) -> None:
        """Refuse columns that are kept anyway, and those that are named twice."""
        for number, name in enumerate(self.columns):
            if name in {*_LISTED, self.uri_column, self.label_column, self.id_column}:
                raise ValueError(
                    f"`columns` names {name!r}: file, label and id of each image are kept anyway; leave it out, or "
                    "give the column another name in the manifest"
                )
            if name in self.columns[:number]:
                raise ValueError(f"`columns` names {name!r} twice; name each column once")

    def _refuse_keys_of_others(self) -> None:
        """Refuse keys that would change nothing: whoever writes one believes that it does."""
        for key, kinds in _KEYS_OF.items():
            if key in self.model_fields_set and getattr(self, key) is not None and self.kind not in kinds:
                others = " and ".join(f"`{kind}`" for kind in kinds)
                raise ValueError(f"`{key}` belongs to {others}, and changes nothing with `{self.kind}`; leave it out")

    @property
    def kind(self) -> Literal["folder", "manifest", "parquet", "tar"]:
        """Which of the sources it is."""
        return next(name for name in _SOURCES if getattr(self, name) is not None)

    @property
    def location(self) -> str:
        """The source as it is written."""
        location: str = getattr(self, self.kind)
        return location


_KEYS_OF = {
    "label": ("folder", "tar"),
    "separator": ("folder", "tar"),
    "extensions": ("folder", "tar"),
    "uri_column": ("manifest",),
    "image_column": ("parquet",),
    "label_column": ("manifest", "parquet", "tar"),
    "id_column": ("manifest", "parquet"),
    "columns": ("manifest",),
}
_SOURCES: tuple[Literal["folder", "manifest", "parquet", "tar"], ...] = ("folder", "manifest", "parquet", "tar")


class Set(Section):
    """A named image set: images of its own, or a view of another set."""

    images: Images | None = Field(None, description="where the set's images are")
    of: str | None = Field(
        None, description="in place of `images`: the set whose images, ids and labels these are, with other pixels"
    )
    view: View | None = Field(
        None, description="with `of`: how the pixels differ; a list of steps is short for `{steps: ...}`"
    )

    @field_validator("view", mode="before", json_schema_input_type=View | tuple[Step, ...] | None)
    @classmethod
    def _steps(cls, view: object) -> object:
        return {"steps": view} if isinstance(view, list | tuple) else view

    @model_validator(mode="after")
    def _images_or_a_view(self) -> Set:
        if (self.of is None) != (self.view is None):
            given, other = ("of", "view") if self.view is None else ("view", "of")
            raise ValueError(f"found `{given}` without `{other}`; a view is made of another set and differs from it")
        if (self.images is None) == (self.of is None):
            raise ValueError("give either `images`, or `of` and `view`")
        return self


def lineage(sets: Mapping[str, Set], name: str) -> tuple[str, list[View]]:
    """Return the set whose images a set shows, and the views through which it does, the first that acts first.

    Raises
    ------
    ValueError
        If a view is made of a set that is not there, or of itself by way of others.
    """
    views: list[View] = []
    seen = [name]
    while (view := sets[seen[-1]].view) is not None:
        views.append(view)
        of = str(sets[seen[-1]].of)
        if of not in sets:
            near = get_close_matches(of, sets, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"the sets are {', '.join(sets)}"
            raise ValueError(f"sets.{seen[-1]}.of: no set {of!r}; {hint}")
        if of in seen:
            raise ValueError(f"sets.{seen[-1]}.of: {' of '.join([*seen, of])}: a circle, in which nothing has images")
        seen.append(of)
    return seen[-1], views[::-1]


def check_views(sets: Mapping[str, Set]) -> None:
    """Refuse views that are made of nothing, and steps of which one undoes the place of another.

    Raises
    ------
    ValueError
        Naming the set.
    """
    for name in sets:
        _, views = lineage(sets, name)
        try:
            refuse_late_steps([step for view in views for step in view.steps])
        except ValueError as error:
            raise ValueError(f"sets.{name}.view: with the steps of the view that it is made of, {error}") from None
