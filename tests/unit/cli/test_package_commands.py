"""`phytoscope package`: still the step of a run, and a group of commands around packages."""

import json
import os
from pathlib import Path

import pytest
from typer.testing import CliRunner

from factories.broken_packages import read_parts
from factories.packages import change_description, change_part, make_package
from phytoscope import cli
from phytoscope.errors import ConfigError, MissingDependencyError, PackageError


@pytest.fixture
def package(tmp_path) -> Path:
    """A package that judges its answers."""
    make_package(tmp_path / "package", "classes")
    return tmp_path / "package"


def call(*words: object):
    """Runs `phytoscope package` with some words."""
    return CliRunner().invoke(cli.app, ["package", *map(str, words)])


@pytest.mark.parametrize("words", [("paths.run_dir=nowhere",), ("seed=1", "paths.run_dir=nowhere")])
def test_settings_are_handed_to_the_step(tmp_path, monkeypatch, words) -> None:
    """`phytoscope package paths.run_dir=RUN` packs a run, as it always has."""
    monkeypatch.chdir(tmp_path)
    result = call(*words)
    assert isinstance(result.exception, ConfigError)
    assert "there is no run in" in str(result.exception)
    assert str(tmp_path / "nowhere") in str(result.exception)


def test_step_without_settings(tmp_path, monkeypatch) -> None:
    """Without a word the step is meant, too, and says what it needs."""
    monkeypatch.chdir(tmp_path)
    assert "no data were named" in str(call().exception)


def test_word_that_is_neither() -> None:
    """A mistyped command is not taken for a setting."""
    result = call("shwo", "x")
    assert result.exit_code == 2
    assert "Did you mean 'show'?" in result.output


@pytest.mark.parametrize("words", [(), ("show",), ("verify",), ("pack",), ("unpack",), ("make",)])
def test_help(words) -> None:
    """Each of them explains itself; the step has no name of its own in the list."""
    result = call(*words, "--help")
    assert result.exit_code == 0
    assert "package" in result.output
    if not words:
        assert "KEY=VALUE" in result.output
        assert not [line for line in result.output.splitlines() if line.startswith("│ make ")]


def test_show_tells_what_a_person_should_know(package) -> None:
    """What it answers, from what it was made, how good it is, what it promises, and what lies in it."""
    (package / "notes.txt").write_text("mine")
    text = call("show", package).output
    for words in (
        "names one of 3 classes: Äpfel, grün, rust, scab",
        "network: test_resnet, 32 px, squash",
        "model id 0123456789abcdef, package format 2",
        "data dddddddddddd, split ssssssssssss",
        "licence: not stated",
        "accuracy: 0.5",
        "promise to hold the true class for 90 of 100",
        "novelty: knn",
        "model.safetensors",
        "Not part of the package, and never read\n  notes.txt",
    ):
        assert words in text


def test_show_of_numbers(tmp_path) -> None:
    """Numbers have units, intervals, and columns beside the image; the file shows the same as the folder."""
    make_package(tmp_path / "package", "several")
    text = call("show", tmp_path / "package").output
    assert "estimates fresh_weight in g and leaves" in text
    assert "also sees, where it is known: age, state" in text
    assert "intervals of fresh_weight promise" in text
    call("pack", tmp_path / "package", "-o", tmp_path / "one.phyto")
    assert call("show", tmp_path / "one.phyto").output == text


def test_show_of_a_package_that_judges_nothing(tmp_path) -> None:
    """It says so, and tells of views and of what was not measured."""
    make_package(tmp_path / "package", "number", judged=False)
    change_description(
        tmp_path / "package",
        lambda content: content["model"].update(
            views=2, metrics={"test/mape": None}, created_at="2026-11-23T00:00:00Z"
        ),
    )
    text = call("show", tmp_path / "package").output
    assert "it does not: made by an earlier version" in text
    assert "averages the answers for 2 views of each image" in text
    assert "mape: not defined" in text
    assert "2026-11-23" in text
    change_description(tmp_path / "package", lambda content: content["model"].update(metrics={}))
    assert "nothing was measured" in call("show", tmp_path / "package").output


