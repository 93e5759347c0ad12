"""A thread that does nothing: to the kernel it is a fork and an exit like any other."""

from __future__ import annotations

import threading

__all__ = ["run_brief_thread"]


def run_brief_thread() -> int | None:
    """Start a thread and let it end; its number, or None if none can be started."""
    thread = threading.Thread(target=int, name="cpuwatch-brief")
    try:
        thread.start()
    except RuntimeError:
        return None
    thread.join()
    return thread.native_id
