"""From a folder or a table on the command line to settings, and where an inspection is written."""

import pandas as pd
import pytest
import yaml

from factories.images import write_image
from phytoscope.cli.inspect_words import translate_words
from phytoscope.configs import compose_config
from phytoscope.data.source import find_file
from phytoscope.errors import ArtifactError, ConfigError
from phytoscope.schema.inspection_folder import InspectionFolder
from phytoscope.steps.context import plain_settings
from phytoscope.steps.inspect import choose_inspection_folder


def fill(root, *names):
    """Writes pictures and empty tables of these names."""
    for name in names:
        if name.endswith((".csv", ".json", ".xlsx")):
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text("filename,weight\n", encoding="utf-8")
        else:
            write_image(root / name)
    return root


class TestFolders:
    """A folder says by itself what it is."""

    @pytest.mark.parametrize(
        ("names", "kind"),
        [
            (("rust/a.png", "healthy/b.png"), "folder"),
            (("Apple___rust/a.png", "Apple___healthy/b.png"), "plantvillage"),
            (("rust/a.png", "healthy/b.png", "leaf-map.json"), "plantvillage"),
            (("images_med_res/a.png", "digital_biomass_labels.csv"), "farmbot_biomass"),
            (("rust/a.png", "healthy/b.png", "notes.csv"), "folder"),
            ((), "folder"),
        ],
    )
    def test_layouts(self, tmp_path, names, kind) -> None:
        """Class folders, PlantVillage's names or leaf map, the farmbot table."""
        fill(tmp_path, *names)
        assert translate_words([str(tmp_path)]) == [f"data={kind}", f"data.root={tmp_path}"]

    def test_folder_with_a_table(self, tmp_path) -> None:
        """With a column, the table in the folder and the images beside it are taken."""
        fill(tmp_path, "labels.csv", "other.csv", "images/a.png")
        assert translate_words([str(tmp_path)], target="weight") == [
            "data=table",
            f"data.table={tmp_path / 'labels.csv'}",
            f"data.images={tmp_path / 'images'}",
            "data.target=weight",
        ]

    def test_folder_with_a_table_and_no_column(self, tmp_path) -> None:
        """Without a column the question names the columns."""
        fill(tmp_path, "images/a.png")
        (tmp_path / "labels.csv").write_text("filename,weight\na.png,1\n", encoding="utf-8")
        with pytest.raises(ConfigError, match=r"--target COLUMN .* Columns: filename, weight"):
            translate_words([str(tmp_path)])

    def test_missing_folder_is_left_to_the_reader(self, tmp_path) -> None:
        """The reader knows what lies beside it."""
        assert translate_words([str(tmp_path / "leafs")]) == ["data=folder", f"data.root={tmp_path / 'leafs'}"]


class TestTables:
    """A table with its options."""

    def test_options_become_settings(self, tmp_path) -> None:
        """Options first, the user's own settings last, so that they win."""
        fill(tmp_path, "weights.csv", "photos/a.png")
        words = translate_words(
            [str(tmp_path / "weights.csv"), "data.unit=g"], images="pics", target="weight", group_by="tray,plant"
        )
        assert words == [
            "data=table",
            f"data.table={tmp_path / 'weights.csv'}",
            "data.images=pics",
            "data.target=weight",
            "data.group_by=[tray,plant]",
            "data.unit=g",
        ]

    @pytest.mark.parametrize(
        ("names", "found"), [(("photos/a.png",), "photos"), (("a/1.png", "images/1.png"), "images"), (("a.png",), ".")]
    )
    def test_images_beside_the_table(self, tmp_path, names, found) -> None:
        """The only folder, the one named images, else the folder of the table."""
        fill(tmp_path, "weights.csv", *names)
        assert f"data.images={tmp_path / found}" in translate_words([str(tmp_path / "weights.csv")], label="class")


