"""Decoder processes: what kills one of them kills nothing else."""

import asyncio
import io
import os
import signal
import socket

import numpy as np
import psutil
import pytest
from PIL import Image

from factories.crashing_decoder import CRASH, EAT, FAIL, HANG
from factories.packages import draw_photo
from phytoscope.api import decoder_link, decoders
from phytoscope.api.decoder_link import DecoderLimits
from phytoscope.api.decoders import DecodeError, DecoderPool, Recipe
from phytoscope.schema.choices import ResizeMode
from phytoscope.transforms.photo import read_photo
from phytoscope.transforms.preprocess import Preprocess

PREPROCESS = Preprocess(32, ResizeMode.squash, "bicubic", (0.5, 0.5, 0.5), (0.2, 0.2, 0.2))
LIMITS = DecoderLimits(2_000_000, 256.0, 30.0)


@pytest.fixture
def photo(tmp_path):
    """The bytes of one photograph."""
    return draw_photo(tmp_path / "leaf.jpg").read_bytes()


def run(work, count=1, limits=LIMITS):
    """Runs `work(pool, recipe)` with a pool, and makes sure that its processes end with it."""

    async def inside():
        pool = DecoderPool(count, limits, faults.append)
        try:
            await pool.wait_ready()
            return await work(pool, Recipe(PREPROCESS, None)), faults
        finally:
            pids = pool.pids
            pool.close()
            assert not any(psutil.pid_exists(pid) for pid in pids)

    faults = []
    return asyncio.run(inside())


async def read_error(pool, content, recipe):
    """Code of the error that one content gets."""
    with pytest.raises(DecodeError) as caught:
        await pool.read(0, content, recipe)
    return caught.value.code


def test_decoded_photograph_is_that_of_this_process(photo):
    """Square, sizes, measures and hash are those that `read_photo` gives."""

    async def work(pool, recipe):
        return await pool.read(0, photo, recipe)

    decoded, _ = run(work)
    expected = read_photo(photo, PREPROCESS, measured=True)
    np.testing.assert_array_equal(decoded.photo.square, expected.square)
    assert (decoded.photo.width_px, decoded.photo.height_px) == (expected.width_px, expected.height_px)
    assert decoded.photo.measures == expected.measures
    assert len(decoded.sha256) == 64


def test_many_at_once_keep_their_own_squares(tmp_path):
    """Each of many photographs gets its own answer, whichever process decoded it."""
    photos = [draw_photo(tmp_path / f"{number}.png", number).read_bytes() for number in range(12)]

    async def work(pool, recipe):
        return await asyncio.gather(*(pool.read(number % 3, photo, recipe) for number, photo in enumerate(photos)))

    found, _ = run(work, count=2)
    for photo, decoded in zip(photos, found, strict=True):
        np.testing.assert_array_equal(decoded.photo.square, read_photo(photo, PREPROCESS).square)


def test_bad_content_costs_one_photograph(photo, monkeypatch):
    """A crash, a hang, too much memory and an unexpected error are told apart, and the next photograph is decoded."""
    monkeypatch.setattr(decoder_link, "_MODULE", "factories.crashing_decoder")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(["tests", os.environ.get("PYTHONPATH", "")]))

    async def work(pool, recipe):
        codes = [await read_error(pool, content, recipe) for content in (b"text", CRASH, HANG, EAT, FAIL)]
        return codes, await pool.read(0, photo, recipe), pool.restarts

    (codes, decoded, restarts), faults = run(work, limits=DecoderLimits(2_000_000, 256.0, 3.0))
    assert codes == ["unreadable", "decoder_failed", "decoder_timeout", "decoder_failed", "decoder_failed"]
    assert faults == codes
    assert restarts == 2
    assert decoded.photo.width_px == 24


def test_photograph_that_needs_too_much_memory_is_refused():
    """A picture within the limit of pixels whose decoding needs more than the service gives."""
    stream = io.BytesIO()
    Image.fromarray(np.zeros((9500, 9500, 3), np.uint8)).save(stream, "PNG", compress_level=1)

    async def work(pool, recipe):
        return await read_error(pool, stream.getvalue(), recipe)

    code, _ = run(work, limits=DecoderLimits(20_000_000, 128.0, 30.0))
    assert code == "too_large"


def test_smaller_limit_of_pixels_counts(photo):
    """The service can allow less than the package, and not more."""
    assert Recipe(PREPROCESS, 0.25).max_megapixels == 0.25
    assert Recipe(PREPROCESS, 1e6).max_megapixels == PREPROCESS.max_megapixels


