"""Listening on a unix socket without taking it from a server that is running."""

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
"""sun_path of unix(7) without its final zero."""


@contextmanager
def unix_listener(path: Path, backlog: int) -> Iterator[socket.socket]:
    """A socket that listens at ``path``; at the end of the block its file is removed, if it is still the same one.

    A file that a server left behind is replaced. Raises ``OSError`` if a server is listening there (its message names
    the process), or if the file is not a socket.
    """
    if len(os.fsencode(path)) > _MAX_PATH_BYTES:
        raise OSError(errno.ENAMETOOLONG, f"the path is longer than {_MAX_PATH_BYTES} bytes")
    place = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with _locked(path.parent):
            _remove_stale(path)
            place.bind(os.fspath(path))
            # Before the lock is released: a socket that does not listen looks as if nobody had it.
            place.listen(backlog)
        place.setblocking(False)
        own = _identity(path)
    except OSError:
        place.close()
        raise
    try:
        yield place
    finally:
        with suppress(OSError):  # it is gone, or somebody else has its folder now
            if _identity(path) == own:
                path.unlink()


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Of several that start at once, only one at a time looks for a stale file and replaces it."""
    with ExitStack() as stack:
        # Without it where the folder cannot be read or the file system has no such locks: it is for a rare race.
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
        raise OSError(errno.EEXIST, "a file that is not a socket is there; move it away or choose another path")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        # Not to wait for a server whose backlog is full: it is there, and connect(2) says EAGAIN.
        probe.setblocking(False)
        try:
            probe.connect(os.fspath(path))
        except ConnectionRefusedError:
            path.unlink()
        except BlockingIOError:
            raise OSError(errno.EADDRINUSE, "another server listens there, and is busy") from None
        except OSError as error:
            raise OSError(error.errno, f"something is there that cannot be tried: {error.strerror}") from None
        else:
            raise OSError(errno.EADDRINUSE, f"already in use by {_owner(probe)}")


def _owner(connected: socket.socket) -> str:
    """The process that listens (``SO_PEERCRED``, unix(7)), which has no number here in another PID namespace."""
    size = struct.calcsize("3i")
    pid, _, _ = struct.unpack("3i", connected.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size))
    return f"process {pid}" if pid else "a process of another PID namespace"


def _identity(path: Path) -> tuple[int, int]:
    found = path.lstat()
    return found.st_dev, found.st_ino
