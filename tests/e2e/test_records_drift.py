"""What people tell the service is what the watch over the model learns its errors from."""

import hashlib

import pytest

from factories.records import make_feedback, make_prediction, make_weight
from factories.watched import draw_photos, make_watched_package
from phytoscope.api.records.export import export_records
from phytoscope.api.records.ledger import open_ledger
from phytoscope.api.records.reading import Wanted
from phytoscope.schema.table import Task
from phytoscope.steps.drift import DriftRequest, look_for_drift
from phytoscope.steps.drift_truth import TruthRequest, add_truth


@pytest.mark.parametrize("task", [Task.classification, pytest.param(Task.regression, marks=pytest.mark.slow)])
def test_exported_feedback_is_a_table_of_truth(task, tmp_path):
    """The table is found by the hash of the file that was sent, and by the name of the file that the service kept."""
    package = make_watched_package(tmp_path / "model", task)
    photos = draw_photos(tmp_path / "sent", 40, seed=500, start=1000)
    ledger = open_ledger(f"sqlite:///{tmp_path / 'records.db'}", tmp_path / "kept")
    make = make_prediction if task is Task.classification else make_weight
    for number, row in photos.iterrows():
        content = row["path"].read_bytes()
        ledger.add_predictions([make(number, image=content, image_sha256=hashlib.sha256(content).hexdigest())])
        truth = {"label": row["label"]} if task is Task.classification else {"value": float(row["spots"])}
        ledger.add_feedback(make_feedback(number, about=number, comment="told by hand", **truth))
    export_records(ledger.database, Wanted(feedback_only=True), tmp_path / "truth.csv")
    ledger.close()
    errors = []
    for seen in ("sent", "kept"):
        pattern = r"(plant\d+)_" if seen == "sent" else None
        look_for_drift(DriftRequest(package, [tmp_path / seen], tmp_path / f"watch {seen}", group_pattern=pattern))
        column = None if task is Task.classification else "value"
        found = add_truth(TruthRequest(tmp_path / f"watch {seen}", tmp_path / "truth.csv", column))
        assert (found.n_new, found.n_unmatched) == (40, 0)
        errors.append(found.report.windows[0].error)
    assert errors[0] == pytest.approx(errors[1])
