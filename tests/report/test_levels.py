"""Values of tags are ordered as people count, whatever they are."""

from __future__ import annotations

from evaljobs.report.tables.levels import Values, level_text, natural, natural_texts


def test_levels_are_ordered_as_people_do() -> None:
    """Absent first, numbers by size, numbers inside names by size too."""

    def ordered(*found: str | None) -> list[str]:
        levels: list[Values] = [(value,) for value in found]
        return [level_text(level) for level in natural(levels)]

    assert ordered("1e-3", "0.01", "3e-4", None) == ["-", "3e-4", "1e-3", "0.01"]
    assert ordered("16,256", "390,144", "130,048", "512") == ["512", "16,256", "130,048", "390,144"]
    assert ordered("epoch10", "epoch9", "epoch") == ["epoch", "epoch9", "epoch10"]
    assert ordered("10", "9", "b") == ["9", "10", "b"]
    assert ordered("nan", "inf", "-1") == ["-1", "inf", "nan"]
    assert natural_texts(["10", "2", "nan", "1"]) == ["1", "2", "10", "nan"]
    long = ["2" * 5000, "1" * 5000]
    assert natural_texts(long) == natural_texts([*long, "a"])[:2]
