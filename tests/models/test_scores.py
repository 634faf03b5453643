"""Class scores beside embeddings: which tensor they are, what they are, and what the classes are called."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest
from onnx import TensorProto, helper
from rich.console import Console

from evaljobs.config import load
from evaljobs.engine.inspection import inspect_config, inspect_paths
from evaljobs.engine.results import _model
from evaljobs.engine.todo import facts_of
from evaljobs.errors import ModelErrorKind, UsageError
from evaljobs.models.classes import parse_names
from evaljobs.models.key import key
from evaljobs.models.model import Output
from evaljobs.models.options import Runtime
from evaljobs.models.resolve import resolve
from evaljobs.models.session import Session
from evaljobs.progress import Quiet
from evaljobs.report.text.inspected import render_inspected

BOTH = ("embedding", "scores")
NAMED = {"path": "model.onnx", "output": "embedding", "scores": "logits"}


@pytest.fixture
def resolved(network):
    """Resolve one entry for jobs that need these roles; return the model, or why it is refused."""
    from evaljobs import config

    def resolve_one(entry, needs=("scores",)):
        run = config.validate(config.Config, {"images": {"folder": "images"}, "models": [entry]}, "test")
        found = resolve(run, network.folder, None, needs)
        return found.models[0] if found.models else found.refused[0]

    return resolve_one


def classifying():
    """Return a classification job."""
    from evaljobs.jobs.classification import ClassificationJob, ClassificationParameters

    return ClassificationJob("classes", ClassificationParameters())


def written(network, *nodes, name="y", shape=("n", 3), metadata=None):
    """Write a classifier of 3 x 4 x 4 pixels that ends with some nodes, from `flat` [N, 48] to `y`."""
    graph = helper.make_graph(
        [helper.make_node("Flatten", ["x"], ["flat"]), *nodes],
        "classifier",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, 4, 4])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)],
    )
    return network.save(graph, "model.onnx", metadata=metadata)


def test_two_outputs_are_kept_for_two_jobs(network, resolved, block, oracle):
    """One pass over an image gives embedding and class scores, each as the network computes it."""
    network.write(outputs=("embedding", "logits"))
    model = resolved(NAMED, BOTH)
    assert model.outputs == (Output("embedding", "embedding"), Output("scores", "logits"))
    assert dict(model.roles) == {"embedding": "embedding", "scores": "scores"}
    rows = Session(model, Runtime()).run(block)
    for role, tensor in (("embedding", "embedding"), ("scores", "logits")):
        np.testing.assert_allclose(rows[role], oracle(block, tensor), rtol=1e-4, atol=1e-4)


def test_scores_may_be_an_inner_tensor(network, resolved, block, oracle):
    """What a graph does not declare as an output can be named, beside one that it declares."""
    network.write(outputs=("embedding",))
    model = resolved({"path": "model.onnx", "scores": "logits"}, BOTH)
    assert [output.tensor for output in model.outputs] == ["embedding", "logits"]
    np.testing.assert_allclose(Session(model, Runtime()).run(block)["scores"], oracle(block, "logits"), atol=1e-4)


def test_one_tensor_of_two_roles_is_kept_once_under_one_key(network, resolved):
    """A classifier with one output has the rows that it always had, whichever jobs ask for them."""
    network.write(outputs=("logits",))
    needs = [("embedding",), ("scores",), BOTH]
    models = [resolved({"path": "model.onnx"}, need) for need in needs]
    assert [model.outputs for model in models] == [(Output("embedding", "logits"),)] * 3
    assert [dict(model.roles) for model in models] == [
        {"embedding": "embedding"}, {"scores": "embedding"}, {"embedding": "embedding", "scores": "embedding"},
    ]  # fmt: skip
    keys = [key(model, Runtime()) for model in models]
    assert keys[0] == keys[1] == keys[2]
    assert keys[0]["outputs"] == [{"role": "embedding", "tensor": "logits", "pooling": None, "channels_last": False}]


def test_scores_that_no_job_needs_change_no_key(network, resolved):
    """Naming them in the configuration makes no new rows of embeddings."""
    network.write(outputs=("embedding", "logits"))
    plain, named = (resolved(entry, ("embedding",)) for entry in ({**NAMED, "scores": None}, NAMED))
    assert key(plain, Runtime()) == key(named, Runtime())
    assert named.scores is None
    assert resolved(NAMED, BOTH).outputs == resolved(NAMED, BOTH[::-1]).outputs, "the order of jobs is not in a key"


def test_what_a_model_lacks_is_no_end_of_it(network, resolved):
    """It is refused where it has nothing that a job needs; else it goes on, and says how to get the rest."""
    network.write(outputs=("embedding", "logits"))
    entry = {"path": "model.onnx", "output": "embedding"}
    model = resolved(entry, BOTH)
    assert dict(model.roles) == {"embedding": "embedding"}
    assert model.lacks["scores"].kind is ModelErrorKind.NO_SCORES
    assert "'logits' float32 [?, 3]" in model.lacks["scores"].message
    assert "with `scores`" in model.lacks["scores"].message
    refused = resolved(entry)
    assert (refused.kind, refused.message) == model.lacks["scores"]
    other = resolved({"path": "model.onnx", "scores": "logits"}, BOTH)
    assert other.lacks["embedding"].kind is ModelErrorKind.UNSUPPORTED_OUTPUT
    assert dict(other.roles) == {"scores": "scores"}


@pytest.mark.parametrize(
    ("entry", "kind", "words"),
    [
        ({"scores": "logitz"}, ModelErrorKind.UNSUPPORTED_OUTPUT, "'logits'"),
        ({"scores": "features"}, ModelErrorKind.NO_SCORES, "expected [N, k]"),
        ({"scores": "tokens"}, ModelErrorKind.NO_SCORES, "expected [N, k]"),
    ],
)
def test_scores_that_cannot_be_used_are_named(network, resolved, entry, kind, words):
    """A misspelled name, a map, tokens: found, expected, what to do."""
    network.write(outputs=("embedding",))
    refused = resolved({"path": "model.onnx", **entry})
    assert refused.kind is kind
    assert words in refused.message


def test_axes_that_were_pooled_over_are_dropped(network, resolved):
    """[N, k, 1, 1], as fully convolutional classifiers give it, are k numbers for an image."""
    weights = helper.make_node("Unsqueeze", ["flat", "axes"], ["y"])
    axes = helper.make_node("Constant", [], ["axes"], value_ints=[2, 3])
    written(network, axes, weights, shape=("n", 48, 1, 1))
    model = resolved({"path": "model.onnx"})
    assert model.outputs == (Output("scores", "y", "flatten"),)
    rows = Session(model, Runtime()).run(np.zeros((2, 4, 4, 3), np.uint8))["scores"]
    assert rows.shape == (2, 48)


ENDS = {
    "Softmax": ("probabilities", [helper.make_node("Softmax", ["flat"], ["y"])]),
    "Softmax, moved and converted": (
        "probabilities",
        [
            helper.make_node("Softmax", ["flat"], ["p"]),
            helper.make_node("Identity", ["p"], ["q"]),
            helper.make_node("Cast", ["q"], ["y"], to=TensorProto.FLOAT),
        ],
    ),
    "Softmax, quantised": (
        "probabilities",
        [
            helper.make_node("Constant", [], ["scale"], value_float=1 / 255),
            helper.make_node("Softmax", ["flat"], ["p"]),
            helper.make_node("QuantizeLinear", ["p", "scale"], ["q"]),
            helper.make_node("DequantizeLinear", ["q", "scale"], ["y"]),
        ],
    ),
    "Softmax, transposed": (
        "probabilities",
        [
            helper.make_node("Softmax", ["flat"], ["p"]),
            helper.make_node("Transpose", ["p"], ["q"], perm=[1, 0]),
            helper.make_node("Transpose", ["q"], ["y"], perm=[1, 0]),
        ],
    ),
    "LogSoftmax": ("logits", [helper.make_node("LogSoftmax", ["flat"], ["y"])]),
    "Relu behind a Softmax": (
        "logits",
        [helper.make_node("Softmax", ["flat"], ["p"]), helper.make_node("Relu", ["p"], ["y"])],
    ),
}


@pytest.mark.parametrize("end", ENDS)
def test_the_graph_says_what_scores_are(network, resolved, end):
    """A softmax at its end makes probabilities; everything else is taken for logits."""
    are, nodes = ENDS[end]
    written(network, *nodes, shape=("n", 48))
    model = resolved({"path": "model.onnx"})
    assert model.scores.are == are
    assert model.scores.source.startswith("made by ")
    facts = facts_of(model, classifying())
    assert (facts.scores_are, facts.scores_told) == (are, False)


def test_whoever_knows_better_says_what_scores_are(network, resolved):
    """The model's entry stands over the metadata, and the metadata over the graph."""
    softmax = helper.make_node("Softmax", ["flat"], ["y"])
    written(network, softmax, shape=("n", 48), metadata={"evaljobs.scores_are": "logits"})
    assert resolved({"path": "model.onnx"}).scores[:2] == ("logits", "metadata")
    told = resolved({"path": "model.onnx", "scores_are": "probabilities"})
    assert told.scores[:2] == ("probabilities", "model config")
    assert facts_of(told, classifying()).scores_told
    written(network, softmax, shape=("n", 48), metadata={"evaljobs.scores_are": "odds"})
    assert "'odds'; expected logits or probabilities" in resolved({"path": "model.onnx"}).message


