"""Values as MessagePack, compressed or not, and back from bytes that may contain anything. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any, Generic, TypeVar

import msgspec
import zstandard

from cpuwatch.errors import RecordingDamagedError
from cpuwatch.text import text_without_surrogates

__all__ = ["Unpacker", "compressed", "damage_named", "pack", "pack_escaped"]

_T = TypeVar("_T")

_LEVEL = 15
_MAX_BYTES = 2**26
"""The content of a frame before its compression. A key of 100,000 processes is a third of it."""

_encode = msgspec.msgpack.Encoder().encode


def pack(value: object) -> bytes:
    """The value as MessagePack.

    Raises ``OverflowError`` for integers beyond 64 bits, and ``UnicodeEncodeError`` for lone surrogates.
    """
    return _encode(value)


def pack_escaped(value: object) -> bytes:
    """The value as MessagePack. Lone surrogates, which only samplers of third parties return, are escaped as in JSON.

    Raises ``OverflowError`` for integers beyond 64 bits.
    """
    try:
        return _encode(value)
    except UnicodeEncodeError:
        return _encode(_without_surrogates(msgspec.to_builtins(value, builtin_types=(bytes, datetime))))


def compressed(content: bytes) -> bytes:
    """The content as a zstd frame, which declares its size. Raises ``OverflowError`` if readers would reject it."""
    if len(content) > _MAX_BYTES:
        raise OverflowError(f"{len(content)} bytes are too many for a frame")
    return zstandard.ZstdCompressor(level=_LEVEL).compress(content)


class Unpacker(Generic[_T]):
    """Decodes values of one type. Raises :class:`~cpuwatch.errors.RecordingDamagedError` for any other bytes."""

    def __init__(self, kind: type[_T]) -> None:
        self._decode = msgspec.msgpack.Decoder(kind).decode

    def unpack(self, data: bytes) -> _T:
        """The value in these bytes."""
        with damage_named("invalid content"):
            return self._decode(data)

    def decompress(self, data: bytes) -> _T:
        """The value in these compressed bytes."""
        with damage_named("invalid content"):
            # The size that the frame declares is allocated at once.
            size = zstandard.frame_content_size(data)
            if not 0 <= size <= _MAX_BYTES:
                raise ValueError(f"a frame of {size} bytes")
            return self._decode(zstandard.ZstdDecompressor().decompress(data))


@contextmanager
def damage_named(what: str) -> Iterator[None]:
    """Turn whatever invalid content with a valid checksum can cause into an error of the recording."""
    try:
        yield
    except (zstandard.ZstdError, ValueError, TypeError, LookupError, ArithmeticError, RecursionError) as error:
        raise RecordingDamagedError(f"{what}: {error}") from error


def _without_surrogates(value: Any) -> Any:
    match value:
        case str():
            return text_without_surrogates(value)
        case list() | tuple():
            return [_without_surrogates(item) for item in value]
        case dict():
            return {_without_surrogates(key): _without_surrogates(item) for key, item in value.items()}
    return value
