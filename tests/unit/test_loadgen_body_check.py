"""How the load client checks response bodies on several connections."""

from __future__ import annotations

import math
import time
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from readings import snapshot

from benchmarks.loadgen.body_check import BadAnswerError, Bodies, BodyCheck
from benchmarks.loadgen.books import Books
from cpuwatch import encode


def books(stale_after_intervals: float = 3.0) -> Books:
    return Books(time.perf_counter_ns(), stale_after_intervals)


def body(sequence: int, *, age_seconds: float = 0.0) -> bytes:
    taken = datetime.now(UTC) - timedelta(seconds=age_seconds)
    return encode(replace(snapshot((10, 5), (11, 6), sequence=sequence), time=taken))


def checked(check: BodyCheck, content: bytes) -> int:
    """Check a body between its head and the next response, and return the age found."""
    buffer = bytearray(b"head" + content + b"HTTP")
    return check.check(buffer, 4, 4 + len(content), time.perf_counter_ns())


def test_one_body_on_all_connections_is_decoded_once() -> None:
    kept = books()
    bodies = Bodies(kept)
    checks = [BodyCheck(bodies) for _ in range(5)]
    for sequence in (1, 2, 3):
        content = body(sequence, age_seconds=1)
        for check in checks * 2:
            # The two clocks may drift apart a little.
            assert 999_000_000 <= checked(check, content) < 60_000_000_000
    assert kept.decoded_bodies == 3
    assert kept.processes == 2


sequences = st.lists(st.tuples(st.integers(0, 2), st.integers(1, 4)), max_size=30)


@given(sequences)
def test_sequences_must_not_decrease_on_a_connection_whatever_others_receive(asked: list[tuple[int, int]]) -> None:
    bodies = Bodies(books(math.inf))
    checks = [BodyCheck(bodies) for _ in range(3)]
    contents = {sequence: body(sequence) for sequence in range(1, 5)}
    highest = dict.fromkeys(range(3), 0)
    for connection, sequence in asked:
        if sequence < highest[connection]:
            with pytest.raises(BadAnswerError, match=f"^{sequence} after {highest[connection]}$") as refused:
                checked(checks[connection], contents[sequence])
            assert refused.value.kind == "sequence"
        else:
            checked(checks[connection], contents[sequence])
            highest[connection] = sequence


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"\xff", body(1)[:-1], body(1).replace(b'"pid":10', b'"pid":"x"')]
)
def test_an_invalid_body_counts_as_bad_json_each_time_on_each_connection(content: bytes) -> None:
    bodies = Bodies(books())
    for check in [BodyCheck(bodies), BodyCheck(bodies)] * 2:
        with pytest.raises(BadAnswerError) as refused:
            checked(check, content)
        assert refused.value.kind == "JSON"


def test_unchanged_bytes_become_stale() -> None:
    check = BodyCheck(Bodies(books(stale_after_intervals=3)))
    content = body(7)
    buffer = bytearray(content)
    now_ns = time.perf_counter_ns()
    check.check(buffer, 0, len(content), now_ns)
    with pytest.raises(BadAnswerError, match=r"^data of 3\.[0-9]+ s ago \(sequence 7\)$") as refused:
        check.check(buffer, 0, len(content), now_ns + 3_100_000_000)
    assert refused.value.kind == "stale"


def test_a_valid_body_with_trailing_bytes_is_bad_json() -> None:
    check = BodyCheck(Bodies(books()))
    checked(check, body(1))
    content = body(2)
    checked(check, content)
    with pytest.raises(BadAnswerError) as refused:
        checked(check, content + b"}")
    assert refused.value.kind == "JSON"