def test_classes_one_by_one_are_not_taken_for_one_of_many(network, resolved):
    """Scores of a sigmoid do not sum to 1: nobody guesses what they are, but who says so is believed."""
    written(network, helper.make_node("Sigmoid", ["flat"], ["y"]), shape=("n", 48))
    refused = resolved({"path": "model.onnx"})
    assert refused.kind is ModelErrorKind.NO_SCORES
    assert "Sigmoid" in refused.message
    assert resolved({"path": "model.onnx", "scores_are": "logits"}).scores.are == "logits"


METADATA = {
    "evaljobs.classes": '["a", "b", "c"]',
    "names": "{0: 'a', 1: 'b', 2: 'c'}",
    "classes": '["a", "b", "c"]',
    "class_names": "['a', 'b', 'c']",
    "id2label": '{"2": "c", "0": "a", "1": "b"}',
}


@pytest.mark.parametrize("name", METADATA)
def test_classes_are_read_as_tools_write_them(network, resolved, name):
    """Lists and numbered names, JSON and Python: in the order of the scores."""
    network.write(outputs=("logits",), metadata={name: METADATA[name]})
    classes = resolved({"path": "model.onnx"}).scores.classes
    assert classes.names == ("a", "b", "c")
    assert name.startswith("evaljobs.") or classes.source == f"metadata {name}"


