"""The live source of the terminal."""

from __future__ import annotations

import threading

import pytest
from readings import process, reading

from cpuwatch import Monitor, Reading
from cpuwatch.terminal import sources
from cpuwatch.terminal.sources import LiveSource


class SlowSampler:
    """A sampler that reads when it is released, and notes that it has read."""

    def __init__(self) -> None:
        self.release = threading.Event()
        self.has_read = False

    def read(self) -> Reading:
        self.release.wait(30)
        self.has_read = True
        return reading(process())

    def close(self) -> None:
        pass


def test_it_begins_with_the_first_reading(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "_FIRST_READING_SECONDS", 30.0)
    sampler = SlowSampler()
    releasing = threading.Timer(0.1, sampler.release.set)
    releasing.start()
    with LiveSource(Monitor(sampler=sampler)):
        assert sampler.has_read
    releasing.join()
