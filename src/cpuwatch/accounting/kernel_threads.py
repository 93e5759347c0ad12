"""Kernel threads: how to recognize them, and the name under which their CPU time is summed. Pure.

A worker of the kernel's workqueues is called ``kworker/0:1-events`` or ``kworker/u4:2+flush-8:0``, after its CPU or
pool and its current or last work (``wq_worker_comm`` in kernel/workqueue.c), so its name changes all the time. Workers
come and go with the load; rescuers are called ``kworker/R-`` plus their queue. Sums by these names would be many,
short-lived and meaningless, so all workers count as ``kworker``. Other kernel threads (``ksoftirqd/0``,
``migration/1``) keep their names, which tell the CPU that they belong to.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from cpuwatch.model import ProcessUsage

__all__ = ["KTHREADD", "kernel_threads_are_visible", "summed_name", "summing_names"]

KTHREADD = 2
"""The parent of all kernel threads (kernel/kthread.c): the second process of every boot, and in no PID namespace."""

_KWORKER = "kworker"


def kernel_threads_are_visible(rows: Iterable[ProcessUsage]) -> bool:
    """False if PID 2 is another process, as in a PID namespace, where kernel threads are not visible."""
    return next((row.name for row in rows if row.pid == KTHREADD), "kthreadd") == "kthreadd"


def summed_name(name: str, parent_pid: int | None) -> str:
    """The name under which a process counts in sums, if kernel threads are visible.

    It is the name of the process, or ``kworker`` for a kernel worker. A program may also call itself ``kworker/...``,
    but has another parent.
    """
    return _KWORKER if parent_pid == KTHREADD and name.startswith(f"{_KWORKER}/") else name


def summing_names(rows: Iterable[ProcessUsage]) -> Callable[[str, int | None], str]:
    """:func:`summed_name` for these rows and the exited processes beside them."""
    return summed_name if kernel_threads_are_visible(rows) else _unchanged


def _unchanged(name: str, _: int | None) -> str:
    return name
