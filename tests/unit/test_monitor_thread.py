"""The sampling thread survives any exception of a sampler."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest
from readings import SECOND, process, reading

from cpuwatch import Monitor, Reading

TIMEOUT = 30.0


class Unprintable(Exception):  # noqa: N818
    def __str__(self) -> str:
        raise RuntimeError("no text either")


class Failing:
    """Fails at its second reading."""

    def __init__(self, error: BaseException) -> None:
        self._readings = self._script(error)

    def _script(self, error: BaseException) -> Iterator[Reading | BaseException]:
        yield reading(process())
        yield error
        for number in range(1, 1000):
            yield reading(process(cpu_ns=number), at_ns=(100 + number) * SECOND)

    def read(self) -> Reading:
        made = next(self._readings)
        if isinstance(made, BaseException):
            raise made
        return made

    def close(self) -> None:
        pass


@pytest.mark.parametrize(
    ("error", "told"),
    [
        # A thread that raises it ends without a word.
        (SystemExit(3), "SystemExit: 3"),
        (MemoryError(), "MemoryError"),
        (Unprintable(), "Unprintable: <exception str() failed>"),
    ],
)
def test_any_exception_of_the_sampler_fails_one_tick_and_sampling_continues(
    error: BaseException, told: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR), Monitor(0.001, sampler=Failing(error)) as monitor:
        snapshot = monitor.wait(after=0, timeout=TIMEOUT)
        assert snapshot is not None
        assert snapshot.sampling.failed_ticks == 1
    assert any(told in record.getMessage() for record in caplog.records)
