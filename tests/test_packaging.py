"""What is installed where: the packages of the design, and one onnxruntime on every platform."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from packaging.markers import Marker, default_environment
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def project() -> dict[str, object]:
    with (ROOT / "pyproject.toml").open("rb") as file:
        found = tomllib.load(file)["project"]
    assert isinstance(found, dict)
    return found


def requirements(project: dict[str, object], extra: str | None = None) -> list[Requirement]:
    """Return what the project, or an extra of it, requires."""
    if extra is None:
        listed = project["dependencies"]
    else:
        extras = project["optional-dependencies"]
        assert isinstance(extras, dict)
        listed = extras[extra]
    assert isinstance(listed, list)
    return [Requirement(text) for text in listed]


def test_the_packages_of_the_design_are_declared(project: dict[str, object]) -> None:
    """Ray with its Jobs API, onnxruntime-gpu with a CUDA extra, torch in an extra of its own, and five more."""
    base = {r.name: r.extras for r in requirements(project)}
    assert {"ray", "onnxruntime-gpu", "numpy", "scikit-learn", "pyarrow", "matplotlib", "s3fs"} <= set(base)
    assert base["ray"] == {"default"}
    assert "torch" not in base
    assert [r.name for r in requirements(project, "torch")] == ["torch"]
    cuda = requirements(project, "cuda")
    assert {r.name for r in cuda} == {"onnxruntime-gpu"}
    assert all({"cuda", "cudnn"} == r.extras for r in cuda)


PLATFORMS = [
    ("linux", "x86_64", "onnxruntime-gpu"),
    ("linux", "aarch64", "onnxruntime"),
    ("linux", "ppc64le", "onnxruntime"),
    ("darwin", "arm64", "onnxruntime"),
    ("darwin", "x86_64", "onnxruntime"),
    ("win32", "AMD64", "onnxruntime-gpu"),
    ("win32", "ARM64", "onnxruntime"),
    ("freebsd14", "amd64", "onnxruntime"),
]


@pytest.mark.parametrize(("system", "machine", "expected"), PLATFORMS)
def test_one_onnxruntime_on_every_platform(
    project: dict[str, object], system: str, machine: str, expected: str
) -> None:
    """The two share an import name and overwrite each other: one is installed, never both, never none."""
    environment = {**default_environment(), "sys_platform": system, "platform_machine": machine, "extra": ""}

    def wanted(marker: Marker | None) -> bool:
        return marker is None or marker.evaluate({key: str(value) for key, value in environment.items()})

    base = [r.name for r in requirements(project) if r.name.startswith("onnxruntime") and wanted(r.marker)]
    assert base == [expected]
    cuda = [r.name for r in requirements(project, "cuda") if wanted(r.marker)]
    assert cuda == (["onnxruntime-gpu"] if expected == "onnxruntime-gpu" else [])
