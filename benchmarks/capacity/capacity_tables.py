"""Tables and sentences from measured numbers."""

from collections.abc import Mapping
from typing import Any

from extrapolating import Fleet, Work, count_useful_machines, estimate

IMAGES = (100_000, 1_000_000, 100_000_000)
MACHINES = (1, 10, 100)
EPOCHS, BATCH_A_MACHINE = 12, 256
"""What training of many images takes: passes over all of them, and images that a machine takes before the machines
exchange their gradients."""
RUNTIME = "openvino"
KINDS = ("256 px", "12 MP")
_HEAD_BYTES, _FLOAT_BYTES = 100.0, 4


def build_works(numbers: Mapping[str, Any], kind: str) -> list[Work]:
    """What each operation costs an image of one size; see `Work`.

    Args:
        numbers: As in docs/guides/capacity.json.
        kind: Size of the photographs, one of `KINDS`.
    """
    cost = {name: one["median"] for name, one in numbers["cpu_ms"].items()}
    size, tables = numbers["bytes_per_row"], numbers["tables_ms_per_row"]
    file = size[f"file, {kind}"]
    # Reading a local file is a part of what follows; a store costs this much more.
    fetch = max(0.0, cost[f"fetch from a store, {kind}"] - cost[f"read a local file, {kind}"])
    answer = {"decode and measure": cost[f"decode and measure, {kind}"], "model": cost[f"answer, {RUNTIME}"]}
    return [
        Work(
            "inspect",
            {"fetch": fetch, "decode and look": cost[f"look, {kind}"]},
            file,
            cost["collect looks"],
            size["look on its way"],
            tables["table to split"],
        ),
        Work(
            "cache",
            {"fetch": fetch, "decode and resize": cost[f"square, {kind}"]},
            file,
            cost["collect squares"],
            size["square on its way"],
        ),
        Work("predict", {"fetch": fetch, **answer}, file, cost["collect answers"], size["answer on its way"]),
    ]


def build_trainings(numbers: Mapping[str, Any]) -> list[Work]:
    """What training costs an image of the cache, whatever size its photograph has."""
    cost = {name: one["median"] for name, one in numbers["cpu_ms"].items()}
    square, network = numbers["bytes_per_row"]["square"], numbers["network"]
    evaluate = numbers["tables_ms_per_row"]["evaluate"]
    # A ring sends and receives all gradients about once each (Patarasuk and Yuan, doi 10.1016/j.jpdc.2008.09.002).
    gradients = 2 * _FLOAT_BYTES * network["weights"] / BATCH_A_MACHINE
    features = _FLOAT_BYTES * network["features"]
    return [
        Work("train, features kept", {"features": cost["features"]}, square, 0.0, features + _HEAD_BYTES, evaluate),
        Work(
            f"train all weights, {EPOCHS} epochs",
            {"augment": EPOCHS * cost["augment"], "training step": EPOCHS * cost["training step, all weights"]},
            square + EPOCHS * gradients,
            after_ms=evaluate,
        ),
    ]


def list_works(numbers: Mapping[str, Any]) -> list[tuple[str, Work]]:
    """All operations, each with the size of its photographs."""
    works = [(kind, work) for kind in KINDS for work in build_works(numbers, kind)]
    return [*works, *(("cached", work) for work in build_trainings(numbers))]


def write_tables(numbers: Mapping[str, Any]) -> dict[str, str]:
    """The tables of the page, as Markdown: `costs`, `sizes`, `hours`, `limits`."""
    return {
        "machine": _tell_machine(numbers),
        "costs": _write_costs(numbers),
        "sizes": _write_sizes(numbers),
        "hours": _write_hours(numbers),
        "limits": _write_limits(numbers),
    }


def _tell_machine(numbers: Mapping[str, Any]) -> str:
    machine, fleet = numbers["machine"], numbers["fleet"]
    busy = "" if machine["load_before"] is None else f", load {machine['load_before']} before the run"
    return (
        f"Measured on one core of: {machine['processor']}, {machine['cores']} cores{busy}. Computed for machines with "
        f"{fleet['cores']} such cores and {fleet['network_mb_s']:,.0f} MB/s of network each."
    )


def _write_costs(numbers: Mapping[str, Any]) -> str:
    lines = ["| measured, per image | CPU ms of one core | lowest to highest round |", "|---|--:|--:|"]
    for name, one in numbers["cpu_ms"].items():
        lines.append(f"| {name} | {one['median']:.3g} | {one['low']:.3g} to {one['high']:.3g} |")
    for name, value in numbers["tables_ms_per_row"].items():
        lines.append(f"| {name}, whole tables | {value:.3g} | |")
    return "\n".join(lines)


def _write_sizes(numbers: Mapping[str, Any]) -> str:
    lines = ["| measured, per image | bytes |", "|---|--:|"]
    lines += [f"| {name} | {value:,.0f} |" for name, value in numbers["bytes_per_row"].items()]
    return "\n".join(lines)


def _fleet(numbers: Mapping[str, Any], machines: int) -> Fleet:
    given = numbers["fleet"]
    return Fleet(machines, given["cores"], given["network_mb_s"])


def _write_hours(numbers: Mapping[str, Any]) -> str:
    heads = [f"{images:,} on {machines}" for images in IMAGES for machines in MACHINES]
    lines = [f"| photographs | computed, hours | {' | '.join(heads)} |", f"|---|---|{'--:|' * len(heads)}"]
    for kind, work in list_works(numbers):
        cells = [
            word_hours(estimate(work, _fleet(numbers, machines), images).hours)
            for images in IMAGES
            for machines in MACHINES
        ]
        lines.append(f"| {kind} | {work.name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _write_limits(numbers: Mapping[str, Any]) -> str:
    heads = [f"limit on {machines}" for machines in MACHINES]
    lines = [
        f"| photographs | computed | {' | '.join(heads)} | more machines gain nothing from |",
        f"|---|---|{'---|' * len(heads)}--:|",
    ]
    for kind, work in list_works(numbers):
        cells = [estimate(work, _fleet(numbers, machines), IMAGES[0]).limit for machines in MACHINES]
        useful = count_useful_machines(work, _fleet(numbers, 1))
        last = "-" if useful == float("inf") else f"{useful:.1f}"
        lines.append(f"| {kind} | {work.name} | {' | '.join(cells)} | {last} |")
    return "\n".join(lines)


def word_hours(hours: float) -> str:
    """Hours with two digits that count; below a tenth in seconds."""
    if hours < 0.1:
        return f"{3600 * hours:.2g} s" if 3600 * hours < 99.5 else f"{3600 * hours:.0f} s"
    return f"{hours:.2g}" if hours < 99.5 else f"{hours:,.0f}"
