"""Check data against a section, and say what is wrong in the user's words."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import Any, TypeVar

import pydantic

from evaljobs.errors import UsageError

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
        if isinstance(part, int):
            schema = next((s for s in options if s.get("type") == "array"), {}).get("items", {})
        else:
            section = next((s for s in options if s.get("type") == "object"), {})
            # What is neither a key nor stands in the schema names one of several kinds that a value may be of.
            schema = section.get("properties", {}).get(part) or section.get("additionalProperties") or schema
        schema = _resolve(root, schema)
    options = [_resolve(root, option) for option in schema.get("anyOf", [schema])]
    return sorted(key for s in options for key in s.get("properties", {}))


def _resolve(root: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    reference = schema.get("$ref")
    return root["$defs"][reference.rsplit("/", 1)[1]] if reference else schema
