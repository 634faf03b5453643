"""The sections of the configuration file: every key, its type, its default."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from typing import Annotated, Any, Literal

import pydantic
from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, model_validator

from evaljobs.config.canonical import canonical_json
from evaljobs.config.guest import Guest
from evaljobs.config.matrix import check_matrix
from evaljobs.config.section import Name, PathText, Section, as_list
from evaljobs.config.sets import Images, Set, check_views
from evaljobs.config.targets import parse_target, unique_targets

VERSION: Literal[1] = 1

# The input types are for the JSON schema alone: editors see numbers where the loader sees text.
Target = Annotated[float, BeforeValidator(parse_target, json_schema_input_type=float | str)]
Targets = Annotated[
    tuple[Target, ...],
    BeforeValidator(as_list, json_schema_input_type=tuple[float | str, ...] | float | str),
    AfterValidator(unique_targets),
]
DEFAULT_TARGETS: tuple[float, ...] = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0)

_Channels = Annotated[tuple[float, ...], Field(min_length=1, max_length=4)]
Channels = Annotated[_Channels, BeforeValidator(as_list, json_schema_input_type=_Channels | float)]


class Preprocessing(Section):
    """How pixels reach a model. What is left out comes from the model: its metadata, its input shape, the defaults.

    The network sees ``(value / divisor - mean) / std`` in float32, channel by channel, as torchvision's ToTensor and
    Normalize compute it.
    """

    size: tuple[int, int] | None = Field(None, description="[height, width]; from the model's input where left out")
    color: Literal["rgb", "bgr", "gray"] | None = Field(None, description="rgb; gray where the input has one channel")
    resize: Literal["stretch", "crop", "pad"] | None = Field(
        None, description="stretch to size; or shorter side to `shorter_side` and centre crop; or fit and pad"
    )
    shorter_side: int | None = Field(None, gt=0, description="with `resize: crop`; the larger of size where left out")
    pad_value: int | None = Field(None, ge=0, le=255, description="with `resize: pad`; 0 where left out")
    interpolation: Literal["nearest", "bilinear", "bicubic", "lanczos", "box", "hamming"] | None = Field(
        None, description="Pillow's filter; bilinear where left out"
    )
    exif_orientation: bool | None = Field(None, description="turn the image as its EXIF says; off where left out")
    decoder: Literal["exact", "draft"] | None = Field(
        None,
        description="exact where left out: torchvision's pixels; draft: large JPEGs are scaled while they are decoded, "
        "which is faster, and their pixels differ",
    )
    divisor: float | None = Field(None, gt=0, description="255 where left out")
    mean: Channels | None = Field(None, description="ImageNet's where left out")
    std: Channels | None = Field(None, description="ImageNet's where left out")

    @pydantic.field_validator("size", mode="before", json_schema_input_type=tuple[int, int] | int | None)
    @classmethod
    def _square(cls, size: object) -> object:
        return (size, size) if isinstance(size, str | int) else size

    @pydantic.field_validator("size")
    @classmethod
    def _positive(cls, size: tuple[int, int] | None) -> tuple[int, int] | None:
        if size is not None and min(size) < 1:
            raise ValueError("a size is [height, width], both at least 1")
        return size

    @pydantic.field_validator("std")
    @classmethod
    def _not_zero(cls, std: tuple[float, ...] | None) -> tuple[float, ...] | None:
        if std is not None and min(std) <= 0:
            raise ValueError("a standard deviation is above 0")
        return std


# Values of a matrix, and combinations of them that are left out.
_Values = tuple[PathText, ...]
MatrixValues = Annotated[_Values, BeforeValidator(as_list, json_schema_input_type=tuple[str | float, ...])]
_Combination = dict[str, str]
Combinations = Annotated[tuple[_Combination, ...], BeforeValidator(as_list)]


class Models(Section):
    """One ONNX file, all that a glob matches, or a file or glob for each combination of a matrix."""

    path: PathText = Field(description="an ONNX file or a glob; relative to the configuration file")
    name: str | None = Field(None, description="one file only; the file's name without .onnx where left out")
    tags: dict[str, str] = Field(
        default_factory=dict, description="columns of the tables; they stand over those of `tag_pattern`"
    )
    tag_pattern: str | None = Field(
        None,
        description="such as {backbone}-f{dim}-r{res}-{norm}-{loss}[-{variant}], of the file name without .onnx; with "
        "slashes of the folders above it too: {run}/epoch-{epoch}",
    )
    matrix: dict[str, MatrixValues] = Field(
        default_factory=dict,
        description="values by tag: each combination is a model or a glob; its values take the place of {tag} in "
        "`path`, `name`, `output` and `scores`",
    )
    exclude: Combinations = Field((), description="combinations of `matrix` that are left out, in full or in part")
    series: Name | None = Field(
        None,
        description="the tag, a number such as the epoch, along which these models are one line; `name`, where it is "
        "given, is the line's",
    )
    line: Name | None = Field(
        None, description="with `series`: what the line is called; then `name` is the model's own, one file only"
    )
    optional: bool = Field(False, description="where nothing is at `path`, the model is refused and the others go on")
    output: str | None = Field(None, description="a tensor of the graph by name; its only output where left out")
    pooling: Literal["mean", "max", "first", "flatten"] | None = Field(
        None, description="needed where the output has more than two dimensions"
    )
    scores: str | None = Field(
        None,
        description="for jobs that need class scores: the tensor that has a number for each class; the only output "
        "where left out",
    )
    scores_are: Literal["logits", "probabilities"] | None = Field(
        None,
        description="what they are; the model's metadata `evaljobs.scores_are`, or whether a softmax ends the graph, "
        "where left out",
    )
    classes: tuple[Name, ...] | PathText | None = Field(
        None,
        description="the names of the classes in the order of the scores, or a text file with a name a line; from the "
        "model's metadata where left out",
    )
    batch_size: int | None = Field(None, gt=0, le=65536, description="where the model leaves it open")
    preprocessing: Preprocessing | None = Field(
        None, description="of these models; each key left out comes from the next source"
    )

    @model_validator(mode="after")
    def _whole_matrix(self) -> Models:
        if self.matrix:
            texts = [self.path, self.name or "", self.output or "", self.scores or ""]
            check_matrix(self.matrix, self.exclude, self.path, texts)
        elif self.exclude:
            raise ValueError("`exclude` leaves out combinations of `matrix`, and there is none")
        if self.line is not None and self.series is None:
            raise ValueError("found `line` without `series`, the tag that makes checkpoints a line")
        if both := sorted(self.matrix.keys() & self.tags.keys()):
            raise ValueError(f"{both[0]!r} stands in `tags` and in `matrix`; leave one of them out")
        return self


class JobConfig(pydantic.BaseModel):
    """One entry of `jobs`. The keys beyond these belong to its kind and are checked there."""

    model_config = ConfigDict(frozen=True, extra="allow", hide_input_in_errors=True)

    name: Name = Field(description="unique; results are found by it")
    kind: str = Field("verification", description="kind of the job")
    after: Name | None = Field(None, description="the name of a job whose results this one waits for")
    models: Literal["all", "best"] | Annotated[int, Field(gt=0)] | None = Field(
        None,
        description="with `after`: the best model there, so many of the best, or all that have a result there (where "
        "left out)",
    )

    @pydantic.field_validator("models", mode="before", json_schema_input_type=Literal["all", "best"] | int | None)
    @classmethod
    def _which_models(cls, models: object) -> object:
        if models is None or models in ("all", "best"):
            return models
        if not str(models).isdecimal() or int(str(models)) < 1:
            raise ValueError(f"found {models!r}; expected `all`, `best`, or how many of the best")
        return int(str(models))

    def parameters(self) -> dict[str, Any]:
        """Return the keys that belong to the kind."""
        return dict(self.model_extra or {})


class Gpu(Section):
    """How GPUs are used. Batches always have the shape `batch_size`: the last one is filled up."""

    actors: int = Field(
        1, gt=0, le=64, description="embedding actors on one GPU, each with an equal share; they divide its memory"
    )
    memory_mb: int | None = Field(
        None, gt=0, description="limit of one session's memory arena, in MiB; none where left out"
    )
    conv_search: Literal["heuristic", "exhaustive", "default"] = Field(
        "heuristic", description="how cuDNN chooses convolutions; exhaustive takes gigabytes, and may differ by the day"
    )
    tf32: bool = Field(False, description="compute float32 with mantissas of 10 bits: faster, scores move")


class Cluster(Section):
    """Where the work runs. It changes nothing that is asked; `device` and `threads` choose whose arithmetic answers."""

    address: str | None = Field(None, description="a Ray cluster; none: an embedded Ray on this machine's cores")
    cpus: int | None = Field(None, gt=0, description="cores of the embedded Ray; all where left out")
    workers: int | None = Field(
        None,
        gt=0,
        description="embedding actors; one per core or GPU where left out. A cluster that starts nodes on demand is "
        "asked for all at once; where left out, for as many again as it has, while there is work for them",
    )
    device: Literal["auto", "cpu", "cuda"] = Field(
        "auto", description="auto: cuda where the cluster has GPUs; one that starts its nodes on demand must be told"
    )
    threads: int = Field(1, gt=0, le=256, description="threads of one onnxruntime session on the CPU")
    gpu: Gpu = Field(Gpu(), description="how GPUs are used")
    memory_mb: int | None = Field(
        None, ge=1, description="decoded images held at a time; a share of Ray's object store where left out"
    )
    guest: Guest = Field(Guest(), description="when work waits for machines that are shared with others")


class Notify(Section):
    """Who is told of a scheduled run that has ended. The URL stays on the scheduler's machine."""

    webhook: str | None = Field(
        None,
        description="a URL to which JSON is posted; `env:NAME`: it stands in that variable of the scheduler's "
        "environment, so that no file holds it",
    )

    @pydantic.field_validator("webhook")
    @classmethod
    def _http(cls, webhook: str | None) -> str | None:
        if webhook is not None and not _WEBHOOK.fullmatch(webhook):
            raise ValueError("expected `https://...`, `http://...`, or `env:` and the name of an environment variable")
        return webhook


