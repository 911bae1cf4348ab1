"""The part of the inspection page on shortcuts and on flattering splits: numbers turned into places on a scale."""

from typing import Any, Final

from phytoscope.schema.audit import AuditReport, Explained, OptimismGap, Probe, Severity
from phytoscope.visualize.audit_words import (
    EXPLAINED,
    PROBES,
    REFERENCE_PROBE,
    SEVERITY_WORDS,
    format_gap,
    format_r2,
    format_score,
    keep_together,
    word_name,
)
from phytoscope.visualize.text import format_count
from phytoscope.visualize.words import METRICS, title_metric

_LOWEST: Final = -0.5
_COLOURS: Final = {Severity.error: "bad", Severity.warning: "warn", Severity.note: "calm"}


def describe_shortcuts(report: AuditReport) -> dict[str, Any]:
    """What the page shows of probes, optimism gap and what simple things explain; None for what is not there."""
    return {
        "probes": _describe_probes(report.probes) if report.probes else None,
        "optimism": None if report.optimism is None else _describe_gap(report.optimism),
        "explained": _describe_explained(report.explained) if report.explained else None,
    }


class _Scale:
    """Turns values into percent of the width of a chart that reaches from 0, or somewhat below, to 1."""

    def __init__(self, values: list[float | None]) -> None:
        smallest = min([0.0, *(value for value in values if value is not None)])
        # A score far below 0 is as bad as one a little below, and must not squeeze the others.
        self.low = 0.0 if smallest >= -0.02 else _LOWEST

    @property
    def step(self) -> str:
        """Percent of the width between two numbers of the scale."""
        return "25" if self.low == 0 else "33.333"

    def place(self, value: float | None) -> str | None:
        """Percent of the width, within the chart."""
        if value is None:
            return None
        return f"{100 * (min(1.0, max(self.low, value)) - self.low) / (1.0 - self.low):.2f}"

    def ticks(self, metric: str) -> list[dict[str, str | None]]:
        """Places and words of the numbers along the scale."""
        values = [0.0, 0.25, 0.5, 0.75, 1.0] if self.low == 0 else [self.low, 0.0, 0.5, 1.0]
        words = [
            f"{value:g}".replace("-", "\u2212") if metric == "r2" else f"{100 * value:.0f}\u00a0%" for value in values
        ]
        return [{"place": self.place(value), "text": text} for value, text in zip(values, words, strict=True)]


def _describe_probes(probes: list[Probe]) -> dict[str, Any]:
    metric = probes[0].metric
    # The reference stands first: everything else is read against it.
    ordered = sorted(probes, key=lambda probe: probe.name != REFERENCE_PROBE)
    scale = _Scale([value for probe in probes for value in (probe.score, probe.low, probe.chance)])
    return {
        "metric": title_metric(metric),
        "meaning": METRICS[metric].meaning if metric in METRICS else "",
        "ticks": scale.ticks(metric),
        "step": scale.step,
        "has_reference": ordered[0].name == REFERENCE_PROBE,
        "rows": [_describe_probe(probe, scale) for probe in ordered],
    }


def _describe_probe(probe: Probe, scale: _Scale) -> dict[str, Any]:
    is_reference = probe.name == REFERENCE_PROBE
    low, high = scale.place(probe.low), scale.place(probe.high)
    has_interval = probe.low is not None and probe.high is not None
    interval = f"{format_score(probe.low, probe.metric)} to {format_score(probe.high, probe.metric)}"
    word, sign, _ = SEVERITY_WORDS[probe.severity]
    return {
        "title": word_name(probe.name, PROBES),
        "description": probe.description,
        "colour": "own" if is_reference else _COLOURS[probe.severity],
        "is_reference": is_reference,
        "score": "not measured" if probe.score is None else format_score(probe.score, probe.metric),
        "interval": interval if has_interval else "",
        "chance": format_score(probe.chance, probe.metric),
        "n": f"{probe.n:,}",
        "verdict": keep_together(probe.verdict),
        "severity": str(probe.severity),
        "word": word,
        "sign": sign,
        "at": scale.place(probe.score),
        "from": low if has_interval else None,
        "width": f"{float(high) - float(low):.2f}" if low is not None and high is not None else None,
        "chance_at": scale.place(probe.chance),
    }


def _describe_gap(gap: OptimismGap) -> dict[str, Any]:
    scale = _Scale([gap.random_score, gap.group_score])
    ends = sorted((scale.place(gap.random_score) or "0", scale.place(gap.group_score) or "0"), key=float)
    return {
        "metric": title_metric(gap.metric),
        "ticks": scale.ticks(gap.metric),
        "step": scale.step,
        "random": format_score(gap.random_score, gap.metric),
        "group": format_score(gap.group_score, gap.metric),
        "random_at": scale.place(gap.random_score),
        "group_at": scale.place(gap.group_score),
        "from": ends[0],
        "width": f"{float(ends[1]) - float(ends[0]):.2f}",
        "gap": format_gap(gap.gap, gap.metric),
        "interval": f"{format_gap(gap.low, gap.metric, unit=False)} to {format_gap(gap.high, gap.metric)}",
        "basis": f"{format_count(gap.n, 'image')} of {format_count(gap.n_groups, 'group')}",
        "verdict": keep_together(gap.verdict),
    }


def _describe_explained(rows: list[Explained]) -> dict[str, Any]:
    ordered = sorted(rows, key=lambda row: -row.r2 if row.r2 is not None else float("inf"))
    return {
        "ticks": _Scale([]).ticks("r2"),
        "rows": [
            {
                "title": word_name(row.name, EXPLAINED),
                "description": row.description,
                "score": "not measured" if row.r2 is None else format_r2(row.r2),
                "width": _Scale([]).place(row.r2),
                "n": f"{row.n:,}",
                "verdict": keep_together(row.verdict),
            }
            for row in ordered
        ],
    }
