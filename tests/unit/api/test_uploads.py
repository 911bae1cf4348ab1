"""What a body may cost before anything is decoded."""

import json
import time

import pytest

from phytoscope.api.errors import RequestError
from phytoscope.api.uploads import read_order

JSON, FORM = "application/json", "multipart/form-data; boundary=b"
_PART = b'--b\r\nContent-Disposition: form-data; name="%b"%b\r\n\r\n%b\r\n'


def make_form(covariates):
    """A form with one file and what is known of it."""
    return _PART % (b"files", b'; filename="a"', b"hi") + _PART % (b"covariates", b"", covariates) + b"--b--\r\n"


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        (JSON, b'{"images":[' + b"{}," * 1_000_000 + b"{}]}"),
        (JSON, b'{"images":[{"data":"AAAA","covariates":{' + b'"a":[],' * 500_000 + b'"a":[]}}]}'),
        (JSON, b"[" * 1_000_000),
        (FORM, make_form(b"[" + b"{}," * 1_000_000 + b"{}]")),
    ],
    ids=["images", "covariates", "nested", "form"],
)
def test_millions_of_entries_are_refused_unread(kind, body):
    """Each entry would become an object and an error of its own: seconds and gigabytes for a few megabytes."""
    began = time.process_time()
    with pytest.raises(RequestError, match="too many entries") as caught:
        read_order(kind, body, {}, 16)
    assert caught.value.status == 413
    assert time.process_time() - began < 1.0


def test_many_columns_are_read():
    """Hundreds of columns for each of all photographs are no attack."""
    covariates = {f"column {number}": number for number in range(900)}
    images = [{"data": "aGFsbG8=", "covariates": covariates} for _ in range(16)]
    order = read_order(JSON, json.dumps({"images": images}).encode(), {}, 16)
    assert [len(upload.covariates) for upload in order.uploads] == [900] * 16
    (upload,) = read_order(FORM, make_form(json.dumps(covariates).encode()), {}, 16).uploads
    assert upload.covariates == covariates


@pytest.mark.parametrize(
    ("kind", "body", "status", "words"),
    [
        ("application/x-www-form-urlencoded", b"\xff\xd8", 415, "add -H 'Content-Type: image/jpeg'"),
        ("application/pdf", b"%PDF", 415, "send the file itself"),
        ("image/jpeg", b"", 422, "is the path of the file right"),
    ],
)
def test_usual_slips_are_told_with_their_remedy(kind, body, status, words):
    """What curl does when a header or a path is wrong."""
    with pytest.raises(RequestError, match=words) as caught:
        read_order(kind, body, {}, 16)
    assert caught.value.status == status


@pytest.mark.parametrize("covariates", [b'[{"age": 1}, {"age": 2}]', b"[1]", b'"age"', b"null", b'{"age": [1]}'])
def test_covariates_of_a_form_must_fit_its_files(covariates):
    """One object for all files or one for each, of plain values."""
    with pytest.raises(RequestError, match=r"must be one JSON object .* or a list with one for each") as caught:
        read_order(FORM, make_form(covariates), {}, 16)
    assert caught.value.status == 422


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (
            b'--b\r\nContent-Disposition: form-data; name="' + b"n" * 20_000 + b'"\r\n\r\nhi\r\n--b--\r\n',
            # Older versions of the library leave the limit to us.
            "a header is too|it cannot be read",
        ),
        (b"--b\r\nContent-Disposition: form-data\r\n\r\nhi\r\n--b--\r\n", "a part has no name"),
        (b"--b\r\nContent-Type: image/png\r\n\r\nhi\r\n--b--\r\n", "a part has no name"),
        (b"no boundary at all", "it cannot be read"),
    ],
    ids=["long header", "no name", "no disposition", "no form"],
)
def test_broken_forms_are_told_apart(body, words):
    """Each with what is wrong, as a fault of the request."""
    with pytest.raises(RequestError, match=words) as caught:
        read_order(FORM, body, {}, 16)
    assert caught.value.status == 400
