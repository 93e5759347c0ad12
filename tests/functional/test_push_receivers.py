"""Receivers that fail, stall, refuse and answer with garbage: what is pushed arrives, and nothing else is delayed."""

from __future__ import annotations

import gzip
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import httpx
import pytest
from live_server import CPUWATCH_SERVE, HYPERCORN, Server, environment, running_server
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsPartialSuccess,
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from scripted_receiver import Answer, Receiver, scripted_receiver

from cpuwatch.encoding.metric_points import Interval
from cpuwatch.push.sender import Sender
from cpuwatch.push.target import PushHealth, Target

pytestmark = [pytest.mark.any_python, pytest.mark.timeout(120)]

PATIENCE_SECONDS = 60.0
PARTIAL = ExportMetricsServiceResponse(
    partial_success=ExportMetricsPartialSuccess(rejected_data_points=3, error_message="too old")
).SerializeToString()


def eventually(holds: Callable[[], bool], explain: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not holds():
        assert time.monotonic() < deadline, explain()
        time.sleep(0.02)


@contextmanager
def sending(receiver: Receiver, *, places: int = 60, timeout_seconds: float = 10.0) -> Iterator[Sender]:
    """Send to the receiver; the body of a request is the begin of its interval."""
    target = Target(
        protocol="test",
        url=receiver.url,
        headers={},
        encode=lambda interval, _: str(interval.begin_ns).encode(),
        is_retried=lambda status: status in {429, 503},
        timeout_seconds=timeout_seconds,
    )
    sender = Sender(target, places)
    try:
        yield sender
    finally:
        sender.close()
        sender.join(10)


def put(sender: Sender, *begins: int) -> None:
    for begin in begins:
        sender.put(Interval(begin, begin + 1, ()), {})


def wait_until_sent(sender: Sender, **counts: int) -> None:
    def holds() -> bool:
        return all(getattr(sender.health, name) == count for name, count in counts.items())

    eventually(holds, lambda: sender.health)


@pytest.mark.parametrize(
    "trouble",
    [Answer(503), Answer(429, headers=(("retry-after", "0"),)), Answer(0), Answer(503, b"\xff<garbage>" * 10_000)],
    ids=["503", "429", "closed", "garbage"],
)
def test_temporary_trouble_is_retried_in_order(trouble: Answer) -> None:
    with scripted_receiver([trouble, Answer()]) as receiver, sending(receiver) as sender:
        put(sender, 1, 2, 3)
        wait_until_sent(sender, sent=3)
        assert receiver.bodies == [b"1", b"1", b"2", b"3"]
        assert (sender.health.rejected, sender.health.failure) == (0, None)


@pytest.mark.parametrize("status", [301, 400, 401, 404, 413])
def test_a_refused_interval_is_not_retried(status: int) -> None:
    refused = Answer(status, b"no\x1b[31m\nthanks", (("location", "/elsewhere"),))
    with scripted_receiver([refused, Answer()]) as receiver, sending(receiver) as sender:
        put(sender, 1)
        wait_until_sent(sender, rejected=1)
        assert sender.health.failure == f"HTTP {status} no\\x1b[31m thanks"
        put(sender, 2)
        wait_until_sent(sender, sent=1, failure=None)  # type: ignore[arg-type]  # any field
        assert receiver.bodies == [b"1", b"2"]


def test_retry_after_is_obeyed() -> None:
    with (
        scripted_receiver([Answer(503, headers=(("retry-after", "2"),)), Answer()]) as receiver,
        sending(receiver) as sender,
    ):
        begin = time.monotonic()
        put(sender, 1)
        wait_until_sent(sender, sent=1)
        assert time.monotonic() - begin >= 2


def test_a_receiver_that_never_answers_holds_up_nothing_and_the_oldest_are_dropped_first() -> None:
    with scripted_receiver([Answer(-1)]) as receiver, sending(receiver, places=3, timeout_seconds=3) as sender:
        put(sender, 1)
        eventually(lambda: len(receiver.bodies) == 1, lambda: receiver.bodies)
        begin = time.monotonic()
        put(sender, *range(2, 1002))
        assert time.monotonic() - begin < 5
        # One is under way, and may return to the queue.
        assert sender.health.dropped in {997, 998}
        begin = time.monotonic()
        sender.close()
        sender.join(0.2)
        assert time.monotonic() - begin < 5


def test_no_answer_within_the_timeout_is_retried() -> None:
    with scripted_receiver([Answer(-1), Answer()]) as receiver, sending(receiver, timeout_seconds=0.5) as sender:
        put(sender, 1)
        wait_until_sent(sender, sent=1)
        assert receiver.bodies[:2] == [b"1", b"1"]


def test_nobody_listens_and_then_somebody_does() -> None:
    with scripted_receiver([Answer()]) as gone:
        pass
    with sending(gone) as sender:
        put(sender, 1, 2)
        eventually(lambda: sender.health.failure is not None, lambda: sender.health)
        assert "refused" in str(sender.health.failure)
        # Closing makes one more attempt, and gives up.
        begin = time.monotonic()
        sender.close()
        sender.join(10)
        assert time.monotonic() - begin < 5


def readiness(server: Server) -> dict[str, Any]:
    """Return the body of /readyz, which answers only while ticks go on."""
    found: dict[str, Any] = httpx.get(f"{server.url}/readyz").raise_for_status().json()
    return found


def test_a_service_is_ready_while_a_receiver_is_dead_and_stops_without_it() -> None:
    with scripted_receiver([Answer(-1)]) as receiver:
        settings = {"CPUWATCH_PUSH_INTERVAL": "1", "CPUWATCH_REMOTE_WRITE_URL": receiver.url}
        with running_server(CPUWATCH_SERVE, **settings) as server:
            eventually(lambda: len(receiver.bodies) == 1, lambda: server.output)

            def queued() -> PushHealth:
                (push,) = readiness(server)["push"]
                return PushHealth(**push)

            eventually(lambda: queued().queued >= 2, queued)
            assert queued().target == f"remote write to {receiver.url}"
        assert "no answer within" in server.output


@pytest.mark.parametrize("command", [CPUWATCH_SERVE, HYPERCORN], ids=["cpuwatch", "hypercorn"])
def test_a_service_pushes_what_otel_variables_name(command: tuple[str, ...]) -> None:
    with scripted_receiver([Answer(200, PARTIAL), Answer(200, b"garbage")]) as receiver:
        settings = {
            "CPUWATCH_INTERVAL": "0.1",
            "CPUWATCH_PUSH_INTERVAL": "1",
            "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url,
            "OTEL_SERVICE_NAME": "mine",
            "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE": "delta",
        }
        with running_server(command, **settings) as server:
            eventually(lambda: len(receiver.bodies) >= 3, lambda: server.output)
            (push,) = readiness(server)["push"]
            assert (push["rejected"], push["dropped"]) == (0, 0)
        assert server.output.count("3 points were rejected: too old") == 1
        requests = [ExportMetricsServiceRequest.FromString(gzip.decompress(body)) for body in receiver.bodies]
    assert all(
        {"service.name": "mine"}.items()
        <= {pair.key: pair.value.string_value for pair in of_host.resource.attributes}.items()
        for request in requests
        for of_host in request.resource_metrics
    )
    ticks = [
        point
        for request in requests
        for metric in request.resource_metrics[0].scope_metrics[0].metrics
        if metric.name == "cpuwatch.ticks"
        for point in metric.sum.data_points[:1]
    ]
    # The stop pushes what was sampled since the last interval.
    assert [later.start_time_unix_nano for later in ticks[1:]] == [earlier.time_unix_nano for earlier in ticks[:-1]]
    assert all(earlier.time_unix_nano < later.time_unix_nano for earlier, later in pairwise(ticks))


def test_without_the_extra_the_error_names_it() -> None:
    program = (
        "import sys\n"
        "sys.modules['opentelemetry'] = None\n"
        "from cpuwatch.commands.cli import main\n"
        "sys.exit(main(['push', '--otlp-endpoint', 'http://localhost']))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60, env=environment()
    )
    assert done.returncode == 1
    assert done.stderr.endswith("pushing needs the extra 'push': install cpuwatch with [push]\n")
    assert done.stderr.count("\n") == 1


def test_a_lasting_failure_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    script = [Answer(400, f"request {number}".encode()) for number in range(3)]
    with scripted_receiver([*script, Answer()]) as receiver, sending(receiver) as sender:
        put(sender, 1, 2, 3, 4)
        wait_until_sent(sender, sent=1, rejected=3)
    assert caplog.text.count("request 0; an interval was rejected") == 1
    assert "request 1" not in caplog.text
