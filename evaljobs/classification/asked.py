"""What a classification asks: which class each label of the set means, whatever a model knows of it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from evaljobs.config import canonical_json


class Asked(NamedTuple):
    """The question.

    Attributes
    ----------
    missing
        What becomes of images whose label is no class of a model: `refuse` or `exclude`.
    n_mapped
        Labels of the set that mean another class than the one that they name.
    digest
        sha256 of `missing`, and of the class that each label of the set means: equal for equal questions about a set.
    """

    missing: str
    n_mapped: int
    digest: str

    def to_json(self) -> dict[str, Any]:
        """Return it as it stands in results.json."""
        return self._asdict()


def asked_of(labels: Iterable[str | int], label_map: Mapping[str, str], *, exclude: bool) -> Asked:
    """Return what is asked about images of these labels; what else stands in the map changes nothing."""
    texts = {str(label) for label in labels}
    mapped = {text: label_map[text] for text in texts if label_map.get(text, text) != text}
    missing = "exclude" if exclude else "refuse"
    return Asked(missing, len(mapped), digest_of([missing, sorted((text, mapped.get(text, text)) for text in texts)]))


def digest_of(value: object) -> str:
    """Return the sha256 of a value that is JSON; labels may hold what is no valid UTF-8."""
    return hashlib.sha256(canonical_json(value).encode("utf-8", "surrogatepass")).hexdigest()
