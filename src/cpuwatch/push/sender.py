"""Sends intervals to one receiver in a thread, with retries, so that no receiver holds up anything else."""

from __future__ import annotations

import logging
import random
import threading
import time
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Literal

import httpx
from msgspec import Struct

from cpuwatch.encoding.metric_points import Interval
from cpuwatch.push.outbox import Outbox
from cpuwatch.push.target import PushHealth, Resource, Target
from cpuwatch.text import printable, shortened

__all__ = ["QUEUED_INTERVALS", "Sender", "retry_after_seconds"]

QUEUED_INTERVALS = 60
"""Ten minutes of intervals of ten seconds; about 20 KiB each."""

_MAX_RESPONSE_BYTES = 65_536
_FIRST_DELAY_SECONDS = 1.0
_MAX_DELAY_SECONDS = 60.0
_MAX_RETRY_AFTER_SECONDS = 300.0
_MAX_REASON_CHARACTERS = 200

_log = logging.getLogger("cpuwatch.push")


class _Outcome(Struct, frozen=True):
    """What became of a request. ``reason`` is why it was not sent, ``retry_seconds`` what the receiver asks for.

    Reasons of one ``cause`` may differ in detail, such as the ID of a request.
    """

    kind: Literal["sent", "rejected", "failed"]
    cause: str | None = None
    reason: str | None = None
    retry_seconds: float | None = None


class Sender:
    """Sends what is :meth:`put`, oldest first.

    Connection errors, timeouts and temporary status codes are retried until the outbox drops the interval. The delay
    doubles from 1 to 60 s, and is at least half of that at random, so that many hosts do not return at once;
    ``Retry-After`` replaces it.
    """

    def __init__(self, target: Target, places: int = QUEUED_INTERVALS) -> None:
        self._target = target
        self._resource: Resource = {}
        self._outbox = Outbox(places)
        self._client = httpx.Client(
            timeout=target.timeout_seconds,
            headers={"user-agent": "cpuwatch", "accept-encoding": "identity", **target.headers},
            verify=True if target.tls is None else target.tls,
        )
        self._closing = threading.Event()
        self._sent = 0
        self._rejected = 0
        self._failure: str | None = None
        self._cause: str | None = None
        self._failed_attempts = 0
        self._thread = threading.Thread(target=self._run, name="cpuwatch-push", daemon=True)
        self._thread.start()

    @property
    def health(self) -> PushHealth:
        """How pushing is going."""
        return PushHealth(
            str(self._target), self._sent, self._outbox.dropped, self._rejected, len(self._outbox), self._failure
        )

    def put(self, interval: Interval, resource: Resource) -> None:
        """Send an interval of this host soon. Never waits."""
        self._resource = resource
        dropped = self._outbox.dropped
        self._outbox.put(interval)
        if self._outbox.dropped and not dropped:
            _log.warning("%s: the queue is full; the oldest intervals are dropped", self._target)

    def close(self) -> None:
        """Send what waits, without retries. :meth:`join` waits for that."""
        self._closing.set()
        self._outbox.close()

    def join(self, seconds: float) -> None:
        """Wait at most this long for the end. A receiver that does not answer until then is given up."""
        self._thread.join(seconds)
        if self._thread.is_alive():
            _log.warning("%s: no answer within %.1f s; %d intervals were not sent", self._target, seconds, self._left)

    @property
    def _left(self) -> int:
        return len(self._outbox) + 1

    def _run(self) -> None:
        with self._client:
            while (interval := self._outbox.take()) is not None:
                try:
                    outcome = self._send(interval)
                except Exception as error:  # noqa: BLE001  the outermost loop; a defect must not end pushing
                    _log.exception("%s: cannot send an interval", self._target)
                    outcome = _Outcome("rejected", type(error).__name__, _shown(repr(error)))
                if not self._goes_on(interval, outcome):
                    return

    def _goes_on(self, interval: Interval, outcome: _Outcome) -> bool:
        """Note the outcome, and wait before the next attempt. False to give up."""
        if outcome.kind != "failed":
            self._failed_attempts = 0
            self._note(outcome, "an interval was rejected")
            self._sent += outcome.kind == "sent"
            self._rejected += outcome.kind == "rejected"
            return True
        self._note(outcome, "will retry")
        self._outbox.put_back(interval)
        if self._closing.is_set():
            _log.warning("%s: %d intervals were not sent: %s", self._target, len(self._outbox), outcome.reason)
            return False
        self._closing.wait(self._delay_seconds(outcome.retry_seconds))
        return True

    def _note(self, outcome: _Outcome, consequence: str) -> None:
        if outcome.cause is None and self._cause is not None:
            _log.info("%s works again, %d intervals are queued", self._target, len(self._outbox))
        elif outcome.cause != self._cause:
            _log.warning("%s: %s; %s", self._target, outcome.reason, consequence)
        self._failure, self._cause = outcome.reason, outcome.cause

    def _delay_seconds(self, wanted_seconds: float | None) -> float:
        self._failed_attempts += 1
        if wanted_seconds is not None:
            return min(wanted_seconds, _MAX_RETRY_AFTER_SECONDS)
        longest: float = min(_MAX_DELAY_SECONDS, _FIRST_DELAY_SECONDS * 2 ** min(self._failed_attempts - 1, 10))
        return random.uniform(0.5, 1.0) * longest  # noqa: S311  no secret

    def _send(self, interval: Interval) -> _Outcome:
        target = self._target
        body = target.encode(interval, self._resource)
        deadline = time.monotonic() + target.timeout_seconds
        try:
            with self._client.stream("POST", target.url, content=body) as response:
                answer = _bounded_body(response, deadline)
        except httpx.HTTPError as error:
            return _Outcome("failed", type(error).__name__, _reason(error))
        if response.is_success:
            complaint = target.complaint(answer)
            if complaint is not None:
                _log.warning("%s: %s", target, _shown(complaint))
            return _Outcome("sent")
        status = f"HTTP {response.status_code}"
        reason = f"{status} {_shown(answer.decode(errors='backslashreplace'))}".strip()
        if target.is_retried(response.status_code):
            wanted = retry_after_seconds(response.headers.get("retry-after"), datetime.now(UTC))
            return _Outcome("failed", status, reason, wanted)
        return _Outcome("rejected", status, reason)


def retry_after_seconds(text: str | None, now: datetime) -> float | None:
    """The value of a ``Retry-After`` header (RFC 9110, 10.2.3): seconds, or a date. None if it is neither."""
    if text is None:
        return None
    if text.strip().isdecimal():
        return float(min(int(text), _MAX_RETRY_AFTER_SECONDS))
    try:
        until = parsedate_to_datetime(text)
    except ValueError:
        return None
    if until.tzinfo is None:
        until = until.replace(tzinfo=UTC)
    return max(0.0, (until - now).total_seconds())


def _bounded_body(response: httpx.Response, deadline: float) -> bytes:
    """The begin of the body. The rest, or one that comes too slowly, is of no use."""
    body = b""
    for chunk in response.iter_raw():
        body += chunk
        if len(body) > _MAX_RESPONSE_BYTES or time.monotonic() > deadline:
            break
    return body[:_MAX_RESPONSE_BYTES]


def _reason(error: httpx.HTTPError) -> str:
    # Timeouts have no message of their own in httpx.
    return _shown(str(error)) or type(error).__name__


def _shown(text: Any) -> str:
    return shortened(printable(" ".join(str(text).split())), _MAX_REASON_CHARACTERS)
