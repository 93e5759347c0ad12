"""A lightweight load client: N keep-alive connections, every response checked.

``python -m benchmarks.loadgen.client`` runs it in a separate process: a client that shares its interpreter with
anything else measures that too. It speaks just enough HTTP/1.1 for responses with a content length or in chunks. A
general client library is slower than the server, and would measure itself.

Each connection sends its next request when it has the response to the last (a closed loop), or, with ``--rate``,
whenever the next one of a fixed schedule is due. It prints the messages of :mod:`benchmarks.loadgen.outcome` as lines
of JSON. The times of each request go to the file ``--samples``: there are too many for JSON. SIGTERM ends it
early, with the results so far.
"""

from __future__ import annotations

import argparse
import asyncio
import selectors
import signal
import sys
import time
from pathlib import Path

import msgspec

from benchmarks.loadgen.body_check import AnyBody, Bodies, BodyCheck, Check
from benchmarks.loadgen.books import Books
from benchmarks.loadgen.load import Load
from benchmarks.loadgen.outcome import Message
from benchmarks.loadgen.pace import ClosedLoop, FixedRate, Pace

__all__ = ["main"]


def _print(message: Message) -> None:
    sys.stdout.write(msgspec.json.encode(message).decode() + "\n")
    sys.stdout.flush()


def _loop_with_fine_timers() -> asyncio.AbstractEventLoop:
    # epoll waits in whole milliseconds, longer than a response takes; select waits in microseconds.
    return asyncio.SelectorEventLoop(selectors.SelectSelector())


async def _run(options: argparse.Namespace) -> None:
    now_ns = time.perf_counter_ns()
    books = Books(now_ns + round(options.warm_up * 1e9), options.stale_after)
    ends_ns = books.starts_ns + round(options.seconds * 1e9)
    pace: Pace = ClosedLoop(ends_ns)
    if options.rate is not None:
        pace = FixedRate(now_ns, ends_ns, options.rate, round(options.timeout * 1e9))

    bodies = Bodies(books)

    def new_check() -> Check:
        return AnyBody() if options.any_body else BodyCheck(bodies)

    load = Load(
        options.host,
        options.port,
        options.path,
        options.accept,
        options.connections,
        options.timeout,
        books,
        new_check,
        pace,
        tell=_print,
    )
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, load.stop)
    outcome = await load.run()
    if options.samples:
        books.samples.write(options.samples)
    _print(outcome)


def main() -> None:
    """See the docstring of the module."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.loadgen.client", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--path", default="/cpu_usage")
    parser.add_argument("--accept", default="application/json", metavar="TYPE", help="the media type to ask for")
    parser.add_argument("--connections", type=int, default=5)
    parser.add_argument("--warm-up", type=float, default=1.0, metavar="SECONDS")
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--timeout", type=float, default=10.0, metavar="SECONDS", help="of one request")
    parser.add_argument(
        "--stale-after",
        type=float,
        # The limit of /readyz, beyond which the server itself does not report its data as fresh.
        default=3.0,
        metavar="INTERVALS",
        help="data older than that is a failure; inf: of any age, for a server whose answer never changes",
    )
    parser.add_argument(
        "--any-body", action="store_true", help="status and length only: for a server that is not cpuwatch"
    )
    parser.add_argument("--rate", type=float, metavar="PER_SECOND", help="not in a closed loop but at this rate")
    parser.add_argument("--samples", type=Path, metavar="FILE")
    options = parser.parse_args()
    factory = asyncio.new_event_loop if options.rate is None else _loop_with_fine_timers
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(_run(options))


if __name__ == "__main__":
    main()
