"""COCO annotations and Hugging Face image folders as one table."""

import json

import pandas as pd
import pytest

from factories.images import write_image
from phytoscope.data.readers.import_labels import import_coco, import_image_folder, write_import
from phytoscope.errors import ConfigError, DataNotFoundError, DataValidationError
from phytoscope.schema.progress import SilentProgress
from phytoscope.transforms.decode import read_image


def rows(imported, *columns):
    """The table as tuples, missing values as None."""
    table = imported.table[list(columns)].astype(object)
    return [tuple(row) for row in table.where(table.notna(), None).itertuples(index=False)]


class TestImageFolder:
    """What the hub calls an image folder."""

    def test_official_split(self, tmp_path) -> None:
        """Folders named after splits become a column, the folders inside are the classes."""
        for name in ("train/rust/a.jpg", "validation/healthy/b.jpg", "test/rust/deep/c.jpg", "train/.cache/x.txt"):
            write_image(tmp_path / name) if name.endswith("jpg") else None
        imported = import_image_folder(tmp_path)
        assert rows(imported, "image", "label", "split") == [
            ("test/rust/deep/c.jpg", "rust", "test"),
            ("train/rust/a.jpg", "rust", "train"),
            ("validation/healthy/b.jpg", "healthy", "val"),
        ]

    def test_without_split(self, tmp_path) -> None:
        """Class folders alone make no split."""
        write_image(tmp_path / "rust" / "a.jpg")
        assert list(import_image_folder(tmp_path).table.columns) == ["image", "label"]

    def test_folders_beside_a_split(self, tmp_path) -> None:
        """Nothing vanishes silently: a stranger beside train and test is named, one class called test is a class."""
        for name in ("train/rust/a.jpg", "test/rust/b.jpg", "extra/rust/c.jpg"):
            write_image(tmp_path / "split" / name)
        with pytest.raises(DataValidationError, match="'test', 'train', which name a split, beside 'extra'"):
            import_image_folder(tmp_path / "split")
        for name in ("test/a.jpg", "rust/b.jpg"):
            write_image(tmp_path / "classes" / name)
        assert rows(import_image_folder(tmp_path / "classes"), "label") == [("rust",), ("test",)]

    @pytest.mark.parametrize("kind", ["csv", "jsonl"])
    def test_metadata(self, tmp_path, kind) -> None:
        """A metadata table brings its columns; what it lists and is not there is said."""
        write_image(tmp_path / "train" / "a.jpg")
        write_image(tmp_path / "train" / "b.jpg")
        table = pd.DataFrame({"file_name": ["a.jpg", "gone.jpg"], "weight": [1.5, 2.0]})
        path = tmp_path / "train" / f"metadata.{kind}"
        table.to_csv(path, index=False) if kind == "csv" else table.to_json(path, orient="records", lines=True)
        imported = import_image_folder(tmp_path)
        assert rows(imported, "image", "split", "weight") == [
            ("train/a.jpg", "train", 1.5),
            ("train/b.jpg", "train", None),
        ]
        assert imported.notes == [
            "metadata.csv of 'train' lists 1 images that do not exist, e.g. 'gone.jpg'".replace("csv", kind)
        ]

    def test_mistakes(self, tmp_path) -> None:
        """No folder, no image, and a metadata table of something else."""
        with pytest.raises(DataNotFoundError, match="there is no folder"):
            import_image_folder(tmp_path / "nowhere")
        with pytest.raises(DataNotFoundError, match="holds no image"):
            import_image_folder(tmp_path)
        (tmp_path / "metadata.csv").write_text("name\na.jpg\n")
        with pytest.raises(DataValidationError, match="no column 'file_name'; its columns are name"):
            import_image_folder(tmp_path)


def coco(folder, name="instances.json", **changes):
    """Three images: one category, two categories, none; and their files."""
    content = {
        "images": [
            {"id": 1, "file_name": "a.jpg"},
            {"id": 2, "file_name": "sub/b.jpg"},
            {"id": 3, "file_name": "c.jpg"},
        ],
        "categories": [{"id": 7, "name": "rust"}, {"id": 8, "name": "healthy"}],
        "annotations": [
            {"id": 1, "image_id": 1, "category_id": 7, "bbox": [0, 0, 4, 3], "area": 12},
            {"id": 2, "image_id": 1, "category_id": 7, "bbox": [10, 5, 100, 100], "area": 5},
            {"id": 3, "image_id": 2, "category_id": 7, "bbox": [1, 1, 5, 5]},
            {"id": 4, "image_id": 2, "category_id": 8, "bbox": [90, 90, 5, 5]},
        ],
    }
    for number, image in enumerate(content["images"]):
        write_image(folder / image["file_name"], seed=number)
    path = folder / name
    path.write_text(json.dumps(content | changes), encoding="utf-8")
    return path


def read_coco(paths, folder, crops=None):
    """Imports without anybody looking."""
    return import_coco(paths, folder, crops=crops, max_megapixels=10, progress=SilentProgress())


