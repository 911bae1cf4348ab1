"""The process that decodes photographs, run in this one: what it is told, and what it replies."""

import json
import mmap
import signal
import socket
import tempfile

import numpy as np
import pytest

from factories.packages import draw_photo
from phytoscope.api import decoder_process
from phytoscope.api.decoder_process import REPLY, REQUEST
from phytoscope.errors import ImageReadError
from phytoscope.schema.choices import ResizeMode
from phytoscope.transforms.photo import read_photo
from phytoscope.transforms.preprocess import Preprocess

PREPROCESS = Preprocess(32, ResizeMode.squash, "bicubic", (0.5, 0.5, 0.5), (0.2, 0.2, 0.2))


@pytest.fixture
def decode(monkeypatch):
    """A function that has photographs decoded, and gives the replies and the last square."""
    # The limits are those of the process, which here is that of the tests.
    monkeypatch.setattr(decoder_process, "_limit_memory", lambda _allowed: None)
    monkeypatch.setattr(decoder_process.cv2, "setNumThreads", lambda _count: None)
    kept = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGALRM)}
    signal.signal(signal.SIGALRM, lambda *_: None)

    def run(*contents, preprocess=PREPROCESS, cut=0):
        parameters = json.dumps(preprocess.to_dict()).encode()
        near, far = socket.socketpair()
        with near, tempfile.TemporaryFile() as source, tempfile.TemporaryFile() as squares:
            source.truncate(1_000_000)
            squares.truncate(3 * 32 * 32)
            shared = mmap.mmap(source.fileno(), 0)
            for content in contents:
                shared[: len(content)] = content
                request = REQUEST.pack(len(content), len(parameters)) + parameters
                near.sendall(request[: len(request) - cut])
            near.shutdown(socket.SHUT_WR)
            words = [far.detach(), source.fileno(), squares.fileno(), 100, 30]
            decoder_process.main([str(word) for word in words])
            stream = near.makefile("rb")
            replies = []
            while head := stream.read(REPLY.size):
                replies.append(json.loads(stream.read(REPLY.unpack(head)[0])))
            square = np.frombuffer(mmap.mmap(squares.fileno(), 0)[:], dtype=np.uint8).reshape(32, 32, 3)
        return replies, square

    yield run
    for number, handler in kept.items():
        signal.signal(number, handler)


def test_photograph_is_decoded_until_the_socket_is_closed(decode, tmp_path):
    """It says that it is ready, then what it found; the square is that of `read_photo`."""
    content = draw_photo(tmp_path / "leaf.png").read_bytes()
    (ready, first, second), square = decode(content, content)
    assert ready["ready"] > 0
    assert first == second
    assert (first["width_px"], first["height_px"], len(first["sha256"])) == (24, 20, 64)
    np.testing.assert_array_equal(square, read_photo(content, PREPROCESS, measured=True).square)


def test_request_that_is_cut_off_ends_it(decode, tmp_path):
    """A service that dies in the middle of a request leaves no process behind."""
    replies, _ = decode(draw_photo(tmp_path / "leaf.png").read_bytes(), cut=3)
    assert [list(reply) for reply in replies] == [["ready"]]


def test_too_many_pixels_are_told_with_the_limit(decode, tmp_path):
    """Before they are decoded."""
    small = Preprocess(32, ResizeMode.squash, "bicubic", (0.5,) * 3, (0.2,) * 3, max_megapixels=1e-4)
    (_, reply), _ = decode(draw_photo(tmp_path / "leaf.png").read_bytes(), preprocess=small)
    assert reply["code"] == "too_large"
    assert "0.0001 megapixels (serve.max_megapixels)" in reply["reason"]


@pytest.mark.parametrize(
    ("fault", "cause", "code"),
    [
        (ImageReadError("x", "the image is damaged"), None, "unreadable"),
        (ImageReadError("x", "no memory"), MemoryError(), "too_large"),
        (ZeroDivisionError(), None, "decoder_failed"),
    ],
)
def test_faults_are_told_apart(decode, monkeypatch, fault, cause, code):
    """Nothing of the inside of a library is told."""

    def fail(*_words, **_settings):
        raise fault from cause

    monkeypatch.setattr(decoder_process, "read_photo", fail)
    (_, reply), _ = decode(b"content")
    assert reply["code"] == code
    assert ("kind" in reply) == (code == "decoder_failed")


def test_connection_that_breaks_is_an_end(decode):
    """Whatever the system calls it."""

    class Broken:
        def recv(self, _count):
            raise ConnectionResetError

    assert decoder_process._receive(Broken(), 4) is None
