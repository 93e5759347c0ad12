from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cpuwatch.tick_id import RANGES, TickId, new_run

runs = st.from_regex("[1-8][0-9]{8}", fullmatch=True)
sequences = st.integers(0, 10**10 - 1)
ids = st.builds(TickId, runs | st.none(), sequences)


@given(ids)
def test_a_number_is_parsed_to_the_same_id(tick: TickId) -> None:
    assert TickId.parse(str(tick)) == tick
    low, high = RANGES[tick.run is not None]
    assert low <= int(str(tick)) <= high < 2**63
    assert TickId.parse(str(tick)).sequence == int(str(tick)) % 10**10


@given(
    st.integers(-1, 2**63) | st.sampled_from([edge + step for ends in RANGES for edge in ends for step in (-1, 0, 1)])
)
def test_a_number_is_accepted_if_and_only_if_it_is_in_the_stated_ranges(number: int) -> None:
    if any(low <= number <= high for low, high in RANGES):
        assert int(str(TickId.parse(str(number)))) == number
    else:
        with pytest.raises(ValueError, match="must be the id of an event or a sequence"):
            TickId.parse(str(number))


@given(runs, sequences, sequences)
def test_ids_of_a_run_ascend(run: str, one: int, other: int) -> None:
    assert (int(str(TickId(run, one))) < int(str(TickId(run, other)))) == (one < other)


@given(ids, st.builds(TickId, runs, sequences))
def test_a_client_resumes_after_a_tick_of_this_run_and_gets_everything_after_any_other(
    last: TickId, newest: TickId
) -> None:
    for tick in (last, TickId(newest.run, last.sequence)):
        known = tick.run == newest.run and tick.sequence <= newest.sequence
        assert tick.last_seen_in(newest) == (tick.sequence if known else 0)


def test_the_number_of_a_run_differs_from_any_sequence() -> None:
    numbers = {new_run() for _ in range(1000)}
    assert len(numbers) > 990
    for run in numbers:
        assert TickId.parse(f"{run}0000000001") == TickId(run, 1)


@pytest.mark.parametrize(
    "text",
    [
        *("", "-", "-1", "+1", "1.0", "1_0", "\u0663", " 1", "1\n", "0x1"),
        *("1" * 11, "1" * 18, "1" * 20, "9" * 19, "0" * 19, "9" * 5000),
    ],
)
def test_anything_else_is_refused_with_what_is_allowed(text: str) -> None:
    with pytest.raises(ValueError, match=r"must be the id of an event or a sequence") as caught:
        TickId.parse(text)
    assert len(str(caught.value)) < 150


@given(st.text(max_size=30))
def test_any_text_is_parsed_or_refused(text: str) -> None:
    with suppress(ValueError):
        assert TickId.parse(text).sequence >= 0
