from __future__ import annotations

import gzip
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
import zstandard

from cpuwatch.web.http.response import CODINGS

DECODERS: dict[str, Callable[[bytes], bytes]] = {"zstd": zstandard.decompress, "gzip": gzip.decompress}


@pytest.mark.parametrize("coding", CODINGS)
def test_threads_may_compress_at_the_same_time(coding: str) -> None:
    bodies = [os.urandom(300) * 2000 for _ in range(4)]

    def many_times(body: bytes) -> bool:
        return all(DECODERS[coding](CODINGS[coding](body)) == body for _ in range(100))

    with ThreadPoolExecutor(4) as threads:
        assert all(threads.map(many_times, bodies))
