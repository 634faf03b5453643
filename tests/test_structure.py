"""The shape of the code: who may import whom, what stays light, and what is public."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import evaljobs
from tests.source_imports import Import, imports_of, module_name

ROOT = Path(__file__).parents[1]

# Who may import whom, from the top floor to the ground: an arrow points down this list, or is not allowed. What is
# allowed must be in use; `evaljobs` alone stands for `evaljobs/__init__.py`, the public door.
ALLOWED: dict[str, set[str]] = {
    "evaljobs.__main__": {"evaljobs.cli"},
    "evaljobs.cli": {
        "evaljobs",
        "evaljobs.config",
        "evaljobs.demo",
        "evaljobs.engine",
        "evaljobs.errors",
        "evaljobs.explain",
        "evaljobs.export",
        "evaljobs.jobs",
        "evaljobs.progress",
        "evaljobs.remote",
        "evaljobs.report",
        "evaljobs.run",
        "evaljobs.scoring",
        "evaljobs.store",
        "evaljobs.tracking",
        "evaljobs.vectors",
        "evaljobs.watching",
    },
    # What is submitted to clusters, as `raycluster` sees it.
    "evaljobs.shipping": {
        "evaljobs",
        "evaljobs.config",
        "evaljobs.engine",
        "evaljobs.errors",
        "evaljobs.files",
        "evaljobs.images",
        "evaljobs.jobs",
        "evaljobs.models",
        "evaljobs.pairs_file",
        "evaljobs.remote",
        "evaljobs.report",
        "evaljobs.schemas",
        "evaljobs.store",
        "evaljobs.watching",
        "raycluster",
    },
    # Where evaluation uses a cluster.
    "evaljobs.run": {
        "evaljobs.config",
        "evaljobs.engine",
        "evaljobs.errors",
        "evaljobs.images",
        "evaljobs.progress",
        "evaljobs.remote",
        "evaljobs.report",
        "evaljobs.schemas",
        "evaljobs.store",
        "evaljobs.watching",
        "raycluster",
    },
    "evaljobs.engine": {
        "evaljobs",
        "evaljobs.config",
        "evaljobs.errors",
        "evaljobs.explain",
        "evaljobs.images",
        "evaljobs.jobs",
        "evaljobs.models",
        "evaljobs.pairs",
        "evaljobs.pairs_file",
        "evaljobs.progress",
        "evaljobs.remote",
        "evaljobs.report",
        "evaljobs.schemas",
        "evaljobs.store",
    },
    # Verification of tables, without Ray, models and images.
    "evaljobs.scoring": {
        "evaljobs.errors",
        "evaljobs.jobs",
        "evaljobs.pairs",
        "evaljobs.pairs_file",
        "evaljobs.remote",
        "evaljobs.vectors",
    },
    # Of the report, the rule by which it says which model is best.
    "evaljobs.jobs": {
        "evaljobs.audit",
        "evaljobs.anomaly",
        "evaljobs.classification",
        "evaljobs.config",
        "evaljobs.errors",
        "evaljobs.explain",
        "evaljobs.images",
        "evaljobs.pairs",
        "evaljobs.pairs_file",
        "evaljobs.projection",
        "evaljobs.report",
        "evaljobs.uncertainty",
    },
    # From checkpoints to ONNX files; the demo has the images that they are checked on.
    "evaljobs.export": {
        "evaljobs",
        "evaljobs.config",
        "evaljobs.demo",
        "evaljobs.errors",
        "evaljobs.explain",
        "evaljobs.files",
        "evaljobs.images",
        "evaljobs.models",
        "evaljobs.remote",
    },
    "evaljobs.demo": {"evaljobs.config", "evaljobs.errors"},
    # Results in MLflow.
    "evaljobs.tracking": {"evaljobs.errors", "evaljobs.remote", "evaljobs.report"},
    "evaljobs": {
        *("evaljobs.anomaly", "evaljobs.audit", "evaljobs.classification", "evaljobs.pairs", "evaljobs.uncertainty"),
    },
    # Whether numbers can be believed. Of the report, what a difference is.
    "evaljobs.audit": {
        "evaljobs.errors",
        "evaljobs.images",
        "evaljobs.pairs",
        "evaljobs.remote",
        "evaljobs.report",
        "evaljobs.schemas",
    },
    # Where models look: they are run, on pixels. Of classification, the check of what scores are.
    "evaljobs.explain": {
        "evaljobs.classification",
        "evaljobs.config",
        "evaljobs.errors",
        "evaljobs.images",
        "evaljobs.models",
        "evaljobs.projection",
    },
    # Of uncertainty, what is kept of many passes with dropout.
    "evaljobs.models": {
        "evaljobs.classification",
        "evaljobs.config",
        "evaljobs.errors",
        "evaljobs.files",
        "evaljobs.images",
        "evaljobs.remote",
        "evaljobs.schemas",
        "evaljobs.uncertainty",
    },
    "evaljobs.images": {"evaljobs.config", "evaljobs.errors", "evaljobs.remote", "evaljobs.schemas"},
    # Of pairs, the statistics of intervals alone.
    "evaljobs.report": {"evaljobs.errors", "evaljobs.files", "evaljobs.pairs", "evaljobs.remote", "evaljobs.schemas"},
    # Of pairs, the operating points; of classification, what scores are; of uncertainty, the nearest neighbours.
    "evaljobs.anomaly": {
        "evaljobs.classification",
        "evaljobs.config",
        "evaljobs.errors",
        "evaljobs.pairs",
        "evaljobs.uncertainty",
    },
    # Of pairs, scores and the statistics of intervals; of classification, probabilities and classes.
    "evaljobs.uncertainty": {"evaljobs.classification", "evaljobs.errors", "evaljobs.pairs"},
    # Of pairs, labels as numbers and the statistics of intervals.
    "evaljobs.classification": {"evaljobs.config", "evaljobs.errors", "evaljobs.pairs"},
    "evaljobs.pairs": {"evaljobs.config", "evaljobs.errors"},
    # Embeddings in the plane.
    "evaljobs.projection": {"evaljobs.errors"},
    "evaljobs.store": {"evaljobs.config", "evaljobs.errors", "evaljobs.files", "evaljobs.remote", "evaljobs.schemas"},
    "evaljobs.vectors": {"evaljobs.errors", "evaljobs.remote"},
    "evaljobs.pairs_file": {"evaljobs.errors", "evaljobs.remote"},
    "evaljobs.progress": {"evaljobs.watching"},
    "evaljobs.config": {"evaljobs.errors"},
    # Objects on S3.
    "evaljobs.remote": {"evaljobs.errors", "evaljobs.files"},
    # What a run tells while it goes on.
    "evaljobs.watching": set(),
    "evaljobs.schemas": set(),
    "evaljobs.errors": set(),
    # Local files, written whole or not at all.
    "evaljobs.files": set(),
    "raycluster": set(),
}

# The only places that import these. Each is heavy, or has global state, or must be replaceable.
OWNERS: dict[str, tuple[str, ...]] = {
    "ray": ("raycluster",),
    "onnxruntime": ("evaljobs.models.session",),
    "onnx": ("evaljobs.models", "evaljobs.demo", "evaljobs.export"),
    "numba": ("evaljobs.pairs.compiled", "evaljobs.pairs.kernel"),
    "llvmlite": ("evaljobs.pairs.kernel",),
    "matplotlib": ("evaljobs.report",),
    "plotly": ("evaljobs.report.page.rendering",),
    "jinja2": ("evaljobs.report.page.rendering",),
    "psutil": ("raycluster",),
    "pynvml": ("raycluster.sensors.nvml",),
    "imagehash": ("evaljobs.images.fingerprint",),
    "sklearn": ("evaljobs.audit.classifier", "evaljobs.demo", "evaljobs.pairs.selfcheck", "evaljobs.projection"),
    "PIL": ("evaljobs.images", "evaljobs.demo"),
    "torch": ("evaljobs.explain.checkpoints", "evaljobs.export", "evaljobs.pairs"),
    "pytorch_grad_cam": ("evaljobs.explain.checkpoints",),
    "timm": ("evaljobs.export.timm_models",),
    "safetensors": ("evaljobs.export.checkpoint",),
    "click": ("evaljobs.cli", "raycluster.cli"),
    "yaml": ("evaljobs.config", "raycluster.cluster.checking", "raycluster.kubernetes.manifest"),
    "mlflow": ("evaljobs.tracking.mlflow_client",),
    "sqlalchemy": ("raycluster.schedule",),
    "cronsim": ("raycluster.schedule.cron",),
    "s3fs": ("evaljobs.remote",),
    "fsspec": ("evaljobs.remote",),
    "botocore": ("evaljobs.remote", "raycluster.cluster.aws_rules"),
    "aiohttp": ("evaljobs.remote", "raycluster.jobs.following"),
}

HEAVY = [
    *("ray", "numpy", "onnx", "onnxruntime", "numba", "pyarrow", "matplotlib", "sklearn", "torch", "pydantic"),
    *("PIL", "rich", "scipy", "pandas", "s3fs", "fsspec"),
]

MAX_LINES = 400


def package_of(module: str) -> str:
    """Return the row of the table that a module belongs to."""
    top, *rest = module.split(".")
    return f"{top}.{rest[0]}" if top == "evaljobs" and rest else top


def within(module: str, owner: str) -> bool:
    return module == owner or module.startswith(f"{owner}.")


@pytest.fixture(scope="module")
def sources() -> dict[str, str]:
    paths = [path for top in ("evaljobs", "raycluster") for path in sorted((ROOT / top).rglob("*.py"))]
    found = {module_name(path, ROOT): path.read_text(encoding="utf-8") for path in paths}
    assert {"evaljobs.run", "evaljobs.pairs.verification", "raycluster.pool.pool"} <= set(found)
    return found


@pytest.fixture(scope="module")
def imports(sources: dict[str, str]) -> list[Import]:
    return [found for name, source in sources.items() for found in imports_of(name, source, set(sources))]


@pytest.fixture(scope="module")
def edges(imports: list[Import]) -> set[tuple[str, str]]:
    """Edges between packages of the project."""
    own = [(package_of(i.importer), package_of(i.imported)) for i in imports if package_of(i.imported) in ALLOWED]
    return {(importer, imported) for importer, imported in own if importer != imported}


def test_reader_of_imports_sees_every_kind() -> None:
    """The rules below rest on it: imports in functions, under conditions, for types, of submodules and of names."""
    source = (
        "import torch.nn as nn\n"
        "from evaljobs import run\n"
        "if TYPE_CHECKING:\n    import ray\n"
        "try:\n    import onnx\nexcept ImportError:\n    pass\n"
        "class A:\n    def f(self):\n        from numba import njit\n"
    )
    assert set(imports_of("m", source, {"evaljobs.run"})) == {
        Import("m", "torch.nn", at_once=True),
        Import("m", "evaljobs.run", at_once=True),
        Import("m", "ray", at_once=False),
        Import("m", "onnx", at_once=True),
        Import("m", "numba", at_once=False),
    }


def test_every_package_has_a_row(sources: dict[str, str]) -> None:
    """A new package is placed on a floor before anything is built on it."""
    assert {package_of(module) for module in sources} == set(ALLOWED)


def test_arrows_point_down() -> None:
    """The table is a house that can be drawn: nothing imports what stands above it, so nothing imports in circles."""
    floor = {name: number for number, name in enumerate(ALLOWED)}
    upward = [(a, b) for a, allowed in ALLOWED.items() for b in allowed if floor[b] <= floor[a]]
    assert upward == []


def test_only_allowed_imports(edges: set[tuple[str, str]]) -> None:
    """Nobody reaches over the walls of the design."""
    allowed = {(importer, imported) for importer, several in ALLOWED.items() for imported in several}
    assert sorted(edges - allowed) == []


def test_no_allowance_is_stale(edges: set[tuple[str, str]]) -> None:
    """The table says what is, not what once was."""
    allowed = {(importer, imported) for importer, several in ALLOWED.items() for imported in several}
    assert sorted(allowed - edges) == []


def test_evaluation_and_cluster_meet_in_two_packages(imports: list[Import]) -> None:
    """The package raycluster knows nothing of evaluation; what runs and what is submitted know it, and no Ray."""
    across = {(i.importer, i.imported.split(".")[0]) for i in imports if i.imported.split(".")[0] != "evaljobs"}
    outside = {importer for importer, top in across if top == "raycluster" and not within(importer, "raycluster")}
    assert outside
    assert {package_of(importer) for importer in outside} == {"evaljobs.run", "evaljobs.shipping"}
    assert [importer for importer, top in across if top == "ray" and within(importer, "evaljobs")] == []
    assert [i for i in imports if within(i.importer, "raycluster") and within(i.imported, "evaljobs")] == []


def test_reports_see_results_and_no_engine(imports: list[Import]) -> None:
    """What compares pairs may change without a page or a figure; the statistics of intervals are nobody's engine."""
    seen = {
        i.imported for i in imports if within(i.importer, "evaljobs.report") and within(i.imported, "evaljobs.pairs")
    }
    assert seen == {"evaljobs.pairs.intervals"}


