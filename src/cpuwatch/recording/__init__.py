"""The flight recorder: readings on disk, and snapshots of any moment made from them again.

Pure, from the bottom up: :mod:`~cpuwatch.recording.records` (what is stored of a tick),
:mod:`~cpuwatch.recording.difference` (a tick becomes a record), :mod:`~cpuwatch.recording.replay` (records become
snapshots), and the two encodings, :mod:`~cpuwatch.recording.log_format` and :mod:`~cpuwatch.recording.block`.
docs/recording-format.md describes them for readers in other languages. Above them are the directory, its writer and
its reader. The package imports the model, the accounting and :mod:`cpuwatch.history`; never a sampler or a clock.
"""
