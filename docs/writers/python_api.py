"""The page of the Python API: every public name of the package, described by mkdocstrings."""

import inspect
from types import ModuleType
from typing import Any, Final

_HEAD: Final = """\
# Python API

```python
import phytoscope as ph
```

These names stay. What is not on this page may change from one version to the next.
[The Python API in use](../guides/python.md) shows them at work.
"""
_FUNCTIONS: Final = ("read", "inspect", "split", "train", "evaluate", "package")
# What the functions and the predictor give back, beside the public names themselves.
_ANSWERS: Final = ("phytoscope.schema.prediction.Prediction", "phytoscope.schema.report.EvaluationReport")


def write_python_api() -> str:
    """Writes the page."""
    import phytoscope

    names = [name for name in phytoscope.__all__ if not name.startswith("__")]
    found: dict[str, Any] = {name: getattr(phytoscope, name) for name in names}
    steps = [name for name in _FUNCTIONS if name in found]
    steps += [name for name in names if inspect.isfunction(found[name]) and name not in steps]
    modules = [name for name in names if isinstance(found[name], ModuleType)]
    estimators = [name for name in names if inspect.isclass(found[name]) and hasattr(found[name], "get_params")]
    classes = [name for name in names if name not in {*steps, *modules, *estimators}]
    parts = [_HEAD]
    for title, group in (("The steps", steps), ("Classes", classes), ("scikit-learn estimators", estimators)):
        parts += [f"\n## {title}\n"] if group else []
        parts += [_write_entry(f"{found[name].__module__}.{found[name].__qualname__}") for name in group]
    places = {f"{found[name].__module__}.{found[name].__qualname__}" for name in classes}
    parts += ["\n## What they give back\n", *(_write_entry(place) for place in _ANSWERS if place not in places)]
    for name in modules:
        parts += [f"\n## {name.capitalize()}\n", _write_entry(found[name].__name__)]
    return "".join(parts)


def _write_entry(place: str) -> str:
    return f"\n::: {place}\n"
