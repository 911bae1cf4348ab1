"""`phytoscope cache` tells what lies there and removes what it was asked to, and nothing else."""

import hashlib

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from factories.images import write_image
from factories.runs import run_command
from phytoscope import cli
from phytoscope.data.cache.array_store import ArrayKind, open_array_store
from phytoscope.data.cache.pixel_cache import open_pixel_cache
from phytoscope.schema.choices import ResizeMode
from phytoscope.schema.progress import SilentProgress
from phytoscope.transforms.preprocess import Preprocess


@pytest.fixture
def folder(tmp_path):
    """A cache of three squares of 16 pixels and a file of somebody else."""
    paths = [write_image(tmp_path / "images" / f"{number}.png", seed=number) for number in range(3)]
    names = [hashlib.sha256(path.read_bytes()).hexdigest() for path in paths]
    preprocess = Preprocess(16, ResizeMode.squash, "bilinear", (0.5, 0.5, 0.5), (0.2, 0.2, 0.2))
    manifest = pd.DataFrame({"path": list(map(str, paths)), "sha256": names})
    open_pixel_cache(manifest, preprocess, tmp_path / "cache", workers=1, progress=SilentProgress())
    (tmp_path / "cache" / "notes.txt").write_text("mine", encoding="utf-8")
    return tmp_path / "cache"


def call(*words):
    return CliRunner().invoke(cli.app, ["cache", *map(str, words)], env={"COLUMNS": "200"})


def test_info_lists_preparations(folder):
    """Side, number of pictures, and the bound."""
    result = call("info", "--cache-dir", folder)
    assert result.exit_code == 0
    [line] = [line.split() for line in result.output.splitlines() if line.startswith("pixels")]
    assert line[2:5] == ["16", "3", "1"]
    assert "50.00 GB when not set" in result.output


def test_info_lists_features(folder):
    """With the number of pictures and the store that they lie in, and counted among what is bounded."""
    store = open_array_store(folder, ArrayKind.features, {"weights": "w"}, (5,))
    store.complete(["a", "b"], lambda places: [np.ones((len(places), 5))])
    lines = [line.split() for line in call("info", "--cache-dir", folder).output.splitlines()]
    [line] = [line for line in lines if line[:1] == ["features"]]
    assert line[1:4] == [store.place.name[:8], "2", "1"]


def test_prune_says_what_it_removed(folder):
    """First without doing it, then for good; what is foreign stays."""
    said = call("prune", "--cache-dir", folder, "--all", "--dry-run").output
    assert "would be removed: pixels pixels/" in said
    assert list(folder.rglob("pixels.npy"))
    said = call("prune", "--cache-dir", folder, "--all").output
    assert "removed: pixels pixels/" in said
    assert "GB freed, 0.00 GB left" in said
    assert not list(folder.rglob("pixels.npy"))
    assert (folder / "notes.txt").read_text(encoding="utf-8") == "mine"


def test_bound_of_nothing_removes_all_pixels(folder):
    """0 is a bound like any other."""
    call("prune", "--cache-dir", folder, "--max-gb", "0")
    assert not list(folder.rglob("pixels.npy"))


def test_without_options_the_bound_of_the_runs_holds(folder):
    """Three squares are below 50 GB."""
    assert "0.00 GB freed" in call("prune", "--cache-dir", folder).output
    assert list(folder.rglob("pixels.npy"))


@pytest.mark.parametrize("command", ["info", "prune"])
def test_mistakes_are_answered_with_code_2(tmp_path, command):
    """A foreign folder and one that is not there."""
    write_image(tmp_path / "photos" / "1.png")
    for name, reason in (("photos", "is not a cache of phytoscope"), ("nowhere", "there is no cache in")):
        result = run_command("cache", command, "--cache-dir", str(tmp_path / name))
        assert (result.returncode, reason in result.stderr) == (2, True)


def test_contradicting_options(folder):
    """All and a bound cannot both be meant."""
    result = call("prune", "--cache-dir", folder, "--all", "--max-gb", "1")
    assert "leave out --max-gb" in str(result.exception)


@pytest.mark.parametrize("command", [[], ["info"], ["prune"]])
def test_commands_explain_themselves(command):
    """`--help` says more than the name."""
    result = call(*command, "--help")
    assert result.exit_code == 0
    assert len(result.output) > 200
