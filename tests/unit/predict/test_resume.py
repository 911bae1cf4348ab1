"""A prediction that was interrupted goes on where it was."""

import errno
import json
import os
import random
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import filelock
import pandas as pd
import pytest
import torch

from factories.far_engine import FarEngine
from factories.packages import make_package
from phytoscope.errors import ConfigError, PackageError, StorageError
from phytoscope.predict import batch_spool, batch_work
from phytoscope.predict.batch import BatchPlan, predict_sources
from phytoscope.predict.batch_tally import Tally
from phytoscope.predict.batch_work import PredictWork
from phytoscope.predict.table_writer import TableForm
from phytoscope.schema.choices import Precision, Runtime
from phytoscope.schema.progress import SilentProgress

COUNT = 40
SUFFIXES = [".csv", ".jsonl", ".parquet"]


class StopError(Exception):
    """Somebody presses a key."""


class Stopping(SilentProgress):
    """Stops after some images."""

    def __init__(self, after: int) -> None:
        """Counts from here."""
        self.left, self.counted = after, []

    def advance(self, units: int = 1, note: str = "") -> None:
        """Stops when it is time."""
        self.counted.append(units)
        self.left -= units
        if self.left <= 0:
            raise StopError(note)


@pytest.fixture
def folder(photo, tmp_path) -> Path:
    """Photographs, one of them broken."""
    for number in range(COUNT):
        photo(f"photos/{number:03d}.png")
    (tmp_path / "photos" / "007.png").write_bytes(b"x")
    return tmp_path / "photos"


def read(path: Path) -> pd.DataFrame:
    """Reads a table of any kind, numbers rounded as another batch may round them."""
    readers = {".csv": pd.read_csv, ".parquet": pd.read_parquet, ".jsonl": lambda path: pd.read_json(path, lines=True)}
    return readers[path.suffix](path).round(4).astype(str)


def run(predictor, sources, output: Path, *, progress=None, **plan) -> tuple[Tally, list[str]]:
    """Answers; gives what was counted and what was said."""
    said: list[str] = []
    plan = BatchPlan(**{"batch_size": 3, "workers": 2, "say": said.append, **plan})
    return predict_sources(predictor, sources, output, plan, progress=progress or SilentProgress()), said


def stop(predictor, sources, output: Path, after: int) -> None:
    """Answers and is stopped."""
    with pytest.raises(StopError):
        run(predictor, sources, output, progress=Stopping(after))


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("after", [[1], [3], [39], [10, 10, 10], [1, 1, 1, 1]])
def test_every_row_once_and_in_order(predictor, folder, tmp_path, monkeypatch, suffix, after) -> None:
    """However often it is stopped, the table is that of one call, and nothing else is left."""
    monkeypatch.setattr(batch_spool, "_SECONDS", 0.0)
    output = tmp_path / "out" / f"a{suffix}"
    for count in after:
        stop(predictor, [folder], output, count)
        assert not output.exists()
    tally, said = run(predictor, [folder], output)
    expected, _ = run(predictor, [folder], tmp_path / f"b{suffix}")
    pd.testing.assert_frame_equal(read(output), read(tmp_path / f"b{suffix}"))
    assert tally == expected
    assert (tally.answered, tally.failed) == (COUNT - 1, 1)
    assert any("goes on" in sentence for sentence in said)
    assert [path.name for path in output.parent.iterdir()] == [output.name]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_stop_in_the_middle_of_writing(classifier, folder, tmp_path, monkeypatch, suffix) -> None:
    """A key that is pressed while rows are written loses none of them and doubles none."""
    output, method = tmp_path / f"a{suffix}", "tabulate" if suffix == ".parquet" else "encode"
    write, calls = getattr(TableForm, method), []

    def stop_later(form: TableForm, rows: object) -> object:
        calls.append(rows)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return write(form, rows)

    with monkeypatch.context() as patch:
        patch.setattr(TableForm, method, stop_later)
        with pytest.raises(KeyboardInterrupt):
            run(classifier, [folder], output)
    run(classifier, [folder], output)
    assert [Path(path).name for path in read(output)["path"]] == [f"{number:03d}.png" for number in range(COUNT)]


