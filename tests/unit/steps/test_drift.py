"""Watching a model: what is new, what has changed, and what an interruption costs."""

import dataclasses
import json
import os
import shutil

import numpy as np
import pandas as pd
import pytest

from factories.packages import change_description
from factories.watched import draw_photos, make_watched_package
from phytoscope.errors import ArtifactError, ConfigError, DataNotFoundError, DataValidationError, PackageError
from phytoscope.predict.package import load_package
from phytoscope.predict.package_archive import pack_package
from phytoscope.predict.predictor import Predictor
from phytoscope.schema.operate import MonitorConfig
from phytoscope.schema.table import GROUP_ID, SHA256, Task
from phytoscope.steps import drift, drift_hashes
from phytoscope.steps.drift import DriftRequest, look_for_drift
from phytoscope.steps.drift_folder import MonitorFolder
from phytoscope.visualize.drift import choose_panels, title_panel

PATTERN = r"(plant\d+)_"


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    """A model that has learned drawn leaves; nobody changes it."""
    return make_watched_package(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def quiet(package, tmp_path_factory):
    """A watch with two looks at leaves like those before, and the requests that made them."""
    place = tmp_path_factory.mktemp("quiet")
    looks = []
    for number in range(2):
        draw_photos(place / f"day{number}", 60, seed=500 + number, start=1000 + 100 * number)
        looks.append(look_for_drift(_ask(package, place, f"day{number}")))
    return place, looks


@pytest.fixture
def watch(quiet, tmp_path):
    """A copy of the quiet watch, to go on with."""
    shutil.copytree(quiet[0], tmp_path / "watch")
    return tmp_path / "watch"


def _interrupt(*args, **kwargs):
    raise KeyboardInterrupt


def _ask(package, place, *names, **more):
    request = DriftRequest(
        package, [place / name for name in names], place / "monitor", group_pattern=PATTERN, workers=1
    )
    return dataclasses.replace(request, **more)


def test_nothing_changed_stays_quiet_and_is_recorded(quiet):
    """New leaves of the same kind fire no alarm; each look has its folder and a line, and knows the one before."""
    place, looks = quiet
    assert [look.fired for look in looks] == [False, False]
    assert [look.report.look for look in looks] == [1, 2]
    assert looks[1].report.n_recent == 120
    lines = (place / "monitor/looks.jsonl").read_text().splitlines()
    assert [json.loads(line)["look"] for line in lines] == [1, 2]
    assert looks[0].report.n_groups == 30
    assert looks[1].report.alpha_spent == pytest.approx(looks[0].report.alpha + looks[1].report.alpha)
    answers = pd.read_parquet(looks[0].folder / "answers.parquet")
    assert len(answers) == 60
    assert {"verdict", "prediction", "probability", SHA256, GROUP_ID} <= set(answers.columns)
    assert "No change found" in looks[1].page.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("change", "name", "cause"),
    [
        ({"light": 0.8}, "photo/brightness", "camera, light"),
        ({"blur": 1.2}, "photo/sharpness", "camera, light"),
        ({"sick": 1.0}, "prediction", "other plants"),
    ],
)
def test_planted_changes_are_found_with_their_reason(package, watch, change, name, cause):
    """Darker pictures, another camera and another class mix fire, and the sentence says what has changed."""
    draw_photos(watch / "changed", 60, seed=900, start=2000, **change)
    look = look_for_drift(_ask(package, watch, "changed"))
    assert look.fired
    fired = {finding.name for finding in look.report.list_fired()}
    assert name in fired | ({"features"} if name == "prediction" else set())
    assert {"features", name} & fired
    if name in fired:
        assert cause in look.sentence
    assert "photographs have changed" in look.page.read_text(encoding="utf-8")


@pytest.mark.slow
def test_same_images_are_not_counted_twice(package, watch):
    """The same folder again, and its files under other names, spend no look."""
    before = sorted((watch / "monitor/looks").iterdir())
    again = look_for_drift(_ask(package, watch, "day0"))
    shutil.copytree(watch / "day1", watch / "renamed")
    for path in sorted((watch / "renamed").iterdir()):
        path.rename(path.with_name("other-" + path.name))
    renamed = look_for_drift(_ask(package, watch, "renamed"))
    assert (again.report, again.n_new, again.n_known) == (None, 0, 60)
    assert (renamed.report, renamed.n_new, renamed.n_known) == (None, 0, 60)
    assert "Nothing new" in renamed.sentence
    assert sorted((watch / "monitor/looks").iterdir()) == before


