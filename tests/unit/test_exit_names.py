"""Compared with a model of processes whose threads exit in any order and have different names."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from cpuwatch.samplers.procfs.exit_names import ExitNames
from cpuwatch.samplers.procfs.taskstats import ExitedTask


def exited_task(pid: int, process_id: int, name: str, *, ended: bool) -> ExitedTask:
    return ExitedTask(pid, process_id, 1, name, 0, 1_000, ended)


def added_names(names: ExitNames, *tasks: ExitedTask) -> list[str | None]:
    return [name for task in tasks for _, name in names.add(task)]


@st.composite
def processes(draw: st.DrawFn) -> tuple[list[ExitedTask], dict[int, str]]:
    """The messages about some processes in a possible order, and the name of each process."""
    messages: list[ExitedTask] = []
    programs: dict[int, str] = {}
    for process_id in draw(st.lists(st.integers(1, 50), unique=True, max_size=6)):
        programs[process_id] = f"program-{process_id}"
        threads = [process_id, *(process_id * 100 + thread for thread in range(draw(st.integers(0, 4))))]
        order = draw(st.permutations(threads))
        own = [
            exited_task(
                pid,
                process_id,
                programs[process_id] if pid == process_id else f"thread-{pid}",
                ended=pid == order[-1],
            )
            for pid in order
        ]
        # The kernel decides which thread is last before it writes the message, so the others may follow it.
        messages += draw(st.permutations(own))
    return draw(st.permutations(messages)), programs


@given(processes(), st.integers(1, 9))
def test_every_process_exits_once_with_the_name_of_its_main_thread(
    made: tuple[list[ExitedTask], dict[int, str]], messages_in_a_tick: int
) -> None:
    messages, programs = made
    names = ExitNames()
    found: list[tuple[int, str | None]] = []
    for start in range(0, len(messages), messages_in_a_tick):
        for task in messages[start : start + messages_in_a_tick]:
            found += ((ended.process_id, name) for ended, name in names.add(task))
    assert sorted(found) == sorted(programs.items())
    assert list(names.expire()) == []


def test_the_last_executed_program_names_the_process() -> None:
    shell, compiler = exited_task(7, 7, "sh", ended=False), exited_task(7, 7, "cc", ended=False)
    assert added_names(ExitNames(), shell, compiler, exited_task(9, 7, "worker", ended=True)) == ["cc"]


def test_an_exit_whose_name_was_lost_expires_without_one() -> None:
    names = ExitNames()
    assert added_names(names, exited_task(9, 7, "worker", ended=True)) == []
    assert list(names.expire()) == []
    assert [name for _, name in names.expire()] == [None]
    assert list(names.expire()) == []


def test_a_reused_pid_does_not_pass_on_its_name() -> None:
    assert added_names(ExitNames(), exited_task(9, 7, "worker", ended=True), exited_task(7, 7, "new", ended=True)) == [
        None,
        "new",
    ]


def test_names_of_exited_main_threads_are_limited() -> None:
    names = ExitNames()
    for pid in range(20_001):
        assert added_names(names, exited_task(pid, pid, "main", ended=False)) == []
    assert len(names._main_names) == 10_000
