"""Another machine: the event stream of a cpuwatch service, kept in memory."""

from __future__ import annotations

import http.client
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Self
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from cpuwatch.encoding.json import decode
from cpuwatch.errors import CpuwatchError, DecodeError, SettingsError
from cpuwatch.history import DEFAULT_HISTORY_BYTES, SnapshotHistory, SnapshotStore
from cpuwatch.model import Snapshot
from cpuwatch.terminal.model.header import Link
from cpuwatch.terminal.sources import since
from cpuwatch.terminal.threads import MeasureThreads
from cpuwatch.text import shortened
from cpuwatch.thread_usage import ThreadsSnapshot
from cpuwatch.token_file import Token

__all__ = ["RemoteSource", "Url", "events", "parse_url"]

_CONNECT_SECONDS = 10.0
_SILENCE_SECONDS = 40.0
"""The service sends a comment every 15 seconds, so the connection is dead after this silence."""
_RETRY_SECONDS = (1.0, 5.0)
_MAX_LINE_BYTES = 64 * 2**20
_MAX_SNAPSHOTS = 3600
_STALE_INTERVALS = 3
_MAX_THREADS = 200
"""More than a screen shows."""


class Url(Struct, frozen=True):
    """Where a service is: ``path`` is the prefix of a reverse proxy, or empty."""

    is_secure: bool
    host: str
    port: int
    path: str

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self.is_secure else 'http'}://{host}:{self.port}{self.path}"

    def connect(self) -> http.client.HTTPConnection:
        """A connection, which is opened by its first request."""
        if self.is_secure:
            context = ssl.create_default_context()
            return http.client.HTTPSConnection(self.host, self.port, timeout=_CONNECT_SECONDS, context=context)
        return http.client.HTTPConnection(self.host, self.port, timeout=_CONNECT_SECONDS)


def parse_url(text: str) -> Url:
    """The address of a service. Raises :class:`~cpuwatch.errors.SettingsError` with what is allowed."""
    rule = "must be like https://host:8845, without user, query and fragment"
    invalid = SettingsError(f"invalid URL {shortened(text)!r}: {rule}")
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise invalid from None
    host = parts.hostname
    if parts.scheme not in {"http", "https"} or not host or parts.username is not None:
        raise invalid
    if parts.query or parts.fragment:
        raise invalid
    is_secure = parts.scheme == "https"
    return Url(is_secure, host, port or (443 if is_secure else 80), parts.path.rstrip("/"))


