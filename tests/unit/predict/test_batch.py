"""Many image files in, one table out."""

import csv
import errno
import itertools
import json
import os
import tarfile
import tracemalloc
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from phytoscope.errors import ConfigError, DataNotFoundError, DataValidationError, StorageError
from phytoscope.predict import batch, batch_spool, sources, table_writer
from phytoscope.predict.batch import BatchPlan, predict_files, predict_sources
from phytoscope.predict.sources import count_skipped, count_unnamed, list_images
from phytoscope.schema.progress import SilentProgress
from phytoscope.schema.table import Task


def predict(predictor, places, output: Path, **options) -> pd.DataFrame:
    """Answers into a table and reads it."""
    predict_files(predictor, places, output, progress=SilentProgress(), **options)
    readers = {".csv": pd.read_csv, ".parquet": pd.read_parquet, ".jsonl": lambda path: pd.read_json(path, lines=True)}
    return readers[output.suffix](output)


JUDGED = ["verdict", "reasons", "novelty", "error"]


def names(places) -> list[str]:
    """File names in the order in which they are answered."""
    return [path.name for path in list_images(places)]


class TestListImages:
    """Which images the sources name."""

    def test_folder_is_searched_at_any_depth_in_order(self, photo, tmp_path) -> None:
        """Files by name, hidden ones and other files left out."""
        for name in ("b/2.png", "b/10.PNG", "a/deep/x.jpg", "z.jpeg", "b/.hidden.png", ".trash/y.png"):
            photo(name)
        (tmp_path / "b" / "notes.txt").write_text("1.png")
        assert names([tmp_path]) == ["z.jpeg", "x.jpg", "10.PNG", "2.png"]

    def test_sources_keep_their_order(self, photo) -> None:
        """As they were named, twice when named twice."""
        paths = [photo("b.png"), photo("a.png")]
        assert list(list_images([*paths, paths[0]])) == [*paths, paths[0]]

    @pytest.mark.parametrize("separator", [",", ";", "\t"])
    @pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
    @pytest.mark.parametrize("column", ["path", "Filename", " image "])
    def test_table_of_paths(self, photo, tmp_path, separator, encoding, column) -> None:
        """Any usual separator, a byte order mark, any usual name of the column; relative to the table."""
        paths = [photo("photos/blatt ä.png"), photo("photos/b.png")]
        lines = [["plant", column], ["1", "photos/blatt ä.png"], ["2", ""], ["3", str(paths[1])]]
        text = "\n".join(separator.join(line) for line in lines)
        (tmp_path / "list.csv").write_text(text, encoding=encoding)
        assert list(list_images([tmp_path / "list.csv"])) == paths

    @pytest.mark.parametrize("column", ["path", "Image"])
    def test_parquet_of_paths(self, tmp_path, column) -> None:
        """Relative to the list; empty cells are left out."""
        table = pd.DataFrame({"plant": [1, 2, 3, 4], column: ["b.png", None, "ä/a.png", " "]})
        table.to_parquet(tmp_path / "list.parquet")
        assert list(list_images([tmp_path / "list.parquet"])) == [tmp_path / "b.png", tmp_path / "ä" / "a.png"]

    def test_parquet_without_paths_or_sense(self, tmp_path) -> None:
        """Nothing is guessed."""
        pd.DataFrame({"plant": [1]}).to_parquet(tmp_path / "a.parquet")
        with pytest.raises(DataValidationError, match="has no column of paths"):
            list(list_images([tmp_path / "a.parquet"]))
        (tmp_path / "b.parquet").write_bytes(b"x" * 100)
        with pytest.raises(DataValidationError, match=r"b\.parquet' cannot be read as Parquet"):
            list(list_images([tmp_path / "b.parquet"]))
        with pytest.raises(DataNotFoundError, match=r"c\.parquet' cannot be read"):
            list(list_images([tmp_path / "c.parquet"]))

    def test_text_file_of_paths(self, tmp_path) -> None:
        """One path a line, empty lines left out."""
        (tmp_path / "list.txt").write_text("b.png\n\n  a.png \n", encoding="utf-8")
        assert names([tmp_path / "list.txt"]) == ["b.png", "a.png"]

    def test_rows_without_a_path_are_counted(self, tmp_path) -> None:
        """Rows that hold something else do not vanish in silence; rows of nothing but separators do."""
        (tmp_path / "list.csv").write_text("plant,path\n1,a.png\n2,\n3\n,\n\n4, \n", encoding="utf-8")
        pd.DataFrame({"path": ["b.png", None, " "]}).to_parquet(tmp_path / "list.parquet")
        (tmp_path / "full.csv").write_text("path\na.png\n", encoding="utf-8")
        lists = [tmp_path / name for name in ("list.csv", "list.parquet", "full.csv", "leaf.png")]
        assert count_unnamed(lists) == {str(tmp_path / "list.csv"): 3, str(tmp_path / "list.parquet"): 2}
        assert names([tmp_path / "list.csv"]) == ["a.png"]

    def test_rows_without_a_path_are_told(self, classifier, photo, tmp_path) -> None:
        """Whoever asks for answers hears how many rows cannot have one."""
        photo("a.png")
        (tmp_path / "list.csv").write_text("plant,path\n1,a.png\n2,\n", encoding="utf-8")
        said: list[str] = []
        plan = BatchPlan(say=said.append)
        predict_sources(classifier, [tmp_path / "list.csv"], tmp_path / "o.csv", plan, progress=SilentProgress())
        assert said == [f"{tmp_path / 'list.csv'}: 1 row names no image and cannot be answered"]

    def test_quoted_path_with_comma(self, tmp_path) -> None:
        """A cell may hold the separator."""
        (tmp_path / "list.csv").write_text('path,plant\n"leaf, old.png",1\n', encoding="utf-8")
        assert names([tmp_path / "list.csv"]) == ["leaf, old.png"]

    @pytest.mark.parametrize("content", ["plant,age\n1,2\n", "", "a.png\nb.png\n"])
    def test_table_without_paths_is_refused(self, tmp_path, content) -> None:
        """Nothing is guessed."""
        (tmp_path / "list.csv").write_text(content, encoding="utf-8")
        with pytest.raises(DataValidationError, match="has no column of paths: expected a header with one of path"):
            list(list_images([tmp_path / "list.csv"]))

    def test_cell_of_absurd_length_is_refused(self, tmp_path) -> None:
        """A file that is a table in name only."""
        (tmp_path / "list.csv").write_text('path\n"' + "x" * 200_000, encoding="utf-8")
        with pytest.raises(DataValidationError, match=r"list\.csv' cannot be read as a table"):
            list(list_images([tmp_path / "list.csv"]))

    def test_list_is_not_held_in_memory(self, tmp_path) -> None:
        """The first path comes before the last line is read."""
        with (tmp_path / "list.txt").open("w", encoding="utf-8") as stream:
            stream.writelines(f"{number}.png\n" for number in range(100_000))
        images = list_images([tmp_path / "list.txt"])
        tracemalloc.start()
        assert next(images).name == "0.png"
        assert sum(1 for _ in itertools.islice(images, 5000)) == 5000
        kept = tracemalloc.take_snapshot().filter_traces(
            [tracemalloc.Filter(inclusive=True, filename_pattern=name) for name in (sources.__file__, csv.__file__)]
        )
        tracemalloc.stop()
        assert sum(trace.size for trace in kept.traces) < 300_000, "the list's own lines; other threads may hold more"

    @pytest.mark.parametrize("suffix", [".csv", ".tsv", ".txt"])
    @pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "cp1252", "utf-8"])
    def test_encodings(self, tmp_path, suffix, encoding) -> None:
        """Lists as Excel, PowerShell and older Windows programs write them."""
        header = "" if suffix == ".txt" else "path\r\n"
        (tmp_path / f"list{suffix}").write_bytes(f"{header}blätter/größe.png\r\nb.png\r\n".encode(encoding))
        expected = [tmp_path / "blätter" / "größe.png", tmp_path / "b.png"]
        assert list(list_images([tmp_path / f"list{suffix}"])) == expected

    @pytest.mark.parametrize("suffix", [".csv", ".tsv"])
    @pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
    @pytest.mark.parametrize("quote", ["", '"'])
    def test_named_separator(self, tmp_path, suffix, separator, quote) -> None:
        """A first line `sep=;` is no header, and is obeyed."""
        text = f"{quote}sep={separator}{quote}\r\nplant{separator}path\r\n1{separator}a.png\r\n"
        (tmp_path / f"list{suffix}").write_bytes(text.encode())
        assert names([tmp_path / f"list{suffix}"]) == ["a.png"]

    @pytest.mark.skipif(os.name == "nt", reason="Windows knows no such names")
    def test_listed_name_that_is_not_utf8(self, photo, tmp_path) -> None:
        """A file whose name is just these bytes goes before what the bytes would mean on Windows."""
        os.rename(photo("a.png"), os.fsencode(tmp_path) + b"/bl\xe4tt.png")  # noqa: PTH104 (the name is bytes)
        (tmp_path / "list.txt").write_bytes(b"bl\xe4tt.png\nbl\xe4tter.png\n")
        assert names([tmp_path / "list.txt"]) == [os.fsdecode(b"bl\xe4tt.png"), "blätter.png"]

    def test_damaged_encoding_is_refused(self, tmp_path) -> None:
        """A list that ends within a letter."""
        (tmp_path / "list.csv").write_bytes("path\na.png".encode("utf-16")[:-1])
        with pytest.raises(DataValidationError, match=r"list\.csv' cannot be read as a table .*UTF-8"):
            list(list_images([tmp_path / "list.csv"]))

    @pytest.mark.parametrize("name", ["list.xlsx", "list.XLS", "list.ods"])
    def test_table_that_is_no_text(self, tmp_path, name) -> None:
        """A workbook is not taken for a broken image."""
        (tmp_path / name).write_bytes(b"PK")
        with pytest.raises(DataValidationError, match="save the list as CSV"):
            list(list_images([tmp_path / name]))

    def test_closed_folder_is_not_passed_over(self, photo, tmp_path, monkeypatch) -> None:
        """A sub-folder without permission is named after the images of its folder."""
        for name in ("photos/a/1.png", "photos/b/2.png", "photos/c/3.png"):
            photo(name)
        close(monkeypatch, tmp_path / "photos" / "b")
        assert names([tmp_path / "photos"]) == ["1.png", "3.png", "b"]

    def test_skipped_files_are_counted(self, photo, tmp_path) -> None:
        """By extension, most frequent first, hidden files and images left out."""
        photo("a.png")
        (tmp_path / "deep").mkdir()
        for name in ("README", "1.HEIC", "deep/2.heic", "deep/3.cr2", "deep/4.heic", "deep/5.CR2", ".DS_Store"):
            (tmp_path / name).touch()
        found = count_skipped([tmp_path, tmp_path / "a.png"])
        assert list(found.items()) == [(".heic", 3), (".cr2", 2), ("", 1)]


