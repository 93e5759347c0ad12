"""Everything that cpuwatch raises on purpose, as one tree.

::

    CpuwatchError
    ├── SamplerError
    │   ├── UnknownSamplerError      (also ValueError)   no backend of that name
    │   ├── SamplerUnavailableError                      the backend cannot work on this machine
    │   ├── SamplerClosedError                           read() after close()
    │   └── ScriptEndedError                             a scripted sampler has nothing more to replay
    ├── ReadingOrderError            (also ValueError)   usage() of readings that do not follow each other
    ├── MonitorError
    │   ├── MonitorClosedError                           start() of a monitor that was closed
    │   └── MonitorForkedError                           used in a process that forked off its owner
    ├── DecodeError                  (also ValueError)   bytes that are no snapshot
    ├── QueryError                   (also ValueError)   a query that cannot be answered
    │   └── PatternError                                 a pattern for names that is none
    ├── NotFoundError                                    a process or user named by a filter does not exist
    ├── NotAcceptableError                               no format that is offered is wanted
    ├── SettingsError                (also ValueError)   an unknown setting, or a value out of its range
    ├── ListenError                                      the server cannot listen where it was told to
    ├── OutputError                                      a command cannot write its output
    └── MissingExtraError            (also ImportError)  an optional part is not installed

A process that vanishes while it is being read is no error and appears nowhere in this tree.
"""


class CpuwatchError(Exception):
    """Root of the tree: ``except CpuwatchError`` catches all that cpuwatch raises on purpose."""


class SamplerError(CpuwatchError):
    """A backend could not be opened or read."""


class UnknownSamplerError(SamplerError, ValueError):
    """No backend goes by that name; the message lists the names there are."""


class SamplerUnavailableError(SamplerError):
    """The backend exists but cannot work here; the message says what it misses."""


class SamplerClosedError(SamplerError):
    """``read()`` was called after ``close()``."""


class ScriptEndedError(SamplerError):
    """A :class:`~cpuwatch.ScriptedSampler` was read more often than it has readings."""


class ReadingOrderError(CpuwatchError, ValueError):
    """``usage(earlier, later)`` was given readings of two boots, or the later one first."""


class MonitorError(CpuwatchError):
    """A monitor was used in a way it cannot serve."""


class MonitorClosedError(MonitorError):
    """A closed monitor was started again."""


class MonitorForkedError(MonitorError):
    """The monitor's thread stayed in the parent process of a fork."""


class DecodeError(CpuwatchError, ValueError):
    """The bytes are not the JSON of a snapshot; the message names the place."""


class QueryError(CpuwatchError, ValueError):
    """A query asks for what there is not; the message says what there is."""


class PatternError(QueryError):
    """A pattern for names that is too long, or no regular expression."""


class NotFoundError(CpuwatchError):
    """A filter names a process or a user that does not exist."""


class NotAcceptableError(CpuwatchError):
    """The client takes none of the formats; the message lists them."""


class SettingsError(CpuwatchError, ValueError):
    """A setting is unknown or its value is out of range; the message names it and what is allowed."""


class ListenError(CpuwatchError):
    """The server cannot listen at an address; the message names it and the reason."""


class OutputError(CpuwatchError):
    """The standard output is closed or full."""


class MissingExtraError(CpuwatchError, ImportError):
    """An optional part needs packages that are not installed; the message says which to install."""
