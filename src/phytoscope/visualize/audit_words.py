"""What the inspection page says about its findings, checks and numbers."""

import re
from typing import Final

from phytoscope.schema.audit import AuditReport, Severity
from phytoscope.schema.table import Task
from phytoscope.visualize.text import format_count, format_number, format_percent

WHOLE_LIST: Final = "inspect.json"
"""File beside the page that holds all the page leaves out."""

SEVERITY_WORDS: Final = {
    Severity.error: ("Error", "\u2715", "numbers computed from these data will be wrong"),
    Severity.warning: ("Warning", "!", "numbers computed from these data may be wrong"),
    Severity.note: ("Note", "i", "worth knowing"),
}
"""Severity -> its word, its sign, and what it means."""

SECTIONS: Final = {
    "findings": "Findings",
    "shortcuts": "Shortcuts",
    "content": "Content",
    "quality": "Picture quality",
    "duplicates": "Duplicates",
    "leakage": "Given split",
    "suspects": "Labels to look at",
    "rejected": "Rejected",
    "making": "How this was made",
}
"""Place on the page -> its name in the navigation."""

_PLACE_OF_AREA = {
    "shortcut": "shortcuts",
    "probe": "shortcuts",
    "optimism": "shortcuts",
    "explain": "shortcuts",
    "label": "content",
    "class": "content",
    "target": "content",
    "group": "content",
    "correlation": "content",
    "breakdown": "content",
    "missing": "content",
    "eda": "content",
    "quality": "quality",
    "duplicate": "duplicates",
    "near duplicate": "duplicates",
    "leak": "leakage",
    "split": "leakage",
    "label_noise": "suspects",
    "label noise": "suspects",
    "labels/noise": "suspects",
    "labels/suspect": "suspects",
    "suspect": "suspects",
    "validation": "rejected",
    "reject": "rejected",
}

PROBES: Final = {
    "whole_image": "The whole image",
    "border_pixels": "Border pixels only",
    "colour": "Colour statistics only",
    "metadata": "File metadata only",
    "plant_erased": "Plant erased",
}
REFERENCE_PROBE: Final = "whole_image"
"""What sees everything: the others are shortcuts as far as they come near it."""

EXPLAINED: Final = {
    "age": "Age",
    "green_pixels": "Number of green pixels",
    "green_pixels_log": "Logarithm of the green pixels",
    "burnt_in_tag": "Tag burnt into the picture",
    "image_size": "Size of the picture",
    "lower_left_corner": "Lower left corner",
    "source": "Where it comes from",
    "capture_time": "When it was taken",
    "border_pixels": "Border pixels",
    "colour": "Colour statistics",
    "metadata": "File metadata",
}
QUALITY: Final = {
    "dark_set": "Dark as a set",
    "light_set": "Light as a set",
    "odd_size": "Unusual size",
    "odd_aspect": "Unusual shape",
    "low_information": "Little to be seen",
    "misnamed": "Suffix of another format",
    "exif_rotated": "Turned by the camera's record",
}
COUNTS: Final = {
    "images": ("Images", "good pictures with an answer"),
    "groups": ("Groups", "leaves, plants or plots: what must stay in one split"),
    "rejected": ("Rejected", "rows or pictures that cannot be used"),
    "unlabelled": ("Without an answer", "good pictures, kept apart"),
    "rows": ("Rows read", "rows of the table or files of the folder"),
}
"""Key of the counts -> title and meaning, in the order of the page."""


def keep_together(text: str) -> str:
    """The text with no line break between a number and its percent sign."""
    return re.sub(r"(\d) %", "\\1\u00a0%", text)


def find_place(check: str) -> str | None:
    """Place on the page that tells more about a check, by the longest known beginning of its name; None for none."""
    known = [area for area in _PLACE_OF_AREA if check.lower().startswith(area)]
    return _PLACE_OF_AREA[max(known, key=len)] if known else None


def word_name(name: str, words: dict[str, str]) -> str:
    """Title of something with a machine-readable name; an unknown one is spelt out."""
    return words.get(name, name.replace("_", " ").capitalize())


def word_judgement(report: AuditReport) -> tuple[str, str]:
    """Whether these data can be believed, in a few words, and the colour of these words (`good`, `open`, `bad`)."""
    if report.worst == Severity.error:
        return "These data cannot be trusted yet", "bad"
    if report.worst == Severity.warning:
        return "To be used with care", "open"
    return "No fault was found", "good"


def word_verdict(report: AuditReport) -> str:
    """One or two plain sentences: what was found, how much it matters, and what was not looked at."""
    n_of = {severity: sum(finding.severity == severity for finding in report.findings) for severity in Severity}
    errors, warnings, notes = n_of[Severity.error], n_of[Severity.warning], n_of[Severity.note]
    parts = []
    if errors > 0:
        parts.append(f"{format_count(errors, 'error')} that will make numbers computed from them wrong")
    if warnings > 0:
        what = "" if errors > 0 else " make numbers computed from them wrong"
        parts.append(f"{format_count(warnings, 'warning')} that may{what}")
    opening = f"In {format_count(report.counts.get('images', 0), 'image')}"
    first = errors if errors > 0 else warnings
    if report.counts.get("images", 0) == 0:
        text = "No image can be used."
    elif parts:
        text = f"{opening} there {'is' if first == 1 else 'are'} {' and '.join(parts)}."
    else:
        extra = f", only {format_count(notes, 'note')}" if notes > 0 else ""
        text = f"{opening} there is nothing that makes numbers computed from them wrong{extra}."
    if report.skipped:
        text += f" {format_count(len(report.skipped), 'check was', 'checks were')} not done."
    return text


def format_score(value: float | None, metric: str) -> str:
    """A score as the page shows it: R² with two decimals, accuracies as a percentage."""
    return format_r2(value) if metric == "r2" else format_percent(value)


def format_r2(value: float | None) -> str:
    """A coefficient of determination with two decimals, so that those of one chart compare."""
    # Adding 0 turns a negative zero into a plain one.
    return format_number(None) if value is None else f"{round(value, 2) + 0.0:.2f}".replace("-", "\u2212")


def format_gap(value: float, metric: str, *, unit: bool = True) -> str:
    """A difference of two scores with its sign: R² as a number, accuracies in percentage points."""
    text = f"{value:+.2f}" if metric == "r2" else f"{100 * value:+.1f}"
    return text.replace("-", "\u2212") + ("\u00a0points" if unit and metric != "r2" else "")


def word_balance(report: AuditReport) -> str | None:
    """How unequal the classes are, in a sentence; None for fewer than two classes or another task."""
    rows = [row for row in report.labels if row.images > 0]
    if report.task != Task.classification or len(rows) < 2:
        return None
    most, least = max(row.images for row in rows), min(row.images for row in rows)
    if most == least:
        return f"{format_count(len(rows), 'class', 'classes')} with {format_count(most, 'image')} each."
    return (
        f"{format_count(len(rows), 'class', 'classes')}; the largest has {format_count(most, 'image')}, "
        f"the smallest {least:,} ({format_number(most / least, 2)} to 1)."
    )
