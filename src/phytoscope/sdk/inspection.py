"""What is wrong with data, before anything is trained on them."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from phytoscope.configs.run_words import compose_here
from phytoscope.data.source import find_file
from phytoscope.schema.audit import AuditReport, Finding
from phytoscope.sdk.dataset import Dataset, check_dataset
from phytoscope.sdk.notebook_view import draw_view
from phytoscope.sdk.reading import check_settings
from phytoscope.sdk.shown_progress import telling
from phytoscope.steps.inspect import run_inspect

_COLUMNS = ("severity", "check", "title", "detail", "remedy", "count")


@dataclass(frozen=True, eq=False, repr=False)
class Inspection:
    """What an inspection found.

    Attributes:
        report: Every number of it.
        folder: Where it was written: the page, the report, and lists of rejected rows, copies and doubtful labels.
    """

    report: AuditReport
    folder: Path

    @property
    def findings(self) -> list[Finding]:
        """Everything worth acting on, the worst first."""
        return self.report.findings

    @property
    def table(self) -> pd.DataFrame:
        """The findings, one a row: `severity`, `check`, `title`, `detail`, `remedy`, `count`."""
        rows = [dataclasses.asdict(finding) for finding in self.report.findings]
        return pd.DataFrame(rows, columns=list(_COLUMNS)).astype({"severity": str})

    @property
    def page(self) -> Path:
        """The inspection as one page for a browser."""
        return self.folder / "inspect.html"

    def __repr__(self) -> str:
        """One line."""
        facts = ", ".join(f"{name}: {value}" for name, value in self._list_facts().items())
        return f"Inspection({facts}, page: {str(self.page)!r})"

    def _repr_html_(self) -> str:
        return draw_view(f"Inspection of {self.report.name}", self._list_facts(), self.table[["severity", "title"]])

    def _list_facts(self) -> dict[str, str]:
        counts = self.table["severity"].value_counts()
        found = ", ".join(f"{counts[name]} {name}" for name in ("error", "warning", "note") if name in counts)
        return {"images": f"{self.report.counts['images']:,}", "findings": found or "none"}


def inspect(
    data: Dataset,
    *,
    split: str | Path | None = None,
    settings: Sequence[str] = (),
    output: str | Path | None = None,
    progress: bool = False,
) -> Inspection:
    """Finds out what is wrong with data, and proves it with numbers: copies, doubtful labels, shortcuts, leaks, ...

    It is written to `runs/inspect-<name of the data>` when `output` is None; an earlier inspection of the same data is
    replaced there, one of other data is not.

    Args:
        data: What `read` gave.
        split: A table with a split made elsewhere (columns `image` and `split`), to be checked for leaks.
        settings: Further words as the command line takes them, such as `audit.probes=false` (faster).
        output: Folder to write to.
        progress: Whether to show how far it is.

    Raises:
        ConfigError: A setting is wrong.
        ArtifactError: The folder holds an inspection of other data.
        PhytoscopeError: The data cannot be read any more, or the place cannot be written.

    Examples:
        >>> inspection = ph.inspect(ph.read("leaves"), settings=["audit.probes=false"])
        >>> inspection.page.name
        'inspect.html'
        >>> [finding.title for finding in inspection.findings if finding.severity == "error"]
        []
    """
    config = compose_here([*check_dataset(data).settings, *check_settings(settings)])
    split_file = None if split is None else find_file(str(split), "split")
    with telling(progress) as told:
        report, folder = run_inspect(
            config,
            output=None if output is None else Path(output),
            split_file=split_file,
            progress=told.progress,
            say=told.say,
        )
    return Inspection(report, folder.root)
