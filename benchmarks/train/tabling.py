"""The table of results, and what it takes from each curve."""

from typing import Any

from methods import METHODS, YARDSTICK


def time_to(points: list[dict[str, Any]], accuracy: float) -> float | None:
    """Seconds of the first point that has this accuracy (0-1); None when none has."""
    return next((float(point["seconds"]) for point in points if point["accuracy"] >= accuracy), None)


def best_within(points: list[dict[str, Any]], seconds: float) -> float | None:
    """The accuracy (0-1) of the last point within so many seconds; None when there is none."""
    return next((float(point["accuracy"]) for point in reversed(points) if point["seconds"] <= seconds), None)


def find_yardstick(results: list[dict[str, Any]]) -> tuple[float, float] | None:
    """Final accuracy (0-1) and whole seconds of the yardstick; None when it was not run to its end."""
    for result in results:
        if result["method"] == YARDSTICK and result["state"] == "finished":
            last = result["points"][-1]
            return float(last["accuracy"]), float(last["seconds"])
    return None


def write_table(results: list[dict[str, Any]]) -> str:
    """One row a method, as Markdown."""
    mark = find_yardstick(results)
    columns = ["method", "accuracy", "macro F1", "seconds", "of them import", "CPU s", "load at start"]
    if mark is not None:
        columns += [f"s to {mark[0]:.1%}", "of fastai's time", "accuracy by then"]
    rows = [columns, *(describe(result, mark) for result in results)]
    lines = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([lines[0], "|---" + "|---:" * (len(columns) - 1) + "|", *lines[1:]])


def describe(result: dict[str, Any], mark: tuple[float, float] | None) -> list[str]:
    """The cells of one method."""
    last, load = result["points"][-1], result["load_at_start"]
    title = METHODS[result["method"]].title + ("" if result["state"] == "finished" else " (stopped)")
    cells = [title, f"{last['accuracy']:.1%}", f"{last['macro_f1']:.3f}", f"{last['seconds']:.0f}"]
    cells += [f"{result['import_seconds']:.0f}", f"{last['cpu_seconds']:.0f}", "-" if load is None else f"{load:.1f}"]
    if mark is None:
        return cells
    seconds, by_then = time_to(result["points"], mark[0]), best_within(result["points"], mark[1])
    cells += ["-", "-"] if seconds is None else [f"{seconds:.0f}", f"{seconds / mark[1]:.2f}"]
    return [*cells, "-" if by_then is None else f"{by_then:.1%}"]
