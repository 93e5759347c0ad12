"""Kernel threads: how to tell them, and the name under which their CPU time is summed. Pure.

A worker of the kernel's work queues is called ``kworker/0:1-events`` or ``kworker/u4:2+flush-8:0`` by the CPU or pool
that it belongs to and the work that it does or did last (``wq_worker_comm`` in kernel/workqueue.c), so its name changes
all the time. Workers come and go with the load; rescuers are called ``kworker/R-`` and their queue. Sums by these
names would be many, short-lived and without meaning: all of them count as ``kworker``. Other kernel threads
(``ksoftirqd/0``, ``migration/1``) keep their name for ever, and it says which CPU they belong to.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from cpuwatch.model import ProcessUsage

__all__ = ["KTHREADD", "kernel_threads_are_shown", "summed_name", "summing_names"]

KTHREADD = 2
"""The parent of all kernel threads (kernel/kthread.c): the second process of every boot, and in no PID namespace."""

_KWORKER = "kworker"


def kernel_threads_are_shown(rows: Iterable[ProcessUsage]) -> bool:
    """False if PID 2 is another process, as in a PID namespace: kernel threads are not seen there."""
    return next((row.name for row in rows if row.pid == KTHREADD), "kthreadd") == "kthreadd"


def summed_name(name: str, parent_pid: int | None) -> str:
    """The name under which a process counts in sums, where kernel threads are shown.

    Its own, unless it is a worker of the kernel. A program may call itself ``kworker/...`` too: that one has another
    parent.
    """
    return _KWORKER if parent_pid == KTHREADD and name.startswith(f"{_KWORKER}/") else name


def summing_names(rows: Iterable[ProcessUsage]) -> Callable[[str, int | None], str]:
    """:func:`summed_name` for these rows and the ended processes beside them."""
    return summed_name if kernel_threads_are_shown(rows) else _own_name


def _own_name(name: str, _: int | None) -> str:
    return name
