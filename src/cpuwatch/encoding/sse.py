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
"""A comment, which clients ignore. It keeps proxies from closing an idle stream."""

# Only these three end a line (9.2.5); bytes.splitlines() would split at others too.
_LINE_END = re.compile(rb"\r\n|\r|\n")


def encode_event(data: bytes, event_id: str) -> bytes:
    """An event with this data, in UTF-8, and this id, which must not contain a line end.

    A line end in the data starts another ``data`` line, so it cannot end the event. The client receives it as a line
    feed.
    """
    lines = b"".join(b"data: %b\n" % line for line in _LINE_END.split(data))
    return b"id: %b\n%b\n" % (event_id.encode(), lines)


def encode_retry(milliseconds: int) -> bytes:
    """Sets how long a client waits before it reconnects. It is not an event."""
    return b"retry: %d\n\n" % milliseconds


def encode_view_event(shown: Snapshot | GroupedSnapshot, fields: Sequence[str] | None = None) -> bytes:
    """A view as an event whose data is its JSON; see :func:`~cpuwatch.encoding.json.encode_view`."""
    return encode_event(encode_view(shown, fields), str(TickId.of(shown)))
