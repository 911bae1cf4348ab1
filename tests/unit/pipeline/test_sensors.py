"""Sensors with and without news: one run a change, half-copied data waited for, a broken data set beside good ones."""

import json
import os
import shutil
import time

import dagster as dg
import pytest

from factories.runs import draw_mixed_folder
from phytoscope.errors import ConfigError
from phytoscope.pipeline import defs
from phytoscope.pipeline.news import SETTLE_VARIABLE, SeenData, find_settle_seconds, look_at_data
from phytoscope.pipeline.schedules import nightly_monitoring, weekly_evaluation
from phytoscope.pipeline.sensors import new_data, retrain_on_drift
from phytoscope.pipeline.workspace import WORKSPACE_VARIABLE, Workspace
from phytoscope.schema.artifact import write_json


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    root = tmp_path_factory.mktemp("drawn")
    draw_mixed_folder(root, per_class=6)
    return root


@pytest.fixture
def workspace(tmp_path, drawn, monkeypatch):
    made = Workspace(tmp_path / "ws")
    shutil.copytree(drawn, made.root / "data" / "leaves")
    made.dataset_files.mkdir()
    write_dataset(made, "leaves")
    monkeypatch.setenv(WORKSPACE_VARIABLE, str(made.root))
    monkeypatch.setenv(SETTLE_VARIABLE, "0")
    return made


@pytest.fixture
def instance():
    with dg.DagsterInstance.ephemeral() as records:
        yield records


def write_dataset(workspace, name, more=""):
    text = f"defaults:\n- override /data: folder\ndata: {{root: ../data/leaves}}\n{more}"
    (workspace.dataset_files / f"{name}.yaml").write_text(text)


def tick(instance, cursor=None, sensor=new_data):
    context = dg.build_sensor_context(instance=instance, cursor=cursor, sensor_name=sensor.name)
    return sensor(context)


def pictures(workspace, name):
    return sorted((workspace.root / "data" / "leaves" / name).iterdir())


def change(workspace, *, add=False):
    """Puts another picture in the place of one, or adds one more."""
    old, new = pictures(workspace, "dark")[0], pictures(workspace, "bright")[-1]
    shutil.copy(new, old.with_name(f"new{new.suffix}") if add else old)


def write_report(workspace, name="leaves", *, fired=True, look=1):
    from phytoscope.schema.drift import DriftFinding, DriftKind, DriftReport, LookWindow

    finding = DriftFinding(
        DriftKind.photo, "photo/brightness", LookWindow.batch, 0.4, 0.001, 0.01, fired, 98.0, 121.0, "", "brighter"
    )
    report = DriftReport(look, 30, 10, 30, 10, 40, 12, 0.05, 0.01, 0.01, 1000, fired, [finding], model_id="model-a")
    path = workspace.root / "monitor" / name / "report.json"
    write_json(path, report.to_dict())
    write_json(workspace.root / "assets" / name / "drift_report.json", {"kind": "DriftPlace", "report": str(path)})


def write_used(workspace, name="leaves"):
    """Keeps the data as they are now as those of the last run."""
    from phytoscope.steps.survey import survey_source

    survey = survey_source(workspace.compose(name))
    path = workspace.root / "used.json"
    write_json(path, survey.to_dict())
    content = {"kind": "DataPlace", "survey": str(path), "content_hash": survey.content_hash, "words": []}
    write_json(workspace.root / "assets" / name / "raw_dataset.json", content)


def test_a_new_data_set_becomes_a_partition_and_a_run(workspace, instance):
    """The file alone is enough: the partition is added, and one run is asked for."""
    result = tick(instance)
    (request,) = result.run_requests
    assert request.partition_key == "leaves"
    assert result.dynamic_partitions_requests[0].partition_keys == ["leaves"]


def test_nothing_new_asks_for_nothing(workspace, instance):
    """The second look finds the same data, also when the files' times changed."""
    first = tick(instance)
    os.utime(pictures(workspace, "dark")[0], (1, 1))
    second = tick(instance, first.cursor)
    assert not second.run_requests
    assert "nothing has changed" in second.skip_reason.skip_message
    assert json.loads(second.cursor) == json.loads(first.cursor)


