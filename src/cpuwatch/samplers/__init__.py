"""Backends: where the raw counters come from, behind one small protocol.

A third party offers a backend under the entry-point group ``cpuwatch.samplers``: a callable without arguments that
returns a :class:`Sampler`. Backends are imported when they are opened, not before.
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
    """All that a backend has to be. It is used from one thread at a time."""

    def read(self) -> Reading:
        """Read the machine and every process now."""
        ...

    def close(self) -> None:
        """Give back what the backend holds. Called once."""
        ...


class OpenSampler:
    """A backend in use: a context manager that closes it once and says so when it is read afterwards."""

    def __init__(self, sampler: Sampler) -> None:
        self._sampler: Sampler | None = sampler

    def read(self) -> Reading:
        """Read the machine and every process now. Raises :class:`SamplerClosedError` after ``close()``."""
        if self._sampler is None:
            raise SamplerClosedError("this sampler was closed: open another with cpuwatch.open_sampler()")
        return self._sampler.read()

    def close(self) -> None:
        """Give back what the backend holds; a second call does nothing."""
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
    """Open a backend: ``"auto"``, ``"procfs"``, ``"psutil"`` or the name of an entry point.

    ``auto`` is procfs on Linux, psutil elsewhere and where there is no usable /proc. ``command_lines``, with secrets
    masked, are read only if asked for, and by these two only.
    Raises :class:`UnknownSamplerError`, or :class:`SamplerUnavailableError` if the backend cannot do that here.
    """
    if name == "auto":
        return _open_best(command_lines)
    factory = _factory(name)
    if command_lines and name not in _BUILT_IN:
        raise SamplerUnavailableError(f"{name!r} reads no command lines; {' and '.join(_BUILT_IN)} do")
    # A backend of a third party takes no arguments.
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
    # Reading the installed packages' metadata takes milliseconds, so only for a name that is not ours.
    from importlib.metadata import entry_points  # noqa: PLC0415

    offered = entry_points(group=ENTRY_POINT_GROUP)
    if name not in offered.names:
        names = ", ".join(sorted({"auto", *_BUILT_IN, *offered.names}))
        raise UnknownSamplerError(f"no sampler is called {name!r}; there are: {names}")
    factory = offered[name].load()
    return factory
