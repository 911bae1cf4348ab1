"""A folder of class folders is read as it is, and everything that cannot be used is listed."""

import errno
import os

import pandas as pd
import pytest

from factories.images import write_image
from phytoscope.data.read import read_source
from phytoscope.data.readers.read_folder import group_by_pattern, read_folder
from phytoscope.errors import ConfigError, DataNotFoundError, DataValidationError
from phytoscope.schema.choices import DataKind
from phytoscope.schema.data_config import DataConfig
from phytoscope.schema.table import Task


def read(root, **options):
    return read_folder(DataConfig(DataKind.folder, root=str(root), **options))


def make_folder(root, files=("rust/a.jpg", "rust/b.png", "healthy/a.jpg")):
    for seed, name in enumerate(files):
        write_image(root / name, seed=seed)
    return root


def faults_of(source):
    return {fault.path: fault.reason for fault in source.faults}


def test_sub_folders_are_the_classes(tmp_path):
    """Each image is named by its path below the root, with forward slashes, in a fixed order."""
    source = read(make_folder(tmp_path))
    assert list(source.rows["sample_id"]) == ["healthy/a.jpg", "rust/a.jpg", "rust/b.png"]
    assert list(source.rows["label"]) == ["healthy", "rust", "rust"]
    assert list(source.rows["path"]) == [str(tmp_path / name) for name in source.rows["sample_id"]]
    assert source.rows["group_id"].isna().all()
    assert source.rows["source_row"].isna().all()
    assert (source.task, source.target_name, source.faults) == (Task.classification, "class", [])


def test_images_may_lie_deeper(tmp_path):
    """The first folder is the class, whatever lies below it."""
    source = read(make_folder(tmp_path, ["rust/field 1/2024/a.JPG", "rust/b.jpeg", "healthy/c.webp"]))
    assert list(source.rows["label"]) == ["healthy", "rust", "rust"]


def test_names_with_spaces_and_signs_are_kept(tmp_path):
    """Class names are what the user called the folders."""
    names = ["Corn_(maize)___Common_rust_", "Pepper,_bell___healthy", "Blätter mit Röst 'x'", "100% $a {b}=c"]
    source = read(make_folder(tmp_path, [f"{name}/a.png" for name in names]))
    assert set(source.rows["label"]) == set(names)


WRONG_PLACES = {
    "missing": ("leavs", DataNotFoundError, "data.root: there is no folder .*leavs.*did you mean 'leaves'"),
    "deep_missing": ("leaves/no/such", DataNotFoundError, "there is no folder"),
    "file": ("leaves/rust/a.jpg", DataNotFoundError, "is a file, expected a folder"),
    "below_a_file": ("leaves/rust/a.jpg/x", DataNotFoundError, "there is no folder"),
    "empty_folder": ("empty", DataNotFoundError, "is empty; expected one sub-folder per class"),
    "files_only": ("leaves/rust", DataNotFoundError, "holds files but no folder"),
    "unknown_user": ("~no_such_user_here/x", DataNotFoundError, "cannot be looked up"),
    "too_long": ("x" * 300, DataNotFoundError, "cannot be looked up|there is no folder"),
}


@pytest.mark.parametrize("place", WRONG_PLACES)
def test_wrong_place_is_answered_with_the_right_one(tmp_path, monkeypatch, place):
    """The message names what is there instead."""
    make_folder(tmp_path / "leaves")
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path)
    name, kind, match = WRONG_PLACES[place]
    with pytest.raises(kind, match=match):
        read(name)


@pytest.mark.parametrize("value", [None, ""])
def test_root_must_be_given(value):
    """Nothing is read from the current folder by accident."""
    with pytest.raises(ConfigError, match=r"data.root is not given: add data.root=PATH"):
        read_source(DataConfig(DataKind.folder, root=value))


def test_home_is_understood(tmp_path, monkeypatch):
    """A tilde means the home folder."""
    monkeypatch.setenv("HOME", str(make_folder(tmp_path)))
    assert len(read("~").rows) == 3


@pytest.mark.parametrize("names", [("train", "val"), ("Training", "TEST"), ("train", "valid", "test")])
def test_a_split_folder_is_not_taken_for_classes(tmp_path, names):
    """`train` is no disease; the message says which folder to name instead."""
    make_folder(tmp_path, [f"{name}/rust/a.jpg" for name in names])
    with pytest.raises(DataValidationError, match=r"already split .*data.root=.*(?i:train)"):
        read(tmp_path)


def test_what_cannot_be_used_is_listed(tmp_path):
    """Stray images, unknown extensions, empty classes and linked folders have a reason; the rest goes on."""
    make_folder(tmp_path)
    write_image(tmp_path / "stray.jpg")
    for name in ("rust/notes.txt", "rust/c.gif", "rust/none"):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "empty class").mkdir()
    (tmp_path / "rust" / "linked").symlink_to(tmp_path / "healthy")
    source = read(tmp_path)
    assert len(source.rows) == 3
    assert faults_of(source) == {
        "stray.jpg": "the image lies in no class folder",
        "rust/notes.txt": "unknown image extension '.txt'",
        "rust/c.gif": "unknown image extension '.gif'",
        "rust/none": "unknown image extension ''",
        "empty class": "the class folder holds no image",
        "rust/linked": "a link to a folder is not followed",
    }
    assert all(fault.remedy for fault in source.faults)


