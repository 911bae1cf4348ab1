"""Further targets and covariates: found as people write them, with their units."""

import pytest

from phytoscope.data.readers.more_columns import MoreColumns, find_more_columns
from phytoscope.errors import ConfigError
from phytoscope.schema.choices import DataKind
from phytoscope.schema.data_config import DataConfig

COLUMNS = ["leaf area (cm2)", "shoot_g", "age_days", "condition"]


def find(**settings: list[str]) -> MoreColumns:
    """Looks among the columns of a table."""
    return find_more_columns(COLUMNS, DataConfig(kind=DataKind.table, **settings))


def test_nothing_is_asked_for() -> None:
    """Without settings there is nothing beside the image and the target."""
    assert find() == MoreColumns()


def test_names_and_units_of_columns() -> None:
    """A column is found without its unit, and its unit is taken from its name."""
    found = find(more_targets=["Leaf Area", "shoot_g"], covariates=["AGE_DAYS", "condition"])
    assert found.targets == {"leaf area (cm2)": "cm2", "shoot_g": "g"}
    assert found.covariates == ("age_days", "condition")


def test_given_units() -> None:
    """Units that are given stand where the names give none; an empty one leaves it to the name."""
    assert find(more_targets=["condition", "shoot_g"], more_units=["points", ""]).targets == {
        "condition": "points",
        "shoot_g": "g",
    }


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"covariates": ["age_day"]}, r"data\.covariates: the table has no column 'age_day'; did you mean 'age_days'"),
        ({"more_targets": ["root"]}, r"data\.more_targets: the table has no column 'root'"),
        ({"covariates": ["condition", "Condition"]}, r"data\.covariates names 'condition' twice"),
        ({"more_targets": ["shoot_g"], "more_units": ["g", "g"]}, r"more_units has 2 entries and data\.more_targets 1"),
        ({"more_units": ["g"]}, r"more_units has 1 entries and data\.more_targets 0"),
        ({"more_targets": ["shoot_g"], "more_units": ["kg"]}, r"more_units='kg', but the column 'shoot_g' says 'g'"),
    ],
)
def test_mistakes_are_refused(settings, text) -> None:
    """Each mistake names the setting, what is wrong and what there is."""
    with pytest.raises(ConfigError, match=text):
        find(**settings)
