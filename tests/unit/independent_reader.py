"""A reader of recordings that was written from docs/recording-format.md only. It imports nothing from cpuwatch."""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path
from typing import Any

import msgpack
import zstandard

MARK = b"\xc9cpw"
HEAD = struct.Struct("<4sIBI")
HEADER, KEY, TICK, KEY_TICK, TICKS, SUMS = range(1, 7)
CPU_KINDS = ("user", "system", "idle", "iowait", "irq", "steal")
TICK_FIELDS = [
    "number",
    "sequence",
    "time_us",
    "monotonic_ns",
    "uptime_ns",
    "sweep_ns",
    "lateness_ns",
    "missed_ticks",
    "failed_ticks",
    "cpus",
    "context",
    "load_average",
    "order",
    "removed",
    "identities",
    "pids",
    "cpu_ns",
    "user_ns",
    "system_ns",
    "children_ns",
    "statuses",
    "exits",
    "excess_ns",
    "wait_ns",
    "pressure_ns",
    "cgroups",
]
IDENTITY_FIELDS = [
    "pid",
    "key",
    "start_ns",
    "start_us",
    "first_seen_us",
    "ppid",
    "name",
    "user",
    "cgroup",
    "command_line",
    "pid_namespace",
    "user_id",
    "has_children_time",
    "cpu_cgroup",
]
CGROUP_FIELDS = ["quota_ns", "period_ns", "cpus", "name", "known"]
CGROUP_COUNTERS = ["periods", "throttled_periods", "throttled_ns", "pressure_ns"]

Fields = dict[str, Any]


def unpack(data: bytes) -> Any:
    return msgpack.unpackb(data, timestamp=0, strict_map_key=False)


def decompress(data: bytes) -> Any:
    return unpack(zstandard.ZstdDecompressor().decompress(data))


def frames(data: bytes) -> Iterator[tuple[int, bytes]]:
    """The kind and payload of each intact frame."""
    offset = data.find(MARK)
    while offset >= 0:
        end = offset
        if offset + HEAD.size <= len(data):
            _, checksum, kind, length = HEAD.unpack_from(data, offset)
            end = offset + HEAD.size + length
            if end <= len(data) and zlib.crc32(data[offset + 8 : end]) == checksum:
                yield kind, data[offset + HEAD.size : end]
            else:
                end = offset
        offset = data.find(MARK, max(end, offset + 1))


def column(packed: Any) -> list[int]:
    count, minimum, scale, data = packed
    if count > 1_048_576:
        raise ValueError("too many values")
    width = len(data) // count if count else 0
    return [
        minimum + scale * sum(data[place * count + index] << 8 * place for place in range(width))
        for index in range(count)
    ]


def growing(packed: Any) -> list[int]:
    return list(accumulate(column(packed)))


def by_tick(counts: Any, values: list[Any]) -> list[list[Any]]:
    rest = iter(values)
    return [[next(rest) for _ in range(count)] for count in column(counts)]


def log_tick(record: list[Any]) -> Fields:
    tick: Fields = {**dict.fromkeys(TICK_FIELDS), **dict(zip(TICK_FIELDS, record, strict=False))}
    tick["identities"] = [
        {"cpu_cgroup": None, **dict(zip(IDENTITY_FIELDS, one, strict=False))} for one in tick["identities"]
    ]
    for identity in tick["identities"]:
        for name in ("start_us", "first_seen_us"):
            stamp = identity[name]
            identity[name] = stamp.seconds * 1_000_000 + stamp.nanoseconds // 1000
    return tick


def block_identities(columns: list[Any]) -> list[Fields]:
    texts, namespaces, user_ids = columns[14:17]
    other_keys = dict(map(tuple, columns[6]))
    numbers = [growing(columns[0])] + [column(one) for one in columns[1:6] + columns[7:14]]
    cpu_cgroups = column(columns[17]) if len(columns) > 17 else []
    identities = []
    for index, row in enumerate(zip(*numbers, strict=True)):
        pid, start_ns, start_us, seen_us, ppid, key, name, user, cgroup, command, namespace, user_id, children = row
        start_us += start_ns // 1000
        values = (
            pid,
            other_keys.get(index, f"{pid}-{key + start_ns // 10_000_000}"),
            start_ns,
            start_us,
            start_us + seen_us,
            None if ppid == -1 else ppid,
            texts[name],
            texts[user],
            texts[cgroup],
            texts[command],
            namespaces[namespace],
            user_ids[user_id],
            bool(children),
            (True if cpu_cgroups[index] == -1 else texts[cpu_cgroups[index]]) if cpu_cgroups else None,
        )
        identities.append(dict(zip(IDENTITY_FIELDS, values, strict=True)))
    return identities


