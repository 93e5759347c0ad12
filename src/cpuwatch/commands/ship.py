"""``cpuwatch ship``: exports the closed blocks of a recording to a directory or a bucket, once or as they come.

It is a process beside the one that records, so it never delays a tick, and may run under another user.
"""

from __future__ import annotations

import argparse
import logging
import os
import threading
from pathlib import Path

from cpuwatch.commands.flags import add_log_format_flag, settings_from, typed
from cpuwatch.commands.standard_streams import complain
from cpuwatch.commands.until_signal import until_signal
from cpuwatch.encoding.arrow import import_pyarrow
from cpuwatch.errors import ShipError
from cpuwatch.quantities import parse_size
from cpuwatch.recording.reader import Recording, open_recording
from cpuwatch.recording.ship import progress_path, read_progress, ship_blocks
from cpuwatch.recording.ship_targets import Target, open_target, parse_target

__all__ = ["add_ship"]

_LOOK_SECONDS = 15.0
_RETRY_SECONDS = (1.0, 300.0)
_ATTEMPTS = 4
_NICENESS = 10

_log = logging.getLogger("cpuwatch.ship")


def add_ship(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.set_defaults(run=_run)
    parser.add_argument("directory", type=Path, metavar="DIR", help="the recording")
    parser.add_argument(
        "target", type=typed(parse_target), metavar="TARGET", help="a directory, or a bucket such as s3://bucket/prefix"
    )
    group = parser.add_argument_group("shipping")
    group.add_argument("--follow", action="store_true", help="ship new blocks as they are closed, until stopped")
    group.add_argument(
        "--bytes-per-second",
        type=typed(_parse_rate),
        metavar="SIZE",
        help="bandwidth on average, such as 100kB; one file goes at once (default: no limit)",
    )
    group.add_argument(
        "--progress-file",
        type=Path,
        metavar="FILE",
        help="where to note what was shipped (default: a file shipped-*.json in DIR)",
    )
    add_log_format_flag(parser.add_argument_group("log"))


def _parse_rate(text: str) -> int:
    return parse_size("bandwidth", text, 1000, 10**12)


def _run(options: argparse.Namespace) -> int:
    settings = settings_from(options, ("log_format",))
    import_pyarrow()
    recording = open_recording(options.directory)
    target = open_target(options.target, os.environ)
    os.nice(_NICENESS)
    # If an upload hangs at the end, its block is shipped again.
    with until_signal(_log, "the shipment", settings.log_format) as stop:
        failed = _ship_until(stop, recording, target, options)
        for part in recording.damage:
            _log.warning("%s is damaged from byte %d to %d: the rest was shipped", part.path, part.begin, part.end)
    if failed is not None:
        complain(str(failed))
    return 0 if failed is None else 1


def _ship_until(
    stop: threading.Event, recording: Recording, target: Target, options: argparse.Namespace
) -> ShipError | None:
    """Ship what there is, and with ``--follow`` what comes. Returns the error if the attempts are used up."""
    attempts, pause_seconds = 0, _RETRY_SECONDS[0]
    while not stop.is_set():
        try:
            _ship_now(stop, recording, target, options)
        except ShipError as error:
            attempts += 1
            if attempts >= _ATTEMPTS and not options.follow:
                return error
            # One line for a failure that lasts.
            _log.log(logging.WARNING if attempts == 1 else logging.DEBUG, "%s; trying again", error)
            stop.wait(pause_seconds)
            pause_seconds = min(2 * pause_seconds, _RETRY_SECONDS[1])
            continue
        if not options.follow:
            return None
        if attempts:
            _log.info("shipping works again, after %d failures", attempts)
        attempts, pause_seconds = 0, _RETRY_SECONDS[0]
        stop.wait(_LOOK_SECONDS)
    return None


def _ship_now(stop: threading.Event, recording: Recording, target: Target, options: argparse.Namespace) -> None:
    path = options.progress_file or progress_path(options.directory, options.target)
    rate = options.bytes_per_second

    def pace(size_bytes: int) -> None:
        if rate is not None:
            stop.wait(size_bytes / rate)

    blocks = files = size_bytes = 0
    for shipment in ship_blocks(recording, target, read_progress(path, options.target), path, pace):
        blocks, files, size_bytes = blocks + 1, files + shipment.files, size_bytes + shipment.size_bytes
        if stop.is_set():
            break
    if blocks or not options.follow:
        lost = read_progress(path, options.target).lost_blocks
        _log.info(
            "shipped %d blocks as %d files of %d bytes to %s; %d blocks lost so far",
            blocks, files, size_bytes, options.target, lost,
        )  # fmt: skip
