"""Checkers that read source code: each takes one module's syntax tree and returns one line of text per fault.

They see code, not behaviour, so they catch a whole class of mistakes wherever it is made. Each is itself tested on a
planted fault, because a check that cannot fail proves nothing.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "src" / "phytoscope"

FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef

# A number may be 0 and still be meant, so its truth says nothing about whether it was given.
NUMBER_NAME = re.compile(r"(^|_)(seed|ratio|threshold|weight|dropout|timeout_s|size|fraction)$")
FLAG_NAME = re.compile(r"^(is|has|use|with|should)_")
# `array.size` counts elements, and asking whether there are any is what its truth is for.
SETTINGS_NAMES = {"self", "config", "settings"}
ARRAY_TYPE = re.compile(r"\b(ndarray|NDArray|Tensor)\b")
# "shape", "scalar", or axes in brackets, with at least one comma: (N,), (N, C, H, W), (N, n_classes), (2, H, W).
SHAPE_TEXT = re.compile(r"\b[Ss]hape[sd]?\b|\bscalars?\b|\(\s*(?:[A-Z]\w*|\d+|\.\.\.)\s*,\s*(?:[\w.* +/-]+,?\s*)*\)")
TYPED_ARGUMENT = re.compile(r"^\s+\*{0,2}\w+ \((?P<type>[^)]*)\):", re.MULTILINE)
TYPED_RETURN = re.compile(
    r"^(?:Returns|Yields):\n\s+(?P<type>(?:int|float|str|bool|bytes|None|Path|list|dict|tuple|set|np\.ndarray|"
    r"ndarray|Tensor|torch\.Tensor|pd\.DataFrame|DataFrame)(?:\[[^\]]*\])?):",
    re.MULTILINE,
)
DEFAULT_TEXT = re.compile(r"[Dd]efaults? to\b|\([Dd]efault\b|[Dd]efault:")
# Typer reads docstrings of commands as help texts, where sections for programmers would only confuse.
HELP_TEXT_MODULES = ("cli.py", "cli/")
# Borders where any failure becomes a message. The list may grow only together with a decision record.
# The borders: the command line's main(), the service's handler, and the loops that must go on whatever one turn does.
BROAD_EXCEPT_MODULES = (
    "cli.py",
    "cli/ending.py",
    "api/batcher.py",
    "api/decoder_process.py",
    "api/gate.py",
    "api/model_slot.py",
    "api/records/recorder.py",
    "api/service.py",
    # What a worker of a cluster meets is told where the command runs.
    "cluster/row_blocks.py",
    # Ray itself raises bare ones.
    "cluster/ray_session.py",
    "steps/ray_ranks.py",
)


def iterate_modules(source: Path = SOURCE) -> Iterator[tuple[str, ast.Module]]:
    """Yield each module's path below the package, with forward slashes, and its syntax tree."""
    for path in sorted(source.rglob("*.py")):
        yield path.relative_to(source).as_posix(), ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def find_number_truth_tests(tree: ast.Module, module: str) -> list[str]:
    """Report numbers used as truth values: `if seed`, `not ratio`, `threshold or 0.5`."""
    suspects: list[ast.expr] = []
    for node in ast.walk(tree):
        match node:
            case ast.If(test=test) | ast.While(test=test) | ast.IfExp(test=test) | ast.Assert(test=test):
                suspects += _tested_parts(test)
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                suspects += _tested_parts(operand)
            case ast.BoolOp(values=[*tested, _]):
                suspects += tested
            case ast.comprehension(ifs=conditions):
                suspects += [part for condition in conditions for part in _tested_parts(condition)]
            case ast.Call(func=ast.Name(id="bool"), args=[argument]):
                suspects.append(argument)
    faults = {(node.lineno, name) for node in suspects if (name := _number_name(node)) is not None}
    return [
        f"{module}:{line}: `{name}` is used as a truth value, but 0 is a value; compare with None"
        for line, name in sorted(faults)
    ]


def _tested_parts(test: ast.expr) -> list[ast.expr]:
    """Return the expression itself, or the parts that an `and` / `or` tests one by one."""
    return list(test.values) if isinstance(test, ast.BoolOp) else [test]


