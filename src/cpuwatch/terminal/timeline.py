"""The moment that is shown, and the way through time: reads a store of snapshots, wherever they are."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from msgspec import Struct

from cpuwatch.history import SnapshotStore
from cpuwatch.model import Snapshot
from cpuwatch.terminal.model.process_past import ProcessTick
from cpuwatch.terminal.model.rows import FADING_TICKS, Moment
from cpuwatch.tick_id import TickId

__all__ = ["Timeline"]

_MAX_TICKS = 600
_LOADED_TICKS = 150
_LOADED_ROWS = 200_000
"""Limits how many ticks of one process are looked up at once."""
_INSTANT = timedelta(microseconds=1)


class _ProcessPast(Struct, frozen=True):
    key: str
    time: datetime
    ticks: list[ProcessTick]


class Timeline:
    """The shown moment of a store. It follows the newest snapshot until it is frozen."""

    def __init__(self, store: SnapshotStore) -> None:
        self._store = store
        self._past: deque[tuple[TickId, float | None]] = deque(maxlen=_MAX_TICKS)
        self._newest: Snapshot | None = None
        self._process_past: _ProcessPast | None = None
        self._totals: dict[TickId, Mapping[str, float]] = {}
        self.moment: Moment | None = None
        self.is_frozen = False

    @property
    def past(self) -> Sequence[float | None]:
        """The machine's use in the ticks around the shown one, the oldest first."""
        return [percent for _, percent in self._past]

    @property
    def shown(self) -> int:
        """The index of the shown tick in :attr:`past`."""
        if self.moment is not None and self.is_frozen:
            wanted = TickId.of(self.moment.snapshot)
            for index, (tick, _) in enumerate(self._past):
                if tick == wanted:
                    return index
        return len(self._past) - 1

    def follow(self) -> bool:
        """Take in the snapshots that are new. Returns whether there were any."""
        latest = self._store.latest
        if latest is None or (self._newest is not None and TickId.of(latest) == TickId.of(self._newest)):
            return False
        new = self._last_ticks() if self._newest is None else self._store.after(TickId.of(self._newest))
        last: deque[Snapshot] = deque(maxlen=FADING_TICKS + 1)
        for snapshot in new:
            self._past.append((TickId.of(snapshot), snapshot.machine.cpu_percent))
            last.append(snapshot)
        if last:
            self._newest = last[-1]
            if not self.is_frozen:
                self.moment = _moment(last, self.moment)
        return bool(last)

    def freeze(self) -> None:
        """Stop at the shown moment."""
        self.is_frozen = self.moment is not None

    def go_live(self) -> None:
        """Show the newest moment, and follow it from now on."""
        self.is_frozen = False
        if self._newest is not None:
            self._show(self._newest)

    def step(self, ticks: int) -> None:
        """Go back (negative) or forward. A step beyond the newest snapshot goes live."""
        self.freeze()
        if self.moment is None:
            return
        snapshot: Snapshot | None = self.moment.snapshot
        if ticks < 0:
            snapshot = self._before(self.moment.snapshot, -ticks)
        else:
            later = self._store.after(TickId.of(self.moment.snapshot))
            for _ in range(ticks):
                snapshot = next(later, None)
                if snapshot is None:
                    self.go_live()
                    return
        if snapshot is not None:
            self._show(snapshot)

    def go_to_oldest(self) -> None:
        """Go to the first snapshot of the store."""
        self.freeze()
        oldest = next(iter(self._store), None)
        if oldest is not None:
            self._show(oldest)

    def past_of(self, key: str) -> list[ProcessTick]:
        """A process in the last minutes before the shown moment."""
        if self.moment is None:
            return []
        shown = self.moment.snapshot
        known = self._process_past
        if known is not None and known.key == key and known.time == shown.time:
            return known.ticks
        begin = shown.time - self._span(min(_LOADED_TICKS, max(1, _LOADED_ROWS // max(1, len(shown.processes)))))
        ticks: list[ProcessTick] = []
        if known is not None and known.key == key and begin <= known.time < shown.time:
            begin, ticks = known.time, known.ticks
        ticks = [*ticks, *(ProcessTick.of(snapshot, key) for snapshot in self._store.between(begin, shown.time))]
        self._process_past = _ProcessPast(key, shown.time, ticks[-_LOADED_TICKS:])
        return self._process_past.ticks

    def totals(self, ticks: int) -> list[Mapping[str, float]]:
        """The total of each process that ran, by key, in each of the last ticks up to the shown one."""
        if self.moment is None:
            return []
        shown = self.moment.snapshot
        if next(reversed(self._totals), None) != TickId.of(shown):
            recent = [*self._store.between(shown.time - self._span(ticks), shown.time)][-ticks:] or [shown]
            ids = map(TickId.of, recent)
            self._totals = {
                tick: self._totals.get(tick) or _totals(each) for tick, each in zip(ids, recent, strict=True)
            }
        return list(self._totals.values())

    def _before(self, snapshot: Snapshot, ticks: int) -> Snapshot | None:
        """The snapshot this many ticks before; the oldest if there are fewer."""
        for _ in range(ticks):
            earlier = self._store.at(snapshot.time - _INSTANT)
            if earlier is None:
                break
            snapshot = earlier
        return snapshot

    def _last_ticks(self) -> Iterable[Snapshot]:
        latest = self._store.latest
        return () if latest is None else self._store.last(latest.interval_seconds * _LOADED_TICKS)

    def _show(self, snapshot: Snapshot) -> None:
        before = self._store.between(snapshot.time - self._span(FADING_TICKS, snapshot), snapshot.time)
        self.moment = _moment([*before] or [snapshot], None)
        if all(tick != TickId.of(snapshot) for tick, _ in self._past):
            span = self._span(_LOADED_TICKS, snapshot)
            self._past.clear()
            for other in self._store.between(snapshot.time - span, snapshot.time + span):
                self._past.append((TickId.of(other), other.machine.cpu_percent))

    def _span(self, ticks: int, snapshot: Snapshot | None = None) -> timedelta:
        shown = snapshot or (self.moment.snapshot if self.moment is not None else None)
        return timedelta(seconds=ticks * (1.0 if shown is None else shown.interval_seconds) + 0.5)


def _totals(snapshot: Snapshot) -> dict[str, float]:
    return {row.key: row.total_percent for row in snapshot.processes if row.total_percent}


def _moment(snapshots: Iterable[Snapshot], before: Moment | None) -> Moment | None:
    for snapshot in snapshots:
        before = Moment.of(snapshot, before)
    return before
