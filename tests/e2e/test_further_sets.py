"""Further sets from the settings to the report, the tables and the model card, and the same answers everywhere."""

import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from factories.images import write_image
from factories.runs import Sentences, draw_mixed_folder, draw_mixed_photo, run_command, run_tiny, run_words
from phytoscope.errors import DataNotFoundError
from phytoscope.predict.package import load_package
from phytoscope.schema.run_folder import STEPS, RunFolder
from phytoscope.steps import read_report

MORE = ["package.onnx=never", "evaluate.bootstrap=50", "evaluate.explanations=0", "evaluate.robustness=0"]


@dataclass(frozen=True)
class Finished:
    """A finished run with two further sets."""

    run: RunFolder
    said: Sentences
    words: list[str]
    place: Path


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Finished:
    """Dark and bright photographs, the same from elsewhere under other names, and pictures of nothing."""
    place = tmp_path_factory.mktemp("further-sets")
    data = draw_mixed_folder(place / "data", per_class=24)
    rng = np.random.default_rng(5)
    for name, brightness in (("DARK", 0.4), ("sunny", 0.9)):
        for number in range(6):
            draw_mixed_photo(place / "garden" / name / f"{number}.jpg", 0, brightness, rng)
    for number in range(4):
        write_image(place / "nothing" / f"{number}.png", seed=number, height=70, width=70)
    sets = f"evaluate.external=[garden={place / 'garden'},nothing={place / 'nothing'}]"
    words = run_words(data, place / "run", *MORE, sets, "evaluate.class_map=[sunny=bright]")
    run, said = run_tiny(words)
    return Finished(run, said, words, place)


def test_report_holds_every_set(finished) -> None:
    """Labelled and unlabelled sets stand beside the test split, in the order of the settings."""
    garden, nothing = read_report(finished.run).external
    assert (garden.name, garden.n, garden.n_labelled) == ("garden", 12, 12)
    assert garden.class_map == {"DARK": "dark", "sunny": "bright"}
    assert garden.metric("accuracy").low is not None
    assert (nothing.name, nothing.n, nothing.n_labelled) == ("nothing", 4, 0)
    assert sum(nothing.trust.verdicts.shares.values()) == pytest.approx(1)
    assert "garden" in finished.run.report_page.read_text(encoding="utf-8")
    card = (finished.run.package / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert "On `garden`" in card
    assert "Of `nothing`, whose truth is not known" in card


def test_package_says_the_same(finished) -> None:
    """The table of a further set, the package and the command line give each image one answer and one verdict."""
    table = pd.read_parquet(finished.run.external / "garden.parquet")
    predictor = load_package(finished.run.package)
    answers = [predictor.predict(path) for path in table["path"]]
    np.testing.assert_allclose(table["probability"], [answer.probability for answer in answers], rtol=1e-5)
    np.testing.assert_allclose(table["novelty"], [answer.novelty for answer in answers], rtol=1e-3)
    assert table["verdict"].tolist() == [answer.verdict for answer in answers]
    assert table["reasons"].tolist() == [" ".join(answer.reasons) for answer in answers]


def test_changed_set_is_measured_again(finished, tmp_path) -> None:
    """Nothing is done twice; another photograph in a set means evaluation and package, and no training."""
    shutil.copytree(finished.place / "garden", tmp_path / "garden")
    words = [word.replace(str(finished.place / "garden"), str(tmp_path / "garden")) for word in finished.words]
    shutil.copytree(finished.run.root, tmp_path / "run")
    words.append(f"paths.run_dir={tmp_path / 'run'}")
    run_tiny(words)
    assert run_tiny(words)[1].reused() == list(STEPS)
    (tmp_path / "garden" / "DARK" / "0.jpg").unlink()
    run, said = run_tiny(words)
    assert said.done() == ["evaluate", "package"]
    assert read_report(run).external[0].n == 11


def test_wrong_place_costs_no_training(finished, tmp_path) -> None:
    """The command ends before anything is prepared."""
    words = [*finished.words, f"evaluate.external=[garden={tmp_path / 'none'}]", f"paths.run_dir={tmp_path / 'run'}"]
    with pytest.raises(DataNotFoundError, match=r"evaluate\.external garden"):
        run_tiny([word for word in words if not word.startswith("evaluate.class_map")])
    assert not (tmp_path / "run" / "manifest.parquet").exists()


@pytest.mark.slow
def test_command_tells_of_every_set(finished) -> None:
    """The end of a run says in words how each further set went."""
    result = run_command("evaluate", *finished.words)
    assert result.returncode == 0, result.stderr
    assert "On `garden`" in result.stdout
    assert "Of `nothing`, whose truth is not known, it rejects" in result.stdout
