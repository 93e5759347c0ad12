from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cpuwatch.accounting.listed_names import (
    DEFAULT_NAMES,
    Listing,
    ListPolicy,
    delisted,
    empty_listing,
    list_policy,
    relist,
)

TICK_SECONDS = 10.0
DAY_TICKS = 8640


def after(*intervals: Mapping[str, float], policy: ListPolicy | None = None) -> Listing:
    listing = empty_listing(policy or list_policy(3))
    for used in intervals:
        listing = relist(listing, used, TICK_SECONDS)
    return listing


def test_a_name_is_listed_at_once_while_there_is_room() -> None:
    assert after({"a": 1e-9}, {"b": 1.0}).listed == {"a", "b"}


def test_a_busier_name_replaces_the_one_with_the_least_cpu_time() -> None:
    assert after({"a": 1.0, "b": 2.0, "c": 3.0}, {"d": 1.5}).listed == {"b", "c", "d"}


def test_a_name_with_less_cpu_time_is_not_listed_until_it_has_used_more() -> None:
    full = {"a": 1.0, "b": 2.0, "c": 3.0}
    assert after(full, {"d": 0.6}).listed == set(full)
    assert after(full, {"d": 0.6}, {"d": 0.6}, {"d": 0.6}).listed == {"b", "c", "d"}


def test_old_cpu_time_counts_less() -> None:
    full = {"a": 100.0, "b": 100.0, "c": 100.0}
    hours = [dict[str, float]()] * 3600
    assert "d" not in after(full, {"d": 1.0}).listed
    assert "d" in after(full, *hours, {"d": 1.0}).listed


def test_without_admissions_the_list_stays_as_it_is() -> None:
    policy = ListPolicy(2, burst=3.0, admissions_per_day=1.0, half_life_seconds=3600.0)
    names = [{f"n{number}": 10.0**number} for number in range(9)]
    assert after(*names, policy=policy).listed == {"n1", "n2"}


def test_admissions_are_refilled_up_to_the_burst() -> None:
    policy = ListPolicy(2, burst=3.0, admissions_per_day=8640.0, half_life_seconds=3600.0)
    spent = after({"a": 1.0, "b": 1.0}, policy=policy)
    assert spent.admissions == 1.0
    assert relist(spent, {}, 10.0).admissions == pytest.approx(2.0)
    assert relist(spent, {}, 1e6).admissions == 3.0


def test_of_ten_thousand_names_in_a_day_few_are_listed_and_a_longer_job_always_is() -> None:
    listing = empty_listing(list_policy(DEFAULT_NAMES))
    ever: set[str] = set()
    for tick in range(DAY_TICKS):
        used = {f"brief{tick}": 1.0, f"briefer{tick}": 0.1, "service": 0.5}
        if tick % 360 == 359:
            used[f"job{tick}"] = 3.0
        listing = relist(listing, used, TICK_SECONDS)
        assert len(listing.listed) <= DEFAULT_NAMES
        assert used.keys() & {"service", f"job{tick}"} <= listing.listed
        ever |= listing.listed
    assert len(ever) <= 350


@given(st.lists(st.dictionaries(st.sampled_from("abcdefgh"), st.floats(1e-300, 1e300)), max_size=20), st.integers(1, 5))
def test_any_cpu_times_are_ranked(intervals: list[dict[str, float]], names: int) -> None:
    listing = after(*intervals, policy=list_policy(names))
    assert len(listing.listed) <= names
    assert listing.listed <= {name for used in intervals for name in used}


def test_a_delisted_name_leaves_its_place_but_not_its_admission() -> None:
    full = after({"a": 1.0, "b": 2.0, "c": 3.0})
    without = delisted(full, {"b", "unknown"})
    assert without.listed == {"a", "c"}
    assert without.admissions == full.admissions
    assert relist(without, {"d": 1e-9}, TICK_SECONDS).listed == {"a", "c", "d"}


def test_the_memory_for_unlisted_names_is_limited() -> None:
    listing = after({f"n{number}": 1.0 + number for number in range(5000)})
    assert listing.listed == {"n4997", "n4998", "n4999"}
    assert len(listing.ranks) == 1003
    assert "n4000" in listing.ranks