def close(monkeypatch, folder: Path) -> None:
    """Makes a folder one that may not be opened, also for an administrator."""
    scandir = os.scandir

    def refuse(path: str | int) -> object:
        if not isinstance(path, int) and Path(path) == folder:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)


class TestPredictFiles:
    """The table that comes out."""

    def test_order_and_errors(self, classifier, photo, tmp_path) -> None:
        """One row an image in the order of the input; what is broken has a reason and no answer."""
        (tmp_path / "empty.png").touch()
        paths = [photo("b.png"), tmp_path / "empty.png", photo("a.png")]
        output = tmp_path / "answers.csv"
        tally = predict_files(classifier, paths, output, batch_size=2, progress=SilentProgress())
        table = pd.read_csv(output)
        assert (tally.answered, tally.failed) == (2, 1)
        assert tally.first_error.endswith("the file is empty (0 bytes)")
        assert table["path"].tolist() == [str(path) for path in paths]
        assert table["error"].tolist()[1] == "the file is empty (0 bytes)"
        assert table["error"].isna().tolist() == table["prediction"].notna().tolist() == [True, False, True]

    def test_only_broken_images(self, predictor, tmp_path) -> None:
        """A batch without a single image that can be read is no crash."""
        (tmp_path / "photos").mkdir()
        for name in ("a.png", "b.png"):
            (tmp_path / "photos" / name).write_bytes(b"x")
        table = predict(predictor, [tmp_path / "photos"], tmp_path / "answers.parquet", batch_size=1, probs=True)
        assert table["error"].notna().all()
        assert table["prediction"].isna().all()

    @pytest.mark.parametrize("probs", [False, True])
    def test_columns(self, predictor, photo, tmp_path, probs) -> None:
        """What each task promises, in this order, in each format."""
        photo("photos/a.png")
        columns = ["path", "prediction", "value", "unit", "lower", "upper", *JUDGED]
        if predictor.description.task is Task.classification:
            each = [f"prob/{name}" for name in predictor.description.class_names] if probs else []
            columns = ["path", "prediction", "probability", *each, "set", *JUDGED]
        for suffix in (".csv", ".jsonl", ".parquet"):
            table = predict(predictor, [tmp_path / "photos"], tmp_path / f"answers{suffix}", probs=probs)
            assert list(table) == columns

    def test_formats_hold_the_same(self, predictor, photo, tmp_path) -> None:
        """CSV, JSON lines and Parquet differ in nothing but the format."""
        for name in ("1.png", "2.png", "3.png"):
            photo(f"photos/{name}")
        (tmp_path / "photos" / "4.png").touch()
        tables = [
            predict(predictor, [tmp_path / "photos"], tmp_path / f"answers{suffix}", probs=True, batch_size=3)
            for suffix in (".csv", ".jsonl", ".parquet")
        ]
        for table in tables[1:]:
            for name in ("error", "set", "reasons"):
                if name in table:
                    table[name] = table[name].map(lambda cell: None if cell in ("", []) else cell)
            expected = tables[0].astype(object).where(tables[0].notna(), None)
            found = table.astype(object).where(table.notna(), None)
            pd.testing.assert_frame_equal(found, expected, check_exact=False, rtol=1e-9)

    def test_lines_of_json_stand_alone(self, classifier, photo, tmp_path) -> None:
        """Each line is one object; names are readable."""
        predict_files(classifier, [photo("blatt ä.png")], tmp_path / "a.jsonl", progress=SilentProgress())
        (line,) = (tmp_path / "a.jsonl").read_text(encoding="utf-8").splitlines()
        assert json.loads(line)["path"].endswith("blatt ä.png")
        assert "ä" in line

    @pytest.mark.skipif(os.name == "nt", reason="Windows knows no such names")
    @pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
    def test_names_that_are_not_utf8(self, classifier, photo, tmp_path, suffix) -> None:
        """Bytes that are not UTF-8 are written as escapes, and the image is answered."""
        folder = tmp_path / "photos"
        folder.mkdir()
        os.rename(photo("a.png"), os.fsencode(folder) + b"/bl\xe4tt.png")  # noqa: PTH104 (the name is bytes)
        table = predict(classifier, [folder], tmp_path / f"answers{suffix}")
        assert table["path"].tolist() == [f"{folder}/bl\\udce4tt.png"]
        assert table["prediction"].notna().all()

    @pytest.mark.parametrize("workers", [1, 4])
    @pytest.mark.parametrize("batch_size", [1, 3, 50])
    def test_neither_batch_nor_workers_matter(self, predictor, photo, tmp_path, workers, batch_size) -> None:
        """Speed settings change no number."""
        paths = [photo(f"photos/{number}.png") for number in range(7)]
        output = tmp_path / "answers.parquet"
        table = predict(predictor, [tmp_path / "photos"], output, workers=workers, batch_size=batch_size)
        column = "value" if "value" in table else "probability"
        expected = [predictor.predict(path) for path in paths]
        np.testing.assert_allclose(table[column], [getattr(answer, column) for answer in expected], rtol=1e-5)

    def test_nothing_half_written_remains(self, classifier, photo, tmp_path, monkeypatch) -> None:
        """When prediction ends early there is no table, and the one that was there before is as it was."""
        photo("photos/a.png")
        output = tmp_path / "out" / "answers.csv"
        output.parent.mkdir()
        output.write_text("mine")

        def fail(*_: object) -> None:
            raise MemoryError

        monkeypatch.setattr(classifier.network, "look", fail)
        with pytest.raises(MemoryError):
            predict(classifier, [tmp_path / "photos"], output)
        assert [path.name for path in output.parent.iterdir()] == ["answers.csv"]
        assert output.read_text() == "mine"

    def test_memory_does_not_grow(self, classifier, photo, tmp_path) -> None:
        """Ten times as many images need no more memory."""
        path = photo("a.png")
        peaks = []
        for count in (150, 1500):
            (tmp_path / "list.txt").write_text(f"{path}\n" * count)
            tracemalloc.start()
            predict_files(
                classifier, [tmp_path / "list.txt"], tmp_path / "a.parquet", workers=2, progress=SilentProgress()
            )
            peaks.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()
        assert peaks[1] < 1.3 * peaks[0] + 300_000

    def test_missing_source(self, predictor, photo, tmp_path) -> None:
        """The nearest name is offered."""
        photo("leaf.png")
        with pytest.raises(DataNotFoundError, match=r"there is no file or folder .*did you mean 'leaf\.png'"):
            predict(predictor, [tmp_path / "laef.png"], tmp_path / "a.csv")

    def test_no_image(self, predictor, tmp_path) -> None:
        """An empty folder is named, with the extensions that are known."""
        with pytest.raises(DataNotFoundError, match=r"no image found in .*known extensions: \.bmp"):
            predict(predictor, [tmp_path], tmp_path / "a.csv")

    def test_only_files_of_other_kinds(self, classifier, tmp_path) -> None:
        """What was found instead is named."""
        for name in ("1.heic", "2.HEIC", "notes.txt"):
            (tmp_path / name).touch()
        match = r"found only \.heic files \(2\), \.txt files \(1\); known extensions"
        with pytest.raises(DataNotFoundError, match=match):
            predict(classifier, [tmp_path], tmp_path / "a.csv")

    def test_closed_folder_is_a_row(self, classifier, photo, tmp_path, monkeypatch) -> None:
        """Images that nobody could look for are an error in the table."""
        photo("photos/a.png")
        photo("photos/b/2.png")
        close(monkeypatch, tmp_path / "photos" / "b")
        table = predict(classifier, [tmp_path / "photos"], tmp_path / "a.csv")
        assert [Path(path).name for path in table["path"]] == ["a.png", "b"]
        assert table["error"].notna().tolist() == [False, True]

    def test_closed_source(self, classifier, photo, tmp_path, monkeypatch) -> None:
        """A folder that was named and cannot be opened is an error at once."""
        photo("photos/a.png")
        close(monkeypatch, tmp_path / "photos")
        with pytest.raises(DataNotFoundError, match=r"photos' cannot be opened \(Permission denied\)"):
            predict(classifier, [tmp_path / "photos"], tmp_path / "a.csv")

    @pytest.mark.parametrize("name", ["a.xlsx", "a", "a.csv.gz"])
    def test_unknown_output(self, predictor, photo, tmp_path, name) -> None:
        """A format that cannot be written is refused."""
        with pytest.raises(ConfigError, match=r"has the extension .*\.csv"):
            predict(predictor, [photo("a.png")], tmp_path / name)

    def test_unwritable_output(self, predictor, photo, tmp_path) -> None:
        """A file stands where a folder should be."""
        (tmp_path / "file").touch()
        with pytest.raises(StorageError, match="cannot write"):
            predict(predictor, [photo("a.png")], tmp_path / "file" / "a.csv")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (17611.53, "17612"),
        (0.15314, "0.1531"),
        (0.0021, "0.002100"),
        (9.99996, "10.000"),
        (-3.2, "-3.200"),
        (0.0, "0.000"),
        (float("nan"), "nan"),
        (float("-inf"), "-inf"),
    ],
)
def test_values_are_written_as_people_write_them(value, text):
    """Four digits without an exponent."""
    assert table_writer._round(value) == text


