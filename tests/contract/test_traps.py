"""The package is free of mistakes that good projects have made, and each check for one can fail."""

import ast
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from contract import source_checks
from contract.source_checks import ROOT, iterate_modules

Checker = Callable[[ast.Module, str], list[str]]
CHECKERS = [getattr(source_checks, name) for name in sorted(dir(source_checks)) if name.startswith("find_")]

PLANTED = [
    ("find_number_truth_tests", "def f(seed):\n    if seed:\n        pass"),
    ("find_number_truth_tests", "def f(self):\n    return self.val_ratio or 0.5"),
    ("find_number_truth_tests", "def f(config):\n    return config.get('dropout') or 0.1"),
    ("find_number_truth_tests", "def f(config):\n    return 1 if config['min_size'] else 2"),
    ("find_number_truth_tests", "def f(a, batch_size):\n    while a and batch_size:\n        pass"),
    ("find_number_truth_tests", "def f(ood_threshold):\n    return not ood_threshold"),
    ("find_number_truth_tests", "def f(rows):\n    return [r for r in rows if r.weight]"),
    ("find_number_truth_tests", "def f(self):\n    return self.size or 224"),
    ("find_duplicate_fields", "class C:\n    a: int = 1\n    b: int = 2\n    a: int = 3"),
    ("find_duplicate_fields", "class C:\n    def f(self): ...\n    def f(self): ..."),
    ("find_asserts", "def f(x):\n    assert x > 0"),
    ("find_prints", "def f(x):\n    print(x)"),
    ("find_broad_excepts", "try:\n    f()\nexcept Exception as error:\n    log(error)"),
    ("find_broad_excepts", "try:\n    f()\nexcept (OSError, Exception):\n    pass"),
    ("find_broad_excepts", "try:\n    f()\nexcept:\n    pass"),
    ("find_missing_docstrings", '"""Module."""\ndef f(): ...'),
    ("find_missing_docstrings", '"""Module."""\nclass C:\n    """Doc."""\n    def f(self): ...'),
    ("find_missing_docstrings", "x = 1"),
    ("find_signature_in_docstrings", 'def f(a):\n    """Do.\n\n    Args:\n        a (int): Number.\n    """'),
    ("find_signature_in_docstrings", 'def f(a):\n    """Do.\n\n    Args:\n        a: Number. Defaults to 3.\n    """'),
    ("find_signature_in_docstrings", 'def f():\n    """Do.\n\n    Returns:\n        list[int]: Numbers.\n    """'),
    ("find_undocumented_raises", 'def f():\n    """Do."""\n    raise DataError("x")'),
    (
        "find_undocumented_raises",
        'def f():\n    """Do.\n\n    Raises:\n        KeyError: x\n    """\n    raise OddError',
    ),
    ("find_undocumented_raises", 'class C:\n    """Do."""\n    def __post_init__(self):\n        raise OddError'),
    ("find_missing_shapes", 'def f(x: np.ndarray) -> float:\n    """Take an array."""'),
    ("find_missing_shapes", 'def f() -> list[Tensor]:\n    """Return tensors (see below)."""'),
    ("find_missing_shapes", 'class Batch:\n    """A batch."""\n    images: torch.Tensor'),
]
HARMLESS = [
    ("find_number_truth_tests", "def f(seed):\n    if seed is not None and seed > 0:\n        pass"),
    ("find_number_truth_tests", "def f(use_weight, sizes):\n    return 1 if use_weight or sizes else 2"),
    ("find_number_truth_tests", "def f(given, seed):\n    return given or seed"),
    ("find_number_truth_tests", "def f(array):\n    return array.mean() if array.size else 0.0"),
    ("find_duplicate_fields", "class C:\n    @property\n    def a(self): ...\n    @a.setter\n    def a(self, v): ..."),
    ("find_broad_excepts", "try:\n    f()\nexcept BaseException:\n    clean()\n    raise"),
    ("find_broad_excepts", "try:\n    f()\nexcept (OSError, ValueError):\n    pass"),
    ("find_missing_docstrings", '"""Module."""\ndef _f(): ...'),
    ("find_signature_in_docstrings", 'def f(a):\n    """Do.\n\n    Args:\n        a: Length (mm): long.\n    """'),
    (
        "find_undocumented_raises",
        'def f():\n    """Do.\n\n    Raises:\n        OddError: x\n    """\n    raise OddError',
    ),
    ("find_undocumented_raises", 'def f():\n    """Do."""\n    def g():\n        raise DataError'),
    ("find_missing_shapes", 'def f(x: np.ndarray) -> None:\n    """Take images (N, C, H, W)."""'),
    ("find_missing_shapes", 'def f(x: Tensor) -> None:\n    """Take logits (N, n_classes)."""'),
    ("find_missing_shapes", 'def f(x: Tensor) -> None:\n    """Take values (N,)."""'),
]

