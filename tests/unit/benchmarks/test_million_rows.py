"""Tests of what the benchmark of a million rows tells from its samples."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

SCRIPT = Path(__file__).resolve().parents[3] / "benchmarks" / "million_rows.py"


@pytest.fixture(scope="module")
def million():
    pytest.importorskip("psutil")
    spec = importlib.util.spec_from_file_location("million_rows", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules["million_rows"] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules["million_rows"]


def _samples(million, *, leak_mb=0.0, slower=1.0):
    cpu, samples = 5.0, []
    for number in range(51):
        samples.append(million.Sample(10 + 2.0 * number, 100 * number, cpu, 500 + leak_mb * number, 1))
        cpu += 0.4 * (slower if number > 25 else 1.0)
    return [*samples, million.Sample(120, 5000, cpu, 9000, 0)]


def test_even_work_is_called_flat(million):
    """The same pace and memory from first to last give both verdicts; loading and the end count for no tenth."""
    tenths = million.divide(_samples(million), 5000)
    assert [one.rows for one in tenths] == [500] * 10
    assert {round(one.cpu_ms, 6) for one in tenths} == {4.0}
    assert {round(one.images_per_s, 6) for one in tenths} == {50.0}
    assert max(one.rss_mb for one in tenths) == 500
    found = million.judge(tenths)
    assert found["memory_flat"]
    assert found["cost_constant"]


def test_leak_is_found(million):
    """Memory that grows by a megabyte a sample is no flat memory."""
    found = million.judge(million.divide(_samples(million, leak_mb=1.0), 5000))
    assert found["growth_mb"] == pytest.approx(40)
    assert not found["memory_flat"]


def test_slowing_down_is_found(million):
    """A second half that takes half as much again is not constant."""
    found = million.judge(million.divide(_samples(million, slower=1.5), 5000))
    assert found["cpu_last_over_first"] == pytest.approx(1.5)
    assert not found["cost_constant"]


def test_too_few_samples_are_refused(million):
    """From one sample nothing can be told."""
    with pytest.raises(SystemExit, match="more rows"):
        million.divide([million.Sample(1, 10, 1, 1, 1), million.Sample(2, 10, 2, 1, 0)], 10)


@pytest.mark.parametrize("fault", ["", "lost", "twice", "swapped", "answer"])
def test_faults_of_the_output_are_found(million, tmp_path, fault):
    """A row that is lost, doubled or in another place, and a photograph with two answers, are seen."""
    names = [f"photos/{row % 3}.jpg" for row in range(9)]
    found, answers = [str(tmp_path / name) for name in names], [name[-5] for name in names]
    if fault == "lost":
        found, answers = found[:-1], answers[:-1]
    elif fault == "twice":
        found, answers = [*found, found[0]], [*answers, answers[0]]
    elif fault == "swapped":
        found[0], found[1] = found[1], found[0]
        answers[0], answers[1] = answers[1], answers[0]
    elif fault == "answer":
        answers[8] = "other"
    listed, output = tmp_path / "list.parquet", tmp_path / "answers.parquet"
    pq.write_table(pa.table({"path": names}), listed)
    columns = {"path": found, "prediction": answers, "probability": [0.5] * len(found)}
    pq.write_table(pa.table({**columns, "verdict": ["accept"] * len(found)}), output)
    told = million.compare(listed, output)
    assert told["every_row_once_in_order"] == (fault not in {"lost", "twice", "swapped"})
    assert told["one_answer_a_photograph"] == (fault != "answer")


def test_processor_time_of_ended_processes_is_kept(million):
    """What a child took is counted after its end, too."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        tree = million.TreeWatch(os.getpid())
        before, memory_mb, count = tree.look()
        child.communicate(b"\n")
    after, _, left = tree.look()
    assert count == left + 1
    assert memory_mb > 1
    assert after >= before
