"""The cost of pushing: CPU, memory while a receiver is down, and the number of series of a day.

``python -m benchmarks.pushing`` prints a Markdown table. The ticks are those of :mod:`benchmarks.crowd_readings`: 1,000
processes, 50 of which run each second. They go through the real pusher over a real connection to a receiver in another
process. CPU times are those of this process, less what it takes to make the ticks, which are made before.

``--hosts N`` also simulates a day of this many hosts, with 10,000 names of processes each.
"""

from __future__ import annotations

import argparse
import gc
import multiprocessing
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from itertools import islice
from random import Random
from typing import NamedTuple

import psutil

from benchmarks import say
from benchmarks.crowd_readings import Crowd, crowd_readings, live_ticks
from benchmarks.tables import markdown_table
from cpuwatch.accounting.listed_names import empty_listing, relist
from cpuwatch.push.payload import MAX_DAY_SERIES, MAX_SERIES, list_policies
from cpuwatch.push.pusher import Pusher
from cpuwatch.push.targets import push_targets
from cpuwatch.sampled_tick import SampledTick
from cpuwatch.settings import Settings

_CROWD = Crowd(1000, 50, forks=2.0)
_INTERVAL_TICKS = 10
_OTHER_SERIES = 20
"""Those of the machine, of kinds, of ticks and of the resource."""


class Series(NamedTuple):
    """The largest numbers of series of a host: at a moment, and in a day."""

    at_a_moment: int
    in_a_day: int


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Log nothing."""


@contextmanager
def receiver() -> Iterator[str]:
    """The URL of a receiver in another process, which accepts everything."""
    server = HTTPServer(("127.0.0.1", 0), _Handler)
    process = multiprocessing.get_context("fork").Process(target=server.serve_forever, daemon=True)
    process.start()
    port = server.server_port
    server.server_close()
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.join()


def cpu_percent(settings: Settings, ticks: list[SampledTick]) -> float:
    """CPU time of pushing these ticks, in percent of a core at a tick a second."""
    intervals = len(ticks) // _INTERVAL_TICKS
    with Pusher(push_targets(settings, {}), settings.push_interval, settings.push_top) as pusher:
        begin = time.process_time()
        for done, some in enumerate(_batched(ticks, _INTERVAL_TICKS), start=1):
            for tick in some:
                pusher.take(tick)
            _wait_for(pusher, min(done, intervals) - 1)
        used = time.process_time() - begin
    return 100 * used / len(ticks)


def outage_megabytes(settings: Settings, ticks: list[SampledTick]) -> list[float]:
    """Resident memory after each 10 minutes in which nobody listens, in units of 10**6 bytes."""
    used = []
    with Pusher(push_targets(settings, {}), settings.push_interval, settings.push_top) as pusher:
        for number, tick in enumerate(ticks, start=1):
            pusher.take(tick)
            if number % _INTERVAL_TICKS == 0:
                time.sleep(0.005)  # the pusher has a queue for 60 ticks
            if number % 600 == 0:
                gc.collect()
                used.append(psutil.Process().memory_info().rss / 1e6)
        (health,) = pusher.health
    say(f"dropped {health.dropped}, queued {health.queued}")
    return used


def day_of_series(seed: int, names: int = 10_000) -> Series:
    """Simulate a day of one host on which this many names come and go, beside 30 that stay."""
    random = Random(seed)  # noqa: S311  no secret
    listings = [empty_listing(policy) for policy in list_policies(20)]
    per_name = (1, 1, 2)
    of_day: list[set[str]] = [set(), set(), set()]
    most = 0
    new_per_minute = names / 1440
    for minute in range(1440):
        new = range(round(minute * new_per_minute), round((minute + 1) * new_per_minute))
        used = {str(name): random.lognormvariate(17, 2) / 1e9 for name in (*new, *range(-30, 0))}
        listings = [relist(listing, used, 60.0) for listing in listings]
        for listing, seen in zip(listings, of_day, strict=True):
            seen.update(listing.listed)
        moment = sum(series * len(listing.listed) for listing, series in zip(listings, per_name, strict=True))
        most = max(most, moment + _OTHER_SERIES)
    day = sum(series * len(seen) for series, seen in zip(per_name, of_day, strict=True))
    return Series(most, day + _OTHER_SERIES)


def main() -> None:
    """See the docstring of the module."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=300, help="simulated seconds for the CPU time")
    parser.add_argument("--outage", type=int, default=3600, help="simulated seconds without a receiver")
    parser.add_argument("--hosts", type=int, default=10, help="hosts of which a day is simulated")
    options = parser.parse_args()
    rows = []
    say(f"making {options.seconds} ticks")
    ticks = list(islice(live_ticks(crowd_readings(_CROWD)), options.seconds + 1))
    with receiver() as url:
        for name, settings in (
            ("OTLP", Settings(otlp_endpoint=url)),
            ("remote write", Settings(remote_write_url=url)),
        ):
            cpu_percent(settings, ticks[:61])
            rows.append([f"CPU, {name}", "≤ 0.3 % of a core", f"{cpu_percent(settings, ticks):.3f} %"])
    say(f"{options.outage} s without a receiver")
    repeated = [tick for _ in range(options.outage // len(ticks[1:]) + 1) for tick in ticks[1:]][: options.outage]
    # A port that nobody listens on.
    used = outage_megabytes(Settings(remote_write_url=url), repeated)
    rows.append(
        ["memory, each 10 minutes of an outage", "flat", " ".join(f"{megabytes:.1f}" for megabytes in used) + " MB"]
    )
    say(f"a day of {options.hosts} hosts")
    series = [day_of_series(seed) for seed in range(options.hosts)]
    moment, day = (max(numbers) for numbers in zip(*series, strict=True))
    rows += [
        [f"series of a host, the largest of {options.hosts} hosts", f"≤ {MAX_SERIES}", str(moment)],
        ["the same in a day with 10,000 names", f"≤ {MAX_DAY_SERIES}", str(day)],
    ]
    print(markdown_table(["What", "Asked", "Measured"], rows))


def _wait_for(pusher: Pusher, sent: int) -> None:
    deadline = time.monotonic() + 30
    while sum(health.sent for health in pusher.health) < sent:
        if time.monotonic() > deadline:
            raise TimeoutError(f"the receiver does not answer: {pusher.health}")
        time.sleep(0.001)


def _batched(ticks: list[SampledTick], size: int) -> Iterator[list[SampledTick]]:
    for begin in range(0, len(ticks), size):
        yield ticks[begin : begin + size]


if __name__ == "__main__":
    main()
