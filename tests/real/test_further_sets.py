"""Orchard photographs and pictures without a leaf, scored beside leaves from the laboratory."""

import json
from pathlib import Path

import pandas as pd
import pytest

from factories.runs import run_tiny, run_words
from phytoscope.schema.artifact import read_json
from phytoscope.steps import read_report

pytestmark = [pytest.mark.real, pytest.mark.slow]


def link_some(source: Path, place: Path, count: int) -> Path:
    """A folder with links to the first files of each class folder, or of the folder itself."""
    for folder in sorted(path for path in source.iterdir() if path.is_dir()) or [source]:
        target = place / folder.name if folder != source else place
        target.mkdir(parents=True)
        for file in sorted(folder.iterdir())[:count]:
            (target / file.name).symlink_to(file)
    return place


def test_orchard_and_other_things(real_data_root, tmp_path) -> None:
    """Four apple classes are found by their names; of other things only verdicts are counted."""
    leaves = tmp_path / "leaves"
    for folder in sorted((real_data_root / "plantvillage").glob("Apple*")):
        link_some(folder, leaves / folder.name, 24)
    orchard = link_some(real_data_root / "apple_field", tmp_path / "orchard", 8)
    other = link_some(real_data_root / "not_a_leaf" / "images", tmp_path / "other", 24)
    words = run_words(
        ["data=plantvillage", f"data.root={leaves}"],
        tmp_path / "run",
        f"evaluate.external=[orchard={orchard},other={other}]",
        "evaluate.explanations=0",
        "evaluate.robustness=0",
        "package.onnx=never",
    )
    run, _ = run_tiny(words)
    field, things = read_report(run).external
    assert (field.n, field.n_labelled, field.n_unreadable, field.foreign) == (32, 32, 0, {})
    assert [row.n for row in field.classes] == [8, 8, 8, 8]
    assert field.trust.verdicts.errors["all"] == pytest.approx(1 - field.metric("accuracy").value)
    assert (things.n, things.n_labelled, things.metrics) == (24, 0, [])
    assert things.trust.verdicts.errors["all"] is None
    table = pd.read_parquet(run.external / "other.parquet")
    assert table["verdict"].value_counts(normalize=True).to_dict() == {
        verdict: pytest.approx(share) for verdict, share in things.trust.verdicts.shares.items() if share > 0
    }
    json.dumps(read_json(run.report), allow_nan=False)