def _number_name(node: ast.expr) -> str | None:
    """Return the name by which the expression reads a number, or None when it reads something else."""
    match node:
        case ast.Attribute(value=ast.expr() as owner, attr="size") if ast.unparse(owner) not in SETTINGS_NAMES:
            return None
        case ast.Name(id=name) | ast.Attribute(attr=name) | ast.Subscript(slice=ast.Constant(value=str(name))):
            pass
        case ast.Call(func=ast.Attribute(attr="get"), args=[ast.Constant(value=str(name)), *_]):
            pass
        case ast.Call(func=ast.Name(id="getattr"), args=[_, ast.Constant(value=str(name)), *_]):
            pass
        case ast.NamedExpr(target=ast.Name(id=name)):
            pass
        case _:
            return None
    return name if NUMBER_NAME.search(name) and not FLAG_NAME.match(name) else None


def find_duplicate_fields(tree: ast.Module, module: str) -> list[str]:
    """Report fields and methods that a class body defines twice: the second silently replaces the first."""
    faults = []
    for owner in ast.walk(tree):
        if not isinstance(owner, ast.ClassDef):
            continue
        seen: set[str] = set()
        for node in owner.body:
            for name in _defined_names(node):
                if name in seen:
                    faults.append(f"{module}:{node.lineno}: {owner.name}.{name} is defined a second time")
                seen.add(name)
    return faults


def _defined_names(node: ast.stmt) -> list[str]:
    """Return the names that a statement of a class body defines; decorated ones (setters, overloads) are meant."""
    match node:
        case ast.AnnAssign(target=ast.Name(id=name)):
            return [name]
        case ast.Assign(targets=targets):
            return [target.id for target in targets if isinstance(target, ast.Name)]
        case ast.FunctionDef(name=name, decorator_list=[]) | ast.AsyncFunctionDef(name=name, decorator_list=[]):
            return [name]
    return []


def find_asserts(tree: ast.Module, module: str) -> list[str]:
    """Report assert statements, which `python -O` removes: input deserves an error of its own."""
    return [
        f"{module}:{node.lineno}: assert in the package; raise an error from phytoscope.errors"
        for node in ast.walk(tree)
        if isinstance(node, ast.Assert)
    ]


def find_prints(tree: ast.Module, module: str) -> list[str]:
    """Report print calls outside the command line."""
    if module == "cli.py" or module.startswith("cli/"):
        return []
    return [
        f"{module}:{node.lineno}: print outside the command line; log it or return it"
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and ast.unparse(node.func) in {"print", "rich.print", "sys.stdout.write"}
    ]


def find_broad_excepts(tree: ast.Module, module: str) -> list[str]:
    """Report handlers that swallow anything; one that ends by raising again swallows nothing."""
    if module in BROAD_EXCEPT_MODULES:
        return []
    faults = []
    for node in ast.walk(tree):
        if not isinstance(node, ast.ExceptHandler) or _raises_again(node):
            continue
        caught = node.type.elts if isinstance(node.type, ast.Tuple) else [node.type]
        if any(kind is None or ast.unparse(kind) in {"Exception", "BaseException"} for kind in caught):
            faults.append(f"{module}:{node.lineno}: catches every exception; name the ones that can happen")
    return faults


def _raises_again(handler: ast.ExceptHandler) -> bool:
    """Say whether the handler's last statement raises the caught exception again."""
    last = handler.body[-1]
    return isinstance(last, ast.Raise) and (
        last.exc is None or (isinstance(last.exc, ast.Name) and last.exc.id == handler.name)
    )


def find_missing_docstrings(tree: ast.Module, module: str) -> list[str]:
    """Report public modules, classes and functions without a docstring."""
    faults = [] if ast.get_docstring(tree) else [f"{module}:1: the module has no docstring"]
    return faults + [
        f"{module}:{node.lineno}: {name} has no docstring"
        for name, node, _ in iterate_public(tree)
        if not ast.get_docstring(node) and not _inherits_docstring(node)
    ]


def _inherits_docstring(node: ast.ClassDef | FunctionNode) -> bool:
    """Say whether another definition speaks for this one: overloads, setters and constructors."""
    if node.name in {"__init__", "__post_init__"}:
        return True
    decorators = {ast.unparse(decorator).split("(")[0].rpartition(".")[2] for decorator in node.decorator_list}
    return bool(decorators & {"overload", "override", "setter", "deleter"})


