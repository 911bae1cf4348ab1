"""`ph.draw_example`: photographs to try things out on."""

import pytest

import phytoscope as ph


def test_example_is_drawn_once(tmp_path, monkeypatch):
    """An example is drawn where it was asked for; a folder that is there is left as it is."""
    monkeypatch.chdir(tmp_path)

    place = ph.draw_example("biomass", "plants", size=20)
    before = sorted((path.name, path.stat().st_mtime_ns) for path in place.rglob("*"))

    assert place == tmp_path / "plants"
    assert ph.draw_example("biomass", "plants", size=30) == place
    assert sorted((path.name, path.stat().st_mtime_ns) for path in place.rglob("*")) == before


def test_unknown_example(tmp_path):
    """A wrong name says which there are."""
    with pytest.raises(ph.errors.ConfigError, match="did you mean 'disease'"):
        ph.draw_example("diseases", tmp_path / "x")