def test_few_images_wait_and_are_answered_once(package, tmp_path, monkeypatch):
    """Images of several small folders wait together, and no look is spent before there are enough."""
    calls = _count_images(monkeypatch)
    sizes = []
    for number, n in enumerate((12, 6, 12)):
        draw_photos(tmp_path / f"part{number}", n, seed=600 + number, start=3000 + 100 * number)
        look = look_for_drift(_ask(package, tmp_path, *(f"part{part}" for part in range(number + 1))))
        sizes.append((look.n_waiting, None if look.report is None else look.report.n))
    assert sizes == [(12, None), (18, None), (0, 30)]
    assert sum(calls) == 30
    assert not (tmp_path / "monitor/waiting").exists()


def test_an_interrupted_look_is_continued(package, tmp_path, monkeypatch):
    """Ctrl-C between the answers and the record costs neither the answers nor a look."""
    draw_photos(tmp_path / "new", 40, seed=601, start=3500)
    calls = _count_images(monkeypatch)
    with monkeypatch.context() as patch:
        patch.setattr(drift, "compare_batch", _interrupt)
        with pytest.raises(KeyboardInterrupt):
            look_for_drift(_ask(package, tmp_path, "new"))
    assert MonitorFolder(tmp_path / "monitor").count_looks() == 0
    look = look_for_drift(_ask(package, tmp_path, "new"))
    assert (look.report.look, look.report.n) == (1, 40)
    assert sum(calls) == 40


@pytest.mark.slow
def test_killed_between_record_and_cleaning_counts_once(package, tmp_path, monkeypatch):
    """A look that was recorded counts, although nobody cleared what had waited for it."""
    draw_photos(tmp_path / "new", 40, seed=602, start=3600)
    with monkeypatch.context() as patch:
        patch.setattr(MonitorFolder, "clear_waiting", _interrupt)
        with pytest.raises(KeyboardInterrupt):
            look_for_drift(_ask(package, tmp_path, "new"))
    again = look_for_drift(_ask(package, tmp_path, "new"))
    assert (again.report, again.n_known, again.n_waiting) == (None, 40, 0)
    assert MonitorFolder(tmp_path / "monitor").count_looks() == 1
    draw_photos(tmp_path / "more", 40, seed=603, start=3700)
    assert look_for_drift(_ask(package, tmp_path, "more")).report.n == 40
    lines = (tmp_path / "monitor/looks.jsonl").read_text().splitlines()
    assert len(lines) == 2


def test_broken_images_are_named_and_the_others_answered(package, tmp_path):
    """Broken files and copies are told apart from new images."""
    draw_photos(tmp_path / "new", 24, seed=604, start=3800)
    (tmp_path / "new/broken.png").write_bytes(b"no picture")
    shutil.copy(tmp_path / "new/plant3800_0.png", tmp_path / "new/plant3800_copy.png")
    look = look_for_drift(_ask(package, tmp_path, "new"))
    assert look.report.n == 24
    assert [path.rpartition("/")[2] for path, _ in look.unreadable] == ["broken.png"]
    assert look.n_unreadable == 1


def test_an_image_whose_name_is_no_text_is_named_and_the_others_answered(package, tmp_path):
    """Names from an old computer, in another encoding, fit into no table."""
    draw_photos(tmp_path / "new", 24, seed=7, start=7000)
    first = sorted((tmp_path / "new").iterdir())[0]
    shutil.copy(first, os.fsencode(tmp_path / "new") + b"/bl\xe4tter.png")
    look = look_for_drift(_ask(package, tmp_path, "new"))
    assert [(path.rpartition("/")[2], reason) for path, reason in look.unreadable] == [
        ("bl\\xe4tter.png", "its name is no text in UTF-8; rename the file")
    ]
    assert look.report is not None


def test_only_broken_images_are_an_error(package, tmp_path):
    """When no new image can be read, the user is told about the first one."""
    (tmp_path / "new").mkdir()
    (tmp_path / "new/broken.png").write_bytes(b"no picture")
    with pytest.raises(DataValidationError, match=r"none of the 1 new images can be read.*broken\.png"):
        look_for_drift(_ask(package, tmp_path, "new"))


def test_an_empty_or_missing_folder_is_an_error_and_leaves_no_watch(package, tmp_path):
    """Nothing to look at is said, and nothing is begun."""
    (tmp_path / "new").mkdir()
    (tmp_path / "new/notes.txt").write_text("x")
    with pytest.raises(DataNotFoundError, match="no image found"):
        look_for_drift(_ask(package, tmp_path, "new"))
    with pytest.raises(DataNotFoundError, match="there is no file or folder"):
        look_for_drift(_ask(package, tmp_path, "nowhere"))
    assert not (tmp_path / "monitor/monitor.json").exists()


