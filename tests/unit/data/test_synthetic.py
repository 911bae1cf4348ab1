"""The drawn data sets: reproducible, laid out as promised, and with faults exactly where they say."""

import csv
import hashlib
import json
import re
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from phytoscope.data.synthetic import (
    LEAF_CLASSES,
    DrawnDataset,
    draw_field_leaves,
    draw_leaf_dataset,
    draw_rosette_dataset,
)
from phytoscope.data.synthetic.blade import LeafShape, draw_blade
from phytoscope.data.synthetic.leaf_photo import draw_leaf, photograph_leaf
from phytoscope.data.synthetic.lesions import LESIONS
from phytoscope.data.synthetic.rosette_plant import FIELD_OF_VIEW_CM, PlantTraits, draw_plant
from phytoscope.errors import ConfigError, StorageError

SIDE_PX = 48
TARGETS = ["fresh_weight_total", "fresh_weight_shoot", "fresh_weight_root", "leaf_surface_area", "total_leaves"]


@pytest.fixture(scope="module")
def leaves(tmp_path_factory) -> DrawnDataset:
    root = tmp_path_factory.mktemp("leaves")
    return draw_leaf_dataset(root, leaves_per_class=2, photos_per_leaf=2, size_px=SIDE_PX)


@pytest.fixture(scope="module")
def rosettes(tmp_path_factory) -> DrawnDataset:
    root = tmp_path_factory.mktemp("rosettes")
    return draw_rosette_dataset(root, plants=24, size_px=SIDE_PX, write_xlsx=True)


def read_table(dataset: DrawnDataset) -> pd.DataFrame:
    """The German table as a careful reader sees it."""
    table = pd.read_csv(dataset.root / "digital_biomass_labels.csv", decimal=",")
    return table.set_index("filename", drop=False)


def hash_folder(root: Path) -> dict[str, str]:
    """Every file with the hash of its bytes."""
    return {
        path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


def flat_shape() -> LeafShape:
    """A leaf without anything random in its proportions."""
    return LeafShape(
        half_width=0.3,
        base_power=0.6,
        tip_power=0.8,
        teeth=20,
        tooth_depth=0.01,
        lobes=3,
        lobe_depth=0.0,
        vein_pairs=6,
        vein_slope=0.8,
        bend=0.0,
        stalk=0.2,
    )


def draw_leaves(root: Path, seed: int) -> dict[str, str]:
    draw_leaf_dataset(root, leaves_per_class=1, photos_per_leaf=1, size_px=SIDE_PX, seed=seed)
    return hash_folder(root)


def draw_rosettes(root: Path, seed: int) -> dict[str, str]:
    draw_rosette_dataset(root, plants=6, photos_per_plant=1, size_px=SIDE_PX, seed=seed)
    return hash_folder(root)


@pytest.mark.parametrize("draw", [draw_leaves, draw_rosettes])
@pytest.mark.parametrize("seed", [0, 7])
def test_same_seed_gives_same_bytes(draw, seed, tmp_path):
    """Drawing twice with one seed, 0 included, gives the same files byte by byte."""
    assert draw(tmp_path / "first", seed) == draw(tmp_path / "second", seed)


@pytest.mark.parametrize("draw", [draw_leaves, draw_rosettes])
def test_other_seed_gives_other_pictures(draw, tmp_path):
    """Seed 0 is a seed of its own: no picture of it appears under seed 1."""
    first, second = draw(tmp_path / "first", 0), draw(tmp_path / "second", 1)
    empty = hashlib.sha256(b"").hexdigest()
    pictures = [
        {value for name, value in files.items() if name.lower().endswith(("jpg", "png"))} - {empty}
        for files in (first, second)
    ]
    assert pictures[0]
    assert pictures[0].isdisjoint(pictures[1])


def test_a_leaf_does_not_depend_on_how_many_are_drawn(tmp_path):
    """The first leaf of a class is the same whether one or two are asked for."""
    few, many = tmp_path / "few", tmp_path / "many"
    draw_leaf_dataset(few, leaves_per_class=1, photos_per_leaf=1, size_px=SIDE_PX, seed=3)
    draw_leaf_dataset(many, leaves_per_class=2, photos_per_leaf=1, size_px=SIDE_PX, seed=3)
    pattern = "*/*___* ????.JPG"
    shared = {path.name for path in few.glob(pattern)} & {path.name for path in many.glob(pattern)}
    assert len(shared) == len(LEAF_CLASSES)


def test_leaf_folders_hold_the_promised_files(leaves):
    """Each class has leaves x photos pictures of the asked size, one class a duplicate more."""
    pictures = list(leaves.root.glob("*/*.JPG"))
    assert leaves.images == len(pictures) == len(LEAF_CLASSES) * 4 + 1
    assert {path.parent.name for path in pictures} == set(LEAF_CLASSES)
    broken = {leaves.planted_faults[kind][0] for kind in ("truncated", "zero_byte")}
    whole = [path for path in pictures if path.relative_to(leaves.root).as_posix() not in broken]
    assert {cv2.imread(str(path)).shape for path in whole} == {(SIDE_PX, SIDE_PX, 3)}


def test_leaf_names_look_like_the_real_ones(leaves):
    """A UUID of version 4, three underscores, a tag and a photo number."""
    pattern = r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}___DR_[A-Za-z.]+ \d{4}\.JPG"
    names = [path.name for path in leaves.root.glob("*/*.JPG")]
    assert all(re.fullmatch(pattern, name) for name in names)
    assert len(set(names)) == len(names)


