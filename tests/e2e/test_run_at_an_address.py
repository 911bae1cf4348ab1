"""A run and a cache in a bucket: published step by step, and continued by a machine that has never seen them."""

import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from phytoscope.data.cache import square_work
from phytoscope.data.facts import side_by_side
from phytoscope.errors import ArtifactError
from phytoscope.storage.lease import Lease
from phytoscope.storage.mirror import INDEX_KEY, LEASE_KEY, find_address
from phytoscope.storage.publishing import ObjectFolder
from tests.factories.object_store import Manner, ObjectStore, object_store
from tests.factories.runs import TINY, command, draw_mixed_folder, record_calls, run_tiny


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectStore]:
    """One server for all tests of the module."""
    with object_store(tmp_path_factory.mktemp("store")) as running:
        running.make_bucket("lab")
        yield running


@pytest.fixture(autouse=True)
def _environment(store: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name, value in store.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "first"))
    yield
    store.faults.clear()


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Settings of a small folder of photographs."""
    return draw_mixed_folder(tmp_path_factory.mktemp("photos"), per_class=12)


def _words(photos: list[str], name: str) -> list[str]:
    return [*photos, *TINY, f"paths.run_dir=s3://lab/{name}", "paths.cache_dir=s3://lab/cache"]


def _wait_for(name: str, run: ObjectFolder, process: "subprocess.Popen[str]") -> None:
    # A file has its name before the index tells of it, and only then it counts.
    for _ in range(3000):
        if f'"{name}"'.encode() in (run.read(INDEX_KEY) or b""):
            return
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.1)
    pytest.fail(f"{name} was never published")


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="kill -9 is of POSIX")
def test_another_machine_goes_on_after_a_kill(
    photos: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that is killed behind `train` goes on elsewhere: both steps are reused and nothing is decoded again."""
    words, lab = _words(photos, "killed"), ObjectFolder("s3://lab")
    program = command("run", *words)
    process = subprocess.Popen(program, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    _wait_for("steps/train.json", ObjectFolder("s3://lab/killed"), process)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "second"))
    decoded: list[tuple[object, ...]] = []
    monkeypatch.setattr(square_work, "read_photo", record_calls(square_work.read_photo, decoded))
    run, sentences = run_tiny(words)
    assert sentences.reused()[:2] == ["prepare", "train"]
    assert decoded == []
    assert lab.read("killed/report.json") == run.report.read_bytes()
    assert lab.read("killed/package/package.json") == (run.package / "package.json").read_bytes()
    assert find_address(run.package) == "s3://lab/killed/package"


def test_a_cache_at_an_address_is_shared(photos: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What one machine has looked at and decoded, another one does not look at or decode again."""
    run_tiny(_words(photos, "one"), "prepare")
    run_tiny(_words(photos, "one"), "train")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "second"))
    looked: list[tuple[object, ...]] = []
    decoded: list[tuple[object, ...]] = []
    monkeypatch.setattr(square_work, "read_photo", record_calls(square_work.read_photo, decoded))
    monkeypatch.setattr(side_by_side, "look_at_file", record_calls(side_by_side.look_at_file, looked))
    run_tiny(_words(photos, "two"), "prepare")
    run_tiny(_words(photos, "two"), "train")
    assert looked == []
    assert decoded == []


@pytest.mark.parametrize("manner", [Manner.throttled, Manner.cut, Manner.refusing])
def test_a_bad_network_is_survived(store: ObjectStore, photos: list[str], manner: Manner) -> None:
    """Requests that are throttled, cut or refused are made again, and what is published is whole."""
    store.faults.plan(manner, times=4)
    run, _ = run_tiny(_words(photos, f"network-{manner.value}"), "prepare")
    store.faults.clear()
    assert ObjectFolder(f"s3://lab/network-{manner.value}").read("manifest.parquet") == run.manifest.read_bytes()


def test_one_machine_at_a_time(photos: list[str]) -> None:
    """A second machine is told that the run is being worked on."""
    lease = Lease(ObjectFolder("s3://lab/busy"), LEASE_KEY)
    lease.acquire()
    try:
        with pytest.raises(ArtifactError, match="another phytoscope process works in 's3://lab/busy'"):
            run_tiny(_words(photos, "busy"), "prepare")
    finally:
        lease.release()


def test_runs_at_an_address_are_found_again(photos: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With `paths.runs_dir` at an address the latest run with the same settings goes on, on another machine too."""
    words = [*photos, *TINY, "paths.runs_dir=s3://lab/runs"]
    first, _ = run_tiny(words, "prepare")
    address = find_address(first.root)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "second"))
    second, sentences = run_tiny(words, "prepare")
    assert find_address(second.root) == address
    assert address is not None
    assert sentences.reused() == ["prepare"]
