"""The guide to the Python API: its code runs from top to bottom."""

import re
from pathlib import Path

import pytest

from factories.runs import draw_mixed_table

GUIDE = Path(__file__).resolve().parents[3] / "docs/guides/python.md"


@pytest.mark.slow
def test_guide_runs(drawn, tmp_path, monkeypatch, capsys):
    """Every block of the guide runs as it stands there, one after another, on drawn leaves and plants."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "leaves").symlink_to(drawn / "leaves", target_is_directory=True)
    draw_mixed_table(tmp_path, n=8)
    (tmp_path / "table.csv").rename("plants.csv")
    (tmp_path / "images").rename("photos")
    blocks = re.findall(r"^```python\n(.*?)^```$", GUIDE.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    names: dict[str, object] = {}

    for block in blocks:
        exec(compile(block, str(GUIDE), "exec"), names)  # noqa: S102 (the page is ours)

    assert len(blocks) >= 4
    assert "did you mean 'leaves'?" in capsys.readouterr().out
