"""The demo's folder: images, models and a configuration, written once."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from importlib import metadata, resources
from pathlib import Path
from typing import Any

from evaljobs.demo.images import Digits, image_files, load
from evaljobs.errors import UsageError

CONFIG = "benchmark.yaml"
MARKER = "demo.json"  # says that evaljobs made the folder, and what it wrote: files may be replaced, edits are kept

Digests = Mapping[str, str]


def write_demo(out: Path) -> Path:
    """Write the demo and return the path of its configuration.

    In a folder that holds the demo only what is missing or differs is written, so that nothing is computed again; an
    edited ``benchmark.yaml`` and files of other names are left alone.

    Raises
    ------
    UsageError
        If the folder holds something else, or cannot be written.
    """
    try:
        recorded = _open_folder(out)
        digits = load()
        for name, data in image_files(digits).items():
            _write(out / name, data)
        versions = _versions()
        models = _write_models(out, digits, recorded, versions)
        config = _write_config(out, recorded.get("config"))
        _write(out / MARKER, _marker(versions, models, config))
    except OSError as error:
        raise UsageError(
            f"cannot write the demo into {out}: {error.strerror or error}; expected a folder that can be written, with "
            "some 10 MB of room. Name another one with --out"
        ) from None
    return out / CONFIG


def _open_folder(out: Path) -> dict[str, Any]:
    """Return what is recorded about a folder; make it a demo's where it is new or empty."""
    out.mkdir(parents=True, exist_ok=True)
    marker = out / MARKER
    if not marker.exists():
        if any(out.iterdir()):
            raise UsageError(
                f"{out} is not empty and holds no demo; nothing was written. Name a new or empty folder with --out"
            )
        # First of all files, so that a demo that was interrupted is known for one.
        marker.write_bytes(_marker({}, {}, None))
    try:
        recorded = json.loads(marker.read_bytes())
        return dict(recorded["evaljobs_demo"])
    except (ValueError, KeyError, TypeError):
        raise UsageError(
            f"{marker} was not written by `evaljobs demo`; nothing was written. Name a new or empty folder with --out"
        ) from None


def _marker(versions: Mapping[str, str], models: Digests, config: str | None) -> bytes:
    record = {"evaljobs_demo": {"versions": dict(versions), "models": dict(models), "config": config}}
    return f"{json.dumps(record, indent=1)}\n".encode()


def _versions() -> dict[str, str]:
    """Return the versions on which the bytes of the models depend."""
    return {name: metadata.version(name) for name in ("evaljobs", "numpy", "onnx", "scikit-learn", "scipy")}


def _write_models(out: Path, digits: Digits, recorded: Mapping[str, Any], versions: Mapping[str, str]) -> Digests:
    """Fit and write the models, unless those that stand there are the ones that these versions wrote."""
    known: Digests = recorded.get("models", {})
    if known and recorded.get("versions") == versions and all(_digest(out / n) == d for n, d in known.items()):
        return known
    # scikit-learn and onnx take a second to import: not needed where the models stand.
    from evaljobs.demo.models import model_files

    files = model_files(digits)
    for name, data in files.items():
        _write(out / name, data)
    return {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}


def _write_config(out: Path, recorded: str | None) -> str:
    """Write the configuration, unless somebody has edited it; return the digest of what evaljobs wrote."""
    data = resources.files("evaljobs.demo").joinpath(CONFIG).read_bytes()
    digest = hashlib.sha256(data).hexdigest()
    standing = _digest(out / CONFIG)
    if standing is not None and standing not in {recorded, digest}:
        return recorded or digest
    _write(out / CONFIG, data)
    return digest


def _digest(path: Path) -> str | None:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except FileNotFoundError:
        return None


def _write(path: Path, data: bytes) -> None:
    """Write a file unless it stands there with these bytes: its time of change is a part of what caches look at."""
    try:
        if path.read_bytes() == data:
            return
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