def test_cancelled_photograph_is_not_decoded(photo):
    """Work whose client has gone is dropped from the queue."""

    async def work(pool, recipe):
        first = asyncio.ensure_future(pool.read(0, photo, recipe))
        waiting = [asyncio.ensure_future(pool.read(1, photo, recipe)) for _ in range(5)]
        await asyncio.sleep(0)
        for each in waiting:
            each.cancel()
        await first
        await asyncio.gather(*waiting, return_exceptions=True)
        return pool.waiting

    assert run(work)[0] == 0


def test_decoder_ends_with_its_parent(photo):
    """Without the socket there is nothing to do: no process is left over."""

    async def work(pool, recipe):
        (link,) = pool._links
        process = psutil.Process(link.pid)
        link._loop.remove_reader(link._socket)
        link._socket.shutdown(2)
        return await asyncio.to_thread(process.wait, 30)

    assert run(work)[0] in (0, None)


def test_decoder_that_dies_while_nothing_is_asked_is_replaced(photo):
    """Whether it was idle or had not yet started, another one takes its place and decodes."""

    async def work(pool, recipe):
        (pid,) = pool.pids
        os.kill(pid, signal.SIGKILL)
        await until(lambda: pool.restarts == 1 and pool.pids != [pid])
        return await pool.read(0, photo, recipe)

    assert run(work)[0].photo.width_px == 24


def test_decoder_that_cannot_start_is_tried_again_with_pauses(photo, monkeypatch):
    """It is not started again and again without a pause, and not after the end."""
    monkeypatch.setattr(decoders, "_PAUSE_SECONDS", 0.05)

    async def work():
        pool = DecoderPool(1, LIMITS)
        os.kill(pool.pids[0], signal.SIGKILL)
        await pool.wait_ready()
        found = await pool.read(0, photo, Recipe(PREPROCESS, None))
        pool.close()
        late = DecoderPool(1, LIMITS)
        os.kill(late.pids[0], signal.SIGKILL)
        await until(lambda: late.restarts == 1)
        late.close()
        await asyncio.sleep(0.1)
        return pool.restarts, found.photo.width_px, late.pids

    assert asyncio.run(work()) == (1, 24, [])


def test_decoder_that_goes_when_it_is_asked_costs_one_photograph(photo):
    """The request fails like one over which the process died, and the next one is answered."""

    async def work(pool, recipe):
        (link,) = pool._links
        link._socket.shutdown(socket.SHUT_RDWR)
        code = await read_error(pool, photo, recipe)
        await until(lambda: pool._idle)
        (link,) = pool._links
        link._socket.shutdown(socket.SHUT_RDWR)
        reply = link.decode(photo, recipe.parameters)
        # The reader may hear of the end before the one who asked does.
        link._listen()
        return [code, (await reply)["code"]], await pool.read(0, photo, recipe), pool.restarts

    (codes, decoded, restarts), faults = run(work)
    assert codes == ["decoder_failed"] * 2
    assert faults == ["decoder_failed"]
    assert restarts == 2
    assert decoded.photo.width_px == 24


def test_reply_may_come_in_pieces(photo, monkeypatch):
    """And a wake without anything to read is no end."""
    monkeypatch.setattr(decoder_link, "_CHUNK_BYTES", 1)

    async def work(pool, recipe):
        (link,) = pool._links
        link._listen()
        return await pool.read(0, photo, recipe)

    assert run(work)[0].photo.width_px == 24


def test_fault_that_nobody_waits_for_is_still_counted(photo):
    """A client that goes while its bad photograph is decoded harms nobody, and the process goes on."""

    async def work(pool, recipe):
        gone = asyncio.ensure_future(pool.read(0, b"text", recipe))
        await asyncio.sleep(0)
        gone.cancel()
        return await pool.read(1, photo, recipe)

    decoded, faults = run(work)
    assert decoded.photo.width_px == 24
    assert faults == ["unreadable"]


def test_shared_memory_is_a_file_where_the_system_has_no_other(photo, monkeypatch):
    """As on macOS; and a link that is closed twice is closed."""
    monkeypatch.delattr(os, "memfd_create", raising=False)

    async def work(pool, recipe):
        found = await pool.read(0, photo, recipe)
        (link,) = pool._links
        link.close()
        link.close()
        return found

    assert run(work)[0].photo.width_px == 24


async def until(is_so):
    async with asyncio.timeout(60):
        while not is_so():
            await asyncio.sleep(0.01)
