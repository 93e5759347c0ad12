"""Which names have a series in the totals: few at any moment, and few over a day. Pure.

A series costs a time series database memory and index, whether it lives for a minute or a year. A limit on the names
that are listed at once is therefore not enough: ten thousand names that come and go make ten thousand series.

A name enters the list if it has used more CPU time than the lowest listed name, which leaves. CPU time counts less the
older it is, so that what happens today is seen after months of running. Each entry takes one of a number of admissions,
which are refilled slowly. The fewer are left, the more CPU time a name needs to enter: twice that of the lowest name
when half of them are left. Rejected: Space-Saving (Metwally, Agrawal, El Abbadi, "Efficient Computation of Frequent and
Top-k Elements in Data Streams", 2005), where every new name replaces another one.
"""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from heapq import nlargest
from math import log2

from msgspec import Struct
from msgspec.structs import replace

__all__ = ["DEFAULT_NAMES", "ListPolicy", "Listing", "delisted", "empty_listing", "list_policy", "relist"]

DEFAULT_NAMES = 25

_DAY_SECONDS = 86_400
_MAX_RANKED = 2_000


class ListPolicy(Struct, frozen=True, gc=False):
    """At most ``names`` are listed. At most ``burst`` plus ``admissions_per_day`` enter the list in a day.

    CPU time counts half as much ``half_life_seconds`` later.
    """

    names: int
    burst: float
    admissions_per_day: float
    half_life_seconds: float


def list_policy(names: int) -> ListPolicy:
    """The policy for a list of this length: over a day, at most 14 times as many names."""
    return ListPolicy(names, burst=4.0 * names, admissions_per_day=10.0 * names, half_life_seconds=3600.0)


class Listing(Struct, frozen=True, gc=False):
    """The listed names, the rank of each known name, and the admissions left, ``elapsed_seconds`` after the beginning.

    A rank is the binary logarithm of the decayed CPU seconds plus the half-lives since the beginning. The second part
    makes ranks of different times comparable, so they need no update while a name is idle (Cormode et al., "Forward
    Decay", 2009), and the logarithm never overflows.
    """

    policy: ListPolicy
    listed: AbstractSet[str]
    ranks: Mapping[str, float]
    admissions: float
    elapsed_seconds: float = 0.0


def empty_listing(policy: ListPolicy) -> Listing:
    """No names, and all admissions of the burst."""
    return Listing(policy, frozenset(), {}, policy.burst)


def relist(listing: Listing, used: Mapping[str, float], interval_seconds: float) -> Listing:
    """The listing after an interval in which the names used these CPU seconds."""
    policy = listing.policy
    elapsed_seconds = listing.elapsed_seconds + interval_seconds
    half_lives = elapsed_seconds / policy.half_life_seconds
    ranks = dict(listing.ranks)
    for name, seconds in used.items():
        rank = half_lives + log2(seconds)
        ranks[name] = _sum(ranks[name], rank) if name in ranks else rank
    listed = set(listing.listed)
    refilled = listing.admissions + policy.admissions_per_day * interval_seconds / _DAY_SECONDS
    admissions = min(policy.burst, refilled)
    for name in sorted(used.keys() - listed, key=ranks.__getitem__, reverse=True):
        if admissions < 1:
            break
        if len(listed) >= policy.names:
            lowest = min(listed, key=ranks.__getitem__)
            if ranks[name] + log2(admissions / policy.burst) <= ranks[lowest]:
                break
            listed.remove(lowest)
        listed.add(name)
        admissions -= 1
    if len(ranks) > _MAX_RANKED:
        unlisted = nlargest(_MAX_RANKED // 2, ranks.keys() - listed, key=ranks.__getitem__)
        ranks = {name: ranks[name] for name in (*listed, *unlisted)}
    return Listing(policy, listed, ranks, admissions, elapsed_seconds)


def delisted(listing: Listing, names: AbstractSet[str]) -> Listing:
    """The listing without these names, which cannot be used any more. Their admissions stay taken."""
    ranks = {name: rank for name, rank in listing.ranks.items() if name not in names}
    return replace(listing, listed=listing.listed - names, ranks=ranks)


def _sum(one: float, other: float) -> float:
    """The binary logarithm of a sum, given those of its parts."""
    return max(one, other) + log2(1 + 2 ** -abs(one - other))