class RemoteSource:
    """A thread reads the stream, and connects again after a failure; the service then sends what was missed."""

    def __init__(self, url: Url, token: Token | None = None) -> None:
        self._url = url
        self._token = token
        self._store = SnapshotHistory(_MAX_SNAPSHOTS, DEFAULT_HISTORY_BYTES)
        self._stop = threading.Event()
        self._connection: http.client.HTTPConnection | None = None
        self._last_id: str | None = None
        self._arrived: float | None = None
        self._failure = ""

    def is_refused(self) -> bool:
        """Whether the service requires a token, or another one. Other failures show in the view."""
        connection = self._url.connect()
        try:
            connection.request("GET", f"{self._url.path}/cpu_usage?top=1", headers=self._headers())
            return connection.getresponse().status == http.client.UNAUTHORIZED
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def __enter__(self) -> Self:
        threading.Thread(target=self._run, name="cpuwatch-remote", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._store.end()

    @property
    def store(self) -> SnapshotStore:
        """What arrived so far."""
        return self._store

    @property
    def link(self) -> Link:
        """Stale after three intervals without a snapshot."""
        latest, arrived = self._store.latest, self._arrived
        if latest is None or arrived is None:
            reason = f": {self._failure}" if self._failure else ""
            return Link(str(self._url), "connecting", f"connecting to {self._url}{reason}")
        age = time.monotonic() - arrived
        if age > max(1.0, _STALE_INTERVALS * latest.interval_seconds):
            problem = f"{self._failure}; reconnecting" if self._failure else "no data received"
            return Link(str(self._url), "stale", f"{since(age)}: {problem}")
        return Link(str(self._url), "live")

    @property
    def measure_threads(self) -> MeasureThreads:
        """Asks the service, which only reads threads when it is asked."""
        return self._measure_threads

    def _measure_threads(self, pid: int) -> ThreadsSnapshot:
        connection = self._url.connect()
        try:
            path = f"{self._url.path}/cpu_usage/{pid}/threads?format=json&top={_MAX_THREADS}"
            connection.request("GET", path, headers=self._headers())
            response = connection.getresponse()
            body = response.read(_MAX_LINE_BYTES)
            if response.status == http.client.OK:
                return msgspec.json.decode(body, type=ThreadsSnapshot)
            with suppress(msgspec.DecodeError):
                raise CpuwatchError(msgspec.json.decode(body, type=_Problem).detail)
            raise CpuwatchError(f"HTTP {response.status} {response.reason}")
        except (OSError, http.client.HTTPException, msgspec.DecodeError) as error:
            raise CpuwatchError(f"no threads from {self._url}: {error}") from error
        finally:
            connection.close()

    def _headers(self) -> dict[str, str]:
        headers = {"Accept": "text/event-stream, application/json"}
        if self._token is not None:
            headers["Authorization"] = f"Bearer {self._token.secret.decode()}"
        if self._last_id is not None:
            headers["Last-Event-ID"] = self._last_id
        return headers

    def _run(self) -> None:
        pause = _RETRY_SECONDS[0]
        while not self._stop.is_set():
            before = self._last_id
            try:
                self._read_stream()
                self._failure = "the server closed the stream"
            except ssl.SSLCertVerificationError as error:
                self._failure = f"its certificate is not valid: {error.verify_message}"
            except TimeoutError:
                self._failure = "no answer"
            except OSError as error:
                self._failure = error.strerror or str(error)
            except (http.client.HTTPException, DecodeError, _ResponseError) as error:
                self._failure = str(error) or type(error).__name__
            pause = _RETRY_SECONDS[0] if self._last_id != before else min(2 * pause, _RETRY_SECONDS[1])
            self._stop.wait(pause)

    def _read_stream(self) -> None:
        connection = self._url.connect()
        try:
            # The last minutes come first: the id of no tick is before all of them.
            headers = {"Last-Event-ID": "0"} | self._headers()
            connection.request("GET", f"{self._url.path}/cpu_usage/stream", headers=headers)
            if connection.sock is not None:
                connection.sock.settimeout(_SILENCE_SECONDS)
            response = connection.getresponse()
            if response.status != http.client.OK:
                raise _ResponseError(f"HTTP {response.status} {response.reason}")
            for event_id, data in events(response):
                self._add(decode(data))
                self._last_id, self._failure = event_id, ""
                if self._stop.is_set():
                    return
        finally:
            with suppress(OSError):
                connection.close()

    def _add(self, snapshot: Snapshot) -> None:
        # Sequences start again when the service does; here they go on, because a history is one run.
        latest = self._store.latest
        run = snapshot.sampling if latest is None else replace(snapshot.sampling, run=latest.sampling.run)
        self._store.append(replace(snapshot, sequence=1 if latest is None else latest.sequence + 1, sampling=run))
        self._arrived = time.monotonic()


class _Problem(Struct):
    """The body of an error of the service (RFC 9457)."""

    detail: str


class _ResponseError(Exception):
    """The service does not send the stream."""


def events(response: http.client.HTTPResponse) -> Iterator[tuple[str, bytes]]:
    """The id and the data of each event (html.spec.whatwg.org, 9.2.6), until the stream ends."""
    event_id, data = "", list[bytes]()
    while line := response.readline(_MAX_LINE_BYTES):
        field, _, value = line.rstrip(b"\r\n").partition(b":")
        value = value.removeprefix(b" ")
        if not field and not value and line in {b"\n", b"\r\n"}:
            if data:
                yield event_id, b"\n".join(data)
            data = []
        elif field == b"data":
            data.append(value)
        elif field == b"id":
            event_id = value.decode("ascii", "replace")
