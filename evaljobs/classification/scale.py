"""Whether class scores are what they are said to be, or taken for: finite, and probabilities or none."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from evaljobs.classification.measure import Float64, Scale, Scores, rows_a_block
from evaljobs.errors import InputError, NonFiniteError, UsageError

# Probabilities of half precision add up to 1 within 2^-11 of it; those of float32 may exceed 1 by a rounding.
SUM_TOLERANCE, ABOVE_ONE = 1e-3, 1e-6
# Logits that all add up to 1 so nearly are none.
_LIKE_ONE = 1e-2
_NAMED = 5
_OTHERWISE = "if the model gives logits, write `scores_are: logits`; else its output is not that of a softmax"
_NO_CALIBRATION = "there is no calibration; say `scores_are`"
UNKNOWN = f"it is not known whether the scores are logits or probabilities: {_NO_CALIBRATION}"


def scale_of(text: str) -> Scale:
    """Return what class scores are, of the word for it.

    Raises
    ------
    UsageError
        If it is none of the words.
    """
    if not isinstance(text, str) or text not in {*Scale}:
        raise UsageError(f"found scores_are={text!r}; expected 'logits' or 'probabilities'")
    return Scale(text)


def settled(scores: Scores, guess: Scale | None) -> tuple[Scale | None, tuple[str, ...]]:
    """Return what scores are that nobody told about, and a note where the guess does not fit the numbers.

    Parameters
    ----------
    scores
        ``[n, k]`` float32, finite.
    guess
        By the graph of the model.

    Returns
    -------
    tuple
        The guess; None where the scores contradict it.
    """
    inside = float(scores.min()) >= 0 and float(scores.max()) <= 1 + ABOVE_ONE
    if guess is None or not inside:
        return guess, ()
    off = float(abs(_sums(scores) - 1).max())
    if guess is Scale.LOGITS and off <= _LIKE_ONE:
        said = "nobody says what the scores are, and what would be logits adds up to 1 as probabilities do"
        return None, (f"{said}: {_NO_CALIBRATION}",)
    if guess is Scale.PROBABILITIES and off > SUM_TOLERANCE:
        said = f"a softmax makes the scores, and they do not add up to 1 (by up to {off:.2g}: quantised?)"
        return None, (f"{said}: {_NO_CALIBRATION}",)
    return guess, ()


def known_scale(scores: Scores, scores_are: str | None, *, told: bool, need: str) -> Scale:
    """Return what scores are, for what cannot do without.

    Parameters
    ----------
    scores
        ``[n, k]`` float32, finite.
    scores_are
        What they are; `told`, whether somebody says so. What was guessed is checked.
    need
        What depends on it, for the message.

    Raises
    ------
    InputError
        If they are not that, or it is not known what they are.
    """
    guess = None if scores_are is None else Scale(scores_are)
    scale = guess if told else settled(scores, guess)[0]
    if scale is None:
        raise InputError(
            f"it is not known whether the class scores are logits or probabilities, and {need} depends on it; say "
            "`scores_are` of the model"
        )
    refuse_other_than(scale, scores)
    return scale


def refuse_non_finite(scores: Scores) -> None:
    """Refuse scores that are not finite.

    Raises
    ------
    NonFiniteError
        With how many rows, and the first.
    """
    wrong = np.concatenate([~np.isfinite(block).all(axis=1) for block in _blocks(scores)])
    rows = np.flatnonzero(wrong)
    if len(rows):
        first = tuple(rows[:_NAMED].tolist())
        message = f"{len(rows):,} of {len(wrong):,} rows of scores are NaN or infinite; the first: {_named(first)}"
        raise NonFiniteError(f"{message}. Exclude these images or mend the model", count=len(rows), rows=first)


def refuse_other_than(scale: Scale | None, scores: Scores) -> None:
    """Refuse probabilities that are none.

    Raises
    ------
    InputError
        With how many, and the first.
    """
    if scale is Scale.PROBABILITIES:
        _refuse_outside(scores)
        _refuse_sums(_sums(scores))


def _refuse_outside(scores: Scores) -> None:
    low, high = float(scores.min()), float(scores.max())
    if low < 0 or high > 1 + ABOVE_ONE:
        raise InputError(f"found probabilities from {low:.6g} to {high:.6g}; expected 0 to 1: {_OTHERWISE}")


def _refuse_sums(sums: Float64) -> None:
    rows = np.flatnonzero(abs(sums - 1) > SUM_TOLERANCE)
    if len(rows):
        raise InputError(
            f"the probabilities of {len(rows):,} of {len(sums):,} images do not add up to 1: row {rows[0]} has the sum"
            f" {sums[rows[0]]:.6g}; expected 1 within {SUM_TOLERANCE}: {_OTHERWISE}"
        )


def _sums(scores: Scores) -> Float64:
    return np.concatenate([block.sum(axis=1, dtype=np.float64) for block in _blocks(scores)])


def _blocks(scores: Scores) -> list[NDArray[np.float32]]:
    size = rows_a_block(scores.shape[1])
    return [scores[i : i + size] for i in range(0, len(scores), size)]


def _named(rows: tuple[int, ...]) -> str:
    return "row " + ", ".join(str(row) for row in rows)
