"""Verdicts, reasons, sets and intervals in the tables of answers."""

import json

import pandas as pd
import pytest

from factories.trust import make_trust
from phytoscope.predict.batch import Tally, predict_files
from phytoscope.schema.prediction import Prediction
from phytoscope.schema.progress import SilentProgress
from phytoscope.schema.table import Task
from phytoscope.schema.verdict import REASON_WORDS, Reason

READERS = {".csv": pd.read_csv, ".parquet": pd.read_parquet}


@pytest.fixture
def unsure(predictor, photo, tmp_path):
    """A model that finds two things against each answer, and three photographs with a broken one."""
    number = predictor.description.task is Task.regression
    predictor.trust = make_trust(predictor.description.task, least=1.5, widest=0.1, smallest_px=21.0)
    for name in ("1.png", "2.png", "3.png"):
        photo(f"photos/{name}")
    (tmp_path / "photos" / "4.png").touch()
    return predictor, [Reason.too_small, Reason.wide_interval if number else Reason.unsure], tmp_path


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_lists_are_joined_where_a_cell_holds_text(unsure, suffix) -> None:
    """Classes by bars, reasons as sentences by semicolons, the gravest first; a broken image has none of it."""
    predictor, reasons, folder = unsure
    predict_files(predictor, [folder / "photos"], folder / f"a{suffix}", progress=SilentProgress())
    table = READERS[suffix](folder / f"a{suffix}")
    assert table["verdict"].tolist()[:3] == ["review"] * 3
    assert table["reasons"].tolist()[:3] == ["; ".join(REASON_WORDS[reason] for reason in reasons)] * 3
    judged = ["set"] if "set" in table else ["lower", "upper"]
    assert table.loc[3, ["verdict", "reasons", "novelty", *judged]].isna().all()
    if "set" in table:
        assert table["set"][0] == " | ".join(predictor.description.class_names)
    else:
        assert (table["upper"] - table["lower"])[:3].tolist() == pytest.approx([1.0] * 3)


def test_lists_stay_lists_in_json(unsure) -> None:
    """Each reason and each class is an entry of its own; nothing is an empty list or null."""
    predictor, reasons, folder = unsure
    predict_files(predictor, [folder / "photos"], folder / "a.jsonl", progress=SilentProgress())
    rows = [json.loads(line) for line in (folder / "a.jsonl").read_text(encoding="utf-8").splitlines()]
    assert rows[0]["reasons"] == [REASON_WORDS[reason] for reason in reasons]
    assert (rows[3]["reasons"], rows[3]["verdict"], rows[3]["novelty"]) == ([], None, None)
    if predictor.description.task is Task.classification:
        assert rows[0]["set"] == predictor.description.class_names
        assert rows[3]["set"] == []


@pytest.mark.parametrize("predictor", [Task.regression], indirect=True)
def test_ends_are_those_of_the_answer(predictor, photo, tmp_path) -> None:
    """`lower` and `upper` stand beside the value they belong to."""
    predictor.trust = make_trust(Task.regression, half_width=0.25)
    predict_files(predictor, [photo("a.png")], tmp_path / "a.csv", progress=SilentProgress())
    table = pd.read_csv(tmp_path / "a.csv")
    answer = predictor.predict(tmp_path / "a.png")
    assert table.loc[0, ["lower", "upper"]].tolist() == pytest.approx([answer.lower, answer.upper], rel=1e-5)
    assert answer.lowers == {"fresh_weight": answer.lower}


def test_tally_counts_what_became_of_the_images() -> None:
    """Answers, verdicts, reasons and failures of all batches; the first failure is kept in words."""
    tally = Tally()
    tally.add([Prediction("a", verdict="accept"), Prediction("b", verdict="review", reasons=(Reason.blurred,))])
    tally.add([Prediction("c", error="empty"), Prediction("d", error="broken")])
    tally.add([Prediction("e", verdict="reject", reasons=(Reason.no_plant, Reason.blurred))])
    assert (tally.answered, tally.failed, tally.first_error) == (3, 2, "'c': empty")
    assert dict(tally.verdicts) == {"accept": 1, "review": 1, "reject": 1}
    assert tally.reasons.most_common(1) == [(Reason.blurred, 2)]


def test_model_without_trust_gives_no_verdict(predictor, photo, tmp_path) -> None:
    """The columns are there and empty, and nothing is counted."""
    tally = predict_files(predictor, [photo("a.png")], tmp_path / "a.csv", progress=SilentProgress())
    table = pd.read_csv(tmp_path / "a.csv")
    assert table[["verdict", "reasons", "novelty"]].isna().all(axis=None)
    assert not tally.verdicts
