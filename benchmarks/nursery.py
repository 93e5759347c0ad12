"""Forks many processes that live until standard input ends. :mod:`benchmarks.processes` runs this file as a script.

It imports next to nothing, because each of its thousands of forks carries its imports.
"""

from __future__ import annotations

import os
import select
import sys
import time

READY = b"."
FAILED = b"!"

_STDIN = 0
_STDOUT = 1


def main() -> None:
    """Arguments: number of processes, share that is active (0..1), seconds between two spins, seconds of a spin."""
    count, active_share, pause, spin = int(sys.argv[1]), *map(float, sys.argv[2:])
    for number in range(count):
        try:
            pid = os.fork()
        except OSError as error:
            # One write, so that no fork's READY comes in between.
            os.write(_STDOUT, FAILED + f"fork {number + 1} of {count} failed: {error.strerror}\n".encode())
            break
        if pid == 0:
            try:
                _live(number, active_share, pause, spin)
            finally:
                # A fork must never return to the loop that forks.
                os._exit(0)
    _wait_for_the_end()
    _reap_all()


def _live(number: int, active_share: float, pause: float, spin: float) -> None:
    os.write(_STDOUT, READY)
    # Spread over the PIDs, so that active processes are not neighbours in a sampler's tables.
    if int((number + 1) * active_share) > int(number * active_share):
        _spin_now_and_then(number, pause, spin)
    else:
        _wait_for_the_end()


def _spin_now_and_then(number: int, pause: float, spin: float) -> None:
    # The golden ratio spreads the first ones evenly over a pause, for any number of processes.
    wait = pause * (number * 0.6180339887 % 1)
    while not select.select([_STDIN], [], [], wait)[0]:
        until = time.process_time() + spin
        while time.process_time() < until:
            pass
        wait = pause


def _wait_for_the_end() -> None:
    # This pipe becomes readable only when its writer closes it or dies.
    os.read(_STDIN, 1)


def _reap_all() -> None:
    try:
        while True:
            os.wait()
    except ChildProcessError:
        pass


if __name__ == "__main__":
    main()
