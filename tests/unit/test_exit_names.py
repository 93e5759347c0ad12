"""Against a model of processes whose threads end in any order, with names of their own."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from cpuwatch.samplers.procfs.exit_names import ExitNames
from cpuwatch.samplers.procfs.taskstats import ExitedTask


def told(pid: int, process_id: int, name: str, *, ended: bool) -> ExitedTask:
    return ExitedTask(pid, process_id, 1, name, 0, 1_000, ended)


def heard(names: ExitNames, *tasks: ExitedTask) -> list[str | None]:
    return [name for task in tasks for _, name in names.add(task)]


@st.composite
def processes(draw: st.DrawFn) -> tuple[list[ExitedTask], dict[int, str]]:
    """The messages about some processes in an order that can be, and the name of each process."""
    messages: list[ExitedTask] = []
    programs: dict[int, str] = {}
    for process_id in draw(st.lists(st.integers(1, 50), unique=True, max_size=6)):
        programs[process_id] = f"program-{process_id}"
        threads = [process_id, *(process_id * 100 + thread for thread in range(draw(st.integers(0, 4))))]
        order = draw(st.permutations(threads))
        own = [
            told(
                pid,
                process_id,
                programs[process_id] if pid == process_id else f"thread-{pid}",
                ended=pid == order[-1],
            )
            for pid in order
        ]
        # That a thread is the last one is found out before its message is written, so the others may come after it.
        messages += draw(st.permutations(own))
    return draw(st.permutations(messages)), programs


@given(processes(), st.integers(1, 9))
def test_each_process_is_told_once_by_the_name_of_its_main_thread(
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


def test_the_program_that_was_executed_last_gives_the_name() -> None:
    shell, compiler = told(7, 7, "sh", ended=False), told(7, 7, "cc", ended=False)
    assert heard(ExitNames(), shell, compiler, told(9, 7, "worker", ended=True)) == ["cc"]


def test_where_the_message_with_the_name_was_lost_there_is_none_a_tick_later() -> None:
    names = ExitNames()
    assert heard(names, told(9, 7, "worker", ended=True)) == []
    assert list(names.expire()) == []
    assert [name for _, name in names.expire()] == [None]
    assert list(names.expire()) == []


def test_a_pid_that_is_used_again_does_not_lend_its_name() -> None:
    assert heard(ExitNames(), told(9, 7, "worker", ended=True), told(7, 7, "new", ended=True)) == [None, "new"]


def test_main_threads_of_processes_that_go_on_for_ever_take_no_room_for_ever() -> None:
    names = ExitNames()
    for pid in range(20_001):
        assert heard(names, told(pid, pid, "main", ended=False)) == []
    assert len(names._main_names) == 10_000
