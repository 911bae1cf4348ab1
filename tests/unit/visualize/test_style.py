"""Figures look alike, leave nothing behind, and reach the disk whole."""

import sys
import threading

import matplotlib as mpl
import pytest
from PIL import Image

from phytoscope.errors import StorageError
from phytoscope.visualize.style import new_figure, paper_style, save_figures, use_log_axis


def draw_line(label="line"):
    fig = new_figure(2.0, 1.5)
    fig.add_subplot().set_title(label)
    return fig


def test_settings_are_put_back():
    """Outside of the style matplotlib is as the user left it."""
    before = mpl.rcParams["axes.linewidth"]
    with paper_style():
        assert mpl.rcParams["axes.linewidth"] != before
    assert mpl.rcParams["axes.linewidth"] == before


def test_figures_are_saved_as_png_at_300_dpi_and_as_pdf(tmp_path):
    """Both files appear, nothing else does."""
    paths = save_figures({"line": draw_line()}, tmp_path / "figures")
    assert paths == {"line": tmp_path / "figures" / "line.png"}
    assert sorted(path.name for path in (tmp_path / "figures").iterdir()) == ["line.pdf", "line.png"]
    with Image.open(paths["line"]) as picture:
        assert picture.size == (600, 450)
        assert picture.info["dpi"] == pytest.approx((300, 300), abs=0.1)
    assert (tmp_path / "figures" / "line.pdf").read_bytes().startswith(b"%PDF")


def test_same_figure_gives_same_bytes(tmp_path):
    """No date or version inside makes two runs differ."""
    first, second = (save_figures({"line": draw_line()}, tmp_path / name)["line"] for name in ("a", "b"))
    assert first.read_bytes() == second.read_bytes()
    assert first.with_suffix(".pdf").read_bytes() == second.with_suffix(".pdf").read_bytes()


def test_script_without_a_font_is_no_failure(tmp_path):
    """Characters that no font has are drawn as boxes, without a warning."""
    assert save_figures({"line": draw_line("\u756a\u8304 \U000e0041")}, tmp_path)["line"].exists()


def test_unwritable_folder_is_reported(tmp_path):
    """A file where the folder should be gives an error that names it."""
    (tmp_path / "figures").write_text("")
    with pytest.raises(StorageError, match="figures"):
        save_figures({"line": draw_line()}, tmp_path / "figures")


def test_threads_do_not_mix_their_settings(tmp_path):
    """Several threads may save figures at once."""
    before = mpl.rcParams["font.size"]
    threads = [
        threading.Thread(target=save_figures, args=({"line": draw_line()}, tmp_path / str(number)))
        for number in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({(tmp_path / str(number) / "line.png").read_bytes() for number in range(4)}) == 1
    assert mpl.rcParams["font.size"] == before


@pytest.mark.parametrize("which", ["x", "y"])
def test_log_axis_shows_plain_numbers(which):
    """Ticks read 0.05 and 2, not powers of ten."""
    ax = new_figure(3.0, 3.0).add_subplot()
    use_log_axis(ax, which)
    formatter = (ax.xaxis if which == "x" else ax.yaxis).get_major_formatter()
    assert [formatter(value) for value in (0.05, 2.0)] == ["0.05", "2"]


def test_pyplot_is_not_needed():
    """No module of the room loads pyplot, whose global state leaks figures."""
    import subprocess

    code = (
        "import sys, phytoscope.visualize.html; sys.exit('matplotlib.pyplot' in sys.modules or 'torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
