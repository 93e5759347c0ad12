"""A load client that costs the machine little: N keep-alive connections, each in a closed loop, every answer checked.

Run as a script, in a process of its own: a client that shares its interpreter with anything else measures that too.
It stands alone and speaks just enough HTTP/1.1 for answers with a content length, because a general client library
tops out below what the server can do, and would measure itself.

While it runs it prints a line of JSON a second (:class:`Progress`), at the end one with all figures
(:class:`Outcome`). Start and duration of each request go to ``--samples`` as pairs of native 64-bit integers of
nanoseconds, for they are too many for JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from array import array
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

__all__ = ["Failure", "Outcome", "Progress", "parse_line", "read_samples"]

SECOND_NS = 1_000_000_000
_TIMEOUT_SECONDS = 10
# Less than the second that is promised, because a check comes with the first answer after it.
_CHECK_EVERY_NS = 900_000_000
_PAUSE_AFTER_FAILURE_SECONDS = 0.1
_LONGEST_HEAD = 65_536


@dataclass(slots=True)
class Failure:
    """All failures of one kind: how many, and what the first one was."""

    count: int
    first: str


@dataclass(slots=True)
class Progress:
    """How far it has come, warm-up not counted (``seconds`` is below 0 during that)."""

    seconds: float
    requests: int
    failures: int


@dataclass(slots=True)
class Outcome:
    """What all connections together did between the end of the warm-up and the last answer.

    ``failures`` holds those of the warm-up too: a failure is none the less one for coming early. ``reconnects`` are
    connections that the server closed in good order after an answer (``Connection: close``), which is no failure.
    ``checked_bodies`` of the answers were decoded: at least one a second on each connection; status and length of all.
    """

    connections: int
    warm_up_seconds: float
    elapsed_ns: int = 0
    client_cpu_ns: int = 0
    requests: int = 0
    reconnects: int = 0
    checked_bodies: int = 0
    shortest_body: int = 0
    longest_body: int = 0
    processes: int | None = None
    failures: dict[str, Failure] = field(default_factory=dict)


class Load:
    """What the connections share: where to, until when, and the books."""

    def __init__(self, host: str, port: int, path: str, connections: int, warm_up: float, seconds: float) -> None:
        self.host, self.port = host, port
        self.request = f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nAccept: application/json\r\n\r\n".encode("ascii")
        self.starts_ns = time.perf_counter_ns() + round(warm_up * SECOND_NS)
        self.ends_ns = self.starts_ns + round(seconds * SECOND_NS)
        self.last_answer_ns = self.starts_ns
        self.samples = array("Q")
        self.outcome = Outcome(connections, warm_up)
        self.connections = [Slot(self) for _ in range(connections)]

    @property
    def over(self) -> bool:
        return time.perf_counter_ns() >= self.ends_ns

    def count(self, started_ns: int, now_ns: int, length: int) -> None:
        """An answer that was all right."""
        if started_ns < self.starts_ns:
            return
        self.samples.append(started_ns - self.starts_ns)
        self.samples.append(now_ns - started_ns)
        self.last_answer_ns = now_ns
        outcome = self.outcome
        outcome.requests += 1
        outcome.longest_body = max(length, outcome.longest_body)
        outcome.shortest_body = min(length, outcome.shortest_body or length)

    def fail(self, kind: str, detail: str) -> None:
        failure = self.outcome.failures.setdefault(kind, Failure(0, detail[:500]))
        failure.count += 1

    async def run(self) -> Outcome:
        beside = [asyncio.create_task(self._report()), asyncio.create_task(self._abort_what_hangs())]
        cpu_before = time.process_time_ns()
        await asyncio.gather(*(slot.hold() for slot in self.connections))
        self.outcome.client_cpu_ns = time.process_time_ns() - cpu_before
        self.outcome.elapsed_ns = self.last_answer_ns - self.starts_ns
        for task in beside:
            task.cancel()
        return self.outcome

    async def _report(self) -> None:
        while True:
            await asyncio.sleep(1)
            seconds = (time.perf_counter_ns() - self.starts_ns) / SECOND_NS
            failures = sum(failure.count for failure in self.outcome.failures.values())
            _print_line(Progress(seconds, self.outcome.requests, failures))

    async def _abort_what_hangs(self) -> None:
        while True:
            await asyncio.sleep(0.5)
            before = time.perf_counter_ns() - _TIMEOUT_SECONDS * SECOND_NS
            for slot in self.connections:
                if slot.current is not None:
                    slot.current.abort_if_sent(before)


class Slot:
    """One of the N clients: a connection, and the next one when the server has closed it.

    ``sequence`` outlives a connection: the server closes each after its first thousand answers, about once a second,
    and a look at two answers of one connection only would see next to nothing.
    """

    def __init__(self, load: Load) -> None:
        self.load = load
        self.sequence = -1
        self.check_from_ns = 0
        self.current: Connection | None = None

    async def hold(self) -> None:
        loop = asyncio.get_running_loop()
        while not self.load.over:
            try:
                async with asyncio.timeout(_TIMEOUT_SECONDS):
                    _, self.current = await loop.create_connection(
                        lambda: Connection(self), self.load.host, self.load.port
                    )
            except OSError as error:
                self.load.fail("connect", f"{type(error).__name__}: {error}")
                await asyncio.sleep(_PAUSE_AFTER_FAILURE_SECONDS)
                continue
            in_good_order = await self.current.ended
            self.current = None
            if not in_good_order:
                # A server that refuses at once must not be hammered.
                await asyncio.sleep(_PAUSE_AFTER_FAILURE_SECONDS)

    def check(self, body: bytes) -> None:
        """Decode a body; its sequence must not be below that of an earlier one."""
        self.check_from_ns = time.perf_counter_ns() + _CHECK_EVERY_NS
        try:
            snapshot = json.loads(body)
            sequence, processes = snapshot["sequence"], len(snapshot["processes"])
        except (ValueError, KeyError, TypeError) as error:
            self.load.fail("JSON", f"{type(error).__name__}: {error}; it begins {body[:100]!r}")
            return
        if not isinstance(sequence, int) or sequence < self.sequence:
            self.load.fail("sequence", f"{sequence!r} after {self.sequence}")
            return
        self.sequence = sequence
        self.load.outcome.processes = processes
        self.load.outcome.checked_bodies += 1


class Connection(asyncio.Protocol):
    """A connection in a closed loop: when an answer is whole, the next request goes out."""

    def __init__(self, slot: Slot) -> None:
        self._slot = slot
        self._load = slot.load
        self.ended: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._in_good_order = True
        self._sent_ns = 0  # 0: no answer is awaited
        self._head = b""
        self._status = b""
        self._length = 0
        self._missing = -1  # bytes of the body; -1: the head is not whole yet
        self._closes = False
        self._kept: list[bytes] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._ask()

    def _ask(self) -> None:
        now_ns = time.perf_counter_ns()
        if now_ns >= self._load.ends_ns:
            self._transport.close()
            return
        self._head = b""
        self._missing = -1
        self._kept = [] if now_ns >= self._slot.check_from_ns else None
        self._sent_ns = now_ns
        self._transport.write(self._load.request)

    def data_received(self, data: bytes) -> None:
        if not self._sent_ns:
            if not self._transport.is_closing():
                self._give_up("length", f"{len(data)} bytes that no request asked for: {data[:100]!r}")
            return
        if self._missing < 0:
            data = self._take_head(data)
            if self._missing < 0:
                return
        if self._kept is not None:
            self._kept.append(data)
        self._missing -= len(data)
        if self._missing <= 0:
            self._finish()

    def _take_head(self, data: bytes) -> bytes:
        """Take the head of the answer; what is left of the data is body."""
        self._head += data
        end = self._head.find(b"\r\n\r\n")
        if end < 0:
            if len(self._head) > _LONGEST_HEAD:
                self._give_up("framing", f"a head without end: {self._head[:100]!r}")
            return b""
        head = self._head[:end].lower()
        self._status = head[9:12]
        self._closes = b"\r\nconnection: close" in head
        _, found, rest = head.partition(b"\r\ncontent-length:")
        digits = rest.partition(b"\r\n")[0].strip()
        if not found or not digits.isdigit():
            self._give_up("framing", f"no content length: {head[:500]!r}")
            return b""
        self._missing = self._length = int(digits)
        return self._head[end + 4 :]

    def _finish(self) -> None:
        now_ns = time.perf_counter_ns()
        sent_ns, self._sent_ns = self._sent_ns, 0
        if self._missing < 0:
            self._give_up("length", f"{-self._missing} bytes more than the {self._length} of its content length")
            return
        if self._status == b"200":
            self._load.count(sent_ns, now_ns, self._length)
            if self._kept is not None:
                self._slot.check(b"".join(self._kept))
        else:
            self._load.fail(f"status {self._status.decode('ascii', 'replace')}", self._head.decode("latin-1"))
        if self._closes:
            self._load.outcome.reconnects += now_ns < self._load.ends_ns
            self._transport.close()
        else:
            self._ask()

    def _give_up(self, kind: str, detail: str) -> None:
        self._sent_ns = 0
        self._in_good_order = False
        self._load.fail(kind, detail)
        self._transport.abort()

    def abort_if_sent(self, before_ns: int) -> None:
        """Give up on an answer that was asked for before this instant and is not whole."""
        if 0 < self._sent_ns < before_ns:
            self._give_up("timeout", f"no whole answer within {_TIMEOUT_SECONDS} s")

    def connection_lost(self, error: Exception | None) -> None:
        if self._sent_ns:
            kind = "early end" if error is None else "reset"
            self._give_up(kind, str(error) if error else "the server closed the connection before the answer was whole")
        self.ended.set_result(self._in_good_order)


def _print_line(value: Progress | Outcome) -> None:
    sys.stdout.write(json.dumps(asdict(value)) + "\n")
    sys.stdout.flush()


def parse_line(line: str | bytes) -> Progress | Outcome:
    """A line that this script printed."""
    fields: dict[str, Any] = json.loads(line)
    if "connections" not in fields:
        return Progress(**fields)
    failures = {kind: Failure(**failure) for kind, failure in fields.pop("failures").items()}
    return Outcome(**fields, failures=failures)


def read_samples(path: Path) -> tuple[array[int], array[int]]:
    """From the file of ``--samples``: when each request was sent, since the start, and how long it took, in ns."""
    pairs = array("Q")
    pairs.frombytes(path.read_bytes())
    return pairs[0::2], pairs[1::2]


def main() -> None:
    """See the docstring of the module."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--path", default="/cpu_usage")
    parser.add_argument("--connections", type=int, default=5)
    parser.add_argument("--warm-up", type=float, default=1.0, metavar="SECONDS")
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--samples", type=Path, metavar="FILE")
    options = parser.parse_args()

    async def run() -> None:
        load = Load(options.host, options.port, options.path, options.connections, options.warm_up, options.seconds)
        outcome = await load.run()
        if options.samples:
            options.samples.write_bytes(load.samples.tobytes())
        _print_line(outcome)

    asyncio.run(run())


if __name__ == "__main__":
    main()
