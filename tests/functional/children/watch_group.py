"""Watches the processes of a cgroup with cpuwatch, next to the counter of the kernel; writes the results as JSON.

watch_group.py CGROUP COUNTER SECONDS USER_ID

The counter is read before and after each reading. On a busy machine these two values are far apart, so only bounds of
its increase are known. If the group got too little CPU for a comparison, it is watched for up to three times as long.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

from cpuwatch import NO_CARRY, account, open_sampler

cgroup, counter, seconds, user_id = sys.argv[1:]
ENOUGH_NS = 1_200_000_000


def used_ns() -> int:
    """The counter of the kernel: cpuacct.usage in nanoseconds, or usage_usec of cpu.stat."""
    words = Path(counter).read_text().split()
    return int(words[0]) if len(words) == 1 else int(words[words.index("usage_usec") + 1]) * 1000


if int(user_id) != os.getuid():
    # Import now what Python imports late (such as codecs), since that user may not be able to read it.
    with open_sampler("procfs") as sampler:
        sampler.read()
    os.setgroups([])
    os.setgid(int(user_id))
    os.setuid(int(user_id))

ticks: list[dict[str, object]] = []
carry = NO_CARRY
with open_sampler("procfs") as sampler:
    # With thousands of processes the first reading takes up to a second, and the counter is read only after it. What
    # the group uses meanwhile would show as too much (108 % was seen).
    sampler.read()
    first, earlier, used_before = used_ns(), sampler.read(), used_ns()
    start = last = used_before
    while len(ticks) < int(seconds) or (last - start < ENOUGH_NS and len(ticks) < 3 * int(seconds)):
        time.sleep(1)
        last, later, used = used_ns(), sampler.read(), used_ns()
        snapshot, carry = account(earlier, later, carry)
        to_ns = snapshot.interval_seconds * 1e7
        members = [row for row in snapshot.processes if row.cgroup == cgroup]
        pids = {row.pid for row in members}
        ticks.append(
            {
                "used_ns": used - used_before,
                "live_ns": to_ns * sum(row.cpu_percent or 0 for row in members),
                "children_ns": to_ns * sum(row.exited_percent or 0 for row in members),
                "exited": [
                    {"name": row.name, "user": row.user, "count": row.count, "used_ns": to_ns * (row.cpu_percent or 0)}
                    for row in snapshot.exited
                    if row.parent_pid in pids
                ],
                "exited_names": snapshot.exited_names,
                "highest_percent": max((row.exited_percent or 0) + (row.cpu_percent or 0) for row in members),
                "unattributed_ns": to_ns
                * snapshot.host.logical_cpus
                * (snapshot.attribution.unattributed_percent or 0),
                "logical_cpus": snapshot.host.logical_cpus,
            }
        )
        earlier, used_before = later, used
json.dump({"min_used_ns": last - start, "max_used_ns": used - first, "ticks": ticks}, sys.stdout)
