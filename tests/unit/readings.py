"""Readings for examples with simple arithmetic."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from cpuwatch import CpuTimes, Host, MachineTimes, ProcessTimes, Reading, ScriptedSampler, Snapshot, usage

SECOND = 1_000_000_000
BOOT = datetime(2026, 1, 1, tzinfo=UTC)

HOSTILE_NAMES = [
    b"bash",
    b"",
    b" ",
    b")",
    b"(",
    b"a) R 1 2 3",
    b"tmux: server",
    b"two\nlines",
    b"((sd-pam))",
    b"kworker/0:0-events",
    b"<script>alert(1)</script>",
    b'"quoted" \\x',
    "žluťoučký 🐎".encode(),
    b"caf\xe9",
    b"\xff\xfe\x00",
    b"\xed\xa0\x80",
    b"\x1b[31mred",
    b"\xe2\x80\xae",
]
"""Possible names of processes. The last ones are invalid UTF-8, a surrogate, and terminal control sequences."""


def host(*, cpus: int = 2, boot_id: str = "boot", resolution_seconds: float = 1e-9) -> Host:
    return Host("here", boot_id, cpus, "scripted", resolution_seconds)


def process(
    pid: int = 10,
    *,
    cpu_ns: int = 0,
    user_ns: int | None = None,
    system_ns: int = 0,
    start_ns: int = 5 * SECOND,
    name: str = "work",
    user: str | None = "nobody",
    state: str | None = "S",
    children_ns: int | None = None,
    wait_ns: int | None = None,
) -> ProcessTimes:
    return ProcessTimes(
        pid=pid,
        key=f"{pid}-{start_ns}",
        start_ns=start_ns,
        start_time=BOOT + timedelta(microseconds=start_ns // 1000),
        first_seen=BOOT + timedelta(seconds=50),
        ppid=1,
        name=name,
        user=user,
        state=state,
        threads=1,
        cpu_ns=cpu_ns,
        user_ns=cpu_ns - system_ns if user_ns is None else user_ns,
        system_ns=system_ns,
        children_ns=children_ns,
        wait_ns=wait_ns,
    )


def reading(
    *processes: ProcessTimes,
    at_ns: int = 100 * SECOND,
    cpus: int = 2,
    total: CpuTimes | None = None,
    per_cpu: dict[int, CpuTimes] | None = None,
    sweep_ns: int = 0,
    boot_id: str = "boot",
    unreadable: dict[str, int] | None = None,
) -> Reading:
    """Return a reading ``at_ns`` after boot. By default the machine was idle until then."""
    idle = CpuTimes(0, 0, at_ns, 0, 0, 0)
    return Reading(
        time=BOOT + timedelta(microseconds=at_ns // 1000),
        monotonic_ns=at_ns,
        uptime_ns=at_ns,
        sweep_ns=sweep_ns,
        host=host(cpus=cpus, boot_id=boot_id),
        machine=MachineTimes(
            CpuTimes(0, 0, cpus * at_ns, 0, 0, 0) if total is None else total,
            dict.fromkeys(range(cpus), idle) if per_cpu is None else per_cpu,
            (0.5, 0.25, 0.125),
        ),
        processes={record.pid: record for record in processes},
        unreadable=unreadable or {},
    )


def snapshot(*rows: tuple[int, int], sequence: int = 1) -> Snapshot:
    """Return a snapshot of one second in which each PID ran for this many nanoseconds."""
    earlier = reading(*(process(pid, cpu_ns=SECOND) for pid, _ in rows))
    later = reading(*(process(pid, cpu_ns=SECOND + ran_ns) for pid, ran_ns in rows), at_ns=101 * SECOND)
    return usage(earlier, later, sequence=sequence)


def minute() -> ScriptedSampler:
    """Return a sampler with sixty readings of one process, a second apart, for use as an entry point."""
    return ScriptedSampler(
        reading(process(cpu_ns=second * SECOND // 2), at_ns=(100 + second) * SECOND) for second in range(60)
    )


def as_label(text: str) -> str:
    """Return the text as in a label: control characters are escaped, except line feeds."""
    return "".join(
        char
        if char.isprintable() or char == "\n"
        else f"\\x{ord(char) - 0xDC00:02x}"
        if 0xDC80 <= ord(char) <= 0xDCFF
        else repr(char)[1:-1]
        for char in text
    )
