from __future__ import annotations

import re
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cpuwatch.tick_id import TICK_ID_PATTERN, TickId

runs = st.from_regex("[0-9a-f]{8}", fullmatch=True)
sequences = st.integers(0, 2**63 - 1)
ids = st.builds(TickId, runs | st.none(), sequences)


@given(ids)
def test_an_id_is_what_its_text_says(tick: TickId) -> None:
    assert TickId.parse(str(tick)) == tick
    assert (re.fullmatch(TICK_ID_PATTERN, str(tick)) is None) == (tick.run is None)


@given(ids, st.builds(TickId, runs, sequences))
def test_a_client_goes_on_after_a_tick_of_this_run_and_gets_everything_after_any_other(
    last: TickId, newest: TickId
) -> None:
    for tick in (last, TickId(newest.run, last.sequence)):
        known = tick.run == newest.run and tick.sequence <= newest.sequence
        assert tick.last_seen_in(newest) == (tick.sequence if known else 0)


@pytest.mark.parametrize(
    "text",
    [
        *("", "-", "-1", "+1", "1.0", "1_0", "\u0663", " 1", "1\n"),
        *("4f3a2b1c", "4f3a2b1c-", "4F3A2B1C-1", "4f3a2b1-1", "4f3a2b1c-1-1", "4f3a2b1c--1"),
        *(str(2**63), f"4f3a2b1c-{2**63}", "9" * 5000),
    ],
)
def test_anything_else_is_refused_with_what_is_allowed(text: str) -> None:
    with pytest.raises(ValueError, match=r"RUN-SEQUENCE, as in 4f3a2b1c-123") as caught:
        TickId.parse(text)
    assert len(str(caught.value)) < 150


@given(st.text(max_size=30))
def test_no_text_does_more_than_be_refused(text: str) -> None:
    with suppress(ValueError):
        assert TickId.parse(text).sequence >= 0
