"""Errors are caught by the names people know, and say what to do."""

import errno
from pathlib import Path

import pytest

from phytoscope import errors
from phytoscope.errors import MissingDependencyError, PhytoscopeError, StorageError, require, storage_error, suggest

FAMILY = [
    value
    for value in vars(errors).values()
    if isinstance(value, type) and issubclass(value, PhytoscopeError) and value is not PhytoscopeError
]


@pytest.mark.parametrize("kind", FAMILY, ids=lambda kind: kind.__name__)
def test_every_error_is_also_a_builtin(kind):
    """Whoever catches ValueError or OSError catches ours too."""
    builtin = [base for base in kind.__mro__ if base.__module__ == "builtins"]
    assert set(builtin) - {Exception, BaseException, object}


def test_image_error_keeps_its_reason_for_the_table():
    """The reason alone fits into a cell of `rejected.csv`."""
    error = errors.ImageReadError("a b.jpg", "the file is empty")
    assert (error.path, error.reason, str(error)) == (
        "a b.jpg",
        "the file is empty",
        "cannot read the image 'a b.jpg': the file is empty",
    )


@pytest.mark.parametrize(
    ("name", "allowed", "text"),
    [
        ("fodler", ["folder", "table"], "did you mean 'folder'?"),
        ("FOLDER", ["folder", "table"], "did you mean 'folder'?"),
        ("xyz", ["folder", "table"], "choose one of: folder, table."),
        ("xyz", [], "nothing is available here."),
        ("xyz", [f"q{number:02d}" for number in range(30)], "q19, ...."),
    ],
)
def test_suggestion_names_the_nearest(name, allowed, text):
    """The nearest names come first, a short list otherwise."""
    assert text in suggest(name, allowed)


def test_suggestion_can_be_printed():
    """A file name that is not UTF-8 does not break the message it stands in."""
    suggest("x", ["bl\udce4tter"]).encode("utf-8")


@pytest.mark.parametrize(
    ("number", "match"),
    [
        (errno.ENOSPC, "disk is full.*free some space"),
        (errno.EFBIG, "disk is full.*free some space"),
        (errno.EROFS, "read-only for you; choose a folder"),
        (errno.EACCES, "read-only for you; choose a folder"),
        (errno.EIO, "check the place"),
    ],
)
def test_storage_error_says_what_to_do(number, match):
    """The remedy follows from the operating system's number."""
    with pytest.raises(StorageError, match=f"cannot write 'out'.*{match}"):
        raise storage_error(Path("out"), OSError(number, "reason"))


def test_missing_package_names_the_extra(monkeypatch):
    """The message holds the command that installs what is missing."""
    monkeypatch.setitem(errors._EXTRA_OF_MODULE, "no_such_package_at_all", "export")
    with pytest.raises(MissingDependencyError, match=r'pip install "phytoscope\[export\]"'):
        require("no_such_package_at_all")


def test_broken_package_is_not_called_missing(monkeypatch, tmp_path):
    """A package that is there and lacks another one keeps its own error."""
    (tmp_path / "half_there.py").write_text("import no_such_package_at_all", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="no_such_package_at_all"):
        require("half_there")
