"""Reads command lines from ``/proc/PID/cmdline`` (proc_pid_cmdline(5)) and masks their secrets."""

from __future__ import annotations

import os
from hashlib import blake2b

from cpuwatch.redact import masked_command_line
from cpuwatch.text import text_from_bytes

__all__ = ["CommandLineReader"]

_MAX_BYTES = 4097
"""More than is shown even of four-byte characters, so truncation here never affects what is shown."""

_MAX_REMEMBERED = 8192


class CommandLineReader:
    """Reads the file and caches the masked line by its content: masking costs ten times as much as reading."""

    def __init__(self) -> None:
        # The keys are digests, so that no secret stays in memory.
        self._known: dict[bytes, str] = {}

    def read(self, directory: str) -> str | None:
        """The masked command line of the process with this directory.

        None for a kernel thread or a zombie, and if permission is denied. Raises ``FileNotFoundError`` or
        ``ProcessLookupError`` if the process has exited.
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
            # A process can overwrite its arguments with anything (setproctitle), even without a final null byte.
            arguments = raw.removesuffix(b"\0").split(b"\0")
            line = self._known[digest] = masked_command_line(list(map(text_from_bytes, arguments)))
        return line
