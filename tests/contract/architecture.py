"""The table of rooms and a reader of imports: who may import whom inside the package."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

PACKAGE = "phytoscope"

# Room -> rooms it may import besides itself, `errors` and `schema`. The same table is in docs/architecture.md.
ROOMS: dict[str, frozenset[str]] = {
    "errors": frozenset(),
    "schema": frozenset(),
    "configs": frozenset({"storage"}),
    "storage": frozenset(),
    "cluster": frozenset({"storage", "transforms"}),
    "transforms": frozenset({"storage"}),
    "data": frozenset({"transforms", "storage"}),
    "audit": frozenset({"data"}),
    "models": frozenset({"transforms", "storage"}),
    "trust": frozenset(),
    "evaluate": frozenset({"trust"}),
    "train": frozenset({"data", "models", "transforms", "evaluate"}),
    "predict": frozenset({"models", "transforms", "trust", "storage"}),
    "visualize": frozenset({"evaluate"}),
    "track": frozenset({"predict", "transforms"}),
    "steps": frozenset(
        {
            "configs",
            "storage",
            "cluster",
            "transforms",
            "data",
            "audit",
            "models",
            "trust",
            "evaluate",
            "train",
            "predict",
            "visualize",
            "track",
        }
    ),
    "api": frozenset({"predict", "transforms"}),
    "client": frozenset(),
    "pipeline": frozenset({"configs", "steps", "audit", "train", "track"}),
    "sdk": frozenset({"configs", "storage", "data", "steps"}),
    "estimators": frozenset({"transforms", "data", "models", "train", "predict"}),
    "cli": frozenset(
        {
            "configs",
            "storage",
            "cluster",
            "transforms",
            "data",
            "audit",
            "models",
            "trust",
            "evaluate",
            "train",
            "predict",
            "visualize",
            "track",
            "steps",
            "api",
            "client",
            "pipeline",
        }
    ),
}
# `errors` imports nobody, so that anybody can import it.
OPEN_TO_ALL = {"errors": frozenset({"errors"}), "schema": frozenset({"errors", "schema"})}
# The package's own front and its `python -m` entry stand before all rooms.
FRONTS = ("__init__", "__main__")
NOT_A_ROOM = ("utils", "helpers", "common", "misc", "core")

# Rooms and modules that must not need a library, not even inside a function.
WITHOUT_LIBRARY = {
    "errors": {"torch", "lightning", "pandas", "matplotlib"},
    "schema": {"torch", "torchvision", "lightning", "timm", "matplotlib"},
    "evaluate": {"torch", "torchvision", "lightning", "timm", "torchmetrics"},
    "trust": {"torch", "torchvision", "lightning", "timm", "pandas", "sklearn", "mapie"},
    "visualize": {"torch", "torchvision", "lightning", "timm"},
    "track": {"torch", "torchvision", "lightning", "timm", "dagster"},
    "storage": {"torch", "pandas", "lightning", "dagster", "mlflow", "ray"},
    "cluster": {"torch", "lightning", "dagster", "mlflow"},
    "models": {"lightning", "dagster", "mlflow", "albumentations"},
    "predict": {"lightning", "dagster", "mlflow", "albumentations"},
    "client": {"torch", "numpy", "pandas", "fastapi"},
    "api": {"lightning", "dagster", "mlflow", "albumentations"},
    "data/validate": {"torch", "torchvision", "lightning"},
    "data/split": {"torch", "torchvision", "lightning"},
}
# Folder of a room -> folders beside it that build on it: it may not import them back, or there would be a ring.
BUILT_ON = {
    "data/facts": {"data/validate", "data/split", "data/copies", "data/cache"},
    "data/readers": {"data/validate", "data/copies", "data/facts", "data/split"},
    "data/validate": {"data/copies", "data/split"},
}


def find_forbidden_imports(source: Path) -> list[str]:
    """Report every import inside the package that the table of rooms does not allow, those in functions too."""
    faults = []
    for path in sorted(source.rglob("*.py")):
        module = path.relative_to(source).as_posix()
        importer = room_of(module)
        if importer in FRONTS:
            allowed = None
        elif importer in ROOMS:
            allowed = ROOMS[importer] | OPEN_TO_ALL.get(importer, {"errors", "schema", importer})
        else:
            faults.append(f"{module}: {importer} is no room of the table")
            continue
        for line, imported in iterate_own_imports(path, source):
            if allowed is None:
                forbidden = imported.startswith("_") and imported not in FRONTS
            else:
                forbidden = imported not in allowed
            if forbidden:
                faults.append(f"{module}:{line}: {importer} may not import {imported}")
    return faults


def find_forbidden_libraries(source: Path) -> list[str]:
    """Report imports of libraries that a room promises to do without, those in functions too."""
    faults = []
    for place, libraries in WITHOUT_LIBRARY.items():
        files = [source / f"{place}.py", *sorted((source / place).rglob("*.py"))]
        for path in filter(Path.is_file, files):
            for line, name in _iterate_imports(path, source):
                if (library := name.partition(".")[0]) in libraries:
                    faults.append(f"{path.relative_to(source).as_posix()}:{line}: {place} may not need {library}")
    return faults


def find_rings(source: Path) -> list[str]:
    """Report imports from a folder of a room into one that builds on it, those in functions too."""
    faults = []
    for place, later in BUILT_ON.items():
        for path in sorted((source / place).rglob("*.py")):
            for line, name in _iterate_imports(path, source):
                folder = "/".join(name.split(".")[1:3])
                if folder in later:
                    faults.append(f"{path.relative_to(source).as_posix()}:{line}: {folder} builds on {place}")
    return faults


def room_of(module: str) -> str:
    """Return the room of a module given by its path below the package."""
    return module.partition("/")[0].removesuffix(".py")


def iterate_own_imports(path: Path, source: Path) -> Iterator[tuple[int, str]]:
    """Yield line and room of all imports from the package itself; `__init__` when its front is meant."""
    for line, name in _iterate_imports(path, source):
        package, _, rest = name.partition(".")
        # The version is a plain text that any artefact may carry.
        if package == PACKAGE and rest != "__version__":
            first = rest.partition(".")[0]
            is_module = bool(first) and ((source / first).is_dir() or (source / f"{first}.py").is_file())
            yield line, first if first in ROOMS or is_module else "__init__"


def _iterate_imports(path: Path, source: Path) -> Iterator[tuple[int, str]]:
    """Yield line and dotted name of everything a module imports, relative and by name at run time included."""
    for node in _find_imports(path.read_text(encoding="utf-8")):
        match node:
            case ast.Import(names=names):
                yield from ((node.lineno, alias.name) for alias in names)
            case ast.ImportFrom(names=names):
                base = _resolve_base(node, path, source)
                yield from ((node.lineno, f"{base}.{alias.name}") for alias in names)
            case ast.Call(args=[ast.Constant(value=str(name)), *_]):
                yield node.lineno, name


@cache
def _find_imports(code: str) -> tuple[ast.AST, ...]:
    """Return the statements and calls that import; kept, because copies of one tree are read again and again."""
    return tuple(node for node in ast.walk(ast.parse(code)) if _imports(node))


def _imports(node: ast.AST) -> bool:
    match node:
        case ast.Import() | ast.ImportFrom():
            return True
        case ast.Call(args=[ast.Constant(value=str()), *_]):
            return ast.unparse(node.func).rpartition(".")[2] in {"import_module", "__import__", "lazy_import"}
    return False


def _resolve_base(node: ast.ImportFrom, path: Path, source: Path) -> str:
    """Return the absolute dotted name of the module that a `from ... import` reads."""
    if node.level == 0:
        return node.module or ""
    parents = [PACKAGE, *path.relative_to(source).with_suffix("").parts]
    base = parents[: len(parents) - node.level]
    return ".".join([*base, node.module] if node.module else base)