def test_damaged_member_of_an_archive_is_no_change(classifier, folder, tmp_path) -> None:
    """An archive that holds a member which cannot be unpacked is gone on with like any other."""
    archive = tmp_path / "photos.zip"
    with zipfile.ZipFile(archive, "w") as stream:
        for path in sorted(folder.iterdir()):
            stream.write(path, path.name)
        start = stream.getinfo("002.png").header_offset
    content = bytearray(archive.read_bytes())
    content[start + 60] ^= 255
    archive.write_bytes(content)
    stop(classifier, [archive], tmp_path / "a.csv", 20)
    tally, said = run(classifier, [archive], tmp_path / "a.csv")
    assert "goes on" in said[0]
    assert tally.failed == 2


def test_what_is_answered_is_not_read_again(classifier, folder, tmp_path) -> None:
    """The rest alone is computed."""
    stop(classifier, [folder], tmp_path / "a.csv", 20)
    progress = Stopping(1000)
    _, said = run(classifier, [folder], tmp_path / "a.csv", progress=progress)
    (sentence,) = said
    done = int(sentence.split(":")[1].split()[0])
    assert done >= 20
    assert progress.counted[0] == done
    assert sum(progress.counted) == COUNT


@pytest.mark.parametrize("change", ["content", "order", "option", "overwrite", "state", "rows", "no rows"])
def test_changed_inputs_start_anew(classifier, folder, photo, tmp_path, change) -> None:
    """An answer for another image, model or setting is never taken, and it is said why."""
    output, sources, plan = tmp_path / "a.csv", [folder], {}
    stop(classifier, sources, output, 20)
    place = tmp_path / ".a.csv.partial"
    if change == "content":
        os.utime(folder / "002.png", ns=(1, 1))
    elif change == "order":
        photo("photos/000a.png")
    elif change == "option":
        plan = {"probs": True}
    elif change == "overwrite":
        plan = {"fresh": True}
    elif change == "state":
        (place / "state.json").write_text("{")
    elif change == "rows":
        (place / "rows").write_bytes(b"")
    else:
        (place / "rows").unlink()
    tally, said = run(classifier, sources, output, **plan)
    run(classifier, sources, tmp_path / "b.csv", **plan)
    pd.testing.assert_frame_equal(read(output), read(tmp_path / "b.csv"))
    assert tally.answered == len(read(output)) - 1
    assert not place.exists()
    assert len(said) == (0 if change == "overwrite" else 1)
    assert all("anew" in sentence for sentence in said)


def test_lost_part_starts_anew(classifier, folder, tmp_path) -> None:
    """Rows of a Parquet file wait in parts."""
    stop(classifier, [folder], tmp_path / "a.parquet", 20)
    (tmp_path / ".a.parquet.partial" / "part-000000.parquet").unlink()
    _, said = run(classifier, [folder], tmp_path / "a.parquet")
    assert said == ["rows of an interrupted prediction are missing: all images are answered anew"]
    assert len(read(tmp_path / "a.parquet")) == COUNT


def test_images_added_behind_are_answered_too(classifier, folder, photo, tmp_path) -> None:
    """What comes after the answered ones may change."""
    stop(classifier, [folder], tmp_path / "a.csv", 20)
    photo("photos/zzz.png")
    tally, said = run(classifier, [folder], tmp_path / "a.csv")
    assert "goes on" in said[0]
    assert tally.answered + tally.failed == COUNT + 1


def test_two_at_once(classifier, folder, tmp_path) -> None:
    """The second one is refused."""
    (tmp_path / ".a.csv.partial").mkdir()
    with (
        filelock.FileLock(tmp_path / ".a.csv.partial" / "lock"),
        pytest.raises(ConfigError, match=r"another process writes .*a\.csv' now"),
    ):
        run(classifier, [folder], tmp_path / "a.csv")


