"""Tags from names by patterns."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaljobs.errors import UsageError
from evaljobs.models.tags import parse_tags

PATTERN = "{backbone}-f{dim}-r{res}-{norm}-{loss}[-{variant}]"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("lcnet050-f256-r128-ln-arc", ("lcnet050", "256", "128", "ln", "arc", None)),
        ("lcnet050-f256-r128-ln-softmax", ("lcnet050", "256", "128", "ln", "softmax", None)),
        ("lcnet050-f256-r128-ln-cos-from-scratch", ("lcnet050", "256", "128", "ln", "cos", "from-scratch")),
        ("lcnet050-f256-r128-ln-cos-squeeze", ("lcnet050", "256", "128", "ln", "cos", "squeeze")),
        ("lcnet050-f128-r96-ln-cos", ("lcnet050", "128", "96", "ln", "cos", None)),
        ("lcnet050-f256-r128-ln-cos-gap", ("lcnet050", "256", "128", "ln", "cos", "gap")),
        ("efficientnet_b0-f256-r128-bn-cos", ("efficientnet_b0", "256", "128", "bn", "cos", None)),
        ("vit-b-16-f512-r224-ln-arc", ("vit-b-16", "512", "224", "ln", "arc", None)),
    ],
)
def test_names_of_an_ablation_parse(name, expected):
    """The habit of naming checkpoints gives the tags of the ablation tables."""
    fields = ("backbone", "dim", "res", "norm", "loss", "variant")
    assert parse_tags(PATTERN, name) == {k: v for k, v in zip(fields, expected, strict=True) if v is not None}


@pytest.mark.parametrize(
    "name", ["lcnet050", "f128-r96-ln-cos", "", "lcnet050-f-r128-ln-arc", "lcnet050_f256_r128_ln_arc"]
)
def test_a_name_of_another_form_has_no_tags(name):
    """Nothing is guessed where the name does not fit."""
    assert parse_tags(PATTERN, name) is None


def test_optional_parts_nest():
    """An optional part may hold another."""
    pattern = "{a}[-{b}[.{c}]]"
    assert parse_tags(pattern, "x") == {"a": "x"}
    assert parse_tags(pattern, "x-y") == {"a": "x", "b": "y"}
    assert parse_tags(pattern, "x-y.z") == {"a": "x", "b": "y", "c": "z"}


def test_everything_else_is_literal():
    """Characters that mean something to regular expressions stand for themselves."""
    assert parse_tags("m.(v+{version})|{x}", "m.(v+3)|4") == {"version": "3", "x": "4"}
    assert parse_tags("m.{version}", "mx3") is None
    assert parse_tags("{train-classes}", "line\nbreak") == {"train-classes": "line\nbreak"}


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("{a", "'{'"),
        ("a}", "'}'"),
        ("{}", "field name ''"),
        ("{a b}", "field name 'a b'"),
        ("{a}-{a}", "twice"),
        ("{a}{b}", "nothing between"),
        ("[{a}", "without ']'"),
        ("{a}]", "without its '['"),
        ("][{a}", "without its '['"),
        ("plain", "no field"),
        ("", "no field"),
        ("{a[b]}", "'{'"),
    ],
)
def test_malformed_patterns_are_refused_before_anything_starts(pattern, found):
    """A slip in the pattern is a usage error that says what was found."""
    with pytest.raises(UsageError) as caught:
        parse_tags(pattern, "name")
    assert found in str(caught.value)


words = st.text(string.ascii_lowercase + string.digits, min_size=1, max_size=6)


@given(values=st.lists(words, min_size=3, max_size=3))
def test_what_was_written_by_the_pattern_is_read_back(values):
    """Values without the separator survive a round trip."""
    a, b, c = values
    assert parse_tags("{a}_{b}[_{c}]", f"{a}_{b}_{c}") == {"a": a, "b": b, "c": c}
    assert parse_tags("{a}_{b}[_{c}]", f"{a}_{b}") == {"a": a, "b": b}