def test_leaf_map_matches_the_files(leaves):
    """Every picture has an entry of the official form, and there is no entry without a picture."""
    leaf_map = json.loads((leaves.root / "leaf-map.json").read_text())
    tags = {path.stem.split("___")[1].lower(): path.parent.name for path in leaves.root.glob("*/*.JPG")}
    assert set(leaf_map) == set(tags)
    for tag, (entry,) in leaf_map.items():
        assert re.fullmatch(re.escape(tags[tag]) + r":::\d+\.0", entry)


def test_photographs_of_a_leaf_share_its_number(leaves):
    """Leaf numbers group the photographs, consecutive numbers belong to one leaf."""
    leaf_map = json.loads((leaves.root / "leaf-map.json").read_text())
    copy = Path(leaves.planted_faults["duplicate"][1]).stem.split("___")[1].lower()
    groups: dict[str, list[int]] = {}
    for tag, (entry,) in leaf_map.items():
        if tag != copy:
            groups.setdefault(entry, []).append(int(tag.split(" ")[1]))
    assert len(groups) == len(LEAF_CLASSES) * 2
    assert all(len(numbers) == 2 and max(numbers) - min(numbers) == 1 for numbers in groups.values())


def test_leaf_faults_are_where_they_are_said_to_be(leaves):
    """One truncated and one empty picture, one exact copy in the same class, one note."""
    faults = leaves.planted_faults
    assert sorted(faults) == ["duplicate", "stray_file", "truncated", "zero_byte"]
    truncated = (leaves.root / faults["truncated"][0]).read_bytes()
    assert truncated.startswith(b"\xff\xd8")
    assert not truncated.endswith(b"\xff\xd9")
    assert (leaves.root / faults["zero_byte"][0]).stat().st_size == 0
    original, copy = (leaves.root / name for name in faults["duplicate"])
    assert original.read_bytes() == copy.read_bytes()
    assert original.parent == copy.parent
    assert [path.name for path in leaves.root.glob("*/*.txt")] == [Path(faults["stray_file"][0]).name]


def test_only_the_planted_pictures_are_duplicates(leaves):
    """No two other pictures are the same bytes."""
    hashes = hash_folder(leaves.root)
    pictures = [value for name, value in hashes.items() if name.endswith(".JPG")]
    assert len(pictures) - len(set(pictures)) == 1


