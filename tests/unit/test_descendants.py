from __future__ import annotations

from msgspec.structs import replace
from readings import SECOND, process, reading

from cpuwatch import ProcessExit, ProcessTimes, Reading
from cpuwatch.measuring.descendants import Descendants, Named
from cpuwatch.measuring.used import groups_of

ROOT = 100


def child(pid: int, cpu_ns: int, *, parent: int = ROOT, name: str = "work", children_ns: int = 0) -> ProcessTimes:
    return replace(process(pid, cpu_ns=cpu_ns, name=name, children_ns=children_ns), ppid=parent)


def tree(baseline: Reading | None = None) -> Descendants:
    return Descendants(ROOT, lambda record: record.name, lambda exit_: exit_.name, baseline)


def test_descendants_of_any_depth_count_and_others_do_not() -> None:
    followed = tree()
    followed.add(reading(child(101, 5), child(102, 7, parent=101, name="deep"), child(103, 9, parent=1, name="other")))
    assert {name: used.cpu_ns for name, used in followed.named().items()} == {"work": 5, "deep": 7}


def test_a_descendant_stays_one_when_it_is_reparented() -> None:
    followed = tree()
    followed.add(reading(child(101, 5)))
    followed.add(reading(child(101, 8, parent=1)))
    assert followed.named()["work"].cpu_ns == 8


def test_a_new_name_gets_what_was_used_since() -> None:
    followed = tree()
    followed.add(reading(child(101, 5, name="sh")))
    followed.add(reading(child(101, 8, name="make")))
    assert followed.named()["sh"].cpu_ns == 5
    assert followed.named()["make"].cpu_ns == 3
    assert (followed.named()["sh"].alive, followed.named()["make"].alive) == (0, 1)


def test_a_process_that_is_gone_has_exited_and_is_not_living() -> None:
    followed = tree()
    followed.add(reading(child(101, 5, children_ns=3)))
    assert followed.living_ns() == 8
    followed.add(reading())
    used = followed.named()["work"]
    assert (followed.living_ns(), used.cpu_ns, used.alive_ns, used.alive, used.exited) == (0, 5, 0, 0, 1)


def test_an_exit_adds_what_was_used_after_the_last_reading_and_only_once() -> None:
    followed = tree()
    followed.add(reading(child(101, 5)))
    followed.add_exit(ProcessExit(101, ROOT, "work", "nobody", 9), exact=True)
    followed.add(replace(reading(), exits=[ProcessExit(101, ROOT, "work", "nobody", 8)]))
    followed.add(reading())
    assert followed.named()["work"] == Named(cpu_ns=9, user_ns=5, alive=0, exited=1)


def test_exits_of_processes_that_no_reading_saw_count_through_their_parents() -> None:
    followed = tree()
    exits = [
        ProcessExit(103, 102, "grandchild", "nobody", 4),
        ProcessExit(102, ROOT, "child", "nobody", 3),
        ProcessExit(104, 7, "other", "nobody", 2),
    ]
    followed.add(replace(reading(), exits=exits))
    assert {name: used.cpu_ns for name, used in followed.named().items()} == {"grandchild": 4, "child": 3}


def test_exits_count_whose_parent_is_new_in_the_same_reading() -> None:
    followed = tree()
    followed.add(replace(reading(child(101, 5, name="sh")), exits=[ProcessExit(102, 101, "true", "nobody", 3)]))
    assert followed.named()["true"].cpu_ns == 3


def test_a_reused_pid_is_another_process() -> None:
    followed = tree()
    followed.add(reading(child(101, 5)))
    followed.add(reading(process(101, cpu_ns=50, start_ns=9 * SECOND, name="stranger")))
    assert {name: used.cpu_ns for name, used in followed.named().items()} == {"work": 5}
    assert followed.living_ns() == 0


def test_what_was_used_before_the_first_reading_does_not_count() -> None:
    followed = tree(reading(child(101, 50, children_ns=20)))
    followed.add(reading(child(101, 53, children_ns=24)))
    used = followed.named()["work"]
    assert (used.cpu_ns, used.alive_ns, followed.living_ns()) == (3, 3, 7)


def test_what_is_in_no_group_is_unnamed_and_the_groups_add_up() -> None:
    groups = groups_of({"work": Named(cpu_ns=2 * SECOND, user_ns=1, system_ns=1, exited=1)}, 3.0)
    assert [(group.group, group.cpu_seconds) for group in groups] == [("work", 2.0), (None, 1.0)]
    assert (groups[0].user_seconds, groups[0].system_seconds) == (1.0, 1.0)


def test_messages_about_exits_never_exceed_the_exact_total() -> None:
    named: dict[str | None, Named] = {
        "seen": Named(cpu_ns=2 * SECOND, exited=1),
        "reported": Named(cpu_ns=4 * SECOND, reported_ns=4 * SECOND, exited=1),
    }
    assert [(group.group, group.cpu_seconds) for group in groups_of(named, 3.0)] == [("seen", 2.0), ("reported", 1.0)]


def test_messages_about_exits_are_scaled_up_a_little_and_the_rest_is_unnamed() -> None:
    named: dict[str | None, Named] = {"reported": Named(cpu_ns=4 * SECOND, reported_ns=4 * SECOND, exited=1)}
    assert [(group.group, group.cpu_seconds) for group in groups_of(named, 4.5)] == [("reported", 4.5)]
    assert [(group.group, group.cpu_seconds) for group in groups_of(named, 8.0)] == [("reported", 5.0), (None, 3.0)]
