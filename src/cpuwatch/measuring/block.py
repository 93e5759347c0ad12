"""``cpuwatch.measure()``: the CPU time of a block of Python, with its threads and its subprocesses."""

from __future__ import annotations

import functools
import inspect
import os
import threading
from collections.abc import Callable
from contextlib import ExitStack
from copy import copy
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, ParamSpec, Self, TypeVar

from cpuwatch.encoding.arrow import import_pyarrow
from cpuwatch.errors import MeasurementError
from cpuwatch.interval import LIBRARY_INTERVAL_SECONDS, checked_interval
from cpuwatch.measuring.descendants import Descendants, Named
from cpuwatch.measuring.process_counters import ProcessCounters, read_counters
from cpuwatch.measuring.used import HEADINGS, GroupUsed, group_cells, group_rows, groups_of, seconds
from cpuwatch.samplers import OpenSampler, open_sampler
from cpuwatch.shown_tables import html_table, rich_table
from cpuwatch.text import text_from_bytes

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Measurement", "measure"]

_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")


def measure(*, interval: float | None = None, report: Callable[[Measurement], object] | None = None) -> Measurement:
    """Measure a block: use it in ``with`` or ``async with``, or as a decorator of a function.

    With ``interval``, a thread reads all processes at this interval in seconds, which names the subprocesses that exit
    in the block. Without it, only those alive at the end have a name, and a measurement takes less than 100
    microseconds.
    ``report`` is called with the measurement at the end of the block, or of each call of a decorated function.
    """
    return Measurement(interval, report)


