"""The page of a monitor, drawn from its folder alone."""

import io
from pathlib import Path

import pandas as pd

from phytoscope.schema.artifact import write_atomic
from phytoscope.schema.drift import TruthReport
from phytoscope.steps.drift_folder import MonitorFolder
from phytoscope.steps.drift_parts import read_truth_reports
from phytoscope.visualize.drift import plot_unlike
from phytoscope.visualize.drift_figures import Watch
from phytoscope.visualize.drift_page import render_drift, share_accepted
from phytoscope.visualize.gallery import GALLERY_DPI


def draw_unlike(batch: pd.DataFrame) -> bytes | None:
    """A JPEG file of the images most unlike the training images; None where that is not measured.

    It is drawn with the look, because the photographs may be gone when the page is drawn anew.

    Args:
        batch: Answers of a look.
    """
    figure = plot_unlike(batch)
    if figure is None:
        return None
    content = io.BytesIO()
    figure.savefig(content, format="jpeg", dpi=GALLERY_DPI, pil_kwargs={"quality": 86})
    return content.getvalue()


def write_drift_page(folder: MonitorFolder) -> Path | None:
    """Draws the page of a monitor anew.

    Args:
        folder: Folder of the monitor.

    Returns:
        The page; None when no look was taken yet.

    Raises:
        ArtifactError: A part of the folder is damaged.
        StorageError: The folder cannot be written.
    """
    reports = folder.read_reports()
    if not reports:
        return None
    watched = folder.read_watched()
    answers = folder.read_all_answers()
    tables = [answers[answers["look"] == report.look].reset_index(drop=True) for report in reports]
    gallery = folder.gallery(reports[-1].look)
    truths = read_truth_reports(folder.truths)
    watch = Watch(
        folder.root.absolute(),
        watched.name,
        watched.task,
        watched.target_name,
        watched.unit,
        reports,
        [share_accepted(table) for table in tables],
        folder.read_reference(),
        tables[-1],
        gallery if gallery.is_file() else None,
        _last(truths),
        {
            "Model": f"{watched.name} ({watched.model_id})",
            "Watched since": watched.began_at.replace("T", " "),
            "Reference": f"{reports[-1].n_reference:,} photographs ({reports[-1].reference_id})",
            "Promised": f"a false alarm in at most {100 * watched.false_alarm:g} of 100 such watches",
            "Folder": str(folder.root.absolute()),
        },
    )
    with write_atomic(folder.page) as temporary:
        temporary.write_text(render_drift(watch), encoding="utf-8")
    return folder.page


def _last(reports: list[TruthReport]) -> TruthReport | None:
    return reports[-1] if reports else None
