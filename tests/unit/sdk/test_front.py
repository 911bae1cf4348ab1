"""What `import phytoscope as ph` gives, and what it does not cost."""

import subprocess
import sys
from types import FunctionType

import pytest

import phytoscope as ph

HEAVY = ("numpy", "pandas", "torch", "hydra", "omegaconf", "matplotlib", "sklearn", "rich")


def test_import_brings_no_library():
    """Importing the package costs nothing: no library is imported before a name is used."""
    code = f"import sys, phytoscope, phytoscope.errors; print(sorted(set({HEAVY!r}) & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)

    assert done.stdout.strip() == "[]"


def test_every_public_name_is_there():
    """Each name of `__all__` can be had, says what it is, and is listed by `dir`."""
    for name in ph.__all__:
        value = getattr(ph, name)

        assert name in dir(ph)
        assert name == "__version__" or value.__doc__


def test_unknown_name_is_refused():
    """A name that does not exist is an AttributeError, as for any module."""
    with pytest.raises(AttributeError, match="no attribute 'trian'"):
        ph.trian  # noqa: B018


def test_functions_stay_functions_beside_the_rooms_of_their_name():
    """`ph.train` is the function before and after modules of the room `phytoscope.train` are imported."""
    code = (
        "import phytoscope as ph; train, evaluate = ph.train, ph.evaluate; "
        "import phytoscope.train.devices, phytoscope.evaluate.report; from phytoscope.train.devices import find_rank; "
        "import phytoscope; assert phytoscope.train is train and phytoscope.evaluate is evaluate; "
        "print(train.__module__, evaluate.__module__)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=120)

    assert done.stdout.split() == ["phytoscope.sdk.training", "phytoscope.sdk.evaluation"], done.stderr
    assert isinstance(ph.train, FunctionType)
    assert isinstance(ph.evaluate, FunctionType)