@pytest.mark.parametrize("disease", sorted(LESIONS))
def test_lesions_change_the_blade_and_grow_with_severity(disease):
    """Every disease marks the leaf even when mild, and more of it when severe."""
    blade = draw_blade(flat_shape(), np.random.default_rng(0), length_px=120.0)
    marked = []
    for severity in (0.0, 1.0):
        sick = LESIONS[disease](blade, np.random.default_rng(1), severity)
        change = np.abs(sick.albedo - blade.albedo).max(axis=2)
        marked.append(float(np.mean(change[blade.margin_px > 0] > 0.05)))
    assert 0.002 < marked[0] < marked[1] < 0.9


def is_orange(colour: np.ndarray) -> np.ndarray:
    return (colour[0] > 1.2 * colour[1]) & (colour[1] > 1.2 * colour[2])


def is_white(colour: np.ndarray) -> np.ndarray:
    return (colour[2] > 0.25) & (np.abs(colour[0] - colour[1]) < 0.2 * colour[1])


def is_brown(colour: np.ndarray) -> np.ndarray:
    return (colour[0] > 1.05 * colour[1]) & (colour[0] < 0.4)


@pytest.mark.parametrize(
    ("disease", "looks_sick"),
    [("rust", is_orange), ("powdery_mildew", is_white), ("late_blight", is_brown), ("leaf_spot", is_brown)],
)
def test_lesions_have_their_colours(disease, looks_sick):
    """Rust is orange, mildew white, blight and spots brown; the healthy blade is none of it."""
    blade = draw_blade(flat_shape(), np.random.default_rng(0), length_px=120.0)
    sick = LESIONS[disease](blade, np.random.default_rng(1), 0.8)
    inside = blade.margin_px > 3
    before, after = (float(np.mean(looks_sick(item.albedo[inside].T))) for item in (blade, sick))
    assert before < 0.02
    assert after > before + 0.01


def test_photographs_of_one_leaf_differ():
    """Pose, light and noise change between two photographs of a leaf."""
    blade = draw_leaf(np.random.default_rng(0), "rust", size_px=SIDE_PX)
    first, second = (photograph_leaf(blade, np.random.default_rng(key), size_px=SIDE_PX) for key in (1, 2))
    assert first.shape == second.shape == (SIDE_PX, SIDE_PX, 3)
    assert first.dtype == np.uint8
    assert np.abs(first.astype(int) - second).mean() > 5


def test_rosette_table_has_the_columns_and_a_row_for_each_photograph(rosettes):
    """26 columns in the order of the export, two rows for each plant."""
    table = read_table(rosettes)
    assert table.shape == (48, 26)
    assert list(table.columns[[0, 3, 12, 25]]) == [
        "filename",
        "plant_number",
        "fresh_weight_total",
        "lab_book_page",
    ]


def test_rosette_table_is_a_german_export(rosettes):
    """Numbers have quoted decimal commas, truth values are WAHR and FALSCH, gaps are empty."""
    text = (rosettes.root / "digital_biomass_labels.csv").read_text(encoding="utf-8")
    assert re.search(r',"0,\d+",', text)
    assert not re.search(r"\d\.\d", text)
    assert not re.search("True|False|None|,nan", text)
    rows = list(csv.DictReader(text.splitlines()))
    assert {row["artificial_light"] for row in rows} == {"WAHR", "FALSCH"}
    assert {row["is_active"] for row in rows} == {"FALSCH"}


def test_spreadsheet_holds_the_same_table_as_real_numbers(rosettes):
    """CSV and XLSX agree cell by cell."""
    german = read_table(rosettes).reset_index(drop=True)
    sheet = pd.read_excel(rosettes.root / "digital_biomass_labels.xlsx")
    assert list(sheet.columns) == list(german.columns)
    for column in ("is_active", "artificial_light"):
        german[column] = german[column].map({"WAHR": True, "FALSCH": False})
    pd.testing.assert_frame_equal(sheet, german, check_dtype=False, rtol=1e-12)


