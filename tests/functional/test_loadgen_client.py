"""The load client of the performance suite with misbehaving servers: each failure is detected and named."""

from __future__ import annotations

import os
import signal
import socket
import socketserver
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from benchmarks.asking import ANY_BODY, ask
from benchmarks.loadgen.driver import Driven, Target, drive, serving_null
from benchmarks.loadgen.outcome import Progress

SECONDS = 0.6

Answer = Callable[[int], bytes | None]
"""Maps the number of a request on its connection to the response; None resets the connection."""


def snapshot(sequence: int, *, age_seconds: float = 0.0) -> bytes:
    fields = {
        "sequence": sequence,
        "time": datetime.now(UTC) - timedelta(seconds=age_seconds),
        "interval_seconds": 1.0,
        "sweep_seconds": 0.001,
        "processes": [{"pid": 1, "key": "1-1", "name": "init", "cpu_percent": None}],
        "sampling": {"lateness_seconds": 0.002},
    }
    return msgspec.json.encode(fields)


def answer(body: bytes, *headers: str, length: int | None = None, status: str = "200 OK") -> bytes:
    lines = [f"HTTP/1.1 {status}", f"content-length: {len(body) if length is None else length}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


class Handler(socketserver.BaseRequestHandler):
    server: Server

    def handle(self) -> None:
        number = 0
        while self.request.recv(4_096):
            data = self.server.answer(number)
            if data is None:
                # Closing with a linger time of 0 sends a reset (socket(7)).
                self.request.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self.request.close()
                return
            self.request.sendall(data)
            if self.server.closes_after(data):
                return
            number += 1


class Server(socketserver.ThreadingTCPServer):
    daemon_threads = True

    def __init__(self, answer: Answer, *, closing: bool) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answer = answer
        self._closing = closing

    def closes_after(self, data: bytes) -> bool:
        return self._closing or b"connection: close" in data

    def handle_error(self, *_: object) -> None:
        """Ignore errors: the client disconnects when it is done."""


@contextmanager
def serving(answer: Answer, *, closing: bool = False) -> Iterator[Target]:
    with Server(answer, closing=closing) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,)).start()
        try:
            yield Target("127.0.0.1", server.server_address[1], "/cpu_usage")
        finally:
            server.shutdown()


def driven(answer: Answer, *, closing: bool = False, rate: float | None = None, timeout: float = 10.0) -> Driven:
    with serving(answer, closing=closing) as target:
        return drive(target, connections=2, seconds=SECONDS, warm_up=0, rate=rate, timeout=timeout)


def chunked(body: bytes, *, size: int = 1_000) -> bytes:
    parts = [body[at : at + size] for at in range(0, len(body), size)]
    framed = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in [*parts, b""])
    return b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + framed


@pytest.mark.parametrize(
    ("kind", "misbehaviour"),
    [
        ("status", lambda _: answer(snapshot(1), status="500 Internal Server Error")),
        ("status", lambda _: answer(b"", status="404 Not Found")),
        ("length", lambda _: answer(snapshot(1), length=100)),
        ("length", lambda _: b"HTTP/1.1 200 OK\r\n\r\n" + snapshot(1)),
        ("length", lambda _: b"x" * 70_000),
        ("length", lambda _: chunked(snapshot(1)) + b"x"),
        ("length", lambda _: chunked(snapshot(1)).replace(b"\r\n0\r\n", b"\r\nnone\r\n")),
        ("JSON", lambda _: answer(b"{}")),
        ("JSON", lambda _: chunked(b"{}")),
        ("JSON", lambda _: answer(snapshot(1)[:-1])),
        ("JSON", lambda _: answer(b'"\xff"')),
        ("JSON", lambda _: answer(b"")),
        ("sequence", lambda number: answer(snapshot(1_000 - number))),
        ("stale", lambda _: answer(snapshot(1, age_seconds=3.1))),
        ("reset", lambda _: None),
    ],
)
def test_a_wrong_response_is_counted_as_one_kind_of_failure(kind: str, misbehaviour: Answer) -> None:
    found = driven(misbehaviour)
    failures = {failure.kind: failure for failure in found.outcome.failures}
    assert list(failures) == [kind]
    assert failures[kind].count == len(found.samples.failed_sent_ns) == len(found.samples.failed_latency_ns)
    assert 1 <= len(failures[kind].examples) <= 5
    # A wrong sequence needs an earlier response on the connection.
    assert (found.outcome.requests > 0) == (kind == "sequence")


@pytest.mark.parametrize("padding", [0, 2_000, 300_000])
def test_chunked_responses_are_accepted(padding: int) -> None:
    body = snapshot(1) + b" " * padding
    found = driven(lambda _: chunked(body))
    assert found.outcome.failures == []
    assert found.outcome.requests == len(found.samples.age_ns) > 10
    assert found.outcome.longest_body == found.outcome.shortest_body == len(body)


@pytest.fixture
def session() -> Iterator[int]:
    """Run a session in which one process uses a CPU. In the session of the tests, processes exit meanwhile."""
    command = [sys.executable, "-c", "print(flush=True)\nwhile True: pass"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True)
    assert process.stdout is not None
    # Until then it only starts, which can take longer than the whole run.
    process.stdout.readline()
    yield process.pid
    process.kill()
    process.communicate()


