"""The configuration file: what is written is what is meant, and every mistake is named."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import jsonschema
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from evaljobs.config import Config, load, parse_target, to_yaml
from evaljobs.errors import UsageError
from evaljobs.jobs import build_jobs, config_schema

MINIMAL = "images: {folder: pictures}\nmodels: [a.onnx]\n"


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "benchmark.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def refused(tmp_path: Path, text: str, *overrides: str) -> str:
    with pytest.raises(UsageError) as caught:
        build_jobs(load(write(tmp_path, text), overrides))
    return str(caught.value)


def test_minimal_file_has_the_stated_defaults(tmp_path: Path) -> None:
    """Two lines are a benchmark: one verification on main at the usual rates, and a map of its best model."""
    config = load(write(tmp_path, MINIMAL))
    assert config.fpr == (1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0)
    job, seen = build_jobs(config)
    assert (job.name, job.kind, job.sets()) == ("verification", "verification", {"set": "main"})
    assert (seen.name, seen.kind, seen.sets()) == ("map", "map", {"set": "main"})
    assert seen.after == ("verification", 1)


def test_scalars_are_text_until_a_field_says_otherwise(tmp_path: Path) -> None:
    """YAML's no, 010 and 1e-5 keep the letters that were written where letters are meant."""
    models = "models: [{path: a.onnx, name: no, tags: {classes: 010, rate: 1e-5, on: yes}}]"
    config = load(write(tmp_path, f"images: {{folder: 2024}}\n{models}\n"))
    assert config.models[0].name == "no"
    assert config.models[0].tags == {"classes": "010", "rate": "1e-5", "on": "yes"}
    assert config.image_sets()["main"].folder == "2024"


@pytest.mark.parametrize(
    "more",
    [
        "",
        "fpr: [1e-6, 0.29]\nstore: ''\ncluster: {cpus: 3, gpu: {tf32: true}}\n",
        "preprocessing: {mean: [0.5], divisor: 255, size: 8}\nname: '010'\nout: s3://bucket/runs\n",
        "jobs: [{name: a, groups: 30}, {name: b, kind: map, after: a, models: 2}]\n",
        "jobs: [{name: c, pairs: '\u202e\U0001f600.csv'}]\n",
    ],
)
def test_a_configuration_is_read_as_what_was_written(tmp_path: Path, more: str) -> None:
    """The text that a run keeps is the same configuration, to the letter and to the digit."""
    config = load(write(tmp_path, MINIMAL + more), ["models.0.batch_size=8"])
    text = to_yaml(config)
    assert text.isascii()
    assert load(write(tmp_path, text)) == config


@pytest.mark.parametrize("text", ["1e-5", "0.00001", "1E-05", "10e-6", " 1e-5"])
def test_target_is_the_decimal_that_was_written(text: str) -> None:
    """However a rate is spelled, it is the same exact number."""
    assert Fraction(repr(parse_target(text))) == Fraction(1, 100_000)


@given(st.integers(1, 999_999), st.integers(0, 12))
def test_every_short_decimal_is_kept_exactly(digits: int, places: int) -> None:
    """Decimals such as 0.29, which no binary float is, come back through repr."""
    exact = Fraction(digits, 10 ** (places + 6))
    text = f"{digits}e-{places + 6}"
    if exact <= 1:
        assert Fraction(repr(parse_target(text))) == exact


