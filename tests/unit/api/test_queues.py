"""Turns, batches and admission."""

import asyncio
import threading
from types import SimpleNamespace

import numpy as np
import pytest

from phytoscope.api.admission import Admission
from phytoscope.api.batcher import Batcher, Question
from phytoscope.api.errors import RequestError, explain_fault
from phytoscope.api.fair_queue import FairQueue
from phytoscope.errors import ConfigError, PackageError, StorageError
from phytoscope.transforms.photo import Photo


class Network:
    """Answers with the names it was given, and remembers the batches."""

    def __init__(self, batch_size=4, lanes=1):
        self.engine = SimpleNamespace(batch_size=batch_size, lanes=lanes)
        self.batches = []
        self.gate = threading.Event()
        self.gate.set()

    def answer(self, names, photos, covariates, remarks):
        self.gate.wait(30)
        self.batches.append(list(names))
        if "poison" in names:
            raise ValueError("poison")
        return list(names)


def ask(name, covariates=None):
    return Question(name, Photo(np.zeros((2, 2, 3), np.uint8), 2, 2), covariates, ())


def test_owners_take_turns():
    """A request with many photographs does not stand before one with a single one."""
    queue = FairQueue()
    for number in range(3):
        queue.push("many", f"many {number}")
    queue.push("one", "one")
    assert [queue.pop() for _ in range(len(queue))] == ["many 0", "one", "many 1", "many 2"]
    with pytest.raises(IndexError):
        queue.pop()


def test_lone_question_is_answered_at_once_and_crowds_share_batches():
    """The first one is not held back; what comes while it is computed forms one batch."""
    network, sizes = Network(), []

    async def work():
        batcher = Batcher(network, lambda size, _seconds: sizes.append(size))
        network.gate.clear()
        first = batcher.ask("a", ask("a"))
        rest = [batcher.ask(name, ask(name)) for name in "bcdef"]
        assert batcher.waiting == 5
        network.gate.set()
        found = await asyncio.gather(first, *rest)
        await batcher.close()
        return found

    assert asyncio.run(work()) == list("abcdef")
    assert network.batches == [["a"], list("bcde"), ["f"]]
    assert sizes == [1, 4, 1]


def test_one_bad_photograph_does_not_spoil_its_batch():
    """The others of the batch are computed without it."""
    network = Network(batch_size=3)

    async def work():
        batcher = Batcher(network)
        network.gate.clear()
        first = batcher.ask(0, ask("first"))
        rest = [batcher.ask(name, ask(name)) for name in ("a", "poison", "b")]
        network.gate.set()
        found = await asyncio.gather(first, *rest, return_exceptions=True)
        await batcher.close()
        return found

    found = asyncio.run(work())
    assert [found[0], found[1], found[3]] == ["first", "a", "b"]
    assert isinstance(found[2], ValueError)


def test_cancelled_question_is_not_computed():
    """Work whose deadline has passed is dropped from the queue."""
    network = Network(batch_size=1)

    async def work():
        batcher = Batcher(network)
        network.gate.clear()
        first, late = batcher.ask(0, ask("first")), batcher.ask(1, ask("late"))
        late.cancel()
        network.gate.set()
        await first
        await batcher.close()

    asyncio.run(work())
    assert network.batches == [["first"]]


def test_admission_counts_what_is_under_way():
    """Past the limit a time is named; a request larger than the queue is taken when nothing else is there."""
    admission = Admission(4, 100)
    with admission.take(3):
        with pytest.raises(RequestError, match="try again in") as caught, admission.take(2):
            pass
        assert caught.value.status == 429
        assert int(caught.value.headers["Retry-After"]) >= 1
        with admission.take(1):
            assert admission.is_full
    with admission.take(9):
        assert admission.images == 9
    assert admission.images == 0
    with admission.hold() as holding:
        holding.add(100)
        with pytest.raises(RequestError), admission.hold() as other:
            other.add(1)
    assert admission.held_bytes == 0


@pytest.mark.parametrize(
    ("error", "status", "code", "told"),
    [
        (ConfigError("no column 'x'"), 422, "bad_request", "no column 'x'"),
        (StorageError("/secret/place"), 503, "not_ready", "try again later"),
        (TimeoutError(), 504, "timeout", "took too long"),
        (PackageError("/secret/place"), 500, "internal", "its log says what"),
        (ValueError("/secret/place"), 500, "internal", "its log says what"),
    ],
)
def test_each_exception_has_one_status(error, status, code, told):
    """Nothing of the inside of the service is told."""
    fault = explain_fault(error)
    assert (fault.status, fault.code) == (status, code)
    assert told in str(fault)
    assert "secret" not in str(fault)


def test_answer_that_nobody_waits_for_any_more_is_dropped():
    """A client that goes while its photograph is computed changes nothing for the others of its batch."""
    network = Network(batch_size=2)

    async def work():
        batcher = Batcher(network)
        network.gate.clear()
        gone = batcher.ask(0, ask("gone"))
        await asyncio.sleep(0)
        gone.cancel()
        network.gate.set()
        found = await batcher.ask(1, ask("stays"))
        await batcher.close()
        return found

    assert asyncio.run(work()) == "stays"
    assert network.batches[0] == ["gone"]
