"""Content codings of finished bodies."""

from __future__ import annotations

import gzip
from collections.abc import Callable

import zstandard

__all__ = ["CODINGS", "SMALLEST_COMPRESSED_BYTES"]

SMALLEST_COMPRESSED_BYTES = 1024
"""What fits into one packet anyway gains nothing."""

# A tick's answer is read for a second: the quick levels. mtime=0, or equal bodies would have different bytes.
CODINGS: dict[str, Callable[[bytes], bytes]] = {
    # A compressor of its own each time: one that two threads use at once brings the process down.
    "zstd": lambda body: zstandard.ZstdCompressor(level=3).compress(body),
    "gzip": lambda body: gzip.compress(body, compresslevel=4, mtime=0),
}
"""In order of preference."""