@pytest.mark.parametrize("text", ["0", "-1e-3", "1.1", "nan", "inf", "1/3", "abc", "", "0.12345678901234567890"])
def test_what_is_no_rate_is_refused(text: str) -> None:
    """Zero, more than one, fractions, words, and more digits than a float keeps."""
    with pytest.raises(ValueError, match=r"rate|decimal|digits"):
        parse_target(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("imagse: {folder: a}\nmodels: [a]", "imagse: unknown key; did you mean 'images'?"),
        ("images: {foldr: a}\nmodels: [a]", "images.foldr: unknown key; did you mean 'folder'?"),
        (MINIMAL + "cluster: {wrkers: 3}", "did you mean 'workers'?"),
        ("images: {folder: a}\nmodels: [{path: a, preprocessing: {colour: rgb}}]", "did you mean 'color'?"),
        ("sets: {a: {images: {fodler: x}}}\nmodels: [a]", "did you mean 'folder'?"),
        (MINIMAL + "jobs: [{name: a, kind: verfication}]", "did you mean 'verification'?"),
        (MINIMAL + "jobs: [{name: a, kind: verification, frp: 1e-3}]", "did you mean 'fpr'?"),
        (MINIMAL + "jobs: [{name: a, set: other}]", "no set 'other'; the sets are main"),
        (MINIMAL + "jobs: [{name: a}, {name: a}]", "two jobs are named 'a'"),
        (MINIMAL + "fpr: [1e-4, 0.0001]", "stands there twice"),
        (MINIMAL + "fpr: []", "at least one"),
        (MINIMAL + "fpr: 2", "expected 0 < rate <= 1"),
        (MINIMAL + "version: 2", "reads version 1, the file says 2"),
        (MINIMAL + "cluster: {workers: many}", "cluster.workers"),
        ("images: {folder: a, manifest: b}\nmodels: [a]", "give one of `folder`, `manifest`, `parquet` and `tar`"),
        ("images: {label: folder}\nmodels: [a]", "give one of `folder`, `manifest`, `parquet` and `tar`"),
        ("images: {folder: a, label: cls}\nmodels: [a]", "`label: cls` belongs to `tar`"),
        ("images: {parquet: a, label: json}\nmodels: [a]", "`label: json` belongs to `tar`"),
        ("images: {manifest: a, label: prefix}\nmodels: [a]", "`label` belongs to `folder` and `tar`"),
        ("images: {tar: a, id_column: b}\nmodels: [a]", "`id_column` belongs to `manifest` and `parquet`"),
        ("images: {tar: a, image_column: b}\nmodels: [a]", "changes nothing with `tar`; leave it out"),
        ("images: {folder: a, label_column: b}\nmodels: [a]", "changes nothing with `folder`"),
        ("images: {parquet: a, extensions: png}\nmodels: [a]", "`extensions` belongs to `folder` and `tar`"),
        ("models: [a]", "either `images`"),
        ("images: {folder: a}", "models"),
        ("images: {folder: a}\nmodels: []", "models"),
        ("images: {folder: a}\nimages: {folder: b}\nmodels: [a]", "'images' stands twice"),
        ("- a\n- b", "found a list, expected a mapping"),
        ("", "found nothing, expected a mapping"),
        ("a: [", "not valid YAML"),
        ("sets: {a: {images: {folder: x}}, b: {images: {folder: y}}}\nmodels: [m]", "name its `set`, one of a, b"),
    ],
)
def test_mistake_is_named_with_the_nearest_known_key(tmp_path: Path, text: str, expected: str) -> None:
    """Unknown keys are refused wherever they stand; each message says where, and what was expected."""
    assert expected in refused(tmp_path, text)


def test_all_mistakes_are_listed_at_once(tmp_path: Path) -> None:
    """Nobody mends a file one error at a time."""
    message = refused(tmp_path, "images: {foldr: a}\nmodels: [a]\nfpr: 7\ncluster: {wrkers: 1}\n")
    assert "3 mistake(s), nothing was started" in message


def test_missing_and_unreadable_files_say_so(tmp_path: Path) -> None:
    """No file, a folder, and bytes that are no text."""
    with pytest.raises(UsageError, match="evaljobs demo"):
        load(tmp_path / "no.yaml")
    with pytest.raises(UsageError, match="cannot read"):
        load(tmp_path)
    (tmp_path / "latin.yaml").write_bytes(b"images: \xff\xfe")
    with pytest.raises(UsageError, match="cannot read"):
        load(tmp_path / "latin.yaml")


def test_overrides_reach_into_mappings_and_lists(tmp_path: Path) -> None:
    """--set speaks the file's own language."""
    path = write(tmp_path, MINIMAL.replace("[a.onnx]", "[{path: a.onnx}]"))
    config = load(path, ["cluster.workers=4", "models.0.batch_size=8", "fpr=[1e-3, 1e-2]", "images.limit=5"])
    assert config.cluster.workers == 4
    assert config.models[0].batch_size == 8
    assert config.fpr == (1e-3, 1e-2)
    assert config.image_sets()["main"].limit == 5


@pytest.mark.parametrize("override", ["cluster.workers", "=3", "models.7.path=a", "models.x=1", "images.folder.x=1"])
def test_bad_override_is_refused(tmp_path: Path, override: str) -> None:
    """An override that names nothing does nothing silently nowhere."""
    assert "--set" in refused(tmp_path, MINIMAL, override)


