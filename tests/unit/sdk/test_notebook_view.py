"""How results look in a notebook."""

import pandas as pd

from phytoscope.sdk.notebook_view import count, draw_view


def test_texts_are_escaped_and_cut():
    """What comes from the user's files cannot change the page, and long texts are cut."""
    table = pd.DataFrame({"name": ["<script>", "x" * 500, *"abcdef"], "share": [0.123456789] * 8})

    shown = draw_view("<b>", {"<i>": "<u>"}, table)

    assert "<script>" not in shown
    assert "&lt;b&gt;" in shown
    assert "&lt;i&gt; <b>&lt;u&gt;</b>" in shown
    assert "x" * 121 not in shown
    assert "0.1235" in shown
    assert "3 more rows" in shown


def test_empty_table_is_left_out():
    """Nothing is shown of a table without rows."""
    assert "<table" not in draw_view("Dataset", {}, pd.DataFrame({"a": []}))


def test_count():
    """One image, two images, two leaves."""
    assert count(1, "image") == "1 image"
    assert count(1200, "image") == "1,200 images"
    assert count(2, "leaf", "leaves") == "2 leaves"
