"""Names the exited processes: distributes the amounts from children's time over them. Pure.

The kernel's message about an exited process (taskstats) has its name, but is sent before its address space is torn
down, so its CPU time is too low by up to an eighth. Children's time has the whole amount, but no names. So the amounts
come from children's time, and are distributed in proportion to the messages. If nobody reaped a process, the message
is the only source.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import accumulate

from msgspec import Struct
from msgspec.structs import replace

from cpuwatch.accounting.reapers import Candidates
from cpuwatch.model import ProcessExit, ProcessTimes

__all__ = ["ExitedProcess", "ExitedShare", "bound_estimates", "claimed_by_messages", "match_exits", "share_credits"]

_MAX_SCALE = 1.25
"""How far the amounts of messages are scaled up to the credit of a reaper if some messages were lost."""

_CERTAIN_FRACTION = 7 / 8
"""The fraction of a message's amount that children's time is sure to include. The kernel counts both in ticks."""


class ExitedShare(Struct, frozen=True, gc=False):
    """The CPU time that exited processes of one name and user, with one reaper, used in the interval.

    ``estimated``: no children's time includes it, so the amount is that of the messages.
    """

    name: str | None
    user: str | None
    parent_pid: int | None
    count: int | None
    cpu_ns: int | None
    estimated: bool = False


class ExitedProcess(Struct, frozen=True, gc=False):
    """An exited process: the kernel's message, what was last seen of it, and the candidates for its reaper."""

    message: ProcessExit
    last_seen: ProcessTimes | None
    reapers: Candidates

    @property
    def used_ns(self) -> int:
        """The CPU time that it used after it was last seen."""
        return max(0, self.message.cpu_ns - (0 if self.last_seen is None else self.last_seen.cpu_ns))

    @property
    def name_and_user(self) -> tuple[str | None, str | None]:
        """The name and the user, each from the better source."""
        if self.last_seen is None:
            return self.message.name, self.message.user
        # The message has the newer name (execve); what was last seen has the effective user.
        return self.message.name or self.last_seen.name, self.last_seen.user or self.message.user


def match_exits(
    messages: Iterable[ProcessExit],
    vanished: Mapping[int, ProcessTimes],
    reapers: Callable[[ProcessExit], Candidates],
) -> list[ExitedProcess]:
    """Match each message with what was last seen of the process.

    If two processes had the same PID one after the other, the first is the one that had been seen.
    """
    exited: list[ExitedProcess] = []
    matched: set[int] = set()
    for message in messages:
        last_seen = None if message.pid in matched else vanished.get(message.pid)
        exited.append(ExitedProcess(message, last_seen, reapers(message)))
        matched.add(message.pid)
    return exited


def claimed_by_messages(exited: Iterable[ExitedProcess]) -> dict[int, int]:
    """The part of the growth of each survivor's children's time that the messages account for.

    In nanoseconds by PID, and a lower bound. A reparented process that had been seen before does not count: its reaper
    is not known yet (:func:`~cpuwatch.accounting.reaped.credit_children`).
    """
    sums: defaultdict[int, int] = defaultdict(int)
    for process in exited:
        if process.reapers.pids and (process.reapers.is_parent or process.last_seen is None):
            sums[process.reapers.pids[0]] += int(_CERTAIN_FRACTION * process.used_ns)
    return sums


def share_credits(
    exited: Iterable[ExitedProcess],
    reaper_of: Mapping[int, int],
    credits_ns: Mapping[int, int],
    *,
    some_lost: bool,
    slack_ns: int,
) -> list[ExitedShare]:
    """Distribute the credit of each reaper over the exited processes that it reaped.

    Credits, and ``reaper_of`` for the processes that had been seen before, come from
    :func:`~cpuwatch.accounting.reaped.credit_children`. The part of a credit without messages, because there are none
    or some were lost, is a share without a name.

    A reaper without a credit has nothing to distribute. If the messages add up to no more than the rounding of
    children's time (``slack_ns``), each of its processes used nothing beyond what was shown before. Otherwise nobody
    reaped them, and the shares are estimates.
    """
    groups: dict[int | None, dict[tuple[str | None, str | None], list[int]]]
    groups = defaultdict(lambda: defaultdict(list))
    for process in exited:
        candidates = process.reapers.pids
        nearest = next((pid for pid in candidates if pid in credits_ns), candidates[0] if candidates else None)
        reaper = nearest if process.last_seen is None else reaper_of.get(process.message.pid, nearest)
        groups[reaper][process.name_and_user].append(process.used_ns)
    shares: list[ExitedShare] = []
    for pid, group in groups.items():
        credit_ns = None if pid is None else credits_ns.get(pid)
        if credit_ns is not None:
            shares += _shares(pid, group, credit_ns, some_lost=some_lost)
        elif pid is not None and sum(map(sum, group.values())) <= slack_ns:
            shares += (ExitedShare(*names, pid, len(used), 0) for names, used in group.items())
        else:
            shares += (ExitedShare(*names, pid, len(used), sum(used), estimated=True) for names, used in group.items())
    shares += (
        ExitedShare(None, None, pid, None, credit_ns) for pid, credit_ns in credits_ns.items() if pid not in groups
    )
    return shares


def bound_estimates(shares: list[ExitedShare], max_ns: float | None) -> list[ExitedShare]:
    """Scale the estimates down, all by the same factor, to at most ``max_ns`` in sum; unknown if that is None."""
    total_ns = sum(share.cpu_ns or 0 for share in shares if share.estimated)
    if total_ns == 0 or (max_ns is not None and total_ns <= max_ns):
        return shares

    def bounded(amount_ns: int) -> int | None:
        return None if max_ns is None else int(amount_ns * max_ns / total_ns)

    return [replace(share, cpu_ns=bounded(share.cpu_ns or 0)) if share.estimated else share for share in shares]


def _shares(
    pid: int | None, group: Mapping[tuple[str | None, str | None], list[int]], credit_ns: int, *, some_lost: bool
) -> Iterator[ExitedShare]:
    total_ns = sum(map(sum, group.values()))
    named_ns = min(credit_ns, round(_MAX_SCALE * total_ns)) if some_lost else credit_ns
    # If no message shows any use, each process counts the same.
    weights = [sum(used) if total_ns else len(used) for used in group.values()]
    for names, used, share_ns in zip(group, group.values(), _apportion(named_ns, weights), strict=True):
        yield ExitedShare(*names, pid, len(used), share_ns)
    if credit_ns > named_ns:
        yield ExitedShare(None, None, pid, None, credit_ns - named_ns)


def _apportion(amount: int, weights: list[int]) -> Iterator[int]:
    """Integers in proportion to the weights that add up to the amount: differences of the rounded running sum."""
    total = sum(weights)
    apportioned = 0
    for running in accumulate(weights):
        upto = amount * running // total
        yield upto - apportioned
        apportioned = upto