def test_digest_is_of_what_can_change_a_result(tmp_path: Path) -> None:
    """Where the work runs and where results go is not part of what is asked."""
    digest = load(write(tmp_path, MINIMAL)).digest()
    for override in ("store=/elsewhere", "out=there", "cluster.workers=3", "cluster.memory_mb=99"):
        assert load(write(tmp_path, MINIMAL), [override]).digest() == digest
    others = ("name=other", "cluster.threads=2", "cluster.device=cpu")
    for override in ("fpr=1e-3", "max_failed_images=0.5", "images.limit=5", "models.0=b.onnx", *others):
        assert load(write(tmp_path, MINIMAL), [override]).digest() != digest


def test_schema_for_editors_accepts_what_the_loader_accepts() -> None:
    """The demo's file is valid by the printed schema, and a wrong key is not."""
    schema = config_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    text = (Path(__file__).parents[2] / "evaljobs" / "demo" / "benchmark.yaml").read_text(encoding="utf-8")
    for document in (text, MINIMAL + "fpr: 1e-3", MINIMAL + "jobs: [{name: a, kind: verification, fpr: [0.1]}]"):
        assert list(validator.iter_errors(yaml.safe_load(document))) == []
    assert list(validator.iter_errors(yaml.safe_load(MINIMAL + "jobs: [{name: a, fprs: [0.1]}]")))
    assert list(validator.iter_errors(yaml.safe_load("imagse: {}\nmodels: [a]")))


def test_every_key_is_described_or_plain(tmp_path: Path) -> None:
    """A frozen configuration: nothing downstream can change it."""
    config = load(write(tmp_path, MINIMAL))
    with pytest.raises(ValueError, match="frozen"):
        config.fpr = (0.1,)  # type: ignore[misc]  # what the test is about
    assert isinstance(config, Config)


@pytest.mark.parametrize(
    "text",
    [
        MINIMAL + "max_failed_images: !!int abc",
        MINIMAL + "name: !!timestamp foo",
        MINIMAL + "fpr: 1e-999999999",
        MINIMAL + "fpr: 1e999999999",
        "images: {folder: ~nosuchuser/a}\nmodels: [a]",
        'images: {folder: "a\\0b"}\nmodels: [a]',
        f"images: {{folder: a}}\nmodels: [{'x' * 5000}]",
        "a: " + "[" * 3000,
    ],
)
def test_hostile_values_are_mistakes_and_not_bugs(tmp_path: Path, text: str) -> None:
    """Explicit tags, exponents without end, homes of nobody and paths that no system takes: said at once."""
    assert refused(tmp_path, text)


@pytest.mark.parametrize("folder", ["\u9854\u3000\u753b\u50cf", "a\u00a0b", "a\u200bb", "a\tb"])
def test_paths_may_hold_what_file_systems_take(tmp_path: Path, folder: str) -> None:
    """Wide and unbroken spaces stand in names of folders."""
    path = write(tmp_path, f'images: {{folder: "{folder}"}}\nmodels: [a]')
    assert load(path).image_sets()["main"].folder == folder


def test_override_changes_one_place_of_a_shared_anchor(tmp_path: Path) -> None:
    """Two models share a mapping by an alias; overriding it for one leaves the other as it is."""
    text = "images: {folder: a}\nmodels: [{path: a, preprocessing: &p {mean: 0.5}}, {path: b, preprocessing: *p}]"
    config = load(write(tmp_path, text), ["models.0.preprocessing.mean=0.1"])
    means = [model.preprocessing.mean for model in config.models if model.preprocessing]
    assert means == [(0.1,), (0.5,)]


@pytest.mark.parametrize("models", ["a.onnx", "[a.onnx]", "[{path: a.onnx}]"])
def test_override_reaches_into_bare_paths_and_empty_sections(tmp_path: Path, models: str) -> None:
    """What is short for a mapping can be overridden like one; a section without content is one left out."""
    text = f"images: {{folder: a}}\nmodels: {models}\ncluster:\nfpr:\n"
    config = load(write(tmp_path, text), ["models.0.batch_size=8", "cluster.workers=2"])
    assert config.models[0].batch_size == 8
    assert config.cluster.workers == 2
