"""The HTTP service as seen by its clients, with both commands that run it."""

from __future__ import annotations

import json
import os
import re
import select
import socket
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

import httpx
import pytest
from live_processes import puppet
from live_server import CPUWATCH_SERVE, HYPERCORN, Server, running_server

from cpuwatch import Snapshot, decode

pytestmark = pytest.mark.timeout(60)

INTERVAL_SECONDS = 0.2
ALLOWED = {"GET", "HEAD", "OPTIONS"}

SNAPSHOT_FIELDS = {"sequence", "time", "interval_seconds", "sweep_seconds", "host", "machine", "attribution"}
SNAPSHOT_LISTS = {"processes", "exited"}
HOST_FIELDS = {"name", "boot_id", "logical_cpus", "backend", "clock_resolution_seconds"}
MACHINE_FIELDS = {
    "cpu_percent",
    "user_percent",
    "system_percent",
    "iowait_percent",
    "irq_percent",
    "steal_percent",
    "per_cpu_percent",
    "load_average",
    "pressure_percent",
    "waiting_threads",
}
ATTRIBUTION_FIELDS = {"processes_percent", "exited_percent", "unattributed_percent"}
PROCESS_FIELDS = {
    "pid",
    "start_time",
    "key",
    "ppid",
    "name",
    "user",
    "state",
    "threads",
    "cpu_percent",
    "machine_percent",
    "user_percent",
    "system_percent",
    "exited_percent",
    "cpu_seconds",
    "first_seen",
}


@pytest.fixture(scope="module", params=[HYPERCORN, CPUWATCH_SERVE], ids=["hypercorn", "cpuwatch-serve"])
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    with running_server(request.param, CPUWATCH_INTERVAL=str(INTERVAL_SECONDS)) as running:
        yield running


@pytest.fixture(scope="module")
def client(server: Server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, timeout=10) as opened:
        yield opened


def snapshot_after(client: httpx.Client, sequence: int) -> Snapshot:
    """Return the first snapshot with a higher sequence."""
    deadline = time.monotonic() + 20
    while (snapshot := decode(client.get("/cpu_usage").content)).sequence <= sequence:
        assert time.monotonic() < deadline, f"no snapshot came after {sequence}"
        time.sleep(INTERVAL_SECONDS / 10)
    return snapshot


def read_answer(connection: socket.socket) -> bytes:
    """Read the next response of a connection, or the part before the connection was closed."""
    data = b""
    while part := connection.recv(65_536):
        data += part
        head, end, body = data.partition(b"\r\n\r\n")
        length = re.search(rb"content-length: ([0-9]+)", head.lower())
        if end and length and len(body) >= int(length[1]):
            break
    return data


def assert_problem(answer: httpx.Response, status: int, detail: str) -> None:
    """Check that the response is a problem as in RFC 9457."""
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert body["status"] == status
    assert body["title"]
    assert detail in body["detail"]


def allowed(answer: httpx.Response) -> set[str]:
    return {method.strip() for method in answer.headers["allow"].split(",")}


def test_cpu_usage_is_json_with_the_documented_fields(client: httpx.Client) -> None:
    answer = client.get("/cpu_usage")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "private, no-cache"
    body = json.loads(answer.content)
    assert body.keys() >= SNAPSHOT_FIELDS | SNAPSHOT_LISTS
    assert body["host"].keys() >= HOST_FIELDS
    assert body["machine"].keys() >= MACHINE_FIELDS
    assert body["attribution"].keys() >= ATTRIBUTION_FIELDS
    assert all(row.keys() >= PROCESS_FIELDS for row in body["processes"])
    assert body["host"]["name"] == os.uname().nodename
    # Offline CPUs have an entry without a value.
    assert len(body["machine"]["per_cpu_percent"]) >= body["host"]["logical_cpus"]


def test_cpu_usage_decodes_to_a_snapshot(client: httpx.Client) -> None:
    snapshot = decode(client.get("/cpu_usage").content)
    assert snapshot.sequence >= 1
    assert snapshot.time.utcoffset() is not None
    assert os.getpid() in {row.pid for row in snapshot.processes}


def test_content_length_matches_the_body(client: httpx.Client) -> None:
    for path in ("/cpu_usage", f"/cpu_usage/{os.getpid()}", "/cpu_usage/nonsense", "/livez", "/readyz", "/nothing"):
        answer = client.get(path, headers={"accept-encoding": "identity"})
        assert int(answer.headers["content-length"]) == len(answer.content) > 0


