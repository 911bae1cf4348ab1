"""Truth that arrives later: joined with the answers, and made into errors over time."""

import hashlib
import shutil

import pandas as pd
import pytest

from factories.watched import draw_photos, make_watched_package
from phytoscope.errors import ArtifactError, ConfigError, DataValidationError
from phytoscope.schema.table import Task
from phytoscope.steps.drift import DriftRequest, look_for_drift
from phytoscope.steps.drift_folder import MonitorFolder
from phytoscope.steps.drift_truth import TruthRequest, add_truth


@pytest.fixture(scope="module", params=[Task.classification, pytest.param(Task.regression, marks=pytest.mark.slow)])
def watched(request, tmp_path_factory):
    """A watch of each task with a good look and a blurred one, and the truth of all its photographs."""
    place = tmp_path_factory.mktemp("watched")
    package = make_watched_package(place / "model", request.param)
    tables = []
    for number, blur in enumerate((0.0, 1.5)):
        rows = draw_photos(place / f"day{number}", 60, seed=500 + number, start=1000 + 100 * number, blur=blur)
        look_for_drift(DriftRequest(package, [place / f"day{number}"], place / "monitor", group_pattern=r"(plant\d+)_"))
        tables.append(rows.assign(filename=[path.name for path in rows["path"]]))
    return place, request.param, tables


@pytest.fixture
def watch(watched, tmp_path):
    """A copy of the watch, its task, and the truth."""
    shutil.copytree(watched[0] / "monitor", tmp_path / "monitor")
    return tmp_path / "monitor", watched[1], watched[2]


def _write(place, rows, name="truth.csv", **options):
    table = rows[["filename", "label", "spots"]].rename(columns={"spots": "spots (mm)"})
    table.to_csv(place / name, index=False, **options)
    return place / name


def test_errors_are_measured_over_time(watch, tmp_path):
    """Answers for good photographs are as good as promised, those for blurred ones are worse, and it is said."""
    monitor, task, (good, blurred) = watch
    first = add_truth(TruthRequest(monitor, _write(tmp_path, good)))
    assert (first.n_new, first.n_unmatched, first.report.fired) == (60, 0, False)
    assert [window.name for window in first.report.windows] == ["look 1"]
    second = add_truth(TruthRequest(monitor, _write(tmp_path, pd.concat([good, blurred]))))
    assert (second.n_new, second.n_known, second.report.look) == (60, 60, 2)
    assert [window.name for window in second.report.windows] == ["look 1", "look 2"]
    assert second.report.fired
    assert second.report.windows[1].error > 3 * second.report.reference.error
    assert second.report.unit == ("" if task is Task.classification else "mm")
    page = second.page.read_text(encoding="utf-8")
    assert "answers have become worse" in page
    assert "look 2" in page


def test_the_same_table_again_changes_and_spends_nothing(watch, tmp_path):
    """A look at errors is spent by new truth only."""
    monitor, _, (good, _) = watch
    table = _write(tmp_path, good)
    first = add_truth(TruthRequest(monitor, table))
    again = add_truth(TruthRequest(monitor, table))
    assert (again.n_new, again.n_known) == (0, 60)
    assert again.report == first.report
    assert len(list((monitor / "truths").iterdir())) == 1


def test_corrected_truth_counts(watch, tmp_path):
    """The newest truth of an image replaces the one before."""
    monitor, task, (good, _) = watch
    add_truth(TruthRequest(monitor, _write(tmp_path, good)))
    wrong = good.assign(label=["sick" if each == "healthy" else "healthy" for each in good["label"]], spots=30)
    changed = add_truth(TruthRequest(monitor, _write(tmp_path, wrong)))
    assert changed.n_changed == 60
    assert changed.report.windows[0].error > (0.8 if task is Task.classification else 15)


def test_rows_may_name_hashes_and_other_images(watch, tmp_path):
    """SHA-256 stands for a file; rows about nothing that was answered are counted and named."""
    monitor, _, (good, _) = watch
    hashes = [hashlib.sha256(path.read_bytes()).hexdigest() for path in good["path"]]
    rows = pd.concat([good.assign(filename=hashes), good.assign(filename="other.png").iloc[:1]])
    said = []
    added = add_truth(TruthRequest(monitor, _write(tmp_path, rows), say=said.append))
    assert (added.n_new, added.n_unmatched) == (60, 1)
    assert "1 of 61 rows are about no answered image, for example 'other.png'" in said[0]


