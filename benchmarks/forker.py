"""Starts processes at a fixed rate, which end at once. :mod:`benchmarks.short_lived` runs this file as a script.

forker.py A_SECOND
"""

from __future__ import annotations

import os
import sys
import time

ROUNDS_A_SECOND = 100


def main() -> None:
    """See the docstring of the module; ends when standard input does."""
    each_round = int(sys.argv[1]) // ROUNDS_A_SECOND
    os.set_blocking(0, False)
    deadline = time.monotonic()
    while _goes_on():
        for _ in range(each_round):
            if os.fork() == 0:
                os._exit(0)
            os.wait()
        # Missed rounds are made up for, because the rate matters.
        deadline += 1 / ROUNDS_A_SECOND
        time.sleep(max(0.0, deadline - time.monotonic()))


def _goes_on() -> bool:
    try:
        return os.read(0, 1) != b""
    except BlockingIOError:
        return True


if __name__ == "__main__":
    main()
