"""What a watch found so far."""

from dataclasses import dataclass
from pathlib import Path

from phytoscope.schema.drift import DriftReport
from phytoscope.steps.drift_folder import MonitorFolder
from phytoscope.steps.drift_page import write_drift_page
from phytoscope.steps.drift_parts import Watched, read_truth_reports
from phytoscope.visualize.drift_words import word_look, word_truth


@dataclass(frozen=True)
class ShownMonitor:
    """A watch in words.

    Attributes:
        watched: Which model is watched.
        reports: All looks, the first one first.
        sentences: The last look, what waits, and what is known of the errors.
        page: The page; None before the first look.
    """

    watched: Watched
    reports: list[DriftReport]
    sentences: list[str]
    page: Path | None


def show_monitor(root: Path) -> ShownMonitor:
    """Reads a watch and draws its page anew.

    Args:
        root: Folder of the monitor.

    Raises:
        ArtifactError: No model is watched there, a part is damaged, or another process works there.
        StorageError: The folder cannot be written.
    """
    folder = MonitorFolder(root)
    watched = folder.read_watched()
    with folder.locked():
        reports, truths, waiting = folder.read_reports(), read_truth_reports(folder.truths), folder.read_waiting()
        page = write_drift_page(folder)
    sentences = [word_look(reports[-1])] if reports else ["No look was taken yet."]
    if waiting is not None:
        sentences.append(f"{len(waiting)} answered photographs wait for the next look.")
    if truths:
        sentences.append(word_truth(truths[-1]))
    return ShownMonitor(watched, reports, sentences, page)
