"""A decoder process in which some contents do what a broken image library would do."""

import os
import signal
import sys
import time

from phytoscope.api import decoder_process

CRASH, HANG, EAT, FAIL = b"crash", b"hang", b"eat", b"fail"
_read = decoder_process.read_photo


def read_photo(content, *words, **settings):
    """Crashes, hangs, eats memory or raises what nobody expects when it is told to; else reads."""
    if content == CRASH:
        os.kill(os.getpid(), signal.SIGSEGV)
    if content == HANG:
        time.sleep(600)
    if content == EAT:
        return [bytearray(50_000_000) for _ in range(1000)]
    if content == FAIL:
        raise ZeroDivisionError
    return _read(content, *words, **settings)


if __name__ == "__main__":
    decoder_process.read_photo = read_photo
    decoder_process.main(sys.argv[1:])