def test_names_that_fit_several_images_are_left_out(watch, tmp_path):
    """A camera that counts anew gives one name to two photographs, and then nobody knows which one is meant."""
    monitor, _, (good, blurred) = watch
    answers = MonitorFolder(monitor).look(2) / "answers.parquet"
    table = pd.read_parquet(answers)
    table.loc[0, "path"] = "/other/" + good["filename"].iloc[0]
    table.to_parquet(answers, index=False)
    said = []
    added = add_truth(TruthRequest(monitor, _write(tmp_path, pd.concat([good, blurred])), say=said.append))
    assert added.n_new == 118
    assert any("1 names fit several answered images" in sentence for sentence in said)


def test_decimal_commas_and_cells_that_are_no_numbers(watch, tmp_path):
    """Spreadsheets of other countries are read, and slips are named by their line."""
    monitor, task, (good, _) = watch
    rows = good.assign(spots=[f"{value},0" for value in good["spots"]])
    if task is Task.regression:
        rows.loc[rows.index[3], "spots"] = "lost"
    said = []
    added = add_truth(TruthRequest(monitor, _write(tmp_path, rows, sep=";"), say=said.append))
    assert added.n_new == (60 if task is Task.classification else 59)
    if task is Task.regression:
        assert "line 5" in said[0]
        assert added.report.windows[0].error < 3


def test_unknown_classes_and_other_units(watch, tmp_path):
    """A class that the model does not know counts as wrong; numbers in another unit are refused."""
    monitor, task, (good, _) = watch
    table = _write(tmp_path, good.assign(label="Rust"))
    if task is Task.classification:
        said = []
        added = add_truth(TruthRequest(monitor, table, say=said.append))
        assert added.report.windows[0].error == 1.0
        assert "60 images are truly 'Rust', which the model does not know" in said[0]
        spelled = add_truth(TruthRequest(monitor, _write(tmp_path, good.assign(label=good["label"].str.upper()))))
        assert spelled.report.windows[0].error < 0.2
    else:
        other = pd.read_csv(table).rename(columns={"spots (mm)": "spots (cm)"})
        other.to_csv(table, index=False)
        with pytest.raises(ConfigError, match=r"is in cm, the model answers in mm"):
            add_truth(TruthRequest(monitor, table))


def test_truth_of_waiting_images_belongs_to_the_next_look(watched, watch, tmp_path):
    """Truth may arrive before the look that compares the photographs."""
    monitor, _, _ = watch
    rows = draw_photos(tmp_path / "few", 6, seed=77, start=5000)
    package = watched[0] / "model/package"
    look = look_for_drift(DriftRequest(package, [tmp_path / "few"], monitor, group_pattern=r"(plant\d+)_"))
    assert look.n_waiting == 6
    table = _write(tmp_path, rows.assign(filename=[path.name for path in rows["path"]]))
    added = add_truth(TruthRequest(monitor, table))
    assert [window.name for window in added.report.windows] == ["look 3"]


@pytest.mark.parametrize(
    ("names", "column", "error", "text"),
    [
        ("nowhere", None, DataValidationError, "none of the 60 rows"),
        (None, "nothing", ConfigError, "no column 'nothing'"),
    ],
)
def test_tables_that_say_nothing_are_refused(watch, tmp_path, names, column, error, text):
    """What cannot be joined is an error, never an empty result."""
    monitor, _, (good, _) = watch
    rows = good if names is None else good.assign(filename=[f"{names}{row}.png" for row in range(60)])
    with pytest.raises(error, match=text):
        add_truth(TruthRequest(monitor, _write(tmp_path, rows), column))
    assert not (monitor / "truths").exists()


def test_a_folder_without_a_watch_is_refused(tmp_path):
    """The text says how to begin."""
    (tmp_path / "truth.csv").write_text("filename,label\na.png,sick\n")
    with pytest.raises(ArtifactError, match="no model is watched"):
        add_truth(TruthRequest(tmp_path / "monitor", tmp_path / "truth.csv"))
