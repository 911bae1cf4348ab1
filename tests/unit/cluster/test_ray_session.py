"""Tests of the connection with a Ray cluster."""

import time

import pytest

pytest.importorskip("ray")

from phytoscope.cluster.ray_session import ray_session
from phytoscope.errors import ClusterError
from phytoscope.schema.engine import EngineConfig


@pytest.mark.parametrize("address", ["127.0.0.1:1", "ray://127.0.0.1:1"])
def test_nobody_there(address):
    """An address at which nobody answers is refused in seconds, with what to do."""
    began = time.monotonic()
    with (
        pytest.raises(ClusterError, match=r"engine\.address='(ray://)?127\.0\.0\.1:1'.*ray start --head"),
        ray_session(EngineConfig(address=address)),
    ):
        pass
    # Ray itself tries for minutes.
    assert time.monotonic() - began < 20


def test_machine_on_which_ray_does_not_come_up(monkeypatch):
    """A node that is not up in time is told in a sentence, whatever Ray raises then."""
    import ray

    def fail(**_):
        raise Exception("The current node timed out during startup.")

    monkeypatch.setattr(ray, "init", fail)
    with (
        pytest.raises(ClusterError, match=r"Ray cannot be started on this machine \(The current node timed out"),
        ray_session(EngineConfig()),
    ):
        pass
