"""A spreadsheet beside a folder of images becomes rows, and every cell that cannot be used is named."""

import dataclasses

import pandas as pd
import pytest

from factories.tables import look_and_validate, make_dataset, write_csv, write_xlsx
from phytoscope.data.read import read_source
from phytoscope.data.source import faults_to_table
from phytoscope.errors import ConfigError, DataNotFoundError
from phytoscope.schema.choices import DataKind
from phytoscope.schema.data_config import DataConfig
from phytoscope.schema.table import Task


def configure(folder, **options):
    base = DataConfig(DataKind.table, table=str(folder / "table.csv"), images=str(folder / "images"))
    return dataclasses.replace(base, **{"target": "weight_g", **options})


def groups_of(source):
    return [None if pd.isna(group) else group for group in source.rows["group_id"]]


def test_rows_carry_name_place_line_and_target(tmp_path):
    """Sample ids are relative to the image folder, lines are those of the spreadsheet."""
    source = read_source(configure(make_dataset(tmp_path)))
    first = source.rows.iloc[0]
    assert (first["sample_id"], first["source_row"], first["target"]) == ("p1_1.png", 2, 1.5)
    assert first["path"] == str(tmp_path / "images" / "p1_1.png")
    assert list(source.rows["meta/plant"])[:3] == [1, 1, 2]
    assert (source.task, source.target_name, source.image_column) == (Task.regression, "weight_g", "filename")


def test_columns_name_the_group(tmp_path):
    """2, 2.0 and ' 2 ' are one plant, and a plant without a complete name is no group."""
    rows = [
        ["a.png", "e1", "2"],
        ["b.png", "e1", "2.0"],
        ["c.png", "e1", ""],
        ["d.png", "", "2"],
        ["e.png", "e2", " 2 "],
    ]
    make_dataset(tmp_path, [[*row, number] for number, row in enumerate(rows)], ["file", "exp", "plant", "weight_g"])
    source = read_source(configure(tmp_path, group_by=["exp", "Plant"]))
    assert groups_of(source) == ["e1/2", "e1/2", None, None, "e2/2"]


def test_pattern_names_the_group(tmp_path):
    """Without columns, the image's name can name the plant."""
    source = read_source(configure(make_dataset(tmp_path), group_pattern=r"^(p\d)_"))
    assert groups_of(source)[:3] == ["p1", "p1", "p2"]


def test_label_makes_it_classification(tmp_path):
    """A column of classes is taken as text, numbers included, and an empty cell is missing."""
    make_dataset(tmp_path, [["a.png", 1, "1"], ["b.png", 2, "2.0"], ["c.png", 3, ""]], ["file", "plant", "kind"])
    source = read_source(configure(tmp_path, target=None, label="kind"))
    assert [None if pd.isna(label) else label for label in source.rows["label"]] == ["1", "2", None]
    assert source.task is Task.classification


@pytest.mark.parametrize("name", ["filename", "Image", " PHOTO ", "Bild", "anything"])
def test_image_column_is_found(tmp_path, name):
    """By its usual names, else by cells that end like images."""
    source = read_source(configure(make_dataset(tmp_path, header=[name, "plant", "weight_g"])))
    assert source.image_column == name.strip()


def test_names_of_other_systems_are_understood(tmp_path):
    """Backslashes, a leading dot and full paths lead to the same image."""
    make_dataset(tmp_path, [["sub/a.png", 1, 1]])
    names = ["sub\\a.png", "./sub/a.png", str(tmp_path / "images" / "sub" / "a.png")]
    write_csv(tmp_path / "table.csv", ["filename", "weight_g"], [[name, 1.0] for name in names])
    source = read_source(configure(tmp_path))
    assert set(source.rows["sample_id"]) == {"sub/a.png"}


