from __future__ import annotations

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from benchmarks.loadgen.pace import ClosedLoop, FixedRate

SECOND_NS = 1_000_000_000


def test_in_a_closed_loop_requests_are_always_due_until_the_end() -> None:
    pace = ClosedLoop(ends_ns=100)
    assert pace.take(0) == 0
    assert pace.take(99) == 99
    assert pace.take(100) is None
    assert pace.next_ns(100) is None
    assert list(pace.unsent_ns()) == []


rates = st.floats(0.5, 5_000)
lengths = st.integers(1, 3 * SECOND_NS)


@given(rates, lengths, st.lists(st.integers(0, 4 * SECOND_NS), max_size=20).map(sorted))
def test_late_requests_keep_the_time_at_which_they_were_due(
    per_second: float, length_ns: int, instants: list[int]
) -> None:
    """Coordinated omission would lose these times."""
    first_ns = 7
    pace = FixedRate(first_ns, first_ns + length_ns, per_second, patience_ns=10 * SECOND_NS)
    taken = []
    for now_ns in instants:
        while (due_ns := pace.take(now_ns)) is not None:
            assert due_ns <= now_ns
            taken.append(due_ns)
        next_ns = pace.next_ns(now_ns)
        assert next_ns is None or next_ns > now_ns
    all_due = [*taken, *pace.unsent_ns()]
    assert all(due_ns < first_ns + length_ns for due_ns in all_due)
    for number, due_ns in enumerate(all_due):
        exact = first_ns + Fraction(number * SECOND_NS) / Fraction(per_second)
        assert abs(due_ns - exact) <= 1
    following = first_ns + Fraction(len(all_due) * SECOND_NS) / Fraction(per_second)
    assert following >= first_ns + length_ns - 1


def test_requests_overdue_at_the_end_are_not_sent() -> None:
    pace = FixedRate(0, ends_ns=SECOND_NS, per_second=4, patience_ns=500)
    assert pace.take(SECOND_NS + 499) == 0
    assert pace.take(SECOND_NS + 500) is None
    assert pace.next_ns(SECOND_NS + 500) is None
    assert list(pace.unsent_ns()) == [SECOND_NS // 4, SECOND_NS // 2, 3 * SECOND_NS // 4]
