"""Screens of ``cpuwatch top`` as text. ``python tests/unit/terminal_screens.py`` writes them anew after a change."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from cpuwatch import (
    Attribution,
    BusyProcess,
    CgroupUsage,
    ExitedUsage,
    Host,
    MachineUsage,
    ProcessUsage,
    Snapshot,
    ThreadsSnapshot,
    ThreadUsage,
    Verdict,
)
from cpuwatch.terminal.model.arrange import arranged
from cpuwatch.terminal.model.frame import drawn
from cpuwatch.terminal.model.header import Link, Scene
from cpuwatch.terminal.model.process_past import ExitedUnder, ProcessTick
from cpuwatch.terminal.model.rows import Moment
from cpuwatch.terminal.model.state import ViewState
from cpuwatch.terminal.model.text import Screen

FOLDER = Path(__file__).parent / "terminal_screens"
NGINX = "/system.slice/nginx.service"
NOW = datetime(2026, 11, 26, 3, 14, 7, tzinfo=UTC)
WAITED = {"nginx": (159.0, 150.0), "cc1": (80.0, 0.0)}
VERDICTS: dict[str, Verdict] = {"nginx": "throttled", "cc1": "crowded"}
PAST = [(index * 37) % 101 for index in range(150)]

SCREENS: dict[str, tuple[Screen, ViewState]] = {
    "40x12": (Screen(40, 12), ViewState()),
    "80x24": (Screen(80, 24), ViewState(cursor="12-1")),
    "80x24-ascii": (Screen(80, 24, "ascii"), ViewState(view="name")),
    "120x36-tree": (Screen(120, 36), ViewState(view="tree", panel="detail", opened="11-1")),
    "80x24-units": (Screen(80, 24), ViewState(view="unit")),
    "120x36-unit": (
        Screen(120, 36),
        ViewState(view="unit", panel="detail", opened=f"group unit {NGINX}"),
    ),
    "120x36-threads": (Screen(120, 36), ViewState(panel="threads", opened="11-1")),
    "40x22-threads-ascii": (Screen(40, 22, "ascii"), ViewState(panel="threads", opened="11-1", each_cpu=False)),
    "200x60": (Screen(200, 60), ViewState()),
    "300x20-help": (Screen(300, 20), ViewState(panel="help")),
}


def process(pid: int, ppid: int, name: str, total: float, user: str = "root") -> ProcessUsage:
    exited = 30.0 if name == "make" else 0.0
    own = total - exited
    return ProcessUsage(
        pid=pid,
        start_time=NOW - timedelta(hours=pid),
        key=f"{pid}-1",
        ppid=ppid,
        name=name,
        user=user,
        state="R" if total > 50 else "S",
        threads=1 + pid % 7,
        cpu_percent=own,
        machine_percent=own / 4,
        user_percent=own * 0.75,
        system_percent=own * 0.25,
        exited_percent=exited,
        total_percent=total,
        cpu_seconds=float(pid * 100),
        first_seen=NOW - timedelta(minutes=1),
        cgroup=NGINX if "nginx" in name else "/user.slice",
        wait_percent=WAITED.get(name, (0.0, 0.0))[0],
        throttled_percent=WAITED.get(name, (0.0, 0.0))[1],
        verdict=VERDICTS.get(name, "idle" if total < 1 else "busy"),
    )


def snapshot(sequence: int, *more: ProcessUsage) -> Snapshot:
    idle = [process(100 + number, 2, f"kworker/{number}:1", 0.0) for number in range(40)]
    return Snapshot(
        sequence=sequence,
        time=NOW + timedelta(seconds=sequence),
        interval_seconds=1.0,
        sweep_seconds=0.001,
        host=Host("build-7", "boot", 4, "procfs/clock", 1e-9),
        machine=MachineUsage(
            *(62.5, 50.0, 10.0, 1.5, 0.5, 0.5, [100.0, 75.0, 50.0, None], (2.5, 1.25, 0.75)),
            *(38.5, 2.4, "crowded", [BusyProcess(12, "cc1", "/user.slice", 98.7)]),
        ),
        attribution=Attribution(50.0, 10.0, 2.5, 0.0),
        processes=[
            process(1, 0, "systemd", 0.1),
            process(2, 0, "kthreadd", 0.0),
            process(10, 1, "bash", 0.0, "mary"),
            process(11, 10, "make", 32.5, "mary"),
            process(12, 11, "cc1", 98.7, "mary"),
            process(13, 1, "nginx", 41.0, "www-data"),
            process(14, 13, "nginx: žluť 界", 3.0, "www-data"),
            process(15, 1, "\x1b[31mred", 7.5, "averylongusername"),
            *idle,
            *more,
        ],
        exited=[ExitedUsage("as", "mary", 11, "make", 12, 30.0, 7.5)],
        exited_names="taskstats",
        cgroups=[
            CgroupUsage("/", None, 182.8, None, 4.0, None, None, None, None, 38.5, 4),
            CgroupUsage("/system.slice", None, 44.0, None, 4.0, None, None, None, None, 3.25, 4),
            CgroupUsage("/system.slice/cups.service", None, 0.0, None, 4.0, None, None, None, None, 0.0, 4),
            CgroupUsage(NGINX, None, 44.0, 0.45, 0.45, NGINX, 97.8, 55.0, 100.0, 98.5, 4),
        ],
    )


def threads() -> ThreadsSnapshot:
    rows = [
        ThreadUsage(11, "make", "S", 0, 12.5, 10.0, 2.5, 0.25, 3.5, NOW),
        ThreadUsage(17, "caf\xe9\x1b[31m", "R", 3, 50.0, None, None, None, 3700.0, NOW),
        *(ThreadUsage(20 + number, "pool", "S", 1, 0.0, 0.0, 0.0, 0.0, 0.0, NOW) for number in range(20)),
    ]
    return ThreadsSnapshot(NOW, 1.0, 11, "11-1", "make", 65.0, 2.5, None, 29, 7, rows)


def screen_text(screen: Screen, state: ViewState) -> str:
    moment = Moment.of(snapshot(1, process(90, 11, "ld", 5.0, "mary")))
    moment = Moment.of(snapshot(2), moment)
    rows = arranged(moment, state)
    scene = Scene(Link("", "live"), [float(value) for value in PAST], len(PAST) - 1, zone=UTC, threads=threads())
    opened = next((row for row in [*moment.processes, *rows] if row.key == state.opened), None)
    exited = (ExitedUnder("as", 3, 0.25),)
    past = [ProcessTick(1.0, exited), ProcessTick(40.0), ProcessTick(90.0, exited)]
    frame = drawn(moment, rows, state, scene, screen, opened, past)
    return "".join("".join(text for _, text in line).rstrip() + "\n" for line in frame.lines)


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for name, (screen, state) in SCREENS.items():
        (FOLDER / f"{name}.txt").write_text(screen_text(screen, state))