_WEBHOOK = re.compile(r"https?://[^\s/]+\S*|env:[A-Za-z_][A-Za-z0-9_]*")
_Gates = tuple[str, ...]


class Submitted(Section):
    """What a configuration that was sent to a cluster was made of."""

    digest: Annotated[str, Field(pattern="^[0-9a-f]{64}$")] = Field(
        description="of the configuration as it was written: results bear it"
    )
    gpus: int = Field(
        0, ge=0, description="that the cluster had then: `device: auto` means them, and they are waited for"
    )


class Config(Section):
    """The whole file."""

    version: Literal[1] = Field(VERSION, description="of this format")
    name: Name | None = Field(None, description="of the run; the file's name where left out")
    images: Images | None = Field(None, description="short for sets.main.images")
    sets: dict[str, Set] = Field(default_factory=dict, description="image sets by name")
    models: tuple[Models, ...] = Field(
        (),
        min_length=1,
        description="files and globs; a bare path is short for `{path: ...}`. An audit of images alone needs none",
    )
    preprocessing: Preprocessing | None = Field(None, description="for models without one of their own")
    fpr: Targets = Field(
        DEFAULT_TARGETS,
        description="target false-positive rates above 0, up to 1; kept as the decimals that are written",
    )
    jobs: tuple[JobConfig, ...] = Field(
        (),
        description="what is evaluated; by default one verification, on `main` or the only set, and a map of its best "
        "model",
    )
    max_failed_images: float = Field(0.01, ge=0, le=1, description="share that may fail before the run ends")
    max_image_pixels: int = Field(178_956_970, gt=0, description="larger images are refused as bombs")
    store: PathText | None = Field(
        None, description="local or `s3://`, shared by runs; the user's cache folder where left out"
    )
    out: PathText | None = Field(
        None, description="local or `s3://`, for results and figures; <name>-results where left out"
    )
    report: bool = Field(
        True,
        description="whether pictures, `summary/` and report.html are made; `evaljobs report` makes the page later",
    )
    cluster: Cluster = Field(Cluster(), description="where the work runs")
    gate: Annotated[_Gates, BeforeValidator(as_list, json_schema_input_type=_Gates | str)] = Field(
        (), description="scheduled runs: what each must hold against the last good one, as `evaljobs compare --gate`"
    )
    notify: Notify = Field(Notify(), description="scheduled runs: who is told")
    submitted: Submitted | None = Field(
        None, description="written by `raycluster submit`, which puts places on the cluster in place of paths"
    )

    @pydantic.field_validator("version", mode="before")
    @classmethod
    def _version(cls, version: object) -> int:
        if str(version) != str(VERSION):
            raise ValueError(f"this evaljobs reads version {VERSION}, the file says {version}")
        return VERSION  # as a number: the file holds text

    @pydantic.field_validator("models", mode="before", json_schema_input_type=tuple[Models | str, ...] | Models | str)
    @classmethod
    def _paths(cls, models: object) -> object:
        """Accept a bare path in place of a mapping."""
        models = as_list(models)
        if isinstance(models, Sequence):
            return [{"path": m} if isinstance(m, str) else m for m in models]
        return models

    @model_validator(mode="after")
    def _named_once(self) -> Config:
        if self.images is None and not self.sets:
            raise ValueError("give either `images` (one set, named main) or `sets`, one of them")
        if self.images is not None and not all(given.of for given in self.sets.values()):
            raise ValueError("beside `images` (the set main) found `sets` with images; give all of them in `sets`")
        if self.images is not None and "main" in self.sets:
            raise ValueError("found `images`, which is the set main, and `sets.main`; leave one of them out")
        check_views(self.named_sets())
        names = [job.name for job in self.jobs]
        if twice := sorted({n for n in names if names.count(n) > 1}):
            raise ValueError(f"two jobs are named {twice[0]!r}; results are found by name")
        return self

    def named_sets(self) -> dict[str, Set]:
        """Return every set by name, views included."""
        return {**({} if self.images is None else {"main": Set(images=self.images)}), **self.sets}

    def image_sets(self) -> dict[str, Images]:
        """Return the sets with images of their own, by name."""
        return {name: given.images for name, given in self.named_sets().items() if given.images is not None}

    def digest(self) -> str:
        """Return the sha256 of all that can change a result: the store, the output folder and the workers cannot."""
        if self.submitted is not None:
            return self.submitted.digest
        data = self.model_dump(
            mode="json", exclude={"store", "out", "report", "cluster", "gate", "notify"}, exclude_defaults=True
        )
        # Whose arithmetic it is: these may change the last bits of an embedding.
        arithmetic = self.cluster.model_dump(include={"device", "threads", "gpu"}, exclude_defaults=True)
        arithmetic.get("gpu", {}).pop("actors", None)
        data["cluster"] = {name: value for name, value in arithmetic.items() if value != {}}
        return hashlib.sha256(canonical_json(data).encode()).hexdigest()
