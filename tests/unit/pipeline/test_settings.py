"""The launchpad offers every setting of the dataclasses, under the same names, and turns them into the same words."""

import dataclasses
from enum import Enum
from typing import get_type_hints

import dagster as dg
import pytest

from phytoscope.configs import compose_config, list_groups
from phytoscope.pipeline.assets import ASSETS
from phytoscope.pipeline.settings import (
    GROUPS_OF_ASSET,
    NOT_OFFERED,
    AssetSettings,
    build_asset_settings,
    build_settings,
    read_field_texts,
)
from phytoscope.schema.config import SCHEMA_OF_GROUP, RunConfig
from phytoscope.schema.data_config import DataConfig, SplitConfig

DATA = ["data=folder", "data.root=/leaves"]


def test_every_setting_is_offered_or_left_out_for_a_reason():
    """A new group of settings must be given to an asset, or be named as not offered."""
    offered = {group for groups in GROUPS_OF_ASSET.values() for group in groups}
    assert offered | set(NOT_OFFERED) == {entry.name for entry in dataclasses.fields(RunConfig)}
    assert not offered & set(NOT_OFFERED)


def test_every_asset_has_its_settings():
    """The table names exactly the assets of the graph, and each has its own form."""
    assert [asset.key.to_user_string() for asset in ASSETS] == list(GROUPS_OF_ASSET)
    for asset in ASSETS:
        name = asset.key.to_user_string()
        fields = asset.op.config_schema.config_type.fields
        assert set(fields) == {*GROUPS_OF_ASSET[name], "further"}


@pytest.mark.parametrize("group", SCHEMA_OF_GROUP)
def test_every_field_of_a_group_is_there_with_its_text(group):
    """Names, types and descriptions follow the dataclass, and nothing is set unless somebody sets it."""
    schema, form = SCHEMA_OF_GROUP[group], build_settings(SCHEMA_OF_GROUP[group], group)
    fields = form.model_fields
    presets = {"preset"} if list_groups().get(group) else set()
    assert set(fields) - presets == {entry.name for entry in dataclasses.fields(schema)}
    for name in set(fields) - presets:
        kind = get_type_hints(schema)[name]
        assert fields[name].description
        if not dataclasses.is_dataclass(kind):
            assert fields[name].annotation == kind | None
            assert getattr(form(), name) is None


def test_texts_are_those_of_the_docstring():
    """A text that runs over several lines is read whole."""
    texts = read_field_texts(DataConfig)
    assert set(texts) == {entry.name for entry in dataclasses.fields(DataConfig)}
    assert texts["rules"].startswith("What must hold in every row")
    assert texts["rules"].endswith("listed as warnings.")
    assert "  " not in texts["rules"]


def test_presets_are_those_of_the_group():
    """The launchpad lists the presets that there are."""
    form = build_settings(SCHEMA_OF_GROUP["model"], "model")
    kinds = [kind for kind in form.model_fields["preset"].annotation.__args__ if issubclass(kind, Enum)]
    assert [choice.value for choice in kinds[0]] == list_groups()["model"]


def test_words_mean_what_was_set():
    """Numbers, truth values, lists, choices, presets and texts arrive as they were set."""
    trained = build_asset_settings("trained_model")(
        model={"preset": "resnet18", "dropout": 0.0},
        trainer={"max_epochs": 3, "mode": "features", "profile": False},
        task={"sums": ["a = b + c", "d = e + f"], "unbiased": False},
    )
    raw = build_asset_settings("raw_dataset")(seed=0, data={"group_by": ["plot, north"], "split": {"test": 0.25}})
    table = ["data=table", "data.table=/t.csv", "data.images=/i", "data.target=a", "data.more_targets=[b,c,d,e,f]"]
    config = compose_config([*table, *raw.to_words(), *trained.to_words()])
    assert config.model.backbone == "resnet18"
    assert config.model.dropout == 0.0
    assert (config.trainer.max_epochs, config.trainer.mode.value) == (3, "features")
    assert config.task.sums == ["a = b + c", "d = e + f"]
    assert config.task.unbiased is False
    assert config.seed == 0
    assert config.data.group_by == ["plot, north"]
    assert config.data.split == dataclasses.replace(SplitConfig(), test=0.25)


def test_nothing_set_is_no_word():
    """What nobody set is left to the data set's file."""
    for name in GROUPS_OF_ASSET:
        assert build_asset_settings(name)().to_words() == []


def test_further_words_win():
    """A word of the command line can take back what the form cannot: a value that is chosen from the data."""
    settings = build_asset_settings("trained_model")(trainer={"patience": 5}, further=["trainer.patience=null"])
    assert compose_config([*DATA, *settings.to_words()]).trainer.patience is None


@pytest.mark.parametrize(
    ("asset", "config", "said"),
    [
        ("trained_model", {"trainer": {"mode": "quickly"}}, "not in enum type TrainMode"),
        ("trained_model", {"trainer": {"max_epochs": "many"}}, 'Value "many"'),
        ("trained_model", {"model": {"preset": "resnet81"}}, "got resnet81"),
        ("trained_model", {"trainer": {"epochs": 3}}, 'unexpected config entry "epochs"'),
        ("raw_dataset", {"data": {"split": {"tset": 0.1}}}, 'unexpected config entry "tset"'),
        ("packaged_model", {"trainer": {"max_epochs": 3}}, 'unexpected config entry "trainer"'),
    ],
)
def test_dagster_refuses_wrong_settings_before_the_run(asset, config, said):
    """A wrong value, preset or name never starts a run."""
    from phytoscope.pipeline import defs

    job = defs.resolve_job_def("training_job")
    with pytest.raises(dg.DagsterInvalidConfigError, match=said):
        dg.validate_run_config(job, {"ops": {asset: {"config": config}}})


def test_dagster_takes_right_settings():
    """The same ones spelled rightly pass."""
    from phytoscope.pipeline import defs

    config = {"trainer": {"mode": "plain", "max_epochs": 3, "learning_rate": 1}, "model": {"preset": "resnet18"}}
    assert dg.validate_run_config(defs.resolve_job_def("training_job"), {"ops": {"trained_model": {"config": config}}})


def test_forms_are_configs_of_dagster():
    """Each form is a class that Dagster can show."""
    for name in GROUPS_OF_ASSET:
        form = build_asset_settings(name)
        assert issubclass(form, AssetSettings)
        assert form.to_config_schema() is not None
