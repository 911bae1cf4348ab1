"""`phytoscope drift` as a user calls it: look after look, truth that arrives later, and the page."""

import pandas as pd
import pytest

from factories.pages import PageReader
from factories.runs import draw_mixed_folder, run_tiny, run_words
from factories.watched import draw_photos, make_watched_package
from phytoscope.predict.package import load_package, verify_package
from phytoscope.predict.reference_files import read_reference

PATTERN = r"(plant\d+)_"


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    """A model that has learned drawn leaves; nobody changes it."""
    return make_watched_package(tmp_path_factory.mktemp("model"))


def test_a_watch_from_the_first_look_to_the_true_error(ask, package, tmp_path):
    """Quiet looks end with 0, a change with 3 and its reason, and truth that arrives later says how bad it is."""
    monitor = tmp_path / "watch"
    good = draw_photos(tmp_path / "monday", 60, seed=500, start=1000)
    blurred = draw_photos(tmp_path / "tuesday", 60, seed=501, start=1100, blur=1.5)
    words = ("--monitor", monitor, "--group-pattern", PATTERN)

    monday = ask("drift", "look", package, tmp_path / "monday", *words)
    assert (monday.code, monday.err.count("Error")) == (0, 0), monday.err
    assert "No change found (60 new photographs of 30 plants or leaves, look 1)" in monday.out
    assert "is at most 5.0\u00a0%" in monday.out

    again = ask("drift", "look", package, tmp_path / "monday", *words)
    assert again.code == 0
    assert "0 new, 60 seen before" in again.out
    assert "Nothing new" in again.out

    tuesday = ask("drift", "look", package, tmp_path / "tuesday", *words)
    assert tuesday.code == 3
    assert "sharpness" in tuesday.out
    assert "Behind it may be camera, light or distance" in tuesday.out

    truth = pd.concat([good, blurred]).assign(file=lambda rows: [path.name for path in rows["path"]])
    truth[["file", "label"]].to_csv(tmp_path / "labels.csv", index=False)
    worse = ask("drift", "truth", monitor, tmp_path / "labels.csv", "--label", "label")
    assert worse.code == 3
    assert "120 new, 0 changed" in worse.out
    assert "The answers have become worse" in worse.out

    shown = ask("drift", "show", monitor)
    assert shown.code == 0
    assert "no change" in shown.out
    assert str(monitor / "drift.html") in shown.out.replace("\n", "")

    page = PageReader((monitor / "drift.html").read_text(encoding="utf-8"))
    assert "changed, and answers have become worse" in page.plain
    assert all(address.startswith(("data:", "#")) for address in page.addresses)
    for title in ("What has changed", "How good the answers really are", "Look after look", "The most unlike"):
        assert title in page.plain
    alts = [attrs["alt"] for tag, attrs in page.tags if tag == "img"]
    assert len(alts) == 5
    assert all(alts)


def test_mistakes_are_said_without_a_traceback(ask, package, tmp_path):
    """A wrong column, a missing package or watch, and a name for the other task end with 2 and a sentence."""
    draw_photos(tmp_path / "new", 24, seed=502, start=1200)
    monitor = tmp_path / "watch"
    (tmp_path / "truth.csv").write_text("filename,label\nplant1200_0.png,sick\n", encoding="utf-8")
    cases = [
        (("show", monitor), "no model is watched"),
        (("truth", monitor, tmp_path / "truth.csv"), "no model is watched"),
        (("look", tmp_path / "nowhere", tmp_path / "new", "--monitor", monitor), "nowhere"),
        (("look", package, tmp_path / "new", "--monitor", monitor, "--group-by", "plant"), "--table"),
        (("look", package, tmp_path / "new", "--monitor", monitor, "--false-alarm", "2"), "below 0.5"),
        (("look", package, tmp_path / "new", "--monitor", monitor, "--group-pattern", "("), "--group-pattern"),
    ]
    for words, text in cases:
        answer = ask("drift", *words)
        assert answer.code == 2, answer
        assert text in answer.err.replace("\n", " ")
        assert "Traceback" not in answer.err
    assert ask("drift", "look", package, tmp_path / "new", "--monitor", monitor).code == 0
    wrong = ask("drift", "truth", monitor, tmp_path / "truth.csv", "--target", "label")
    assert wrong.code == 2
    assert "with --label" in wrong.err.replace("\n", " ")


@pytest.mark.slow
def test_a_trained_run_packs_what_new_images_are_compared_with(ask, tmp_path):
    """The whole way: the package of a run holds its reference, proves itself, and can be watched at once."""
    run, _ = run_tiny(run_words(draw_mixed_folder(tmp_path / "data"), tmp_path / "run"))
    reference = read_reference(run.package)
    predictions = pd.read_parquet(run.predictions)
    held_out = predictions[predictions["split"].isin(["calibration", "test"])]
    assert len(reference.table) == len(held_out)
    assert reference.table["novelty"].tolist() == held_out["novelty"].tolist()
    assert reference.features.shape == (len(held_out), load_package(run.package).network.feature_dim)
    assert verify_package(run.package) < 1e-3
    draw_mixed_folder(tmp_path / "new", per_class=12, seed=5)
    answer = ask("drift", "look", run.package, tmp_path / "new", "--monitor", tmp_path / "watch")
    assert answer.code == 0, answer
    assert "24 new" in answer.out
    own = ask("drift", "look", run.package, tmp_path / "data", "--monitor", tmp_path / "watch")
    assert own.code == 0
    assert "are among those that the model learned from or was measured on" in own.err.replace("\n", " ")
