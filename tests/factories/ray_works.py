"""Work on rows for clusters of tests; in a module that the workers can import."""

import os
import signal
import time

from phytoscope.errors import ImageReadError


class Numbers:
    """Counts, and writes down how far it was asked."""

    def __init__(self, count, log=None):
        self.count, self.log = count, log

    def __call__(self):
        """Gives the rows."""
        for number in range(self.count):
            if self.log is not None:
                self.log.append(number)
            yield number


class Tripling:
    """Triples numbers slowly; one of them may kill its worker or be an error."""

    def __init__(self, delay_s=0.0, poison=None, error=None):
        self.delay_s, self.poison, self.error = delay_s, poison, error

    def open(self, cores):
        """Gives the function."""

        def work(rows):
            for row in rows:
                time.sleep(self.delay_s)
                if row == self.poison:
                    os.kill(os.getpid(), signal.SIGKILL)
                if row == self.error:
                    raise ImageReadError("a.png", "it is empty")
                yield row * 3

        return work


def refuse():
    """Fails in the process that unpickles it."""
    message = "not here"
    raise RuntimeError(message)


class Unloadable(Tripling):
    """Travels, and cannot be unpacked."""

    def __reduce__(self):
        return refuse, ()
