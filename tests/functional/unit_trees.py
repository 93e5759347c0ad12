"""Made-up snapshots with their trees of units, to compare the page's trees with the library's."""

from __future__ import annotations

import random
from typing import Any

import msgspec

from cpuwatch import BusyProcess, CgroupUsage, ExitedUsage, MachineUsage, Snapshot, by_cgroup
from cpuwatch.encoding import json
from cpuwatch.query.crowd import crowd_of_process, crowd_of_unit

__all__ = ["unit_trees"]

_SEGMENTS = [
    *("a", "..", "x.slice", "x.service", r"x\x2dy.service", "y.scope", "burstable", "kubepods"),
    *(f"pod{'ab' * 16}", "cd" * 32, f"docker-{'ef' * 32}.scope"),
]


def unit_trees(count: int = 200) -> list[dict[str, Any]]:
    """The same snapshots in each run. Amounts are whole numbers, so that sums do not depend on the order."""
    chance = random.Random(1)  # noqa: S311 - the same in each run
    return [_tree(chance) for _ in range(count)]


def _tree(chance: random.Random) -> dict[str, Any]:
    paths = ["/" + "/".join(chance.choices(_SEGMENTS, k=chance.randint(0, 4))) for _ in range(6)]

    def amount() -> float | None:
        return chance.choice([None, 0.0, float(chance.randint(0, 100))])

    cgroups = [
        CgroupUsage(
            path=path,
            name=chance.choice([None, f"name {number}"]),
            cpu_percent=amount() or 0.0,
            quota_cpus=amount(),
            limit_cpus=amount(),
            limited_by=chance.choice([None, path]),
            quota_percent=amount(),
            throttled_percent=amount(),
            throttled_periods_percent=amount(),
            pressure_percent=amount(),
            cpus=chance.choice([None, 4]),
        )
        for number, path in enumerate(sorted(set(chance.sample(paths, 3))))
    ]
    processes = [
        {
            "pid": pid,
            "key": f"k{pid}",
            "ppid": 1,
            "name": "n",
            "user": "u",
            "state": "S",
            "threads": chance.randint(1, 9),
            "cpu_seconds": float(chance.randint(0, 99)),
            "start_time": "2026-01-01T00:00:00Z",
            "first_seen": "2026-01-01T00:00:00Z",
            "cgroup": chance.choice([None, *paths]),
            "cpu_percent": amount(),
            "machine_percent": 0.0,
            "user_percent": amount(),
            "system_percent": amount(),
            "exited_percent": amount(),
            "total_percent": 0.0,
            "wait_percent": amount(),
            "throttled_percent": amount(),
            "verdict": chance.choice([None, "busy", "crowded"]),
        }
        for pid in range(chance.randint(0, 8))
    ]
    exited = [
        ExitedUsage(f"e{parent}", "u", parent, "n", 1, amount(), 0.0)
        for parent in chance.sample(range(10), chance.randint(0, 3))
    ]
    machine = MachineUsage(
        cpu_percent=amount(),
        user_percent=None,
        system_percent=None,
        iowait_percent=None,
        irq_percent=None,
        steal_percent=amount(),
        per_cpu_percent=[],
        load_average=None,
        busiest=[
            BusyProcess(pid, "n", chance.choice([None, *paths]), float(chance.randint(0, 9)))
            for pid in chance.sample(range(10), 4)
        ],
    )
    tick = {
        "sequence": 1,
        "time": "2026-01-01T00:00:01Z",
        "interval_seconds": 1.0,
        "sweep_seconds": 0.0,
        "host": {"name": "h", "boot_id": "b", "logical_cpus": 4, "backend": "x", "clock_resolution_seconds": 1e-9},
        "attribution": dict.fromkeys(["processes_percent", "exited_percent", "unattributed_percent", "excess_percent"]),
        "machine": msgspec.to_builtins(machine),
        "cgroups": msgspec.to_builtins(cgroups),
        "exited": msgspec.to_builtins(exited),
        "processes": processes,
    }
    snapshot: Snapshot = json.decode(msgspec.json.encode(tick))
    units = by_cgroup(snapshot)
    # As the key of an object in JavaScript.
    crowds = {str(unit.cgroup or "null"): _pids(crowd_of_unit(unit, snapshot.machine)) for unit in units}
    return {
        "tick": tick,
        "units": msgspec.to_builtins(units),
        "crowds": {
            "units": crowds,
            "processes": [_pids(crowd_of_process(row, snapshot.machine)) for row in snapshot.processes],
        },
    }


def _pids(crowd: list[BusyProcess]) -> list[int]:
    return [other.pid for other in crowd]
