"""Parameters of estimators mean what the same words mean on the command line."""

import inspect

import pytest

from phytoscope.configs import compose_config
from phytoscope.estimators.classifier import PlantClassifier
from phytoscope.estimators.regressor import PlantRegressor
from phytoscope.estimators.settings import PRESETS, read_settings
from phytoscope.schema.choices import AdaptKind


@pytest.mark.parametrize("kind", list(AdaptKind))
def test_adapt_means_what_it_means_on_the_command_line(kind, tmp_path):
    """Each word stands for the same settings in both places."""
    assert PRESETS[kind] == compose_config(["data=folder", f"data.root={tmp_path}", f"adapt={kind.value}"]).adapt


@pytest.mark.parametrize(("estimator", "layout"), [(PlantClassifier, "folder"), (PlantRegressor, "table")])
def test_defaults_are_those_of_the_command_line(estimator, layout, tmp_path):
    """Network, preparation, changes and loss are the same unless they are asked for; the adapter is the quick one."""
    words = {
        "folder": [f"data.root={tmp_path}"],
        "table": ["data.table=plants.csv", f"data.images={tmp_path}", "data.target=weight"],
    }[layout]
    words = [f"data={layout}", *words, "adapt=head"]

    ours, theirs = read_settings(estimator().get_params(), seed=0), compose_config(words)

    assert ours.model == theirs.model
    assert (ours.adapt, ours.task) == (theirs.adapt, theirs.task)
    assert (ours.data.resize, ours.data.augment) == (theirs.data.resize, theirs.data.augment)
    for name in ("views", "max_epochs", "batch_size", "learning_rate", "weight_decay", "accelerator"):
        assert getattr(ours.trainer, name) == getattr(theirs.trainer, name)


@pytest.mark.parametrize("estimator", [PlantClassifier, PlantRegressor])
def test_every_parameter_is_described(estimator):
    """No parameter stands in the signature alone."""
    text = inspect.getdoc(estimator.__init__)

    assert [name for name in estimator().get_params() if f"{name}:" not in text] == []
