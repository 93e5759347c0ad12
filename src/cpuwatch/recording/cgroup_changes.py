"""What changed about cgroups from one tick to the next, and the cgroups after such changes. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import compress, count
from operator import attrgetter, is_not

from msgspec import Struct

from cpuwatch.model import CgroupTimes
from cpuwatch.recording.records import CGROUP_COUNTERS, CgroupChanges, CgroupIdentity
from cpuwatch.text import text_without_surrogates

__all__ = ["cgroup_changes", "cgroups_after"]

_fixed = attrgetter("quota_ns", "period_ns", "cpus", "name")
_counters = attrgetter(*CGROUP_COUNTERS)

_NOTHING = CgroupTimes()
"""That from which the counters of a new cgroup have grown."""


def cgroup_changes(earlier: Mapping[str, CgroupTimes], later: Mapping[str, CgroupTimes]) -> CgroupChanges | None:
    """What changed; None if nothing did."""
    paths = _in_order(later)
    times = list(map(later.__getitem__, paths))
    growths: list[dict[int, int]] = [{} for _ in CGROUP_COUNTERS]
    identities: list[CgroupIdentity] = []
    # Most cgroups are the identical records in both readings.
    for place in compress(count(), map(is_not, times, map(earlier.get, paths))):
        path, now = paths[place], times[place]
        before = earlier.get(path, _NOTHING)
        values, old_values = _counters(now), _counters(before)
        if before is _NOTHING or _fixed(now) != _fixed(before) or _known(values) != _known(old_values):
            identities.append(_identity(path, now))
        for grown, value, old_value in zip(growths, values, old_values, strict=True):
            if value != old_value and (growth := (value or 0) - (old_value or 0)):
                grown[place] = growth
    removed = sorted(earlier.keys() - later.keys())
    if not (removed or identities or any(growths)):
        return None
    return CgroupChanges(removed, identities, growths)


class _Draft(Struct, gc=False):
    """A cgroup while changes are applied to it."""

    identity: CgroupIdentity
    counters: list[int]


def cgroups_after(cgroups: Mapping[str, CgroupTimes], changes: Iterable[CgroupChanges]) -> dict[str, CgroupTimes]:
    """The cgroups after these changes, one after the other.

    Raises ``LookupError`` or ``ValueError`` for changes that do not fit.
    """
    after = dict(cgroups)
    drafts: dict[str, _Draft] = {}
    paths = _in_order(after)
    for change in changes:
        for path in change.removed:
            del after[path]
            drafts.pop(path, None)
        for identity in change.identities:
            known = after.setdefault(identity.path, _NOTHING)
            _draft(drafts, identity.path, known).identity = identity
        if change.removed or change.identities:
            paths = _in_order(after)
        for kind, (_, grown) in enumerate(zip(CGROUP_COUNTERS, change.growths, strict=True)):
            for place, growth in grown.items():
                if place < 0:
                    raise ValueError(f"a cgroup at place {place}")
                path = paths[place]
                _draft(drafts, path, after[path]).counters[kind] += growth
    after |= {path: _times(draft) for path, draft in drafts.items()}
    return after


def _in_order(paths: Iterable[str]) -> list[str]:
    # Places are relative to the order of the paths in the recording, which has no surrogates.
    in_order = sorted(paths)
    return in_order if all(map(str.isascii, in_order)) else sorted(in_order, key=text_without_surrogates)


def _known(values: Sequence[int | None]) -> int:
    return sum(1 << bit for bit, value in enumerate(values) if value is not None)


def _identity(path: str, times: CgroupTimes) -> CgroupIdentity:
    return CgroupIdentity(path, times.quota_ns, times.period_ns, times.cpus, times.name, known=_known(_counters(times)))


def _draft(drafts: dict[str, _Draft], path: str, times: CgroupTimes) -> _Draft:
    draft = drafts.get(path)
    if draft is None:
        draft = drafts[path] = _Draft(_identity(path, times), [value or 0 for value in _counters(times)])
    return draft


def _times(draft: _Draft) -> CgroupTimes:
    identity = draft.identity
    periods, throttled_periods, throttled_ns, pressure_ns = (
        value if identity.known >> bit & 1 else None for bit, value in enumerate(draft.counters)
    )
    return CgroupTimes(
        quota_ns=identity.quota_ns,
        period_ns=identity.period_ns,
        periods=periods,
        throttled_periods=throttled_periods,
        throttled_ns=throttled_ns,
        cpus=identity.cpus,
        pressure_ns=pressure_ns,
        name=identity.name,
    )
