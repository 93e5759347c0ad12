from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cpuwatch.web.http.request import MAX_WAIT_SECONDS, wait_seconds


@pytest.mark.parametrize(
    ("prefer", "seconds"),
    [
        (b"wait=10", 10),
        (b"WAIT = 10", 10),
        (b'wait="10"', 10),
        (b"respond-async, wait=7", 7),
        (b"wait=5;strict, return=minimal", 5),
        (b"wait=3, wait=9", 3),
        (b"wait=0", 0),
        (b"wait=31", MAX_WAIT_SECONDS),
        (b"wait=" + b"9" * 5000, MAX_WAIT_SECONDS),
    ],
)
def test_wait_is_found_among_other_preferences(prefer: bytes, seconds: int) -> None:
    assert wait_seconds(prefer) == seconds


@pytest.mark.parametrize("prefer", [None, b"", b"wait", b"wait=", b"wait=soon", b"wait=-1", b"wait=1.5", b"await=3"])
def test_other_and_invalid_preferences_are_ignored(prefer: bytes | None) -> None:
    assert wait_seconds(prefer) is None


@given(st.binary(max_size=40) | st.binary(max_size=20).map(b"wait=".__add__))
def test_any_header_is_parsed(prefer: bytes) -> None:
    assert wait_seconds(prefer) in {None, *range(MAX_WAIT_SECONDS + 1)}
