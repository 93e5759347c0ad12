"""A chunked body (RFC 9112, section 7.1) that arrives piece by piece in one buffer. Pure."""

from __future__ import annotations

__all__ = ["BadChunkError", "Chunks"]

_MAX_SIZE_LINE = 1_000


class BadChunkError(ValueError):
    """The bytes are not chunks."""


class Chunks:
    """The chunks from this offset on. Trailers are not supported."""

    def __init__(self, start: int) -> None:
        self._next = start
        self._spans: list[slice] = []

    def end(self, buffer: bytearray, filled: int) -> int | None:
        """The offset behind the body, if it is complete before ``filled``. Raises ``BadChunkError``."""
        while (line_end := buffer.find(b"\r\n", self._next, filled)) >= 0:
            size = _size(bytes(buffer[self._next : line_end]))
            data = slice(line_end + 2, line_end + 2 + size)
            after = data.stop + 2
            if after > filled:
                return None
            if buffer[data.stop : after] != b"\r\n":
                raise BadChunkError(f"a chunk of {size} bytes does not end after them")
            if size == 0:
                return after
            self._spans.append(data)
            self._next = after
        if filled - self._next > _MAX_SIZE_LINE:
            raise BadChunkError(f"no size of a chunk: {bytes(buffer[self._next : self._next + 100])!r}")
        return None

    def body(self, buffer: bytearray) -> bytearray:
        """The content of the chunks found so far."""
        return bytearray(b"".join([memoryview(buffer)[span] for span in self._spans]))


def _size(line: bytes) -> int:
    digits = line.partition(b";")[0].strip()
    # int() takes signs, underscores and other digits too.
    if not 0 < len(digits) <= 16 or digits.strip(b"0123456789abcdefABCDEF"):
        raise BadChunkError(f"no size of a chunk: {line[:100]!r}")
    return int(digits, 16)
