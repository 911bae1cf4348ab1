"""What is asked of Ray when work ends, with a stand-in for the library."""

from unittest.mock import Mock

import pytest

from phytoscope.cluster.ray_jobs import RayJobs
from phytoscope.cluster.ray_pool import RayPool
from phytoscope.errors import ClusterError
from phytoscope.schema.engine import EngineConfig, EngineKind


def stand_in(*, is_initialized=True, cpus=2, gpus=0):
    """A library that is connected with one machine."""
    node = {"Alive": True, "Resources": {"CPU": cpus, "GPU": gpus}}
    return Mock(**{"is_initialized.return_value": is_initialized, "nodes.return_value": [node]})


@pytest.mark.parametrize(("is_initialized", "killed"), [(True, 2), (False, 0)])
def test_a_closed_connection_is_not_asked_again(is_initialized, killed):
    """Any question to a closed connection would start a cluster that nobody ends."""
    ray = stand_in(is_initialized=is_initialized)
    pool = RayPool(ray, EngineConfig(kind=EngineKind.ray), ())
    assert pool.size == 2
    pool.close()
    assert ray.kill.call_count == killed
    assert pool.size == 0


def count_room(ray, **settings):
    return RayJobs(EngineConfig(kind=EngineKind.ray, **settings), Mock())._count_room(ray, None)


def test_jobs_that_fit_nowhere_do_not_wait_for_ever():
    """A cluster of this machine alone does not grow; one that somebody runs may."""
    assert count_room(stand_in(), workers=5) == 5
    with pytest.raises(ClusterError, match=r"engine\.cores=64"):
        count_room(stand_in(), workers=5, cores=64)
    assert count_room(stand_in(), workers=5, cores=64, address="10.0.0.1:6379") == 5


def test_parts_of_a_gpu():
    """Ten tenths are one GPU."""
    assert count_room(stand_in(cpus=64, gpus=1), gpus=0.1) == 10
