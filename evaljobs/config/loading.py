"""Read a configuration file: YAML whose scalars are text, and overrides from the command line.

Text gets its type from the field that it stands in. So ``1e-5`` stays the decimal that was written, and a model named
``no`` or ``010`` keeps its name.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from evaljobs.config.checking import validate
from evaljobs.config.sections import Config
from evaljobs.errors import UsageError

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
    except (yaml.YAMLError, ValueError, TypeError, AttributeError, KeyError) as error:
        # Explicit tags (`!!int abc`) fail with whatever their constructor raises.
        raise UsageError(f"{where} is not valid YAML: {error}") from None
    except RecursionError:
        raise UsageError(f"{where} is nested too deeply to be a configuration") from None


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
    data = {key: value for key, value in _unaliased(data).items() if value is not None}
    for override in overrides:
        _override(data, override)
    return validate(Config, data, str(path))


def to_yaml(config: Config) -> str:
    """Return a configuration as ASCII text that `load` reads as the same one; what has its default is left out."""
    data = config.model_dump(mode="json", exclude_defaults=True)
    return yaml.safe_dump(data, sort_keys=False, width=120)


def _unaliased(data: Any) -> Any:
    """Copy what YAML's anchors share, so that an override changes one place alone."""
    if isinstance(data, dict):
        return {key: _unaliased(value) for key, value in data.items()}
    return [_unaliased(value) for value in data] if isinstance(data, list) else data


def _override(data: Any, override: str) -> None:
    dotted, sign, text = override.partition("=")
    if not sign or not dotted:
        raise UsageError(f"--set {override}: expected key=value, such as --set cluster.workers=4")
    *parents, last = dotted.split(".")
    if parents and parents[0] == "models":
        data["models"] = _spelled_out(data.get("models"))
    for key in parents:
        try:
            data = data[int(key)] if isinstance(data, list) else _section(data, key)
        except (ValueError, IndexError):
            raise _no_item(override, key, len(data)) from None
        if not isinstance(data, dict | list):
            raise UsageError(f"--set {override}: {key!r} holds {_kind(data)}, which has no keys")
    value = parse_yaml(text, f"--set {override}")
    try:
        data[int(last) if isinstance(data, list) else last] = value
    except (ValueError, IndexError):
        raise _no_item(override, last, len(data)) from None


def _section(data: dict[str, Any], key: str) -> Any:
    """Return a section; one that is not there or is empty is made."""
    if data.get(key) is None:
        data[key] = {}
    return data[key]


def _spelled_out(models: Any) -> Any:
    """Write bare paths out as mappings, which have keys to override."""
    several = models if isinstance(models, list) else [models]
    return [{"path": model} if isinstance(model, str) else model for model in several]


def _no_item(override: str, key: str, length: int) -> UsageError:
    return UsageError(f"--set {override}: no item {key!r} in a list of {length}; items count from 0")


def _kind(value: object) -> str:
    return {dict: "a mapping", list: "a list", str: "text", type(None): "nothing"}.get(type(value), "a value")
