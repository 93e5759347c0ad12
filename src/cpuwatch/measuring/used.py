"""The CPU time that a command or a block of Python used, and how it is shown. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from msgspec import Struct

from cpuwatch.encoding.columns import aligned
from cpuwatch.measuring.descendants import Named

__all__ = ["HEADINGS", "GroupUsed", "graph", "group_cells", "group_rows", "groups_of", "seconds"]

_BARS = "▁▂▃▄▅▆▇█"
_ASCII_BARS = "_.:-=+*#"
HEADINGS = ("CPU s", "SHARE", "USER s", "SYS s", "ALIVE s", "EXITED s", "ALIVE", "EXITED", "PROGRAM")
_MAX_SCALE = 1.25
"""As in snapshots (:mod:`cpuwatch.accounting.exited`)."""
_UNNAMED = "(unnamed)"


class GroupUsed(Struct, frozen=True, gc=False):
    """What the processes of one group used: a program, a user or a cgroup.

    ``group`` is None for CPU time of exited processes that were not seen. ``alive_seconds`` was used by processes that
    still run, ``exited_seconds`` by those that have exited; together they are ``cpu_seconds``. ``alive`` and ``exited``
    count the processes that were seen. An unknown value is None.
    """

    group: str | None
    cpu_seconds: float
    share_percent: float | None
    user_seconds: float | None
    system_seconds: float | None
    alive_seconds: float
    exited_seconds: float
    alive: int | None
    exited: int | None


def groups_of(named: dict[str | None, Named], total_seconds: float) -> list[GroupUsed]:
    """The groups, busiest first. What was used beyond the named groups is the group None.

    Messages about exits are scaled to the rest of the total, which is exact: they count in ticks, and before the
    teardown of the address space. A larger rest stays unnamed.
    """
    known = [used for name, used in named.items() if name is not None]
    reported = sum(used.reported_ns for used in known) / 1e9
    rest = total_seconds - sum(used.cpu_ns - used.reported_ns for used in known) / 1e9
    scale = min(_MAX_SCALE, max(0.0, rest) / reported) if reported > 0 else 1.0
    rows = [
        _group(name, used, used.cpu_ns + (scale - 1) * used.reported_ns, total_seconds)
        for name, used in named.items()
        if name is not None and (used.cpu_ns or used.alive or used.exited)
    ]
    unnamed = total_seconds - sum(row.cpu_seconds for row in rows)
    if unnamed > 0:
        share = _share(unnamed, total_seconds)
        rows.append(GroupUsed(None, unnamed, share, None, None, 0.0, unnamed, None, None))
    return sorted(rows, key=lambda row: (-row.cpu_seconds, row.group or ""))


def _group(name: str, used: Named, cpu_ns: float, total_seconds: float) -> GroupUsed:
    cpu_seconds, alive_seconds = cpu_ns / 1e9, used.alive_ns / 1e9
    ticks_ns = used.user_ns + used.system_ns
    # The exact total is split like the ticks, as in snapshots.
    user_seconds = None if ticks_ns <= 0 else cpu_seconds * used.user_ns / ticks_ns
    return GroupUsed(
        group=name,
        cpu_seconds=cpu_seconds,
        share_percent=_share(cpu_seconds, total_seconds),
        user_seconds=user_seconds,
        system_seconds=None if user_seconds is None else cpu_seconds - user_seconds,
        alive_seconds=alive_seconds,
        exited_seconds=cpu_seconds - alive_seconds,
        alive=used.alive,
        exited=used.exited,
    )


def _share(part: float, whole: float) -> float | None:
    return 100 * part / whole if whole > 0 else None


def seconds(value: float | None) -> str:
    """Seconds as text; more digits for less time."""
    if value is None:
        return "-"
    return f"{value:.2f}" if value >= 1 else f"{value:.4f}"


def group_rows(
    groups: Sequence[GroupUsed], title: str, *, encoding: str = "utf-8", width: int | None = None
) -> Iterator[str]:
    """The lines of the table of groups; ``title`` is the heading of their names."""
    return aligned(
        (*HEADINGS[:-1], title),
        map(group_cells, groups),
        left={title},
        dispensable=("ALIVE s", "EXITED s", "SYS s", "USER s"),
        encoding=encoding,
        width=width,
        min_last=16,
    )


def group_cells(group: GroupUsed) -> tuple[str, ...]:
    """A row of the table, in the order of the headings."""
    return (
        seconds(group.cpu_seconds),
        "-" if group.share_percent is None else f"{group.share_percent:.1f}%",
        seconds(group.user_seconds),
        seconds(group.system_seconds),
        seconds(group.alive_seconds),
        seconds(group.exited_seconds),
        "-" if group.alive is None else str(group.alive),
        "-" if group.exited is None else str(group.exited),
        _UNNAMED if group.group is None else group.group,
    )


def graph(cpus: Sequence[float], maximum: float, encoding: str = "utf-8") -> str:
    """CPUs over time as one line of bars, the highest for ``maximum``."""
    try:
        _BARS.encode(encoding)
    except UnicodeEncodeError:
        bars = _ASCII_BARS
    else:
        bars = _BARS
    scale = (len(bars) - 1) / maximum if maximum > 0 else 0.0
    return "".join(bars[min(len(bars) - 1, round(value * scale))] for value in cpus)
