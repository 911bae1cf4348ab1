"""The stages of `dvc.yaml` are commands that exist, their settings compose, and they write what a run folder has."""

import re
import shlex
from functools import reduce

import pytest
import typer
import yaml

from contract.source_checks import ROOT
from phytoscope import cli
from phytoscope.configs import compose_config
from phytoscope.schema.run_folder import STEPS, RunFolder

STAGES = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
PARAMS = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
COMMANDS = typer.main.get_command(cli.app).commands


def fill(text):
    """Text with every `${key}` replaced by its parameter, as DVC does."""
    return re.sub(
        r"\$\{([\w.]+)\}", lambda key: str(reduce(lambda node, name: node[name], key[1].split("."), PARAMS)), text
    )


def list_paths(entries):
    return [fill(entry if isinstance(entry, str) else next(iter(entry))) for entry in entries]


def test_stages_are_the_steps_in_order():
    """All steps, with the inspection after the split is drawn."""
    assert [name for name in STAGES if name != "inspect"] == list(STEPS)


@pytest.mark.parametrize("name", STAGES)
def test_command_exists_and_its_settings_compose(name):
    """The command line knows command, options and every key."""
    program, command, *words = shlex.split(fill(STAGES[name]["cmd"]))
    assert (program, command) == ("phytoscope", name)
    known = {option for parameter in COMMANDS[command].params for option in parameter.opts}
    assert {word for word in words if word.startswith("--")} <= known
    settings = [word for word in words if "=" in word]
    config = compose_config(settings)
    assert (config.seed, config.paths.run_dir) == (PARAMS["seed"], PARAMS["run_dir"])
    if name not in ("prepare", "inspect"):
        assert config.trainer.max_epochs == PARAMS["trainer"]["max_epochs"]


@pytest.mark.parametrize("name", STAGES)
def test_stages_of_one_run_have_the_same_settings(name):
    """Reading the data needs the settings of the data alone; from the training on all are the same."""
    words = {stage: [word for word in shlex.split(STAGES[stage]["cmd"]) if "=" in word] for stage in STAGES}
    assert words[name] == words["prepare" if name in ("prepare", "inspect") else "train"]
    assert set(words["prepare"]) < set(words["train"])
    assert not any(word.startswith(("trainer.", "model=")) for word in words["prepare"])


@pytest.mark.parametrize("name", STAGES)
def test_dependencies_are_written_by_an_earlier_stage(name):
    """A stage reads the data, or what a stage above it wrote."""
    earlier = list(STAGES)[: list(STAGES).index(name)]
    written = [path for stage in earlier for path in list_paths(STAGES[stage]["outs"])]
    assert set(list_paths(STAGES[name]["deps"])) <= {PARAMS["data"]["root"], *written}


@pytest.mark.parametrize("name", STEPS)
def test_outputs_are_those_of_the_run_folder(name):
    """Each is a file or folder that a run has, and the record of the step is among them."""
    run = RunFolder(ROOT / PARAMS["run_dir"])
    known = {
        str(getattr(run, key).relative_to(ROOT).as_posix())
        for key, value in vars(RunFolder).items()
        if isinstance(value, property)
    }
    record = run.record(name).relative_to(ROOT).as_posix()
    written = list_paths([*STAGES[name]["outs"], *STAGES[name].get("metrics", [])])
    assert set(written) <= known | {record}
    assert record in written


@pytest.mark.parametrize("name", STAGES)
def test_parameters_exist(name):
    """What a stage is said to depend on is in `params.yaml`."""
    assert set(STAGES[name].get("params", [])) <= set(PARAMS)
