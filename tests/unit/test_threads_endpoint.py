"""``/cpu_usage/{pid}/threads`` without real processes: what is answered when threads cannot be measured."""

from __future__ import annotations

import asyncio
from pathlib import Path

import httpx
import pytest
from asgi_client import get, service
from small_recordings import busy_ticks, write_recording

from cpuwatch.errors import CpuwatchError, NotFoundError, NotPermittedError, SamplerError
from cpuwatch.playback import Playback
from cpuwatch.recording.reader import open_recording
from cpuwatch.thread_usage import ThreadReading
from cpuwatch.web.state import Live

PATH = "/cpu_usage/7/threads"


class Failing:
    def __init__(self, error: CpuwatchError) -> None:
        self._error = error

    def read(self, _: int) -> ThreadReading:
        raise self._error


def answer(path: str, error: CpuwatchError | None = None) -> httpx.Response:
    """The response of a service whose sampler is a scripted one, or whose threads cannot be read because of this."""

    async def ask() -> httpx.Response:
        async with service() as running:
            if error is not None:
                assert running.live.threads is not None
                running.live.threads._open_reader = lambda: Failing(error)
            return await get(running.live, path)

    return asyncio.run(ask())


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (NotFoundError("no process with PID 7"), 404),
        (NotPermittedError("the threads of process 7 cannot be read"), 403),
        (SamplerError("the threads of process 7 cannot be read: too many open files"), 503),
    ],
)
def test_an_error_of_the_reader_has_its_status_and_message(error: CpuwatchError, status: int) -> None:
    response = answer(PATH, error)
    assert response.status_code == status
    assert response.json()["detail"] == str(error)
    assert ("retry-after" in response.headers) == (status == 503)


def test_a_sampler_that_does_not_read_threads_is_named() -> None:
    response = answer(PATH)
    assert response.status_code == 404
    assert response.json()["detail"].startswith("the sampler 'scripted' does not read threads")


@pytest.mark.parametrize("path", [f"{PATH}?at=2026-01-01T00:00:00Z", f"{PATH}?top=1&at=now"])
def test_a_time_is_refused_with_the_reason(path: str) -> None:
    response = answer(path)
    assert response.status_code == 400
    assert "threads are not recorded" in response.json()["detail"]


def test_a_pid_that_is_no_number_is_refused() -> None:
    assert answer("/cpu_usage/init/threads").status_code == 400


def test_the_service_of_a_recording_has_no_threads(tmp_path: Path) -> None:
    write_recording(tmp_path, busy_ticks(3), finish=True)
    recording = open_recording(tmp_path)
    with Playback(recording) as playback:
        response = asyncio.run(get(Live(playback, recording=recording), PATH))
    assert response.status_code == 404
    assert response.json()["detail"].startswith("threads are not recorded")
