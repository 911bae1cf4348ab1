"""The table of further targets on the report's page."""

from typing import Any

from phytoscope.schema.report import MetricValue, SplitReport, TargetReport
from phytoscope.visualize.words import BASELINES, format_metric, title_metric

_SHOWN = ("r2", "rmse", "mae", "bias")
_COMPARED = "rmse"


def list_more_targets(part: SplitReport) -> dict[str, Any]:
    """Heads and rows of the table, one row a further target; empty when there are none.

    Args:
        part: The split that the page shows.
    """
    if not part.more_targets:
        return {}
    baselines = list(dict.fromkeys(line.name for target in part.more_targets for line in target.baselines))
    heads = [title_metric(name) for name in _SHOWN]
    heads += [f"{BASELINES.get(name, name)}: {title_metric(_COMPARED)}" for name in baselines]
    rows = [
        {"name": target.name, "n": target.n, "cells": _list_cells(target, baselines)} for target in part.more_targets
    ]
    return {"heads": heads, "rows": rows}


def _list_cells(target: TargetReport, baselines: list[str]) -> list[str]:
    lines = {line.name: line.metrics for line in target.baselines}
    own = [_find(target.metrics, name) for name in _SHOWN]
    return [*own, *(_find(lines.get(name, []), _COMPARED) for name in baselines)]


def _find(metrics: list[MetricValue], name: str) -> str:
    return next((format_metric(metric) for metric in metrics if metric.name == name), "\u2013")