def block_cpus(parts: list[Any], contexts: Fields, count: int) -> list[list[int]]:
    begins: list[int] = sorted({0, *map(int, contexts), count}) if count else []
    found = []
    for part, begin, end in zip(parts, begins, begins[1:], strict=False):
        values, ticks = column(part), end - begin
        found += [values[tick::ticks] for tick in range(ticks)]
    return found


def partly_known(record: list[Any], place: int, count: int) -> list[int | None]:
    if len(record) <= place or not record[place]:
        return [None] * count
    values: list[int | None] = [*column(record[place][0])]
    for unknown in growing(record[place][1]):
        values[unknown] = None
    return values


def block_cgroups(record: list[Any], count: int) -> list[Any]:
    ticks: list[Any] = [None] * count
    if len(record) <= 25 or record[25] is None:
        return ticks
    removed, identities = (dict(map(tuple, record[25][place])) for place in range(2))
    growths: list[list[dict[int, int]]] = [[{}, {}, {}, {}] for _ in range(count)]
    for kind, (places, counts, gaps, values) in enumerate(record[25][2]):
        rest = zip(column(gaps), column(values), strict=True)
        for place, changes in zip(growing(places), column(counts), strict=True):
            tick = -1
            for _ in range(changes):
                gap, growth = next(rest)
                tick += gap
                growths[tick][kind][place] = growth
    return [(removed.get(tick, []), identities.get(tick, []), growths[tick]) for tick in range(count)]


def block_ticks(record: list[Any]) -> list[Fields]:
    sequences = growing(record[1])
    count = len(sequences)
    monotonic, uptime, wall = map(growing, record[2])
    per_tick = [column(record[3]), column(record[4]), growing(record[5]), growing(record[6])]
    contexts, loads, orders, excesses = (dict(map(tuple, record[place])) for place in range(8, 12))
    cpus = block_cpus(record[7], contexts, count)
    removed = by_tick(record[12][0], column(record[12][1]))
    identities = by_tick(record[13], block_identities(record[14]))
    rows: list[list[tuple[Any, ...]]] = [[] for _ in range(count)]
    gaps = iter(column(record[16]))
    details = zip(
        *map(column, record[17]), column(record[18]), partly_known(record, 23, len(column(record[16]))), strict=True
    )
    for pid, changes in zip(growing(record[15][0]), column(record[15][1]), strict=True):
        tick = -1
        for _ in range(changes):
            tick += next(gaps)
            *counters, status, wait = next(details)
            rows[tick].append((pid, *counters, record[19][status], wait))
    exits = [
        dict(zip(("pid", "parent_pid", "name", "user", "cpu_ns"), (pid, parent, *record[22][code], cpu), strict=True))
        for pid, parent, code, cpu in zip(growing(record[21][0]), *map(column, record[21][1:]), strict=True)
    ]
    pressures = partly_known(record, 24, count)
    cgroups = block_cgroups(record, count)
    exits_of = by_tick(record[20], exits)
    return [
        dict(
            zip(
                TICK_FIELDS,
                (
                    record[0] + tick,
                    sequences[tick],
                    wall[tick] + monotonic[tick] // 1000,
                    monotonic[tick],
                    uptime[tick] + monotonic[tick],
                    *(values[tick] for values in per_tick),
                    cpus[tick],
                    contexts.get(tick),
                    [loads[tick]] if tick in loads else None,
                    orders.get(tick),
                    removed[tick],
                    identities[tick],
                    *([row[place] for row in rows[tick]] for place in range(6)),
                    exits_of[tick],
                    excesses.get(tick),
                    [row[6] for row in rows[tick]],
                    pressures[tick],
                    cgroups[tick],
                ),
                strict=True,
            )
        )
        for tick in range(count)
    ]