_CHILD = """
import json, sys
from pathlib import Path
from phytoscope.predict import batch_spool
from phytoscope.predict.batch import BatchPlan, predict_sources
from phytoscope.predict.package import load_package
from phytoscope.schema.progress import SilentProgress

batch_spool._SECONDS = 0.02
package, source, output = sys.argv[1:]
predictor = load_package(Path(package))
print("ready", flush=True)
plan = BatchPlan(batch_size=4, workers=2)
tally = predict_sources(predictor, [Path(source)], Path(output), plan, progress=SilentProgress())
print(json.dumps(tally.to_dict()), flush=True)
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "suffix"), [(signal.SIGKILL, ".csv"), (signal.SIGKILL, ".parquet"), (signal.SIGINT, ".csv")]
)
def test_killed_again_and_again(photo, tmp_path, kind, suffix) -> None:
    """A real process is killed at any moment until one gets through: every row once and in order."""
    make_package(tmp_path / "package")
    photos = [photo(f"{number}.png") for number in range(7)]
    (tmp_path / "list.txt").write_text("\n".join(str(photos[number % 7]) for number in range(900)))
    output = tmp_path / f"a{suffix}"
    command = [sys.executable, "-c", _CHILD, str(tmp_path / "package"), str(tmp_path / "list.txt"), str(output)]
    rng, rows = random.Random(0), [0]
    for kills in range(30):
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            if kills < 3:
                time.sleep(rng.uniform(0.05, 0.4))
                process.send_signal(kind)
            text = process.stdout.read()
        if process.returncode == 0:
            break
        assert not output.exists()
        state = tmp_path / f".a{suffix}.partial" / "state.json"
        rows.append(json.loads(state.read_text())["rows"] if state.exists() else 0)
    assert process.returncode == 0
    assert rows == sorted(rows), "nothing that was kept is lost"
    assert json.loads(text)["answered"] == 900
    found = pd.read_csv(output) if suffix == ".csv" else pd.read_parquet(output)
    assert found["path"].tolist() == [str(photos[number % 7]) for number in range(900)]
    assert found.groupby("path")["probability"].std().max() < 1e-5
    assert not (tmp_path / f".a{suffix}.partial").exists()


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_state_that_could_not_be_written_is_written_when_it_ends(
    classifier, folder, tmp_path, monkeypatch, suffix
) -> None:
    """A disk that was full for a moment costs the call and no row: the next one goes on behind them."""
    write, faults = batch_spool.write_json, [OSError(errno.ENOSPC, "No space left on device")]

    def fill(path, content):
        if faults:
            raise faults.pop()
        write(path, content)

    monkeypatch.setattr(batch_spool, "_SECONDS", 0.0)
    monkeypatch.setattr(batch_spool, "write_json", fill)
    output = tmp_path / f"o{suffix}"
    with pytest.raises(StorageError, match="disk is full"):
        run(classifier, [folder], output)
    _, said = run(classifier, [folder], output)
    assert said == ["an interrupted prediction goes on: 3 images are answered already"]
    run(classifier, [folder], tmp_path / f"whole{suffix}")
    pd.testing.assert_frame_equal(read(output), read(tmp_path / f"whole{suffix}"))


def test_work_is_sent_to_another_engine_without_the_model(folder, tmp_path) -> None:
    """Elsewhere the package is loaded and proves itself; the table is that of this process, archives included."""
    predictor = make_package(tmp_path / "package")
    with zipfile.ZipFile(tmp_path / "more.zip", "w") as archive:
        archive.write(folder / "001.png", "inside.png")
    sources = [folder, tmp_path / "more.zip"]
    run(predictor, sources, tmp_path / "here.csv")
    engine = FarEngine(lose_every=0)
    run(predictor, sources, tmp_path / "there.csv", engine=engine, package=str(tmp_path / "package"))
    pd.testing.assert_frame_equal(read(tmp_path / "there.csv"), read(tmp_path / "here.csv"))
    assert engine.titles == ["predict"]
    assert engine.largest_work_bytes < 10_000


def test_model_without_a_package_cannot_be_sent(classifier, folder, tmp_path) -> None:
    """That is said with what to do."""
    with pytest.raises(PackageError, match="save it first"):
        run(classifier, [folder], tmp_path / "o.csv", engine=FarEngine())


def test_another_runtime_is_equipped_where_the_work_is_done(tmp_path, monkeypatch) -> None:
    """The work names its runtime and its threads, and the model there is given an engine of that kind."""
    asked = []
    monkeypatch.setattr(batch_work, "equip_predictor", lambda *words, cores: asked.append((*words[2:], cores)))
    make_package(tmp_path / "package")
    threads = torch.get_num_threads()
    work = PredictWork(None, str(tmp_path / "package"), Runtime.openvino, Precision.float32, 2, computing=(threads, 3))
    work.open(1)
    assert asked == [(Runtime.openvino, Precision.float32, 3)]
