"""Units in the names of columns, and which quantities cannot be negative."""

import dataclasses

import pytest

from factories.tables import make_dataset, write_csv
from phytoscope.data.read import read_source
from phytoscope.data.readers.units import fold_name, is_amount, same_unit, split_unit
from phytoscope.errors import ConfigError
from phytoscope.schema.choices import DataKind
from phytoscope.schema.data_config import DataConfig


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("fresh weight (g)", ("fresh weight", "g")),
        ("fresh_weight [kg]", ("fresh_weight", "kg")),
        ("fresh weight in mg", ("fresh weight", "mg")),
        ("Fresh weight / g", ("Fresh weight", "g")),
        ("weight_g", ("weight", "g")),
        ("leaf area (cm²)", ("leaf area", "cm2")),
        ("leaf_area_cm2", ("leaf_area", "cm2")),
        ("area (mm^2)", ("area", "mm2")),
        ("weight (μg)", ("weight", "µg")),
        ("age_days", ("age", "days")),
        ("humidity (%)", ("humidity", "%")),
        ("weight (fresh)", ("weight (fresh)", "")),
        ("fresh_weight_total", ("fresh_weight_total", "")),
        ("g", ("g", "")),
        ("(g)", ("(g)", "")),
    ],
)
def test_unit_is_parted_from_the_name(name, parts):
    """In brackets, after a slash or a word, or as the end of the name."""
    assert split_unit(name) == parts


def test_names_are_compared_without_their_unit():
    """Case, spaces and underscores do not matter."""
    assert fold_name("Fresh Weight (g)") == fold_name("fresh_weight") == fold_name("fresh-weight")
    assert same_unit("gram", "g")
    assert not same_unit("kg", "g")


@pytest.mark.parametrize(
    ("name", "unit", "expected"),
    [
        ("x", "g", True),
        ("fresh_weight", "", True),
        ("Blattfläche", "", True),
        ("change", "", False),
        ("t", "°C", False),
        ("weight_loss_g", "g", False),
        ("weight change", "g", False),
        ("log_fresh_weight", "", False),
        ("log10 biomass", "g", False),
        ("ln_mass", "", False),
        ("delta_height", "", False),
        ("deltaHeight", "cm", False),
        ("\N{INCREMENT}mass", "g", False),
        ("z_score_biomass", "", False),
        ("leaf area growth rate", "cm2", False),
        ("weight_residual", "g", False),
        ("normalised_leaf_area", "", False),
        ("Gewichtszunahme", "g", False),
        ("substrate mass", "", True),
        ("freshWeight", "", True),
        ("dw", "g", True),
    ],
)
def test_amounts_cannot_be_negative(name, unit, expected):
    """A mass, a length or an area; not a temperature, and nothing that is made of amounts and has a sign."""
    assert is_amount(name, unit) is expected


def configure(folder, header, **options):
    """Settings for a table with this header."""
    make_dataset(folder, [["a.png", 1.0, 2.0], ["b.png", 2.0, 3.0]], ["file", *header])
    base = DataConfig(DataKind.table, table=str(folder / "table.csv"), images=str(folder / "images"))
    return dataclasses.replace(base, **{"target": "fresh_weight", **options})


def test_target_is_found_without_its_unit_and_brings_it(tmp_path):
    """`fresh_weight` means `fresh weight (g)`, in grams."""
    source = read_source(configure(tmp_path, ["fresh weight (g)", "plant"]))
    assert (source.target_name, source.unit) == ("fresh weight (g)", "g")


def test_two_columns_that_fit_are_refused(tmp_path):
    """Nobody guesses between grams and kilograms."""
    with pytest.raises(ConfigError, match=r"may be any of the columns 'fresh weight \(g\)', 'fresh weight \(kg\)'"):
        read_source(configure(tmp_path, ["fresh weight (g)", "fresh weight (kg)"]))


def test_other_unit_than_the_columns_is_refused(tmp_path):
    """Every number would be wrong by a factor of a thousand."""
    config = configure(tmp_path, ["fresh weight (kg)", "plant"], unit="g")
    with pytest.raises(ConfigError, match=r"data.unit='g', but the column 'fresh weight \(kg\)' says 'kg'"):
        read_source(config)
    assert read_source(dataclasses.replace(config, unit="KG")).unit == "kg"


def test_one_odd_cell_does_not_turn_the_decimal_sign_of_a_column(tmp_path):
    """A German number in an English column is one fault, and not the end of all others."""
    config = configure(tmp_path, ["fresh weight (g)", "plant"])
    rows = [[f"{number}.png", "0,75" if number == 3 else f"0.{number + 1}5"] for number in range(6)]
    write_csv(tmp_path / "table.csv", ["file", "fresh weight (g)"], rows)
    source = read_source(config)
    assert [(fault.source_row, fault.value) for fault in source.faults] == [(5, "0,75")]
    assert source.rows["target"].dropna().tolist() == [0.15, 0.25, 0.35, 0.55, 0.65]
