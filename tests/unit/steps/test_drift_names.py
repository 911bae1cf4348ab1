"""Rows found by the file they are about."""

import pytest

from phytoscope.steps.drift_names import NamedRows


@pytest.mark.parametrize(
    ("path", "row"),
    [
        ("/data/a/one.jpg", 0),
        ("/data/b/one.jpg", 1),
        ("/elsewhere/one.jpg", 2),
        ("/data/two.png", 3),
        ("/data/two.jpg", 3),
        ("/data/one.png", None),
        ("/data/ONE.jpg", None),
        ("", None),
    ],
)
def test_the_longest_name_at_the_end_of_the_path_wins(path, row):
    """Folders in the names tell files of one name apart; a name without extension fits any."""
    assert NamedRows(["a/one.jpg", ".\\b\\one.jpg", "one.jpg", " two "]).find(path) == row


def test_of_repeated_names_the_last_row_counts():
    """A table that was corrected at its end is believed."""
    rows = NamedRows(["one.jpg", "two.jpg", "./one.jpg"])
    assert rows.find("/x/one.jpg") == 2
    assert rows.repeated == ["./one.jpg"]
    assert rows.find_all(["/x/two.jpg", "/x/three.jpg"]) == [1, None]
