"""Runs the client and the null server in separate processes."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from types import FrameType

from benchmarks import ROOT
from benchmarks.loadgen.outcome import Outcome, Progress, Samples, Started, parse_line
from benchmarks.loadgen.placement import running_on
from benchmarks.loadgen.resources import Use, logging_resources

__all__ = ["Driven", "Target", "drive", "serving_null"]


@dataclass(frozen=True, slots=True)
class Target:
    """The address under load, and the processes that serve it: ``leaders`` and their descendants."""

    host: str
    port: int
    path: str
    leaders: Collection[int] = ()


@dataclass(frozen=True, slots=True)
class Driven:
    """The client's results, the resources used in each second, and whether Ctrl-C ended it early."""

    outcome: Outcome
    samples: Samples
    server: Sequence[Use]
    client: Sequence[Use]
    interrupted: bool


def drive(
    target: Target,
    *,
    connections: int,
    seconds: float,
    warm_up: float,
    rate: float | None = None,
    timeout: float = 10.0,
    cpus: Collection[int] | None = None,
    show: Callable[[Progress], None] = lambda _: None,
) -> Driven:
    """Run the client against the target until it has its outcome. Call it in the main thread.

    The first Ctrl-C ends the client in good order, with its results so far; the second one raises. The first one
    raises too if there are no results yet. Raises ``RuntimeError`` if the client ends without an outcome.
    """
    with ExitStack() as stack:
        file = Path(stack.enter_context(TemporaryDirectory())) / "samples"
        command = [sys.executable, "-m", "benchmarks.loadgen.client", "--host", target.host, "--port", str(target.port)]
        command += ["--path", target.path, "--connections", str(connections), "--samples", str(file)]
        command += ["--warm-up", str(warm_up), "--seconds", str(seconds), "--timeout", str(timeout)]
        if rate is not None:
            command += ["--rate", str(rate)]
        process = stack.enter_context(_child(command, cpus))
        interrupted = stack.enter_context(_first_interrupt(process.terminate))
        log = stack.enter_context(ExitStack())
        uses: Mapping[str, Sequence[Use]] = {}
        assert process.stdout is not None
        for line in process.stdout:
            match parse_line(line):
                case Started(starts_ns=starts_ns):
                    groups = {"server": target.leaders, "client": [process.pid]}
                    uses = log.enter_context(logging_resources(groups, starts_ns, cpus))
                case Progress() as progress:
                    show(progress)
                case Outcome() as outcome:
                    log.close()
                    samples = Samples.read(file)
                    return Driven(outcome, samples, uses["server"], uses["client"], bool(interrupted))
    if interrupted:
        raise KeyboardInterrupt
    raise RuntimeError("the client ended without an outcome")


@contextmanager
def serving_null(length: int, cpus: Collection[int] | None = None) -> Iterator[Target]:
    """A server that sends bodies of this length and does nothing else."""
    with _child([sys.executable, "-m", "benchmarks.loadgen.null_server", "--length", str(length)], cpus) as process:
        assert process.stdout is not None
        yield Target("127.0.0.1", int(process.stdout.readline()), "/", [process.pid])


@contextmanager
def _child(command: Sequence[str], cpus: Collection[int] | None) -> Iterator[subprocess.Popen[bytes]]:
    with running_on(cpus):
        # In a separate session, so that Ctrl-C reaches only this process.
        process = subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT, start_new_session=True)
    with process:
        try:
            yield process
        finally:
            process.kill()


@contextmanager
def _first_interrupt(act: Callable[[], None]) -> Iterator[list[int]]:
    """Call ``act`` at the first SIGINT in the block, instead of raising. The list is empty until then."""
    seen: list[int] = []

    def on_signal(number: int, _: FrameType | None) -> None:
        seen.append(number)
        signal.signal(signal.SIGINT, before)
        act()

    before = signal.signal(signal.SIGINT, on_signal)
    try:
        yield seen
    finally:
        signal.signal(signal.SIGINT, before)