class Measurement:
    """The CPU time of a block, in seconds: final after the block, so far within it.

    It counts the whole process, other threads and tasks included, and the subprocesses: those that still run, and those
    that were waited for in the block. A daemon that leaves the tree of this process is not counted.
    """

    def __init__(self, interval: float | None = None, report: Callable[[Measurement], object] | None = None) -> None:
        self._interval = None if interval is None else checked_interval(interval, LIBRARY_INTERVAL_SECONDS)
        self._report = report
        self._begin: ProcessCounters | None = None
        self._end: ProcessCounters | None = None
        self._sampling: _Sampling | None = None

    def __enter__(self) -> Self:
        if self._begin is not None and self._end is None:
            raise MeasurementError("this measurement is in use: call cpuwatch.measure() for each block")
        self._sampling = None if self._interval is None else _Sampling(self._interval)
        self._end = None
        self._begin = read_counters()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end = read_counters()
        if self._sampling is not None:
            self._sampling.stop()
        if self._report is not None:
            self._report(self)

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, trace)

    def __call__(self, function: Callable[_Arguments, _Result]) -> Callable[_Arguments, _Result]:
        """Decorate a function: each call is measured and reported on its own."""
        if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
            raise MeasurementError(f"cannot measure the generator {function.__qualname__}: use a with block in it")
        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def measured_coroutine(*args: Any, **kwargs: Any) -> Any:
                async with Measurement(self._interval, self._report):
                    return await function(*args, **kwargs)

            return measured_coroutine  # type: ignore[return-value]  # it returns the coroutine of the function

        @functools.wraps(function)
        def measured(*args: _Arguments.args, **kwargs: _Arguments.kwargs) -> _Result:
            with Measurement(self._interval, self._report):
                return function(*args, **kwargs)

        return measured

    # Amounts

    @property
    def elapsed_seconds(self) -> float:
        """The duration of the block."""
        begin, end = self._span()
        return (end.monotonic_ns - begin.monotonic_ns) / 1e9

    @property
    def own_seconds(self) -> float:
        """What this process used itself, all threads together."""
        begin, end = self._span()
        return (end.own_ns - begin.own_ns) / 1e9

    @property
    def children_seconds(self) -> float:
        """What subprocesses used, living and exited."""
        begin, end = self._span()
        return max(self.alive_seconds, end.children_seconds - begin.children_seconds)

    @property
    def alive_seconds(self) -> float:
        """What the subprocesses used that are alive at the end."""
        begin, end = self._span()
        return (
            sum(
                child.cpu_ns - (begin.living[key].cpu_ns if key in begin.living else 0)
                for key, child in end.living.items()
            )
            / 1e9
        )

    @property
    def exited_seconds(self) -> float:
        """What the subprocesses used that have exited and were waited for."""
        return self.children_seconds - self.alive_seconds

    @property
    def cpu_seconds(self) -> float:
        """The sum of ``own_seconds`` and ``children_seconds``."""
        return self.own_seconds + self.children_seconds

    @property
    def cpus(self) -> float:
        """The mean number of CPUs in use."""
        elapsed = self.elapsed_seconds
        return self.cpu_seconds / elapsed if elapsed > 0 else 0.0

    @property
    def threads(self) -> dict[str, float]:
        """What each thread of Python used that is alive at the end, by name; threads with the same name add up."""
        begin, end = self._span()
        used: dict[str, float] = {}
        for thread, clock_ns in end.threads.items():
            name = thread[0]
            used[name] = used.get(name, 0.0) + (clock_ns - begin.threads.get(thread, 0)) / 1e9
        return used

    @property
    def groups(self) -> list[GroupUsed]:
        """The same by program, busiest first; None is what exited subprocesses used that were not named."""
        begin, end = self._span()
        named: dict[str | None, Named] = {} if self._sampling is None else self._sampling.named()
        if not named:
            for key, child in end.living.items():
                used_ns = child.cpu_ns - (begin.living[key].cpu_ns if key in begin.living else 0)
                group = named.setdefault(child.name, Named())
                group.cpu_ns += used_ns
                group.alive_ns += used_ns
                group.alive += 1
        own_ns = end.own_ns - begin.own_ns
        own = named.setdefault(_own_name(), Named())
        own.cpu_ns += own_ns
        own.alive_ns += own_ns
        own.alive += 1
        own.user_ns += round(1e9 * (end.user_seconds - begin.user_seconds))
        own.system_ns += round(1e9 * (end.system_seconds - begin.system_seconds))
        return groups_of(named, self.cpu_seconds)

    # Shown

    def __repr__(self) -> str:
        if self._begin is None:
            return "<cpuwatch.Measurement not started>"
        return f"<cpuwatch.Measurement {self._summary()}>"

    def __str__(self) -> str:
        if self._begin is None:
            return repr(self)
        return "\n".join([self._summary(), "", *group_rows(self.groups, HEADINGS[-1])])

    def _repr_html_(self) -> str:
        return html_table(self._summary(), HEADINGS, map(group_cells, self.groups))

    def __rich__(self) -> Any:
        return rich_table(self._summary(), HEADINGS, map(group_cells, self.groups))

    def to_arrow(self) -> pa.Table:
        """The groups as a ``pyarrow.Table``. Needs the extra ``arrow``."""
        pyarrow = import_pyarrow()
        columns = {name: [getattr(group, name) for group in self.groups] for name in GroupUsed.__struct_fields__}
        types = {"group": pyarrow.string(), "alive": pyarrow.int64(), "exited": pyarrow.int64()}
        schema = pyarrow.schema([(name, types.get(name, pyarrow.float64())) for name in columns])
        made: pa.Table = pyarrow.table(columns, schema=schema)
        return made

    def _summary(self) -> str:
        alive, exited = seconds(self.alive_seconds), seconds(self.exited_seconds)
        return (
            f"{seconds(self.cpu_seconds)} s of CPU in {seconds(self.elapsed_seconds)} s: "
            f"own {seconds(self.own_seconds)}  children alive {alive}  exited {exited}"
        )

    def _span(self) -> tuple[ProcessCounters, ProcessCounters]:
        if self._begin is None:
            raise MeasurementError("this measurement has not started: use it in a with block")
        return self._begin, self._end or read_counters()


class _Sampling:
    """A thread that follows the subprocesses of this process, to name those that exit."""

    def __init__(self, interval: float) -> None:
        self._interval = interval
        self._stop = threading.Event()
        with ExitStack() as undo:
            self._sampler: OpenSampler = undo.enter_context(open_sampler())
            self._tree = Descendants(
                os.getpid(), lambda record: record.name, lambda exit_: exit_.name, self._sampler.read()
            )
            self._thread = threading.Thread(target=self._run, name="cpuwatch-measure", daemon=True)
            self._thread.start()
            undo.pop_all()

    def stop(self) -> None:
        """Read for the last time."""
        self._stop.set()
        self._thread.join()

    def named(self) -> dict[str | None, Named]:
        """What was seen of each program. The caller may change it."""
        return {name: copy(used) for name, used in self._tree.named().items()}

    def _run(self) -> None:
        with self._sampler:
            while not self._stop.wait(self._interval):
                self._tree.add(self._sampler.read())
            self._tree.add(self._sampler.read())


def _own_name() -> str:
    return text_from_bytes(Path("/proc/self/comm").read_bytes().rstrip(b"\n"))
