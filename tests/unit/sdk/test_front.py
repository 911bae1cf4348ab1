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


@pytest.mark.slow
def test_type_checkers_find_a_wrong_name(tmp_path):
    """A type checker knows what each name is, and refuses one that is none."""
    code = "import phytoscope as ph\nreveal_type(ph.read)\nph.trian(1)\nph.read('leaves', imags='x')\n"
    (tmp_path / "user.py").write_text(code, encoding="utf-8")
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file=", "--cache-dir=cache", "user.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=600)

    assert "-> phytoscope.sdk.dataset.Dataset" in done.stdout
    assert 'has no attribute "trian"' in done.stdout
    assert 'Unexpected keyword argument "imags"' in done.stdout


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
