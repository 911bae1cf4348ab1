"""What the tutorials, explanations and the German quick start say: commands exist, claims follow from their scripts.

Commands are run to the letter by `test_readme.py`, which names these pages in its list.
"""

import importlib.util
import re
import shlex
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import typer

from phytoscope import cli
from phytoscope.cli.compose import compose
from phytoscope.schema.verdict import REASON_WORDS

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = sorted([*DOCS.glob("tutorials/*.md"), *DOCS.glob("explanations/*.md"), *DOCS.glob("de/*.md")])
_BLOCK = re.compile(r"^ *```(?:bash|console)\n(.*?)^ *```", re.MULTILINE | re.DOTALL)
_SETTING = re.compile(r"[a-z_]+(\.[a-z_]+)*=")
_COMPOSED = {"run", "train", "evaluate", "prepare", "cross-validate", "inspect"}


def list_commands():
    """Each phytoscope command of the pages, as words, with the page it stands on."""
    found = []
    for page in PAGES:
        for block in _BLOCK.findall(page.read_text(encoding="utf-8")):
            lines = [shlex.split(line, comments=True) for line in block.replace("\\\n", " ").splitlines()]
            found += [(page.name, words[1:]) for words in lines if words[:1] == ["phytoscope"]]
    return found


def load_script(name, monkeypatch):
    """A script of docs/ as a module."""
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    spec = importlib.util.spec_from_file_location(name, DOCS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(("page", "words"), list_commands())
def test_each_command_is_understood(page, words) -> None:
    """Command, options and settings exist, also where nobody can run them here."""
    command, left = typer.main.get_command(cli.app), list(words)
    while hasattr(command, "commands"):
        assert left, page
        assert left[0] in command.commands, (page, words)
        command = command.commands[left.pop(0)]
    context = command.context_class(command, info_name=command.name)
    command.make_parser(context).parse_args([word for word in left if word != "..."])
    # Where the run lies is left out: a folder at an address would be asked for its settings.
    settings = [word for word in left if _SETTING.match(word) and not word.startswith("paths.")]
    if command.name in _COMPOSED and any(word.startswith("data=") for word in settings):
        compose(settings)


def test_all_pages_have_commands_or_links() -> None:
    """The pages were found; a moved folder would make the test above empty."""
    assert {"cluster.md", "few_photos.md", "schnellstart.md", "random_splits.md"} <= {page.name for page in PAGES}
    assert len(list_commands()) >= 30


def test_random_folds_flatter_more_with_more_photographs(monkeypatch) -> None:
    """The claim of the page on random splits: only the random score grows, the truth does not."""
    script = load_script("make_explanation_pictures", monkeypatch)
    scores = {photos: np.mean([script.score_folds(photos, seed) for seed in range(4)], axis=0) for photos in (1, 3, 10)}
    random, by_plant, new = (np.array([scores[photos][place] for photos in (1, 3, 10)]) for place in range(3))
    assert random[0] < 0.66
    assert random[1] > new[1] + 0.15
    assert random[2] > new[2] + 0.2
    assert np.abs(by_plant - new).max() < 0.08


def test_promise_holds_by_plant_and_not_by_photograph(monkeypatch) -> None:
    """The claim of the page on prediction sets, for new plants."""
    script = load_script("make_explanation_pictures", monkeypatch)
    held = np.mean([script.hold(20, np.random.default_rng([20, time])) for time in range(200)], axis=0)
    assert held[0] < 0.84
    assert 0.9 <= held[1] < 0.96


@pytest.mark.parametrize("page", ["random_splits.md", "prediction_sets.md"])
def test_tables_of_explanations_name_their_script(page) -> None:
    """Whoever doubts a number can make it again."""
    assert "`python docs/make_explanation_pictures.py`" in (DOCS / "explanations" / page).read_text(encoding="utf-8")


def test_few_photographs_are_as_many_as_the_tutorial_says(monkeypatch, tmp_path) -> None:
    """50, 120 and 90 photographs; a listed one is filed with its sister, where the answers say."""
    script = load_script("draw_practice_photos", monkeypatch)
    monkeypatch.setattr(script, "_SIZE_PX", 32)
    few = tmp_path / "few"
    script.main(["few", str(few)])
    counts = {part: len(list((few / part).rglob("*.jpg"))) for part in ("first", "unlabelled", "later")}
    assert counts == {"first": 50, "unlabelled": 120, "later": 90}
    answers = pd.read_csv(few / "answers.csv").set_index("file")["class"]
    listed = sorted((few / "unlabelled").iterdir())[0]
    pd.DataFrame({"path": [str(listed)]}).to_csv(tmp_path / "list.csv", index=False)
    script.main(["label", str(few), str(tmp_path / "list.csv")])
    leaf = listed.name.partition("_")[0]
    filed = sorted((few / "first" / answers[listed.name]).glob(f"{leaf}_*.jpg"))
    assert [path.name for path in filed] == [f"{leaf}_1.jpg", f"{leaf}_2.jpg"]
    assert len(list((few / "unlabelled").iterdir())) == 118


def test_unknown_words_of_the_drawing_script_are_refused(monkeypatch, tmp_path) -> None:
    """It shows how it is used."""
    script = load_script("draw_practice_photos", monkeypatch)
    with pytest.raises(SystemExit, match="Usage"):
        script.main(["plants", str(tmp_path)])


def test_every_reason_is_translated_and_explained() -> None:
    """The German page and the one on verdicts name each reason that an answer can have."""
    german = (DOCS / "de" / "schnellstart.md").read_text(encoding="utf-8")
    english = (DOCS / "explanations" / "verdicts.md").read_text(encoding="utf-8")
    for reason, words in REASON_WORDS.items():
        assert f"`{words.partition(':')[0]}`" in german, reason
        assert f"`{reason.value}`" in english, reason
        assert words.partition(":")[0] in english or words.partition(": ")[2] in english, reason