def test_archive_without_images_is_told(classifier, tmp_path) -> None:
    """A tar is counted by reading it; when it held none, that is an error and no empty table."""
    (tmp_path / "notes.txt").write_text("no image", encoding="utf-8")
    with tarfile.open(tmp_path / "photos.tar", "w") as archive:
        archive.add(tmp_path / "notes.txt", "notes.txt")
    with pytest.raises(DataNotFoundError, match=r"no image found in .*photos\.tar"):
        predict(classifier, [tmp_path / "photos.tar"], tmp_path / "o.csv")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["notes.txt", "photos.tar"]


def test_rate_is_that_of_the_last_seconds(classifier, photo, tmp_path, monkeypatch) -> None:
    """A slow beginning is forgotten: each note names a rate, however long ago the first image was."""
    monkeypatch.setattr(batch, "_RATE_SECONDS", 0.0)
    paths = [photo(f"{number}.png") for number in range(6)]
    notes: list[str] = []

    class Listening(SilentProgress):
        def advance(self, units: int = 1, note: str = "") -> None:
            notes.append(note)

    predict_sources(classifier, paths, tmp_path / "o.csv", BatchPlan(batch_size=1), progress=Listening())
    assert len(notes) == 7
    assert all(note.endswith(" images/s") and not note.startswith("0 ") for note in notes[1:])


