"""A sampler that replays given readings: the test double for code that is built on cpuwatch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from cpuwatch.errors import ScriptEndedError
from cpuwatch.model import Reading

__all__ = ["ScriptedSampler"]


class ScriptedSampler:
    """Hands out the given readings one by one; an exception among them is raised in its place.

    After the last one ``read()`` raises :class:`~cpuwatch.errors.ScriptEndedError`. The readings may come from a
    generator, so a test can let them depend on what happened meanwhile.
    """

    def __init__(self, script: Iterable[Reading | Exception]) -> None:
        self._script: Iterator[Reading | Exception] = iter(script)
        self.reads = 0
        self.closed = False

    def read(self) -> Reading:
        """The next reading of the script."""
        for step in self._script:
            self.reads += 1
            if isinstance(step, Exception):
                raise step
            return step
        raise ScriptEndedError(f"the script ended after {self.reads} readings")

    def close(self) -> None:
        """Remembers that it was called, in ``closed``."""
        self.closed = True
