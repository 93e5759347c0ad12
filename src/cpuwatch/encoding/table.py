"""A snapshot as a table for people, in the manner of top(1)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from cpuwatch.model import ExitedUsage, ProcessUsage, Sampling, Snapshot
from cpuwatch.query.group import TreeUsage, UsageGroup
from cpuwatch.query.view import GroupedSnapshot
from cpuwatch.text import printable

__all__ = ["missing_processes", "table"]

_HEADINGS = ("PID", "USER", "S", "CPU%", "USER%", "SYS%", "ENDED%", "TIME", "NAME")
_EXITED_HEADINGS = ("PARENT", "USER", "COUNT", "CPU%", "NAME")
_GROUP_HEADINGS = ("CPU%", "ENDED%", "ALIVE", "ENDED", "GROUP")
_LEFT_ALIGNED = {"USER", "S", "NAME", "GROUP", "KEY", "STATE", "START_TIME", "FIRST_SEEN", "CGROUP", "COMMAND_LINE"}


def table(snapshot: Snapshot | GroupedSnapshot, fields: Sequence[str] | None = None, *, encoding: str = "utf-8") -> str:
    """Machine and attribution, a row for each process of the snapshot, in its order, and one for each kind that ended.

    Or a row for each group. ``fields`` are the columns of processes, in place of those of top(1).

    Control characters in names are shown as escapes: a process may call itself anything, and a terminal obeys. So are
    characters that ``encoding`` does not have: the text can be encoded with it.
    """
    return "".join(f"{line}\n" for line in _lines(snapshot, fields, encoding))


def _lines(snapshot: Snapshot | GroupedSnapshot, fields: Sequence[str] | None, encoding: str) -> Iterator[str]:
    for line in _summary(snapshot):
        yield printable(line, encoding)
    yield ""
    if isinstance(snapshot, GroupedSnapshot):
        yield from _aligned(_GROUP_HEADINGS, map(_group_cells, snapshot.groups), encoding)
        return
    headings, cells = (_HEADINGS, _cells) if fields is None else (_upper(fields), _cells_of(fields))
    yield from _aligned(headings, map(cells, snapshot.processes), encoding)
    if snapshot.exited:
        yield ""
        estimates = "; ~ estimated, nobody waited for them" if any(row.estimated for row in snapshot.exited) else ""
        yield printable(f"ended within the interval (names: {snapshot.exited_names}{estimates})", encoding)
        yield from _aligned(_EXITED_HEADINGS, map(_exited_cells, snapshot.exited), encoding)


def _summary(snapshot: Snapshot | GroupedSnapshot) -> list[str]:
    machine, attribution, host = snapshot.machine, snapshot.attribution, snapshot.host
    load = " ".join(f"{value:.2f}" for value in machine.load_average or ())
    return [
        f"{host.name}  {snapshot.time:%Y-%m-%d %H:%M:%S} UTC  "
        f"{snapshot.interval_seconds:.3f} s  {host.backend}  load {load or '-'}",
        f"machine {_percent(machine.cpu_percent)} % of {host.logical_cpus} CPUs: "
        f"user {_percent(machine.user_percent)}  system {_percent(machine.system_percent)}  "
        f"iowait {_percent(machine.iowait_percent)}  irq {_percent(machine.irq_percent)}  "
        f"steal {_percent(machine.steal_percent)}",
        f"attributed: processes {_percent(attribution.processes_percent)}  "
        f"ended {_percent(attribution.exited_percent)}  "
        f"unattributed {_percent(attribution.unattributed_percent)}",
        *missing_processes(snapshot.sampling),
    ]


def missing_processes(sampling: Sampling) -> list[str]:
    """Lines for people about processes that a snapshot does not show, whose CPU time is in ``unattributed`` therefore.

    The page has the same in static/model/missing_processes.js.
    """
    lines = [f"hidden: {reason}" for reason in sampling.hidden]
    if sampling.unreadable:
        reasons = ", ".join(f"{reason} {count}" for reason, count in sorted(sampling.unreadable.items()))
        count = sum(sampling.unreadable.values())
        lines.append(f"unreadable: {count} {'process' if count == 1 else 'processes'} ({reasons})")
    return [f"{line}; their CPU time is in unattributed" for line in lines]


def _cells(row: ProcessUsage) -> tuple[str, ...]:
    return (
        str(row.pid),
        row.user or "-",
        row.state or "-",
        _percent(row.cpu_percent),
        _percent(row.user_percent),
        _percent(row.system_percent),
        _percent(row.children_percent),
        _time(row.cpu_seconds),
        row.name,
    )


def _upper(fields: Sequence[str]) -> tuple[str, ...]:
    return tuple(name.upper() for name in fields)


def _cells_of(fields: Sequence[str]) -> Callable[[ProcessUsage], tuple[str, ...]]:
    def cell(name: str, value: object) -> str:
        if isinstance(value, float):
            return _time(value) if name == "cpu_seconds" else _percent(value)
        return "-" if value is None else str(value)

    return lambda row: tuple(cell(name, getattr(row, name)) for name in fields)


def _exited_cells(ended: ExitedUsage) -> tuple[str, ...]:
    return (
        "-" if ended.parent_pid is None else str(ended.parent_pid),
        ended.user or "-",
        "-" if ended.count is None else str(ended.count),
        f"~{_percent(ended.cpu_percent)}"
        if ended.estimated and ended.cpu_percent is not None
        else _percent(ended.cpu_percent),
        "-" if ended.name is None else ended.name,
    )


def _group_cells(group: UsageGroup | TreeUsage) -> tuple[str, ...]:
    if isinstance(group, UsageGroup):
        name = "-" if group.group is None else group.group
    else:
        name = "-" if group.name is None else f"{group.pid} {group.name}"
    return (
        _percent(group.cpu_percent),
        _percent(group.exited_percent),
        str(group.processes),
        str(group.exited),
        name,
    )


def _aligned(headings: tuple[str, ...], rows: Iterable[tuple[str, ...]], encoding: str) -> Iterator[str]:
    columns = zip(headings, *rows, strict=True)
    padded = [_padded(column, encoding, left_aligned=column[0] in _LEFT_ALIGNED) for column in columns]
    return ("  ".join(cells).rstrip() for cells in zip(*padded, strict=True))


def _padded(column: tuple[str, ...], encoding: str, *, left_aligned: bool) -> list[str]:
    """The cells, safe to print, and of one width."""
    cells = [printable(cell, encoding) for cell in column]
    widths = [_width(cell) for cell in cells]
    widest = max(widths)
    if left_aligned:
        return [cell + " " * (widest - width) for cell, width in zip(cells, widths, strict=True)]
    return [" " * (widest - width) + cell for cell, width in zip(cells, widths, strict=True)]


def _width(text: str) -> int:
    """The cells of a terminal that printable text takes: two for a wide character, none for a combining one."""
    if text.isascii():
        return len(text)
    from wcwidth import wcswidth  # noqa: PLC0415  its tables take longer to load than all the rest of cpuwatch

    return wcswidth(text)


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"


def _time(seconds: float) -> str:
    minutes, hundredths = divmod(round(100 * seconds), 6000)
    return f"{minutes}:{hundredths / 100:05.2f}"
