"""A sampler of a large machine, with large values and process names that look like markup.

The kernel truncates names to 15 bytes; a third-party sampler may not. This folder has the layout of an installed
package: with it in PYTHONPATH, the sampler "hostile" is available.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime

from cpuwatch import CpuTimes, Host, MachineTimes, ProcessExit, ProcessTimes, Reading, ScriptedSampler

CPUS = int(os.environ.get("HOSTILE_CPUS", "384"))
FIRST_PID = 4_194_000
"""Where systemd is, the kernel gives out PIDs up to 4,194,304."""

SHOWN = {
    "<img src=x onerror=alert(1)>": "<img src=x onerror=alert(1)>",
    "<script>alert(2)</script>": "<script>alert(2)</script>",
    "\"><svg onload='alert(3)'>": "\"><svg onload='alert(3)'>",
    "</td></table><h1 style=color:red>&lt;&amp;": "</td></table><h1 style=color:red>&lt;&amp;",
    "javascript:alert(4)//${alert(5)}{{6*7}}": "javascript:alert(4)//${alert(5)}{{6*7}}",
    "two\nlines\r\nand\ttabs": "two\\nlines\\r\\nand\\ttabs",
    "\u202egpj.exe\u202c \u2066\u200fx\u2069": "\\u202egpj.exe\\u202c \\u2066\\u200fx\\u2069",
    "\u05e9\u05dc\u05d5\u05dd (\u05e2\u05d5\u05dc\u05dd) 12": "\u05e9\u05dc\u05d5\u05dd (\u05e2\u05d5\u05dc\u05dd) 12",
    "\x1b[31m\x00\x7f": "\\x1b[31m\\x00\\x7f",
    "x" * 5000: "x" * 5000,
}
"""Each name, and the text that stands for it."""

UNREADABLE = {"<i>EPERM</i>": 41, "E\n": 1}
HIDDEN = ["<b>/proc</b> hides\x1b[31m what is " + "long " * 40]

_CPUS_OF_THE_FIRST = CPUS // 4
_SECOND = 1_000_000_000


def hostile_sampler() -> ScriptedSampler:
    """Return an endless sampler. Each process uses a tenth of a CPU, and its exited children as much again.

    The first process uses a quarter of all CPUs.
    """
    return ScriptedSampler(_readings())


def _readings() -> Iterator[Reading]:
    started, started_ns = datetime.now(UTC), time.monotonic_ns()
    while True:
        now_ns = time.monotonic_ns()
        age_ns = now_ns - started_ns
        machine_ns = CpuTimes(user_ns=age_ns // 5, system_ns=age_ns // 10, idle_ns=age_ns - age_ns // 5 - age_ns // 10)
        yield Reading(
            time=datetime.now(UTC),
            monotonic_ns=now_ns,
            uptime_ns=now_ns,
            sweep_ns=1000,
            host=Host("<b>host</b>", "no-boot", CPUS, "hostile", 1e-9),
            machine=MachineTimes(
                CpuTimes(CPUS * machine_ns.user_ns, CPUS * machine_ns.system_ns, CPUS * machine_ns.idle_ns),
                dict.fromkeys(range(CPUS), machine_ns),
                (1234.56, 987.65, 512.0),
            ),
            processes={
                pid: ProcessTimes(
                    pid=pid,
                    key=f"{pid}-{name[:40]}",
                    start_ns=started_ns,
                    start_time=started,
                    first_seen=started,
                    ppid=FIRST_PID if pid > FIRST_PID else 0,
                    name=name,
                    user=name[:100],
                    state="S",
                    threads=32_768,
                    cpu_ns=_CPUS_OF_THE_FIRST * age_ns if pid == FIRST_PID else age_ns // 10,
                    user_ns=age_ns // 10,
                    system_ns=0,
                    children_ns=age_ns // 10,
                    cgroup=f"/{name[:100]}",
                )
                for pid, name in enumerate(SHOWN, FIRST_PID)
            },
            exits=[ProcessExit(9, FIRST_PID, name, "root", _SECOND // 100) for name in list(SHOWN)[:3]],
            exited_names="hostile",
            unreadable=UNREADABLE,
            hidden=HIDDEN,
        )