def test_text_in_the_target_is_one_fault_of_its_row(tmp_path):
    """Each such cell is named with its line, its image is still looked at, and the rest goes on."""
    rows = [["a.png", "1,5"], ["b.png", "ca. 2"], ["c.png", ""], ["gone.png", "many"], ["e.png", "0"]]
    make_dataset(tmp_path, rows, ["file", "weight_g"], missing=["gone.png"])
    config = configure(tmp_path)
    validated = look_and_validate(read_source(config), tmp_path / "looked", config)
    found = validated.rejected[["source_row", "path", "value", "reason"]].fillna("").to_numpy().tolist()
    assert found == [
        [3, "b.png", "ca. 2", "the target is text: 'ca. 2' is not a number"],
        [4, "c.png", "", "the target is missing"],
        [5, "gone.png", "many", "the target is text: 'many' is not a number"],
        [5, "gone.png", "gone.png", "the file does not exist"],
    ]
    assert list(validated.manifest["target"]) == [1.5, 0.0]


def test_truth_values_are_no_target(tmp_path):
    """WAHR is not one gram."""
    make_dataset(tmp_path, [["a.png", "WAHR"], ["b.png", "FALSCH"]], ["file", "weight_g"])
    source = read_source(configure(tmp_path))
    assert [fault.reason for fault in source.faults] == [
        "the target is text: True is not a number",
        "the target is text: False is not a number",
    ]


def test_row_without_image_is_listed(tmp_path):
    """A row that names no image has its line in the list."""
    make_dataset(tmp_path, [["a.png", 1], ["", 2], ["c.png", 3]], ["file", "weight_g"])
    source = read_source(configure(tmp_path))
    assert faults_to_table(source.faults)[["source_row", "reason"]].to_numpy().tolist() == [[3, "no image is named"]]
    assert len(source.rows) == 2


WRONG_SETTINGS = {
    "no_column": ({"target": "wieght_g"}, ConfigError, "data.target: the table has no column 'wieght_g'; did you mean"),
    "no_label": ({"target": None, "label": "kind"}, ConfigError, "data.label: the table has no column 'kind'"),
    "no_group": ({"group_by": ["plnt"]}, ConfigError, "data.group_by: the table has no column 'plnt'; did you mean"),
    "no_image_column": ({"image_column": "x"}, ConfigError, "data.image_column: the table has no column 'x'"),
    "both": ({"label": "plant"}, ConfigError, "give exactly one.*Columns: filename, plant, weight_g"),
    "neither": ({"target": None}, ConfigError, "give exactly one"),
    "no_table": ({"table": None}, ConfigError, "data.table is not given"),
    "no_images": ({"images": None}, ConfigError, "data.images is not given"),
    "table_is_a_folder": ({"table": "images"}, DataNotFoundError, "is a folder, expected a file"),
    "images_is_a_file": ({"images": "table.csv"}, DataNotFoundError, "is a file, expected a folder"),
    "no_such_table": ({"table": "tabel.csv"}, DataNotFoundError, "no file .*did you mean 'table.csv'"),
}


@pytest.mark.parametrize("case", WRONG_SETTINGS)
def test_wrong_setting_is_answered(tmp_path, monkeypatch, case):
    """The message names the setting, what was received and what would work."""
    monkeypatch.chdir(make_dataset(tmp_path))
    options, kind, match = WRONG_SETTINGS[case]
    with pytest.raises(kind, match=match):
        read_source(configure(tmp_path, **options))


def test_table_without_images_is_refused(tmp_path):
    """When no column looks like image names, the message says how to name one."""
    make_dataset(tmp_path, header=["plant", "weight_g"], rows=[["x.png", 1]])
    write_csv(tmp_path / "table.csv", ["plant", "weight_g"], [["1", 2], ["2", 3]])
    with pytest.raises(ConfigError, match=r"data.image_column=COLUMN. Columns: plant, weight_g"):
        read_source(configure(tmp_path))


def make_farmbot(root, *, table="digital_biomass_labels.xlsx", images="images_med_res"):
    header = ["filename", "experiment_id", "farmbot_name", "plant_number", "fresh_weight_total"]
    rows = [[f"{plant}_{lamp}.png", 1, "bot", plant, 0.5 + plant] for plant in (1, 2) for lamp in (0, 1)]
    make_dataset(root, rows, header)
    (root / "images").rename(root / images)
    (write_csv if table.endswith(".csv") else write_xlsx)(root / table, header, rows)
    (root / "table.csv").unlink()


