"""Which of a checkpoint's weights fit a module, and putting them into it: every name is accounted for."""

from __future__ import annotations

import collections
import fnmatch
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from evaljobs.errors import ExportError
from evaljobs.export.checkpoint import Checkpoint, StateDict
from evaljobs.export.recipe import Recipe

# What DataParallel, DistributedDataParallel and AveragedModel, and torch.compile, put before names.
_WRAPPERS = ("module", "_orig_mod")
# Of AveragedModel: how many steps were averaged. Of batch norms: counted in training alone, absent in old files.
_COUNTERS = ("n_averaged", "*num_batches_tracked")
_SHOWN = 5


class Fitted(NamedTuple):
    """Which weights were taken: the key that led to them, and what was done to fit them, in plain sentences."""

    source: str
    notes: tuple[str, ...]


class _Match(NamedTuple):
    """One mapping of weights beside a module; `misfits` are sentences, none where it fits."""

    source: str
    state: StateDict
    blank: tuple[str, ...]
    fitting: int
    misfits: tuple[str, ...]
    notes: tuple[str, ...]


def load_weights(module: Any, checkpoint: Checkpoint, recipe: Recipe, heads: Sequence[str]) -> Fitted:
    """Put the weights of a checkpoint into a module.

    What neither side may lack is an error that names it. Weights of the module that may be missing (`Recipe.drop`)
    become NaN, so that an embedding that depends on them cannot pass the check that follows.

    Parameters
    ----------
    module
        With random weights.
    heads
        Classifiers that the module was built without: their weights are left out.

    Raises
    ------
    ExportError
        If no weights fit, several do and none was named, or a weight is not finite.
    """
    drop = [*recipe.drop, *(f"{head}.*" for head in heads)]
    expected = module.state_dict()
    matches = [_match(source, state, expected, recipe.prefix, drop) for source, state in _asked(checkpoint, recipe)]
    match = _choose(checkpoint, matches)
    _check_finite(checkpoint, match.state)
    module.load_state_dict(match.state, strict=False)
    _blank(module, match.blank)
    return Fitted(match.source, match.notes)


def _asked(checkpoint: Checkpoint, recipe: Recipe) -> list[tuple[str, StateDict]]:
    if recipe.weights is None:
        return list(checkpoint.states.items())
    if recipe.weights not in checkpoint.states:
        raise ExportError(
            f"{checkpoint.path.name} has no weights under {recipe.weights!r} (--weights); it has them under "
            f"{_some(map(repr, checkpoint.states))}"
        )
    return [(recipe.weights, checkpoint.states[recipe.weights])]


def _choose(checkpoint: Checkpoint, matches: Sequence[_Match]) -> _Match:
    fitting = [match for match in matches if not match.misfits]
    if len(fitting) == 1:
        return fitting[0]
    name = checkpoint.path.name
    if fitting:
        raise ExportError(
            f"{name} holds several weights that fit: {_some(repr(match.source) for match in fitting)}; "
            f"say which with --weights, such as --weights {fitting[-1].source}"
        )
    best = max(matches, key=lambda match: match.fitting)
    where = f" under {best.source!r}" if best.source else ""
    problems = "".join(f"\n  {misfit}" for misfit in best.misfits)
    raise ExportError(f"{name}: the weights{where} are not those of the architecture; nothing was written{problems}")


