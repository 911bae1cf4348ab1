"""A Ray cluster of several node processes on this machine, whose nodes can be killed."""

import contextlib
import os
import signal
from pathlib import Path

import psutil

STORE_BYTES = 80 << 20


class RayCluster:
    """Node processes of a cluster; node 0 is the head and outlives the others.

    Attributes:
        address: What to connect to.
    """

    def __init__(self, cluster, cpus):
        self._cluster, self._cpus = cluster, cpus
        self.nodes = [cluster.head_node]

    @property
    def address(self):
        """Host and port of the head."""
        return f"127.0.0.1:{self._cluster.address.rpartition(':')[2]}"

    def add_node(self, **settings):
        """Starts one more node, and gives its number."""
        settings = {"num_cpus": self._cpus, "object_store_memory": STORE_BYTES, **settings}
        self.nodes.append(self._cluster.add_node(**settings))
        return len(self.nodes) - 1

    def kill_node(self, number):
        """Kills a node and all that works on it, as when its machine is switched off."""
        node = self.nodes[number]
        assert number > 0, "the head keeps the state of the cluster"
        raylet = psutil.Process(node.all_processes["raylet"][0].process.pid)
        victims = [raylet, *raylet.children(recursive=True)]
        for process in victims:
            with contextlib.suppress(psutil.NoSuchProcess):
                os.kill(process.pid, signal.SIGKILL)
        psutil.wait_procs(victims[1:], timeout=10)
        self._cluster.remove_node(node, allow_graceful=False)


@contextlib.contextmanager
def ray_cluster(nodes=2, cpus=1, head_cpus=None):
    """Starts a cluster; use it once in each module of tests, in a fixture of the scope of the module.

    Args:
        nodes: Node processes, the head among them.
        cpus: Cores that each says it has.
        head_cpus: Cores that the head says it has; as the others when None.
    """
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ["RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO"] = "0"
    before = os.environ.get("PYTHONPATH")
    # Workers import what tests send them from the same modules.
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (str(Path(__file__).parents[1]), before)))
    import ray
    from ray.cluster_utils import Cluster

    head = {
        "num_cpus": cpus if head_cpus is None else head_cpus,
        "object_store_memory": STORE_BYTES,
        "include_dashboard": False,
        # A dead machine is noticed within seconds.
        "_system_config": {"health_check_period_ms": 1000, "health_check_failure_threshold": 3},
    }
    started = Cluster(initialize_head=True, head_node_args=head)
    try:
        cluster = RayCluster(started, cpus)
        for _ in range(nodes - 1):
            cluster.add_node()
        yield cluster
    finally:
        if ray.is_initialized():
            ray.shutdown()
        started.shutdown()
        if before is None:
            del os.environ["PYTHONPATH"]
        else:
            os.environ["PYTHONPATH"] = before
