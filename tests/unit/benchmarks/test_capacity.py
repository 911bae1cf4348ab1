"""Tests of the arithmetic behind the page about capacity: limits, hours, and where more machines gain nothing."""

from importlib import import_module
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[3] / "benchmarks" / "capacity"


@pytest.fixture
def load(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    return import_module


@pytest.fixture
def work(load):
    parts = {"decode": 12.0, "model": 4.0}
    return load("extrapolating").Work("predict", parts, read_bytes=20_000, collect_ms=0.1, arrive_bytes=500)


def test_processor_time_is_shared_by_all_cores(load, work):
    """16 ms an image on 16 cores is 1 ms, so a million images take 1000 s, and the largest part gives the name."""
    found = load("extrapolating").estimate(work, load("extrapolating").Fleet(1, 16, 1000.0), 1_000_000)
    assert found.hours == pytest.approx(1000 / 3600)
    assert found.limit == "decode"


def test_hours_of_all_machines_are_counted(load, work):
    """Two machines halve the hours, and cost as many machine hours."""
    module = load("extrapolating")
    one, two = (module.estimate(work, module.Fleet(machines, 16, 1000.0), 1_000_000) for machines in (1, 2))
    assert two.hours == pytest.approx(one.hours / 2)
    assert two.machine_hours == pytest.approx(one.machine_hours)


def test_slow_network_is_the_limit(load, work):
    """20 kB an image over 10 MB/s are 2 ms, more than the 1 ms of the cores."""
    found = load("extrapolating").estimate(work, load("extrapolating").Fleet(1, 16, 10.0), 1000)
    assert found.limit == load("extrapolating").NETWORK
    assert found.hours == pytest.approx(1000 * 0.002 / 3600)


def test_one_process_that_collects_ends_the_gain(load, work):
    """0.1 ms in one process against 1 ms on a machine: ten machines, and the eleventh gains nothing."""
    module = load("extrapolating")
    assert module.count_useful_machines(work, module.Fleet()) == pytest.approx(10)
    ten, many = (module.estimate(work, module.Fleet(machines), 1_000_000).hours for machines in (10, 1000))
    assert many == pytest.approx(ten)
    assert module.estimate(work, module.Fleet(11), 10).limit == module.COLLECTING


def test_results_cross_the_network_only_between_machines(load):
    """Squares of 150 kB that come to one process over 100 MB/s are the limit on two machines, and nothing on one."""
    module = load("extrapolating")
    squares = module.Work("cache", {"decode": 2.0}, read_bytes=1000, collect_ms=0.05, arrive_bytes=150_000)
    assert module.estimate(squares, module.Fleet(1, 16, 100.0), 10).limit == "decode"
    found = module.estimate(squares, module.Fleet(2, 16, 100.0), 1000)
    assert found.limit == module.ARRIVING
    assert found.hours == pytest.approx(1000 * 0.0015 / 3600)


def test_work_at_the_end_is_never_shared(load, work):
    """What one process does behind all results is added, however many machines there are."""
    module = load("extrapolating")
    after = module.Work(work.name, work.parts_ms, work.read_bytes, after_ms=1.0)
    found = module.estimate(after, module.Fleet(1_000_000), 1000)
    assert found.hours == pytest.approx(1000 * 0.001 / 3600, rel=1e-3)
    assert found.limit == module.AFTER
    assert module.count_useful_machines(after, module.Fleet()) == float("inf")


@pytest.mark.parametrize(
    ("hours", "words"), [(0.0005, "1.8 s"), (0.05, "180 s"), (0.5, "0.5"), (12.34, "12"), (4567.0, "4,567")]
)
def test_hours_are_told_with_few_digits(load, hours, words):
    """Small ones in seconds, large ones whole."""
    assert load("capacity_tables").word_hours(hours) == words


def test_costs_are_taken_in_turns_and_told_with_their_spread(load):
    """Each part is done once a round, the first round is not counted, and the median lies between the ends."""
    order = []

    def do(name):
        order.append(name)
        return 1

    costs = load("turns").measure_in_turns({"a": lambda: do("a"), "b": lambda: do("b")}, 3, lambda _: None)
    assert order == ["a", "b"] * 4
    assert all(0 <= cost.low <= cost.median <= cost.high for cost in costs.values())


def test_tables_name_every_operation_and_fill_the_page(load):
    """Costs of 1 ms each and files of a kilobyte give a row for each operation, put between the marks of the page."""
    tables = load("capacity_tables")
    parts = [f"{part}, {kind}" for part in ("look", "square", "decode and measure") for kind in tables.KINDS]
    parts += [f"{part}, {kind}" for part in ("fetch from a store", "read a local file") for kind in tables.KINDS]
    parts += [f"answer, {tables.RUNTIME}", "augment", "features", "training step, all weights"]
    parts += ["collect looks", "collect squares", "collect answers"]
    sizes = [f"file, {kind}" for kind in tables.KINDS] + ["look on its way", "square on its way", "answer on its way"]
    numbers = {
        "machine": {"processor": "made up", "cores": 2, "load_before": None},
        "cpu_ms": {name: {"median": 1.0, "low": 1.0, "high": 1.0} for name in parts},
        "bytes_per_row": dict.fromkeys([*sizes, "square"], 1000.0),
        "tables_ms_per_row": {"table to split": 0.1, "evaluate": 0.1},
        "network": {"weights": 1000, "features": 10},
        "fleet": {"cores": 16, "network_mb_s": 1000.0},
    }
    found = tables.write_tables(numbers)
    for name in ("hours", "limits"):
        assert found[name].count("\n| 256 px |") == found[name].count("\n| 12 MP |") == 3
        assert found[name].count("\n| cached |") == 2
    # 1 ms of one process to collect, and 0.1 ms behind it: 100,000 images take 110 s however many machines there are.
    assert "| 256 px | inspect | 110 s | 110 s | 110 s |" in found["hours"]
    fill_page = load("page").fill_page
    text = (FOLDER.parents[1] / "docs" / "guides" / "capacity.md").read_text(encoding="utf-8")
    filled = fill_page(text, found)
    assert all(table in filled for table in found.values())
    assert fill_page(filled, found) == filled
