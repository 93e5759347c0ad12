"""Server-Sent Events: the lines of ``text/event-stream`` (html.spec.whatwg.org, 9.2). Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence

from cpuwatch.encoding.json import encode_view
from cpuwatch.model import Snapshot
from cpuwatch.query.view import GroupedSnapshot
from cpuwatch.tick_id import TickId

__all__ = ["KEEP_ALIVE", "encode_event", "encode_retry", "encode_view_event"]

KEEP_ALIVE = b":\n\n"
"""A comment, which a client passes over; it keeps proxies from taking a quiet stream for a dead one."""

# Each of the three ends a line (9.2.5), whatever bytes.splitlines() makes of others.
_LINE_END = re.compile(rb"\r\n|\r|\n")


def encode_event(data: bytes, event_id: str) -> bytes:
    """An event with this data, which is UTF-8, and this id, which has no line end.

    A line end within the data begins another ``data`` line, so that it cannot end the event; the client gets it as
    one line feed.
    """
    lines = b"".join(b"data: %b\n" % line for line in _LINE_END.split(data))
    return b"id: %b\n%b\n" % (event_id.encode(), lines)


def encode_retry(milliseconds: int) -> bytes:
    """How long a client waits before it connects again after a loss. It is no event."""
    return b"retry: %d\n\n" % milliseconds


def encode_view_event(shown: Snapshot | GroupedSnapshot, fields: Sequence[str] | None = None) -> bytes:
    """What a view shows as an event whose data is its JSON; see :func:`~cpuwatch.encoding.json.encode_view`."""
    return encode_event(encode_view(shown, fields), str(TickId.of(shown)))
