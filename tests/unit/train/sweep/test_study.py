"""The study remembers trials, goes on where it stopped, and takes up what was interrupted."""

import dataclasses
import logging

import pytest

from phytoscope.errors import ConfigError, StorageError
from phytoscope.schema.choices import Pruner
from phytoscope.train.sweep.space import Dimension
from phytoscope.train.sweep.study import (
    FOLDER,
    REASON,
    ask_trial,
    build_pruner,
    count_begun,
    describe_failure,
    list_running,
    number_folder,
    open_study,
    requeue_trial,
)

optuna = pytest.importorskip("optuna")
FAIL = optuna.trial.TrialState.FAIL
SPACE = (Dimension("trainer.learning_rate", 1e-4, 1e-1, log=True), Dimension("adapt.kind", choices=("head", "lora")))


def ask(study, seed: int = 0):
    """The next trial, with no pruning."""
    return ask_trial(study, SPACE, build_pruner(Pruner.none, epochs=9, first=1, startup_trials=3), 3, seed=seed)


def work(study, count: int) -> list[dict[str, object]]:
    """Does trials whose objective is their learning rate; gives what was drawn."""
    drawn = []
    for _ in range(count):
        trial = ask(study)
        drawn.append(trial.params)
        study.tell(trial, trial.params["trainer.learning_rate"])
    return drawn


@pytest.mark.parametrize("name", ["a.db", "a.log"])
def test_study_goes_on(tmp_path, name):
    """A second call finds the trials of the first, and draws what one call alone would have drawn."""
    whole = work(open_study(tmp_path / f"whole-{name}", "s", "x"), 7)
    parts = work(open_study(tmp_path / name, "s", "x"), 3)
    again = open_study(tmp_path / name, "s", "x")
    assert count_begun(again) == 3
    parts += work(again, 4)
    assert parts == whole
    assert len({trial["trainer.learning_rate"] for trial in whole}) == 7


def test_a_new_file_mutes_nobody(tmp_path, caplog):
    """Optuna sets up logging when it makes the tables of a new file; ours goes on as before."""
    log = logging.getLogger("phytoscope.tests.study")
    open_study(tmp_path / "study.db", "sweep", "inputs")
    log.warning("still here")
    assert caplog.messages[-1] == "still here"


def test_other_inputs_are_refused(tmp_path):
    """Trials on other data or settings are not mixed in; another name in the same file is another sweep."""
    open_study(tmp_path / "a.db", "s", "x")
    with pytest.raises(ConfigError, match="with other data, settings or another"):
        open_study(tmp_path / "a.db", "s", "y")
    assert count_begun(open_study(tmp_path / "a.db", "t", "y")) == 0


def test_unknown_storage(tmp_path):
    """Only SQLite files and journals are taken."""
    with pytest.raises(ConfigError, match="must end in"):
        open_study(tmp_path / "a.txt", "s", "x")


def test_foreign_file_is_refused(tmp_path):
    """A file that is no database is named, not overwritten."""
    path = tmp_path / "a.db"
    path.write_bytes(b"something else entirely, longer than a header of a database" * 20)
    with pytest.raises(StorageError, match="cannot be used"):
        open_study(path, "s", "x")
    assert path.read_bytes().startswith(b"something")


def test_interrupted_trial_is_done_again(tmp_path):
    """It waits with the same values and the same folder, comes before new ones, and counts once."""
    study = open_study(tmp_path / "a.db", "s", "x")
    work(study, 2)
    trial = ask(study)
    assert count_begun(study) == 3
    # Another process sees it at work, as after a kill.
    other = open_study(tmp_path / "a.db", "s", "x")
    (running,) = list_running(other)
    assert requeue_trial(other, running)
    assert count_begun(other) == 2
    again = ask(other)
    assert again.params == trial.params
    assert number_folder(again) == trial.number
    assert again.user_attrs[FOLDER] == trial.number
    other.tell(again, 0.5)
    assert count_begun(other) == 3


def test_trial_that_kills_the_process_is_given_up(tmp_path):
    """After the third interruption it counts as failed, with a reason."""
    study = open_study(tmp_path / "a.db", "s", "x")
    requeued = []
    for _ in range(3):
        ask(study)
        requeued.append(requeue_trial(study, list_running(study)[0]))
    assert requeued == [True, True, False]
    assert count_begun(study) == 1
    assert describe_failure(study.trials[-1]) == "interrupted 3 times"
    assert describe_failure(study.trials[0]) is None


def test_failed_trial_counts(tmp_path):
    """A trial whose settings cannot be trained with is not tried again."""
    study = open_study(tmp_path / "a.db", "s", "x")
    trial = ask(study)
    trial.set_user_attr(REASON, "loss is nan")
    study.tell(trial, state=FAIL)
    assert count_begun(study) == 1
    assert describe_failure(study.trials[0]) == "loss is nan"


@pytest.mark.parametrize("kind", [Pruner.median, Pruner.asha, Pruner.hyperband])
def test_pruners_end_the_bad_and_keep_the_good(kind):
    """Hopeless trials are ended early, the best one never, and nobody is judged by the epochs of the head alone."""
    study = optuna.create_study(direction="minimize")
    ended = {}
    for number in range(20):
        study.pruner = build_pruner(kind, epochs=9, first=3, startup_trials=2)
        trial = study.ask()
        level = [1.0, 5.0, 6.0, 7.0][number % 4]
        for epoch in range(1, 10):
            trial.report(level - 0.01 * epoch, step=epoch)
            if trial.should_prune():
                ended[number] = epoch
                study.tell(trial, state=optuna.trial.TrialState.PRUNED)
                break
        else:
            study.tell(trial, level)
    assert ended
    assert min(ended.values()) >= 3
    assert 0 not in ended
    assert sum(number % 4 == 0 for number in ended) < sum(number % 4 == 3 for number in ended)


def test_no_pruner_ends_nobody():
    """`none` lets every trial finish."""
    assert isinstance(build_pruner(Pruner.none, epochs=9, first=1, startup_trials=1), optuna.pruners.NopPruner)


def test_dimension_is_plain():
    """Two equal spaces have equal hashes, whatever object they are."""
    assert dataclasses.asdict(SPACE[0]) == dataclasses.asdict(Dimension("trainer.learning_rate", 1e-4, 1e-1, log=True))