def _match(source: str, state: StateDict, expected: StateDict, prefix: str, drop: Sequence[str]) -> _Match:
    named, notes = _renamed(state, expected, prefix)
    ignored = [name for name in named if name not in expected and _matches(name, [*drop, *_COUNTERS])]
    left = {name: tensor for name, tensor in named.items() if name not in ignored}
    missing = [name for name in expected if name not in left and not _matches(name, _COUNTERS)]
    blank = [name for name in missing if _matches(name, drop)]
    unexpected = [name for name in left if name not in expected]
    missing = [name for name in missing if name not in blank]
    reshaped = [n for n, tensor in left.items() if n in expected and tensor.shape != expected[n].shape]
    misfits = [
        *([f"missing in the checkpoint: {_some(missing)}"] if missing else []),
        *([f"in the checkpoint alone: {_some(unexpected)}"] if unexpected else []),
        *(_shapes(name, left, expected) for name in reshaped[:_SHOWN]),
        *([f"and {len(reshaped) - _SHOWN} more of another shape"] if len(reshaped) > _SHOWN else []),
        *_hint(missing, unexpected),
    ]
    if dropped := [name for name in ignored if not _matches(name, _COUNTERS)]:
        notes.append(f"left out: {_some(dropped)}")
    if blank:
        notes.append(f"missing, and not used by the embedding: {_some(blank)}")
    fitting = len(left) - len(unexpected) - len(reshaped)
    kept = {name: tensor for name, tensor in left.items() if name in expected}
    return _Match(source, kept, tuple(blank), fitting, tuple(misfits), (*notes, *_types(kept)))


def _renamed(state: StateDict, expected: StateDict, prefix: str) -> tuple[dict[str, Any], list[str]]:
    """Take the wrappers of training, and then the prefix, from the names."""
    wrappers = [w for w in _WRAPPERS if not any(name.startswith(f"{w}.") for name in expected)]
    named = {_unwrapped(name, wrappers): tensor for name, tensor in state.items()}
    stripped = [w for w in wrappers if any(w in name.split(".") for name in state)]
    notes = [f"stripped from the names: {', '.join(f'{w}.' for w in stripped)}"] if stripped else []
    if not prefix:
        return named, notes
    taken = {name.removeprefix(prefix): tensor for name, tensor in named.items() if name.startswith(prefix)}
    if len(taken) < len(named):
        notes.append(
            f"taken: the {len(taken)} weights under {prefix!r}; left out: the {len(named) - len(taken)} others"
        )
    return taken, notes


def _unwrapped(name: str, wrappers: Sequence[str]) -> str:
    parts = name.split(".")
    while parts[0] in wrappers and len(parts) > 1:
        parts = parts[1:]
    # torch.compile may have been given any part of a model.
    return ".".join(part for part in parts if part != "_orig_mod" or part not in wrappers)


def _matches(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


def _shapes(name: str, state: StateDict, expected: StateDict) -> str:
    return f"{name} has the shape {list(state[name].shape)}, the architecture's has {list(expected[name].shape)}"


def _hint(missing: Sequence[str], unexpected: Sequence[str]) -> list[str]:
    """Find out whether all that is missing lies under one prefix."""
    wanted = set(missing)
    prefixes = collections.Counter(
        name[: i + 1]
        for name in unexpected
        for i, letter in enumerate(name)
        if letter == "." and name[i + 1 :] in wanted
    )
    if not prefixes or (found := prefixes.most_common(1)[0])[1] < len(wanted) / 2:
        return []
    return [f"{found[1]} of the missing weights lie under {found[0]!r}: try --prefix {found[0]}"]


def _types(state: StateDict) -> list[str]:
    names = sorted({str(t.dtype).removeprefix("torch.") for t in state.values() if t.is_floating_point()} - {"float32"})
    return [f"stored as {' and '.join(names)}, exported as float32"] if names else []


def _check_finite(checkpoint: Checkpoint, state: StateDict) -> None:
    bad = [name for name, tensor in state.items() if tensor.is_floating_point() and not tensor.isfinite().all()]
    if bad:
        raise ExportError(
            f"{checkpoint.path.name} holds weights that are NaN or infinite: {_some(bad)}; its training went wrong"
        )


def _blank(module: Any, names: Sequence[str]) -> None:
    """Set what nobody loaded to NaN."""
    state = module.state_dict()  # shares its memory with the module
    for name in names:
        if state[name].is_floating_point():
            state[name].fill_(float("nan"))


def _some(names: Iterable[str]) -> str:
    listed = list(names)
    more = f" and {len(listed) - _SHOWN} more" if len(listed) > _SHOWN else ""
    return ", ".join(listed[:_SHOWN]) + more