class TestCoco:
    """Annotations of boxes as labels of images."""

    def test_one_row_an_image(self, tmp_path) -> None:
        """A label only where all boxes agree; their number and area come along."""
        imported = read_coco([coco(tmp_path)], tmp_path)
        assert rows(imported, "image", "label", "n_annotations", "area_px") == [
            ("a.jpg", "rust", 2, 17.0),
            ("sub/b.jpg", None, 2, 0.0),
            ("c.jpg", None, 0, 0.0),
        ]
        assert "1 images show several categories" in imported.notes[0]

    def test_one_row_a_box(self, tmp_path) -> None:
        """Each box is cut out, clipped to the image, and remembers its image; impossible boxes are named."""
        imported = read_coco([coco(tmp_path)], tmp_path, crops=tmp_path / "boxes")
        assert rows(imported, "image", "label", "cut_from") == [
            ("a.jpg__1.png", "rust", "a.jpg"),
            ("a.jpg__2.png", "rust", "a.jpg"),
            ("sub/b.jpg__3.png", "rust", "sub/b.jpg"),
        ]
        shapes = [
            read_image(tmp_path / "boxes" / name, max_megapixels=1).shape for name in ("a.jpg__1.png", "a.jpg__2.png")
        ]
        assert shapes == [(3, 4, 3), (7, 6, 3)]
        assert "b.jpg__4.png (the box lies outside" in imported.notes[0]

    def test_boxes_of_two_files_stay_apart(self, tmp_path) -> None:
        """Files that count their annotations from one do not replace each other's pictures, nor anybody else's."""
        paths = [coco(tmp_path, "train.json"), coco(tmp_path, "val.json")]
        imported = read_coco(paths, tmp_path, crops=tmp_path / "boxes")
        assert imported.table["image"].is_unique
        assert all((tmp_path / "boxes" / name).is_file() for name in imported.table["image"])
        with pytest.raises(ConfigError, match="nothing of yours is replaced"):
            read_coco(paths, tmp_path, crops=tmp_path / "boxes")

    def test_image_that_cannot_be_cut(self, tmp_path) -> None:
        """A missing image is a note and not the end."""
        path = coco(tmp_path)
        (tmp_path / "a.jpg").unlink()
        imported = read_coco([path], tmp_path, crops=tmp_path / "boxes")
        assert rows(imported, "image") == [("sub/b.jpg__3.png",)]
        assert "a.jpg (the file does not exist)" in imported.notes[0]

    def test_several_files_are_splits(self, tmp_path) -> None:
        """COCO's own file names say which split they are."""
        paths = [coco(tmp_path, "instances_train2017.json"), coco(tmp_path, "instances-val.json")]
        assert read_coco(paths, tmp_path).table["split"].tolist() == ["train"] * 3 + ["val"] * 3
        with pytest.raises(ConfigError, match=r"'other\.json' names no split"):
            read_coco([*paths, coco(tmp_path, "other.json")], tmp_path)

    @pytest.mark.parametrize(
        ("changes", "match"),
        [
            ({"images": [{"id": 1}]}, "not COCO's format .*file_name"),
            (
                {"categories": []},
                "4 annotations have a category .*annotation 1 with category 7",
            ),
            ({"annotations": 3}, "not COCO's format"),
            ({"images": [{"id": 9, "file_name": "a.jpg"}]}, "4 annotations belong to no image"),
            ({"images": [{"id": 1, "file_name": "../a.jpg"}]}, "lies outside of the image folder"),
            (
                {"annotations": [{"id": "x/../../evil", "image_id": 1, "category_id": 7}]},
                "annotation id 'x/../../evil'; expected",
            ),
        ],
    )
    def test_mistakes(self, tmp_path, changes, match) -> None:
        """What is wrong with a file is said with its first example."""
        path = coco(tmp_path)
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))
        with pytest.raises(DataValidationError, match=match):
            read_coco([path], tmp_path)

    def test_no_json(self, tmp_path) -> None:
        """A file that is something else, and one that is not there."""
        (tmp_path / "a.json").write_text("{")
        with pytest.raises(DataValidationError, match="not COCO's format"):
            read_coco([tmp_path / "a.json"], tmp_path)
        with pytest.raises(DataNotFoundError, match="there is no file"):
            read_coco([tmp_path / "b.json"], tmp_path)

    def test_no_image(self, tmp_path) -> None:
        """Annotations of nothing."""
        path = coco(tmp_path, images=[], annotations=[])
        with pytest.raises(DataNotFoundError, match="no image in the annotations"):
            read_coco([path], tmp_path)


def test_table_is_written(tmp_path) -> None:
    """The table can be read back as it was."""
    write_image(tmp_path / "train" / "rust" / "a.jpg")
    write_import(import_image_folder(tmp_path), tmp_path / "labels.csv")
    assert pd.read_csv(tmp_path / "labels.csv").to_dict("records") == [
        {"image": "train/rust/a.jpg", "label": "rust", "split": "train"}
    ]
