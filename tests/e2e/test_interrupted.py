"""A run that was interrupted, killed or damaged gives, when it is run again, the numbers of one that never was."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from factories.runs import Sentences, command, draw_mixed_folder, run_command, run_tiny, run_words
from phytoscope.configs import compose_config
from phytoscope.errors import ArtifactError
from phytoscope.schema.artifact import read_json
from phytoscope.schema.run_folder import RunFolder
from phytoscope.schema.table import MODEL_ID
from phytoscope.steps import RunContext, choose_run_folder, run_all

# Four epochs with augmentation, dropout and a backbone that thaws: all that a resumed training could get wrong.
LONG = ["trainer.max_epochs=4", "trainer.batch_size=8", "trainer.learning_rate=0.01", "package.onnx=never"]
slow = pytest.mark.slow


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> list[str]:
    """Settings of a small data set with photographs of every kind."""
    return draw_mixed_folder(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def whole(data, tmp_path_factory) -> RunFolder:
    """The run that was never interrupted."""
    run, _ = run_tiny(run_words(data, tmp_path_factory.mktemp("whole") / "run", *LONG))
    return run


@pytest.fixture
def copy(whole, data, tmp_path) -> tuple[RunFolder, list[str]]:
    """A finished run to damage, and the settings that continue it; it has been moved, too."""
    shutil.copytree(whole.root, tmp_path / "run")
    return RunFolder(tmp_path / "run"), run_words(data, tmp_path / "run", *LONG)


def assert_same(found: RunFolder, expected: RunFolder) -> None:
    """Both runs trained, predicted and reported the same, to the last digit."""
    pd.testing.assert_frame_equal(pd.read_csv(found.history), pd.read_csv(expected.history), rtol=1e-6)
    pd.testing.assert_frame_equal(pd.read_parquet(found.predictions), pd.read_parquet(expected.predictions), rtol=1e-6)
    assert read_json(found.report) == read_json(expected.report)
    assert (
        read_json(found.package / "package.json")["sha256"]["model.safetensors"]
        == (read_json(expected.package / "package.json")["sha256"]["model.safetensors"])
    )


class Impatient:
    """Progress at which the user presses Ctrl-C: in the named stretch, after so many units."""

    def __init__(self, stretch: str, after: int) -> None:
        self._stretch, self._after = stretch, after
        self._inside = False
        self._units = 0

    def start(self, description: str, total: int | None) -> None:
        """Notices where the run is."""
        self._inside = description == self._stretch
        self.advance(0)

    def advance(self, units: int = 1, note: str = "") -> None:
        """Loses patience."""
        if self._inside:
            self._units += units
            if self._units >= self._after:
                raise KeyboardInterrupt

    def finish(self) -> None:
        """Does nothing."""
        self._inside = False


def interrupt(words: list[str], stretch: str, after: int) -> RunFolder:
    """Starts a run and interrupts it."""
    config = compose_config(words)
    context = RunContext(config, choose_run_folder(config), progress=Impatient(stretch, after))
    with pytest.raises(KeyboardInterrupt):
        run_all(context)
    return context.run


@pytest.mark.parametrize(
    ("stretch", "after"),
    [
        pytest.param("Looking at images", 5, marks=slow),
        pytest.param("Caching pixels", 5, marks=slow),
        pytest.param("Training", 1, marks=slow),
        ("Training", 8),
        pytest.param("Training", 11, marks=slow),
        pytest.param("Predicting", 0, marks=slow),
        pytest.param("Drawing the report", 0, marks=slow),
        pytest.param("Packaging the model", 0, marks=slow),
    ],
)
def test_interrupted_run_gives_the_same_numbers(whole, data, tmp_path, stretch, after) -> None:
    """Ctrl-C in any stretch of work, then the same command again: the numbers of a run that was never interrupted."""
    words = run_words(data, tmp_path / "run", *LONG)
    interrupt(words, stretch, after)
    run, _ = run_tiny(words)
    assert_same(run, whole)


def test_ctrl_c_still_works_after_an_interrupted_training(data, tmp_path) -> None:
    """Training restores the reaction to Ctrl-C, so that a notebook can interrupt a second time."""
    before = signal.getsignal(signal.SIGINT)
    interrupt(run_words(data, tmp_path / "run", *LONG), "Training", 2)
    assert signal.getsignal(signal.SIGINT) is before


def test_interrupted_training_can_be_moved(whole, data, tmp_path) -> None:
    """A run folder that was moved between two parts of the training still knows its best epoch."""
    interrupt(run_words(data, tmp_path / "here", *LONG), "Training", 12)
    (tmp_path / "here").rename(tmp_path / "there")
    run, _ = run_tiny(run_words(data, tmp_path / "there", *LONG))
    assert_same(run, whole)


def test_checkpoints_of_other_settings_are_not_continued(data, tmp_path) -> None:
    """A training interrupted with one learning rate is started over with another."""
    other = [*LONG, "trainer.learning_rate=0.003"]
    words = run_words(data, tmp_path / "run", *LONG)
    interrupt(words, "Training", 12)
    changed, _ = run_tiny(run_words(data, tmp_path / "run", *other), "train")
    assert len(pd.read_csv(changed.history)) == 4
    run_tiny(run_words(data, tmp_path / "fresh", *other), "prepare")
    fresh, _ = run_tiny(run_words(data, tmp_path / "fresh", *other), "train")
    pd.testing.assert_frame_equal(pd.read_csv(changed.history), pd.read_csv(fresh.history), rtol=1e-6)


@pytest.mark.parametrize("name", ["last.ckpt", "best.ckpt", "../history.csv"])
@pytest.mark.parametrize("content", [pytest.param(b"", marks=slow), b"PK\x03\x04 half a checkpoint"])
def test_damaged_checkpoint_starts_training_over(whole, data, tmp_path, name, content) -> None:
    """A checkpoint that cannot be read does not block an interrupted training, and is not trusted."""
    words = run_words(data, tmp_path / "run", *LONG)
    run = interrupt(words, "Training", 12)
    (run.checkpoints / name).write_bytes(content)
    _, sentences = run_tiny(words, "train")
    assert any("starts over" in line for line in sentences.said)
    pd.testing.assert_frame_equal(pd.read_csv(run.history), pd.read_csv(whole.history), rtol=1e-6)


def test_training_that_stopped_early_stays_stopped(data, tmp_path) -> None:
    """Killed between its end and its record, a training that stopped early is not trained for another epoch."""
    patient = [*LONG, "trainer.patience=1", "trainer.max_epochs=40", "trainer.learning_rate=1e-6"]
    words = run_words(data, tmp_path / "run", *patient)
    run_tiny(words, "prepare")
    run, _ = run_tiny(words, "train")
    history = pd.read_csv(run.history)
    assert len(history) < 40
    run.record("train").unlink()
    run_tiny(words, "train")
    pd.testing.assert_frame_equal(pd.read_csv(run.history), history)


DAMAGED = {
    "config.yaml": [],
    "manifest.parquet": ["prepare", "train", "evaluate", "package"],
    "split.parquet": ["prepare", "train", "evaluate", "package"],
    "rejected.csv": ["prepare", "train", "evaluate", "package"],
    "steps/prepare.json": ["prepare", "train", "evaluate", "package"],
    "checkpoints/best.ckpt": ["train", "evaluate", "package"],
    "checkpoints/last.ckpt": ["train", "evaluate", "package"],
    "checkpoints/model.json": ["train", "evaluate", "package"],
    "checkpoints/inputs.json": ["train", "evaluate", "package"],
    "history.csv": ["train", "evaluate", "package"],
    "steps/train.json": ["train", "evaluate", "package"],
    "predictions.parquet": ["evaluate", "package"],
    "report.json": ["evaluate", "package"],
    "report.html": ["evaluate", "package"],
    "steps/evaluate.json": ["evaluate", "package"],
    "package/model.safetensors": ["package"],
    "package/package.json": ["package"],
    "package/golden.json": ["package"],
    "steps/package.json": ["package"],
}
QUICK = (
    "config.yaml",
    "checkpoints/best.ckpt",
    "predictions.parquet",
    "package/model.safetensors",
    "steps/package.json",
)


@pytest.mark.parametrize("name", [name if name in QUICK else pytest.param(name, marks=slow) for name in DAMAGED])
def test_truncated_artefact_is_made_again(whole, copy, name) -> None:
    """Half of any artefact is never taken for the whole: its step and all later ones are done again."""
    run, words = copy
    content = (run.root / name).read_bytes()
    (run.root / name).write_bytes(content[: len(content) // 2])
    _, sentences = run_tiny(words)
    assert sentences.done() == DAMAGED[name]
    assert_same(run, whole)


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("manifest.parquet", marks=slow),
        pytest.param("checkpoints/best.ckpt", marks=slow),
        "history.csv",
        pytest.param("report.json", marks=slow),
        "package/model.safetensors",
    ],
)
def test_missing_artefact_is_made_again(whole, copy, name) -> None:
    """An artefact that was removed is made again."""
    run, words = copy
    (run.root / name).unlink()
    _, sentences = run_tiny(words)
    assert sentences.done() == DAMAGED[name]
    assert_same(run, whole)


@pytest.fixture(scope="module")
def foreign(data, tmp_path_factory) -> RunFolder:
    """A run of the same data with another seed: its artefacts are whole, but belong elsewhere."""
    run, _ = run_tiny(run_words(data, tmp_path_factory.mktemp("foreign") / "run", *LONG, "seed=1"))
    return run


@pytest.mark.parametrize(
    ("name", "step"),
    [
        ("manifest.parquet", "train"),
        ("split.parquet", "train"),
        ("checkpoints/best.ckpt", "evaluate"),
        ("checkpoints/model.json", "evaluate"),
        ("report.json", "package"),
    ],
)
def test_foreign_artefact_is_refused_by_the_next_step(copy, foreign, name, step) -> None:
    """An artefact of another run, whole but not the one that was written here, is refused by the step that reads it."""
    run, words = copy
    content = (foreign.root / name).read_bytes()
    (run.root / name).write_bytes(content + b" " if name.endswith("json") else content)
    if name == "manifest.parquet":
        # Another seed leaves the manifest as it is; data with one photograph less do not.
        pd.read_parquet(foreign.manifest).iloc[1:].to_parquet(run.manifest)
    with pytest.raises(ArtifactError, match="were changed or are missing"):
        run_tiny(words, step)


def test_foreign_checkpoint_is_not_evaluated(whole, copy, foreign) -> None:
    """The whole run notices a checkpoint that was exchanged, and trains again."""
    run, words = copy
    shutil.copy(foreign.checkpoints / "best.ckpt", run.checkpoints / "best.ckpt")
    run_tiny(words)
    assert pd.read_parquet(run.predictions)[MODEL_ID].iloc[0] == pd.read_parquet(whole.predictions)[MODEL_ID].iloc[0]


def wait_for(process: subprocess.Popen, paths: Iterator[Path] | list[Path], seconds: float = 60) -> None:
    """Waits until one of the paths exists, or the process has ended."""
    deadline = time.monotonic() + seconds
    while process.poll() is None and not any(path.exists() for path in paths):
        assert time.monotonic() < deadline, "the run did not get so far in time"
        time.sleep(0.002)


@slow
def test_killed_run_gives_the_same_numbers(whole, data, tmp_path) -> None:
    """Kill -9 in preparing, caching, training, evaluating and packaging, one after the other, then once more."""
    words = run_words(data, tmp_path / "run", *LONG)
    run = RunFolder(tmp_path / "run")
    for sign in (run.config, run.checkpoints, run.checkpoints / "last.ckpt", run.predictions, run.record("evaluate")):
        with subprocess.Popen(command("run", *words), stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as process:
            wait_for(process, [sign])
            process.send_signal(signal.SIGKILL)
            assert process.wait() == -signal.SIGKILL, "the run was over before it could be killed"
    result = run_command("run", *words)
    assert result.returncode == 0, result.stderr
    assert_same(run, whole)
    assert not list(run.root.rglob(".*.tmp*")), "what the killed processes left half written was not cleared away"


@slow
def test_ctrl_c_on_the_command_line(whole, data, tmp_path) -> None:
    """Ctrl-C ends with code 130 and says that the same command continues; it does."""
    words = run_words(data, tmp_path / "run", *LONG)
    run = RunFolder(tmp_path / "run")

    def hear_ctrl_c() -> None:
        # Whatever started the tests in the background may have made them, and so this process, deaf to Ctrl-C.
        signal.signal(signal.SIGINT, signal.SIG_DFL)

    with subprocess.Popen(command("run", *words), stderr=subprocess.PIPE, text=True, preexec_fn=hear_ctrl_c) as process:  # noqa: PLW1509 (the test has no threads of its own)
        wait_for(process, [run.checkpoints / "last.ckpt"])
        os.kill(process.pid, signal.SIGINT)
        _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130, stderr
    assert "the same command continues" in stderr
    assert "Traceback" not in stderr
    assert run_command("run", *words).returncode == 0
    assert_same(run, whole)


def test_second_process_is_turned_away(copy) -> None:
    """Two runs do not write into one folder at the same time."""
    run, words = copy
    with run.locked(), pytest.raises(ArtifactError, match="another phytoscope process works in"):
        run_tiny(words)


def test_sentences_tell_reused_from_done() -> None:
    """What the tests above rely on."""
    sentences = Sentences(["prepare: reused, nothing", "train: done in 3 s"])
    assert (sentences.reused(), sentences.done()) == (["prepare"], ["train"])
