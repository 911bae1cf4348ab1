"""The arrows between the artefacts: what is reused, what is done again, and where a run lies."""

import os
import shutil
import time
from pathlib import Path

import pandas as pd
import pytest
import yaml

from factories.runs import TINY, draw_mixed_folder, run_tiny, run_words
from phytoscope.configs import compose_config
from phytoscope.errors import ArtifactError, ConfigError
from phytoscope.predict.package import load_package
from phytoscope.schema.artifact import read_json
from phytoscope.schema.events import EventLog
from phytoscope.schema.run_folder import STEPS, RunFolder
from phytoscope.steps import choose_run_folder, read_report

NO_ONNX = "package.onnx=never"


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> list[str]:
    """Settings of a small data set."""
    return draw_mixed_folder(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def whole(data, tmp_path_factory) -> RunFolder:
    """A finished run."""
    run, _ = run_tiny(run_words(data, tmp_path_factory.mktemp("whole") / "run", NO_ONNX))
    return run


@pytest.fixture
def copy(whole, data, tmp_path) -> list[str]:
    """Settings that continue a copy of the finished run."""
    shutil.copytree(whole.root, tmp_path / "run")
    return run_words(data, tmp_path / "run", NO_ONNX)


def test_run_folder_holds_what_is_promised(whole) -> None:
    """Every artefact of the way lies in the folder of the run."""
    promised = [whole.config, whole.manifest, whole.rejected, whole.split, whole.history, whole.predictions]
    promised += [whole.warnings, whole.unlabelled, whole.log, whole.answers, whole.trust, whole.novelty]
    promised += [whole.report, whole.report_page, whole.checkpoints / "best.ckpt", whole.package / "package.json"]
    promised += [EventLog(whole).path, whole.reference, whole.reference.with_suffix(".safetensors")]
    assert all(path.is_file() for path in promised)
    assert list(whole.figures.iterdir())
    assert {path.name for path in whole.root.iterdir() if not path.name.startswith(".")} <= {
        *(path.relative_to(whole.root).parts[0] for path in promised),
        "figures",
        "steps",
    }


def test_wrong_slice_is_not_kept(copy, tmp_path) -> None:
    """A column that is not there is told before the settings of the run are changed."""
    before = (tmp_path / "run" / "config.yaml").read_text()
    with pytest.raises(ConfigError, match="colour"):
        run_tiny([*copy, "evaluate.slices=[colour]"], "evaluate")
    assert (tmp_path / "run" / "config.yaml").read_text() == before
    _, sentences = run_tiny(copy)
    assert sentences.reused() == list(STEPS)


def test_second_run_reuses_everything(copy) -> None:
    """Nothing is done twice, and finding that out takes no time."""
    started = time.monotonic()
    _, sentences = run_tiny(copy)
    assert sentences.reused() == list(STEPS)
    assert time.monotonic() - started < 2


@pytest.mark.parametrize(
    ("change", "done"),
    [
        ("trainer.learning_rate=0.002", ["train", "evaluate", "package"]),
        pytest.param("adapt.frozen_epochs=0", ["train", "evaluate", "package"], marks=pytest.mark.slow),
        pytest.param("model.dropout=0.0", ["train", "evaluate", "package"], marks=pytest.mark.slow),
        ("evaluate.confusions=3", ["evaluate", "package"]),
        ("package.golden=2", ["package"]),
        ("trainer.num_workers=null", []),
        ("data.workers=2", []),
    ],
)
def test_changed_setting_redoes_what_depends_on_it(copy, change, done) -> None:
    """A setting is followed by the steps that read it and all later ones, and by no other."""
    _, sentences = run_tiny([*copy, change])
    assert sentences.done() == done


@pytest.mark.slow
def test_other_seed_redoes_all(copy) -> None:
    """The seed draws the split."""
    _, sentences = run_tiny([*copy, "seed=1"])
    assert sentences.done() == list(STEPS)


def test_touched_image_redoes_prepare_only_in_effect(data, copy) -> None:
    """An image with another date is looked at again; as its content is the same, no epoch is trained again."""
    photo = next(Path(data[1].partition("=")[2]).rglob("*.jpg"))
    dates = photo.stat()
    run = RunFolder(Path(copy[-3].partition("=")[2]))
    before = (run.checkpoints / "best.ckpt").stat().st_mtime_ns
    os.utime(photo, (1, 1))
    try:
        _, sentences = run_tiny(copy)
    finally:
        os.utime(photo, ns=(dates.st_atime_ns, dates.st_mtime_ns))
    assert sentences.done()[0] == "prepare"
    assert (run.checkpoints / "best.ckpt").stat().st_mtime_ns == before


def test_one_step_at_a_time_equals_the_whole_run(whole, data, tmp_path) -> None:
    """`prepare`, `train`, `evaluate`, `package` one by one give the package that `run` gives."""
    words = run_words(data, tmp_path / "run", NO_ONNX)
    for step in STEPS:
        run, sentences = run_tiny(words, step)
        assert sentences.done() == [step]
    assert load_package(run.package).description.model_id == load_package(whole.package).description.model_id


@pytest.mark.parametrize("step", ["evaluate", "package"])
def test_model_of_other_settings_is_refused(copy, step) -> None:
    """Neither evaluated nor packed under settings it was not trained with."""
    with pytest.raises(ArtifactError, match="trained with other data or settings"):
        run_tiny([*copy, "trainer.batch_size=8"], step)


def test_training_prepares_when_nobody_has(data, tmp_path) -> None:
    """`train` is enough to start with."""
    run, sentences = run_tiny(run_words(data, tmp_path / "run"), "train")
    assert sentences.done() == ["prepare", "train"]
    assert run.weights.exists()


def test_profiling_leaves_the_run_as_it_is(copy) -> None:
    """Neither the settings nor the network of a run are those of its profile."""
    run, _ = run_tiny(copy, "train")
    kept = {path: path.read_bytes() for path in (run.config, run.weights, run.history, run.record("train"))}
    run, sentences = run_tiny([*copy, "debug=profile", "trainer.limit_batches=4"], "train")
    assert {path: path.read_bytes() for path in kept} == kept
    assert sorted(path.name for path in (run.root / "profile").iterdir()) == ["summary.md", "trace.json.gz"]
    said = next(text for text in sentences.said if text.startswith("profile: "))
    assert str(run.root / "profile" / "summary.md") in said
    assert run_tiny(copy, "train")[1].done() == []


@pytest.mark.parametrize("step", ["evaluate", "package"])
def test_step_without_the_one_before(data, tmp_path, step) -> None:
    """The missing step is named."""
    with pytest.raises(ArtifactError, match="the step 'prepare' is not finished"):
        run_tiny(run_words(data, tmp_path / "run"), step)


def test_report_of_an_unfinished_run_is_refused(tmp_path) -> None:
    """There is no report before there was an evaluation."""
    with pytest.raises(ArtifactError, match="is missing: run the step that writes it first"):
        read_report(RunFolder(tmp_path))


def test_evaluation_leaves_training_rows_out(whole) -> None:
    """Predictions are written for val, calibration and test, each image once."""
    split, predictions = pd.read_parquet(whole.split), pd.read_parquet(whole.predictions)
    wanted = split[split["split"] != "train"]
    assert sorted(predictions["sample_id"]) == sorted(wanted["sample_id"])


def test_every_artefact_names_the_same_model_and_data(whole) -> None:
    """Package, report and predictions carry the same hashes."""
    report, package = read_json(whole.report), read_json(whole.package / "package.json")["model"]
    assert package["model_id"] == report["model_id"] == pd.read_parquet(whole.predictions)["model_id"].iloc[0]
    assert (package["data_hash"], package["split_hash"]) == (report["data_hash"], report["split_hash"])
    assert package["metrics"]["test/macro_f1"] == pytest.approx(
        next(metric["value"] for metric in report["splits"]["test"]["metrics"] if metric["name"] == "macro_f1")
    )


class TestChooseRunFolder:
    """Where a run lies when no folder was named."""

    @pytest.fixture
    def config(self, tmp_path):
        """Settings without `paths.run_dir`."""
        return compose_config(["data=folder", "data.root=x", *TINY, f"paths.runs_dir={tmp_path}", "name=demo"])

    def write(self, config, place: Path, **changes) -> None:
        """Writes the settings of an earlier run."""
        from phytoscope.steps.context import plain_settings

        place.mkdir(parents=True)
        (place / "config.yaml").write_text(yaml.safe_dump({**plain_settings(config), **changes}), encoding="utf-8")

    def test_new_folder(self, config, tmp_path) -> None:
        """Without an earlier run: time and name."""
        place = choose_run_folder(config).root
        assert place.parent == tmp_path
        assert place.name.endswith("-demo")
        assert not place.exists()

    def test_latest_with_the_same_settings(self, config, tmp_path) -> None:
        """The latest run with these settings is continued; others are left alone."""
        self.write(config, tmp_path / "20200101-000000-demo")
        self.write(config, tmp_path / "20200102-000000-demo")
        self.write(config, tmp_path / "20200103-000000-demo", seed=5)
        self.write(config, tmp_path / "20200104-000000-other")
        assert choose_run_folder(config).root.name == "20200102-000000-demo"

    def test_fresh(self, config, tmp_path) -> None:
        """`fresh` never continues."""
        self.write(config, tmp_path / "20200101-000000-demo")
        assert not choose_run_folder(config, fresh=True).root.exists()

    def test_damaged_settings_are_passed_over(self, config, tmp_path) -> None:
        """A folder whose settings cannot be read is not the run that is looked for."""
        self.write(config, tmp_path / "20200101-000000-demo")
        for name, content in (("20200102-000000-demo", b"{{{"), ("20200103-000000-demo", b"\xff\xfe")):
            (tmp_path / name).mkdir()
            (tmp_path / name / "config.yaml").write_bytes(content)
        assert choose_run_folder(config).root.name == "20200101-000000-demo"

    def test_two_in_one_second(self, config, tmp_path) -> None:
        """Two new runs in one second do not share a folder."""
        first = choose_run_folder(config, fresh=True).root
        first.mkdir()
        assert choose_run_folder(config, fresh=True).root != first

    def test_named_folder(self, tmp_path) -> None:
        """A folder that was named is taken."""
        config = compose_config(["data=folder", "data.root=x", f"paths.run_dir={tmp_path / 'mine'}"])
        assert choose_run_folder(config).root == tmp_path / "mine"


class TestRunFolder:
    """Locks, leftovers and records."""

    def test_foreign_folder_is_refused(self, tmp_path) -> None:
        """A folder that is not a run's and not empty is not written to."""
        (tmp_path / "package").mkdir()
        with (
            pytest.raises(ArtifactError, match=r"it holds 'package'\): choose an empty or new folder"),
            RunFolder(tmp_path).locked(),
        ):
            pass
        assert [path.name for path in tmp_path.iterdir()] == ["package"]

    def test_empty_and_hidden_are_welcome(self, tmp_path) -> None:
        """An empty folder, and one with hidden files only, may become a run's."""
        (tmp_path / ".DS_Store").touch()
        with RunFolder(tmp_path).locked():
            pass

    def test_leftovers_are_cleared_away(self, tmp_path) -> None:
        """What a killed process left half written disappears when the next one starts."""
        (tmp_path / "steps").mkdir()
        (tmp_path / "steps" / ".train.json.abcd_123.tmp.json").touch()
        (tmp_path / ".package.abcd_123.tmp").mkdir()
        (tmp_path / ".package.abcd_456.old").mkdir()
        with RunFolder(tmp_path).locked():
            # The finished package that had been put aside is put back.
            assert sorted(path.name for path in tmp_path.rglob("*")) == [".lock", "package", "steps"]

    @pytest.mark.parametrize(
        "content", [b"", b"{", b"[]", b'{"inputs": "a"}', b'{"inputs": "a", "outputs": 3}', b"\xff"]
    )
    def test_damaged_record_is_no_record(self, tmp_path, content) -> None:
        """What a damaged record says cannot be believed."""
        run = RunFolder(tmp_path)
        run.record("train").parent.mkdir()
        run.record("train").write_bytes(content)
        assert not run.is_done("train", "a")
