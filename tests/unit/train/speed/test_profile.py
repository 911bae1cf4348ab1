"""A look at where the time of training goes."""

import gzip
import json
import sys

import pytest
import torch

from phytoscope.train.modes import fit_job
from phytoscope.train.speed import memory
from phytoscope.train.speed.memory import keep_memory
from phytoscope.train.speed.profile import Operation, StepTimes, group_operations, summarise
from tests.factories.jobs import make_job, with_trainer

SLOW_DATA = StepTimes([9.0, 0.6, 0.6], [9.0, 0.1, 0.1], [9.0, 0.2, 0.2], [9.0, 0.1, 0.1], [8, 8, 8])
SLOW_NETWORK = StepTimes([0.0, 0.0], [1.0, 0.3], [1.0, 0.4], [1.0, 0.3], [8, 8])


def test_shares_leave_out_the_first_step() -> None:
    """The first step starts everything and would hide the rest."""
    assert SLOW_DATA.shares() == pytest.approx(
        {"waiting for data": 0.6, "forward": 0.1, "backward": 0.2, "optimiser": 0.1}
    )
    assert SLOW_DATA.images_per_second() == pytest.approx(8)
    assert StepTimes([1.0], [1.0], [1.0], [1.0], [4]).images_per_second() == pytest.approx(1)


def test_summary_of_slow_data() -> None:
    """It says that the network waits, for how many processes, and what to change."""
    text = summarise(SLOW_DATA, [Operation("convolutions", 0.7)], num_workers=2)
    assert "this run is data-bound" in text
    assert "| waiting for data | 60 % |" in text
    assert "| convolutions | 70 % |" in text
    assert "2 processes prepare them" in text
    assert "trainer.num_workers" in text


def test_summary_of_a_slow_network() -> None:
    """It says that the network takes the time; a dear optimiser is named."""
    text = summarise(SLOW_NETWORK, [], num_workers=0)
    assert "this run is compute-bound" in text
    assert "trainer.smallest_size" in text
    assert "trainer.batch_size" in text


def test_operations_in_words() -> None:
    """What belongs together is summed up; marks that compute nothing are left out."""
    found = group_operations(
        [
            ("aten::mkldnn_convolution", 3.0),
            ("aten::convolution_backward", 3.0),
            ("aten::native_batch_norm", 2.0),
            ("aten::unheard_of", 2.0),
            ("ProfilerStep#3", 100.0),
        ]
    )
    assert [(operation.name, round(operation.share, 3)) for operation in found] == [
        ("convolutions", 0.6),
        ("normalisation", 0.2),
        ("everything else", 0.2),
    ]


def test_profile_of_a_training(tmp_path) -> None:
    """Trace and summary lie in the folder of the run; the summary is said."""
    job, said = make_job(tmp_path, n=90)
    fit_job(with_trainer(job, profile=True, max_epochs=1))
    with gzip.open(tmp_path / "profile" / "trace.json.gz") as stream:
        trace = json.load(stream)
    assert any("conv" in str(event.get("name")) for event in trace["traceEvents"])
    summary = (tmp_path / "profile" / "summary.md").read_text()
    assert "| convolutions |" in summary
    assert summary.rstrip() in said
    shares = [int(line.split("|")[2].strip(" %")) for line in summary.splitlines()[6:10]]
    assert 97 <= sum(shares) <= 103


def test_short_training_is_summarised_too(tmp_path) -> None:
    """With fewer steps than are traced there is a summary, though no trace."""
    job, _ = make_job(tmp_path, n=10)
    fit_job(with_trainer(job, profile=True, max_epochs=1))
    assert (tmp_path / "profile" / "summary.md").exists()


class TestMemory:
    """Freed memory is kept inside a block."""

    def test_block_runs_everywhere(self, monkeypatch) -> None:
        """With glibc or without it, what is computed is the same."""
        with keep_memory():
            first = torch.ones(2000, 2000).sum()
        monkeypatch.setattr(memory.sys, "platform", "darwin")
        with keep_memory():
            second = torch.ones(2000, 2000).sum()
        assert first == second

    def test_other_c_library(self, monkeypatch) -> None:
        """Where the file of glibc is not there, nothing happens."""

        def fail(name):
            raise OSError(name)

        monkeypatch.setattr(memory.sys, "platform", "linux")
        monkeypatch.setattr(memory.ctypes, "CDLL", fail)
        with keep_memory():
            pass

    @pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc only")
    def test_settings_go_in_and_come_back(self, monkeypatch) -> None:
        """Large arrays stay with the process inside the block; afterwards they go back."""
        calls = []

        class Library:
            """Records what is set."""

            def mallopt(self, parameter, value):
                """Records."""
                calls.append((parameter, value))

            def malloc_trim(self, pad):
                """Records."""
                calls.append(("trim", pad))

        monkeypatch.setattr(memory, "_find_glibc", Library)
        with keep_memory():
            assert (-3, 2**30) in calls
            assert len(calls) == 3
        assert calls[-1] == ("trim", 0)
        assert (-3, 32 * 2**20) in calls[3:]
