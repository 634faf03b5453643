"""Target false-positive rates: the decimals that were written, exactly."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

_MOST_PLACES = 300  # what a float can hold


def parse_target(value: object) -> float:
    """Turn a target FPR as written into the float whose repr is that very decimal.

    Raises
    ------
    ValueError
        If it is no decimal in (0, 1], or has more digits than a float keeps.
    """
    text = repr(value) if isinstance(value, float) else str(value).strip()
    exact = _fraction(text)
    if exact is None:
        raise ValueError(f"{text!r} is not a decimal number; write a false-positive rate such as 1e-4 or 0.001")
    if not 0 < exact <= 1:
        raise ValueError(f"{text} is not a false-positive rate; expected 0 < rate <= 1")
    if Fraction(repr(float(exact))) != exact:
        raise ValueError(f"{text} has more digits than can be kept; write at most 15 significant digits")
    return float(exact)


def _fraction(text: str) -> Fraction | None:
    try:
        # A decimal holds its exponent apart; a fraction of 1e-999999999 would be written out with all its digits.
        return Fraction(text) if abs(Decimal(text).adjusted()) < _MOST_PLACES else None
    except (ValueError, ArithmeticError):
        return None


def unique_targets(targets: tuple[float, ...]) -> tuple[float, ...]:
    """Sort targets upwards; refuse a list that is empty or has one twice."""
    if not targets:
        raise ValueError("no target; name at least one false-positive rate, such as 1e-4")
    if len(set(targets)) != len(targets):
        raise ValueError("a target stands there twice; name each false-positive rate once")
    return tuple(sorted(targets))
