"""Reading further sets, and finding their classes among the model's."""

import numpy as np
import pandas as pd
import pytest

from factories.images import write_image
from phytoscope.configs import compose_config
from phytoscope.errors import ConfigError, DataNotFoundError, DataValidationError
from phytoscope.schema.data_config import DataConfig
from phytoscope.schema.run_folder import RunFolder
from phytoscope.schema.table import GROUP_ID, LABEL, PATH, SAMPLE_ID, TARGET
from phytoscope.steps.external_classes import check_class_map, check_external, match_classes
from phytoscope.steps.external_sets import list_loose_images, read_external_set, read_external_sets

CLASSES = ["Apple___Apple_scab", "Apple___healthy", "Corn_(maize)___healthy"]


def settings(*words: str) -> DataConfig:
    """What the columns of the training data mean."""
    return compose_config(["data=folder", "data.root=leaves", *words]).data


def numbers(*words: str) -> DataConfig:
    """The same for weights."""
    words = ("data.target=weight", "data.unit=g", "data.group_by=[plant]", *words)
    return compose_config(["data=table", "data.table=t.csv", "data.images=i", *words]).data


@pytest.fixture
def orchard(tmp_path):
    """Class folders as people name them, a stray file and something that is no image."""
    for name in ("apple apple-scab/1.png", "Apple HEALTHY/2.png", "Apple HEALTHY/deep/3.png", "unripe/4.png"):
        write_image(tmp_path / "orchard" / name, seed=len(name))
    write_image(tmp_path / "orchard" / "loose.png")
    (tmp_path / "orchard" / "unripe" / "notes.txt").write_text("x")
    return tmp_path / "orchard"


@pytest.fixture
def weights(tmp_path):
    """A table of weights beside its images."""
    for number in range(4):
        write_image(tmp_path / "pots" / "images" / f"{number}.png", seed=number)
    lines = ["filename;plant;weight;age_days", "0.png;a;1,5;3", "1.png;a;2,5;", "2.png;b;-99;4", "3.png;b;;5"]
    (tmp_path / "pots" / "table.csv").write_text("\n".join(lines), encoding="utf-8")
    return tmp_path / "pots" / "table.csv"


class TestFolders:
    """Class folders and loose images."""

    def test_class_folders(self, orchard) -> None:
        """Every image below a class folder carries its name; what is not used is counted."""
        found = read_external_set("field", str(orchard), settings())
        assert dict(found.rows[LABEL].value_counts()) == {"Apple HEALTHY": 2, "apple apple-scab": 1, "unripe": 1}
        assert found.n_unusable == 2
        assert found.rows[GROUP_ID].isna().all()

    def test_flat_folder_has_no_labels(self, tmp_path) -> None:
        """Images without class folders are a set without truth."""
        for name in ("b.png", "a.jpg", ".hidden.png"):
            write_image(tmp_path / name)
        found = read_external_set("field", str(tmp_path), settings())
        assert found.rows[SAMPLE_ID].tolist() == ["a.jpg", "b.png"]
        assert found.rows[LABEL].isna().all()

    def test_folders_hold_no_numbers(self, orchard) -> None:
        """For weights every image of a folder is one without truth, whatever its folder is called."""
        found = read_external_set("field", str(orchard), numbers())
        assert len(found.rows) == len(list_loose_images(orchard)) == 5

    def test_pattern_groups_where_it_fits(self, tmp_path) -> None:
        """The pattern of the training names is used, and left out where no name is built so."""
        for name in ("rust/p1_a.png", "rust/p1_b.png", "scab/p2_a.png"):
            write_image(tmp_path / name)
        fits = read_external_set("field", str(tmp_path), settings("data.group_pattern=(p\\d+)_"))
        assert fits.rows[GROUP_ID].tolist() == ["p1", "p1", "p2"]
        other = read_external_set("field", str(tmp_path), settings("data.group_pattern=(plant\\d+)"))
        assert other.rows[GROUP_ID].isna().all()

    def test_split_folder_is_refused(self, tmp_path) -> None:
        """`train` and `test` are no classes; one of them is proposed."""
        for name in ("train/rust/1.png", "test/rust/2.png"):
            write_image(tmp_path / name)
        with pytest.raises(DataValidationError, match=r"split into test, train: name one of these folders, .*test"):
            read_external_set("field", str(tmp_path), settings())

    def test_missing_folder_names_the_nearest(self, tmp_path) -> None:
        """A slip of the pen is answered with what is there."""
        (tmp_path / "orchard").mkdir()
        with pytest.raises(DataNotFoundError, match=r"evaluate\.external field: .*did you mean 'orchard'"):
            read_external_set("field", str(tmp_path / "orchrad"), settings())

    def test_folder_without_images(self, tmp_path) -> None:
        """An empty set is a mistake, not a number."""
        with pytest.raises(DataNotFoundError, match=r"evaluate\.external field: no image found"):
            read_external_set("field", str(tmp_path), settings())


