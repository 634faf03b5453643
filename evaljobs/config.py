"""The configuration file: what may stand in it, and what is said when it is wrong.

YAML scalars are read as text and given their type by the field they stand in. So ``1e-5`` stays the decimal that
was written, and a model named ``no`` or ``010`` keeps its name.
"""

from __future__ import annotations

import difflib
import hashlib
import json
from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import pydantic
import yaml
from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, model_validator

from evaljobs.errors import UsageError

VERSION: Literal[1] = 1


class Section(pydantic.BaseModel):
    """A mapping of the file: frozen, and without unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


def parse_target(value: object) -> float:
    """Turn a target FPR as written into the float whose repr is that very decimal.

    Raises
    ------
    ValueError
        If it is no decimal in (0, 1], or has more digits than a float keeps.
    """
    text = repr(value) if isinstance(value, float) else str(value).strip()
    try:
        exact = Fraction(text)
    except (ValueError, ZeroDivisionError):
        exact = None
    if exact is None or "/" in text:
        raise ValueError(f"{text!r} is not a decimal number; write a false-positive rate such as 1e-4 or 0.001")
    if not 0 < exact <= 1:
        raise ValueError(f"{text} is not a false-positive rate; expected 0 < rate <= 1")
    if Fraction(repr(float(exact))) != exact:
        raise ValueError(f"{text} has more digits than can be kept; write at most 15 significant digits")
    return float(exact)


def unique_targets(targets: tuple[float, ...]) -> tuple[float, ...]:
    """Sort targets upwards; refuse a list that is empty or has one twice."""
    if not targets:
        raise ValueError("no target; name at least one false-positive rate, such as 1e-4")
    if len(set(targets)) != len(targets):
        raise ValueError("a target stands there twice; name each false-positive rate once")
    return tuple(sorted(targets))


def _as_list(value: object) -> object:
    return [value] if isinstance(value, str | float | int | Mapping) else value


# The input types are for the JSON schema alone: editors see numbers where the loader sees text.
Target = Annotated[float, BeforeValidator(parse_target, json_schema_input_type=float | str)]
Targets = Annotated[
    tuple[Target, ...],
    BeforeValidator(_as_list, json_schema_input_type=tuple[float | str, ...] | float | str),
    AfterValidator(unique_targets),
]
DEFAULT_TARGETS: tuple[float, ...] = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0)

Name = Annotated[str, Field(min_length=1, max_length=200)]
Channels = Annotated[
    tuple[float, ...],
    BeforeValidator(_as_list, json_schema_input_type=tuple[float, ...] | float),
    Field(min_length=1, max_length=4),
]


class Images(Section):
    """One image set: a folder, or a manifest with a column of uris and one of labels."""

    folder: str | None = Field(None, description="folder, searched with its subfolders")
    manifest: str | None = Field(None, description="CSV or Parquet file with a row per image")
    label: Literal["folder", "prefix"] = Field(
        "folder", description="folder sets: label from the parent folder, or from the file name up to `separator`"
    )
    separator: str = Field("_", min_length=1, description="with `label: prefix`: where the label ends")
    uri_column: str = "uri"
    label_column: str = "label"
    id_column: str | None = Field(None, description="manifests: column of sample ids; the uri where absent")
    extensions: Annotated[tuple[str, ...], BeforeValidator(_as_list, json_schema_input_type=tuple[str, ...] | str)] = (
        Field(
            (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".ppm", ".pgm", ".tif", ".tiff", ".webp"),
            description="folder sets: which files are images (upper or lower case)",
        )
    )
    limit: int | None = Field(None, gt=0, description="quick look: at most so many images, spread over the labels")

    @model_validator(mode="after")
    def _one_source(self) -> Images:
        if (self.folder is None) == (self.manifest is None):
            raise ValueError("give either `folder` or `manifest`, one of them")
        return self


class Set(Section):
    """A named image set."""

    images: Images


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
    interpolation: Literal["nearest", "bilinear", "bicubic", "lanczos", "box", "hamming"] | None = None
    exif_orientation: bool | None = Field(None, description="turn the image as its EXIF says; off where left out")
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


class Models(Section):
    """One ONNX file, or all that a glob matches."""

    path: str = Field(description="an ONNX file or a glob; relative to the configuration file")
    name: str | None = Field(None, description="one file only; the file's name without .onnx where left out")
    tags: dict[str, str] = Field(default_factory=dict)
    tag_pattern: str | None = Field(None, description="such as {backbone}-f{dim}-r{res}-{norm}-{loss}[-{variant}]")
    output: str | None = Field(None, description="a tensor of the graph by name; its only output where left out")
    pooling: Literal["mean", "max", "first", "flatten"] | None = Field(
        None, description="needed where the output has more than two dimensions"
    )
    batch_size: int | None = Field(None, gt=0, le=65536, description="where the model leaves it open")
    preprocessing: Preprocessing | None = None


class JobConfig(pydantic.BaseModel):
    """One entry of `jobs`. The keys beyond these belong to its kind and are checked there."""

    model_config = ConfigDict(frozen=True, extra="allow", hide_input_in_errors=True)

    name: Name
    kind: str = "verification"

    def parameters(self) -> dict[str, Any]:
        """Return the keys that belong to the kind."""
        return dict(self.model_extra or {})


class Cluster(Section):
    """Where the work runs. Nothing here changes a result, but for the device whose arithmetic it is."""

    address: str | None = Field(None, description="a Ray cluster; none: an embedded Ray on this machine's cores")
    cpus: int | None = Field(None, gt=0, description="cores of the embedded Ray; all where left out")
    workers: int | None = Field(None, gt=0, description="embedding actors; one per core or GPU where left out")
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="auto: cuda where the cluster has GPUs")
    threads: int = Field(1, gt=0, le=256, description="threads of one onnxruntime session on the CPU")
    memory_mb: int | None = Field(
        None, ge=64, description="decoded images held at a time; a share of Ray's object store where left out"
    )


class Config(Section):
    """The whole file."""

    version: Literal[1] = VERSION
    name: Name | None = Field(None, description="of the run; the file's name where left out")
    images: Images | None = Field(None, description="short for sets.main.images")
    sets: dict[str, Set] = Field(default_factory=dict)
    models: tuple[Models, ...] = Field(min_length=1)
    preprocessing: Preprocessing | None = Field(None, description="for models without one of their own")
    fpr: Targets = DEFAULT_TARGETS
    jobs: tuple[JobConfig, ...] = ()
    max_failed_images: float = Field(0.01, ge=0, le=1, description="share that may fail before the run ends")
    max_image_pixels: int = Field(178_956_970, gt=0, description="larger images are refused as bombs")
    store: str | None = Field(None, description="shared by runs; the user's cache folder where left out")
    out: str | None = Field(None, description="results and figures; <name>-results where left out")
    cluster: Cluster = Cluster()

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
        models = _as_list(models)
        if isinstance(models, Sequence):
            return [{"path": m} if isinstance(m, str) else m for m in models]
        return models

    @model_validator(mode="after")
    def _named_once(self) -> Config:
        if (self.images is None) == (not self.sets):
            raise ValueError("give either `images` (one set, named main) or `sets`, one of them")
        names = [job.name for job in self.jobs]
        if twice := sorted({n for n in names if names.count(n) > 1}):
            raise ValueError(f"two jobs are named {twice[0]!r}; results are found by name")
        return self

    def image_sets(self) -> dict[str, Images]:
        """Return every set by name."""
        return {"main": self.images} if self.images else {name: s.images for name, s in self.sets.items()}

    def digest(self) -> str:
        """Return the sha256 of all that can change a result: not the store, the output folder or the cluster."""
        data = self.model_dump(mode="json", exclude={"store", "out", "cluster", "name"}, exclude_defaults=True)
        return hashlib.sha256(canonical_json(data).encode()).hexdigest()


def canonical_json(value: object) -> str:
    """Return one text for one value: sorted keys, no spaces, no NaN."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


