"""Defects that good projects shipped, and for each the tests here that would catch it."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import psutil
import pytest

from contract.source_checks import ROOT
from factories.runs import draw_mixed_table, run_command, run_tiny, run_words
from phytoscope.schema.run_folder import RunFolder
from phytoscope.schema.table import SAMPLE_ID, SPLIT

CAUGHT_BY = {
    "seed 0 or ratio 0.0 taken for not given": [
        "tests/contract/test_traps.py::test_package_is_free_of",
        "tests/unit/data/split/test_drawing.py::test_seed_zero_is_a_seed",
        "tests/unit/data/split/test_drawing.py::test_share_of_zero_is_no_split",
        "tests/unit/evaluate/test_gate.py::test_margin_of_zero_is_a_margin",
        "tests/unit/pipeline/test_workspace.py::test_seed_zero_in_the_file_is_a_seed",
    ],
    "a documented option that does not exist": [
        "tests/contract/test_configs.py::test_documented_settings_exist",
        "tests/unit/schema/test_config.py::test_every_documented_setting_exists",
    ],
    "a validation set that is the test set": [
        "tests/contract/test_known_defects.py::test_training_sees_train_and_val_and_nothing_else",
        "tests/unit/data/split/test_drawing.py::test_nothing_stands_on_both_sides",
    ],
    "a label scaled with the maximum over all rows": [
        "tests/unit/steps/test_training_job.py::test_no_covariate_leaks_across_the_split",
        "tests/contract/test_known_defects.py::test_training_sees_train_and_val_and_nothing_else",
    ],
    "missing plant ids put into one giant group": [
        "tests/unit/data/copies/test_groups.py::test_missing_groups_are_no_giant_group",
        "tests/unit/data/validate/test_validation.py::test_rows_without_a_group_are_not_one_giant_group",
    ],
    "an evaluation logged in another run than the training": [
        "tests/unit/steps/test_telling.py::test_one_run_from_training_to_package",
        "tests/e2e/test_tracked_run.py::test_training_evaluation_and_package_are_one_run",
    ],
    "means of batches averaged as if batches were equal": [
        "tests/contract/test_known_defects.py::test_loss_of_an_epoch_is_the_mean_over_images",
    ],
    "a check that cannot fail": [
        "tests/contract/test_traps.py::test_every_checker_is_proven",
        "tests/contract/test_known_defects.py::test_every_check_of_the_pipeline_is_made_to_fail",
        "tests/unit/pipeline/test_checks.py::test_every_check_has_a_planted_fault",
    ],
    "a failure turned into an empty table": [
        "tests/contract/test_traps.py::test_package_is_free_of",
        "tests/unit/data/validate/test_validation.py::test_all_images_missing_is_one_clear_error",
        "tests/unit/pipeline/test_checks.py::test_missing_results_are_no_proof",
    ],
    "work done at import": [
        "tests/contract/test_architecture.py::test_import_leaves_no_trace",
        "tests/contract/test_architecture.py::test_import_does_not_drag_libraries_in",
    ],
    "a secret in a log": [
        "tests/contract/test_known_defects.py::test_no_secret_is_written_anywhere",
        "tests/contract/test_known_defects.py::test_password_in_an_address_is_refused_and_written_nowhere",
        "tests/unit/data/fetch/test_download.py::test_errors_and_records_keep_secrets",
        "tests/unit/track/test_background.py::test_password_is_not_said",
        "tests/unit/track/test_mlflow_client.py::test_secrets_are_hidden",
        "tests/unit/track/test_registry.py::test_absent_server_is_an_error_without_the_password",
    ],
}
MARK = "hunter2andmore"


@pytest.mark.parametrize("defect", CAUGHT_BY)
def test_tests_against_a_defect_exist(defect: str) -> None:
    """A test that was renamed or removed is missed here."""
    for place in CAUGHT_BY[defect]:
        path, _, name = place.partition("::")
        tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
        assert name in {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}, place


def test_every_check_of_the_pipeline_is_made_to_fail() -> None:
    """Each asset check of the pipeline stands by its name in the tests that plant a fault for it."""
    from phytoscope.pipeline.checks import PLANS

    text = (ROOT / "tests" / "unit" / "pipeline" / "test_checks.py").read_text(encoding="utf-8")
    literals = {node.value for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Constant)}
    assert len(PLANS) >= 8
    assert {plan.name for plan in PLANS} <= literals


class SeenError(Exception):
    """Ends a training as soon as it is known what it looks at."""


def test_training_sees_train_and_val_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The epochs are judged on val, not on test, and scales and encoders are fitted on the training rows alone."""
    from phytoscope.steps import train, training_job

    fitted: list[pd.DataFrame] = []
    fit_meaning = training_job.fit_meaning

    def keep(config, rows, unit):
        fitted.append(rows)
        return fit_meaning(config, rows, unit)

    def stop(context, train_rows, val_rows, *rest, **more):
        training_job.build_job(context, train_rows, val_rows, *rest, **more)
        raise SeenError(train_rows, val_rows)

    monkeypatch.setattr(training_job, "fit_meaning", keep)
    monkeypatch.setattr(train, "build_job", stop)
    words = run_words(draw_mixed_table(tmp_path / "data", n=40), tmp_path / "run")
    with pytest.raises(SeenError) as seen:
        run_tiny(words, "train")

    split = pd.read_parquet(tmp_path / "run" / "split.parquet")
    names = {name: set(rows[SAMPLE_ID]) for name, rows in split.groupby(SPLIT)}
    train_rows, val_rows = seen.value.args
    assert set(train_rows[SAMPLE_ID]) == names["train"]
    assert set(val_rows[SAMPLE_ID]) == names["val"]
    assert not names["val"] & names["test"]
    assert [set(rows[SAMPLE_ID]) for rows in fitted] == [names["train"]]