def test_show_as_json(package) -> None:
    """Everything, for programs: whole hashes and sizes that are those of the files."""
    found = json.loads(call("show", package, "--json").output)
    assert found["format"] == 2
    assert found["model"]["class_names"] == ["Äpfel, grün", "rust", "scab"]
    assert found["novelty"] == {"kind": "knn"}
    assert found["trust"]["sets"]["promised"] == 0.9
    sizes = {part["name"]: part["bytes"] for part in found["parts"]}
    assert sizes == {name: len(content) for name, content in read_parts(package).items() if name != "package.json"}
    assert all(len(part["sha256"]) == 64 for part in found["parts"])
    assert found["not_part"] == []


def test_show_refuses_what_cannot_be_read(package) -> None:
    """Rules of trust that are damaged are an error about the package."""
    change_part(package, "trust.json", b"{}")
    assert isinstance(call("show", package).exception, PackageError)


def test_verify(package) -> None:
    """Every part and every golden image is looked at, and files beside the parts are named."""
    for number in range(4):
        (package / f"note{number}.txt").write_text("mine")
    result = call("verify", package)
    assert result.exit_code == 0
    assert "7 parts are what they were" in result.output
    assert "golden/0.png" in result.output
    assert "4 more files ('note0.txt', 'note1.txt', 'note2.txt', ...)" in result.output


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
def test_verify_with_another_runtime(package, runtime) -> None:
    """It answers the golden images on each runtime that is asked for."""
    pytest.importorskip(runtime, reason="the runtime is not installed")
    result = call("verify", package, "--runtime", "torch", "--runtime", runtime)
    assert result.exception is None
    assert "torch: difference" in result.output
    assert f"{runtime} (float32): golden answers, largest difference" in result.output


@pytest.mark.parametrize("place", [0, 1])
def test_verify_refuses_what_is_no_number(package, place) -> None:
    """One golden answer that is not a number is a fault, also behind one that is right."""
    rows = json.loads((package / "golden.json").read_text())
    rows[place]["answer"] = [float("nan")] * len(rows[place]["answer"])
    change_part(package, "golden.json", json.dumps(rows).encode())
    assert isinstance(call("verify", package).exception, PackageError)


def test_verify_in_8_bits_asks_for_no_runtime(package) -> None:
    """`--precision int8` alone means the runtime that computes in 8 bits; here the package has no such network."""
    assert "holds no network in 8 bits" in str(call("verify", package, "--precision", "int8").exception)


def test_verify_finds_damage_and_other_answers(package) -> None:
    """A changed part, and golden answers of another model, are errors."""
    rows = json.loads((package / "golden.json").read_text())
    rows[0]["answer"] = rows[0]["answer"][::-1]
    change_part(package, "golden.json", json.dumps(rows).encode())
    result = call("verify", package)
    assert "does not reproduce its golden answers" in str(result.exception)
    assert "golden/0.png" in result.output
    (package / "golden.json").write_text("[]")
    assert "'golden.json' is not what it was" in str(call("verify", package).exception)


def test_pack_and_unpack(package, tmp_path) -> None:
    """There and back gives the same files; what is no part is named and left behind."""
    before = read_parts(package)
    (package / "notes.txt").write_text("mine")
    result = call("pack", package, "-o", tmp_path / "leaves.phyto")
    assert "leaves.phyto (1.5 MB)" in result.output
    assert "1 more file ('notes.txt')" in result.output
    assert call("unpack", tmp_path / "leaves.phyto", "-o", tmp_path / "back").exit_code == 0
    assert read_parts(tmp_path / "back") == before
    assert isinstance(call("pack", package, "-o", tmp_path / "leaves.phyto").exception, ConfigError)
    assert call("pack", package, "-o", tmp_path / "leaves.phyto", "--overwrite").exit_code == 0


@pytest.mark.parametrize("command", ["show", "verify"])
def test_address_of_an_unknown_kind(command) -> None:
    """Only known kinds of addresses are followed."""
    result = call(command, "model:/leaves@champion")
    assert isinstance(result.exception, ConfigError)
    assert "did you mean 'models'?" in str(result.exception)


def test_missing_package(tmp_path) -> None:
    """The place is named."""
    result = call("show", tmp_path / "nowhere")
    assert isinstance(result.exception, PackageError)
    assert "nowhere': check the path" in str(result.exception)


@pytest.mark.skipif(os.name == "nt", reason="the library is found otherwise there")
def test_verify_without_the_runtime(package, monkeypatch) -> None:
    """A runtime that is not installed is named with the extra that brings it."""
    monkeypatch.setitem(__import__("sys").modules, "openvino", None)
    assert isinstance(call("verify", package, "--runtime", "openvino").exception, MissingDependencyError)