def test_rosette_rows_obey_the_rules_of_the_export(rosettes):
    """Total = shoot + root, leaves = small + big, full spectrum = visible + infrared, ratio = shoot / root."""
    table = read_table(rosettes).drop(index=rosettes.planted_faults["negative_weight"])
    np.testing.assert_array_equal(
        table["illuminancefullspectrum"], table["illuminancevisible"] + table["illuminanceinfrared"]
    )
    table = table.dropna(subset=["fresh_weight_total"])
    np.testing.assert_allclose(table["fresh_weight_total"], table["fresh_weight_shoot"] + table["fresh_weight_root"])
    np.testing.assert_allclose(table["total_leaves"], table["small_leaves"] + table["big_leaves"])
    ratio = table["fresh_weight_shoot"] / table["fresh_weight_root"]
    np.testing.assert_allclose(table["shoot_root_ratio_fresh"], ratio, atol=1e-5)


def test_a_plant_keeps_its_weight_with_the_lamp_on_and_off(rosettes):
    """Numbers start again in every experiment and robot, and the three together name one plant."""
    table = read_table(rosettes).drop(index=rosettes.planted_faults["negative_weight"])
    plants = table.groupby(["experiment_id", "farmbot_name", "plant_number"])
    assert plants.ngroups == 24
    assert table["plant_number"].max() == 4
    assert plants["fresh_weight_total"].nunique().max() == 1
    full = read_table(rosettes).groupby(["experiment_id", "farmbot_name", "plant_number"])
    assert (full["artificial_light"].nunique() == 2).all()


def test_rosette_faults_are_where_they_are_said_to_be(rosettes):
    """Gaps, zeros, the negative weight and the damaged files are the listed ones and no others."""
    faults, table = rosettes.planted_faults, read_table(rosettes)
    folder = rosettes.root / "images_med_res"
    on_disk = {path.name for path in folder.iterdir()}
    assert set(table.index) - on_disk == set(faults["missing_file"])
    assert len(on_disk) == rosettes.images == 48 - 3
    assert (folder / faults["zero_byte"][0]).stat().st_size == 0
    truncated = (folder / faults["truncated"][0]).read_bytes()
    assert truncated.startswith(b"\x89PNG")
    assert b"IEND" not in truncated
    assert set(table.index[table["fresh_weight_total"] < 0]) == set(faults["negative_weight"])
    assert set(table.index[table["age_days"].isna()]) == set(faults["no_age"])
    assert set(table.index[table["leaf_surface_area"] == 0]) == set(faults["zero_leaf_area"])
    assert set(table.index[table[TARGETS].isna().all(axis=1)]) == set(faults["no_label"])
    assert set(table.index[table[TARGETS].isna().any(axis=1)]) == set(faults["no_label"])


def test_weight_grows_with_green_pixels(rosettes):
    """The camera is fixed, so green pixels rank the plants much as the balance does."""
    faults, table = rosettes.planted_faults, read_table(rosettes)
    unusable = {name for kind in ("no_label", "missing_file", "truncated", "zero_byte") for name in faults[kind]}
    rows = table.drop(index=sorted(unusable | set(faults["negative_weight"])))
    green_px = []
    for name in rows["filename"]:
        blue, green, red = cv2.split(cv2.imread(str(rosettes.root / "images_med_res" / name)).astype(int))
        green_px.append(int(np.sum(2 * green - red - blue > 40)))
    ranks = pd.DataFrame({"green": green_px, "weight": rows["fresh_weight_total"].to_numpy()}).rank()
    assert ranks["green"].corr(ranks["weight"]) > 0.8


@pytest.mark.parametrize("area_cm2", [0.5, 5.0, 40.0])
def test_drawn_area_comes_close_to_the_area_asked_for(area_cm2):
    """The truth is the area really covered, and the plant is grown towards the wanted size."""
    traits = PlantTraits(target_area_cm2=area_cm2, leaves=10, condition="control")
    plant = draw_plant(traits, np.random.default_rng(0), size_px=128)
    assert 0.7 * area_cm2 < plant.projected_area_cm2 < 1.3 * area_cm2
    assert plant.small_leaves + plant.big_leaves == 10


def test_drawn_area_does_not_depend_on_resolution():
    """The same plant covers the same square centimetres in small and in large pictures."""
    traits = PlantTraits(target_area_cm2=12.0, leaves=8, condition="drought")
    small, large = (draw_plant(traits, np.random.default_rng(4), size_px=side) for side in (128, 256))
    assert FIELD_OF_VIEW_CM == 12.0
    assert small.small_leaves == large.small_leaves
    assert small.projected_area_cm2 == pytest.approx(large.projected_area_cm2, rel=0.25)