@pytest.mark.parametrize("text", ["a,b", "{1: 'a', 2: 'b'}", "{0: 'a', '0': 'b'}", "[1, 2]", "[]", "", "{}", "f()"])
def test_what_is_no_list_of_names_is_not_read_as_one(network, resolved, text):
    """Other tools write other things under the same words: a note, and no classes."""
    assert parse_names(text) is None
    network.write(outputs=("logits",), metadata={"names": text})
    model = resolved({"path": "model.onnx"})
    assert model.scores.classes is None
    assert any("'names'" in note for note in model.notes)


def test_own_metadata_that_is_damaged_is_refused(network, resolved):
    """What evaljobs itself writes is never guessed at."""
    network.write(outputs=("logits",), metadata={"evaljobs.classes": "a,b,c"})
    refused = resolved({"path": "model.onnx"})
    assert refused.kind is ModelErrorKind.NO_SCORES
    assert "'a,b,c'; expected a JSON list" in refused.message


def test_classes_of_the_configuration_come_first(network, resolved):
    """Names, or a file of them, stand over the metadata; a byte order mark and empty lines at the end are no names."""
    network.write(outputs=("logits",), metadata={"evaljobs.classes": '["x", "y", "z"]'})
    (network.folder / "classes.txt").write_text("\ufeffankle boot\nbag \nzürich\n\n", encoding="utf-8")
    listed = resolved({"path": "model.onnx", "classes": ["1", "2", "3"]}).scores.classes
    read = resolved({"path": "model.onnx", "classes": "classes.txt"}).scores.classes
    assert listed == (("1", "2", "3"), "model config")
    assert read == (("ankle boot", "bag", "zürich"), "model config")


