"""Map: the images of a set in the plane, near each other where a model gives them similar embeddings."""

from __future__ import annotations

import re
from collections.abc import Generator, Mapping
from difflib import get_close_matches
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, cast, get_args

import pyarrow as pa
from pydantic import AfterValidator, BeforeValidator, Field

from evaljobs.config import OWN_COLUMN, Section
from evaljobs.jobs.job import Job, Outcome, Passes, Rows
from evaljobs.pairs_file import ListedPairs

if TYPE_CHECKING:
    from evaljobs.projection.passes import Found, Shown

MAX_SHOWN = 20_000

MethodName = Literal["pca", "tsne"]
# Columns of samples.arrow by which a map can be coloured.
ColumnName = Literal[
    "label",
    "format",
    "mode",
    "width",
    "height",
    "frames",
    "size",
    "jpeg_quality",
    "jpeg_tables",
    "subsampling",
    "progressive",
    "exif",
    "orientation",
    "camera",
    "software",
    "icc",
    "bytes_per_pixel",
]
# And those of the set's own manifest; the type is for the JSON schema.
_OwnColumn = Annotated[str, Field(pattern=f"^{re.escape(OWN_COLUMN)}.")]


def _as_list(value: object) -> object:
    return [value] if isinstance(value, str) else value


def _once(several: tuple[str, ...]) -> tuple[str, ...]:
    if not several or len(set(several)) < len(several):
        raise ValueError("name at least one, and each once")
    return several


def _columns(several: tuple[str, ...]) -> tuple[str, ...]:
    known = get_args(ColumnName)
    for column in several:
        if column not in known and not (column.startswith(OWN_COLUMN) and column != OWN_COLUMN):
            near = get_close_matches(column, known, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"expected one of {', '.join(known)}"
            raise ValueError(f"no column {column!r}; {hint} One of the manifest's own is written {OWN_COLUMN}{column}")
    return _once(several)


class MapParameters(Section):
    """The keys of a map job."""

    set: str | None = Field(None, description="the set whose images are shown; the only set where there is one")
    methods: Annotated[
        tuple[MethodName, ...],
        BeforeValidator(_as_list, json_schema_input_type=tuple[MethodName, ...] | MethodName),
        AfterValidator(_once),
    ] = Field(("pca", "tsne"), description="how they come into the plane: principal components, t-SNE")
    sample: int = Field(1000, ge=2, le=MAX_SHOWN, description="how many images are shown at most")
    sampling: Literal["labels", "random"] = Field(
        "labels",
        description="which of more: labels alike, at least 8 images of each that is shown; or each image with the same "
        "chance. By a hash of their bytes, so that more images move few",
    )
    perplexity: float = Field(30.0, ge=1, le=1000, description="of t-SNE: about how many neighbours count")
    seed: int = Field(0, ge=0, le=2**63 - 1, description="another number is another choice, and another start of t-SNE")
    color: Annotated[
        tuple[str, ...],
        BeforeValidator(_as_list, json_schema_input_type=tuple[ColumnName | _OwnColumn, ...] | ColumnName | _OwnColumn),
        AfterValidator(_columns),
    ] = Field(
        ("label", "format"),
        description="columns of samples.arrow, those of the manifest (`manifest.NAME`) included; a picture each where "
        "images differ in it",
    )


class MapJob(Job):
    """Where images lie: principal components and t-SNE of a sample, and how often the nearest has the same label."""

    kind: ClassVar[str] = "map"
    version: ClassVar[int] = 1
    # By default the best model of the first verification on its set is shown.
    follows: str | None = "verification"
    Parameters: ClassVar[type[Section]] = MapParameters

    def sets(self) -> dict[str, str]:
        """Return the set whose images are shown."""
        return {"set": self._given.set or "main"}

    def columns(self) -> tuple[str, ...]:
        """Return the columns by which maps are coloured."""
        return self._given.color

    def n_pairs(self, ids: Mapping[str, pa.Array], listed: ListedPairs | None) -> int:  # noqa: ARG002 - it lists none
        """Return how many pairs are looked at: those of the images that are shown, once for each method and more."""
        shown = min(len(ids["set"]), self._given.sample)
        return len(_works(self._given)) * shown * (shown - 1) // 2

    @property
    def _given(self) -> MapParameters:
        return cast("MapParameters", self.parameters)

    def passes(self, rows: Mapping[str, Rows]) -> Passes:
        """Choose the images, and project them."""
        # scikit-learn is wanted where something is computed, not where a configuration is checked.
        from evaljobs.projection.choosing import Sampling, choose
        from evaljobs.projection.methods import lengths, unit_rows
        from evaljobs.projection.passes import Points, Shown

        given, members = self._given, rows["set"]
        embeddings = members.outputs["embedding"]
        norms = lengths(embeddings)  # of all: a model that fails on an image fails here too, whatever is shown
        digests = members.digests.to_pylist()
        chosen = choose(digests, members.labels, given.sample, Sampling(given.sampling), given.seed)
        numbers = chosen.rows.tolist()
        shown = Shown(numbers, [digests[n] for n in numbers], [members.labels[n] for n in numbers], chosen.sampling)
        points = Points(unit_rows(embeddings[chosen.rows], norms[chosen.rows]))
        return Passes(points, self._rounds(shown, members))

    def _rounds(self, shown: Shown, members: Rows) -> Generator[Any, Any, Outcome]:
        from evaljobs.projection.passes import Projecting

        given = self._given
        found: Found = yield Projecting(_works(given), given.perplexity, given.seed, len(shown.rows))
        result = {
            "n_samples": len(members.labels),
            "n_shown": len(shown.rows),
            "n_labels": len(set(members.labels)),
            "n_labels_shown": len(set(shown.labels)),
            "sampling": str(shown.sampling),
            "pca": found.pca_facts(),
            "tsne": found.tsne_facts(),
            "nearest_same_label": found.same(shown.labels),
            "nearest_same_label_by_chance": shown.same_by_chance(),
            "color": list(given.color),
            "notes": [*found.notes(given.methods), *shown.notes()],
        }
        return Outcome(result, {"map": found.table(shown, given.methods)})


def _works(given: MapParameters) -> tuple[str, ...]:
    """Return what is looked for."""
    return (*given.methods, "nearest")
