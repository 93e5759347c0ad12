"""Streams, history and waiting on the real server, over real sockets."""

from __future__ import annotations

import signal
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from urllib.parse import urlsplit

import h11
import httpx
import psutil
import pytest
from event_stream import Event, EventStream
from live_server import CPUWATCH_SERVE, HYPERCORN, Server, running_server

from cpuwatch import decode
from cpuwatch.tick_id import TickId

pytestmark = pytest.mark.timeout(90)

COMMANDS = pytest.mark.parametrize("command", [HYPERCORN, CPUWATCH_SERVE], ids=["hypercorn", "cpuwatch-serve"])
STOP_SECONDS = 3
MAX_STREAMS = 200
MAX_GROWTH_BYTES = 96 << 20


class Connection:
    """A request over a new socket. The response is parsed by h11 and by the event parser of the tests."""

    def __init__(self, server: Server, target: str, **headers: str) -> None:
        address = urlsplit(server.url)
        self._socket = socket.socket()
        # Small, so that unread data stay with the server.
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self._socket.settimeout(30)
        self._socket.connect((address.hostname, address.port))
        self._http = h11.Connection(h11.CLIENT)
        fields = [("Host", "localhost"), *((name.replace("_", "-"), value) for name, value in headers.items())]
        request = h11.Request(method="GET", target=target, headers=fields)
        self._socket.sendall(self._http.send(request) + self._http.send(h11.EndOfMessage()))
        self.stream = EventStream()
        self.status = 0
        self.last_id = ""
        self.body = b""
        self.complete = False

    def read(self) -> list[Event]:
        """Read the next part of the response, and return its events, if any. Sets ``complete`` at the end."""
        found: list[Event] = []
        received = False
        while True:
            part = self._http.next_event()
            if part is h11.NEED_DATA:
                if found or received:
                    return found
                received = True
                self._http.receive_data(self._socket.recv(65_536))
            elif isinstance(part, h11.Response):
                self.status = part.status_code
            elif isinstance(part, h11.Data):
                self.body += part.data
                found += self.stream.feed(bytes(part.data))
            else:
                # h11 raises for anything else, such as a connection that ends too early.
                self.complete = isinstance(part, h11.EndOfMessage)
                return found

    def ids(self, count: int) -> list[int]:
        """Return the sequences of the next events, at least ``count``."""
        found: list[int] = []
        while len(found) < count:
            events = self.read()
            assert not self.complete, f"the stream ended after {found}"
            self.last_id = events[-1].id if events else self.last_id
            found += [TickId.parse(event.id).sequence for event in events]
        return found

    def read_to_end(self) -> list[Event]:
        found: list[Event] = []
        while not self.complete:
            found += self.read()
        return found

    def close(self) -> None:
        self._socket.close()


@contextmanager
def connections(server: Server, count: int, target: str, **headers: str) -> Iterator[list[Connection]]:
    with ExitStack() as stack:
        opened = []
        for _ in range(count):
            opened.append(Connection(server, target, **headers))
            stack.callback(opened[-1].close)
        yield opened


def sequence(server: Server) -> int:
    return decode(httpx.get(f"{server.url}/cpu_usage").content).sequence


def wait_for(server: Server, wanted: int) -> None:
    deadline = time.monotonic() + 60
    while sequence(server) < wanted:
        assert time.monotonic() < deadline, f"sequence {wanted} does not appear"
        time.sleep(0.02)


@COMMANDS
def test_each_tick_is_an_event_and_reconnecting_clients_miss_none(command: tuple[str, ...]) -> None:
    with running_server(command, CPUWATCH_INTERVAL="0.1") as server:
        with connections(server, 1, "/cpu_usage/stream?top=3") as (client,):
            ids = client.ids(5)
            assert ids == sorted(set(ids))
            last_id = client.last_id
        wait_for(server, ids[-1] + 4)
        with connections(server, 1, "/cpu_usage/stream?top=3", Last_Event_ID=last_id) as (client,):
            assert client.ids(4)[:4] == list(range(ids[-1] + 1, ids[-1] + 5))
        with httpx.stream("GET", f"{server.url}/cpu_usage/stream") as answer:
            assert answer.status_code == 200
            assert answer.headers["content-type"] == "text/event-stream"
            stream = EventStream()
            event = next(event for part in answer.iter_bytes() for event in stream.feed(part))
            assert TickId.of(decode(event.data)) == TickId.parse(event.id)
            assert decode(event.data).sequence > ids[-1]


