from __future__ import annotations

from collections import deque
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cpuwatch.push.listing import DAY_NS, Listing
from cpuwatch.push.payload import MAX_DAY_SERIES, MAX_SERIES, MAX_TOP, listing_sizes

MINUTE_NS = 60 * 10**9
HOUR_NS = 60 * MINUTE_NS

steps = st.lists(
    st.tuples(
        st.dictionaries(st.integers(0, 30), st.integers(0, 10**9), max_size=12),
        st.sampled_from([1, MINUTE_NS, HOUR_NS, 7 * HOUR_NS, DAY_NS, 3 * DAY_NS]),
    ),
    max_size=60,
)


@given(steps, st.integers(1, 5), st.integers(2, 12))
def test_names_are_bounded_at_a_moment_and_in_any_day(
    taken: list[tuple[dict[int, int], int]], places: int, day_names: int
) -> None:
    forgotten: list[int] = []
    listing: Listing[int] = Listing(places, day_names, forgotten.append)
    now_ns = 0
    day: deque[tuple[int, set[int]]] = deque()
    for used, elapsed_ns in taken:
        now_ns += elapsed_ns
        listed = listing.update(used, now_ns)
        assert len(listed) <= places
        day.append((now_ns, listed))
        while now_ns - day[0][0] > DAY_NS:
            day.popleft()
        assert len(set.union(*(names for _, names in day))) <= day_names
        assert not set.union(*(names for at_ns, names in day if at_ns < now_ns), set()) & set(forgotten)
        forgotten.clear()


def test_a_name_stays_until_another_uses_clearly_more() -> None:
    listing: Listing[str] = Listing(1, 100, lambda _: None)
    assert listing.update({"a": 100, "b": 90}, 0) == {"a"}
    assert listing.update({"a": 100, "b": 120}, MINUTE_NS) == {"a"}
    assert listing.update({"a": 100, "b": 130}, 2 * MINUTE_NS) == {"b"}


def test_a_burst_of_names_leaves_places_for_a_notable_one() -> None:
    listing: Listing[str] = Listing(20, 100, lambda _: None)
    seen: set[str] = set()
    for number in range(1000):
        used = {f"{number}-{index}": 1000 for index in range(30)}
        seen |= listing.update(used, number * 10**9)
    assert len(seen) < 50
    assert "culprit" in listing.update({"culprit": 10**9}, 1001 * 10**9)


def test_a_name_that_returns_within_a_day_needs_no_new_series() -> None:
    listing: Listing[str] = Listing(1, 4, lambda _: None)
    for minute, name in enumerate(["a", "b", "c", "b", "a"]):
        listed = listing.update({name: 10 ** (2 + 2 * minute)}, minute * MINUTE_NS)
        assert listed == {"a" if minute in {0, 4} else "b"}


@pytest.mark.parametrize("seed", range(3))
def test_a_day_with_ten_thousand_names_has_at_most_a_thousand_series(seed: int) -> None:
    """One simulated host; ``python -m benchmarks.pushing --hosts 1000`` simulates a thousand."""
    random = Random(seed)  # noqa: S311  reproducible
    names, cgroups, processes = (
        Listing[str](places, day_names, lambda _: None) for places, day_names in listing_sizes(20)
    )
    per_name = 2
    seen: list[set[int]] = [set(), set(), set()]
    for minute in range(24 * 60):
        new = range(7 * minute, 7 * minute + 7)
        used = {name: round(random.lognormvariate(17, 2)) for name in [*new, *range(-30, 0)]}
        moment = 0
        for listing, of_day, series in zip((names, cgroups, processes), seen, (1, 1, per_name), strict=True):
            listed = listing.update({str(name): amount for name, amount in used.items()}, minute * MINUTE_NS)
            of_day |= {int(name) for name in listed}
            moment += series * len(listed)
        assert moment <= MAX_SERIES
    assert len(seen[0]) > 100
    assert len(seen[0]) + len(seen[1]) + per_name * len(seen[2]) + 20 <= MAX_DAY_SERIES
    assert 2 * MAX_TOP + 20 + 20 <= MAX_SERIES
