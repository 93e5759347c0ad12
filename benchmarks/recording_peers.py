"""Records the same seconds of the same processes with cpuwatch, atop and pcp, and measures their files and their CPU.

``atop -w FILE 1`` compresses its samples. pcp's pmlogger, with a pmcd and the agents ``linux`` and ``proc`` only, logs
once a second what cpuwatch records: names, users, control groups, states, threads, CPU times and children's times of
processes, the times of each CPU, and the load average. Both count hundredths of a second.

The sizes of atop and pmlogger are what their files grew by after the start. That of cpuwatch is its whole directory
after it has ended, which includes a whole reading and the sums of a segment for a few minutes instead of ten.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks import ROOT, say
from benchmarks.processes import count_processes, forked
from cpuwatch import open_recording

__all__ = ["PEERS", "Peer", "PeerRun", "compare_peers"]

PEERS = ("cpuwatch", "atop", "pmlogger")
_STARTING_SECONDS = 5.0
_ENDING_SECONDS = 20.0
_PMCD = Path("/usr/lib/pcp/bin/pmcd")
_PMDAS = Path("/var/lib/pcp/pmdas")
_PMCD_CONFIG = f"""\
root 1 pipe binary {_PMDAS}/root/pmdaroot
pmcd 2 dso pmcd_init {_PMDAS}/pmcd/pmda_pmcd.so
proc 3 pipe binary {_PMDAS}/proc/pmdaproc -d 3
linux 60 pipe binary {_PMDAS}/linux/pmdalinux
"""
_METRICS = """\
kernel.all.load kernel.percpu.cpu.user kernel.percpu.cpu.sys kernel.percpu.cpu.idle
kernel.percpu.cpu.wait.total kernel.percpu.cpu.irq.hard kernel.percpu.cpu.irq.soft kernel.percpu.cpu.steal
proc.psinfo.pid proc.psinfo.ppid proc.psinfo.cmd proc.psinfo.sname proc.psinfo.threads proc.psinfo.utime
proc.psinfo.stime proc.psinfo.cutime proc.psinfo.cstime proc.psinfo.start_time proc.psinfo.cgroups
proc.id.uid_nm
"""


@dataclass(frozen=True, slots=True)
class Peer:
    """What a tool wrote, and the CPU time of all its processes, per second."""

    bytes_a_tick: float
    cpu_ms_a_tick: float


@dataclass(frozen=True, slots=True)
class PeerRun:
    """The tools over the same ``seconds``, the processes on the machine, and which tools are not installed."""

    seconds: float
    processes: int
    peers: dict[str, Peer]
    missing: list[str]


@dataclass(frozen=True, slots=True)
class _Tool:
    files: Path
    processes: Sequence[subprocess.Popen[bytes]]

    def size_bytes(self) -> int:
        return sum(path.stat().st_size for path in self.files.parent.glob(self.files.name) if path.is_file())

    def cpu_ns(self) -> int:
        """The CPU clocks of its processes and of all their descendants, which run as long as they do."""
        pids = [pid for process in self.processes for pid in _tree(process.pid)]
        return sum(time.clock_gettime_ns((~pid << 3) | 2) for pid in pids)


def compare_peers(processes: int, active_share: float, seconds: float) -> PeerRun:
    """Run all installed tools side by side, for this long after they have started."""
    missing = [name for name, command in (("atop", "atop"), ("pmlogger", "pmlogger")) if not shutil.which(command)]
    if "pmlogger" not in missing and not _PMCD.exists():
        missing.append("pmlogger")
    with ExitStack() as stack:
        directory = Path(stack.enter_context(TemporaryDirectory()))
        stack.enter_context(forked(processes, active_share))
        starts = {"atop": _atop, "pmlogger": _pmlogger}
        others = {name: stack.enter_context(start(directory)) for name, start in starts.items() if name not in missing}
        with _cpuwatch(directory) as ours:
            tools = {"cpuwatch": ours, **others}
            time.sleep(_STARTING_SECONDS)
            count = count_processes()
            say(f"{', '.join(tools)} record {count} processes for {seconds:g} s")
            began = time.monotonic()
            before = {name: (tool.size_bytes(), tool.cpu_ns()) for name, tool in tools.items()}
            time.sleep(seconds)
            after = {name: (tool.size_bytes(), tool.cpu_ns()) for name, tool in tools.items()}
            elapsed = time.monotonic() - began
        bytes_a_tick = {name: (after[name][0] - before[name][0]) / elapsed for name in others}
        bytes_a_tick["cpuwatch"] = ours.size_bytes() / sum(1 for _ in open_recording(ours.files.parent))
    cpu_ms = {name: (after[name][1] - before[name][1]) / elapsed / 1e6 for name in tools}
    peers = {name: Peer(bytes_a_tick[name], cpu_ms[name]) for name in tools}
    return PeerRun(elapsed, count, peers, missing)


@contextmanager
def _cpuwatch(directory: Path) -> Iterator[_Tool]:
    recording = directory / "cpuwatch"
    with _running([sys.executable, "-m", "cpuwatch", "record", str(recording)], ROOT) as process:
        yield _Tool(recording / "*.*", [process])


@contextmanager
def _atop(directory: Path) -> Iterator[_Tool]:
    with _running(["atop", "-w", "atop.raw", "1"], directory) as process:
        yield _Tool(directory / "atop.raw", [process])


@contextmanager
def _pmlogger(directory: Path) -> Iterator[_Tool]:
    config, daemon, archive = directory / "metrics", directory / "pmcd.conf", directory / "archive"
    config.write_text(f"log mandatory on 1 sec {{ {_METRICS} }}\n")
    daemon.write_text(_PMCD_CONFIG)
    where = directory / "pmcd.socket"
    options = ["-f", "-A", "-i", "127.0.0.1", "-p", str(_free_port()), "-s", str(where), "-U", "root"]
    with _running([str(_PMCD), *options, "-c", str(daemon), "-l", "pmcd.log"], directory) as pmcd:
        _wait_for(where)
        command = ["pmlogger", "-h", f"unix://{where}", "-c", str(config), "-l", "pmlogger.log", "-U", "root"]
        with _running([*command, str(archive)], directory) as pmlogger:
            yield _Tool(directory / "archive.*", [pmcd, pmlogger])


@contextmanager
def _running(command: Sequence[str], directory: Path) -> Iterator[subprocess.Popen[bytes]]:
    # Process accounting, which atop would enable for the whole machine, stays off.
    process = subprocess.Popen(
        command,
        cwd=directory,
        env={**os.environ, "ATOPACCT": "", "LC_ALL": "C"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield process
        if process.poll() is not None:
            raise RuntimeError(f"{command[0]} ended by itself with exit code {process.returncode}")
    finally:
        process.terminate()
        try:
            process.wait(_ENDING_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_for(path: Path) -> None:
    deadline = time.monotonic() + _STARTING_SECONDS
    while not path.exists():
        if time.monotonic() > deadline:
            raise RuntimeError(f"{path.name} did not appear within {_STARTING_SECONDS:g} s")
        time.sleep(0.1)


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def _tree(pid: int) -> list[int]:
    listed = (path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/children"))
    return [pid, *(found for text in listed for child in text.split() for found in _tree(int(child)))]
