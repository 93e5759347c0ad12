from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from cpuwatch.encoding.metric_points import Interval, Metric, Point
from cpuwatch.push.outbox import Outbox

COUNTER = Metric("work", "s", "Work.")


def interval(number: int) -> Interval:
    """Return the interval in which the counter grew from ``number`` to ``number + 1``."""
    return Interval(number, number + 1, (Point(COUNTER, (), number + 1, number, 0, is_new=number == 0),))


@given(st.integers(1, 4), st.lists(st.sampled_from(["put", "sent", "failed"])))
def test_nothing_is_lost_or_sent_twice_in_whatever_order_things_happen(places: int, events: list[str]) -> None:
    outbox = Outbox(places)
    sent: list[Interval] = []
    number = 0
    for event in events:
        if event == "put":
            outbox.put(interval(number))
            number += 1
        elif len(outbox):
            taken = outbox.take()
            assert taken is not None
            if event == "sent":
                sent.append(taken)
            else:
                # A newer one may have come while it was sent.
                outbox.put(interval(number))
                number += 1
                outbox.put_back(taken)
        assert len(outbox) <= places
    outbox.close()
    while (rest := outbox.take()) is not None:
        sent.append(rest)
    values = [(one.points[0].before, one.points[0].value) for one in sent]
    assert [before for before, _ in values] == [0, *(value for _, value in values[:-1])][: len(values)]
    assert number == (values[-1][1] if values else 0)
    assert [one.begin_ns for one in sent] == [before for before, _ in values]
    assert len(sent) + outbox.dropped == number
    assert [one.points[0].is_new for one in sent] == [before == 0 for before, _ in values]