def test_each_tick_has_the_next_sequence(client: httpx.Client) -> None:
    first = snapshot_after(client, 0)
    second = snapshot_after(client, first.sequence)
    third = snapshot_after(client, second.sequence)
    assert first.sequence < second.sequence < third.sequence
    assert first.time < second.time < third.time
    assert first.host.boot_id == second.host.boot_id == third.host.boot_id


def two_in_a_row(client: httpx.Client) -> tuple[Snapshot, Snapshot]:
    for _ in range(50):
        first = snapshot_after(client, 0)
        second = snapshot_after(client, first.sequence)
        if second.sequence == first.sequence + 1:
            return first, second
    pytest.fail("this machine is too slow to get two snapshots that follow each other")


def test_a_busy_process_matches_its_own_measurement(client: httpx.Client) -> None:
    with puppet() as child:
        child.burn(0.5)
        start = child.clock()
        snapshot_after(client, snapshot_after(client, 0).sequence + 1)
        first, second = two_in_a_row(client)
        end = child.clock()
    before, row = (next(row for row in shot.processes if row.pid == child.pid) for shot in (first, second))
    assert row.key == before.key
    assert row.ppid == os.getpid()
    assert start.cpu_ns / 1e9 <= before.cpu_seconds < row.cpu_seconds <= end.cpu_ns / 1e9
    used_seconds = row.cpu_seconds - before.cpu_seconds
    assert row.cpu_percent is not None
    assert row.cpu_percent == pytest.approx(100 * used_seconds / second.interval_seconds, abs=0.01)
    # Both are rounded to 0.0001.
    assert row.machine_percent == pytest.approx(row.cpu_percent / second.host.logical_cpus, abs=0.0001)


def test_one_process_can_be_requested(client: httpx.Client) -> None:
    answer = client.get(f"/cpu_usage/{os.getpid()}")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    body = answer.json()
    assert body["process"].keys() >= PROCESS_FIELDS
    assert body["process"]["pid"] == os.getpid()
    assert body["sequence"] >= 1


def test_an_unknown_pid_is_404(client: httpx.Client) -> None:
    with puppet() as child:
        gone = child.pid
        snapshot = snapshot_after(client, 0)
    snapshot_after(client, snapshot.sequence + 1)
    assert_problem(client.get(f"/cpu_usage/{gone}"), 404, str(gone))


@pytest.mark.parametrize("text", ["nonsense", "-1", "0", "1.5", "0x10", "٣", "99999999999999999999", "1%20"])
def test_an_invalid_pid_is_400(client: httpx.Client, text: str) -> None:
    assert_problem(client.get(f"/cpu_usage/{text}"), 400, "invalid pid")


def test_the_path_with_a_blank_redirects(client: httpx.Client) -> None:
    answer = client.get("/cpu%20usage")
    assert answer.status_code == 308
    assert answer.headers["location"] == "/cpu_usage"
    followed = client.get("/cpu usage?top=3", follow_redirects=True)
    assert followed.status_code == 200
    assert followed.url.raw_path == b"/cpu_usage?top=3"
    assert decode(followed.content).sequence >= 1


@pytest.mark.parametrize("path", ["/cpu_usage", "/cpu_usage/{own_pid}", "/cpu_usage/none", "/cpu%20usage"])
def test_head_is_get_without_the_body(client: httpx.Client, path: str) -> None:
    path = path.format(own_pid=os.getpid())
    # Lengths differ between ticks, so repeat until both responses are of the same tick.
    for _ in range(50):
        first, head, second = client.get(path), client.head(path), client.get(path)
        if first.content == second.content:
            break
    assert head.status_code == first.status_code
    assert head.content == b""
    for name in ("content-type", "content-length"):
        assert head.headers.get(name) == first.headers.get(name)


@pytest.mark.parametrize("path", ["/cpu_usage", "/cpu_usage/1", "/cpu%20usage", "/livez", "/readyz"])
def test_options_lists_the_allowed_methods(client: httpx.Client, path: str) -> None:
    answer = client.options(path)
    assert answer.status_code == 204
    assert answer.content == b""
    assert allowed(answer) == ALLOWED


@pytest.mark.parametrize("path", ["/cpu_usage", "/cpu_usage/1", "/cpu%20usage", "/livez", "/readyz"])
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "BREW"])
def test_other_methods_are_405(client: httpx.Client, method: str, path: str) -> None:
    answer = client.request(method, path)
    assert_problem(answer, 405, method)
    assert allowed(answer) == ALLOWED


