"""Which names get a series each: the busiest, and a bounded number over a day. Pure.

A store keeps every series that ever had a sample, so names that come and go cost it more than names that stay. Three
rules bound them:

- At most ``places`` names are listed at a time. A listed name stays until another one uses clearly more
  (:data:`_ADVANTAGE`) than it did lately, so two names of similar use do not alternate.
- At most ``day_names`` names are listed in any 24 hours. A name that was listed can return at any time: its series
  exists.
- New names spend credit that comes back over a day. Below half of it they must use a notable part of the busy time.
  Otherwise the names of one burst, such as a build, would use up the day, and a later culprit would have no series.

Rejected: Space-Saving, as in :mod:`cpuwatch.accounting.totals`. It finds the names with the largest totals, but lists
every new name at least once.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from heapq import nlargest
from typing import Generic, TypeVar

__all__ = ["DAY_NS", "Listing"]

DAY_NS = 86_400 * 10**9
_ADVANTAGE = 1.25
_HALF_LIFE_NS = 60 * 10**9
_NOTABLE_SHARE = 0.05

_Name = TypeVar("_Name", bound=Hashable)


class Listing(Generic[_Name]):
    """The listed names, and those that were listed in the last 24 hours.

    ``places`` is how many are listed at a time, ``day_names`` how many in any 24 hours. ``forget`` is called with each
    name that was not listed for 24 hours.
    """

    def __init__(self, places: int, day_names: int, forget: Callable[[_Name], object]) -> None:
        self._places = places
        self._day_names = day_names
        self._forget = forget
        self._credit = self._max_credit = day_names / 2
        self._lately: dict[_Name, float] = {}
        self._listed_at: dict[_Name, int] = {}
        self._now_ns: int | None = None

    def update(self, used: Mapping[_Name, int], now_ns: int) -> set[_Name]:
        """The names that are listed for the interval that ends at ``now_ns`` (monotonic), in which they used this."""
        elapsed_ns = 0 if self._now_ns is None else now_ns - self._now_ns
        self._now_ns = now_ns
        self._credit = min(self._max_credit, self._credit + self._day_names / 2 * elapsed_ns / DAY_NS)
        self._expire(now_ns)
        kept = 0.5 ** (elapsed_ns / _HALF_LIFE_NS)
        lately = self._lately
        for name, amount in lately.items():
            lately[name] = kept * amount + (1 - kept) * used.get(name, 0)
        self._list_busiest(used)
        for name in lately:
            self._listed_at[name] = now_ns
        return set(lately)

    def end(self, name: _Name) -> None:
        """Free the place of a name that cannot be used any more."""
        self._lately.pop(name, None)

    @property
    def listed(self) -> set[_Name]:
        """The names that are listed now."""
        return set(self._lately)

    def _list_busiest(self, used: Mapping[_Name, int]) -> None:
        lately = self._lately
        notable_ns = _NOTABLE_SHARE * sum(used.values())
        unlisted = ((amount, name) for name, amount in used.items() if name not in lately and amount)
        for amount, name in nlargest(self._places, unlisted, key=lambda pair: pair[0]):
            weakest = None
            if len(lately) >= self._places:
                weakest = min(lately, key=lately.__getitem__)
                if amount <= _ADVANTAGE * lately[weakest]:
                    return
            if self._may_list(name, is_notable=amount >= notable_ns):
                if weakest is not None:
                    del lately[weakest]
                lately[name] = amount

    def _may_list(self, name: _Name, *, is_notable: bool) -> bool:
        if name in self._listed_at:
            return True
        needed = 1.0 if is_notable else self._max_credit / 2
        if len(self._listed_at) >= self._day_names or self._credit < max(1.0, needed):
            return False
        self._credit -= 1
        # It counts at once: the next name of this interval must find the place taken.
        self._listed_at[name] = self._now_ns or 0
        return True

    def _expire(self, now_ns: int) -> None:
        for name in [name for name, at_ns in self._listed_at.items() if now_ns - at_ns > DAY_NS]:
            if name not in self._lately:
                del self._listed_at[name]
                self._forget(name)