@pytest.mark.parametrize("rows_per_group", [1, 3, 100])
def test_rows_of_parquet_are_joined_in_groups(classifier, photo, tmp_path, monkeypatch, rows_per_group) -> None:
    """However many rows wait until a group is written, all of them stand in the table in their order."""
    monkeypatch.setattr(batch_spool, "_SECONDS", 0.0)
    monkeypatch.setattr(batch_spool, "_ROW_GROUP", rows_per_group)
    paths = [photo(f"{number}.png") for number in range(5)]
    assert predict(classifier, paths, tmp_path / "o.parquet", batch_size=1)["path"].tolist() == list(map(str, paths))


def test_answers_as_a_folder_of_parts(classifier, photo, tmp_path) -> None:
    """The folder reads as one table with the rows that a single file would have."""
    paths = [photo(f"{number}.png") for number in range(3)]
    predict_files(classifier, paths, tmp_path / "o.parts", progress=SilentProgress())
    single = predict(classifier, paths, tmp_path / "o.parquet")
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "o.parts"), single)


def test_list_that_is_gone_is_named(tmp_path) -> None:
    """As whoever asked for it named it."""
    with pytest.raises(DataNotFoundError, match=r"the list .*gone\.csv' cannot be read"):
        list(list_images([tmp_path / "gone.csv"]))


def test_image_at_an_address_is_a_source_of_its_own() -> None:
    """It is named as it is, and not looked for as a folder."""
    address = Path("memory://photos/leaf.png")
    assert [str(place) for place in list_images([address])] == ["memory://photos/leaf.png"]


@pytest.mark.parametrize("name", ["memory://answers/o.parts", "new.parts"])
def test_parts_are_an_output(tmp_path, name) -> None:
    """At an address, or where nothing is yet."""
    table_writer.check_output(Path(name) if "://" in name else tmp_path / name)


def test_parts_never_replace_a_folder_of_something_else(tmp_path) -> None:
    """That is said before any work is done."""
    (tmp_path / "photos.parts").mkdir()
    (tmp_path / "photos.parts" / "leaf.png").touch()
    with pytest.raises(ConfigError, match="not a folder of answers"):
        table_writer.check_output(tmp_path / "photos.parts")