@pytest.mark.parametrize(("library", "owners"), OWNERS.items())
def test_library_is_imported_by_its_owners_alone(library: str, owners: tuple[str, ...], imports: list[Import]) -> None:
    """One place to look at, to replace, or to keep lazy; an owner that no longer imports it leaves the table."""
    importers = {i.importer for i in imports if within(i.imported, library)}
    assert [name for name in sorted(importers) if not any(within(name, owner) for owner in owners)] == []
    assert [owner for owner in owners if not any(within(name, owner) for name in importers)] == []


def test_s3_is_loaded_where_something_is_there() -> None:
    """It takes as long as all the rest: a run on files, its workers included, does without it."""
    modules = ["evaljobs.run", "evaljobs.engine.embedding", "evaljobs.engine.decoding", "evaljobs.engine.evaluation"]
    code = f"import sys, {', '.join(modules)}; print(sorted({{'s3fs', 'aiobotocore'}} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_workers_load_what_they_need() -> None:
    """Every actor of every run imports its builder's module: no figures, no reports."""
    code = "import sys, evaljobs.engine.embedding; print('matplotlib' in sys.modules, 'evaljobs.run' in sys.modules)"
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert output == "False False\n"


def test_torch_is_imported_by_nobody_at_once(imports: list[Import]) -> None:
    """It is an extra of two gigabytes: whoever needs it imports it where it is needed."""
    assert len(imports) > 300
    assert [i for i in imports if i.at_once and within(i.imported, "torch")] == []


