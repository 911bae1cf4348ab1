"""What a process remembers of pictures stays below its bound."""

import threading

import numpy as np

from phytoscope.estimators.memory import FeatureMemory


def make_features(value):
    """Features of 100 bytes."""
    return np.full(25, value, dtype=np.float32)


def test_what_was_not_asked_for_longest_is_forgotten_first():
    """The bound holds at any time, and what is asked for stays."""
    memory = FeatureMemory(max_bytes=300)
    for key in "abc":
        memory.keep(key, make_features(ord(key)))
    memory.recall(["a"])

    memory.keep("d", make_features(0))

    assert set(memory.recall("abcd")) == {"a", "c", "d"}
    assert memory.nbytes == 300
    assert len(memory) == 3


def test_the_same_key_is_counted_once():
    """What is kept again takes the place of what was there."""
    memory = FeatureMemory(max_bytes=300)

    for value in range(5):
        memory.keep("a", make_features(value))

    assert memory.nbytes == 100
    assert memory.recall("a")["a"][0] == 4


def test_nothing_larger_than_the_bound_is_kept():
    """One large row does not push everything out."""
    memory = FeatureMemory(max_bytes=100)
    memory.keep("a", make_features(1))

    memory.keep("b", np.zeros(26, dtype=np.float32))

    assert set(memory.recall("ab")) == {"a"}


def test_a_batch_is_not_kept_for_one_row_of_it():
    """Rows are copied, and what is remembered cannot be written to."""
    memory = FeatureMemory()
    batch = np.zeros((8, 25), dtype=np.float32)

    memory.keep("a", batch[0])
    batch[0] = 9

    assert memory.recall("a")["a"].base is None
    assert memory.recall("a")["a"].max() == 0
    assert not memory.recall("a")["a"].flags.writeable
    memory.clear()
    assert (len(memory), memory.nbytes) == (0, 0)


def test_threads_may_share_it():
    """The count of bytes is right after many threads wrote at once."""
    memory = FeatureMemory(max_bytes=2000)

    def write(start):
        for key in range(start, start + 200):
            memory.keep(key, make_features(key))
            memory.recall(range(key, key + 5))

    threads = [threading.Thread(target=write, args=(100 * number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert memory.nbytes == 100 * len(memory) == 2000