# Written in two halves so that this file does not contain what it looks for.
REGISTRY_HOSTS = [
    first + second
    for first, second in [
        ("py", "pi.org"),
        ("python", "hosted.org"),
        ("download.py", "torch.org"),
        ("ana", "conda.org"),
    ]
]
PRIVATE_FOLDER = r"(?<![\w.])/(?:wo" + r"rk|Users|home/\w+)/"
FOREIGN_TEXT = re.compile("|".join([*map(re.escape, REGISTRY_HOSTS), PRIVATE_FOLDER]))


@pytest.mark.parametrize("checker", CHECKERS, ids=lambda checker: checker.__name__)
def test_package_is_free_of(checker: Checker) -> None:
    """No module of the package has the fault this checker looks for."""
    faults = [fault for module, tree in iterate_modules() for fault in checker(tree, module)]
    assert not faults, "\n" + "\n".join(faults)


@pytest.mark.parametrize(("name", "code"), PLANTED)
def test_planted_fault_is_reported(name: str, code: str) -> None:
    """A fault planted in a snippet is found."""
    assert getattr(source_checks, name)(ast.parse(code), "data/planted.py")


@pytest.mark.parametrize(("name", "code"), HARMLESS)
def test_harmless_code_passes(name: str, code: str) -> None:
    """Code that only resembles a fault is left alone."""
    assert getattr(source_checks, name)(ast.parse(code), "data/harmless.py") == []


def test_every_checker_is_proven() -> None:
    """No checker exists without a planted fault that it finds."""
    assert {checker.__name__ for checker in CHECKERS} == {name for name, _ in PLANTED}


@pytest.mark.parametrize("name", ["find_prints", "find_broad_excepts"])
def test_command_line_may(name: str) -> None:
    """The command line prints and turns any failure into a message."""
    code = "try:\n    print(1)\nexcept Exception:\n    pass"
    assert getattr(source_checks, name)(ast.parse(code), "cli.py") == []


def list_text_files(root: Path) -> list[Path]:
    """List the files that belong to the project: those git knows or would add."""
    command = ["git", "-C", str(root), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    found = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split("\0")
    files = [root / name for name in found if name]
    return [path for path in files if path.is_file() and b"\0" not in path.read_bytes()[:4096]]


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="not a git checkout: the project's files are unknown")
def test_files_name_no_registry_and_no_private_folder() -> None:
    """The project's files speak of no package registry's host and of no folder on somebody's machine."""
    faults = [
        f"{path.relative_to(ROOT)}: {found.group()}"
        for path in list_text_files(ROOT)
        if (found := FOREIGN_TEXT.search(path.read_text(encoding="utf-8", errors="replace")))
    ]
    assert not faults, "\n" + "\n".join(faults)


@pytest.mark.parametrize("text", [f"https://{REGISTRY_HOSTS[0]}/a", "in /wo" + "rk/main", "/home/" + "ada/leaf.jpg"])
def test_foreign_text_is_recognised(text: str) -> None:
    """The pattern for foreign text matches what it is meant to match."""
    assert FOREIGN_TEXT.search(text)
