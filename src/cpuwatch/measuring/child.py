"""Runs a command as a child, as a shell would see it run by ``env`` or ``time``, and reaps all its orphans.

The command stays in the process group and the session of cpuwatch. So it keeps the terminal, the kernel sends it
Ctrl-C and Ctrl-Z as well, and job control of the shell applies to both.
"""

from __future__ import annotations

import ctypes
import errno
import os
import signal
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from msgspec import Struct

__all__ = ["Child", "Reaped", "adopt_orphans"]

_PR_SET_CHILD_SUBREAPER = 36

_NOT_FORWARDED = {
    *(signal.SIGKILL, signal.SIGSTOP, signal.SIGCHLD),
    # The kernel sends these to the whole process group, and cpuwatch stops and continues with it.
    *(signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU, signal.SIGCONT, signal.SIGWINCH),
    # These are about cpuwatch itself.
    *(signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGTRAP, signal.SIGABRT, signal.SIGSYS),
    *(signal.SIGPIPE, signal.SIGXFSZ, signal.SIGXCPU),
}
_IGNORED_BY_PYTHON = (signal.SIGPIPE, signal.SIGXFSZ)
_NOT_FOUND = 127
_NOT_EXECUTABLE = 126


class Reaped(Struct, frozen=True, gc=False):
    """The CPU time of a child that was waited for, with the descendants that it waited for."""

    user_seconds: float
    system_seconds: float


def adopt_orphans() -> None:
    """Become the parent of all orphaned descendants from now on (prctl(2), PR_SET_CHILD_SUBREAPER)."""
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


class Child:
    """A command that is about to run: it waits until :meth:`release`.

    Signals are blocked from here on; :meth:`wait` receives them. ``on_zombie`` is called with the PID of each child
    before it is reaped, while its clock can still be read.
    """

    def __init__(self, command: Sequence[str], on_zombie: Callable[[int], object]) -> None:
        self._on_zombie = on_zombie
        self._strangers = _children()
        self._forwarded = signal.valid_signals() - _NOT_FORWARDED
        old_mask = signal.pthread_sigmask(signal.SIG_BLOCK, {*self._forwarded, signal.SIGCHLD})
        ignored = _ignored()
        # Whoever ignores SIGCHLD gets no exit codes.
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        go_read, self._go_write = os.pipe()
        self._failure_read, failure_write = os.pipe()
        self.pid: int = os.fork()
        if self.pid == 0:
            os.close(self._go_write)
            _become(command, go_read, failure_write, old_mask, ignored)
        os.close(go_read)
        os.close(failure_write)
        self.exit_code: int | None = None
        self.reaped: list[Reaped] = []

    def release(self) -> OSError | None:
        """Let the command run; returns the error if it cannot be executed."""
        os.close(self._go_write)
        with os.fdopen(self._failure_read, "rb") as pipe:
            number = pipe.read()
        return OSError(int(number), os.strerror(int(number))) if number else None

    def wait(self, timeout: float) -> None:
        """Forward signals and reap children, until the command has ended or the time is over."""
        received = signal.sigtimedwait({*self._forwarded, signal.SIGCHLD}, timeout)
        if received is None:
            return
        if received.si_signo != signal.SIGCHLD:
            self._forward(received)
        self.reap()

    def reap(self) -> None:
        """Reap all children that have exited. If the command was stopped, stop as well, so that its shell notices."""
        options = os.WEXITED | os.WSTOPPED | os.WNOHANG | os.WNOWAIT
        with suppress(ChildProcessError):
            while (status := os.waitid(os.P_ALL, 0, options)) is not None:
                if status.si_code == os.CLD_STOPPED:
                    os.waitid(os.P_PID, status.si_pid, os.WSTOPPED | os.WNOHANG)
                    if status.si_pid == self.pid:
                        self._stop()
                else:
                    self._reap_one(status.si_pid)

    def _reap_one(self, pid: int) -> None:
        if pid not in self._strangers:
            self._on_zombie(pid)
        _, status, used = os.wait4(pid, 0)
        if pid not in self._strangers:
            self.reaped.append(Reaped(used.ru_utime, used.ru_stime))
        if pid == self.pid:
            self.exit_code = _exit_code(status)

    def _forward(self, received: signal.struct_siginfo) -> None:
        # A positive code is the kernel's: the terminal has sent the signal to the whole process group.
        if received.si_code <= 0 and self.exit_code is None:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(self.pid, received.si_signo)

    def _stop(self) -> None:
        # The kernel ignores SIGTSTP where no shell could continue cpuwatch (an orphaned process group).
        os.kill(os.getpid(), signal.SIGTSTP)
        if self.exit_code is None:
            os.kill(self.pid, signal.SIGCONT)


def _become(
    command: Sequence[str], go: int, failure: int, mask: set[int | signal.Signals], ignored: set[signal.Signals]
) -> None:
    """In the child: wait for the parent, then become the command."""
    number = errno.EINVAL
    try:
        os.read(go, 1)
        for number_ in (*_IGNORED_BY_PYTHON, signal.SIGINT, signal.SIGCHLD):
            signal.signal(number_, signal.SIG_IGN if number_ in ignored else signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        os.execvp(command[0], list(command))  # noqa: S606  no shell is intended
    except OSError as error:
        number = error.errno or number
    except ValueError:
        number = errno.ENOENT  # An empty name.
    finally:
        os.write(failure, b"%d" % number)
        os._exit(_NOT_FOUND if number == errno.ENOENT else _NOT_EXECUTABLE)


def _ignored() -> set[signal.Signals]:
    """The signals that cpuwatch was started with as ignored. Python itself ignores two; whether they were is lost."""
    return {number for number in (signal.SIGINT, signal.SIGCHLD) if signal.getsignal(number) is signal.SIG_IGN}


def _children() -> set[int]:
    """The children that this process had before, if a shell became cpuwatch with exec. The command is not theirs."""
    pids: set[int] = set()
    for file in Path("/proc/self/task").glob("*/children"):
        with suppress(OSError):
            pids.update(map(int, file.read_text().split()))
    return pids


def _exit_code(status: int) -> int:
    code = os.waitstatus_to_exitcode(status)
    return 128 - code if code < 0 else code
