"""A worker that does what the name of its package says, in place of one that answers."""

import os
import signal
import sys
import time
from pathlib import Path

# Told from outside, so that nothing heavy is imported here.
REFUSAL = "STUB_WORKER_REFUSAL"


def main(words):
    """Does what the name of its package says.

    It beats once and falls silent (`hang`), beats once and dies (`die`), beats once and cannot be told to end
    (`stubborn`), or cannot start (`refuse`, or a file).
    """
    pulse, source = int(words[2]), words[3]
    if source == "refuse" or Path(source).exists():
        return int(os.environ[REFUSAL])
    if source == "stubborn":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    os.write(pulse, b".")
    time.sleep(0.0 if source == "die" else 600)
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