_KEPT_TAGS = {"tag:yaml.org,2002:null", "tag:yaml.org,2002:merge"}


class _TextLoader(yaml.SafeLoader):
    """YAML with text scalars alone; null, ~ and nothing are null. A key that stands twice is an error."""

    yaml_implicit_resolvers = {  # noqa: RUF012 - as the base class has it
        first: [(tag, regexp) for tag, regexp in resolvers if tag in _KEPT_TAGS]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge":
                if key.value in seen:
                    raise yaml.constructor.ConstructorError(None, None, f"{key.value!r} stands twice", key.start_mark)
                seen.add(key.value)
        return super().construct_mapping(node, deep=deep)


def parse_yaml(text: str, where: str) -> Any:
    """Parse YAML into mappings, lists, text and null.

    Raises
    ------
    UsageError
        If it is not YAML; with the line.
    """
    try:
        return yaml.load(text, Loader=_TextLoader)  # noqa: S506 - a SafeLoader with fewer types
    except yaml.YAMLError as error:
        raise UsageError(f"{where} is not valid YAML: {error}") from None


def load(path: Path, overrides: Sequence[str] = ()) -> Config:
    """Read and check a configuration file.

    Parameters
    ----------
    path
        The YAML file.
    overrides
        ``a.b=c``, applied in order; list items are named by number (``models.0.batch_size=8``).

    Raises
    ------
    UsageError
        If anything in it is wrong; every mistake is listed.
    """
    try:
        data = parse_yaml(path.read_text(encoding="utf-8"), str(path))
    except FileNotFoundError:
        raise UsageError(f"no configuration file {path}; `evaljobs demo` writes one to start from") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read the configuration file {path}: {error}") from None
    if not isinstance(data, dict):
        raise UsageError(f"{path}: found {_kind(data)}, expected a mapping with `images:` and `models:`")
    for override in overrides:
        _override(data, override)
    return validate(Config, data, str(path))


def _override(data: Any, override: str) -> None:
    dotted, sign, text = override.partition("=")
    if not sign or not dotted:
        raise UsageError(f"--set {override}: expected key=value, such as --set cluster.workers=4")
    *parents, last = dotted.split(".")
    for key in parents:
        try:
            data = data[int(key)] if isinstance(data, list) else data.setdefault(key, {})
        except (ValueError, IndexError):
            raise UsageError(
                f"--set {override}: no item {key!r} in a list of {len(data)}; items count from 0"
            ) from None
        if not isinstance(data, dict | list):
            raise UsageError(f"--set {override}: {key!r} holds {_kind(data)}, which has no keys")
    value = parse_yaml(text, f"--set {override}")
    try:
        data[int(last) if isinstance(data, list) else last] = value
    except (ValueError, IndexError):
        raise _no_item(override, last, len(data)) from None


def _no_item(override: str, key: str, length: int) -> UsageError:
    return UsageError(f"--set {override}: no item {key!r} in a list of {length}; items count from 0")


S = TypeVar("S", bound=pydantic.BaseModel)


def validate(model: type[S], data: object, where: str) -> S:
    """Check data against a section; list every mistake, and the nearest key for an unknown one."""
    try:
        return model.model_validate(data)
    except pydantic.ValidationError as error:
        items = error.errors(include_url=False)
        # A list whose items are all wrong is also "too short": said once is enough.
        items = [i for i in items if i["type"] != "too_short" or len(items) == 1]
        lines = [_explain(model, item) for item in items]
        mistakes = "\n".join(f"  {line}" for line in lines)
        raise UsageError(f"{where}: {len(lines)} mistake(s), nothing was started\n{mistakes}") from None


def _explain(model: type[pydantic.BaseModel], item: Any) -> str:
    location = item["loc"]
    where = ".".join(str(part) for part in location) or "(the whole file)"
    if item["type"] == "extra_forbidden":
        known = _known_keys(model, location[:-1])
        near = difflib.get_close_matches(str(location[-1]), known, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]!r}?" if near else f"known keys: {', '.join(known)}"
        return f"{where}: unknown key; {hint}"
    return f"{where}: {item['msg'].removeprefix('Value error, ')}"


def _known_keys(model: type[pydantic.BaseModel], location: Sequence[str | int]) -> list[str]:
    """Return the keys of the section at a location, by way of the JSON schema."""
    root = model.model_json_schema()
    schema: dict[str, Any] = root
    for part in location:
        options = [_resolve(root, option) for option in schema.get("anyOf", [schema])]
        schema = next((s for s in options if s.get("type") in {"object", "array"}), {})
        if isinstance(part, int):
            schema = schema.get("items", {})
        else:
            schema = schema.get("properties", {}).get(part) or schema.get("additionalProperties") or {}
        schema = _resolve(root, schema)
    options = [_resolve(root, option) for option in schema.get("anyOf", [schema])]
    return sorted(key for s in options for key in s.get("properties", {}))


def _resolve(root: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    reference = schema.get("$ref")
    return root["$defs"][reference.rsplit("/", 1)[1]] if reference else schema


def _kind(value: object) -> str:
    return {dict: "a mapping", list: "a list", str: "text", type(None): "nothing"}.get(type(value), "a value")