def test_a_reader_that_falls_behind_continues_with_the_newest() -> None:
    with (
        running_server(CPUWATCH_SERVE, CPUWATCH_INTERVAL="0.05") as server,
        connections(server, 1, "/cpu_usage/stream") as (client,),
    ):
        first = client.ids(1)[0]
        # More than the buffers of the kernel (tcp_wmem) and of the server.
        size = len(httpx.get(f"{server.url}/cpu_usage").content)
        wait_for(server, first + max(60, 8_000_000 // size))
        now = sequence(server)
        ids = [first]
        while ids[-1] < now:
            ids += client.ids(1)
        assert ids == sorted(set(ids))
        assert len(ids) < now - first


def test_unread_streams_are_limited_in_number_and_memory_and_delay_no_others() -> None:
    settings = {"CPUWATCH_INTERVAL": "0.1", "CPUWATCH_PROXIES": "127.0.0.1"}
    with running_server(CPUWATCH_SERVE, **settings) as server, ExitStack() as stack:
        before = psutil.Process(server.pid).memory_info().rss
        clients = stack.enter_context(connections(server, MAX_STREAMS, "/cpu_usage/stream"))
        refused = Connection(server, "/cpu_usage/stream")
        stack.callback(refused.close)
        refused.read_to_end()
        assert refused.status == 503
        # Until the kernel buffers are full, and then the same time again.
        wait_for(server, sequence(server) + 200)
        assert psutil.Process(server.pid).memory_info().rss - before < MAX_GROWTH_BYTES
        # A client that disconnects frees its place, although it has read nothing.
        for client in clients[:50]:
            client.close()
        deadline = time.monotonic() + 20
        while True:
            late = Connection(server, "/cpu_usage/stream?top=1")
            stack.callback(late.close)
            late.read()
            if late.status == 200:
                break
            assert time.monotonic() < deadline, "no place became free"
        assert server.stop(within=STOP_SECONDS) == 0
    assert "Traceback" not in server.output


@COMMANDS
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_hundred_streams_after_a_complete_event(
    command: tuple[str, ...], number: signal.Signals
) -> None:
    with (
        running_server(command, CPUWATCH_INTERVAL="0.1", CPUWATCH_PROXIES="127.0.0.1") as server,
        connections(server, 100, "/cpu_usage/stream?top=5") as clients,
    ):
        for client in clients:
            client.ids(2)
        assert server.stop(number, within=STOP_SECONDS) == 0
        for client in clients:
            for event in client.read_to_end():
                decode(event.data)
            assert client.stream.unfinished == b""
    assert "Traceback" not in server.output


@COMMANDS
def test_a_client_that_waits_for_the_next_tick_is_answered_when_the_server_stops(command: tuple[str, ...]) -> None:
    with running_server(command, CPUWATCH_INTERVAL="3600") as server:
        tag = httpx.get(f"{server.url}/cpu_usage", headers={"accept-encoding": "identity"}).headers["etag"]
        with connections(server, 20, "/cpu_usage", If_None_Match=tag, Prefer="wait=30") as clients:
            # Once a later request is answered, all of these are waiting.
            assert sequence(server) == 1
            assert server.stop(within=STOP_SECONDS) == 0
            for client in clients:
                client.read_to_end()
                assert client.status == 304
    assert "Traceback" not in server.output


@pytest.mark.parametrize(("flags", "setting"), [(("--streams", "2"), "1"), ((), "2")])
def test_the_maximum_number_of_streams_is_a_setting(flags: tuple[str, ...], setting: str) -> None:
    with running_server((*CPUWATCH_SERVE, *flags), CPUWATCH_STREAMS=setting) as server, ExitStack() as stack:
        for _ in range(2):
            (taken,) = stack.enter_context(connections(server, 1, "/cpu_usage/stream"))
            taken.ids(1)
        (refused,) = stack.enter_context(connections(server, 1, "/cpu_usage/stream"))
        refused.read_to_end()
        assert refused.status == 503
        assert b"2 streams" in refused.body


def test_a_stream_without_events_is_kept_alive() -> None:
    with (
        running_server(CPUWATCH_SERVE, CPUWATCH_INTERVAL="3600") as server,
        connections(server, 1, "/cpu_usage/stream?top=1") as (client,),
    ):
        assert client.ids(1) == [1]
        while not client.stream.comments:
            assert client.read() == []


@COMMANDS
def test_a_client_that_reconnects_after_a_restart_gets_all_snapshots_of_the_new_run(command: tuple[str, ...]) -> None:
    with (
        running_server(command, CPUWATCH_INTERVAL="0.1") as server,
        connections(server, 1, "/cpu_usage/stream?top=3") as (client,),
    ):
        client.ids(3)
        last = TickId.parse(client.last_id)
    with running_server(command, CPUWATCH_INTERVAL="0.1") as server:
        # Past the tick of the last run, so that the sequence does not distinguish the runs.
        wait_for(server, last.sequence + 3)
        for last_id in (str(last), str(last.sequence)):
            with connections(server, 1, "/cpu_usage/stream?top=3", Last_Event_ID=last_id) as (client,):
                assert client.ids(3)[:3] == [1, 2, 3]
                assert TickId.parse(client.last_id).run != last.run
        body = httpx.get(f"{server.url}/cpu_usage/history?since={last}&top=1").json()
        assert [shown["sequence"] for shown in body["snapshots"]] == list(range(1, body["newest_sequence"] + 1))
        since = TickId(body["run"], body["newest_sequence"])
        later = httpx.get(f"{server.url}/cpu_usage/history?since={since}&top=1").json()
        assert all(shown["sequence"] > body["newest_sequence"] for shown in later["snapshots"])


@COMMANDS
def test_history_contains_the_snapshots_as_served(command: tuple[str, ...]) -> None:
    with running_server(command, CPUWATCH_INTERVAL="0.1") as server:
        wait_for(server, 8)
        body = httpx.get(f"{server.url}/cpu_usage/history?since=2").json()
        assert [shown["sequence"] for shown in body["snapshots"]] == list(range(3, body["newest_sequence"] + 1))
        last = httpx.get(f"{server.url}/cpu_usage/history?seconds=0.35&fields=pid").json()
        assert 2 <= len(last["snapshots"]) <= 5
        assert all(row.keys() == {"pid"} for shown in last["snapshots"] for row in shown["processes"])
