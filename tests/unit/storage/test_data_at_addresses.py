"""Preparing, predicting and loading from a real S3 server gives what the same files give on this computer."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from factories.object_store import Manner, object_store
from factories.packages import draw_photo, make_package
from factories.runs import run_tiny, run_words
from phytoscope.errors import DataNotFoundError, DataValidationError, StorageError
from phytoscope.predict.batch import BatchPlan, predict_sources
from phytoscope.predict.package import load_package
from phytoscope.predict.package_source import find_package
from phytoscope.predict.sources import check_source, count_skipped, list_images
from phytoscope.schema.progress import SilentProgress
from phytoscope.storage.place import open_place


def _draw(path, seed):
    blocks = np.random.default_rng(seed).integers(0, 250, (6, 8, 3)).astype(np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.kron(blocks, np.ones((8, 8, 1), np.uint8))).save(path)


@pytest.fixture(scope="module")
def leaves(tmp_path_factory):
    """Draw two classes with odd names, and tables of weights beside them."""
    folder = tmp_path_factory.mktemp("data") / "leaves"
    names = [f"{label}/{number} ü+#%.png" for label in "ab" for number in range(10)]
    for seed, name in enumerate(names):
        _draw(folder / name, seed)
    table = pd.DataFrame({"file": names, "weight (g)": np.arange(20) + 1.0})
    table.to_csv(folder / "t.csv", index=False)
    table.to_parquet(folder / "t.parquet")
    return folder


@pytest.fixture(scope="module")
def server(tmp_path_factory, leaves):
    """Run one S3 server that holds them, and a mark of a folder."""
    with object_store(tmp_path_factory.mktemp("s3")) as store:
        store.put_folder(leaves, "farm/leaves")
        store.put("farm/leaves/a/", b"")
        yield store


@pytest.fixture
def store(server, monkeypatch, tmp_path):
    """Let the libraries find the server."""
    for name, value in {**server.environment, "XDG_CACHE_HOME": str(tmp_path / "xdg")}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("PHYTOSCOPE_STORAGE_TRIES", "3")
    server.faults.clear()
    yield server
    server.faults.clear()


def _words(kind, base):
    if kind == "folder":
        return ["data=folder", f"data.root={base}"]
    return ["data=table", f"data.table={base}/t.{kind}", f"data.images={base}", "data.target=weight"]


@pytest.mark.parametrize("kind", ["folder", "csv", "parquet"])
def test_the_manifest_is_the_same(store, leaves, tmp_path, kind) -> None:
    """All columns and the split are those of the same files on this computer, but the paths are addresses."""
    manifests = []
    for where, base in (("here", str(leaves)), ("there", "s3://farm/leaves")):
        words = run_words(_words(kind, base), tmp_path / where, f"paths.cache_dir={tmp_path / 'cache'}")
        run, _ = run_tiny(words, "prepare")
        manifests.append(pd.read_parquet(run.manifest))
    here, there = manifests
    pd.testing.assert_frame_equal(here.drop(columns="path"), there.drop(columns="path"))
    assert list(there["path"]) == [path.replace(str(leaves), "s3://farm/leaves") for path in here["path"]]


def test_a_store_that_goes_rejects_nothing(store, tmp_path) -> None:
    """Preparing stops when images can no longer be had, and goes on when the store is back."""
    words = run_words(_words("folder", "s3://farm/leaves"), tmp_path / "run", f"paths.cache_dir={tmp_path / 'cache'}")
    store.faults.plan(Manner.throttled, only="GET /farm/leaves/b/")
    with pytest.raises(StorageError, match="did not answer properly"):
        run_tiny(words, "prepare")
    store.faults.plan(Manner.cut, times=2, only="GET /farm/leaves/b/")
    run, _ = run_tiny(words, "prepare")
    assert len(pd.read_parquet(run.manifest)) == 20


def test_a_row_may_name_an_address_or_a_slip(store, leaves, tmp_path) -> None:
    """Full addresses are understood, and a name that is nearly right is mended in words."""
    names = [f"s3://farm/leaves/a/{number} ü+#%.png" for number in range(10)]
    table = pd.DataFrame({"file": [*names, "b/0 Ü+#%.png"], "weight": np.arange(11) + 1.0})
    table.to_csv(tmp_path / "t.csv", index=False)
    data = ["data=table", f"data.table={tmp_path / 't.csv'}", "data.images=s3://farm/leaves", "data.target=weight"]
    run, _ = run_tiny(run_words(data, tmp_path / "run", f"paths.cache_dir={tmp_path / 'cache'}"), "prepare")
    assert list(pd.read_parquet(run.manifest)["path"]) == names
    assert "b/0 ü+#%.png" in pd.read_csv(run.rejected)["remedy"].iloc[0]


def test_a_folder_that_is_not_there(store, tmp_path) -> None:
    """An empty prefix and a file in place of a folder are told with the setting."""
    with pytest.raises(DataNotFoundError, match=r"data.root: there is no folder 's3://farm/nothing'"):
        run_tiny(run_words(_words("folder", "s3://farm/nothing"), tmp_path / "run"), "prepare")
    with pytest.raises(DataNotFoundError, match=r"data.root: 's3://farm/leaves/t.csv' is a file, expected a folder"):
        run_tiny(run_words(_words("folder", "s3://farm/leaves/t.csv"), tmp_path / "run"), "prepare")


def test_sources_of_predictions(store, leaves, tmp_path) -> None:
    """Folders, single objects and lists name the same images as on this computer."""
    here = [path.relative_to(leaves).as_posix() for path in list_images([leaves])]
    assert [str(path) for path in list_images([open_place("s3://farm/leaves")])] == [
        f"s3://farm/leaves/{name}" for name in here
    ]
    listed = [str(path) for path in list_images([open_place("s3://farm/leaves/t.csv")])]
    assert sorted(listed) == sorted(f"s3://farm/leaves/{name}" for name in here)
    assert count_skipped([open_place("s3://farm/leaves")]) == {".csv": 1, ".parquet": 1}
    (tmp_path / "list.txt").write_text("s3://farm/leaves/a/1 ü+#%.png\n", encoding="utf-8")
    assert [str(path) for path in list_images([tmp_path / "list.txt"])] == ["s3://farm/leaves/a/1 ü+#%.png"]
    with pytest.raises(DataValidationError, match="copy it to this computer"):
        list(list_images([open_place("s3://farm/leaves.tar.gz")]))
    with pytest.raises(DataNotFoundError, match="there is no file or folder at 's3://farm/none'"):
        check_source(open_place("s3://farm/none"))


def test_answers_are_the_same(store, tmp_path) -> None:
    """A package and photographs at an address give the answers of the files on this computer, errors among them."""
    make_package(tmp_path / "package")
    for seed in range(3):
        draw_photo(tmp_path / "photos" / f"{seed}.png", seed)
    store.put_folder(tmp_path / "package", "farm/package")
    store.put_folder(tmp_path / "photos", "farm/photos")
    store.put("farm/photos/x.png", b"no image")
    (tmp_path / "photos" / "x.png").write_bytes(b"no image")
    tables = []
    for name, model, photos in (
        ("here", tmp_path / "package", tmp_path / "photos"),
        ("there", find_package("s3://farm/package"), open_place("s3://farm/photos")),
    ):
        output = tmp_path / f"{name}.csv"
        predict_sources(load_package(model), [photos], output, BatchPlan(), progress=SilentProgress())
        tables.append(pd.read_csv(output))
    here, there = tables
    assert list(there["path"]) == [path.replace(str(tmp_path), "s3://farm") for path in here["path"]]
    pd.testing.assert_frame_equal(here.drop(columns="path"), there.drop(columns="path"))