def test_progress_counts_every_picture(tmp_path):
    """The callback hears of each picture once, in order, up to the number reported."""
    heard: list[int] = []
    leaves = draw_leaf_dataset(tmp_path / "a", leaves_per_class=1, size_px=32, on_image=heard.append)
    assert heard == list(range(1, leaves.images + 1))
    heard.clear()
    rosettes = draw_rosette_dataset(tmp_path / "b", plants=6, size_px=32, on_image=heard.append)
    assert heard == list(range(1, rosettes.images + 1))


@pytest.mark.parametrize(
    ("draw", "setting", "value", "minimum"),
    [
        (draw_leaf_dataset, "leaves_per_class", 0, 1),
        (draw_leaf_dataset, "photos_per_leaf", 0, 1),
        (draw_leaf_dataset, "size_px", 31, 32),
        (draw_leaf_dataset, "seed", -1, 0),
        (draw_rosette_dataset, "plants", 5, 6),
        (draw_rosette_dataset, "photos_per_plant", 0, 1),
        (draw_rosette_dataset, "size_px", 0, 32),
        (draw_rosette_dataset, "seed", -2, 0),
    ],
)
def test_numbers_that_are_too_small_are_refused(draw, setting, value, minimum, tmp_path):
    """The error names the setting, the value received and the smallest one allowed, and nothing is written."""
    with pytest.raises(ConfigError, match=rf"{setting} is {value}; allowed are whole numbers from {minimum}"):
        draw(tmp_path / "new", **{setting: value})
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("draw", [draw_leaf_dataset, draw_rosette_dataset])
def test_a_root_that_cannot_be_written_is_reported(draw, tmp_path):
    """A file in place of the root folder gives an error with the path."""
    (tmp_path / "taken").write_text("")
    with pytest.raises(StorageError, match=r"cannot write .*taken"):
        draw(tmp_path / "taken", size_px=32)


class TestFieldLeaves:
    """Leaves of the same classes before other grounds."""

    def test_same_seed_gives_the_same_bytes(self, tmp_path) -> None:
        """And another seed other pictures."""
        places = [tmp_path / name for name in ("a", "b", "other")]
        for place, seed in zip(places, (3, 3, 4), strict=True):
            draw_field_leaves(place, leaves_per_class=1, size_px=96, seed=seed)
        contents = [[path.read_bytes() for path in sorted(place.rglob("*.jpg"))] for place in places]
        assert contents[0] == contents[1]
        assert all(one != other for one, other in zip(contents[0], contents[2], strict=True))

    def test_classes_are_those_of_the_leaves(self, tmp_path) -> None:
        """One folder a class, and what is said to be written is there."""
        counts: list[int] = []
        drawn = draw_field_leaves(tmp_path, leaves_per_class=2, size_px=96, on_image=counts.append)
        assert sorted(folder.name for folder in tmp_path.iterdir()) == sorted(LEAF_CLASSES)
        assert drawn.images == len(list(tmp_path.rglob("*.jpg"))) == 2 * len(LEAF_CLASSES)
        assert counts == list(range(1, drawn.images + 1))

    def test_ground_is_another_one(self, tmp_path) -> None:
        """The edges of the pictures differ from each other far more than sheets of grey paper do."""
        draw_leaf_dataset(tmp_path / "paper", leaves_per_class=2, photos_per_leaf=1, size_px=96)
        draw_field_leaves(tmp_path / "field", leaves_per_class=2, size_px=96)

        def spread(folder: Path) -> float:
            paths = [path for path in sorted(folder.rglob("*")) if path.suffix.lower() == ".jpg"]
            readable = [pixels for pixels in (cv2.imread(str(path)) for path in paths) if pixels is not None]
            return float(np.std([pixels[:4].mean(axis=(0, 1)) for pixels in readable], axis=0).mean())

        assert spread(tmp_path / "field") > 2 * spread(tmp_path / "paper")
