"""The tables of results."""

import statistics
from typing import Any

from services import SERVICES


def gather(results: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The median over the turns of each network, service and number of connections, in the order of the run."""
    groups: dict[tuple[str, str, int], list[dict[str, Any]]] = {}
    for result in results:
        groups.setdefault((result["net"], result["service"], result["connections"]), []).append(result)
    return [_middle(group) for group in groups.values()]


def _middle(group: list[dict[str, Any]]) -> dict[str, Any]:
    first = group[0]
    middle = {
        name: statistics.median(one[name] for one in group)
        for name, value in first.items()
        if isinstance(value, int | float)
    }
    failed = sum(one["failed"] for one in group)
    return first | middle | {"failed": failed, "turns": len(group), "connections": first["connections"]}


def write_table(results: list[dict[str, Any]], limits: dict[str, dict[str, Any]], connections: list[int]) -> str:
    """One row a service and a block a network, as Markdown."""
    middles = {(one["net"], one["service"], one["connections"]): one for one in gather(results)}
    head = ["network", "service"]
    for count in connections:
        head += [f"requests/s, {count} conn.", "p50 / p95 / p99 ms"]
    rows = [[*head, "CPU ms a request", "of the network's limit", "failed"]]
    for net in dict.fromkeys(one["net"] for one in results):
        for name in SERVICES:
            found = [middles.get((net, name, count)) for count in connections]
            known = [one for one in found if one is not None]
            if len(known) == len(connections):
                rows.append(_describe(net, name, known, limits))
    lines = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([lines[0], "|---|---" + "|---:" * (len(rows[0]) - 2) + "|", *lines[1:]])


def _describe(net: str, name: str, found: list[dict[str, Any]], limits: dict[str, dict[str, Any]]) -> list[str]:
    cells = [net, SERVICES[name].title]
    for one in found:
        times = " / ".join(f"{one[key]:.0f}" for key in ("p50_ms", "p95_ms", "p99_ms"))
        cells += [f"{one['per_second']:.0f}", times]
    limit = limits[f"{net} {SERVICES[name].runtime}"]["images_per_s"]
    best = max(found, key=lambda one: float(one["per_second"]))
    cells += [f"{best['cpu_ms']:.1f}", f"{best['per_second'] / limit:.0%}"]
    return [*cells, f"{sum(one['failed'] for one in found):.0f}"]


def write_limits(limits: dict[str, dict[str, Any]]) -> str:
    """What each network can do alone, as Markdown."""
    lines = ["| network, runtime asked for | taken | best batch | images/s alone | reading an image, CPU ms |"]
    lines.append("|---|---|---:|---:|---:|")
    for name, found in limits.items():
        cells = [name, found["runtime"], f"{found['batch']}", f"{found['images_per_s']:.0f}", f"{found['read_ms']:.2f}"]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)
