"""What a package says of itself to a person."""

import dataclasses

import pytest

from factories.packages import make_package
from factories.trust import make_trust
from phytoscope.predict.package import save_package
from phytoscope.predict.package_files import open_files
from phytoscope.predict.package_words import format_bytes, word_package
from phytoscope.schema.choices import OnnxExport
from phytoscope.schema.table import Task


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (1_500_000, "1.5 MB"), (2.5e9, "2.5 GB"), (3e12, "3000.0 GB")],
)
def test_sizes_are_for_people(count, text) -> None:
    """The largest unit is that of the largest models."""
    assert format_bytes(int(count)) == text


def test_only_numbers_with_intervals_promise_something(tmp_path) -> None:
    """Of two numbers the one that could not be calibrated is not named."""
    predictor = make_package(tmp_path / "package", "several")
    trust = make_trust(Task.regression, targets=2)
    predictor.trust = dataclasses.replace(trust, intervals=(trust.intervals[0], None))
    photos = sorted((tmp_path / "photos").iterdir())
    save_package(predictor, photos, tmp_path / "other", onnx=OnnxExport.never, limitations=[], known=[{}, {}])
    lines = dict(word_package(open_files(tmp_path / "other")))["How it judges its answers"]
    assert [line for line in lines if "its intervals of" in line] == [
        "its intervals of fresh_weight promise to hold the true value for 90 of 100 new plants"
    ]
