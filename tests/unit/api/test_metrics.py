"""Counts of one process; those of several are tested with real workers."""

import pytest

from phytoscope.api.metrics import MULTIPROCESS_VARIABLE, Metrics

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


@pytest.mark.parametrize("is_joint", [False, True])
def test_counts_of_several_workers_are_put_together(tmp_path, monkeypatch, is_joint):
    """Where workers share a folder, an older model is not taken away: what all have written cannot be."""
    if is_joint:
        monkeypatch.setenv(MULTIPROCESS_VARIABLE, str(tmp_path))
    metrics = Metrics()
    for key in ("first", "second"):
        metrics.tell_model({**MODEL, "model_id": key})
    assert any("first" in labels for labels in metrics._model._metrics) == is_joint


def test_joint_counts_are_read_from_the_folder(tmp_path, monkeypatch):
    """Any worker may be asked, and tells what all have counted."""
    monkeypatch.setenv(MULTIPROCESS_VARIABLE, str(tmp_path))
    assert b"phytoscope" not in Metrics().render()
