from __future__ import annotations

import errno
import os
import pwd
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from cpuwatch.samplers.users import NAME_TTL_SECONDS, RETRY_SECONDS, UserNames, look_up


class NameService:
    """A name service that responds at once or when released, and records the requests."""

    def __init__(self, passwd: Path) -> None:
        self.passwd = passwd
        self.passwd.write_text("root:x:0:0::/:/bin/sh\n")
        self.names: dict[int, str | None] = {}
        self.asked: list[int] = []
        self.hanging: set[int] = set()
        self.seconds = 1000.0
        self._let_go = threading.Event()

    def look_up(self, user_id: int) -> str | None:
        self.asked.append(user_id)
        if user_id in self.hanging:
            self._let_go.wait(30)
        return self.names.get(user_id, str(user_id))

    def release(self) -> None:
        self.hanging.clear()
        self._let_go.set()

    def open(self) -> UserNames:
        return UserNames(self.look_up, str(self.passwd), lambda: self.seconds)


@pytest.fixture
def service(tmp_path: Path) -> Iterator[NameService]:
    service = NameService(tmp_path / "passwd")
    yield service
    service.release()


def refresh_twice(names: UserNames, used: set[int]) -> set[int]:
    """Refresh twice: the first call starts the due lookups, the second collects the answers."""
    changed = names.refresh(lambda: used)
    for thread in threading.enumerate():
        if thread.name == "cpuwatch-user-names":
            thread.join(30)
    return changed | names.refresh(lambda: used)


def test_a_name_is_known_at_once_and_looked_up_once(service: NameService) -> None:
    service.names[7] = "alice"
    names = service.open()
    assert [names[7], names[7]] == ["alice", "alice"]
    assert refresh_twice(names, {7}) == set()
    assert service.asked == [7]


def test_a_user_without_a_name_is_shown_as_a_number_and_retried_soon(service: NameService) -> None:
    names = service.open()
    assert names[7] == "7"
    service.names[7] = "alice"
    service.seconds += RETRY_SECONDS - 0.1
    assert refresh_twice(names, {7}) == set()
    assert names[7] == "7"
    service.seconds += 0.2
    assert refresh_twice(names, {7}) == {7}
    assert names[7] == "alice"


def test_a_reassigned_user_id_gets_its_new_name(service: NameService) -> None:
    service.names[7] = "alice"
    names = service.open()
    assert names[7] == "alice"
    service.names[7] = "bob"
    service.seconds += NAME_TTL_SECONDS - 1
    assert refresh_twice(names, {7}) == set()
    service.seconds += 2
    assert refresh_twice(names, {7}) == {7}
    assert names[7] == "bob"


def test_a_changed_passwd_file_refreshes_all_names(service: NameService) -> None:
    service.names[7] = "alice"
    names = service.open()
    assert (names[7], names[8]) == ("alice", "8")
    service.names = {8: "bob"}
    # Replaced by another file, as vipw and useradd do.
    new = service.passwd.with_suffix(".new")
    new.write_text(service.passwd.read_text())
    new.replace(service.passwd)
    assert refresh_twice(names, {7, 8}) == {7, 8}
    assert (names[7], names[8]) == ("7", "bob")


def test_a_missing_passwd_file_is_tolerated(service: NameService) -> None:
    service.names[7] = "alice"
    names = service.open()
    assert names[7] == "alice"
    service.passwd.unlink()
    assert refresh_twice(names, {7}) == set()
    service.passwd.write_text("")
    assert refresh_twice(names, {7}) == set()
    assert names[7] == "alice"


def test_a_hanging_name_service_is_waited_for_once_and_names_come_later(service: NameService) -> None:
    service.hanging = {7}
    service.names = {7: "alice", 8: "bob"}
    names = service.open()
    assert names[7] == "7"
    # The wait is used up, but the lookup does not queue behind the other, because it has a separate thread.
    assert names[8] in {"8", "bob"}
    names.refresh(lambda: {7, 8})
    service.release()
    refresh_twice(names, {7, 8})
    assert (names[7], names[8]) == ("alice", "bob")


def test_a_name_stays_in_use_while_it_is_looked_up_again(service: NameService) -> None:
    service.names[7] = "alice"
    names = service.open()
    assert names[7] == "alice"
    service.hanging = {7}
    service.seconds += NAME_TTL_SECONDS
    assert names.refresh(lambda: {7}) == set()
    for _ in range(5):
        # It is requested only once, however long that takes.
        service.seconds += NAME_TTL_SECONDS
        assert names.refresh(lambda: {7}) == set()
        assert names[7] == "alice"
    service.names[7] = "bob"
    service.release()
    assert refresh_twice(names, {7}) == {7}
    assert names[7] == "bob"
    assert len(service.asked) <= 3


def test_at_most_four_lookups_run_at_once(service: NameService) -> None:
    before = threading.active_count()
    service.hanging = set(range(100, 120))
    names = service.open()
    assert [names[user_id] for user_id in range(100, 120)] == list(map(str, range(100, 120)))
    assert threading.active_count() == before + 4
    service.names = {user_id: f"user{user_id}" for user_id in range(100, 120)}
    service.release()
    refresh_twice(names, set(range(100, 120)))
    assert {names[user_id] for user_id in range(100, 120)} == set(service.names.values())
    assert threading.active_count() == before


def test_unused_names_are_dropped(service: NameService) -> None:
    names = service.open()
    assert (names[7], names[8]) == ("7", "8")
    service.seconds += RETRY_SECONDS
    refresh_twice(names, {8})
    assert names.keys() == {8}
    assert service.asked == [7, 8, 8]


def test_the_number_is_shown_while_no_thread_can_be_started(
    service: NameService, monkeypatch: pytest.MonkeyPatch
) -> None:
    service.names[7] = "alice"
    names = service.open()

    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        assert names[7] == "7"
        assert names.refresh(lambda: {7}) == set()
    assert refresh_twice(names, {7}) == {7}
    assert names[7] == "alice"


def test_a_lookup_without_a_descriptor_is_repeated_at_once(
    service: NameService,
) -> None:
    service.names[7] = "alice"
    names = service.open()
    assert names[7] == "alice"
    service.names[7] = None
    service.seconds += NAME_TTL_SECONDS
    assert refresh_twice(names, {7}) == set()
    assert names[7] == "alice"
    service.names[7] = "bob"
    assert refresh_twice(names, {7}) == {7}
    assert names[7] == "bob"


def test_closing_cancels_pending_lookups(service: NameService) -> None:
    service.hanging = set(range(100, 110))
    names = service.open()
    shown = [names[user_id] for user_id in range(100, 110)]
    assert shown == list(map(str, range(100, 110)))
    names.close()
    service.release()
    refresh_twice(names, set())
    assert len(service.asked) == 4


def test_the_name_of_this_user_matches_the_system() -> None:
    assert look_up(os.getuid()) == pwd.getpwuid(os.getuid()).pw_name


def test_a_name_with_invalid_utf8_is_escaped(monkeypatch: pytest.MonkeyPatch) -> None:
    entry = pwd.struct_passwd(("b\udcfcro", "x", 7, 7, "", "/", "/bin/sh"))
    monkeypatch.setattr(pwd, "getpwuid", lambda _: entry)
    assert look_up(7) == "b\\xfcro"


def test_a_missing_name_differs_from_a_missing_descriptor(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(_: int) -> None:
        raise KeyError

    def refuse(*_: object) -> int:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr(pwd, "getpwuid", unknown)
    assert look_up(7) == "7"
    with monkeypatch.context() as patch:
        patch.setattr(os, "open", refuse)
        assert look_up(7) is None