def test_each_change_asks_for_one_run(workspace, instance):
    """A picture replaced, one removed, and one put back: each gives one run of its own name."""
    cursor = tick(instance).cursor
    keys = []
    picture = pictures(workspace, "dark")[0]
    original = picture.read_bytes()
    for step in range(3):
        if step == 0:
            change(workspace)
        elif step == 1:
            picture.unlink()
        else:
            picture.write_bytes(original)
        result = tick(instance, cursor)
        keys += [request.run_key for request in result.run_requests]
        assert not tick(instance, result.cursor).run_requests
        cursor = result.cursor
    assert len(keys) == len(set(keys)) == 3


def test_the_same_tick_twice_names_the_same_run(workspace, instance):
    """A tick whose cursor was lost asks for the run of the same name, which Dagster starts once."""
    (first,), (second,) = tick(instance).run_requests, tick(instance).run_requests
    assert first.run_key == second.run_key


def test_data_that_were_used_by_hand_are_not_new(workspace, instance):
    """After `phytoscope pipeline run` the sensor has nothing to do."""
    write_used(workspace)
    assert not tick(instance).run_requests


def test_data_that_change_now_are_waited_for(workspace):
    """Half-copied data wait; after the pause, or when the next look finds the same, the run is asked for once."""
    now = time.time()
    look = look_at_data(workspace, "leaves", SeenData(), now=now, settle_seconds=3600)
    assert look.run_key == ""
    assert "still be copied" in look.sentence
    assert look_at_data(workspace, "leaves", look.seen, now=now, settle_seconds=3600).run_key
    assert look_at_data(workspace, "leaves", SeenData(), now=now + 3601, settle_seconds=3600).run_key
    change(workspace)
    again = look_at_data(workspace, "leaves", look.seen, now=now, settle_seconds=3600)
    assert again.run_key == ""
    assert again.seen.pending != look.seen.pending


def test_a_broken_data_set_does_not_stop_the_others(workspace, instance):
    """A wrong setting, an absent folder and a bad name are told; the good data set runs, and nothing is forgotten."""
    cursor = tick(instance).cursor
    write_dataset(workspace, "wrong", "trainer: {max_epoch: 1}\n")
    write_dataset(workspace, "bad name")
    (workspace.dataset_files / "gone.yaml").write_text("defaults:\n- override /data: folder\ndata: {root: gone}\n")
    change(workspace)
    result = tick(instance, cursor)
    assert [request.partition_key for request in result.run_requests] == ["leaves"]
    shutil.rmtree(workspace.root / "data" / "leaves")
    broken = tick(instance, result.cursor)
    said = broken.skip_reason.skip_message
    for name, why in (
        ("wrong", "max_epochs"),
        ("bad name", "Rename it"),
        ("gone", "gone"),
        ("leaves", "there is no folder"),
    ):
        assert f"{name} is passed over" in said
        assert why in said
    assert json.loads(broken.cursor) == json.loads(result.cursor)


def test_a_cursor_that_cannot_be_read_is_no_obstacle(workspace, instance):
    """What was remembered is lost, and the sensor goes on."""
    for cursor in ("{", "[]", '{"leaves": {"content_hash": 3}}', '{"leaves": null}'):
        assert len(tick(instance, cursor).run_requests) == 1


def test_no_data_sets_are_said(tmp_path, monkeypatch, instance):
    """An empty workspace is no failure."""
    (tmp_path / "datasets").mkdir()
    monkeypatch.setenv(WORKSPACE_VARIABLE, str(tmp_path))
    assert tick(instance).skip_reason.skip_message == "there are no data sets yet"


@pytest.mark.parametrize("text", ["soon", "-1", "nan", "inf"])
def test_a_pause_that_is_no_number_is_told(monkeypatch, text):
    """The variable says how long data must rest."""
    monkeypatch.setenv(SETTLE_VARIABLE, text)
    with pytest.raises(ConfigError, match=SETTLE_VARIABLE):
        find_settle_seconds()