@pytest.mark.slow
def test_another_model_begins_a_new_series(watch, tmp_path_factory):
    """The looks of an earlier model are put aside, not mixed with those of the next."""
    other = make_watched_package(tmp_path_factory.mktemp("other"), seed=50, model_id="fedcba9876543210")
    said = []
    look = look_for_drift(_ask(other, watch, "day0", say=said.append))
    assert look.is_new_series
    assert (look.report.look, look.report.n) == (1, 60)
    assert len(list((watch / "monitor/earlier/0123456789abcdef/looks").iterdir())) == 2
    assert any("begin anew" in sentence for sentence in said)
    assert MonitorFolder(watch / "monitor").read_watched().model_id == "fedcba9876543210"


def test_images_that_the_model_was_measured_on_are_left_out(package, tmp_path):
    """What new images are compared with is not new."""
    said = []
    data = package.parent / "data"
    look = look_for_drift(dataclasses.replace(_ask(package, tmp_path, say=said.append), images=[data / "test"]))
    assert (look.report, look.n_own, look.n_waiting) == (None, 80, 0)
    assert "80 of the images are among those" in said[0]


@pytest.mark.slow
def test_too_many_images_are_drawn_by_group_and_the_rest_passed_over(package, tmp_path):
    """Whole plants are drawn; those that are not do not come back at the next call."""
    draw_photos(tmp_path / "new", 60, seed=605, start=3900)
    settings = MonitorConfig(max_images=30)
    look = look_for_drift(_ask(package, tmp_path, "new", settings=settings))
    assert (look.report.n, look.report.n_groups) == (30, 15)
    again = look_for_drift(_ask(package, tmp_path, "new", settings=settings))
    assert (again.report, again.n_new, again.n_known) == (None, 0, 60)


@pytest.mark.parametrize("suffix", ["csv", "xlsx"])
def test_groups_and_paths_come_from_a_table(package, tmp_path, suffix):
    """A table names the images, and with --group-by what belongs together."""
    rows = draw_photos(tmp_path / "images", 24, seed=606, start=4000)
    table = rows.assign(filename=[path.name for path in rows["path"]], pot=rows["plant"]).drop(columns="path")
    place = tmp_path / f"new.{suffix}"
    table.iloc[:22].to_csv(place, index=False) if suffix == "csv" else table.iloc[:22].to_excel(place, index=False)
    look = look_for_drift(_ask(package, tmp_path, f"new.{suffix}", group_by=["pot"], group_pattern=None))
    assert (look.report.n, look.report.n_groups) == (22, 11)


def test_images_without_a_group_in_the_table_are_said(package, tmp_path):
    """A table that lacks some images leaves each of them a group of its own, and says so."""
    rows = draw_photos(tmp_path / "new", 24, seed=607, start=4100)
    table = pd.DataFrame({"image": [path.name for path in rows["path"]], "plant": rows["plant"]}).iloc[:20]
    table.to_csv(tmp_path / "plants.csv", index=False)
    said = []
    request = _ask(package, tmp_path, "new", group_by=["plant"], group_pattern=None, say=said.append)
    look = look_for_drift(dataclasses.replace(request, table=tmp_path / "plants.csv"))
    assert look.report.n_groups == 10 + 4
    assert "names no group for 4 of the 24" in said[0]


@pytest.mark.parametrize(
    ("more", "text"),
    [
        ({"settings": MonitorConfig(max_images=10)}, "no look could ever have enough images"),
        ({"settings": MonitorConfig(false_alarm=0.0)}, "above 0 and below 0.5"),
        ({"group_by": ["plant"]}, "leave one of them out"),
        ({"group_by": ["plant"], "group_pattern": None}, "there is no table"),
        ({"group_pattern": "nothing(x)here"}, "matches none of the"),
    ],
)
def test_settings_that_cannot_work_are_refused(package, tmp_path, more, text):
    """What could never give a look is said before an image is answered."""
    draw_photos(tmp_path / "new", 20, seed=608, start=4200)
    with pytest.raises(ConfigError, match=text):
        look_for_drift(_ask(package, tmp_path, "new", **more))


def test_the_promise_cannot_be_changed_under_way(package, watch):
    """The chance of a false alarm is about all looks together."""
    with pytest.raises(ConfigError, match=r"count on a false alarm of 0\.05, now it is 0\.2"):
        look_for_drift(_ask(package, watch, "day0", settings=MonitorConfig(false_alarm=0.2)))


