"""The rows of the processes that may have run in an interval, as columns. Pure.

Such rows are new in every interval and are stored in columns (:class:`~cpuwatch.packed_rows.PackedRows`). Making a
Struct of each row first would take longer than the arithmetic.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter
from typing import Any

from msgspec import Struct

from cpuwatch.accounting.growth import growth
from cpuwatch.accounting.span import Span
from cpuwatch.accounting.user_share import user_share
from cpuwatch.accounting.verdict import verdict_of
from cpuwatch.model import ProcessTimes, Verdict

__all__ = ["UNKNOWN_DENIAL", "Change", "Denial", "active_columns", "change_of"]

_RECORDED = (
    "pid",
    "start_time",
    "key",
    "ppid",
    "name",
    "user",
    "state",
    "threads",
    "first_seen",
    "cgroup",
    "command_line",
)
"""The fields of a row that are those of the record."""

_FIGURES = (
    "cpu_percent",
    "machine_percent",
    "user_percent",
    "system_percent",
    "exited_percent",
    "total_percent",
    "cpu_seconds",
    "wait_percent",
    "throttled_percent",
    "verdict",
)

_recorded = attrgetter(*_RECORDED)


class Change(Struct, frozen=True, gc=False):
    """How much the counters of a process that may have run grew in the interval; None without a baseline."""

    record: ProcessTimes
    survived: bool
    cpu_ns: int | None = None
    user_ns: int = 0
    system_ns: int = 0
    children_ns: int | None = None
    wait_ns: int | None = None


def change_of(record: ProcessTimes, before: ProcessTimes | None, span: Span) -> Change:
    """The change from the earlier record of this PID to the later one."""
    children_ns = record.children_ns
    if before is not None and before.key == record.key:
        if children_ns is not None:
            children_ns = None if before.children_ns is None else children_ns - before.children_ns
        return Change(
            record,
            survived=True,
            cpu_ns=_plausible(record.cpu_ns - before.cpu_ns, span),
            user_ns=record.user_ns - before.user_ns,
            system_ns=record.system_ns - before.system_ns,
            children_ns=None if children_ns is None or children_ns < 0 else children_ns,
            wait_ns=growth(before.wait_ns, record.wait_ns),
        )
    if record.start_ns >= span.started_after_ns:
        cpu_ns = _plausible(record.cpu_ns, span)
        return Change(record, False, cpu_ns, record.user_ns, record.system_ns, children_ns, record.wait_ns)
    return Change(record, survived=False)


class Denial(Struct, frozen=True, gc=False):
    """Why processes did not get the CPU that they wanted.

    ``throttled_share`` maps the path of a cgroup to the share of the run delay of its processes that is due to quotas,
    0..1, None if it is unknown. ``stolen_share`` is the share of the CPU time that the hypervisor gave to others.
    """

    throttled_share: Callable[[str | None], float | None]
    stolen_share: float


UNKNOWN_DENIAL = Denial(lambda _: None, 0.0)


def active_columns(
    changes: Sequence[Change], credits_ns: Mapping[int, int], span: Span, denial: Denial
) -> Mapping[str, Sequence[Any]]:
    """The rows of these processes: the values of each field of :class:`~cpuwatch.model.ProcessUsage`, by its name.

    ``credits_ns`` is the use of exited descendants by PID. Without changes there are no columns.
    """
    recorded = zip(*[_recorded(change.record) for change in changes], strict=True)
    figures = zip(*[_figures(change, credits_ns, span, denial) for change in changes], strict=True)
    return dict(zip((*_RECORDED, *_FIGURES), (*recorded, *figures), strict=bool(changes)))


def _figures(
    change: Change, credits_ns: Mapping[int, int], span: Span, denial: Denial
) -> tuple[float | Verdict | None, ...]:
    """The values of ``_FIGURES``; None is unknown."""
    cpu_ns = change.cpu_ns
    cpu_seconds = change.record.cpu_ns / 1e9
    wait_percent = throttled_percent = None
    if change.wait_ns is not None:
        wait_percent = span.percent(change.wait_ns)
        throttled_share = denial.throttled_share(change.record.cpu_cgroup) if change.wait_ns else 0.0
        if wait_percent is not None and throttled_share is not None:
            throttled_percent = wait_percent * throttled_share
    if cpu_ns is None:
        return None, None, None, None, None, None, cpu_seconds, wait_percent, throttled_percent, None
    # Inlined: a call for each of the percentages costs more than the arithmetic.
    interval_ns = span.interval_ns
    cpu_percent = 100 * cpu_ns / interval_ns
    record = change.record
    share = user_share(cpu_ns, (change.user_ns, change.system_ns), (record.user_ns, record.system_ns))
    user_percent = None if share is None else cpu_percent * share
    children_ns = None if change.children_ns is None else credits_ns.get(change.record.pid, 0)
    if children_ns is not None and not span.is_plausible_credit(children_ns):
        children_ns = None
    exited_percent = None if children_ns is None else 100 * children_ns / interval_ns
    return (
        cpu_percent,
        cpu_percent / span.logical_cpus,
        user_percent,
        None if user_percent is None else cpu_percent - user_percent,
        exited_percent,
        cpu_percent + (exited_percent or 0.0),
        cpu_seconds,
        wait_percent,
        throttled_percent,
        verdict_of(cpu_percent, wait_percent, throttled_percent, denial.stolen_share),
    )


def _plausible(cpu_ns: int, span: Span) -> int | None:
    """A delta, capped if it exceeds the interval by no more than the tolerance; None for an impossible one."""
    if cpu_ns < 0:
        return None
    return span.max_ns if span.max_ns < cpu_ns <= span.max_ns + span.tolerance_ns else cpu_ns
