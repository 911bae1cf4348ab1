"""Clients that ask a running service without a pause, and what they were told."""

import asyncio
import contextlib
import threading
from dataclasses import dataclass, field

from factories.hostile_files import encode_photo
from factories.process_trees import wait_until
from factories.raw_http import FORM, Line, form, post


@dataclass
class Said:
    """One answer: number of the first photograph, status (0: the connection ended), content, headers, seconds."""

    number: int
    status: int
    content: dict
    headers: dict
    took_s: float
    begun_s: float


@dataclass
class Load:
    """Clients in a thread of their own.

    Attributes:
        said: All answers so far.
        photos: What is sent.
    """

    said: list[Said] = field(default_factory=list)
    photos: list[bytes] = field(default_factory=list)

    def statuses(self):
        """All statuses that came."""
        return {one.status for one in self.said}

    def good(self):
        """Answers with a prediction."""
        return [one for one in self.said if one.status == 200]

    def wait_for_more(self, count, seconds=60.0):
        """Waits until so many more answers with a prediction have come."""
        before = len(self.good())
        wait_until(lambda: len(self.good()) >= before + count, seconds)


def requests_of(photos, per_form):
    """One request a photograph, or forms of several."""
    if per_form == 1:
        return [post(photo) for photo in photos]
    count = len(photos)
    files = [[(f"{(first + step) % count}", photos[(first + step) % count]) for step in range(per_form)]
             for first in range(count)]  # fmt: skip
    return [post(form(each), FORM) for each in files]


@contextlib.contextmanager
def under_load(url, clients=4, per_form=1, photos=None, keep_alive=True):
    """Has clients ask while the block runs; afterwards every request that was begun has ended."""
    load, stop = Load(photos=photos or [encode_photo(seed) for seed in range(6)]), threading.Event()
    requests = requests_of(load.photos, per_form)
    thread = threading.Thread(target=lambda: asyncio.run(_ask_all(url, load, requests, clients, keep_alive, stop)))
    thread.start()
    try:
        yield load
    finally:
        stop.set()
        thread.join()


async def _ask_all(url, load, requests, clients, keep_alive, stop):
    async def ask(first):
        line, at = None, first
        while not stop.is_set():
            at = (at + 1) % len(requests)
            try:
                line = line or await Line.open(url)
            except OSError:
                load.said.append(Said(at, -1, {}, {}, 0.0, 0.0))
                await asyncio.sleep(0.05)
                continue
            begun = asyncio.get_running_loop().time()
            answer = await line.ask(requests[at])
            content = answer.json() if answer.body else {}
            load.said.append(Said(at, answer.status, content, answer.headers, answer.took_s, begun))
            if not keep_alive or answer.status == 0 or answer.headers.get("connection") == "close":
                await line.close()
                line = None
        if line is not None:
            await line.close()

    await asyncio.gather(*(ask(number) for number in range(clients)))
