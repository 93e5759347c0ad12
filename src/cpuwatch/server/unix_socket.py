"""Listens on a unix socket without taking it from a running server."""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import stat
import struct
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

__all__ = ["unix_listener"]

_MAX_PATH_BYTES = 107
"""``sun_path`` of unix(7), without its terminating null byte."""


@contextmanager
def unix_listener(path: Path, backlog: int) -> Iterator[socket.socket]:
    """A socket that listens at ``path``; the end of the block removes its file, unless another one took its place.

    Replaces a socket file that a server left behind. Raises ``OSError`` if a server listens there (the message names
    its process), or if the file is not a socket.
    """
    if len(os.fsencode(path)) > _MAX_PATH_BYTES:
        raise OSError(errno.ENAMETOOLONG, f"the path is longer than {_MAX_PATH_BYTES} bytes")
    place = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with _locked(path.parent):
            _remove_stale(path)
            place.bind(os.fspath(path))
            # Before the lock is released: a socket that does not listen looks stale to others.
            place.listen(backlog)
        place.setblocking(False)
        own = _identity(path)
    except OSError:
        place.close()
        raise
    try:
        yield place
    finally:
        with suppress(OSError):  # the file or its folder is gone
            if _identity(path) == own:
                path.unlink()


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Let only one of several servers that start at once look for a stale file and replace it."""
    with ExitStack() as stack:
        # Go on without the lock where the folder is unreadable or the file system has no locks: the race is rare.
        with suppress(OSError):
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            stack.callback(os.close, descriptor)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield


def _remove_stale(path: Path) -> None:
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise OSError(errno.EEXIST, "the file exists and is not a socket; move it away or choose another path")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        # Non-blocking: for a server whose backlog is full, connect(2) fails with EAGAIN instead of waiting.
        probe.setblocking(False)
        try:
            probe.connect(os.fspath(path))
        except ConnectionRefusedError:
            path.unlink()
        except BlockingIOError:
            raise OSError(errno.EADDRINUSE, "in use by another server, which is busy") from None
        except OSError as error:
            raise OSError(error.errno, f"cannot connect to the existing socket: {error.strerror}") from None
        else:
            raise OSError(errno.EADDRINUSE, f"already in use by {_owner(probe)}")


def _owner(connected: socket.socket) -> str:
    """The process that listens (``SO_PEERCRED``, unix(7)); its PID is 0 if it is outside this PID namespace."""
    size = struct.calcsize("3i")
    pid, _, _ = struct.unpack("3i", connected.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size))
    return f"process {pid}" if pid else "a process in another PID namespace"


def _identity(path: Path) -> tuple[int, int]:
    found = path.lstat()
    return found.st_dev, found.st_ino
