"""Samplers: sources of raw counters behind one small protocol.

A package adds a sampler through the entry-point group ``cpuwatch.samplers``. The entry point names a callable without
arguments that returns a :class:`Sampler`. Samplers are imported when they are opened, not before.

:mod:`~cpuwatch.samplers.procfs` is the sampler for Linux, :mod:`~cpuwatch.samplers.psutil` the one for all other
systems, and :mod:`~cpuwatch.samplers.scripted` replays given readings. The other modules are what these share. The
package imports the model, text, redaction and :mod:`cpuwatch.accounting.reapers`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib import import_module
from types import TracebackType
from typing import Protocol, Self, runtime_checkable

from cpuwatch.errors import SamplerClosedError, SamplerUnavailableError, UnknownSamplerError
from cpuwatch.model import Reading

__all__ = ["OpenSampler", "Sampler", "open_sampler"]

ENTRY_POINT_GROUP = "cpuwatch.samplers"

_BUILT_IN = {
    "procfs": ("cpuwatch.samplers.procfs.sampler", "ProcfsSampler"),
    "psutil": ("cpuwatch.samplers.psutil", "PsutilSampler"),
}


@runtime_checkable
class Sampler(Protocol):
    """What every sampler provides. It is used from one thread at a time."""

    def read(self) -> Reading:
        """Read the counters of the machine and of every process."""
        ...

    def close(self) -> None:
        """Release all resources. Called once."""
        ...


class OpenSampler:
    """A context manager around a sampler, which closes it once and refuses to read it afterwards."""

    def __init__(self, sampler: Sampler) -> None:
        self._sampler: Sampler | None = sampler

    def read(self) -> Reading:
        """Read the counters of the machine and of every process.

        Raises :class:`SamplerClosedError` after ``close()``.
        """
        if self._sampler is None:
            raise SamplerClosedError("this sampler is closed: open a new one with cpuwatch.open_sampler()")
        return self._sampler.read()

    def close(self) -> None:
        """Release all resources; a second call does nothing."""
        sampler, self._sampler = self._sampler, None
        if sampler is not None:
            sampler.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def open_sampler(name: str = "auto", *, command_lines: bool = False) -> OpenSampler:
    """Open a sampler: ``"auto"``, ``"procfs"``, ``"psutil"`` or the name of an entry point.

    ``"auto"`` is procfs on Linux. It is psutil on other systems, and on Linux without a usable /proc.
    ``command_lines`` also reads command lines, with secrets masked; only procfs and psutil can do that.
    Raises :class:`UnknownSamplerError` for an unknown name, and :class:`SamplerUnavailableError` if the sampler does
    not work here.
    """
    if name == "auto":
        return _open_best(command_lines)
    factory = _factory(name)
    if command_lines and name not in _BUILT_IN:
        raise SamplerUnavailableError(
            f"the sampler {name!r} cannot read command lines: only {' and '.join(_BUILT_IN)} can"
        )
    # The factory of an entry point takes no arguments.
    return OpenSampler(factory(command_lines=True) if command_lines else factory())


def _open_best(command_lines: bool) -> OpenSampler:
    if sys.platform != "linux":
        return open_sampler("psutil", command_lines=command_lines)
    try:
        return open_sampler("procfs", command_lines=command_lines)
    except SamplerUnavailableError as error:
        unavailable = error
    try:
        return open_sampler("psutil", command_lines=command_lines)
    except SamplerUnavailableError as error:
        if str(error) == str(unavailable):
            raise
        raise SamplerUnavailableError(f"{unavailable}; psutil: {error}") from error


def _factory(name: str) -> Callable[..., Sampler]:
    factory: Callable[..., Sampler]
    if name in _BUILT_IN:
        module, attribute = _BUILT_IN[name]
        factory = getattr(import_module(module), attribute)
        return factory
    # Reading the metadata of installed packages takes milliseconds: only for names that are not built in.
    from importlib.metadata import entry_points  # noqa: PLC0415

    offered = entry_points(group=ENTRY_POINT_GROUP)
    if name not in offered.names:
        names = ", ".join(sorted({"auto", *_BUILT_IN, *offered.names}))
        raise UnknownSamplerError(f"unknown sampler {name!r}: must be one of {names}")
    factory = offered[name].load()
    return factory