@pytest.mark.parametrize("form", [answer, chunked])
def test_any_body_is_accepted_from_other_servers(form: Callable[[bytes], bytes], session: int) -> None:
    with serving(lambda _: form(b"no JSON")) as target:
        asked = ask(target.port, "/", session, seconds=SECONDS, connections=2, checks=ANY_BODY)
    assert asked.requests == len(asked.latencies_ms) > 10
    assert asked.longest_body == len(b"no JSON")
    assert asked.server_cpu_ns > 0


def test_a_run_with_failures_has_no_rate(session: int) -> None:
    with (
        serving(lambda number: answer(b"", status="200 OK" if number % 2 else "503 Not now")) as target,
        pytest.raises(RuntimeError, match="503 Not now"),
    ):
        ask(target.port, "/", session, seconds=SECONDS, connections=2, checks=ANY_BODY)


def test_a_disconnect_within_the_body_is_an_early_end() -> None:
    found = driven(lambda _: answer(snapshot(1), length=10_000), closing=True)
    assert [failure.kind for failure in found.outcome.failures] == ["early end"]
    assert found.outcome.reconnects == 0


def test_a_response_that_never_completes_is_a_timeout() -> None:
    found = driven(lambda _: answer(snapshot(1), length=10_000), timeout=0.2)
    assert [failure.kind for failure in found.outcome.failures] == ["timeout"]


def test_a_closed_port_is_a_connection_failure() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    found = drive(Target("127.0.0.1", port, "/"), connections=2, seconds=SECONDS, warm_up=0)
    assert [failure.kind for failure in found.outcome.failures] == ["connect"]
    assert found.outcome.requests == 0


def test_an_announced_close_is_a_reconnect_and_not_a_failure() -> None:
    found = driven(lambda number: answer(snapshot(number), *(["Connection: close"] if number == 3 else [])))
    assert found.outcome.failures == []
    assert found.outcome.reconnects == pytest.approx(found.outcome.requests / 4, abs=2)


def test_every_response_is_counted_with_its_times_and_the_age_of_its_data() -> None:
    body = snapshot(7, age_seconds=1.5)
    found = driven(lambda _: answer(body))
    outcome, samples = found.outcome, found.samples
    assert outcome.failures == []
    assert outcome.requests == len(samples.sent_ns) == len(samples.latency_ns) == len(samples.age_ns) > 100
    assert set(samples.late_ns) == {0}
    assert outcome.decoded_bodies == 1
    assert outcome.shortest_body == outcome.longest_body == len(body)
    assert outcome.processes == 1
    assert min(samples.age_ns) >= 1_500_000_000
    assert [(tick.lateness_ms, tick.sweep_ms) for tick in outcome.ticks] == [(2.0, 1.0)]
    assert outcome.ticks[0].at_ns < -1_400_000_000


def test_at_a_fixed_rate_a_stall_counts_from_when_requests_were_due() -> None:
    """A closed loop would hide it: both connections wait, and nothing is sent meanwhile."""
    # The second request makes both connections wait.
    stall = threading.Barrier(2, action=lambda: time.sleep(0.3))

    def answer_late_once(number: int) -> bytes:
        if number == 10:
            stall.wait()
        return answer(snapshot(number))

    found = driven(answer_late_once, rate=200)
    samples = found.samples
    assert found.outcome.failures == []
    assert found.outcome.requests == round(200 * SECONDS)
    from_due = [late + took for late, took in zip(samples.late_ns, samples.latency_ns, strict=True)]
    slow_from_due, slow_from_sent = (
        sum(took > 100_000_000 for took in all_) for all_ in (from_due, samples.latency_ns)
    )
    assert slow_from_sent >= 2
    assert slow_from_due > slow_from_sent + 10


def test_each_unsent_request_of_a_fixed_rate_is_a_timeout() -> None:
    with serving(lambda _: b"") as target:
        found = drive(target, connections=2, seconds=SECONDS, warm_up=0, rate=100, timeout=0.3)
    assert [(failure.kind, failure.count) for failure in found.outcome.failures] == [("timeout", round(100 * SECONDS))]


def test_an_interrupt_ends_the_run_with_the_results_so_far() -> None:
    def interrupt(progress: Progress) -> None:
        if progress.requests:
            os.kill(os.getpid(), signal.SIGINT)

    with serving_null(20_000) as target:
        found = drive(target, connections=2, seconds=60, warm_up=0, show=interrupt)
    assert found.interrupted
    assert found.outcome.failures == []
    assert 0 < found.outcome.elapsed_ns < 30_000_000_000
    assert found.outcome.requests == len(found.samples.sent_ns) > 0


def test_the_null_server_returns_the_requested_length() -> None:
    with serving_null(20_000) as target:
        found = drive(target, connections=2, seconds=SECONDS, warm_up=0)
    assert found.outcome.failures == []
    assert found.outcome.shortest_body == found.outcome.longest_body == 20_000


def test_the_log_of_each_second_has_cpu_and_memory_of_the_processes() -> None:
    with serving_null(20_000) as target:
        found = drive(target, connections=2, seconds=4.2, warm_up=0.2)
    for uses in (found.server, found.client):
        assert 2 <= len(uses) <= 4
        # Seconds that the log missed, because it got no CPU, are unknown.
        known = [use for use in uses if use.cpu_percent is not None]
        assert known
        for use in known:
            assert use.cpu_percent is not None
            assert use.cpu_percent > 0
            assert use.rss_bytes is not None
            assert use.rss_bytes > 5_000_000
