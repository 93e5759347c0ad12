"""A sampler that replays given readings: a test double for code built on cpuwatch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from cpuwatch.errors import ScriptEndedError
from cpuwatch.model import Reading

__all__ = ["ScriptedSampler"]


class ScriptedSampler:
    """Returns the given readings one by one. An exception in the script is raised instead of returned.

    After the last reading ``read()`` raises :class:`~cpuwatch.errors.ScriptEndedError`. The script may be a generator,
    so a test can make a reading depend on what happened before it.
    """

    def __init__(self, script: Iterable[Reading | Exception]) -> None:
        self._script: Iterator[Reading | Exception] = iter(script)
        self.reads: int = 0
        self.closed: bool = False

    def read(self) -> Reading:
        """Return the next reading of the script."""
        for step in self._script:
            self.reads += 1
            if isinstance(step, Exception):
                raise step
            return step
        raise ScriptEndedError(f"the script ended after {self.reads} readings")

    def close(self) -> None:
        """Set ``closed``."""
        self.closed = True
