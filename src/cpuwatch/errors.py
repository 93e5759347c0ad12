"""Everything that cpuwatch raises on purpose, as one tree.

::

    CpuwatchError
    ├── SamplerError
    │   ├── UnknownSamplerError      (also ValueError)   no sampler has that name
    │   ├── SamplerUnavailableError                      the sampler does not work on this machine
    │   ├── NotPermittedError                            a process cannot be read without more privileges
    │   ├── SamplerClosedError                           read() after close()
    │   └── ScriptEndedError                             a scripted sampler has no more readings
    ├── ReadingOrderError            (also ValueError)   two readings in the wrong order, or of different boots
    ├── MonitorError
    │   ├── MonitorNotStartedError                       read before start()
    │   ├── MonitorClosedError                           start() after close()
    │   └── MonitorForkedError                           used in a child process of its owner
    ├── MeasurementError                                 a measurement is not started, in use, or of a generator
    ├── RecordingError
    │   ├── NotARecordingError                           the directory holds no recording, or one of a newer version
    │   ├── RecordingLockedError                         another process writes to it
    │   └── RecordingDamagedError                        a part of it cannot be read
    ├── ExportError                                      an export would overwrite files, or there is nothing to export
    ├── ShipError                                        a target cannot be shipped to
    ├── DecodeError                  (also ValueError)   the bytes are not a snapshot
    ├── QueryError                   (also ValueError)   an invalid query
    │   └── PatternError                                 an invalid name pattern
    ├── NotFoundError                                    a process or user that was named does not exist
    ├── NotAcceptableError                               none of the accepted formats is available
    ├── SettingsError                (also ValueError)   an unknown setting, or an invalid value
    ├── ListenError                                      the server cannot listen on an address
    ├── OutputError                                      the standard output cannot be written to
    └── MissingExtraError            (also ImportError)  an optional dependency is not installed

A process that vanishes while it is being read is not an error.
"""


class CpuwatchError(Exception):
    """Root of the tree: ``except CpuwatchError`` catches everything that cpuwatch raises on purpose."""


class SamplerError(CpuwatchError):
    """A sampler could not be opened or read."""


class UnknownSamplerError(SamplerError, ValueError):
    """No sampler has that name; the message lists the known names."""


class SamplerUnavailableError(SamplerError):
    """The sampler does not work on this machine; the message names what is missing."""


class NotPermittedError(SamplerError):
    """A process cannot be read without more privileges; the message names it, and the reason if it is known."""


class SamplerClosedError(SamplerError):
    """``read()`` was called after ``close()``."""


class ScriptEndedError(SamplerError):
    """A :class:`~cpuwatch.ScriptedSampler` has no more readings."""


class ReadingOrderError(CpuwatchError, ValueError):
    """Two readings are in the wrong order, or from different boots."""


class MonitorError(CpuwatchError):
    """A monitor was used in a state in which it cannot work."""


class MonitorNotStartedError(MonitorError):
    """A monitor was read before it was started."""


class MonitorClosedError(MonitorError):
    """A closed monitor was started again."""


class MonitorForkedError(MonitorError):
    """A monitor was used in a child process: its thread stayed in the parent."""


class MeasurementError(CpuwatchError):
    """A measurement was used before its block, twice at once, or on a generator."""


class RecordingError(CpuwatchError):
    """A recording cannot be opened, read or written."""


class NotARecordingError(RecordingError):
    """The path is not a directory with a recording, or the recording is of a newer version."""


class RecordingLockedError(RecordingError):
    """Another process writes to the recording; the message names it."""


class RecordingDamagedError(RecordingError):
    """A part of a recording cannot be read; the message names the file and the place."""


class ExportError(CpuwatchError):
    """An export would overwrite files, or has no place or no content; the message says what to do."""


class ShipError(CpuwatchError):
    """Files cannot be brought to a directory or a bucket; the message names it and the reason."""


class DecodeError(CpuwatchError, ValueError):
    """The bytes are not the JSON of a snapshot; the message says where."""


class QueryError(CpuwatchError, ValueError):
    """A query names something unknown or is inconsistent; the message says what is allowed."""


class PatternError(QueryError):
    """A name pattern is too long, or is not a valid regular expression."""


class NotFoundError(CpuwatchError):
    """A process or a user that was named does not exist."""


class NotAcceptableError(CpuwatchError):
    """None of the accepted formats is available; the message lists the available ones."""


class SettingsError(CpuwatchError, ValueError):
    """A setting is unknown, or its value is invalid; the message says what is allowed."""


class ListenError(CpuwatchError):
    """The server cannot listen on an address; the message names it and the reason."""


class OutputError(CpuwatchError):
    """The standard output is closed, or cannot be written to."""


class MissingExtraError(CpuwatchError, ImportError):
    """An optional dependency is not installed; the message says what to install."""
