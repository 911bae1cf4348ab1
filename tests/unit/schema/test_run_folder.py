"""A step is done when what it wrote is still there as it was, and one process at a time works in a folder."""

import subprocess
import sys
from pathlib import Path

import pytest

from phytoscope.errors import ArtifactError, StorageError
from phytoscope.schema.run_folder import STEPS, RunFolder

HOLD = (
    "import sys\n"
    "from pathlib import Path\n"
    "from phytoscope.schema.run_folder import RunFolder\n"
    "with RunFolder(Path(sys.argv[1])).locked():\n"
    "    print('locked', flush=True)\n"
    "    sys.stdin.read()\n"
)


@pytest.fixture
def run(tmp_path):
    """A run whose first step is done: a file and a folder with a file."""
    run = RunFolder(tmp_path / "run")
    run.figures.mkdir(parents=True)
    run.history.write_text("epoch\n1\n", encoding="utf-8")
    (run.figures / "loss.svg").write_text("<svg/>", encoding="utf-8")
    run.mark_done("prepare", "abc", [run.history, run.figures], seconds=1.5)
    return run


def test_finished_step_is_done(run):
    """With the inputs it was made from, and no others."""
    assert run.is_done("prepare", "abc")
    assert not run.is_done("prepare", "abd")
    assert not run.is_done("train", "abc")
    assert run.read_inputs("prepare") == "abc"


def test_moved_folder_is_still_done(run):
    """A run may be moved or copied elsewhere."""
    moved = run.root.rename(run.root.with_name("moved"))
    assert RunFolder(moved).is_done("prepare", "abc")


@pytest.mark.parametrize("damage", ["changed", "emptied", "cut", "removed", "became_a_folder"])
@pytest.mark.parametrize("name", ["history.csv", "figures/loss.svg"])
def test_step_with_a_damaged_output_is_not_done(run, damage, name):
    """What was changed by hand or by a broken disk is made again."""
    path = run.root / name
    if damage in ("removed", "became_a_folder"):
        path.unlink()
    if damage == "became_a_folder":
        path.mkdir()
    elif damage != "removed":
        path.write_text({"changed": "epoch\n2\n", "emptied": "", "cut": "ep"}[damage], encoding="utf-8")
    assert not run.is_done("prepare", "abc")


@pytest.mark.parametrize("text", ["", '{"inputs": "abc"', "{}", "[]", "null", '{"inputs": "abc", "outputs": 3}', "\0"])
def test_step_with_a_damaged_record_is_not_done(run, text):
    """A record that cannot be believed means that the step is taken again, not a crash."""
    run.record("prepare").write_text(text, encoding="utf-8")
    assert not run.is_done("prepare", "abc")


def test_unfinished_step_is_named(run):
    """The message holds the command to run."""
    with pytest.raises(ArtifactError, match=r"'train' is not finished .*run `phytoscope train`"):
        run.read_inputs("train")


def test_output_that_was_not_written_is_not_recorded(run):
    """A step cannot be done with a file that is not there."""
    with pytest.raises(ArtifactError, match=r"report.json"):
        run.mark_done("evaluate", "abc", [run.report], seconds=1.0)
    assert not run.is_done("evaluate", "abc")


def test_starting_a_step_forgets_the_later_ones(run):
    """What was made from an old model is not taken for the new one's."""
    for step in STEPS:
        run.mark_done(step, "abc", [run.history], seconds=0.0)
    run.mark_undone("train")
    assert [run.is_done(step, "abc") for step in STEPS] == [True, False, False, False]
    run.mark_undone("train")


def test_second_process_is_kept_out(tmp_path):
    """While one process works, another is told so at once; when it has gone, even killed, the folder is free."""
    run = RunFolder(tmp_path / "run")
    command = [sys.executable, "-c", HOLD, str(run.root)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "locked\n"
        with pytest.raises(ArtifactError, match=r"another phytoscope process works in .*choose another paths.run_dir"):
            run.locked().__enter__()
        other.kill()
    with run.locked():
        pass


def test_leftovers_are_cleared(run):
    """What a killed process left half written goes, in the folder and one below."""
    (run.root / ".manifest.parquet.abcd1234.tmp.parquet").write_text("half", encoding="utf-8")
    (run.root / ".package.abcd1234.tmp").mkdir()
    (run.record("prepare").parent / ".train.json.abcd1234.tmp.json").write_text("half", encoding="utf-8")
    with run.locked():
        assert not [path for path in run.root.rglob("*") if ".tmp" in path.name]
        assert run.is_done("prepare", "abc")


def test_package_that_was_put_aside_comes_back(run):
    """A process killed between two renamings has not cost the old package."""
    (run.root / ".package.abcd1234.old").mkdir()
    (run.root / ".package.abcd1234.old" / "model.onnx").write_text("old", encoding="utf-8")
    with run.locked():
        assert (run.package / "model.onnx").read_text(encoding="utf-8") == "old"


def test_folder_of_something_else_is_left_alone(tmp_path):
    """A folder with the user's own files is not worked in, and nothing in it is touched."""
    (tmp_path / "package").mkdir()
    (tmp_path / ".thesis.abcd1234.tmp").write_text("mine", encoding="utf-8")
    with pytest.raises(ArtifactError, match=r"not the folder of a run and not empty .*'package'"):
        RunFolder(tmp_path).locked().__enter__()
    assert sorted(path.name for path in tmp_path.iterdir()) == [".thesis.abcd1234.tmp", "package"]


def test_new_and_empty_folders_are_taken(tmp_path):
    """A run folder is made where none is."""
    (tmp_path / "empty").mkdir()
    for folder in (tmp_path / "empty", tmp_path / "new" / "deep"):
        with RunFolder(folder).locked():
            assert folder.is_dir()


def test_places_that_cannot_be_written_are_named(tmp_path):
    """A file in the way and a read-only place give a sentence."""
    (tmp_path / "file").write_text("mine", encoding="utf-8")
    places = [tmp_path / "file"] + ([Path("/proc/phytoscope")] if Path("/proc").is_dir() else [])
    for place in places:
        with pytest.raises(StorageError, match="cannot write"):
            RunFolder(place).locked().__enter__()
    assert (tmp_path / "file").read_text(encoding="utf-8") == "mine"


def test_all_names_lie_inside(tmp_path):
    """Nothing is written outside the folder of the run."""
    run = RunFolder(tmp_path)
    places = [getattr(run, name) for name, value in vars(RunFolder).items() if isinstance(value, property)]
    assert len(places) > 10
    assert all(place.is_relative_to(tmp_path) for place in places)


@pytest.mark.parametrize("text", ["[]", "{}", '{"outputs": {}}'])
def test_inputs_of_a_damaged_record_match_nothing(run, text):
    """A record without inputs never looks like one of the present settings."""
    run.record("prepare").write_text(text, encoding="utf-8")
    assert run.read_inputs("prepare") != "abc"


def test_record_that_cannot_be_taken_away_is_a_fault_of_the_place(run):
    """A step must not start to write while an old record says that it is done."""
    run.record("train").mkdir(parents=True)
    with pytest.raises(StorageError, match=r"train\.json"):
        run.mark_undone("train")
