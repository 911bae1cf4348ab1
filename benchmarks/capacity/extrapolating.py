"""From what one image costs to hours and machines. Pure arithmetic: nothing is measured here."""

from collections.abc import Mapping
from dataclasses import dataclass

NETWORK, COLLECTING, ARRIVING = "network", "one process collects", "network of that process"
AFTER = "one process at the end"
_MB, _MS_PER_S, _S_PER_HOUR = 1e6, 1000.0, 3600.0


@dataclass(frozen=True)
class Work:
    """What one image costs.

    Attributes:
        name: What is done.
        parts_ms: Processor time on the machines that work, in milliseconds of one core, by part.
        read_bytes: Bytes that such a machine fetches.
        collect_ms: Processor time of the one process that receives and writes all results, in milliseconds.
        arrive_bytes: Bytes that it receives when other machines work.
        after_ms: What that process does when all results are there, in milliseconds.
    """

    name: str
    parts_ms: Mapping[str, float]
    read_bytes: float
    collect_ms: float = 0.0
    arrive_bytes: float = 0.0
    after_ms: float = 0.0


@dataclass(frozen=True)
class Fleet:
    """Machines that are alike.

    Attributes:
        machines: How many.
        cores: Cores of each.
        network_mb_s: What each can receive, in MB (a million bytes) a second.
    """

    machines: int = 1
    cores: int = 16
    network_mb_s: float = 1000.0


@dataclass(frozen=True)
class Estimate:
    """What a number of images takes.

    Attributes:
        hours: By the clock.
        limit: What it waits for: `network`, the largest part of the processor time, or one process.
        machine_hours: Hours of all machines together.
    """

    hours: float
    limit: str
    machine_hours: float


def list_limits(work: Work, fleet: Fleet) -> dict[str, float]:
    """Seconds an image, by what may be the limit; all of it goes on at the same time, so the largest one decides."""
    network = fleet.network_mb_s * _MB
    largest = max(work.parts_ms, key=lambda name: work.parts_ms[name])
    return {
        largest: sum(work.parts_ms.values()) / _MS_PER_S / (fleet.machines * fleet.cores),
        NETWORK: work.read_bytes / (fleet.machines * network),
        COLLECTING: work.collect_ms / _MS_PER_S,
        ARRIVING: work.arrive_bytes / network if fleet.machines > 1 else 0.0,
    }


def estimate(work: Work, fleet: Fleet, images: int) -> Estimate:
    """Hours that a number of images takes, and what they wait for."""
    limits = list_limits(work, fleet)
    after_s = work.after_ms / _MS_PER_S
    hours = images * (max(limits.values()) + after_s) / _S_PER_HOUR
    limits[AFTER] = after_s
    return Estimate(hours, max(limits, key=lambda name: limits[name]), hours * fleet.machines)


def count_useful_machines(work: Work, fleet: Fleet) -> float:
    """Machines from which on more of them gain nothing, as the one process that collects is the limit.

    Infinite when nothing is collected. The size of `fleet` does not matter, only what its machines are.
    """
    limits = list_limits(work, Fleet(2, fleet.cores, fleet.network_mb_s))
    alone = max(limits[COLLECTING], limits[ARRIVING])
    shared = max(seconds for name, seconds in limits.items() if name not in {COLLECTING, ARRIVING})
    return 2 * shared / alone if alone > 0 else float("inf")
