"""Arguments and options that are paths either take an address or refuse it; none makes a folder called `s3:` of it."""

import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from factories.packages import make_package
from phytoscope.cli import app
from phytoscope.cli.compose import compose
from phytoscope.cli.inspect_words import translate_words
from phytoscope.configs.places import resolve_external, resolve_places
from phytoscope.errors import ConfigError, DataNotFoundError
from phytoscope.schema.artifact import resolve_path
from phytoscope.storage.bringing import bring_here
from phytoscope.storage.mirror import publish_folder, working_folder
from phytoscope.storage.publishing import ObjectFolder

_READ_AT_THE_ADDRESS = {
    "cache info: cache_dir",
    "cache prune: cache_dir",
    "inspect: images",
    "predict: sources",
    "predict: output",
    "predict: table",
    "register: run_dir",
    # Started by a run itself, with the folder in which it works.
    "track follow: root",
}


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def url() -> str:
    """Address of a folder that nobody has used."""
    return f"memory://addresses-{secrets.token_hex(6)}/run"


def _walk(command: Any, name: str) -> Iterator[tuple[str, Any]]:
    for word, inner in getattr(command, "commands", {}).items():
        yield from _walk(inner, f"{name} {word}")
    for param in command.params:
        yield f"{name.strip()}: {param.name}", param


def test_every_path_of_the_command_line_knows_what_to_do_with_an_address() -> None:
    """By its callback, or because what it calls reads addresses; a new option is found here."""
    paths = {
        name: param.callback is not None
        for name, param in _walk(typer.main.get_command(app), "")
        if "pathlib.Path" in repr(getattr(param, "type_descriptor", ""))
    }
    assert len(paths) > 20
    assert {name for name, is_told in paths.items() if not is_told} == _READ_AT_THE_ADDRESS


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (["package", "pack", "package", "-o", "s3://b/x.phyto"], "--output"),
        (["explain", "package", "photos", "-o", "s3://b/why"], "--output"),
        (["export", "package", "--to", "onnx", "-o", "s3://b/bare"], "--output"),
        (["inspect", "photos", "-o", "s3://b/inspection"], "--output"),
        (["compare", "a", "b", "-o", "s3://b/x"], "--output"),
        (["suggest", "package", "photos", "-o", "s3://b/list.csv"], "--output"),
        (["drift", "look", "package", "s3://b/new", "--monitor", "watch"], "PATH"),
        (["drift", "show", "s3://b/watch"], "DIR"),
        (["track", "sync", "s3://b/runs"], "PLACE"),
        (["records", "export", "s3://b/records.csv"], "FILE"),
        (["serve-keys", "add", "me", "--file", "s3://b/keys.json"], "--file"),
    ],
)
def test_an_address_is_refused_where_a_path_is_needed(tmp_path: Path, words: list[str], name: str) -> None:
    """In one sentence that names the option, the address and what to do; nothing is written."""
    result = CliRunner().invoke(app, words)
    assert isinstance(result.exception, ConfigError)
    assert str(result.exception).startswith(f"{name}: 's3://b/")
    assert "copy it here first" in str(result.exception)
    assert list(tmp_path.iterdir()) == []


def test_a_run_at_an_address_is_read_as_it_was_published(tmp_path: Path, url: str) -> None:
    """Whole, again when it has changed, and apart from the folder in which it would be worked on."""
    run = tmp_path / "run"
    run.mkdir()
    (run / "config.yaml").write_text("overrides: [data=folder, data.root=leaves, seed=7]\n", encoding="utf-8")
    publish_folder(run, url)
    (working_folder(url) / "unpublished.txt").write_text("mine", encoding="utf-8")
    assert (bring_here(url) / "config.yaml").read_bytes() == (run / "config.yaml").read_bytes()
    (run / "report.json").write_text("{}", encoding="utf-8")
    publish_folder(run, url)
    assert (bring_here(url) / "report.json").is_file()
    assert (working_folder(url) / "unpublished.txt").is_file()
    assert compose([f"paths.run_dir={url}"]).seed == 7


def test_only_runs_packages_and_files_are_brought_here(tmp_path: Path, url: str) -> None:
    """A folder of many runs is not copied; a package and a single file are; a path stays what it is."""
    make_package(tmp_path / "package")
    store = ObjectFolder(url)
    for file in (path for path in (tmp_path / "package").rglob("*") if path.is_file()):
        store.write(f"package/{file.relative_to(tmp_path / 'package').as_posix()}", file.read_bytes())
    store.write("predictions.parquet", b"table")
    assert (bring_here(f"{url}/package") / "package.json").is_file()
    assert bring_here(f"{url}/predictions.parquet").read_bytes() == b"table"
    assert bring_here(tmp_path) == tmp_path
    with pytest.raises(DataNotFoundError, match="no run, no package and no file"):
        bring_here(url)
    shown = CliRunner().invoke(app, ["package", "show", f"{url}/package"])
    assert shown.exit_code == 0, shown.output


def test_a_comparison_reads_both_runs_at_their_addresses(tmp_path: Path, url: str) -> None:
    """What is wrong with them is said of the copies, not of a path that lost its slash."""
    run = tmp_path / "run"
    run.mkdir()
    (run / "config.yaml").write_text("overrides: []\n", encoding="utf-8")
    publish_folder(run, url)
    result = CliRunner().invoke(app, ["compare", url, url])
    assert "memory:/" not in str(result.exception)
    assert str(tmp_path / "cache") in str(result.exception)


@pytest.mark.parametrize(
    "word",
    [
        "data.split.ledger=s3://b/x.parquet",
        "monitor.incoming='s3://b/in'",
        "sweep.storage=s3://b/x.db",
        "adapt.start_from=s3://b/x",
    ],
)
def test_settings_that_need_a_path_refuse_an_address(tmp_path: Path, word: str) -> None:
    """When they are read, before anything starts."""
    with pytest.raises(ConfigError, match=f"{word.partition('=')[0]}: 's3://b/.*copy it here first"):
        resolve_places([word], tmp_path)


def test_a_further_set_at_an_address_is_refused(tmp_path: Path) -> None:
    """Its folders are looked through in ways that a store does not know."""
    config = compose(["data=folder", "data.root=leaves"])
    config.evaluate.external = ["orchard=s3://b/orchard"]
    with pytest.raises(ConfigError, match=r"evaluate\.external orchard: 's3://b/orchard'"):
        resolve_external(config, tmp_path)


def test_a_path_is_never_made_of_an_address() -> None:
    """Not even of one that has lost a slash on its way; what may be a password is hidden."""
    with pytest.raises(ConfigError, match=r"--output: 's3://b/x' is an address"):
        resolve_path("s3:/b/x", "--output")
    with pytest.raises(ConfigError) as refused:
        resolve_path("s3://key:secret@b/x", "--output")
    assert "secret" not in str(refused.value)


def test_what_is_inspected_may_lie_at_an_address(url: str) -> None:
    """A table with the images beside it, or a folder whose kind is known by its names."""
    store = ObjectFolder(url)
    store.write("plain/leaf/1.png", b"x")
    store.write("village/Apple___healthy/1.png", b"x")
    assert translate_words([f"{url}/plain"]) == ["data=folder", f"data.root={url}/plain"]
    assert translate_words([f"{url}/village/"]) == ["data=plantvillage", f"data.root={url}/village"]
    assert translate_words([f"{url}/t.csv"], target="weight") == [
        "data=table",
        f"data.table={url}/t.csv",
        f"data.images={url}",
        "data.target=weight",
    ]
    with pytest.raises(ConfigError, match="name the table itself"):
        translate_words([url], label="x")
