"""Alerts of the pipeline: a failed run told once with its reason, a look with drift told once."""

import json

import dagster as dg
import pytest

from phytoscope.pipeline.alert import WEBHOOK_VARIABLE
from phytoscope.pipeline.hooks import PAGE_VARIABLE, alert_on_drift, alert_on_failure, word_failure
from phytoscope.pipeline.workspace import WORKSPACE_VARIABLE
from phytoscope.schema.artifact import write_json
from phytoscope.schema.drift import DriftFinding, DriftKind, DriftReport, LookWindow


@dg.op
def train():
    raise dg.Failure(description="the table 'x.csv' holds no rows.", allow_retries=False)


@dg.op
def stumble():
    raise ZeroDivisionError("division by zero")


def fail(op, instance):
    @dg.job(name="training_job")
    def job():
        op()

    result = job.execute_in_process(instance=instance, raise_on_error=False, tags={"dagster/partition": "leaves"})
    return dg.build_run_status_sensor_context(
        sensor_name="alert_on_failure",
        dagster_event=result.get_run_failure_event(),
        dagster_instance=instance,
        dagster_run=result.dagster_run,
    ).for_run_failure()


@pytest.fixture
def instance():
    with dg.DagsterInstance.ephemeral() as records:
        yield records


def test_a_failed_run_is_told_with_its_reason(instance, monkeypatch):
    """Which job, which data set, which asset and why, with a link to the page."""
    monkeypatch.setenv(PAGE_VARIABLE, "http://127.0.0.1:3000/")
    context = fail(train, instance)
    assert word_failure(context) == (
        "phytoscope: training_job of leaves failed at train: the table 'x.csv' holds no rows. "
        f"http://127.0.0.1:3000/runs/{context.dagster_run.run_id}"
    )


def test_an_unexpected_failure_is_told_too(instance, monkeypatch):
    """A bug is told by its own words, and by the number of the run where no page is known."""
    monkeypatch.delenv(PAGE_VARIABLE, raising=False)
    text = word_failure(fail(stumble, instance))
    assert "training_job of leaves failed at stumble" in text
    assert "(run " in text


def test_the_sensor_of_failures_sends_the_sentence(instance, monkeypatch):
    """What the sensor sends is the sentence."""
    sent = []
    monkeypatch.setattr("phytoscope.pipeline.hooks.send_alert", lambda text, _log: sent.append(text))
    alert_on_failure(fail(train, instance))
    assert len(sent) == 1
    assert "no rows" in sent[0]


@pytest.fixture
def watched(tmp_path, monkeypatch):
    (tmp_path / "datasets").mkdir()
    for name in ("leaves", "broken"):
        (tmp_path / "datasets" / f"{name}.yaml").touch()
    monkeypatch.setenv(WORKSPACE_VARIABLE, str(tmp_path))
    monkeypatch.delenv(WEBHOOK_VARIABLE, raising=False)
    write_json(tmp_path / "assets" / "broken" / "drift_report.json", ["not a place"])

    def look(number, *, fired=True):
        window = LookWindow.batch
        findings = [
            DriftFinding(DriftKind.photo, f"photo/{name}", window, 0.4, 0.001, 0.01, fired, 98.0, 121.0, "", name)
            for name in ("brightness", "sharpness", "hue", "size")
        ]
        report = DriftReport(number, 30, 10, 30, 10, 40, 12, 0.05, 0.01, 0.01, 1000, fired, findings, model_id="m")
        write_json(tmp_path / "report.json", report.to_dict())
        place = {"kind": "DriftPlace", "report": str(tmp_path / "report.json")}
        write_json(tmp_path / "assets" / "leaves" / "drift_report.json", place)

    return look


def tick(instance, cursor=None):
    return alert_on_drift(dg.build_sensor_context(instance=instance, cursor=cursor, sensor_name="alert_on_drift"))


def test_drift_is_told_once_for_each_look(watched, instance, monkeypatch):
    """The same look is told once, the next one again, and a broken report does not stop it."""
    sent = []
    monkeypatch.setattr("phytoscope.pipeline.hooks.send_alert", lambda text, _log: sent.append(text) or True)
    watched(1)
    cursor = tick(instance).cursor
    cursor = tick(instance, cursor).cursor
    assert len(sent) == 1
    assert sent[0] == (
        "phytoscope: new images of leaves differ from those that the model knows (30 images): brightness; sharpness; "
        "hue; ..."
    )
    watched(2)
    tick(instance, cursor)
    assert len(sent) == 2


def test_what_could_not_be_posted_is_tried_again(watched, instance, monkeypatch):
    """A server that is away does not swallow the alert."""
    answers = [False, True]
    monkeypatch.setattr("phytoscope.pipeline.hooks.send_alert", lambda _text, _log: answers.pop(0))
    watched(1)
    first = tick(instance)
    assert json.loads(first.cursor) == {}
    assert json.loads(tick(instance, first.cursor).cursor) == {"leaves": "m--1"}


def test_no_drift_is_no_alert(watched, instance, monkeypatch):
    """A look that found nothing is told to nobody."""
    monkeypatch.setattr("phytoscope.pipeline.hooks.send_alert", lambda *_: pytest.fail("an alert without drift"))
    watched(1, fired=False)
    tick(instance)
