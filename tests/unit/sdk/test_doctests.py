"""Every `>>>` example of the package is run, on drawn leaves."""

import ast
import doctest
import importlib
from pathlib import Path

import pytest

import phytoscope as ph
from phytoscope.sdk import evaluation, examples, inspection, packaging, reading, splitting, training

SOURCE = Path(ph.__file__).parent
# In the order in which a person reads them: a later example goes on with what an earlier one made.
LOOKING = (reading, inspection, splitting, examples)
LEARNING = (training, evaluation, packaging)
PUBLIC = ("read", "inspect", "split", "train", "evaluate", "package", "draw_example")


def list_modules_with_examples():
    """Name every module whose docstrings hold an example."""
    names = []
    for path in sorted(SOURCE.rglob("*.py")):
        nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        kinds = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
        if any(">>> " in (ast.get_docstring(node) or "") for node in nodes if isinstance(node, kinds)):
            names.append(".".join(("phytoscope", *path.relative_to(SOURCE).with_suffix("").parts)))
    return names


@pytest.mark.parametrize("modules", [LOOKING, pytest.param(LEARNING, marks=pytest.mark.slow)], ids=["look", "learn"])
def test_examples_of_the_python_api(drawn, tmp_path, monkeypatch, modules):
    """The examples of the Python API do what they say, one after another."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "leaves").symlink_to(drawn / "leaves", target_is_directory=True)
    known = {"ph": ph}
    runner = doctest.DocTestRunner()
    report = []

    for module in modules:
        for case in doctest.DocTestFinder().find(module):
            case.globs = known
            runner.run(case, out=report.append, clear_globs=False)

    assert runner.tries > 0
    assert runner.failures == 0, "".join(report)


@pytest.mark.parametrize("name", PUBLIC)
def test_every_function_shows_an_example(name):
    """Each public function has an example in its docstring."""
    assert doctest.DocTestFinder().find(getattr(ph, name))[0].examples


def test_no_example_is_left_out():
    """Examples elsewhere in the package are run, too."""
    ours = {module.__name__ for module in (*LOOKING, *LEARNING)}

    for name in set(list_modules_with_examples()) - ours:
        result = doctest.testmod(importlib.import_module(name))

        assert result.failed == 0, name
