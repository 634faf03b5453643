"""What a command says on its error stream when it is asked for JSON: errors, interruptions and warnings too."""

from __future__ import annotations

import json
import logging
import warnings
from pathlib import Path
from typing import Any

import pytest

from evaljobs.cli.voice import Voice
from tests.watching.conftest import evaljobs


def objects(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_wrong_configuration_is_said_in_json(tmp_path: Path) -> None:
    """One message, level error, and the exit code; no traceback, and nothing that is not JSON."""
    path = tmp_path / "bad.yaml"
    path.write_text("images: {foldr: a}\nmodels: [a.onnx]\n")
    done = evaljobs("run", path, "--log", "json")
    begun, error, end = objects(done.err)
    assert (done.code, done.out) == (2, "")
    assert (begun["event"], begun["run"]) == ("begin", "bad")
    assert (error["level"], "did you mean 'folder'?" in error["text"]) == ("error", True)
    assert (end["event"], end["exit_code"], end["level"]) == ("end", 2, "error")


def test_unknown_form_of_the_log_is_refused(tmp_path: Path) -> None:
    """The variable is named, since nobody sees it on the command line."""
    path = tmp_path / "bad.yaml"
    path.write_text("models: [a.onnx]\n")
    done = evaljobs("run", path, EVALJOBS_LOG="xml")
    assert done.code == 2
    assert "EVALJOBS_LOG" in done.err
    assert "'json'" in done.err


def test_voice_speaks_words_until_it_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    """Plain text is the default; afterwards every remark, warning, bug and interruption is a line of JSON."""
    voice = Voice()
    voice.error("a mistake")
    voice.remark("a remark")
    voice.end(0)
    assert capsys.readouterr().err == "evaljobs: a mistake\na remark\n"
    voice.speak_json("faces")
    voice.remark("a remark")
    record = logging.LogRecord("lib", logging.WARNING, "f", 1, "of a %s", ("library",), None)
    voice.handler.emit(record)
    try:
        int("unforeseen")
    except ValueError:
        voice.bug()
    voice.interrupted("Terminated.")
    voice.end(143)
    found = objects(capsys.readouterr().err)
    assert [line["text"] for line in found[1:3]] == ["a remark", "of a library"]
    assert "ValueError: invalid literal" in found[3]["text"]
    assert "bug" in found[4]["text"]
    assert [(line["level"], line["text"]) for line in found[5:]] == [
        ("error", "Terminated."),
        ("error", "exit code 143"),
    ]


def test_warnings_are_lines_while_it_speaks_json(capsys: pytest.CaptureFixture[str]) -> None:
    """What Python warns of goes to the log, and afterwards where it went before."""
    before = warnings.showwarning
    voice = Voice()
    voice.speak_json("faces")
    assert warnings.showwarning is not before
    voice.end("a text")
    assert warnings.showwarning is before
    assert objects(capsys.readouterr().err)[-1]["exit_code"] == 1