class TestTables:
    """Tables with the columns of the training data."""

    def test_same_columns(self, weights) -> None:
        """Numbers, plants and covariates are read; a code for nothing is nothing, and said."""
        found = read_external_set("pots", str(weights), numbers())
        np.testing.assert_array_equal(found.rows[TARGET], [1.5, 2.5, np.nan, np.nan])
        assert found.rows[GROUP_ID].tolist() == ["a", "a", "b", "b"]
        assert found.rows[PATH][0] == str(weights.parent / "images" / "0.png")
        assert found.rows["meta/age_days"].tolist()[0] == 3
        assert any("1 values of 'weight' cannot be right" in remark for remark in found.remarks)

    def test_table_without_the_target(self, weights) -> None:
        """Its images are answered all the same, and a sentence says why nothing is measured."""
        found = read_external_set("pots", str(weights), numbers("data.target=wieght"))
        assert found.rows[TARGET].isna().all()
        assert LABEL not in found.rows
        assert any("did you mean 'weight'" in remark for remark in found.remarks)

    def test_classes_in_a_table(self, weights) -> None:
        """A model of folders reads a column `label`, `class` or `disease`."""
        table = weights.with_name("classes.csv")
        table.write_text("image,Class\n0.png,rust\n1.png,\n", encoding="utf-8")
        found = read_external_set("pots", str(table), settings())
        assert found.rows[LABEL].tolist()[0] == "rust"
        assert found.rows[LABEL].isna().tolist() == [False, True]

    def test_image_named_twice(self, weights) -> None:
        """The first row counts, and the second is said."""
        table = weights.with_name("twice.csv")
        table.write_text("filename,weight\n0.png,1\n0.png,2\n1.png,3\n", encoding="utf-8")
        found = read_external_set("pots", str(table), numbers("data.group_by=[]"))
        assert found.rows[TARGET].tolist() == [1, 3]
        assert found.n_unusable == 1

    def test_another_unit_is_refused(self, weights) -> None:
        """Kilograms are not compared with grams."""
        table = weights.with_name("kg.csv")
        table.write_text("filename,weight (kg)\n0.png,1\n", encoding="utf-8")
        with pytest.raises(ConfigError, match="kg"):
            read_external_set("pots", str(table), numbers("data.group_by=[]"))


class TestClasses:
    """Which class of the model a folder is."""

    def test_names_alike(self, orchard) -> None:
        """Case, spaces and underscores do not matter; what is left is foreign."""
        found = read_external_set("field", str(orchard), settings())
        match = match_classes(found, CLASSES, {"apple apple-scab": "Apple___Apple_scab"})
        assert match.known == {"Apple HEALTHY": "Apple___healthy", "apple apple-scab": "Apple___Apple_scab"}
        assert match.foreign == ["unripe"]
        assert "Its classes 'unripe' are none of the model's" in match.remarks[0]

    def test_probable_name_is_proposed(self, orchard) -> None:
        """The setting that would help is written out."""
        found = read_external_set("field", str(orchard), settings())
        (remark,) = match_classes(found, CLASSES, {}).remarks
        assert "evaluate.class_map=[apple apple-scab=Apple___Apple_scab]" in remark

    def test_nothing_in_common(self, orchard) -> None:
        """A set of other plants is one of which only verdicts can be counted."""
        found = read_external_set("field", str(orchard), settings())
        match = match_classes(found, ["rust", "mildew"], {})
        assert not match.known
        assert "no answer can be right, only verdicts are counted" in match.remarks[0]

    @pytest.mark.parametrize(
        ("class_map", "text"),
        [
            ({"unripp": "Apple___healthy"}, "no further set has a class 'unripp'; did you mean 'unripe'"),
            ({"unripe": "Apple___helthy"}, "is no class of the model; did you mean 'Apple___healthy'"),
        ],
    )
    def test_map_about_nothing(self, orchard, class_map, text) -> None:
        """An entry that would be passed over is an error."""
        with pytest.raises(ConfigError, match=text):
            check_class_map([read_external_set("field", str(orchard), settings())], CLASSES, class_map)


def test_wrong_set_is_told_without_a_run(orchard) -> None:
    """Before anything is prepared, the sets can be read or are named."""
    words = ["data=folder", "data.root=leaves", f"evaluate.external=[a={orchard},b={orchard}/none]"]
    with pytest.raises(DataNotFoundError, match=r"evaluate\.external b"):
        check_external(compose_config(words))
    words[-1] = f"evaluate.external=[a={orchard}]"
    check_external(compose_config(words))
    assert [found.name for found in read_external_sets(compose_config(words))] == ["a"]


def test_wrong_class_is_told_once_the_data_are_prepared(orchard, tmp_path) -> None:
    """The classes of the manifest are those that the model will know."""
    run = RunFolder(tmp_path / "run")
    run.root.mkdir()
    pd.DataFrame({LABEL: ["Apple___healthy"]}).to_parquet(run.manifest)
    words = ["data=folder", "data.root=leaves", f"evaluate.external=[a={orchard}]"]
    check_external(compose_config([*words, "evaluate.class_map=[unripe=Apple___healthy]"]), run)
    with pytest.raises(ConfigError, match=r"'Apple___scab' \(for 'unripe'\) is no class of the model"):
        check_external(compose_config([*words, "evaluate.class_map=[unripe=Apple___scab]"]), run)
