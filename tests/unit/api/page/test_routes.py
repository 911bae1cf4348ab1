"""Where the page is found, and what browsers are told about it."""

import gzip
import json
import re

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from phytoscope.api.page.files import MEDIA_TYPES, read_page
from phytoscope.api.page.routes import PAGE_HEADERS, add_page

_MOST_BYTES, _MOST_PACKED = 100_000, 40_000


@pytest.fixture
def client():
    """A service with nothing but the page."""
    app = FastAPI()
    add_page(app)
    return TestClient(app)


def test_every_file_of_the_page_is_served_with_its_type(client):
    """All parts answer, are what they say, and carry the headers that keep a browser from anything else."""
    page = read_page()
    assert set(page.files) > {"index.html", "app.js", "style.css", "words.en.json", "words.de.json", "icon.svg"}
    for name, file in page.files.items():
        answer = client.get(f"/page/{page.version}/{name}")
        assert answer.status_code == 200
        assert answer.content == file.content
        assert answer.headers["content-type"] == MEDIA_TYPES[name.rpartition(".")[2]]
        assert {key: answer.headers[key] for key in PAGE_HEADERS} == PAGE_HEADERS


def test_policy_forbids_scripts_and_styles_in_the_page(client):
    """No inline script, no inline style, no other host; and the page needs none of them."""
    answer = client.get("/")
    policy = answer.headers["content-security-policy"]
    assert "unsafe" not in policy
    assert "default-src 'none'" in policy
    assert not re.search(r"<style|\sstyle=|\son\w+=|<script(?![^>]*src=)", answer.text)
    assert not re.search(r"(src|href)=\"(https?:|//)", answer.text)


def test_page_is_asked_for_again_and_its_parts_are_kept(client):
    """The page itself may change at any time, a part below its version never does."""
    version = read_page().version
    first = client.get("/")
    assert first.headers["cache-control"] == "no-cache"
    assert f"page/{version}/app.js" in first.text
    assert client.get("/", headers={"If-None-Match": first.headers["etag"]}).status_code == 304
    assert client.get("/", headers={"If-None-Match": '"other"'}).status_code == 200
    part = client.get(f"/page/{version}/app.js")
    assert "immutable" in part.headers["cache-control"]
    # Of a page that was opened before an update.
    assert client.get("/page/older/app.js").headers["cache-control"] == "no-cache"


def test_parts_are_compressed_for_who_understands_it(client):
    """gzip for a browser, plain bytes for the rest, each with a tag of its own."""
    packed = client.get("/", headers={"Accept-Encoding": "gzip"})
    plain = client.get("/", headers={"Accept-Encoding": "identity"})
    assert packed.headers["content-encoding"] == "gzip"
    assert "content-encoding" not in plain.headers
    assert packed.text == plain.text
    assert packed.headers["etag"] != plain.headers["etag"]
    assert gzip.decompress(read_page().files["index.html"].packed).decode() == plain.text


@pytest.mark.parametrize("path", ["/page/x/nothing.js", "/page/x/..%2f__init__.py", "/page/x/files.py"])
def test_nothing_but_the_page_is_served(client, path):
    """No other file of the package can be had."""
    answer = client.get(path)
    assert answer.status_code == 404
    assert "import" not in answer.text


def test_browsers_find_the_icon(client):
    """The address that every browser asks for leads to it."""
    answer = client.get("/favicon.ico")
    assert answer.headers["content-type"] == "image/svg+xml"


def test_page_stands_beside_the_description_and_not_in_it(client):
    """Programs that read the description need not know of the page."""
    assert client.app.openapi()["paths"] == {}


def test_page_is_small():
    """It opens at once on a slow connection."""
    files = read_page().files
    used = [file for name, file in files.items() if name != "words.de.json"]
    assert sum(len(file.content) for file in used) < _MOST_BYTES
    assert sum(len(file.packed) for file in used) < _MOST_PACKED


def test_both_languages_say_everything():
    """The same keys, the same gaps to fill, and no text is left empty."""
    files = read_page().files
    english, german = (json.loads(files[f"words.{name}.json"].content) for name in ("en", "de"))
    assert english.keys() == german.keys()
    for key, text in english.items():
        assert text.strip()
        assert set(re.findall(r"\{\w+\}", text)) == set(re.findall(r"\{\w+\}", german[key]))


def test_every_text_that_is_asked_for_exists():
    """No page shows the name of a text in place of the text."""
    files = read_page().files
    words = json.loads(files["words.en.json"].content)
    scripts = "\n".join(file.content.decode() for name, file in files.items() if name.endswith(".js"))
    asked = set(re.findall(r"\bt\(\"(\w+)\"", scripts))
    asked |= set(re.findall(r"data-(?:t|label)=\"(\w+)\"", files["index.html"].content.decode()))
    assert len(asked) > 60
    assert [key for key in asked if key not in words and f"{key}.other" not in words] == []


def test_reasons_of_all_verdicts_have_words():
    """Every reason that the service can give is explained, with what to do, in the page's own words."""
    from phytoscope.schema.verdict import Reason, Verdict

    words = json.loads(read_page().files["words.en.json"].content)
    assert all(f"reason_{reason}" in words and f"do_{reason}" in words for reason in Reason)
    assert all(f"verdict_{verdict}" in words for verdict in Verdict)