@pytest.mark.parametrize(
    ("words", "options", "match"),
    [
        ([], {}, "name what to inspect: phytoscope inspect DIR"),
        (["{root}", "{root}"], {}, "2 paths are named"),
        (["{root}", "data=folder"], {}, "are both given"),
        (["{root}/a.png"], {}, "neither a folder nor a table"),
        (["{root}"], {"images": "photos"}, "mean nothing"),
        (["{root}"], {"label": "class"}, "mean nothing"),
    ],
)
def test_what_does_not_fit_is_refused(tmp_path, words, options, match) -> None:
    """Nothing, too much, or options that mean nothing."""
    fill(tmp_path, "a.png", "rust/a.png", "healthy/b.png")
    with pytest.raises(ConfigError, match=match):
        translate_words([word.format(root=tmp_path) for word in words], **options)


def test_settings_alone_are_passed_on() -> None:
    """The words of the other commands work as well."""
    assert translate_words(["data=folder", "data.root=leaves"]) == ["data=folder", "data.root=leaves"]


class TestPlace:
    """Where an inspection is written."""

    def config(self, root, *words):
        """Settings for a folder, with the runs in another."""
        return compose_config(
            ["data=folder", f"data.root={root / 'leaves'}", f"paths.runs_dir={root / 'runs'}", *words]
        )

    def test_beside_the_runs(self, tmp_path) -> None:
        """The same place for the same data, another for other data of that name."""
        config = self.config(tmp_path, "name=leaves")
        first = choose_inspection_folder(config, None)
        assert first.root == tmp_path / "runs" / "inspect-leaves"
        first.root.mkdir(parents=True)
        first.config.write_text(yaml.safe_dump(plain_settings(config)), encoding="utf-8")
        assert choose_inspection_folder(config, None) == first
        other = self.config(tmp_path, "name=leaves", f"data.root={tmp_path / 'other'}")
        assert choose_inspection_folder(other, None).root == tmp_path / "runs" / "inspect-leaves-2"

    def test_named_place_and_run(self, tmp_path) -> None:
        """--output wins over the folder of a run."""
        config = self.config(tmp_path, f"paths.run_dir={tmp_path / 'run'}")
        assert choose_inspection_folder(config, None).root == tmp_path / "run" / "inspection"
        assert choose_inspection_folder(config, tmp_path / "here").root == tmp_path / "here"

    def test_foreign_files_are_not_replaced(self, tmp_path) -> None:
        """A folder with a manifest of somebody else's is refused; an earlier inspection and other files are not."""
        folder = InspectionFolder(tmp_path)
        (tmp_path / "notes.txt").touch()
        folder.check_own()
        pd.DataFrame({"a": [1]}).to_parquet(folder.manifest)
        with pytest.raises(ArtifactError, match=r"holds 'manifest.parquet', which would be replaced"):
            folder.check_own()
        folder.report.touch()
        folder.check_own()

    def test_foreign_page_is_not_replaced(self, tmp_path) -> None:
        """A page of that name that somebody else wrote is refused too."""
        folder = InspectionFolder(tmp_path)
        folder.page.touch()
        with pytest.raises(ArtifactError, match=r"holds 'inspect.html', which would be replaced"):
            folder.check_own()

    def test_one_inspection_at_a_time(self, tmp_path) -> None:
        """A second one into the same folder is refused; a later one is not."""
        folder = InspectionFolder(tmp_path / "out")
        with folder.locked():
            with pytest.raises(ArtifactError, match="another phytoscope process writes an inspection"), folder.locked():
                pass
            folder.report.touch()
        with folder.locked():
            assert folder.report.is_file()

    def test_nothing_written_leaves_nothing(self, tmp_path) -> None:
        """After data that cannot be read there is no empty folder; what lay there before stays."""
        folder = InspectionFolder(tmp_path / "out")
        with pytest.raises(ConfigError, match="--split is not given"), folder.locked():
            find_file(None, "--split")
        assert not folder.root.exists()
        (tmp_path / "notes.txt").touch()
        with InspectionFolder(tmp_path).locked():
            pass
        assert [entry.name for entry in tmp_path.iterdir()] == ["notes.txt"]

    def test_file_in_the_way(self, tmp_path) -> None:
        """A file is no folder."""
        (tmp_path / "out").touch()
        with pytest.raises(ArtifactError, match="is a file"):
            InspectionFolder(tmp_path / "out").check_own()
