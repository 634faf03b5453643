"""The plan with one statement taken out, in memory: to see that the histories miss it."""

from __future__ import annotations

import ast
import contextlib
import signal
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from scheduling_histories import History

from raycluster import planning

# In the order in which they import each other.
MODULES = ("ranking", "blocks", "hands", "loads", "plan")
# Of processor time, for one history: a hundred times what it takes.
HISTORY_S = 1.0
SIMPLE = (ast.Assign, ast.AugAssign, ast.Delete, ast.Expr, ast.Return, ast.Continue)


class Mutant(NamedTuple):
    """The statement that begins at a line of a module of `raycluster.planning`, counted from 1."""

    name: str
    line: int
    text: str

    def __str__(self) -> str:
        return f"raycluster/planning/{self.name}.py:{self.line}: {self.text}"

    def module(self) -> Any:
        """Return the module `raycluster.planning.plan`, made anew without the statement."""
        names = [f"raycluster.planning.{name}" for name in MODULES]
        kept = {name: sys.modules.pop(name) for name in names if name in sys.modules}
        attributes = {name: getattr(planning, name) for name in MODULES if hasattr(planning, name)}
        try:
            for name in MODULES:
                module = types.ModuleType(f"raycluster.planning.{name}")
                sys.modules[module.__name__] = module
                tree = ast.parse(source(name))
                if name == self.name:
                    _Remover(self.line).visit(tree)
                    ast.fix_missing_locations(tree)
                exec(compile(tree, f"raycluster/planning/{name}.py without line {self.line}", "exec"), vars(module))  # noqa: S102 - the project's own
            return sys.modules["raycluster.planning.plan"]
        finally:
            sys.modules.update(kept)
            for name, value in attributes.items():
                setattr(planning, name, value)


class _Remover(ast.NodeTransformer):
    def __init__(self, line: int) -> None:
        self.line = line

    def visit(self, node: ast.AST) -> ast.AST:
        if isinstance(node, SIMPLE) and node.lineno == self.line:
            return ast.Pass()
        return self.generic_visit(node)


def source(name: str) -> str:
    """Return the text of a module of `raycluster.planning`."""
    return Path(planning.__path__[0], f"{name}.py").read_text(encoding="utf-8")


def mutants() -> Iterator[Mutant]:
    """Yield every simple statement of every method, docstrings apart."""
    for name in MODULES:
        text = source(name)
        for function in (n for n in ast.walk(ast.parse(text)) if isinstance(n, ast.FunctionDef)):
            for node in ast.walk(function):
                docstring = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
                if isinstance(node, SIMPLE) and not docstring:
                    yield Mutant(name, node.lineno, text.splitlines()[node.lineno - 1].strip())


def first_fault(mutant: Mutant, histories: int) -> int | None:
    """Return the first seed whose history a mutant fails, if any. One that never ends fails too."""
    code = mutant.module()
    for seed in range(histories):
        try:
            with _time_limit():
                History(seed, code).run()
        except Exception:  # a plan that cannot even be made is one that fails
            return seed
    return None


@contextlib.contextmanager
def _time_limit() -> Iterator[None]:
    """Raise TimeoutError in what takes too long, in the main thread of a process."""

    def stop(*_: object) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, HISTORY_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)
