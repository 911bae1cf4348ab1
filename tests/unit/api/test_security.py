"""Who may ask: the keys' side is tested with them, here pages from elsewhere and borrowed names."""

import pytest

from phytoscope.api.errors import RequestError
from phytoscope.api.keys import add_key
from phytoscope.api.security import Door
from phytoscope.schema.serve import ServeConfig


def knock(door, method="POST", path="/v1/predict", **headers):
    """Status and code of the refusal; None when the door opens."""
    sent = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    try:
        door.check(method, path, sent)
    except RequestError as error:
        return error.status, error.code
    return None


OWN = {"host": "127.0.0.1:8000"}
REFUSED = (403, "forbidden")


@pytest.mark.parametrize(
    ("headers", "refused"),
    [
        ({}, False),
        ({"origin": "http://127.0.0.1:8000"}, False),
        ({"origin": "http://127.0.0.1:3000"}, True),
        ({"origin": "https://evil.example.org"}, True),
        ({"origin": "null"}, True),
        ({"origin": "https://lab.example.org"}, False),
        ({"origin": "https://evil.example.org", "sec_fetch_site": "cross-site"}, True),
        ({"sec_fetch_site": "same-site"}, True),
        # A proxy may have changed the name; the browser knows better.
        ({"origin": "https://plants.example.org", "sec_fetch_site": "same-origin"}, False),
        ({"sec_fetch_site": "none"}, False),
    ],
)
def test_pages_from_elsewhere_are_refused(headers, refused):
    """What a browser sends for another page is refused, unless the settings name that page."""
    door = Door(ServeConfig(cors_origins=["https://lab.example.org/"]))
    assert knock(door, **OWN, **headers) == (REFUSED if refused else None)
    assert knock(door, "GET", "/v1/models", **OWN, **headers) is None


def test_star_opens_for_all_pages():
    """Whoever allows all pages gets what was asked for."""
    assert knock(Door(ServeConfig(cors_origins=["*"])), **OWN, origin="https://any.example.org") is None


def test_key_takes_the_place_of_the_page(tmp_path):
    """A page from elsewhere cannot have the key, so who has it may come from anywhere."""
    key = add_key(tmp_path / "keys.json", "lab")
    door = Door(ServeConfig(keys=str(tmp_path / "keys.json")))
    foreign = {"host": "plants.example.org", "origin": "https://evil.example.org"}
    assert knock(door, **foreign) == (401, "unauthorised")
    assert knock(door, **foreign, x_api_key=key) is None
    assert knock(door, path="/", **foreign) is None


@pytest.mark.parametrize(
    ("host", "refused"),
    [
        ("127.0.0.1:8000", False),
        ("localhost", False),
        ("LOCALHOST.:8000", False),
        ("[::1]:8000", False),
        ("192.168.1.7:8000", False),
        ("", False),
        ("rebound.example.org:8000", True),
        ("127.0.0.1.example.org", True),
        ("Plants.example.org", False),
    ],
)
def test_borrowed_name_is_refused(host, refused):
    """A page that gives its own name the service's address reads nothing; health may be asked by any name."""
    door = Door(ServeConfig(allowed_hosts=["plants.example.org"]))
    assert knock(door, "GET", "/v1/models", host=host) == (REFUSED if refused else None)
    assert knock(door, "GET", "/readyz", host=host) is None


@pytest.mark.parametrize(("settings", "checked"), [({}, True), ({"host": "192.168.1.7"}, False)])
def test_name_is_checked_where_nobody_else_should_ask(settings, checked):
    """A service for one computer knows its names; one for a network cannot, unless told."""
    refusal = knock(Door(ServeConfig(**settings)), "GET", "/", host="plants.example.org")
    assert (refusal == REFUSED) is checked


@pytest.mark.parametrize(
    ("headers", "words"), [([], "a key is needed"), ([(b"x-api-key", b"phy_old")], "not known, or")]
)
def test_missing_and_wrong_key_are_told_apart(tmp_path, headers, words):
    """Who mistyped a key would otherwise look for the header's name."""
    add_key(tmp_path / "keys.json", "lab")
    door = Door(ServeConfig(keys=str(tmp_path / "keys.json")))
    with pytest.raises(RequestError, match=words):
        door.check("POST", "/v1/predict", [(b"host", b"127.0.0.1"), *headers])
