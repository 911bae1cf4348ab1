"""The examples of docs/guides/estimators.md run as they stand."""

import re
from pathlib import Path

import sklearn

from factories.drawn_leaves import PLAIN, draw_leaves, write_leaves
from phytoscope.estimators.classifier import PlantClassifier

GUIDE = Path(__file__).resolve().parents[3] / "docs" / "guides" / "estimators.md"


def test_the_examples_of_the_guide_run(tmp_path, monkeypatch, capsys):
    """With a tiny network, the guide's code searches, saves and predicts."""
    pictures, labels, _, plants = draw_leaves()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("phytoscope.estimators.classifier.PlantClassifier", _build_tiny)
    # The part that takes longest, and that the guide says nothing of.
    monkeypatch.setattr("phytoscope.predict.package.export_onnx", lambda *_: None)
    names = {"photos": write_leaves(pictures, tmp_path / "photos"), "labels": labels, "plants": plants}

    with sklearn.config_context():
        for block in re.findall(r"```python\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL):
            exec(compile(block, str(GUIDE), "exec"), names)  # noqa: S102 (our own guide)

    best, label = capsys.readouterr().out.splitlines()
    assert best.startswith("{'penalty': ")
    assert label in ("healthy", "sick")
    assert names["classifier"].get_metadata_routing().fit.requests == {"groups": True}


def _build_tiny(**given):
    return PlantClassifier(**{**given, **PLAIN})
