"""Who names a file that is not there is told which one may be meant, as it must stand in the table."""

import unicodedata

import pandas as pd
import pytest

from phytoscope.data.readers.missing_images import match_normal_forms, suggest_files

COMPOSED = "Bl\N{LATIN SMALL LETTER A WITH DIAERESIS}tter_0.jpg"
PARTED = unicodedata.normalize("NFD", COMPOSED)


def touch(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def suggest(folder, name):
    path = name if name.startswith("/") or name[1:2] == ":" else f"{folder}/{name}"
    return suggest_files(pd.DataFrame({"sample_id": [name], "path": [path]}), str(folder))[0]


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("P0.JPG", "p0.jpg"),
        ("sub/S1.jpg", "sub/s1.jpg"),
        ("sub/s1", "sub/s1.jpg"),
        ("s1.jpg", "sub/s1.jpg"),
        ("images/p0.jpg", "p0.jpg"),
        ("C:/photos/p0.jpg", "p0.jpg"),
        ("/elsewhere/s1.jpg", "sub/s1.jpg"),
    ],
)
def test_name_is_suggested_as_it_must_stand_in_the_table(tmp_path, monkeypatch, name, meant):
    """Relative to the image folder, wherever the program was started."""
    monkeypatch.chdir(tmp_path)
    folder = touch(tmp_path / "images", "p0.jpg", "sub/s1.jpg")
    assert suggest(folder, name) == f"did you mean {meant!r}? Correct the name"


def test_dangling_link_is_said(tmp_path):
    """The name is right, and what it leads to is gone."""
    (tmp_path / "a.jpg").symlink_to(tmp_path / "gone.jpg")
    assert str(suggest(tmp_path, "a.jpg")).startswith("the link leads nowhere")


@pytest.mark.parametrize(("written", "stored"), [(COMPOSED, PARTED), (PARTED, COMPOSED)])
def test_names_match_in_both_normal_forms(tmp_path, written, stored):
    """Folders and files alike; the name becomes that of the file."""
    touch(tmp_path, stored, f"{stored}_/{stored}")
    assert match_normal_forms([written, f"{written}_/{written}"], tmp_path) == [stored, f"{stored}_/{stored}"]


def test_exact_name_comes_first(tmp_path):
    """Where both files exist, each name is its own; a name without a file stays."""
    touch(tmp_path, COMPOSED, PARTED)
    names = [COMPOSED, PARTED, f"x{COMPOSED}", "a.jpg", f"no/{COMPOSED}"]
    assert match_normal_forms(names, tmp_path) == names
