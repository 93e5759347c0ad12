"""Reads ``/proc/PID/cmdline``, for those who asked for command lines (proc_pid_cmdline(5))."""

from __future__ import annotations

import os
from hashlib import blake2b

from cpuwatch.redact import masked_command_line
from cpuwatch.text import text_from_bytes

__all__ = ["CommandLineReader"]

_MAX_BYTES = 4097
"""More than is shown, of whatever characters: so what is cut off here is never the end of what is shown."""

_MAX_REMEMBERED = 8192


class CommandLineReader:
    """Reads the file, and masks each text once: to find secrets costs ten times as much as to read it."""

    def __init__(self) -> None:
        # By a digest, so that no secret is kept.
        self._known: dict[bytes, str] = {}

    def read(self, directory: str) -> str | None:
        """That of the process with this directory, secrets masked; None for a kernel thread, a zombie, and if refused.

        Raises ``FileNotFoundError`` or ``ProcessLookupError`` if the process vanished.
        """
        try:
            fd = os.open(f"{directory}/cmdline", os.O_RDONLY | os.O_CLOEXEC)
        except PermissionError:
            return None
        try:
            raw = os.pread(fd, _MAX_BYTES, 0)
        finally:
            os.close(fd)
        if not raw:
            return None
        digest = blake2b(raw, digest_size=16).digest()
        line = self._known.get(digest)
        if line is None:
            if len(self._known) >= _MAX_REMEMBERED:
                self._known.clear()
            # A process may write over its arguments what it likes (setproctitle), also without any end.
            arguments = raw.removesuffix(b"\0").split(b"\0")
            line = self._known[digest] = masked_command_line(list(map(text_from_bytes, arguments)))
        return line