@pytest.mark.parametrize(
    "code",
    [
        "import evaljobs",
        "import evaljobs; assert evaljobs.__version__",
        "import evaljobs.cli",
        "import sys; sys.argv = ['evaljobs', '--help']; from evaljobs.cli import main; main()",
        "import sys; sys.argv = ['evaljobs', '--version']; from evaljobs.cli import main; main()",
        "import sys; sys.argv = ['evaljobs', 'score', '--help']; from evaljobs.cli import main; main()",
        "import raycluster; assert raycluster.submit",
        "import sys; sys.argv = ['raycluster', '--help']; from raycluster.cli import main; main()",
        "import sys; sys.argv = ['raycluster', 'submit', '--help']; from raycluster.cli import main; main()",
    ],
)
def test_looking_at_it_loads_nothing_heavy(code: str) -> None:
    """`--help` answers at once, and `import evaljobs` costs nothing before something is called."""
    program = (
        f"import atexit, sys\nheavy = {HEAVY!r}\n"
        "atexit.register(lambda: sys.stderr.write('loaded:' + ','.join(m for m in heavy if m in sys.modules)))\n" + code
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=240)
    assert done.stderr == "loaded:"


def test_public_names_are_pinned() -> None:
    """The door is small, and what stands in it stays: a change here is a change for users."""
    names = ["Classification", "Uncertainty", "UncertainImages", "Verification", "__version__"]
    names += ["assess_uncertainty", "classify", "dropout_uncertainty", "neighbour_distances", "softmax_entropy"]
    names += [
        "audit_embeddings",
        "check_metadata",
        "Anomalies",
        "detect_anomalies",
        "rotation_anomaly",
        "verify",
        "verify_cross",
        "verify_pairs",
    ]
    assert sorted(evaljobs.__all__) == sorted(names)
    assert all(getattr(evaljobs, name) is not None for name in evaljobs.__all__)
    with pytest.raises(AttributeError, match="no attribute 'verfy'"):
        _ = evaljobs.verfy


def test_no_file_is_too_long() -> None:
    """A file that nobody can read in one go is split before it grows further."""
    folders = ("evaljobs", "raycluster", "tests", "docs", "benchmarks")
    paths = [path for folder in folders for path in (ROOT / folder).rglob("*.py")]
    assert len(paths) > 100
    lengths = {str(path.relative_to(ROOT)): len(path.read_text(encoding="utf-8").splitlines()) for path in paths}
    assert {path: n for path, n in lengths.items() if n > MAX_LINES} == {}
