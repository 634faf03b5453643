"""Which models differ in one tag alone, found from the tags: nobody names a factor.

A factor is a tag, with every tag that it determines over all models: a backbone and its family, or a dimension and a
resolution that always vary together, which are then one factor. A block is a set of models that are equal in all other
tags. A model without a tag has the value None there, as models without a variant have.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from evaljobs.report.tables.levels import Value, Values, level_text, natural
from evaljobs.report.tables.listing import first_names

# Of more, each is compared with one of them, and not with each other.
MOST_LEVELS = 12
_MOST_NAMED = 5


@dataclass(frozen=True)
class Block:
    """Models that differ in a factor alone.

    Attributes
    ----------
    fixed
        What they share, of the tags that vary in the run.
    levels
        The models of each level (the values of the factor's tags), in natural order of the levels.
    """

    fixed: Mapping[str, Value]
    levels: Mapping[Values, tuple[str, ...]]

    @property
    def models(self) -> list[str]:
        """The models, level by level."""
        return [model for models in self.levels.values() for model in models]


@dataclass(frozen=True)
class Factor:
    """Tags that are compared as one, and where: at least two levels in each block, and at least one block."""

    tags: tuple[str, ...]
    blocks: tuple[Block, ...]

    @property
    def name(self) -> str:
        """The tags in words: ``dim and res``."""
        return " and ".join(self.tags)

    @property
    def levels(self) -> list[Values]:
        """Every level of some block, in natural order."""
        return natural({level for block in self.blocks for level in block.levels})


class Factors(NamedTuple):
    """The factors of a run in the order of its tags, and what could not be compared, in sentences."""

    factors: tuple[Factor, ...]
    notes: tuple[str, ...]


class _Tag(NamedTuple):
    """Tags that always vary together, and the models' values of them: equal codes where all of them are equal."""

    keys: tuple[str, ...]
    codes: tuple[int, ...]

    @property
    def name(self) -> str:
        return " and ".join(self.keys)


def find_factors(
    tags: Mapping[str, Mapping[str, str]], keys: Sequence[str], shared: Mapping[str, Mapping[str, str]] | None = None
) -> Factors:
    """Find what can be compared.

    Parameters
    ----------
    tags
        By model: its tags. Models are listed within a level in this order.
    keys
        All tags, in the order in which factors are listed.
    shared
        By name: the values by model of what models of a block must have in common and is no factor, such as the run.
    """
    return _Finder(tags, keys, shared or {}).find()


class _Finder:
    """The models of a run, as rows, by their tags; a tag that is constant takes no part."""

    def __init__(
        self,
        tags: Mapping[str, Mapping[str, str]],
        keys: Sequence[str],
        shared: Mapping[str, Mapping[str, str]],
    ) -> None:
        self._models = list(tags)
        self._shared = {name: [values.get(model) for model in self._models] for name, values in shared.items()}
        self._values = {key: [tags[model].get(key) for model in self._models] for key in keys}
        self._tags = [tag for tag in self._together() if len(set(tag.codes)) > 1]
        self._notes: list[str] = []

    def find(self) -> Factors:
        self._leave_out_a_serial_number()
        found: dict[frozenset[str], Factor] = {}
        for tag in self._tags:
            for factor in self._factors_of(tag):
                key = frozenset(factor.tags)
                found[key] = _union(found[key], factor) if key in found else factor
        factors = tuple(found.values())
        notes = [note for tag in self._tags for note in self._missing(tag, factors)]
        return Factors(factors, (*self._notes, *_equal_models(factors), *notes))

    def _together(self) -> list[_Tag]:
        """Return the tags, those that determine each other as one."""
        groups: dict[tuple[int, ...], list[str]] = {}
        for key, values in self._values.items():
            groups.setdefault(_codes(values), []).append(key)
        return [_Tag(tuple(names), codes) for codes, names in groups.items()]

    def _leave_out_a_serial_number(self) -> None:
        """Drop a tag that tells every model apart by itself, where others vary too: it is a name, no factor.

        The others may leave models that are then equal, such as several trainings of each configuration: they share a
        level. Had the tag been a factor, its share in their differences could not be told; so a note names it.
        """
        serial = next((tag for tag in self._tags if len(set(tag.codes)) == len(self._models)), None)
        if serial is None or (len(self._tags) == 1 and len(self._models) <= MOST_LEVELS):
            return
        self._tags = [tag for tag in self._tags if tag is not serial]
        if not self._tags:
            what = "the leaderboard is its table; a mere number can be left out of the tags"
        elif len(set(zip(*(tag.codes for tag in self._tags), strict=True))) < len(self._models):
            what = "it is taken for a name, and models that differ in it alone count as equal"
        else:
            return
        self._notes.append(f"{serial.name} is another for every model: {what}")

    def _factors_of(self, tag: _Tag) -> Iterator[Factor]:
        """Yield what compares the values of a tag: by itself, then with another tag for the values that are left."""
        if self._master(tag) is not None:
            return
        varying = [tag, *(other for other in self._tags if other is not tag and _determines(tag, other))]
        alone = [rows for rows in self._groups(varying) if len(_codes_at(tag, rows)) > 1]
        if alone:
            yield self._factor(varying, alone)
        missing = set(tag.codes).difference(*(_codes_at(tag, rows) for rows in alone))
        other, wider = self._wider(tag, varying, missing)
        if other is not None:
            yield self._factor([*varying, other], wider)

    def _master(self, tag: _Tag) -> _Tag | None:
        """Return a tag that determines another one, which is then compared with it."""
        return next((other for other in self._tags if other is not tag and _determines(other, tag)), None)

    def _wider(self, tag: _Tag, varying: Sequence[_Tag], missing: set[int]) -> tuple[_Tag | None, list[list[int]]]:
        """Return one more tag, and groups, where that brings in values from which nothing differs in the tag alone.

        In these groups the other tag follows from the first, as each training set has a number of classes; the one that
        brings in most values is taken.
        """
        best: tuple[_Tag | None, list[list[int]]] = None, []
        most = 0
        for other in sorted(self._tags, key=lambda one: sorted(one.keys)):
            if other in varying:
                continue
            groups = [rows for rows in self._groups([*varying, other]) if _follows(tag, other, rows)]
            groups = [rows for rows in groups if _codes_at(tag, rows) & missing]
            if not _follows(tag, other, [row for rows in groups for row in rows]):
                continue
            gained = len(missing.intersection(code for rows in groups for code in _codes_at(tag, rows)))
            if gained > most:
                best, most = (other, groups), gained
        return best

    def _groups(self, varying: Sequence[_Tag]) -> list[list[int]]:
        """Return the rows of equal models, some tags aside."""
        fixed = [tag for tag in self._tags if tag not in varying]
        groups: dict[tuple[Value | int, ...], list[int]] = {}
        for row in range(len(self._models)):
            common = tuple(values[row] for values in self._shared.values())
            groups.setdefault((*common, *(tag.codes[row] for tag in fixed)), []).append(row)
        return list(groups.values())

    def _factor(self, varying: Sequence[_Tag], groups: Sequence[Sequence[int]]) -> Factor:
        moving = {key for tag in varying for key in tag.keys}
        known = {key for tag in self._tags for key in tag.keys}
        keys = [key for key in self._values if key in moving]
        shared = [key for key in self._values if key in known - moving]
        blocks = [self._block(keys, shared, rows) for rows in groups]
        return Factor(tuple(keys), tuple(_ordered(blocks)))

    def _block(self, keys: Sequence[str], shared: Sequence[str], rows: Sequence[int]) -> Block:
        levels: dict[Values, list[str]] = {}
        for row in rows:
            levels.setdefault(self._level(keys, row), []).append(self._models[row])
        common = {name: values[rows[0]] for name, values in self._shared.items()}
        fixed = common | {key: self._values[key][rows[0]] for key in shared}
        return Block(fixed, {level: tuple(levels[level]) for level in natural(levels)})

    def _level(self, keys: Sequence[str], row: int) -> Values:
        return tuple(self._values[key][row] for key in keys)

    def _missing(self, tag: _Tag, factors: Sequence[Factor]) -> Iterator[str]:
        """Yield which values of a tag are compared with no other."""
        master = self._master(tag)
        if master is not None:
            yield f"{tag.name} goes along with {master.name} and is compared with it"
            return
        places = [
            (factor, [factor.tags.index(key) for key in tag.keys]) for factor in factors if tag.keys[0] in factor.tags
        ]
        seen = {tuple(level[i] for i in place) for factor, place in places for level in factor.levels}
        missing = natural({self._level(tag.keys, row) for row in range(len(self._models))} - seen)
        if not seen:
            yield f"no two models differ in {tag.name} alone"
        elif missing:
            shown = first_names([level_text(level) for level in missing], _MOST_NAMED)
            yield f"{tag.name} {shown}: no other model differs from these in {tag.name} alone"


def _equal_models(factors: Sequence[Factor]) -> Iterator[str]:
    """Yield which models share a level of some block: their tags are equal, and nothing says which is which."""
    levels = (models for factor in factors for block in factor.blocks for models in block.levels.values())
    several = [models for models in dict.fromkeys(levels) if len(models) > 1]
    if several:
        shown = first_names([" = ".join(models) for models in several], _MOST_NAMED)
        yield f"equal in all tags that are compared, each against the models of other levels: {shown}"


def _codes(values: Sequence[Value]) -> tuple[int, ...]:
    """Return a number for each value, equal ones alike, in the order in which they appear."""
    numbers = {value: number for number, value in enumerate(dict.fromkeys(values))}
    return tuple(numbers[value] for value in values)


def _codes_at(tag: _Tag, rows: Iterable[int]) -> set[int]:
    return {tag.codes[row] for row in rows}


def _determines(tag: _Tag, other: _Tag) -> bool:
    """Return whether the values of a tag leave another no choice."""
    return len(set(zip(tag.codes, other.codes, strict=True))) == len(set(tag.codes))


def _follows(tag: _Tag, other: _Tag, rows: Sequence[int]) -> bool:
    """Return whether, among some models, another tag varies and follows from the first."""
    both = {(tag.codes[row], other.codes[row]) for row in rows}
    return len(both) == len(_codes_at(tag, rows)) and len(_codes_at(other, rows)) > 1


def _union(factor: Factor, more: Factor) -> Factor:
    blocks = {tuple(block.fixed.items()): block for block in (*factor.blocks, *more.blocks)}
    return Factor(factor.tags, tuple(_ordered(list(blocks.values()))))


def _ordered(blocks: Sequence[Block]) -> list[Block]:
    by_fixed = {tuple(block.fixed.values()): block for block in blocks}
    return [by_fixed[fixed] for fixed in natural(by_fixed)]
