"""The help of every command: examples that work, a text for each option, and lines that fit a narrow terminal."""

import re

import pytest
from typer.testing import CliRunner

from contract.command_lines import ROOT, find_fault, iterate_commands
from phytoscope import cli
from phytoscope.cli import terminal
from phytoscope.cli.command import fold_example, read_help
from phytoscope.cli.settings_list import list_settings
from phytoscope.schema.config import SCHEMA_OF_GROUP, ServeConfig

WIDTH = 80
COMMANDS = list(iterate_commands())
named = pytest.mark.parametrize(("words", "command"), COMMANDS, ids=[" ".join(words) or "all" for words, _ in COMMANDS])


def read_shown_examples(text):
    """The command lines below `Examples:`, put together where they were folded."""
    shown = text.partition("\nExamples:\n")[2].replace(" \\\n    ", " ")
    return [line.strip() for line in shown.splitlines() if line.startswith("  ")]


@named
def test_help_fits_and_shows_examples_that_work(words, command):
    """At 80 columns no line is longer, no example is cut, and each would be understood as it stands there."""
    result = CliRunner().invoke(cli.app, [*words, "--help"], env={"COLUMNS": str(WIDTH)})
    assert result.exit_code == 0, result.output
    assert max(map(len, result.stdout.splitlines())) <= WIDTH
    shown = read_shown_examples(result.stdout)
    assert shown == list(read_help(command.help).examples)
    ours = [line for line in shown if not line.startswith("curl ")]
    assert ours, "no example"
    assert [fault for line in ours if (fault := find_fault(line))] == []
    name = " ".join(("phytoscope", *words))
    assert any(line.startswith(name) for line in ours), f"no example of {name} itself"


@named
def test_every_parameter_is_explained(words, command):
    """Options and arguments have a sentence each, and those that take a path or a word say of what kind it is."""
    lacking = [param.name for param in command.params if not getattr(param, "hidden", False) and not param.help]
    assert [name for name in lacking if name not in ("install_completion", "show_completion")] == []


@named
def test_same_thing_has_the_same_name(words, command):
    """What is written is --output/-o, replaced with --overwrite; nobody is asked with --yes/-y; --json is --json."""
    options = {param.name: list(param.opts) for param in command.params if param.opts[0].startswith("-")}
    expected = {
        "output": ["--output", "-o"],
        "overwrite": ["--overwrite"],
        "yes": ["--yes", "-y"],
        "as_json": ["--json"],
        "dry_run": ["--dry-run"],
        "seed": ["--seed"],
        "uri": ["--uri"],
    }
    assert {name: options[name] for name in expected if name in options} == {
        name: opts for name, opts in expected.items() if name in options
    }


def test_every_command_with_a_result_has_json():
    """All but the servers."""
    without = {
        " ".join(words)
        for words, command in COMMANDS
        if not hasattr(command, "commands") and not any(param.name == "as_json" for param in command.params)
    }
    assert without == {"serve", "pipeline start"}


def test_faults_of_a_command_line_are_found():
    """The checker of this file is one that can fail."""
    for line, reason in (
        ("phytoscope predct x", "predct"),
        ("phytoscope predict p photos --out a.csv", "No such option"),
        ("phytoscope predict p photos", "output"),
        ("phytoscope promote leaves --margin wide", "margin"),
        ("phytoscope run data=folders", "is no setting"),
        ("phytoscope train trainer.epochs=3", "is no setting"),
        ("python predict", "no call"),
    ):
        assert reason in find_fault(line), line
    assert find_fault("phytoscope sweep n_trials=20 data=folder seed=0 data.root=x") == ""


def test_long_examples_are_folded_between_words():
    """What is in quotation marks stays whole; the shell puts the lines together again."""
    line = 'phytoscope evaluate paths.run_dir=DIR "evaluate.external=[a b=c]" evaluate.error_rate=0.02'
    folded = fold_example(line, 60)
    assert len(folded) == 2
    assert max(map(len, folded)) <= 60 - 2
    assert re.sub(r" \\\n +", " ", "\n".join(folded)) == line
    assert fold_example(line, 200) == [line]
    assert fold_example("phytoscope explain package --output why", 36)[1] == "  --output why"


def test_help_of_serve_lists_its_settings(monkeypatch):
    """Each with its default and what it does, as the schema has them."""
    rows = {row.key: row for row in list_settings("serve")}
    assert rows["serve.port"].value == ServeConfig.port == 8000
    assert rows["serve.keys"].shown_default == "null"
    assert rows["serve.allowed_hosts"].shown_default == "[]"
    # A console reads the width of its terminal once, when it is made.
    monkeypatch.setattr(terminal.out, "width", 160)
    shown = CliRunner().invoke(cli.app, ["serve", "--help"], env={"COLUMNS": "160"}).stdout
    for row in rows.values():
        [line] = [line for line in shown.splitlines() if line.startswith(f"│ {row.key} ")]
        assert row.shown_default in line
    assert "Port that is listened on; 0 for any free one" in shown


@pytest.mark.parametrize("group", SCHEMA_OF_GROUP)
def test_every_setting_says_what_it_does(group):
    """The meaning comes from the docstring of the schema, so none may be missing there."""
    rows = list_settings(group)
    assert rows
    assert [row.key for row in rows if not row.meaning] == []


def test_defaults_are_those_of_the_presets():
    """A preset that stands in config.yaml wins over the schema."""
    rows = {row.key: row for row in [*list_settings(None), *list_settings("model"), *list_settings("sweep")]}
    assert rows["seed"].value == 0
    assert rows["name"].is_required
    assert rows["model.backbone"].value == "mobilenetv3_large_100"
    assert rows["sweep.space"].shown_default == "by the preset"


def test_every_command_has_its_place():
    """The list of commands is in parts by what they are for; none is left over."""
    shown = CliRunner().invoke(cli.app, ["--help"], env={"COLUMNS": str(WIDTH)}).stdout
    assert "─ Train and measure ─" in shown
    assert "─ Commands ─" not in shown


def test_tree_is_whole():
    """A command that loses its place is missed."""
    assert len(COMMANDS) > 55
    assert {"run", "predict", "doctor", "settings"} <= set(ROOT.commands)
