"""An incomplete /proc, as created by systemd, sandboxes and container engines."""

from __future__ import annotations

import json
import os
import subprocess

import pytest
from live_server import CPUWATCH_SERVE, SCRIPTS, environment
from namespaces import unshared

pytestmark = [
    pytest.mark.any_python,
    pytest.mark.timeout(60),
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount over the /proc of the machine"),
]

SAMPLE = (str(SCRIPTS / "cpuwatch"), "sample", "--interval", "0.05", "--json")
EMPTY_FILE = "mount --bind /dev/null /proc/"


def with_proc(commands: str, *command: str) -> subprocess.CompletedProcess[str]:
    """Run the command in a mount namespace, after these shell commands."""
    prefix = [*unshared("--mount"), "sh", "-c", f'{commands} && exec "$@"', "sh"]
    return subprocess.run(
        [*prefix, *command], capture_output=True, text=True, check=False, timeout=50, env=environment()
    )


UNUSABLE = {
    "mount -t proc -o subset=pid proc /proc": "mounted with subset=pid",
    "mount -t tmpfs none /proc": "no proc file system is mounted on /proc",
    "umount -l /proc": "no proc file system is mounted on /proc",
    f"{EMPTY_FILE}stat": "found b''",
    "printf 'cpu  1 2 3\\n' > /mnt/stat && mount --bind /mnt/stat /proc/stat": "masked",
}


@pytest.mark.parametrize(("commands", "cause"), UNUSABLE.items())
@pytest.mark.parametrize(
    "command",
    [SAMPLE, (*SAMPLE, "--backend", "procfs"), (*SAMPLE, "--backend", "psutil"), CPUWATCH_SERVE],
    ids=["auto", "procfs", "psutil", "serve"],
)
def test_an_unusable_proc_stat_is_reported_in_one_line(commands: str, cause: str, command: tuple[str, ...]) -> None:
    done = with_proc(f"mount -t tmpfs none /mnt && {commands}", *command)
    assert (done.returncode, done.stdout) == (1, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("cpuwatch: ")
    assert "/proc/stat: " in line
    assert cause in line
    assert "listen" not in line


@pytest.mark.parametrize("backend", ["auto", "psutil"])
@pytest.mark.parametrize(
    ("commands", "is_missing"),
    [
        (f"{EMPTY_FILE}loadavg", {"load_average"}),
        (f"{EMPTY_FILE}sys/kernel/random/boot_id", {"boot_id"}),
        ("mount -t tmpfs none /proc/sys", {"boot_id"}),
        (f"mount -t tmpfs none /proc/sys && {EMPTY_FILE}loadavg", {"load_average", "boot_id"}),
    ],
)
def test_missing_optional_files_affect_only_their_values(backend: str, commands: str, is_missing: set[str]) -> None:
    done = with_proc(commands, *SAMPLE, "--backend", backend)
    assert (done.returncode, done.stderr) == (0, "")
    found = json.loads(done.stdout)
    if backend != "psutil":  # psutil uses sysinfo(2)
        assert (found["machine"]["load_average"] is None) == ("load_average" in is_missing)
    assert found["host"]["boot_id"].startswith("boot-") == ("boot_id" in is_missing)
    assert len(found["processes"]) > 1
    assert found["machine"]["cpu_percent"] is not None
