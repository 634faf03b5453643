"""Tokens: found where Ray finds them, made for this user alone, shown nowhere."""

from __future__ import annotations

import os
import stat
import threading
import time
from pathlib import Path

import pytest

from raycluster.access.redaction import HIDDEN, redact
from raycluster.access.servers import find_server
from raycluster.access.tokens import Token, ensure_token, find_token
from raycluster.errors import ClusterError


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home, and nothing said in the environment."""
    for name in [name for name in os.environ if name.startswith("RAY_A")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    return tmp_path


def test_token_is_made_once_for_this_user_alone(home: Path) -> None:
    """Nobody else on the machine can read it, whatever the umask; the second time it is the same."""
    before = os.umask(0)
    try:
        made = ensure_token()
    finally:
        os.umask(before)
    path = home / ".ray" / "auth_token"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert len(made.value) == 64
    assert ensure_token() == made == find_token()
    assert [p.name for p in path.parent.iterdir()] == ["auth_token"]


def test_no_token_is_made_where_tokens_are_switched_off(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The refusal leaves nothing behind."""
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    with pytest.raises(ClusterError, match="unset it"):
        ensure_token()
    assert not (home / ".ray").exists()


def test_two_that_make_a_token_together_have_the_same(home: Path) -> None:
    """The first file wins, whole."""
    found: list[Token] = []
    threads = [threading.Thread(target=lambda: found.append(ensure_token())) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert {token.value for token in found} == {(home / ".ray" / "auth_token").read_text()}


def test_token_that_others_could_read_is_made_private(home: Path) -> None:
    """Ray's own command leaves it readable by all."""
    path = home / ".ray" / "auth_token"
    path.parent.mkdir()
    path.write_text("a" * 64 + "\n")
    path.chmod(0o644)
    assert ensure_token().value == "a" * 64
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_places_are_looked_at_in_rays_order(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The variable, the file that a variable names, the user's own file; with none of them there is no token."""
    assert find_token() is None
    (home / ".ray").mkdir()
    (home / ".ray" / "auth_token").write_text("from-home")
    assert find_token() == Token("from-home", str(home / ".ray" / "auth_token"))
    named = home / "named"
    named.write_text("from-path")
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(named))
    assert find_token() == Token("from-path", str(named))
    monkeypatch.setenv("RAY_AUTH_TOKEN", "from-variable")
    assert find_token() == Token("from-variable", "the variable RAY_AUTH_TOKEN")
    monkeypatch.setenv("RAY_AUTH_TOKEN", "")
    assert find_token() == Token("from-path", str(named))
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    assert find_token() is None
    with pytest.raises(ClusterError, match="unset it"):
        ensure_token()


@pytest.mark.parametrize("text", ["", " \n", "two words", "x\ny", "ünicode", "x" * 5000])
def test_what_can_be_no_token_is_refused(home: Path, text: str) -> None:
    """It would break a header, or reach a server as something else."""
    (home / ".ray").mkdir()
    (home / ".ray" / "auth_token").write_text(text)
    with pytest.raises(ClusterError, match="holds no token") as caught:
        find_token()
    assert not text.strip() or text.strip() not in str(caught.value)


def test_named_file_that_is_missing_is_said(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ray would take no other in its place, and so do we."""
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(home / "missing"))
    with pytest.raises(ClusterError, match="no such file"):
        find_token()


def test_token_shows_itself_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither what is logged of it, nor a server that has it, nor an error's text holds it."""
    monkeypatch.setenv("RAY_AUTH_TOKEN", "s3cret-value")
    server = find_server("http://127.0.0.1:8265")
    assert server.headers() == {"Authorization": "Bearer s3cret-value"}
    assert "s3cret" not in f"{server!r} {server} {server.token!r} {server.token}"
    assert redact("sent s3cret-value there") == f"sent {HIDDEN} there"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Authorization: Bearer abc.def-1", f"Authorization: Bearer {HIDDEN}"),
        ("https://me:pass@host/x", f"https://{HIDDEN}@host/x"),
        ("https://u:p@host:9/a?X-Amz-Signature=abc&x=1 failed", f"https://{HIDDEN}@host:9/a?{HIDDEN} failed"),
        ("at /a?X-Amz-Signature=abcd&y=1", f"at /a?X-Amz-Signature={HIDDEN}&y=1"),
        ("https://hooks.example.org/?token=abcd", f"https://hooks.example.org/?{HIDDEN}"),
        ("'http://tok%40en@h/'", f"'http://{HIDDEN}@h/'"),
        # Where a password ends is not known: too much is hidden, not too little.
        ("http://h/,http://u:p@h2/?key=1", f"http://{HIDDEN}@h2/?{HIDDEN}"),
        ("a?b=c, d@e", "a?b=c, d@e"),
        ("s3://AKIAX:abc/def@bucket/x", f"s3://{HIDDEN}@bucket/x"),
        ("'https://me:p'w@host/x'", f"'https://{HIDDEN}@host/x'"),
        ("https://me:p@ss@host/ and http://k@h2/a@b", f"https://{HIDDEN}@host/ and http://{HIDDEN}@h2/a@b"),
        ("https://me:p?s#s://w@host/", f"https://{HIDDEN}@host/"),
        ("https://h/x#access_token=abcd&y=1", f"https://h/x#{HIDDEN}"),
        ("{'Authorization': 'Basic bWU6cGFzcw=='}", f"{{'Authorization': 'Basic {HIDDEN}'}}"),
        ('{"authorization": "abcd"}', f'{{"authorization": "{HIDDEN}"}}'),
        ("s3://bucket/a@b/c.onnx is no model", "s3://bucket/a@b/c.onnx is no model"),
        ("nothing secret: token files, a bearer", "nothing secret: token files, a bearer"),
    ],
)
def test_what_looks_like_a_secret_is_hidden(text: str, shown: str) -> None:
    """Logs of others hold the secrets of others."""
    assert redact(text) == shown


@pytest.mark.parametrize("piece", ["a", "://", "a://b@", "?token", "authorization: ", "bearer ", "#", " "])
def test_hiding_takes_time_in_proportion(piece: str) -> None:
    """A server that answers with pages of one word costs nothing to speak of."""
    started = time.process_time()
    redact(piece * 100_000)
    assert time.process_time() - started < 5


def test_secrets_of_the_environment_are_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    """A cloud's keys are known by their names; paths and modes are no secrets."""
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI")
    monkeypatch.setenv("MY_TOKEN_PATH", "/some/where")
    assert redact("wJalrXUtnFEMI in /some/where") == f"{HIDDEN} in /some/where"


def test_default_server_is_the_environments(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ray's own variables, where they hold an address for jobs; without any, what to do is said."""
    with pytest.raises(ClusterError, match="raycluster up --local"):
        find_server()
    monkeypatch.setenv("RAY_ADDRESS", "http://127.0.0.1:2")
    assert find_server().url == "http://127.0.0.1:2"
    monkeypatch.setenv("RAY_API_SERVER_ADDRESS", "http://127.0.0.1:1")
    assert find_server().url == "http://127.0.0.1:1"
    assert find_server("http://127.0.0.1:3").url == "http://127.0.0.1:3"
    # Inside a job RAY_ADDRESS is that of the cluster itself.
    monkeypatch.delenv("RAY_API_SERVER_ADDRESS")
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.1:6379")
    with pytest.raises(ClusterError, match="no cluster is named"):
        find_server()
