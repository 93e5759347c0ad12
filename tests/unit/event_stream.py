"""A parser of ``text/event-stream``, written from the standard (html.spec.whatwg.org, 9.2.6), not from our encoder."""

from __future__ import annotations

from typing import NamedTuple


class Event(NamedTuple):
    id: str
    data: str
    type: str = "message"


class EventStream:
    """Accepts the stream in chunks, and returns complete events."""

    def __init__(self) -> None:
        self.retry_ms: int | None = None
        self.comments: list[str] = []
        self._rest = b""
        self._begun = False
        self._last_id = self._data = self._type = ""

    @property
    def unfinished(self) -> bytes:
        """The part of an incomplete event received so far."""
        return self._rest + self._data.encode() + self._type.encode()

    def feed(self, piece: bytes) -> list[Event]:
        text = self._rest + piece
        if not self._begun and text:
            text = text.removeprefix(b"\xef\xbb\xbf")
            self._begun = True
        events = []
        while (found := self._line(text)) is not None:
            line, text = found
            event = self._process(line.decode("utf-8", "replace"))
            if event is not None:
                events.append(event)
        self._rest = text
        return events

    @staticmethod
    def _line(text: bytes) -> tuple[bytes, bytes] | None:
        """Split off the first line. None if it is incomplete: a CR at the end may be half of a CRLF."""
        for at in range(len(text)):
            if text[at] == ord("\n"):
                return text[:at], text[at + 1 :]
            if text[at] == ord("\r") and at + 1 < len(text):
                return text[:at], text[at + 2 if text[at + 1] == ord("\n") else at + 1 :]
        return None

    def _process(self, line: str) -> Event | None:
        if not line:
            return self._dispatch()
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        match field:
            case "":
                self.comments.append(value)
            case "event":
                self._type = value
            case "data":
                self._data += value + "\n"
            case "id" if "\0" not in value:
                self._last_id = value
            case "retry" if value.isascii() and value.isdigit():
                self.retry_ms = int(value)
        return None

    def _dispatch(self) -> Event | None:
        data, self._data = self._data, ""
        kind, self._type = self._type, ""
        return Event(self._last_id, data.removesuffix("\n"), kind or "message") if data else None
