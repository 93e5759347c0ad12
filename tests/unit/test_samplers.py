from __future__ import annotations

import importlib.metadata
from importlib.metadata import EntryPoint, EntryPoints

import pytest
from readings import SECOND, process, reading

from cpuwatch import CpuwatchError, OpenSampler, Reading, Sampler, ScriptedSampler, open_sampler
from cpuwatch.errors import SamplerClosedError, SamplerUnavailableError, ScriptEndedError, UnknownSamplerError
from cpuwatch.samplers.procfs.sampler import ProcfsSampler
from cpuwatch.samplers.psutil import PsutilSampler


@pytest.fixture
def third_party(monkeypatch: pytest.MonkeyPatch) -> None:
    """An installed package with the sampler ``minute``."""
    offered = EntryPoints([EntryPoint("minute", "readings:minute", "cpuwatch.samplers")])
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda *, group: offered.select(group=group))


def test_an_unknown_name_is_refused_with_the_known_names() -> None:
    with pytest.raises(UnknownSamplerError, match=r"'prokfs'.*auto, procfs, psutil"):
        open_sampler("prokfs")


@pytest.mark.usefixtures("third_party")
def test_a_third_party_sampler_is_listed_and_opened_by_name() -> None:
    with pytest.raises(UnknownSamplerError, match=r"auto, minute, procfs, psutil"):
        open_sampler("hour")
    with open_sampler("minute") as sampler:
        assert sampler.read().processes[10].cpu_ns == 0
        assert sampler.read().processes[10].cpu_ns == SECOND // 2


@pytest.mark.parametrize(("name", "backend"), [("procfs", "procfs/"), ("psutil", "psutil"), ("auto", "procfs/")])
def test_a_sampler_is_opened_by_name(name: str, backend: str) -> None:
    with open_sampler(name) as sampler:
        assert sampler.read().host.backend.startswith(backend)


def test_auto_falls_back_to_psutil_without_proc(monkeypatch: pytest.MonkeyPatch) -> None:
    def unavailable(_: ProcfsSampler) -> None:
        raise SamplerUnavailableError("no /proc")

    monkeypatch.setattr(ProcfsSampler, "__init__", unavailable)
    with open_sampler() as sampler:
        assert sampler.read().host.backend == "psutil"
    with pytest.raises(SamplerUnavailableError, match="no /proc"):
        open_sampler("procfs")


def test_auto_reports_both_reasons_if_neither_sampler_works(monkeypatch: pytest.MonkeyPatch) -> None:
    def unavailable(self: object) -> None:
        raise SamplerUnavailableError(f"no /proc for {type(self).__name__}")

    monkeypatch.setattr(ProcfsSampler, "__init__", unavailable)
    monkeypatch.setattr(PsutilSampler, "__init__", unavailable)
    with pytest.raises(SamplerUnavailableError, match=r"^no /proc for ProcfsSampler; psutil: no /proc for Psutil"):
        open_sampler()


def test_auto_reports_a_shared_reason_once(monkeypatch: pytest.MonkeyPatch) -> None:
    def unavailable(_: object) -> None:
        raise SamplerUnavailableError("cannot read /proc/stat")

    monkeypatch.setattr(ProcfsSampler, "__init__", unavailable)
    monkeypatch.setattr(PsutilSampler, "__init__", unavailable)
    with pytest.raises(SamplerUnavailableError, match=r"^cannot read /proc/stat$"):
        open_sampler()


def test_auto_is_psutil_on_other_systems(monkeypatch: pytest.MonkeyPatch) -> None:
    opened = open_sampler("psutil")
    monkeypatch.setattr("cpuwatch.samplers.sys.platform", "darwin")
    monkeypatch.setattr(PsutilSampler, "__init__", lambda _: None)
    # The sampler is not read, because psutil does not support that system here.
    assert isinstance(open_sampler("auto")._sampler, PsutilSampler)
    monkeypatch.undo()
    opened.close()


def test_any_object_with_read_and_close_is_a_sampler() -> None:
    class Backend:
        def read(self) -> Reading:
            return reading()

        def close(self) -> None:
            """Nothing to release."""

    assert isinstance(Backend(), Sampler)
    assert not isinstance(object(), Sampler)
    with OpenSampler(Backend()) as sampler:
        assert sampler.read() == reading()


def test_the_end_of_the_block_closes_the_sampler() -> None:
    script = ScriptedSampler([reading()])
    with OpenSampler(script):
        assert not script.closed
    assert script.closed


def test_the_sampler_is_closed_when_the_block_fails() -> None:
    script = ScriptedSampler([RuntimeError("broken")])
    with pytest.raises(RuntimeError, match="broken"), OpenSampler(script) as sampler:
        sampler.read()
    assert script.closed


def test_a_closed_sampler_is_not_read() -> None:
    script = ScriptedSampler([reading()])
    sampler = OpenSampler(script)
    sampler.close()
    with pytest.raises(SamplerClosedError):
        sampler.read()
    assert script.reads == 0


def test_a_sampler_is_closed_only_once() -> None:
    class Backend(ScriptedSampler):
        closings = 0

        def close(self) -> None:
            self.closings += 1

    backend = Backend([])
    sampler = OpenSampler(backend)
    sampler.close()
    sampler.close()
    assert backend.closings == 1


def test_a_script_is_replayed_with_its_exceptions() -> None:
    first, second = reading(process(1)), reading(process(2), at_ns=101 * SECOND)
    script = ScriptedSampler([first, OSError("lost"), second])
    assert script.read() is first
    with pytest.raises(OSError, match="lost"):
        script.read()
    assert script.read() is second
    assert script.reads == 3


def test_the_error_at_the_end_of_a_script_has_the_number_of_readings() -> None:
    script = ScriptedSampler([reading()])
    script.read()
    for _ in range(2):
        with pytest.raises(ScriptEndedError, match="after 1 readings"):
            script.read()
    assert issubclass(ScriptEndedError, CpuwatchError)


def test_a_script_can_be_a_generator() -> None:
    uptimes = [100 * SECOND]
    script = ScriptedSampler(reading(at_ns=uptime) for uptime in uptimes)
    assert script.read().uptime_ns == 100 * SECOND
    uptimes.append(105 * SECOND)
    assert script.read().uptime_ns == 105 * SECOND