def find_signature_in_docstrings(tree: ast.Module, module: str) -> list[str]:
    """Report docstrings that repeat types or defaults, because the copy and the signature drift apart."""
    faults = []
    for node in ast.walk(tree):
        if not isinstance(node, ast.ClassDef | FunctionNode):
            continue
        text = ast.get_docstring(node) or ""
        for pattern, what in ((TYPED_ARGUMENT, "a type"), (TYPED_RETURN, "a type"), (DEFAULT_TEXT, "a default")):
            if found := pattern.search(text):
                quote = " ".join(found.group().split())
                faults.append(f"{module}:{node.lineno}: docstring of {node.name} states {what}: {quote!r}")
    return faults


def find_undocumented_raises(tree: ast.Module, module: str) -> list[str]:
    """Report public functions that raise an exception their docstring does not list under `Raises:`.

    What a constructor raises may be listed by its class.
    """
    if module.startswith(HELP_TEXT_MODULES):
        return []
    faults = []
    for name, node, owner in iterate_public(tree):
        if isinstance(node, ast.ClassDef):
            continue
        text = ast.get_docstring(node) or ""
        if node.name in {"__init__", "__post_init__"} and owner is not None:
            text += "\n" + (ast.get_docstring(owner) or "")
        listed = text.partition("Raises:")[2]
        missing = sorted(kind for kind in _raised_kinds(node) if not re.search(rf"\b{re.escape(kind)}\b", listed))
        faults += [f"{module}:{node.lineno}: {name} raises {kind}, which `Raises:` does not list" for kind in missing]
    return faults


def _raised_kinds(function: FunctionNode) -> set[str]:
    """Return the exception classes that the function itself raises; NotImplementedError marks an abstract method."""
    kinds = set()
    for node in _walk_own_body(function):
        if isinstance(node, ast.Raise) and node.exc is not None:
            raised = node.exc.func if isinstance(node.exc, ast.Call) else node.exc
            kind = ast.unparse(raised).rpartition(".")[2]
            # A lower-case name is a variable or a factory: its class is not visible here.
            if kind[:1].isupper() and kind != "NotImplementedError":
                kinds.add(kind)
    return kinds


def _walk_own_body(function: FunctionNode) -> Iterator[ast.AST]:
    """Walk a function's body without entering the functions and classes defined inside it."""
    pending: list[ast.AST] = list(function.body)
    while pending:
        node = pending.pop()
        yield node
        if not isinstance(node, ast.ClassDef | FunctionNode | ast.Lambda):
            pending += ast.iter_child_nodes(node)


def find_missing_shapes(tree: ast.Module, module: str) -> list[str]:
    """Report public functions and classes that carry arrays and do not state a shape."""
    if module.startswith(HELP_TEXT_MODULES):
        return []
    faults = []
    for name, node, owner in iterate_public(tree):
        text = ast.get_docstring(node) or ""
        if isinstance(node, ast.ClassDef):
            annotations = [field.annotation for field in node.body if isinstance(field, ast.AnnAssign)]
        else:
            annotations = _signature_annotations(node)
            if node.name in {"__init__", "__post_init__"} and owner is not None:
                text += "\n" + (ast.get_docstring(owner) or "")
        carries_arrays = any(ARRAY_TYPE.search(ast.unparse(annotation)) for annotation in annotations)
        if carries_arrays and not SHAPE_TEXT.search(text):
            faults.append(f"{module}:{node.lineno}: {name} takes or returns arrays; its docstring states no shape")
    return faults


def _signature_annotations(function: FunctionNode) -> list[ast.expr]:
    """Return the annotations of all arguments and of the returned value."""
    arguments = function.args
    every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg]
    annotations = [argument.annotation for argument in every if argument is not None]
    return [annotation for annotation in [*annotations, function.returns] if annotation is not None]


def iterate_public(tree: ast.Module) -> Iterator[tuple[str, ast.ClassDef | FunctionNode, ast.ClassDef | None]]:
    """Yield qualified name, node and owning class of all public classes, functions, methods and constructors."""
    yield from _iterate_body(tree.body, "", None)


def _iterate_body(
    body: list[ast.stmt], prefix: str, owner: ast.ClassDef | None
) -> Iterator[tuple[str, ast.ClassDef | FunctionNode, ast.ClassDef | None]]:
    for node in body:
        if not isinstance(node, ast.ClassDef | FunctionNode):
            continue
        if node.name.startswith("_") and node.name not in {"__init__", "__post_init__", "__call__"}:
            continue
        yield f"{prefix}{node.name}", node, owner
        if isinstance(node, ast.ClassDef):
            yield from _iterate_body(node.body, f"{prefix}{node.name}.", node)