@pytest.mark.parametrize(
    ("content", "words"),
    [(None, "cannot be read"), (b"", "it has no names"), (b"a\n\nb\n", "line 2 is empty"), (b"\xff\xfe", "no UTF-8")],
)
def test_a_file_of_classes_that_cannot_be_used_ends_it_before_the_start(network, resolved, content, words):
    """It is a mistake of the configuration: nothing is started."""
    network.write(outputs=("logits",))
    if content is not None:
        (network.folder / "classes.txt").write_bytes(content)
    with pytest.raises(UsageError, match=words):
        resolved({"path": "model.onnx", "classes": "classes.txt"})


def test_results_say_what_was_decided(network, resolved):
    """Whoever reads results.json knows which number is which class; of very many the digest alone."""
    network.write(outputs=("embedding", "logits"))
    entry = _model(resolved({**NAMED, "classes": ["a", "b", "c"]}, BOTH), None)
    assert [(o["role"], o["tensor"]) for o in entry["outputs"]] == [("embedding", "embedding"), ("scores", "logits")]
    assert entry["scores"] == {"are": "logits", "source": "made by MatMul"}
    assert (entry["classes"]["n"], entry["classes"]["names"]) == (3, ["a", "b", "c"])
    many = _model(resolved({**NAMED, "classes": [str(n) for n in range(101)]}, BOTH), None)["classes"]
    assert (many["n"], many["names"], len(many["digest"])) == (101, None, 64)
    assert many["digest"] != entry["classes"]["digest"]
    json.dumps(entry)


def test_inspect_says_what_jobs_would_get(network):
    """Before a run: the class scores that a job finds, and what a model lacks with the way to get it."""
    network.write("named.onnx", outputs=("embedding", "logits"), metadata={"evaljobs.classes": '["a", "b", "c"]'})
    network.write("other.onnx", outputs=("embedding", "logits"))
    path = network.folder / "benchmark.yaml"
    path.write_text(
        "images: {folder: images}\njobs: [{name: v}, {name: c, kind: classification}]\nmodels:\n"
        "  - {path: named.onnx, output: embedding, scores: logits}\n  - {path: other.onnx, output: embedding}\n"
    )
    found = inspect_config(load(path), path, Quiet())
    named, other = (model["decided"] for model in found["models"])
    assert named["output"] == {"tensor": "embedding", "pooling": None, "dimension": 5}
    assert [named["scores"][key] for key in ("tensor", "dimension", "are", "source")] == [
        "logits", 3, "logits", "made by MatMul",
    ]  # fmt: skip
    assert named["scores"]["classes"]["names"] == ["a", "b", "c"]
    assert named["lacks"] == {}
    assert other["scores"] is None
    assert "with `scores`" in other["lacks"]["scores"]
    shown = Console(width=200, file=io.StringIO(), record=True)
    for model in found["models"]:
        shown.print(render_inspected({"models": [model]}))
    text = shown.export_text()
    assert "logits: [N, 3], logits (made by MatMul); 3 classes (metadata)" in text
    assert "no scores" in text


def test_inspect_of_a_file_alone_calls_nothing_scores_by_itself(network, monkeypatch):
    """Of a model that is named without a job, class scores are shown where something says that they are some."""
    monkeypatch.chdir(network.folder)
    network.write("plain.onnx", outputs=("embedding",))
    network.write("classes.onnx", outputs=("logits",), metadata={"names": "{0: 'a', 1: 'b', 2: 'c'}"})
    models = {m["name"]: m["decided"] for m in inspect_paths(["*.onnx"], Quiet())["models"]}
    assert models["plain"]["scores"] is None
    assert models["classes"]["scores"]["classes"]["source"] == "metadata names"
    assert models["plain"]["output"]["tensor"] == "embedding"
