"""Runs containers whose processes exit in unusual ways, beside other work, until it is killed.

containers.py entered          processes that entered a PID namespace leave orphans to its init
containers.py killed PROCS SECONDS...
    a build, beside containers killed after this much CPU time; they are in the cgroup of the file PROCS
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

BURN = "import time\nuntil = time.process_time() + {}\nwhile time.process_time() < until: pass"
INIT = """
import os, time
while True:
    try:
        os.wait()
    except ChildProcessError:
        time.sleep(0.02)
"""
CONTAINER = ["unshare", "--fork", "--pid", "--kill-child", sys.executable, "-I", "-S", "-c"]


def only_child(pid: int) -> int:
    """Return the PID of the only child of a process. Waits until there is one."""
    while True:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        if children:
            return int(children[0])
        time.sleep(0.005)


def entered() -> None:
    """Like docker exec: the parent of its processes is outside the namespace, and the reaper of orphans inside."""
    container = subprocess.Popen([*CONTAINER, INIT])
    init = only_child(container.pid)
    burn = f'{sys.executable} -I -S -c "{BURN.format(60)}" & wait'
    while True:
        entering = subprocess.Popen(["nsenter", "--target", str(init), "--pid", "sh", "-c", burn])
        shell = only_child(entering.pid)
        burner = only_child(shell)
        time.sleep(1.3)
        os.kill(shell, signal.SIGKILL)
        entering.wait()
        os.kill(burner, signal.SIGKILL)
        time.sleep(0.4)


def build() -> None:
    """Run short compilers one after the other."""
    while True:
        subprocess.run([sys.executable, "-I", "-S", "-c", BURN.format(0.04)], check=True)


def killed(procs: str, *seconds: str) -> None:
    """Kill the init of a namespace; the kernel then reaps the other processes without charging anyone."""
    threading.Thread(target=build, daemon=True).start()

    def move() -> None:
        Path(procs).write_text(str(os.getpid()))

    # The init only waits, because its own usage is rightly charged to the ancestor of the build.
    inside = f'{sys.executable} -I -S -c "{BURN.format(60)}" & wait'
    unshare = CONTAINER[: CONTAINER.index(sys.executable)]
    for cpu_seconds in map(float, seconds):
        container = subprocess.Popen([*unshare, "sh", "-c", inside], preexec_fn=move)  # noqa: PLW1509
        init = only_child(container.pid)
        burner = only_child(init)
        # By its CPU clock, since elapsed time says little about CPU usage on a busy machine.
        while time.clock_gettime((~burner << 3) | 2) < cpu_seconds:
            time.sleep(0.01)
        os.kill(init, signal.SIGKILL)
        container.wait()
    threading.Event().wait()


MODES: dict[str, Callable[..., None]] = {"entered": entered, "killed": killed}
MODES[sys.argv[1]](*sys.argv[2:])