def test_after_an_unneeded_body_the_connection_is_usable_or_closed_as_announced(server: Server) -> None:
    # A client that sees no "connection: close" sends its next request over the same connection (RFC 9112, 9.3).
    address = urlsplit(server.url)
    with socket.create_connection((address.hostname, address.port), timeout=10) as connection:
        connection.sendall(b"POST /cpu_usage HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n\r\n")
        # The response may come before or after the body.
        answers_early, _, _ = select.select([connection], [], [], 0.5)
        answer = read_answer(connection) if answers_early else b""
        connection.sendall(b"body")
        answer = answer or read_answer(connection)
        assert answer.startswith(b"HTTP/1.1 405 ")
        if b"\r\nconnection: close\r\n" not in answer.lower():
            connection.sendall(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert read_answer(connection).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("path", ["/nothing", "/cpu_usage/1/2", "/CPU_USAGE", "/cpu_usage.json", "/%2e%2e/etc/passwd"])
def test_an_unknown_path_is_404(client: httpx.Client, path: str) -> None:
    response = client.get(path)
    assert_problem(response, 404, "nothing is served at")
    # The error lists the valid paths.
    assert "/cpu_usage/history" in response.json()["detail"]


@pytest.mark.parametrize("path", ["/cpu_usage/", "/cpu_usage//", "/metrics/", "/cpu_usage/history/"])
def test_a_trailing_slash_redirects(client: httpx.Client, path: str) -> None:
    response = client.get(f"{path}?top=1")
    assert response.status_code == 308
    assert response.headers["location"] == f"{path.rstrip('/')}?top=1"


def test_list_parameters_can_be_repeated(client: httpx.Client) -> None:
    rows = client.get("/cpu_usage", params={"fields": ["pid", "name"], "top": 1}).json()["processes"]
    assert [set(row) for row in rows] == [{"pid", "name"}]


LONG = "9" * 3000
LONG_PATTERN = "%F3%A0%84%80" * 300


@pytest.mark.parametrize(
    "target",
    [
        f"/{LONG}",
        f"/cpu_usage/{LONG}",
        f"/cpu_usage?{LONG}=1",
        *(
            f"/cpu_usage?{name}={value}"
            for name in ("top", "sort", "order", "name", "pid", "state", "min_percent", "kernel_threads", "fields")
            for value in (LONG, LONG_PATTERN)
        ),
        f"/cpu_usage?name=re:({'(' * 200}",
        f"/cpu_usage?format={LONG}",
        f"/cpu_usage?group_by={LONG}",
        f"/cpu_usage/history?seconds={LONG}",
        f"/cpu_usage/history?since={LONG}",
        f"/cpu_usage/history?since=T{LONG}",
    ],
)
def test_errors_quote_only_the_beginning_of_a_wrong_value(client: httpx.Client, target: str) -> None:
    answer = client.get(target)
    assert answer.status_code in {400, 404}
    assert len(answer.content) < 1200


@pytest.mark.parametrize(
    ("method", "headers", "status"),
    [
        ("X" * 3000, {}, 405),
        ("GET", {"host": "h" * 3000}, 421),
        ("GET", {"last-event-id": LONG}, 400),
    ],
)
def test_errors_quote_only_the_beginning_of_a_wrong_header_or_method(
    client: httpx.Client, method: str, headers: dict[str, str], status: int
) -> None:
    answer = client.request(method, "/cpu_usage/stream", headers=headers)
    # The stream does not allow other methods either.
    assert answer.status_code == status
    assert len(answer.content) < 1200


def test_livez_and_readyz_are_200(client: httpx.Client) -> None:
    assert client.get("/livez").status_code == 200
    ready = client.get("/readyz")
    assert ready.status_code == 200
    assert 0 <= ready.json()["age_seconds"] <= 3 * INTERVAL_SECONDS


def test_many_requests_on_one_connection_have_complete_responses(client: httpx.Client) -> None:
    for _ in range(200):
        decode(client.get("/cpu_usage").content)


def test_behind_a_proxy_the_redirect_keeps_the_prefix() -> None:
    with running_server((*HYPERCORN, "--root-path", "/metrics/cpu")) as server:
        answer = httpx.get(f"{server.url}/cpu%20usage")
    assert answer.status_code == 308
    assert answer.headers["location"] == "/metrics/cpu/cpu_usage"
