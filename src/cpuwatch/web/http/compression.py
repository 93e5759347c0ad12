"""Content codings of finished bodies."""

from __future__ import annotations

import gzip
from collections.abc import Callable

import zstandard

__all__ = ["CODINGS", "SMALLEST_COMPRESSED_BYTES", "coded"]

SMALLEST_COMPRESSED_BYTES = 1024
"""What fits into one packet anyway gains nothing."""

# A tick's answer is read for a second: the quick levels. mtime=0, or equal bodies would have different bytes.
CODINGS: dict[str, Callable[[bytes], bytes]] = {
    # A compressor of its own each time: one that two threads use at once brings the process down.
    "zstd": lambda body: zstandard.ZstdCompressor(level=3).compress(body),
    "gzip": lambda body: gzip.compress(body, compresslevel=4, mtime=0),
}
"""In order of preference."""


def coded(body: bytes, coding: str) -> tuple[bytes, list[tuple[str, str]]]:
    """The body in this coding, with the header that says so; as it is and without one for ``identity``, or if small."""
    if coding not in CODINGS or len(body) < SMALLEST_COMPRESSED_BYTES:
        return body, []
    return CODINGS[coding](body), [("content-encoding", coding)]
