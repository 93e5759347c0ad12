"""Mounts a /proc that hides the processes of others, and reads it as another user; writes the result as JSON.

Run it as root, as the first process of a PID namespace and in a separate mount namespace. There are only two
processes then: this one and one of root.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time

from cpuwatch import open_sampler


def main() -> None:
    option, backend, user_id = sys.argv[1:]
    subprocess.run(["mount", "-t", "proc", "-o", option, "proc", "/proc"], check=True)
    other = os.fork()
    if other == 0:
        # It exits with the namespace.
        time.sleep(3600)
    with open_sampler(backend) as sampler:
        # Import what a reading needs: the ordinary user may not be able to read the files of this interpreter.
        seen_by_root = sampler.read()
    # Members of group 0 see everything, unless the option gid= names another group.
    os.setgroups([])
    os.setgid(int(user_id))
    os.setuid(int(user_id))
    with open_sampler(backend) as sampler:
        readings = [sampler.read() for _ in range(3)]
    sys.stdout.write(
        json.dumps(
            {
                "own_pid": os.getpid(),
                "other_pid": other,
                "listed": sorted(int(name) for name in os.listdir("/proc") if name.isdigit()),
                "readings": [[sorted(reading.processes), reading.unreadable] for reading in readings],
                "hidden": readings[-1].hidden,
                "seen_by_root": seen_by_root.hidden,
            }
        )
    )


if __name__ == "__main__":
    main()
