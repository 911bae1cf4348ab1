"""What an orchestrator's page shows of a run: small tables and pictures, read from what the steps wrote."""

import base64
import io
import tempfile
from pathlib import Path
from typing import Any

import pandas as pd
from PIL import Image

from phytoscope.evaluate.report import main_metric
from phytoscope.schema.run_folder import RunFolder
from phytoscope.schema.table import GROUP_ID, LABEL, SAMPLE_ID, SPLIT, TARGET, Split, Task
from phytoscope.steps.context import read_report
from phytoscope.visualize.data import plot_history
from phytoscope.visualize.figures import shown_split
from phytoscope.visualize.style import save_figures

Row = dict[str, Any]
MOST_PX = 900
_MAIN_FIGURE = {Task.regression: "predicted_vs_actual", Task.classification: "confusion_matrix"}


def tabulate_split(run: RunFolder) -> list[Row]:
    """One row a split: images, groups, and its classes or the range of its target."""
    rows = pd.read_parquet(run.manifest).drop(columns=GROUP_ID).merge(pd.read_parquet(run.split), on=SAMPLE_ID)
    table = []
    for split in Split:
        part = rows[rows[SPLIT] == split.value]
        if part.empty:
            continue
        row: Row = {"split": split.value, "images": len(part), "groups": int(part[GROUP_ID].nunique())}
        if part[LABEL].notna().any():
            row["classes"] = int(part[LABEL].nunique())
        else:
            row |= {"smallest": float(part[TARGET].min()), "largest": float(part[TARGET].max())}
        table.append(row)
    return table


def tabulate_answers(run: RunFolder) -> list[Row]:
    """One row a class with its images in each split; for numbers one row a statistic of the target."""
    rows = pd.read_parquet(run.manifest).merge(pd.read_parquet(run.split)[[SAMPLE_ID, SPLIT]], on=SAMPLE_ID)
    if rows[LABEL].notna().any():
        counts = pd.crosstab(rows[LABEL], rows[SPLIT])
        splits = [split.value for split in Split if split.value in counts]
        return [{"class": name, **{split: int(row[split]) for split in splits}} for name, row in counts.iterrows()]
    found = rows[TARGET].astype(float).describe()
    return [{"statistic": str(name), "value": float(value)} for name, value in found.items()]


def tabulate_rejected(run: RunFolder) -> list[Row]:
    """One row a reason for which rows were left out, the most frequent first."""
    reasons = pd.read_csv(run.rejected)["reason"].astype(str).str.split(":").str[0].value_counts()
    return [{"reason": str(reason), "faults": int(count)} for reason, count in reasons.items()]


def tabulate_history(run: RunFolder) -> list[Row]:
    """One row an epoch."""
    return [{str(name): value for name, value in row.items()} for row in pd.read_csv(run.history).to_dict("records")]


def tabulate_metrics(run: RunFolder) -> list[Row]:
    """One row a metric of the split to quote, with its interval and what the napkin models reach."""
    report = read_report(run)
    split = report.splits[shown_split(report)]
    table = []
    for metric in split.metrics:
        row: Row = {"metric": f"{metric.name} ({metric.unit})" if metric.unit else metric.name, "value": metric.value}
        row |= {"low": metric.low, "high": metric.high}
        for baseline in split.baselines:
            row[baseline.name] = next((other.value for other in baseline.metrics if other.name == metric.name), None)
        table.append(row)
    return table


def read_main_metric(run: RunFolder) -> tuple[str, float | None]:
    """Name of the metric that decides between models, as `<split>/<metric>`, and its value."""
    report = read_report(run)
    name, _ = main_metric(report.task)
    split = shown_split(report)
    return f"{split}/{name}", report.metric(split, name)


def show_history(run: RunFolder, task: Task) -> str:
    """The curves of a training as a picture in Markdown.

    Args:
        run: A trained run.
        task: What it learned.
    """
    metric, higher_is_better = main_metric(task)
    figure = plot_history(pd.read_csv(run.history), metric=metric, higher_is_better=higher_is_better)
    with tempfile.TemporaryDirectory() as folder:
        return show_picture(save_figures({"history": figure}, Path(folder))["history"], "loss by epoch")


def show_main_figure(run: RunFolder) -> str:
    """The figure that says most of an evaluated run, as a picture in Markdown; empty where it was not drawn."""
    path = run.figures / f"{_MAIN_FIGURE[read_report(run).task]}.png"
    return show_picture(path, path.stem.replace("_", " ")) if path.is_file() else ""


def show_picture(path: Path, title: str) -> str:
    """A picture inside Markdown, small enough for a data base."""
    with Image.open(path) as image:
        image.thumbnail((MOST_PX, MOST_PX))
        layer = image.convert("RGBA")
        flat = Image.new("RGB", layer.size, "white")
        flat.paste(layer, mask=layer.getchannel("A"))
        content = io.BytesIO()
        flat.convert("P", palette=Image.Palette.ADAPTIVE).save(content, "PNG", optimize=True)
    return f"![{title}](data:image/png;base64,{base64.b64encode(content.getvalue()).decode('ascii')})"
