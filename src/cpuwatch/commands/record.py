"""``cpuwatch record``: records every tick in a directory, until it is told to stop."""

from __future__ import annotations

import argparse
import logging
import os
from pathlib import Path

from cpuwatch.commands.flags import add_log_format_flag, add_retention_flags, add_sampling_flags, settings_from
from cpuwatch.commands.until_signal import until_signal
from cpuwatch.environment import warnings_about
from cpuwatch.monitor import Monitor
from cpuwatch.recording.recorder import Recorder
from cpuwatch.recording.retention import RecordingLimits
from cpuwatch.samplers import open_sampler

__all__ = ["add_record"]

_FIELDS = ("interval", "backend", "command_lines", "log_format", "record_max_bytes", "record_max_age")

_log = logging.getLogger("cpuwatch.record")


def add_record(parser: argparse.ArgumentParser) -> None:
    """Add the flags of the command."""
    parser.set_defaults(run=_run)
    parser.add_argument("directory", type=Path, metavar="DIR", help="directory of the recording; created if missing")
    add_retention_flags(parser.add_argument_group("limits"))
    add_sampling_flags(parser)
    add_log_format_flag(parser.add_argument_group("log"))


def _run(options: argparse.Namespace) -> None:
    settings = settings_from(options, _FIELDS)
    limits = RecordingLimits(settings.record_max_bytes, settings.record_max_age)
    with (
        until_signal(_log, "the recorder", settings.log_format) as stop,
        open_sampler(settings.backend, command_lines=settings.command_lines) as sampler,
    ):
        for warning in warnings_about(os.environ):
            _log.warning("%s", warning)
        monitor = Monitor(settings.interval, 1, sampler)
        with Recorder(options.directory, limits) as recorder:
            monitor.follow_ticks(recorder.record)
            with monitor:
                _log.info("recording to %s, at most %d bytes", options.directory, limits.max_bytes)
                stop.wait()
        health = recorder.health
        _log.info("recorded %d ticks, lost %d", health.recorded_ticks, health.lost_ticks)
