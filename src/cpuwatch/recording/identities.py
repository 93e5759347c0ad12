"""Identities of processes as columns. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from cpuwatch.model import PidNamespace
from cpuwatch.recording.clock_time import time_of, time_us
from cpuwatch.recording.columns import Column, coded, growths, packed, sums_of, unpacked
from cpuwatch.recording.records import Identity

__all__ = ["IdentityColumns", "key_number", "pack_identities", "unpack_identities"]

_NONE = -1
"""Stands for ``None`` in columns of numbers that are not negative."""

_SAME = -1
"""Stands for the text of another column."""


class IdentityColumns(Struct, frozen=True, array_like=True, gc=False):
    """Identities of processes.

    ``start_times_us`` and ``first_seen_us`` are relative to ``start_ns`` and to ``start_times_us``. A key that is the
    PID, ``-`` and a number is that number in ``key_numbers``, less the start in hundredths of a second, as samplers for
    Linux make it; others are in ``keys``, by index. Texts, namespaces and user IDs are indexes in tables.
    ``cpu_cgroups`` are indexes in ``texts``, or -1 for the same as in ``cgroups``; it is empty in older recordings.
    """

    pids: Column
    start_ns: Column
    start_times_us: Column
    first_seen_us: Column
    ppids: Column
    key_numbers: Column
    keys: list[tuple[int, str]]
    names: Column
    users: Column
    cgroups: Column
    command_lines: Column
    namespaces: Column
    user_ids: Column
    has_children_time: Column
    texts: list[str | None]
    namespace_table: list[PidNamespace | None]
    user_id_table: list[int | None]
    cpu_cgroups: Column = Column(0, 0, 0, b"")


def pack_identities(identities: Sequence[Identity]) -> IdentityColumns:
    """The identities as columns."""
    count = len(identities)
    start_ns = [identity.start_ns for identity in identities]
    start_times_us = [time_us(identity.start_time) for identity in identities]
    key_numbers = [_relative_key_number(identity) for identity in identities]
    # One table for all kinds of text: the unit, the user and the program often have the same name.
    codes, texts = coded(
        [identity.name for identity in identities]
        + [identity.user for identity in identities]
        + [identity.cgroup for identity in identities]
        + [identity.command_line for identity in identities]
        + [None if isinstance(identity.cpu_cgroup, bool) else identity.cpu_cgroup for identity in identities]
    )
    namespaces, namespace_table = coded([identity.pid_namespace for identity in identities])
    user_ids, user_id_table = coded([identity.user_id for identity in identities])
    return IdentityColumns(
        pids=packed(growths([identity.pid for identity in identities])),
        start_ns=packed(start_ns),
        start_times_us=packed([time - start // 1000 for time, start in zip(start_times_us, start_ns, strict=True)]),
        first_seen_us=packed(
            [time_us(identity.first_seen) - time for identity, time in zip(identities, start_times_us, strict=True)]
        ),
        ppids=packed([_NONE if identity.ppid is None else identity.ppid for identity in identities]),
        key_numbers=packed([0 if number is None else number for number in key_numbers]),
        keys=[(place, identities[place].key) for place, number in enumerate(key_numbers) if number is None],
        names=packed(codes[:count]),
        users=packed(codes[count : 2 * count]),
        cgroups=packed(codes[2 * count : 3 * count]),
        command_lines=packed(codes[3 * count : 4 * count]),
        namespaces=packed(namespaces),
        user_ids=packed(user_ids),
        has_children_time=packed([int(identity.has_children_time) for identity in identities]),
        texts=texts,
        namespace_table=namespace_table,
        user_id_table=user_id_table,
        cpu_cgroups=packed(
            [
                _SAME if isinstance(identity.cpu_cgroup, bool) else code
                for identity, code in zip(identities, codes[4 * count :], strict=True)
            ]
        ),
    )


def unpack_identities(columns: IdentityColumns) -> list[Identity]:
    """The identities in these columns. Raises ``ValueError`` or ``IndexError`` if they do not match."""
    keys = dict(columns.keys)
    start_ns = unpacked(columns.start_ns)
    start_times_us = [
        offset + start // 1000 for offset, start in zip(unpacked(columns.start_times_us), start_ns, strict=True)
    ]
    texts, namespaces, user_ids = columns.texts, columns.namespace_table, columns.user_id_table
    pids = sums_of(unpacked(columns.pids))
    rows = zip(
        pids,
        start_ns,
        start_times_us,
        unpacked(columns.first_seen_us),
        unpacked(columns.ppids),
        unpacked(columns.key_numbers),
        unpacked(columns.names),
        unpacked(columns.users),
        unpacked(columns.cgroups),
        unpacked(columns.command_lines),
        unpacked(columns.namespaces),
        unpacked(columns.user_ids),
        unpacked(columns.has_children_time),
        _cpu_cgroups(columns, len(pids)),
        strict=True,
    )
    identities = []
    for place, row in enumerate(rows):
        (
            pid,
            start,
            start_us,
            seen_us,
            ppid,
            number,
            name,
            user,
            cgroup,
            command_line,
            namespace,
            user_id,
            children,
            cpu_cgroup,
        ) = row
        text = texts[name]
        if text is None:
            raise ValueError(f"process {pid} has no name")
        identities.append(
            Identity(
                pid,
                keys[place] if place in keys else f"{pid}-{number + start // _HUNDREDTH_NS}",
                start,
                time_of(start_us),
                time_of(start_us + seen_us),
                None if ppid == _NONE else ppid,
                text,
                texts[user],
                texts[cgroup],
                texts[command_line],
                namespaces[namespace],
                user_ids[user_id],
                has_children_time=bool(children),
                cpu_cgroup=cpu_cgroup,
            )
        )
    return identities


def _cpu_cgroups(columns: IdentityColumns, count: int) -> Sequence[str | bool | None]:
    codes = unpacked(columns.cpu_cgroups)
    if not codes:
        return [None] * count
    return [True if code == _SAME else columns.texts[code] for code in codes]


_HUNDREDTH_NS = 10_000_000
_MAX_KEY_DIGITS = 19
"""Numbers below 10**18 fit in a column, also as differences."""


def key_number(pid: int, key: str) -> int | None:
    """The number in a key of the form that samplers for Linux make, PID and ticks; None for any other key."""
    prefix, _, text = key.partition("-")
    if prefix != str(pid) or not (len(text) < _MAX_KEY_DIGITS and text.isascii() and text.isdecimal()):
        return None
    return int(text) if text == str(int(text)) else None


def _relative_key_number(identity: Identity) -> int | None:
    number = key_number(identity.pid, identity.key)
    return None if number is None else number - identity.start_ns // _HUNDREDTH_NS
