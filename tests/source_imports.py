"""What source files import: read from their text, without importing them."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple


class Import(NamedTuple):
    """One imported module, and whether it is imported as soon as its importer is."""

    importer: str
    imported: str
    at_once: bool


def module_name(path: Path, root: Path) -> str:
    parts = path.relative_to(root).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports_of(importer: str, source: str, modules: set[str]) -> Iterator[Import]:
    """Yield every import of a module, those inside functions and for type checkers included."""

    def visit(node: ast.AST, *, at_once: bool) -> Iterator[Import]:
        if isinstance(node, ast.Import):
            yield from (Import(importer, alias.name, at_once) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{importer} has a relative import; write the whole name"
            assert node.module is not None
            for alias in node.names:
                submodule = f"{node.module}.{alias.name}"
                yield Import(importer, submodule if submodule in modules else node.module, at_once)
        deferred = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        typing_only = isinstance(node, ast.If) and ast.unparse(node.test) in {"TYPE_CHECKING", "typing.TYPE_CHECKING"}
        for child in ast.iter_child_nodes(node):
            yield from visit(child, at_once=at_once and not deferred and not typing_only)

    yield from visit(ast.parse(source), at_once=True)
