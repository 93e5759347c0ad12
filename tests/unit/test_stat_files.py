from __future__ import annotations

import errno
import os
import resource
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cpuwatch.samplers.procfs.stat_files import STAT_BYTES, StatFiles, max_open_files

SWEEP = -1
"""Stands for the end of a sweep in a list of PIDs to read."""


def open_files(under: Path) -> dict[str, int]:
    """The files below this directory that this process has open, by descriptor."""
    found = {}
    for link in Path("/proc/self/fd").iterdir():
        # The descriptor of the listing itself is closed by now.
        with suppress(FileNotFoundError):
            found[str(link.readlink())] = int(link.name)
    return {path: fd for path, fd in found.items() if path.startswith(f"{under}/")}


@pytest.fixture
def children() -> Iterator[list[subprocess.Popen[bytes]]]:
    """Two processes that run until they are ended or their standard input closes."""
    with (
        subprocess.Popen(["cat"], stdin=subprocess.PIPE) as one,
        subprocess.Popen(["cat"], stdin=subprocess.PIPE) as other,
    ):
        yield [one, other]


@given(st.integers(0, 6), st.lists(st.integers(0, 8) | st.just(SWEEP)))
def test_files_read_in_this_sweep_or_the_last_stay_open_up_to_the_limit(most: int, steps: list[int]) -> None:
    with TemporaryDirectory() as directory:
        folder = Path(directory).resolve()
        files = StatFiles(most)
        this: set[int] = set()
        last: set[int] = set()
        for step in steps:
            if step == SWEEP:
                files.end_sweep()
                last, this = this, set()
            else:
                path = folder / str(step)
                path.write_bytes(b"%d" % step)
                assert files.read(step, str(path)) == b"%d" % step
                held = step in this | last
                last.discard(step)
                if held or len(this | last) < most:
                    this.add(step)
            assert open_files(folder).keys() == {str(folder / str(pid)) for pid in this | last}
            assert len(this | last) <= most
        files.close()
        assert open_files(folder) == {}


def test_an_open_file_is_read_again_each_time(tmp_path: Path) -> None:
    path = tmp_path / "stat"
    files = StatFiles(8)
    for text in (b"first", b"second, and longer", b"third"):
        path.write_bytes(text)
        assert files.read(7, str(path)) == text
    files.close()


def test_an_open_file_is_not_looked_up_again(tmp_path: Path) -> None:
    path = tmp_path / "stat"
    path.write_bytes(b"held")
    files = StatFiles(8)
    files.read(7, str(path))
    path.unlink()
    assert files.read(7, str(path)) == b"held"
    files.close()


def test_child_programs_inherit_no_file(tmp_path: Path) -> None:
    path = tmp_path / "stat"
    path.write_bytes(b"x")
    files = StatFiles(8)
    files.read(7, str(path))
    [fd] = open_files(tmp_path).values()
    assert not os.get_inheritable(fd)
    files.close()


def test_after_an_exit_the_process_that_reused_the_pid_is_read(children: list[subprocess.Popen[bytes]]) -> None:
    one, other = children
    files = StatFiles(8)
    before = files.read(7, f"/proc/{one.pid}/stat")
    assert before.startswith(b"%d " % one.pid)
    one.kill()
    os.waitid(os.P_PID, one.pid, os.WEXITED | os.WNOWAIT)
    # A zombie is still the same process.
    assert b") Z " in files.read(7, f"/proc/{one.pid}/stat")
    one.wait()
    # The open file fails now. The file at the path belongs to another process, as if that had taken the PID.
    assert files.read(7, f"/proc/{other.pid}/stat").startswith(b"%d " % other.pid)
    held = open_files(Path("/proc"))
    assert f"/proc/{other.pid}/stat" in held
    assert not any(str(one.pid) in link for link in held)
    files.close()
    assert open_files(Path("/proc")).keys() == held.keys() - {f"/proc/{other.pid}/stat"}


def test_an_exit_without_pid_reuse_raises_and_leaves_nothing_open(
    children: list[subprocess.Popen[bytes]],
) -> None:
    one, _ = children
    before = len(os.listdir("/proc/self/fd"))
    files = StatFiles(8)
    files.read(one.pid, f"/proc/{one.pid}/stat")
    one.kill()
    one.wait()
    for _ in range(2):
        with pytest.raises((FileNotFoundError, ProcessLookupError)):
            files.read(one.pid, f"/proc/{one.pid}/stat")
        assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize("reason", [errno.ESRCH, errno.EIO, errno.ENOMEM, errno.EPERM])
def test_an_unreadable_file_is_closed(reason: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "stat"
    path.write_bytes(b"x")
    files = StatFiles(8)
    files.read(7, str(path))

    def fail(_fd: int, _size: int, _offset: int) -> bytes:
        raise OSError(reason, os.strerror(reason))

    with monkeypatch.context() as patch:
        patch.setattr(os, "pread", fail)
        for pid in (7, 8):
            with pytest.raises(OSError, match=r".") as failed:
                files.read(pid, str(path))
            assert failed.value.errno == reason
    assert open_files(tmp_path) == {}
    assert files.read(7, str(path)) == b"x"
    files.close()


def test_a_directory_is_refused_and_closed(tmp_path: Path) -> None:
    files = StatFiles(8)
    (tmp_path / "stat").mkdir()
    with pytest.raises(IsADirectoryError):
        files.read(7, str(tmp_path / "stat"))
    assert open_files(tmp_path) == {}


def test_the_buffer_holds_the_longest_stat_of_this_machine() -> None:
    lengths = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        # Other processes may exit meanwhile.
        with suppress(FileNotFoundError, ProcessLookupError):
            lengths.append(len(path.read_bytes()))
    assert 0 < max(lengths) < STAT_BYTES // 2


@pytest.mark.parametrize(("limit", "most"), [(64, 16), (1024, 256), (3, 0), (resource.RLIM_INFINITY, 4096)])
def test_at_most_a_quarter_of_the_descriptor_limit_is_used(
    limit: int, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (limit, resource.RLIM_INFINITY))
    assert max_open_files() == most