SECRETS = {
    "MLFLOW_TRACKING_USERNAME": "ann",
    "MLFLOW_TRACKING_PASSWORD": MARK + "1",
    "MLFLOW_TRACKING_TOKEN": "",
    "WANDB_API_KEY": (MARK + "2").ljust(40, "x"),
    "PHYTOSCOPE_WEBHOOK": f"http://127.0.0.1:9/hooks/{MARK}3",
}


def find_secret(folder: Path, said: str) -> list[str]:
    """Every file of a folder, or `said`, that holds a secret."""
    files = [path for path in folder.rglob("*") if path.is_file() and MARK.encode() in path.read_bytes()]
    return [str(path.relative_to(folder)) for path in files] + (["said"] if MARK in said else [])


@pytest.fixture
def no_courier_left(tmp_path: Path) -> Iterator[None]:
    """Ends the couriers that would wait for an absent server long after the test."""
    yield
    for process in psutil.process_iter(["cmdline"]):
        words = process.info["cmdline"] or []
        if "follow" in words and any(str(tmp_path) in word for word in words):
            process.kill()


@pytest.mark.slow
@pytest.mark.usefixtures("no_courier_left")
def test_no_secret_is_written_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys and passwords of trackers are in no log, no list of settings and no file of a run, whatever goes wrong."""
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PHYTOSCOPE_LOG", "debug")
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    words = run_words(
        draw_mixed_table(tmp_path / "data", n=40),
        tmp_path / "runs" / "run",
        "track=both",
        "track.uri=http://127.0.0.1:9",
        "track.wait_seconds=15",
        f"paths.runs_dir={tmp_path / 'runs'}",
        "trainer.max_epochs=1",
    )
    done = run_command("train", *words, timeout=400)
    assert done.returncode == 0, done.stdout + done.stderr
    said = done.stdout + done.stderr
    for command in (["track", "status", str(tmp_path / "runs")], ["track", "sync", str(tmp_path / "runs")]):
        again = run_command(*command, timeout=400)
        said += again.stdout + again.stderr

    run = RunFolder(tmp_path / "runs" / "run")
    assert run.log.exists()
    assert (run.root / "events.jsonl").exists()
    assert find_secret(tmp_path, said) == []


@pytest.mark.parametrize("given", ["setting", "environment"])
def test_password_in_an_address_is_refused_and_written_nowhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: str
) -> None:
    """`http://user:password@host` ends with advice, and neither the answer nor a file repeats the password."""
    address = f"http://ann:{MARK}@127.0.0.1:9"
    more = [f"track.uri={address}"] if given == "setting" else []
    if given == "environment":
        monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    (tmp_path / "data").mkdir()
    words = run_words(draw_mixed_table(tmp_path / "data", n=40), tmp_path / "run", "track=mlflow", *more)

    done = run_command("run", *words, timeout=200)

    assert done.returncode == 2, done.stdout + done.stderr
    assert "MLFLOW_TRACKING_PASSWORD" in done.stdout + done.stderr
    assert find_secret(tmp_path, done.stdout + done.stderr) == []


def test_loss_of_an_epoch_is_the_mean_over_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A last batch of one image counts as one image: the loss of the epoch is that of all images together."""
    from phytoscope.train.tasks.plant_task import PlantTask

    parts: list[tuple[float, int]] = []
    step = PlantTask.training_step

    def keep(self, batch, batch_idx):
        loss = step(self, batch, batch_idx)
        parts.append((float(loss.detach()), len(batch.target)))
        return loss

    monkeypatch.setattr(PlantTask, "training_step", keep)
    words = run_words(
        draw_mixed_table(tmp_path / "data", n=40),
        tmp_path / "run",
        "trainer.max_epochs=1",
        "trainer.mode=plain",
        "adapt.frozen_epochs=0",
    )
    run, _ = run_tiny(words, "train")

    sizes = [size for _, size in parts]
    assert len(set(sizes)) > 1, "the test needs batches of different sizes"
    expected = sum(loss * size for loss, size in parts) / sum(sizes)
    assert pd.read_csv(run.history)["train/loss"][0] == pytest.approx(expected, rel=1e-5)