@dataclass
class State:
    """The machine after a tick."""

    run: str
    tick: Fields
    context: Fields = field(default_factory=dict)
    cpus: list[int] = field(default_factory=list)
    load_average: list[float] | None = None
    pressure_ns: int | None = None
    processes: dict[int, Fields] = field(default_factory=dict)
    cgroups: dict[str, Fields] = field(default_factory=dict)
    excess_ns: dict[int, int] = field(default_factory=dict)

    def apply(self, tick: Fields) -> None:
        context = tick["context"]
        is_absolute = not self.cpus or (context is not None and context["cpus"] != self.context["cpus"])
        grown = tick["cpus"]
        self.cpus = grown if is_absolute else [now + more for now, more in zip(self.cpus, grown, strict=True)]
        if context is not None:
            self.context = context
        if tick["load_average"] is not None:
            (self.load_average,) = tick["load_average"]
        pressure = tick["pressure_ns"]
        is_growth = pressure is not None and self.pressure_ns is not None
        self.pressure_ns = self.pressure_ns + pressure if is_growth else pressure
        for pid in tick["removed"]:
            del self.processes[pid]
        identities = {identity["pid"]: identity for identity in tick["identities"]}
        names = ("cpu_ns", "user_ns", "system_ns", "children_ns")
        waits = tick["wait_ns"] or [None] * len(tick["pids"])
        lists = [tick[name] for name in (*names, "statuses")]
        for pid, *growths, status, wait in zip(tick["pids"], *lists, waits, strict=True):
            before = self.processes.get(pid, {**dict.fromkeys(names, 0), "wait_ns": None})
            after = {**before, **identities.get(pid, {}), "state": status[0], "threads": status[1]}
            after |= {name: before[name] + growth for name, growth in zip(names, growths, strict=True)}
            is_growth = wait is not None and before["wait_ns"] is not None
            after["wait_ns"] = before["wait_ns"] + wait if is_growth else wait
            self.processes[pid] = after
        if tick["cgroups"] is not None:
            self.apply_cgroups(*tick["cgroups"])
        if tick["excess_ns"] is not None:
            self.excess_ns = tick["excess_ns"]
        self.tick = tick

    def apply_cgroups(self, removed: list[str], identities: list[Any], growths: list[dict[int, int]]) -> None:
        for path in removed:
            del self.cgroups[path]
        for path, *values in identities:
            before = self.cgroups.get(path, dict.fromkeys(CGROUP_COUNTERS, 0))
            self.cgroups[path] = {**before, **dict(zip(CGROUP_FIELDS, values, strict=True))}
        paths = sorted(self.cgroups)
        for name, grown in zip(CGROUP_COUNTERS, growths, strict=True):
            for place, growth in grown.items():
                self.cgroups[paths[place]][name] += growth

    def known_cgroups(self) -> dict[str, Fields]:
        return {
            path: {
                **{name: cgroup[name] for name in CGROUP_FIELDS[:-1]},
                **{
                    name: cgroup[name] if cgroup["known"] & 1 << bit else None
                    for bit, name in enumerate(CGROUP_COUNTERS)
                },
            }
            for path, cgroup in self.cgroups.items()
        }

    def cpu_counters(self) -> dict[int, dict[str, int]]:
        values = iter(self.cpus)
        return {
            number: {kind: next(values) for bit, kind in enumerate(CPU_KINDS) if mask & 1 << bit}
            for number, mask in self.context["cpus"]
        }


def segment_states(data: bytes) -> Iterator[State]:
    """The state after each reading in a log or a block. It changes with the next one."""
    state: State | None = None
    for kind, payload in frames(data):
        if kind in {KEY, KEY_TICK}:
            run, content = unpack(payload)
            tick = log_tick(content) if kind == KEY else block_ticks(decompress(content))[0]
            if state is not None and (state.run, state.tick["number"]) == (run, tick["number"]):
                continue
            state = State(run, tick)
            state.apply(tick)
            yield state
        elif kind in {TICK, TICKS}:
            for tick in [log_tick(unpack(payload))] if kind == TICK else block_ticks(decompress(payload)):
                if state is not None and tick["number"] == state.tick["number"] + 1:
                    state.apply(tick)
                    yield state


def states(directory: Path) -> Iterator[State]:
    """The state after each reading of a recording. It changes with the next one."""
    names = sorted(path.name for path in directory.iterdir())
    for name in names:
        match = re.fullmatch(r"([0-9]{8})\.(log|block)", name, re.ASCII)
        if match and not (match[2] == "log" and f"{match[1]}.block" in names):
            yield from segment_states((directory / name).read_bytes())


def name_totals(path: Path) -> dict[str | None, tuple[int, int]]:
    """The CPU time by name over a whole segment, in units of 0.1 ms: of living and of exited processes."""
    (record,) = (decompress(payload) for kind, payload in frames(path.read_bytes()) if kind == SUMS)
    begin_us, _, _, tables = record[5][0]
    assert begin_us[0] <= 1
    counts, _, own, exited, _ = tables[1]
    amounts = iter(zip(column(own), column(exited), strict=True))
    return {name: next(amounts) for name, count in zip(record[1], column(counts), strict=True) if count}
