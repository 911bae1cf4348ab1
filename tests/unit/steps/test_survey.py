"""A quick look at the data: what it counts, and when its hash changes."""

import os
import shutil
from pathlib import Path

import pytest

from factories.runs import draw_mixed_folder, draw_mixed_table
from phytoscope.configs import compose_config
from phytoscope.errors import ArtifactError, DataNotFoundError
from phytoscope.schema.config import RunConfig
from phytoscope.schema.table import Task
from phytoscope.steps.survey import ONLY_SPEED, Survey, find_survey_folder, plan_run_folder, survey_source
from phytoscope.steps.train import _NOT_LEARNED_FROM


def compose(words: list[str], place: Path, *more: str) -> RunConfig:
    return compose_config([*words, f"paths.runs_dir={place / 'runs'}", *more])


class Counter:
    """Counts the images whose bytes were read."""

    def __init__(self) -> None:
        self.read = 0

    def start(self, description, total):
        """Nothing to do."""

    def advance(self, units=1, note=""):
        """Adds them up."""
        self.read += units

    def finish(self):
        """Nothing to do."""


@pytest.fixture
def leaves(tmp_path) -> RunConfig:
    """Twelve photographs of two classes."""
    return compose(draw_mixed_folder(tmp_path / "leaves", per_class=6), tmp_path)


@pytest.fixture
def plants(tmp_path) -> RunConfig:
    """Ten photographs beside a table."""
    return compose(draw_mixed_table(tmp_path / "plants", n=10), tmp_path)


def read_table(config: RunConfig) -> list[str]:
    return Path(config.data.table).read_text(encoding="utf-8").splitlines()


def write_table(config: RunConfig, lines: list[str]) -> None:
    Path(config.data.table).write_text("\n".join(lines) + "\n", encoding="utf-8")


def test_folder_of_classes_is_counted(leaves):
    """Rows, images and classes are those that were drawn."""
    survey = survey_source(leaves)
    assert (survey.rows, survey.images, survey.labelled, survey.missing, survey.groups) == (12, 12, 12, 0, 0)
    assert survey.task is Task.classification
    assert survey.classes == {"bright": 6, "dark": 6}
    assert survey.preview[0] == {"sample_id": "bright/00.jpg", "class": "bright", "group_id": ""}


def test_table_is_counted(plants):
    """Missing images, missing values and groups of a table are told."""
    lines = read_table(plants)
    lines[1] = "absent.jpg,7,3.5"
    lines[2] = ",".join([*lines[2].split(",")[:2], ""])
    write_table(plants, lines)
    survey = survey_source(plants)
    assert (survey.rows, survey.images, survey.labelled, survey.missing, survey.groups) == (10, 9, 9, 1, 6)
    assert (survey.task, survey.target_name, survey.unit) == (Task.regression, "weight", "g")
    assert survey.smallest < survey.largest
    assert survey.preview[0]["weight"] == "3.5"


def test_survey_survives_its_file(plants):
    """What is kept as JSON comes back as it was."""
    survey = survey_source(plants)
    assert Survey.from_dict(survey.to_dict()) == survey
    with pytest.raises(ArtifactError, match="look at the data again"):
        Survey.from_dict({"rows": 3})


def test_second_look_reads_no_image(leaves):
    """Bytes of an image are read once, and again only when the file has changed."""
    first, second, third = Counter(), Counter(), Counter()
    before = survey_source(leaves, first)
    assert survey_source(leaves, second) == before
    image = Path(leaves.data.root) / "dark" / "00.jpg"
    image.write_bytes(image.read_bytes() + b"\0")
    assert survey_source(leaves, third).content_hash != before.content_hash
    assert (first.read, second.read, third.read) == (12, 0, 1)


def test_damaged_hashes_are_read_again(leaves):
    """A damaged file of hashes costs time and nothing else."""
    before = survey_source(leaves)
    (find_survey_folder(leaves) / "hashes.parquet").write_bytes(b"damaged")
    counter = Counter()
    assert survey_source(leaves, counter) == before
    assert counter.read == 12


def test_touching_a_file_changes_no_hash(leaves):
    """Another time of a file with the same bytes is read once and is no news."""
    before, counter = survey_source(leaves), Counter()
    image = Path(leaves.data.root) / "dark" / "00.jpg"
    os.utime(image, (1, 1))
    assert survey_source(leaves, counter).content_hash == before.content_hash
    assert counter.read == 1


@pytest.mark.parametrize(
    "change",
    [
        lambda lines: [*lines[:-1], lines[-1].rpartition(",")[0] + ",99.5"],
        lambda lines: [*lines[:-1], lines[-1].replace(",4,", ",another,")],
        lambda lines: lines[:-1],
        lambda lines: [*lines, "00.jpg,9,4.5"],
        lambda lines: [*lines[:-1], lines[-1].rpartition(",")[0] + ",heavy"],
    ],
    ids=["target", "group", "row-removed", "row-added", "unreadable-value"],
)
def test_change_of_a_row_is_news(plants, change):
    """Whatever a model could learn otherwise from changes the hash."""
    before = survey_source(plants).content_hash
    lines = read_table(plants)
    changed = change(lines)
    assert changed != lines
    write_table(plants, changed)
    assert survey_source(plants).content_hash != before


def test_order_and_place_are_no_news(plants, tmp_path):
    """A sorted table, another number of decimals and another folder tell nothing new."""
    before = survey_source(plants).content_hash
    head, *rows = read_table(plants)
    write_table(plants, [head, *reversed(rows)])
    assert survey_source(plants).content_hash == before
    write_table(plants, [head, *(row + "0" for row in rows)])
    assert survey_source(plants).content_hash == before
    shutil.move(tmp_path / "plants", tmp_path / "moved")
    plants.data.table, plants.data.images = (str(tmp_path / "moved" / name) for name in ("table.csv", "images"))
    assert survey_source(plants).content_hash == before


def test_newest_change_is_told(plants):
    """Whoever waits until a copy is complete sees when something was last written."""
    before = survey_source(plants).changed_at
    lines = read_table(plants)
    write_table(plants, lines)
    after = survey_source(plants).changed_at
    assert after >= before
    assert after == pytest.approx(Path(plants.data.table).stat().st_ctime, abs=0.01)


def test_empty_folder_is_an_error_and_never_an_empty_survey(tmp_path):
    """No data is no survey."""
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataNotFoundError):
        survey_source(compose(["data=folder", f"data.root={tmp_path / 'empty'}"], tmp_path))


def test_run_folder_follows_data_and_settings(leaves, tmp_path):
    """The same data and settings lead to the same folder, others to another one."""
    words, one = ["data=folder", f"data.root={leaves.data.root}"], "a" * 64
    place = plan_run_folder(leaves, one)
    assert place.parent == tmp_path / "runs"
    assert place.name.startswith("a" * 12 + "-")
    assert plan_run_folder(leaves, "b" * 64) != place
    for word in ("seed=1", "trainer.max_epochs=7", "model.dropout=0.0", "data.split.test=0.3", "adapt.rank=2"):
        assert plan_run_folder(compose(words, tmp_path, word), one) != place, word
    same = ("evaluate.coverage=0.8", "package.golden=2", "promote.margin=0.1", "data.workers=2", "trainer.threads=1")
    for word in (*same, "track=mlflow", "monitor.draws=100"):
        assert plan_run_folder(compose(words, tmp_path, word), one) == place, word


def test_settings_of_speed_are_those_of_the_training():
    """What leaves the trained weights as they are leaves the folder as it is."""
    assert set(ONLY_SPEED) == set(_NOT_LEARNED_FROM)
