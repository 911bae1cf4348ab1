"""Counts of one process; those of several are tested with real workers."""

from phytoscope.api.metrics import Metrics

MODEL = {"name": "leaf", "runtime": "torch", "precision": "float32"}


def test_one_model_answers_at_a_time():
    """After an exchange the older one is not counted as answering any more."""
    metrics = Metrics()
    for key in ("first", "second"):
        metrics.tell_model({**MODEL, "model_id": key})
    lines = [line for line in metrics.render().decode().splitlines() if line.startswith("phytoscope_model{")]
    assert [('model_id="second"' in line, line.endswith(" 1.0")) for line in lines] == [(True, True)]


def test_levels_are_read_when_they_are_asked_for():
    """A level is that of now, and not of the last tick."""
    metrics, level = Metrics(), [3]
    metrics.watch("records_lost", lambda: level[0])
    metrics.copy_levels()
    level[0] = 4
    assert b"phytoscope_records_lost 4.0" in metrics.render()