def test_a_package_without_reference_or_trust_is_refused(package, tmp_path):
    """Packages of earlier versions say what to do."""
    draw_photos(tmp_path / "new", 4, seed=609, start=4300)
    for name in ("reference.parquet", "trust.json"):
        old = tmp_path / name
        shutil.copytree(package, old)
        (old / name).unlink()
        change_description(old, lambda content, name=name: content["sha256"].pop(name))
        load_package(old)
        with pytest.raises((ArtifactError, PackageError), match="earlier version"):
            look_for_drift(_ask(old, tmp_path, "new"))


def test_a_package_that_is_one_file_goes_on_watching(package, watch):
    """The reference and what the model has seen are read from a .phyto file as from the folder."""
    pack_package(package, watch / "model.phyto")
    look = look_for_drift(_ask(watch / "model.phyto", watch, "day0"))
    assert (look.n_new, look.n_known, look.is_new_series) == (0, 60, False)


def test_foreign_folders_are_left_alone(package, tmp_path):
    """A folder that holds something else never becomes a watch."""
    draw_photos(tmp_path / "new", 4, seed=610, start=4400)
    (tmp_path / "monitor").mkdir()
    (tmp_path / "monitor/thesis.docx").write_text("x")
    with pytest.raises(ArtifactError, match="not the folder of a monitor"):
        look_for_drift(_ask(package, tmp_path, "new"))
    assert [path.name for path in (tmp_path / "monitor").iterdir()] == ["thesis.docx"]


def test_only_one_process_at_a_time(package, watch):
    """A second call is refused while the first one works."""
    with MonitorFolder(watch / "monitor").locked(), pytest.raises(ArtifactError, match="another phytoscope process"):
        look_for_drift(_ask(package, watch, "day0"))


@pytest.mark.parametrize("name", ["monitor.json", "looks/0001/report.json", "looks/0001/answers.parquet"])
def test_damaged_parts_are_said(package, watch, name):
    """A damaged record is an error, never an empty past."""
    (watch / "monitor" / name).write_bytes(b"{ damaged")
    with pytest.raises(ArtifactError, match=r"damaged|cannot be used"):
        look_for_drift(_ask(package, watch, "day0"))


@pytest.mark.slow
def test_numbers_are_watched_too(tmp_path):
    """For a model of numbers the distribution of the answers is compared, in their unit."""
    package = make_watched_package(tmp_path / "model", task=Task.regression)
    draw_photos(tmp_path / "new", 60, seed=611, start=4500, sick=1.0)
    look = look_for_drift(_ask(package, tmp_path, "new"))
    finding = next(one for one in look.report.findings if one.name == "prediction")
    assert look.fired
    assert finding.after > finding.before
    assert "mm" in finding.effect
    assert "Predicted spots" in _plain_figures(look)


def _plain_figures(look):
    folder = MonitorFolder(look.page.parent)
    panels = choose_panels(look.report, folder.read_reference(), folder.read_images(1).table)
    return " ".join(title_panel(name, "spots", "mm") for name in panels)


def _count_images(monkeypatch):
    """Number of images of each call of the network."""
    calls = []
    original = Predictor.observe_features

    def counted(self, pixels, *args, **kwargs):
        calls.append(len(pixels))
        return original(self, pixels, *args, **kwargs)

    monkeypatch.setattr(Predictor, "observe_features", counted)
    return calls


def test_features_of_a_look_are_rounded_as_those_of_the_reference(quiet):
    """Both sides lost the same digits, so that rounding is no change."""
    folder = MonitorFolder(quiet[0] / "monitor")
    features = folder.read_images(1).features
    assert features.dtype == np.float32
    assert np.array_equal(features, features.astype(np.float16).astype(np.float32))


def test_unchanged_files_are_not_read_again(package, tmp_path, monkeypatch):
    """A nightly call over a growing folder reads what is new or changed, and trusts no clock for files of just now."""
    rows = draw_photos(tmp_path / "new", 6, seed=612, start=4600)
    old = rows["path"][0].stat().st_mtime - 100
    for path in rows["path"][:4]:
        os.utime(path, (old, old))
    look_for_drift(_ask(package, tmp_path, "new"))
    read = []
    original = drift_hashes.read_bytes
    monkeypatch.setattr(drift_hashes, "read_bytes", lambda path: read.append(path.name) or original(path))
    shutil.copy(rows["path"][1], rows["path"][0])
    look = look_for_drift(_ask(package, tmp_path, "new"))
    assert (look.n_new, look.n_waiting) == (0, 6)
    assert read == [path.name for path in rows["path"][[0, 4, 5]]]
    (tmp_path / "monitor/.hashes.parquet").write_bytes(b"damaged")
    assert look_for_drift(_ask(package, tmp_path, "new")).n_waiting == 6