@pytest.mark.parametrize(
    "table", ["digital_biomass_labels.xlsx", "digital_biomass_labels.csv", "my_digital_biomass_labels_2.xlsx"]
)
@pytest.mark.parametrize("images", ["images_med_res", "images"])
def test_farmbot_layout_is_found(tmp_path, table, images):
    """The root is enough; a plant is experiment, robot and number together."""
    make_farmbot(tmp_path, table=table, images=images)
    groups = ["experiment_id", "farmbot_name", "plant_number"]
    config = DataConfig(DataKind.farmbot_biomass, root=str(tmp_path), target="fresh_weight_total", group_by=groups)
    assert groups_of(read_source(config)) == ["1/bot/1", "1/bot/1", "1/bot/2", "1/bot/2"]


@pytest.mark.parametrize(
    ("gone", "match"),
    [
        ("digital_biomass_labels.xlsx", "data.root: no table .*data.table=FILE"),
        ("images_med_res", "no folder .*data.images=DIR"),
    ],
)
def test_incomplete_farmbot_layout_is_refused(tmp_path, gone, match):
    """The message names what is missing and the setting that replaces it."""
    make_farmbot(tmp_path)
    (tmp_path / gone).rename(tmp_path / "elsewhere")
    with pytest.raises(DataNotFoundError, match=match):
        read_source(DataConfig(DataKind.farmbot_biomass, root=str(tmp_path), target="fresh_weight_total"))


@pytest.mark.real
def test_real_workbook_equals_its_german_export(real_data_root, tmp_path):
    """29 rows of the real table mean the same as XLSX and as CSV, rejected rows included."""
    root = real_data_root / "farmbot_biomass"
    results = []
    for table in ("digital_biomass_labels_sample.xlsx", "labels_sample_german.csv"):
        config = DataConfig(
            DataKind.farmbot_biomass,
            table=str(root / table),
            images=str(root / "images"),
            target="fresh_weight_total",
            group_by=["experiment_id", "farmbot_name", "plant_number"],
            target_min=0.0,
        )
        source = read_source(config)
        results.append((source, look_and_validate(source, tmp_path / "looked", config)))
    (first, first_checked), (second, second_checked) = results
    assert len(first.rows) == 29
    pd.testing.assert_frame_equal(first.rows, second.rows)
    pd.testing.assert_frame_equal(first_checked.rejected, second_checked.rejected)
    # The pictures of these rows are not part of the sample.
    assert (first_checked.rejected["reason"] == "the file does not exist").sum() == 29


@pytest.mark.real
def test_real_pictures_have_their_weights(real_data_root, tmp_path):
    """Nine pictures with their weights in grams are read whole."""
    root = real_data_root / "farmbot_biomass"
    target = next(name for name in pd.read_csv(root / "labels.csv").columns if "weight" in name)
    config = DataConfig(DataKind.table, table=str(root / "labels.csv"), images=str(root / "images"), target=target)
    validated = look_and_validate(read_source(config), tmp_path / "looked", config)
    assert (len(validated.manifest), len(validated.rejected)) == (9, 0)


def test_number_that_may_be_a_thousand_times_smaller_is_a_warning(tmp_path):
    """The cell is named as it is written, with both readings; its row is kept."""
    rows = [["a.png", 1, "0.5"], ["b.png", 2, "1,250"], ["c.png", 3, "2.5"]]
    (warning,) = read_source(configure(make_dataset(tmp_path, rows))).warnings
    assert (warning.source_row, warning.column, warning.value) == (3, "weight_g", "1,250")
    assert warning.reason.endswith("'1,250' is read as 1250 and may mean 1.25")


@pytest.mark.parametrize(
    ("name", "negatives", "options", "lines"),
    [
        ("w", 1, {}, [2]),
        ("w", 0, {}, []),
        ("w", 6, {}, []),
        ("w", 1, {"target_min": -5.0}, []),
        ("w (g)", 1, {}, []),
    ],
)
def test_rare_negative_target_is_a_warning(tmp_path, name, negatives, options, lines):
    """One among many others is doubted where neither the unit nor a setting says what is allowed."""
    rows = [[f"{row}.png", -1.5 if row < negatives else row] for row in range(20)]
    source = read_source(configure(make_dataset(tmp_path, rows, ["file", name]), target=name, **options))
    assert [warning.source_row for warning in source.warnings] == lines
