from __future__ import annotations

from contextlib import ExitStack
from ipaddress import ip_network
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cpuwatch.web.access.limits import Places, client_of, share_of

PROXIES = [ip_network("10.0.0.0/8"), ip_network("fd00::1")]


@pytest.mark.parametrize(
    ("client", "root_path", "counted"),
    [
        (("192.0.2.1", 80), "", "192.0.2.1"),
        (["127.0.0.1", 80], "", "127.0.0.1"),
        (("::ffff:192.0.2.1", 80), "", "192.0.2.1"),
        (("2001:db8:1:2:3:4:5:6", 80), "", "2001:db8:1:2::/64"),
        (("2001:db8:1:2::", 80), "", "2001:db8:1:2::/64"),
        (("fe80::1%eth0", 80), "", "fe80::/64"),
        (("10.1.2.3", 80), "", None),
        (("::ffff:10.1.2.3", 80), "", None),
        (("fd00::1", 80), "", None),
        (("fd00::2", 80), "", "fd00::/64"),
        (("192.0.2.1", 80), "/cpu", None),
        (None, "", None),
        (("", 0), "", None),
        (("/run/x.sock", None), "", None),
    ],
)
def test_a_client_is_counted_by_address_unless_it_is_a_proxy(client: Any, root_path: str, counted: str | None) -> None:
    assert client_of({"client": client, "root_path": root_path}, PROXIES) == counted


def test_a_scope_without_a_client_is_not_counted() -> None:
    assert client_of({}, PROXIES) is None


@given(st.text(max_size=30))
def test_any_address_is_accepted(address: str) -> None:
    client_of({"client": (address, 1)}, PROXIES)


@given(st.integers(0, 40), st.lists(st.tuples(st.sampled_from(["a", "b", "c", None]), st.booleans()), max_size=80))
def test_neither_the_total_nor_the_share_of_a_client_is_exceeded(
    total: int, steps: list[tuple[str | None, bool]]
) -> None:
    places = Places(total, "things")
    taken: list[tuple[str | None, ExitStack]] = []
    for client, comes in steps:
        if comes:
            refusal = places.refusal(client)
            own = sum(other == client for other, _ in taken)
            full, greedy = len(taken) >= total, client is not None and own >= share_of(total)
            assert (refusal is not None) == (full or greedy)
            if refusal is None:
                stack = ExitStack()
                stack.enter_context(places.taken(client))
                taken.append((client, stack))
            else:
                assert refusal.status == (503 if full else 429)
                assert b"retry-after" in dict(refusal.headers)
        elif taken:
            taken.pop(0)[1].close()
