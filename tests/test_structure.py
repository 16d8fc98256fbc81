"""The shape of the code: who may import what."""

from __future__ import annotations

import ast
from pathlib import Path

import engine

ROOT = Path(engine.__file__).parent


def _modules() -> dict[str, tuple[ast.Module, str]]:
    """Every module by name: its syntax tree and the package that relative imports start from."""
    found = {}
    for path in ROOT.rglob("*.py"):
        parts = ["engine", *path.relative_to(ROOT).with_suffix("").parts]
        package = parts[:-1]
        if parts[-1] == "__init__":
            parts.pop()
        found[".".join(parts)] = (ast.parse(path.read_text()), ".".join(package))
    return found


MODULES = _modules()


def _imported(statement: ast.stmt, package: str) -> list[str]:
    """Names of modules (of any project) that a statement imports."""
    if isinstance(statement, ast.Import):
        return [alias.name for alias in statement.names]
    if not isinstance(statement, ast.ImportFrom):
        return []
    base = statement.module or ""
    if statement.level:
        parts = package.split(".")
        base = ".".join([*parts[: len(parts) - statement.level + 1], *([statement.module] if statement.module else [])])
    names = [f"{base}.{alias.name}" for alias in statement.names]
    return [name if name in MODULES else base for name in names]


def _graph() -> dict[str, set[str]]:
    return {
        name: {m for s in tree.body for m in _imported(s, package) if m in MODULES and m != name}
        for name, (tree, package) in MODULES.items()
    }


def test_there_are_no_import_cycles():
    graph = _graph()
    done: set[str] = set()
    path: list[str] = []

    def visit(name: str) -> None:
        assert name not in path, f"import cycle: {' -> '.join([*path[path.index(name) :], name])}"
        if name in done:
            return
        path.append(name)
        for other in sorted(graph[name]):
            visit(other)
        path.pop()
        done.add(name)

    for name in sorted(graph):
        visit(name)


def test_only_the_opencl_package_imports_pyopencl():
    users = {
        name
        for name, (tree, package) in MODULES.items()
        for node in ast.walk(tree)
        if any(m.split(".")[0] == "pyopencl" for m in _imported(node, package))
    }
    assert users and all(name.startswith("engine.opencl") for name in users)


def test_layers_depend_downwards():
    """opencl <- graph <- ops and autograd <- tensor <- nn, optim, data."""
    above = {
        "engine.opencl": (
            "engine.graph",
            "engine.ops",
            "engine.autograd",
            "engine.tensor",
            "engine.nn",
            "engine.optim",
        ),
        "engine.graph": ("engine.ops", "engine.autograd", "engine.tensor", "engine.nn", "engine.optim"),
        "engine.ops": ("engine.tensor", "engine.nn", "engine.optim", "engine.data"),
        "engine.autograd": ("engine.tensor", "engine.nn", "engine.optim", "engine.data"),
    }
    for name, used in _graph().items():
        for layer, forbidden in above.items():
            if name == layer or name.startswith(layer + "."):
                wrong = [m for m in used for f in forbidden if m == f or m.startswith(f + ".")]
                assert not wrong, f"{name} imports {wrong}"


def test_imports_stand_at_the_top():
    """Except where an optional package is needed by one function, and in what stands in for torch itself."""
    allowed = {"engine.aliases.torch"}
    for name, (tree, package) in MODULES.items():
        for function in ast.walk(tree):
            if isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef)) and name not in allowed:
                inside = [m for node in ast.walk(function) for m in _imported(node, package) if m in MODULES]
                assert not inside, f"{name}.{function.name} imports {inside}"