def test_drift_without_new_answers_starts_nothing(workspace, instance):
    """Training on the same rows again would give the same model."""
    write_used(workspace)
    write_report(workspace)
    result = tick(instance, sensor=retrain_on_drift)
    assert not result.run_requests
    assert "no new rows with answers" in result.skip_reason.skip_message


def test_drift_with_new_answers_starts_one_run(workspace, instance):
    """More labelled pictures than the last run had: the same drift and the same data name the same run."""
    write_used(workspace)
    write_report(workspace)
    change(workspace, add=True)
    (first,) = tick(instance, sensor=retrain_on_drift).run_requests
    (second,) = tick(instance, sensor=retrain_on_drift).run_requests
    assert first.partition_key == "leaves"
    assert first.run_key == second.run_key
    assert "1 new rows with answers" in first.tags["phytoscope/why"]
    write_used(workspace)
    assert not tick(instance, sensor=retrain_on_drift).run_requests


def test_new_answers_without_drift_start_nothing(workspace, instance):
    """Where nothing drifted, or nobody looked, there is no need."""
    write_used(workspace)
    change(workspace, add=True)
    assert not tick(instance, sensor=retrain_on_drift).run_requests
    write_report(workspace, fired=False)
    assert not tick(instance, sensor=retrain_on_drift).run_requests


def test_run_requests_fit_the_jobs_of_the_graph(workspace, instance):
    """Every sensor and schedule names a job that is there and has partitions."""
    for found in (*defs.sensors, *defs.schedules):
        for name in [target.job_name for target in getattr(found, "targets", [])]:
            assert defs.resolve_job_def(name).partitions_def.name == "datasets"


@pytest.mark.parametrize(
    ("schedule", "now", "following"),
    [
        (nightly_monitoring, "2026-03-07T12:00", ["2026-03-08T03:00", "2026-03-09T03:00"]),
        (weekly_evaluation, "2026-03-07T12:00", ["2026-03-08T04:00", "2026-03-15T04:00"]),
    ],
)
def test_schedules_fall_on_the_days_they_promise(schedule, now, following):
    """Every night at 3, every Sunday at 4; both are off until somebody wants them."""
    import datetime

    begin = datetime.datetime.fromisoformat(now).replace(tzinfo=datetime.UTC)
    dates = schedule.cron_schedule and dg._utils.schedules.schedule_execution_time_iterator(
        begin.timestamp(), schedule.cron_schedule, "UTC", ascending=True
    )
    assert [next(dates).strftime("%Y-%m-%dT%H:%M") for _ in following] == following
    assert schedule.default_status is dg.DefaultScheduleStatus.STOPPED


def test_the_weekly_evaluation_asks_for_what_was_trained(workspace, instance):
    """Only data sets with a trained model are evaluated, once a date."""
    import datetime

    when = datetime.datetime(2026, 3, 8, 4, tzinfo=datetime.UTC)
    context = dg.build_schedule_context(instance=instance, scheduled_execution_time=when)
    assert "no data set" in weekly_evaluation(context).skip_message
    write_json(workspace.root / "assets" / "leaves" / "trained_model.json", {})
    (request,) = weekly_evaluation(context)
    assert (request.run_key, request.partition_key) == ("leaves-2026-03-08T04:00", "leaves")


def test_the_nightly_look_needs_a_place_and_a_champion(workspace, instance, monkeypatch):
    """Without `monitor.incoming`, or without a champion, there is nothing to compare; a broken file is passed over."""
    import datetime

    when = datetime.datetime(2026, 3, 8, 3, tzinfo=datetime.UTC)
    context = dg.build_schedule_context(instance=instance, scheduled_execution_time=when)
    write_dataset(workspace, "wrong", "trainer: {max_epoch: 1}\n")
    monkeypatch.setattr("phytoscope.pipeline.schedules.find_champion", lambda *_: "leaves version 1")
    assert "no data set" in nightly_monitoring(context).skip_message
    write_dataset(workspace, "leaves", "monitor: {incoming: ../incoming}\n")
    (request,) = nightly_monitoring(context)
    assert request.partition_key == "leaves"
    monkeypatch.setattr("phytoscope.pipeline.schedules.find_champion", lambda *_: "")
    assert "no data set" in nightly_monitoring(context).skip_message
