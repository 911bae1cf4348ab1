"""Further sets in the settings: a word that cannot be meant is told before anything starts."""

import pytest

from phytoscope.configs import compose_config
from phytoscope.configs.external import split_class_map, split_external
from phytoscope.errors import ConfigError

DATA = ["data=folder", "data.root=leaves"]
NUMBERS = ["data=table", "data.table=t.csv", "data.images=i", "data.target=weight"]


def test_names_and_places() -> None:
    """Spaces, commas and equals signs in a place are kept; classes may hold parentheses."""
    words = [
        "evaluate.external=['orchard=my photos/a, b','phone=/x/y=z.csv']",
        "evaluate.class_map=[rust on maize=Corn_(maize)___Common_rust_]",
    ]
    config = compose_config([*DATA, *words])
    assert split_external(config.evaluate.external) == {"orchard": "my photos/a, b", "phone": "/x/y=z.csv"}
    assert split_class_map(config.evaluate.class_map) == {"rust on maize": "Corn_(maize)___Common_rust_"}
    assert compose_config(config.overrides) == config


@pytest.mark.parametrize(
    ("entries", "match"),
    [
        ("orchard", r"'orchard' must be NAME=DIR or NAME=TABLE, for example orchard=photos/orchard"),
        ("orchard=", r"must be NAME=DIR"),
        ("a/b=x", r"the name 'a/b' must be one word"),
        ("..=x", r"must be one word"),
        ("=x", r"must be one word"),
        ("Test=x", r"'Test' is the name of a split"),
        ("a=x,A=y", r"two sets are called 'A'"),
    ],
)
def test_set_that_cannot_be_meant(entries, match) -> None:
    """Each fault is named when the settings are composed."""
    with pytest.raises(ConfigError, match=match):
        compose_config([*DATA, f"evaluate.external=[{entries}]"])


@pytest.mark.parametrize(
    ("words", "match"),
    [
        (["evaluate.external=[a=x]", "evaluate.class_map=[scab]"], "'scab' must be FOLDER=CLASS"),
        (["evaluate.external=[a=x]", "evaluate.class_map=[scab=]"], "must be FOLDER=CLASS"),
        (["evaluate.external=[a=x]", "evaluate.class_map=[scab=A,scab=B]"], "'scab' is named twice"),
        (["evaluate.class_map=[scab=A]"], "names classes of further sets, but evaluate.external names no set"),
    ],
)
def test_class_map_that_cannot_be_meant(words, match) -> None:
    """A map that would be passed over is refused."""
    with pytest.raises(ConfigError, match=match):
        compose_config([*DATA, *words])


def test_numbers_have_no_classes() -> None:
    """A class map beside a target is a mistake."""
    with pytest.raises(ConfigError, match="class_map is for classes, but numbers are learned here"):
        compose_config([*NUMBERS, "evaluate.external=[a=x]", "evaluate.class_map=[a=b]"])


def test_all_faults_are_told_at_once() -> None:
    """Nobody mends one word to learn of the next."""
    with pytest.raises(ConfigError) as caught:
        split_external(["a", "test=x"])
    assert "'a' must be" in str(caught.value)
    assert "'test' is the name of a split" in str(caught.value)
