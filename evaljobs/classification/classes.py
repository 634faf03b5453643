"""Which class a label is: by the names of the classes, or by their numbers where nobody named them."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from evaljobs.errors import InputError
from evaljobs.pairs.given import values

_NAMED = 5
# Looking for near names takes the square of their number.
_MOST_COMPARED = 2000
_WAYS = "name the classes in the model's `classes`, map labels to them with `label_map`, or leave such images out with"


class Matched(NamedTuple):
    """The class of each label.

    Attributes
    ----------
    numbers
        For each label, the place of its class among the scores; -1 for a label that the model does not know.
    classes
        The names of the classes, in the order of the scores.
    notes
        What was assumed.
    """

    numbers: list[int]
    classes: tuple[str, ...]
    notes: tuple[str, ...] = ()


def match(
    labels: Sequence[str | int],
    classes: Sequence[object] | None,
    width: int,
    label_map: Mapping[str, str],
    *,
    exclude: bool,
) -> Matched:
    """Find the class of each label.

    Texts are names of classes. Integers are numbers of classes; so are texts where no class has a name.

    Parameters
    ----------
    labels
        Different labels, texts or integers.
    classes
        The names of the classes, in the order of the scores; None where they are not known.
    width
        How many scores an image has.
    label_map
        By label: the class that is meant. Other labels mean what they say.
    exclude
        Whether a label that the model does not know is left out; refused otherwise.

    Raises
    ------
    InputError
        If names of classes are not `width` different ones, or a label cannot be matched.
    """
    names = None if classes is None else _checked(classes, width)
    if any(not isinstance(label, str) for label in labels):
        return _by_integer(labels, names, width, label_map, exclude=exclude)
    texts = [str(label) for label in labels]
    notes = _unused(label_map, texts)
    if names is None:
        return _by_digits(texts, width, label_map, notes, exclude=exclude)
    number = {name: place for place, name in enumerate(names)}
    _refuse_targets(label_map, number)
    numbers = [number.get(label_map.get(text, text), -1) for text in texts]
    unknown = [text for text, found in zip(texts, numbers, strict=True) if found < 0]
    if unknown and not (exclude and len(unknown) < len(texts)):
        raise InputError(_unknown(unknown, texts, names))
    return Matched(numbers, names, notes)


def _checked(classes: Sequence[object], width: int) -> tuple[str, ...]:
    """Return the names of the classes as text."""
    names = tuple(str(name) for name in values(classes, "classes", "a list of names, one for a score"))
    if twice := [name for name, n in Counter(names).items() if n > 1]:
        raise InputError(f"the name of a class stands there twice: {_listed(twice)}; give each score a name of its own")
    if len(names) != width:
        binary = ". A model with one score for two classes is to give one for each" if width == 1 else ""
        raise InputError(
            f"found {len(names):,} names of classes ({_listed(names)}) for {width:,} scores an image; expected one for "
            f"each, in their order{binary}"
        )
    return names


def _by_integer(
    labels: Sequence[str | int],
    names: tuple[str, ...] | None,
    width: int,
    label_map: Mapping[str, str],
    *,
    exclude: bool,
) -> Matched:
    if label_map:
        raise InputError("found `label_map` for labels that are integers; they are numbers of classes, and not mapped")
    numbers = [int(label) if 0 <= int(label) < width else -1 for label in labels]
    beyond = [str(label) for label, found in zip(labels, numbers, strict=True) if found < 0]
    if beyond and not (exclude and len(beyond) < len(labels)):
        raise InputError(_beyond(beyond, width))
    return Matched(numbers, names or tuple(str(place) for place in range(width)))


def _by_digits(
    texts: list[str], width: int, label_map: Mapping[str, str], notes: tuple[str, ...], *, exclude: bool
) -> Matched:
    """Take labels for the numbers of classes that nobody named: all of them must be such numbers."""
    meant = [label_map.get(text, text) for text in texts]
    if any(not (text.isascii() and text.isdigit()) for text in meant):
        raise InputError(
            f"nobody says which score belongs to which class, and labels such as {_listed(sorted(texts))} are no"
            f" numbers of classes; name the classes in the model's `classes`, in the order of its {width:,} scores"
        )
    number = {text: _number(text, width) for text in meant}
    shared = Counter(found for found in number.values() if found >= 0)
    if clash := sorted(text for text, found in number.items() if shared[found] > 1):
        raise InputError(f"the labels {_listed(clash)} are one number; name the classes in the model's `classes`")
    numbers = [number[text] for text in meant]
    beyond = [text for text, found in zip(texts, numbers, strict=True) if found < 0]
    if beyond and not (exclude and len(beyond) < len(texts)):
        raise InputError(_beyond(beyond, width))
    note = f"nobody names the classes: labels are taken for the numbers of the {width:,} scores, from 0"
    return Matched(numbers, tuple(str(place) for place in range(width)), (note, *notes))


def _number(text: str, width: int) -> int:
    """Return the number that digits stand for; -1 where there are not so many classes."""
    digits = text.lstrip("0") or "0"
    return int(digits) if len(digits) <= len(str(width)) and int(digits) < width else -1


def _unused(label_map: Mapping[str, str], texts: Sequence[str]) -> tuple[str, ...]:
    unused = sorted(label_map.keys() - set(texts))
    return (f"`label_map` has labels that no image has: {_listed(unused)}",) if unused else ()


def _refuse_targets(label_map: Mapping[str, str], number: Mapping[str, int]) -> None:
    """Refuse a map to what is no class."""
    wrong = sorted(set(label_map.values()) - number.keys())
    if wrong:
        raise InputError(f"`label_map` leads to {_with_nearest(wrong, number)}; expected names of the model's classes")


def _unknown(unknown: Sequence[str], texts: Sequence[str], names: Sequence[str]) -> str:
    return (
        f"{len(unknown):,} of {len(texts):,} labels are none of the model's {len(names):,} classes: "
        f"{_with_nearest(unknown, names)}; the classes are {_listed(names)}. To go on, {_WAYS} `missing: exclude`"
    )


def _beyond(beyond: Sequence[str], width: int) -> str:
    return (
        f"labels are numbers of classes, and {_listed(beyond)} is beyond the {width:,} scores of an image; expected 0"
        f" to {width - 1}. Use the images that the model was made for, or leave these out with `missing: exclude`"
    )


def _with_nearest(wrong: Sequence[str], names: Iterable[str]) -> str:
    """Name what is not there, each with the name that is most like it."""
    lower = {name.lower(): name for name in names}
    shown = []
    for text in wrong[:_NAMED]:
        near = difflib.get_close_matches(text.lower(), lower, n=1) if len(lower) <= _MOST_COMPARED else []
        shown.append(f"{text!r} (nearest: {lower[near[0]]!r})" if near else repr(text))
    return ", ".join(shown) + _more(wrong)


def _listed(names: Sequence[str]) -> str:
    return ", ".join(repr(name) for name in names[:_NAMED]) + _more(names)


def _more(names: Sequence[str]) -> str:
    return f" and {len(names) - _NAMED:,} more" if len(names) > _NAMED else ""
