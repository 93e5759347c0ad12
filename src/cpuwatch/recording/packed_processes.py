"""The processes of a slot as columns. Pure.

A ranking of days adds up tens of thousands of processes and shows a few of them. So keys are made only when they are
read.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import compress
from operator import attrgetter
from typing import cast

from msgspec import Struct

from cpuwatch.recording.columns import Column, coded, growths, packed, sums_of, unpacked
from cpuwatch.recording.identities import key_number
from cpuwatch.recording.sums import Amount, Key, ProcessId, ProcessKey

__all__ = ["PackedProcesses", "ProcessColumns", "ProcessTable", "pack_processes"]

_STARTED, _ENDED = 1, 2
_TEXTS = ("boot_id", "name", "user", "cgroup")


class ProcessColumns(Struct, frozen=True, array_like=True, gc=False):
    """Processes, by ascending PID.

    ``key_numbers`` are those of keys that are the PID, ``-`` and a number; others are in ``keys``, by index. ``texts``
    has all other texts, of which the columns contain the indexes. ``lives`` are 1 for processes that started in the
    segment, plus 2 for those that ended in it.
    """

    pids: Column
    key_numbers: Column
    boot_ids: Column
    names: Column
    users: Column
    cgroups: Column
    lives: Column
    keys: list[tuple[int, str]]
    texts: list[str | None]


def pack_processes(
    keys: Iterable[Key], started: set[ProcessId], ended: set[ProcessId]
) -> tuple[ProcessColumns, dict[Key, int]]:
    """These processes as columns, and the place of each in them."""
    processes = sorted((key for key in keys if isinstance(key, ProcessKey)), key=attrgetter("pid", "key"))
    numbers = [key_number(key.pid, key.key) for key in processes]
    ids = [(key.boot_id, key.key) for key in processes]
    codes, texts = coded([text for name in _TEXTS for text in map(attrgetter(name), processes)])
    boot_ids, names, users, cgroups = (
        packed(codes[place * len(processes) : (place + 1) * len(processes)]) for place in range(len(_TEXTS))
    )
    columns = ProcessColumns(
        packed(growths([key.pid for key in processes])),
        packed([number or 0 for number in numbers]),
        boot_ids,
        names,
        users,
        cgroups,
        packed([_STARTED * (one in started) + _ENDED * (one in ended) for one in ids]),
        [(place, key.key) for place, key in enumerate(processes) if numbers[place] is None],
        texts,
    )
    return columns, {key: place for place, key in enumerate(processes)}


class ProcessTable:
    """Reads columns of processes. Raises ``ValueError`` or ``IndexError`` if they do not match."""

    def __init__(self, columns: ProcessColumns) -> None:
        self._pids = sums_of(unpacked(columns.pids))
        self._columns = columns
        boot_ids, names = self._texts(columns.boot_ids), self._texts(columns.names)
        self._other_texts = names, self._texts(columns.users), self._texts(columns.cgroups)
        if None in boot_ids or None in names:
            raise ValueError("a process has no boot or no name")
        keys = list(map("{}-{}".format, self._pids, unpacked(columns.key_numbers)))
        for place, key in columns.keys:
            keys[place] = key
        self.ids: list[ProcessId] = list(zip(cast("list[str]", boot_ids), keys, strict=True))

    def _texts(self, column: Column) -> list[str | None]:
        return list(map(self._columns.texts.__getitem__, unpacked(column)))

    @cached_property
    def keys(self) -> list[ProcessKey]:
        """The processes."""
        return list(map(self.key, range(len(self.ids))))

    def key(self, place: int) -> ProcessKey:
        """The process at this place."""
        boot_id, key = self.ids[place]
        name, user, cgroup = (texts[place] for texts in self._other_texts)
        return ProcessKey(boot_id, key, self._pids[place], name or "", user, cgroup)

    def lived(self) -> tuple[set[ProcessId], set[ProcessId]]:
        """The processes that started, and those that ended."""
        lives = unpacked(self._columns.lives)
        started, ended = (set(compress(self.ids, [life & flag for life in lives])) for flag in (_STARTED, _ENDED))
        return started, ended


class PackedProcesses(Mapping[Key, Amount]):
    """The amounts of all processes of a table in one slot: in the order of ``ids``, as lists."""

    def __init__(
        self, table: ProcessTable, own_ns: Sequence[int], exited_ns: Sequence[int], peaks: Sequence[int]
    ) -> None:
        self.table = table
        self.own_ns = own_ns
        self.exited_ns = exited_ns
        self.peaks = peaks

    @cached_property
    def _amounts(self) -> dict[Key, Amount]:
        amounts = map(Amount, self.own_ns, self.exited_ns, self.peaks)
        return dict(zip(self.table.keys, amounts, strict=True))

    def __getitem__(self, key: Key) -> Amount:
        return self._amounts[key]

    def __iter__(self) -> Iterator[Key]:
        return iter(self._amounts)

    def __len__(self) -> int:
        return len(self.own_ns)
