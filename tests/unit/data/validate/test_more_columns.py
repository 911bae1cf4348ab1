"""Further targets that are no numbers, and covariates that would give the answer away."""

import numpy as np
import pandas as pd
import pytest

from phytoscope.data.source import Source
from phytoscope.data.validate.fault_log import FaultLog
from phytoscope.data.validate.more_columns import check_more_columns, drop_negative_amounts, find_near_copies
from phytoscope.errors import ConfigError
from phytoscope.schema.choices import DataKind
from phytoscope.schema.data_config import DataConfig, SplitConfig
from phytoscope.schema.table import Task

COLUMNS = {
    "shoot": [0.1, None],
    "root": [0.1, 0.2],
    "ratio": [1.0, 2.0],
    "dry": [0.01, 0.02],
    "age": [7.0, 14.0],
    "area": [3.0, 4.0],
    "plant": ["1", "2"],
    "set": ["train", "test"],
    "condition": ["control", "drought"],
}
RULES = ["total = shoot + root", "ratio = shoot / root", "0 <= dry <= shoot", "0 <= age <= 100", "area > 0 if present"]


def make_source(task: Task = Task.regression, image_column: str = "filename") -> Source:
    """Two plants with their columns."""
    rows = pd.DataFrame({"sample_id": ["a.png", "b.png"], "target": [0.2, 0.4]})
    meta = pd.DataFrame(COLUMNS).add_prefix("meta/")
    return Source(pd.concat([rows, meta], axis=1), task, "total", image_column)


def check(source: Source | None = None, **settings) -> None:
    """Checks with the rules of the table."""
    config = {"group_by": ["Plant"], "rules": RULES, "split": SplitConfig(column="SET"), **settings}
    check_more_columns(source or make_source(), DataConfig(kind=DataKind.table, **config))


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"more_targets": ["shoot", "ROOT"], "covariates": ["age", "condition", "area"]},
        # Without the rule nothing says that they belong together.
        {"covariates": ["dry", "shoot"], "rules": []},
    ],
)
def test_sound_settings_pass(settings) -> None:
    """Numbers may be further targets, and what is known before the harvest may be seen."""
    check(**settings)


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"covariates": ["shoot"]}, r"'shoot' gives the target away, because the rule 'total = shoot \+ root'"),
        ({"covariates": ["ratio"]}, "'ratio' gives the target away, because the rule 'ratio = shoot / root'"),
        ({"covariates": ["dry"]}, "'dry' gives the target away, because the rule '0 <= dry <= shoot'"),
        ({"covariates": ["total"]}, "'total' is what is predicted already"),
        ({"more_targets": ["Total"]}, "'Total' is what is predicted already"),
        ({"covariates": ["filename"]}, "'filename' is the column with the images"),
        ({"covariates": ["plant"]}, "'plant' names the plant or leaf"),
        ({"covariates": ["set"]}, "'set' names the split"),
        ({"more_targets": ["area"], "covariates": ["area"]}, "'area' is a further target"),
        (
            {"more_targets": ["condition"]},
            "'condition' is not a column of numbers .it holds for example 'control'",
        ),
        ({"covariates": ["agee"]}, "the table has no column 'agee'; did you mean 'age'"),
    ],
)
def test_leaks_and_words_are_refused(settings, text) -> None:
    """The text names the column and why it cannot be used."""
    with pytest.raises(ConfigError, match=text):
        check(**settings)


def test_rule_leads_over_a_further_target() -> None:
    """What bounds a further target gives that one away."""
    with pytest.raises(ConfigError, match="'area' gives the target away, because the rule 'area < 3 "):
        check(more_targets=["age"], covariates=["area"], rules=["area < 3 * age"])


def test_bound_of_a_bound_is_no_leak() -> None:
    """An inequality ties neighbours only: age bounds the area, and the area the total."""
    check(covariates=["age"], rules=["total < area", "area < age"])


def test_classes_have_no_further_numbers() -> None:
    """Beside a class there is nothing else to predict; covariates may be seen all the same."""
    source = make_source(Task.classification)
    check(source, covariates=["age"])
    with pytest.raises(ConfigError, match=r"further numbers can be predicted beside a number only"):
        check(source, more_targets=["age"])


@pytest.mark.parametrize("settings", [{"covariates": ["age"]}, {"more_targets": ["age"]}])
def test_folder_has_no_columns(settings) -> None:
    """The settings of a table are refused for a folder of images."""
    with pytest.raises(ConfigError, match="name columns of a table, but these data are a folder of images"):
        check(make_source(Task.classification, image_column=""), **settings)


def test_negative_amounts_are_missing() -> None:
    """A further weight below 0 is no weight: the cell is named and counts as missing, the row is kept."""
    rows = make_source().rows.assign(**{"meta/shoot": [-0.1, 0.2], "meta/age": [-3.0, 7.0], "source_row": [2, 3]})
    rows = rows.rename(columns={"meta/shoot": "meta/shoot weight (g)"}).assign(path=rows["sample_id"])
    warnings = FaultLog(rows)
    config = DataConfig(kind=DataKind.table, more_targets=["shoot weight", "age"])
    drop_negative_amounts(rows, config, warnings)
    assert np.isnan(rows["meta/shoot weight (g)"][0])
    assert rows["meta/age"].tolist() == [-3.0, 7.0]
    (fault,) = warnings.to_table().to_dict("records")
    assert (fault["source_row"], fault["column"], fault["value"]) == (2, "shoot weight (g)", "-0.1")
    assert "negative, which no such quantity can be, and counts as missing" in fault["reason"]


def test_near_copies_are_found() -> None:
    """The same quantity measured again is named with its correlation; a mere relation is not."""
    rng = np.random.default_rng(0)
    weight = rng.uniform(1, 5, 200)
    columns = pd.DataFrame(
        {
            "again": np.where(rng.random(200) < 0.1, np.nan, -3 * weight + rng.normal(0, 0.4, 200)),
            "area": weight + rng.normal(0, 1, 200),
            "constant": 1.0,
            "condition": "control",
        }
    )
    names = tuple(columns)
    (sentence,) = find_near_copies(columns, names, {"weight": pd.Series(weight)})
    assert "'again' is nearly a copy of the target 'weight' (correlation -0.99" in sentence
    assert find_near_copies(columns, ("area",), {"weight": pd.Series(weight)}) == []
