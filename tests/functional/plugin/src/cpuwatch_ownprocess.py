"""A sampler that reads only its own process, without /proc and psutil."""

from __future__ import annotations

import os
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

from cpuwatch import CpuTimes, Host, MachineTimes, ProcessTimes, Reading


class OwnProcessSampler:
    """Samples its own process."""

    def __init__(self) -> None:
        self._since = datetime.now(UTC)

    def read(self) -> Reading:
        """Return a reading of one process, with an otherwise unknown machine."""
        now, started_ns = datetime.now(UTC), time.monotonic_ns()
        used = os.times()
        process = ProcessTimes(
            pid=os.getpid(),
            key=f"{os.getpid()}-{self._since.timestamp()}",
            start_ns=0,
            start_time=self._since,
            first_seen=self._since,
            ppid=os.getppid(),
            name="own",
            user=None,
            state="R",
            threads=threading.active_count(),
            cpu_ns=time.process_time_ns(),
            user_ns=round(used.user * 1e9),
            system_ns=round(used.system * 1e9),
        )
        machine_ns = CpuTimes(user_ns=process.user_ns, system_ns=process.system_ns, idle_ns=started_ns)
        return Reading(
            time=now,
            monotonic_ns=started_ns,
            uptime_ns=started_ns,
            sweep_ns=time.monotonic_ns() - started_ns,
            host=Host("plugin", "no-boot", 1, "ownprocess", 1e-9),
            machine=MachineTimes(machine_ns, {0: machine_ns}),
            processes={process.pid: process},
        )

    def close(self) -> None:
        """Nothing to release."""


class BrokenSampler(OwnProcessSampler):
    """Can be opened, but fails at each reading."""

    def read(self) -> Reading:
        raise RuntimeError("this backend is broken on purpose")


class ObedientSampler(OwnProcessSampler):
    """Obeys the file named in the environment: ``work``, ``fail``, or ``hang`` until the file changes."""

    def read(self) -> Reading:
        orders = Path(os.environ["OWNPROCESS_ORDERS"])
        while (order := orders.read_text("ascii")) == "hang":
            time.sleep(0.01)
        if order == "fail":
            raise RuntimeError("the file says fail")
        return super().read()
