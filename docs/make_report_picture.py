"""Draws docs/images/report.png: the report of a run, as of the folder `disease` that `phytoscope demo` writes.

Usage: python docs/make_report_picture.py RUN. A browser named chromium takes the picture; nothing is written into RUN.
"""

import shutil
import sys
import tempfile
from pathlib import Path

from make_inspection_picture import put_side_by_side, shoot

from phytoscope.schema.run_folder import RunFolder

_PICTURE = Path(__file__).parent / "images" / "report.png"
_TOP, _FURTHER = "footer", "header, nav, footer, main > :not(#believe)"


def take_report(run: RunFolder) -> None:
    """Takes a picture of the top of a run's report, and of a part further down, side by side.

    Args:
        run: The run; nothing is written into it.
    """
    with tempfile.TemporaryDirectory() as folder:
        page = Path(shutil.copy(run.report_page, folder))
        put_side_by_side([shoot(page, hidden) for hidden in (_TOP, _FURTHER)], _PICTURE)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    take_report(RunFolder(Path(sys.argv[1])))
