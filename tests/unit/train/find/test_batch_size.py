"""Batch sizes are timed up to where the memory or the images end."""

import copy

import pytest
import torch

from factories.jobs import make_job
from phytoscope.train.find import batch_size
from phytoscope.train.find.batch_size import BatchTrial, suggest_size, try_batch_sizes


def test_smallest_of_the_fast_ones():
    """Within 5 % of the fastest the smaller size wins; what did not fit never does."""
    trials = [BatchTrial(4, 10.0), BatchTrial(8, 96.0), BatchTrial(16, 100.0), BatchTrial(32, None, "too large")]
    assert suggest_size(trials) == 8
    assert suggest_size([BatchTrial(4, None, "too large")]) == 4


def test_sizes_double_up_to_the_images(tmp_path):
    """No batch is larger than the training set, and the job stays as it is."""
    job, _ = make_job(tmp_path, n=20)
    before = copy.deepcopy(job.network.state_dict())
    trials, suggestion = try_batch_sizes(job)
    assert [trial.size for trial in trials] == [4, 8, 16]
    assert suggestion in (4, 8, 16)
    assert all(trial.images_per_s > 0 for trial in trials)
    assert all(torch.equal(before[name], value) for name, value in job.network.state_dict().items())


def test_memory_that_ends_is_said(tmp_path, monkeypatch):
    """A size that would need more than is free is not tried."""
    job, _ = make_job(tmp_path, n=64)
    needed = batch_size._estimate_bytes(job, 1)
    monkeypatch.setattr(batch_size, "_find_free_bytes", lambda: 10 * needed / batch_size._MEMORY_SHARE)
    trials, suggestion = try_batch_sizes(job)
    assert [trial.images_per_s is None for trial in trials] == [False, False, True]
    assert "of" in trials[-1].reason
    assert suggestion in (4, 8)


def test_gpu_memory_that_ends_is_said(tmp_path, monkeypatch):
    """The error of a full GPU ends the search and not the command."""

    def fail(*_):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(batch_size, "_time_step", fail)
    trials, suggestion = try_batch_sizes(make_job(tmp_path)[0])
    assert [(trial.size, trial.images_per_s) for trial in trials] == [(4, None)]
    assert suggestion == 4


@pytest.mark.parametrize(("speeds", "ends"), [([10, 20, 20, 20], True), ([10, 20, 30, 40], False), ([10, 9], False)])
def test_two_doublings_without_gain_end_it(speeds, ends):
    """More of the same is not tried."""
    assert batch_size._brings_nothing([BatchTrial(4, speed) for speed in speeds]) is ends
