"""The matrix of a configuration: which combinations it has, and what is refused."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaljobs import config
from evaljobs.config.loading import parse_yaml
from evaljobs.errors import UsageError


def entry(text):
    return config.validate(config.Models, parse_yaml(text, "test"), "test")


def test_combinations_are_in_the_order_of_the_file():
    """The last key changes fastest, as one reads it; values stay the text that was written."""
    found = entry("{path: '{b}-{n}.onnx', matrix: {b: [net, no], n: [010, 1e-5]}, exclude: {b: no, n: 010}}")
    assert list(config.combinations(found.matrix, found.exclude)) == [
        {"b": "net", "n": "010"},
        {"b": "net", "n": "1e-5"},
        {"b": "no", "n": "1e-5"},
    ]
    assert config.fill(found.path, {"b": "x{n}", "n": "7"}) == "x{n}-7.onnx"


keys = st.lists(st.sampled_from("abcd"), min_size=1, max_size=3, unique=True)


@given(st.data())
def test_what_is_excluded_is_what_matches(data):
    """Brute force: a combination is left out where some exclusion has none but its values."""
    names = data.draw(keys)
    values = st.lists(st.sampled_from("123"), min_size=1, max_size=3, unique=True)
    matrix = {name: data.draw(values) for name in names}
    partial = st.dictionaries(st.sampled_from(names), st.sampled_from("123"), min_size=1)
    exclude = data.draw(st.lists(partial, max_size=3))
    expected = []
    for row in itertools.product(*(matrix[name] for name in names)):
        left_out = False
        for one in exclude:
            left_out = left_out or all(row[names.index(name)] == value for name, value in one.items())
        if not left_out:
            expected.append(dict(zip(names, row, strict=True)))
    assert list(config.combinations(matrix, exclude)) == expected


REFUSED = [
    ("{path: '{b}.onnx', matrix: {c: x}}", "{b} is no key of `matrix`, which has c"),
    ("{path: '{b}.onnx', matrix: {b: x, c: y}}", "nothing depends on 'c'; write {c} into `path`"),
    ("{path: '{b}.onnx', matrix: {b: [x, x]}}", "'b' has the value 'x' twice"),
    ("{path: '{b}.onnx', matrix: {b: []}}", "'b' has no value"),
    ("{path: '{b}.onnx', matrix: {b: ['']}}", "'b' has an empty value"),
    ("{path: '{b c}.onnx', matrix: {b c: x}}", "'b c' is no name"),
    ("{path: '{b}.onnx', matrix: {b: x}, tags: {b: y}}", "'b' stands in `tags` and in `matrix`"),
    ("{path: '{b}.onnx', matrix: {b: [x, y]}, exclude: {b: z}}", "b: z is nothing that `matrix` has"),
    ("{path: '{b}.onnx', matrix: {b: [x, y]}, exclude: {c: x}}", "c: x is nothing that `matrix` has"),
    ("{path: '{b}.onnx', matrix: {b: [x]}, exclude: [{b: x}]}", "no combination of `matrix` is left"),
    ("{path: 'a.onnx', exclude: [{b: x}]}", "and there is none"),
    (
        f"{{path: '{{a}}{{b}}{{c}}', matrix: {{{', '.join(f'{n}: {list(range(30))}' for n in 'abc')}}}}}",
        "27,000 combinations; expected at most 10,000",
    ),
]


@pytest.mark.parametrize(("text", "says"), REFUSED, ids=[says for _, says in REFUSED])
def test_what_would_change_nothing_is_refused(text, says):
    """Whoever writes a key or a value believes that it does something."""
    with pytest.raises(UsageError) as caught:
        entry(text)
    assert says in str(caught.value)


def test_one_file_with_several_outputs_is_a_matrix_too():
    """A matrix may stand in the output alone: one file, several models."""
    found = entry("{path: net.onnx, matrix: {layer: [pool, head]}, output: '{layer}_out'}")
    assert len(list(config.combinations(found.matrix, found.exclude))) == 2