def test_what_systems_leave_behind_is_silent(tmp_path):
    """Nobody wants to read about hidden files and thumbnails."""
    make_folder(tmp_path)
    for name in (".DS_Store", "rust/.hidden.jpg", "rust/Thumbs.db", "healthy/desktop.ini", "README.md", ".git/x.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    source = read(tmp_path)
    assert (len(source.rows), source.faults) == (3, [])


def test_names_that_are_not_utf8_are_listed(tmp_path):
    """A name no table can hold is shown with escapes; class folders of that kind, too."""
    make_folder(tmp_path)
    raw = os.fsencode(tmp_path)
    os.mkdir(raw + b"/bl\xe4tter")  # noqa: PTH102 (a path of bytes)
    content = (tmp_path / "rust" / "a.jpg").read_bytes()
    for name in (b"/rust/gr\xfcn.jpg", b"/bl\xe4tter/a.jpg"):
        with open(raw + name, "wb") as stream:  # noqa: PTH123 (a path of bytes)
            stream.write(content)
    source = read(tmp_path)
    reason = "the file name is not valid UTF-8"
    assert faults_of(source) == {"rust/gr\\udcfcn.jpg": reason, "bl\\udce4tter/a.jpg": reason}
    assert len(source.rows) == 3


def test_root_that_is_not_utf8_is_refused(tmp_path):
    """Paths go into tables, so they must be text."""
    raw = os.fsencode(tmp_path) + b"/bl\xe4tter"
    os.mkdir(raw)  # noqa: PTH102 (a path of bytes)
    with pytest.raises(DataNotFoundError, match="is not valid UTF-8: rename the folder"):
        read(os.fsdecode(raw))


def test_circle_of_links_ends(tmp_path):
    """A link to the folder above is not walked for ever."""
    make_folder(tmp_path)
    (tmp_path / "rust" / "again").symlink_to(tmp_path)
    (tmp_path / "rust" / "broken.jpg").symlink_to(tmp_path / "nowhere.jpg")
    assert len(read(tmp_path).rows) == 4


def forbid(monkeypatch, place):
    """Let the operating system refuse to list one folder, as it does with folders of other users."""
    real = os.scandir

    def scandir(path="."):
        if os.fspath(path) == str(place):
            raise PermissionError(errno.EACCES, "Permission denied", str(place))
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    monkeypatch.setattr(os, "listdir", lambda path=".": [entry.name for entry in scandir(path)])


def test_forbidden_folder_is_listed(tmp_path, monkeypatch):
    """Images that may not be seen are not silently missing."""
    make_folder(tmp_path, ["rust/a.jpg", "rust/secret/b.jpg", "healthy/c.jpg"])
    forbid(monkeypatch, tmp_path / "rust" / "secret")
    source = read(tmp_path)
    assert len(source.rows) == 2
    assert faults_of(source) == {"rust/secret": "the folder cannot be opened: Permission denied"}


def test_forbidden_root_is_named(tmp_path, monkeypatch):
    """A folder of somebody else gives a sentence."""
    forbid(monkeypatch, make_folder(tmp_path))
    with pytest.raises(DataNotFoundError, match=r"data.root: the folder .* cannot be opened \(Permission denied"):
        read(tmp_path)


def test_linked_class_folder_is_read(tmp_path):
    """A class folder may live elsewhere."""
    make_folder(tmp_path / "real")
    (tmp_path / "set").mkdir()
    for name in ("rust", "healthy"):
        (tmp_path / "set" / name).symlink_to(tmp_path / "real" / name)
    assert len(read(tmp_path / "set").rows) == 3


def test_pattern_names_the_plant(tmp_path):
    """The groups of the expression together are the group; an image it does not match stands alone."""
    names = ["rust/plant1_a.jpg", "rust/plant1_b.jpg", "rust/plant2_a.jpg", "rust/other.jpg"]
    source = read(make_folder(tmp_path, names), group_pattern=r"(plant\d+)_")
    assert [None if pd.isna(group) else group for group in source.rows["group_id"]] == [
        None,
        "plant1",
        "plant1",
        "plant2",
    ]


@pytest.mark.parametrize(
    ("pattern", "match"),
    [
        ("(plant", "is not a regular expression"),
        (r"plant\d", "has no group: put parentheses"),
        (r"(tree\d)", "matches none of the 2 images, for example 'plant1.jpg'"),
    ],
)
def test_pattern_that_cannot_work_is_refused(pattern, match):
    """A pattern that finds no plant would silently let photographs of one plant into two splits."""
    with pytest.raises(ConfigError, match=match):
        group_by_pattern(pd.Series(["plant1.jpg", "plant2.jpg"]), pattern)


def test_groups_that_matched_nothing_are_no_group():
    """Images without a plant are not thrown together into one."""
    groups = group_by_pattern(pd.Series(["p1_a.jpg", "x.jpg", "y.jpg", "p1_b.jpg"]), r"(p\d+)?.*\.jpg")
    assert [None if pd.isna(group) else group for group in groups] == ["p1", None, None, "p1"]


def test_several_groups_are_joined():
    """Experiment and plant make the name together."""
    groups = group_by_pattern(pd.Series(["e1/p2_x.jpg", "e2/p2_x.jpg"]), r"^(e\d)/(p\d)")
    assert list(groups) == ["e1/p2", "e2/p2"]
