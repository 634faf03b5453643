"""Names of places, as users write them."""

from __future__ import annotations

from pathlib import Path

import pytest

from evaljobs.errors import UsageError
from evaljobs.remote import is_remote, locate


@pytest.mark.parametrize("text", ["s3://b", "s3://b/k", "S3://b/k"])
def test_uri_is_remote(text: str) -> None:
    """What begins with s3:// is on S3."""
    assert is_remote(text)


@pytest.mark.parametrize("text", ["s3:/b", "s3", "/s3://b", "./s3://b", "", Path("s3://b/k")])
def test_all_else_is_local(text: str | Path) -> None:
    """A path object is always a local path: it has lost one of the slashes already."""
    assert not is_remote(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("s3://b", "s3://b"),
        ("s3://b/", "s3://b"),
        ("s3://b//a//c/", "s3://b/a/c"),
        ("S3://b/a", "s3://b/a"),
        ("s3://b/a/../c?d=e#f", "s3://b/a/../c?d=e#f"),
        ("x/../y", "/base/y"),
        ("/x//y/", "/x/y"),
        ("~/x", str(Path.home() / "x")),
    ],
)
def test_place_has_one_name(text: str, expected: str) -> None:
    """Slashes too many change nothing; dots and question marks are characters of a key."""
    assert locate(text, Path("/base")) == expected


def test_links_are_kept(tmp_path: Path) -> None:
    """A place is what the user calls it."""
    (tmp_path / "link").symlink_to(tmp_path / "target")
    assert locate("link/x", tmp_path) == str(tmp_path / "link" / "x")


@pytest.mark.parametrize("text", ["s3://", "s3:///key"])
def test_uri_without_bucket_is_refused(text: str) -> None:
    """With what is expected."""
    with pytest.raises(UsageError, match="names no bucket; expected s3://bucket/key"):
        locate(text, Path())
