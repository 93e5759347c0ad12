from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st
from readings import HOSTILE_NAMES
from strategies import broken_texts

from cpuwatch.text import text_from_bytes, text_from_locale, text_without_surrogates


@given(st.text())
def test_valid_utf8_is_shown_as_it_is(text: str) -> None:
    assert text_from_bytes(text.encode()) == text


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        (b"caf\xe9", r"caf\xe9"),
        (b"\xff\xfe", r"\xff\xfe"),
        # UTF-8 has no surrogates; CESU-8 has.
        (b"\xed\xa0\x80", r"\xed\xa0\x80"),
        # A name of 15 bytes may end in the middle of a character.
        ("žluť".encode()[:-1], r"žlu\xc5"),
    ],
)
def test_a_byte_that_is_no_utf8_is_shown_by_its_number(raw: bytes, shown: str) -> None:
    assert text_from_bytes(raw) == shown


@given(st.binary())
def test_whatever_the_bytes_are_the_text_can_be_encoded(raw: bytes) -> None:
    text_from_bytes(raw).encode()


@given(st.binary())
def test_text_that_another_library_decoded_reads_the_same(raw: bytes) -> None:
    assert text_without_surrogates(raw.decode("utf-8", "surrogateescape")) == text_from_bytes(raw)
    assert text_from_locale(os.fsdecode(raw)) == text_from_bytes(raw)


@pytest.mark.parametrize("raw", HOSTILE_NAMES)
def test_a_hostile_name_reads_the_same_on_both_ways(raw: bytes) -> None:
    assert text_without_surrogates(raw.decode("utf-8", "surrogateescape")) == text_from_bytes(raw)
    assert text_from_locale(os.fsdecode(raw)) == text_from_bytes(raw)


def test_other_surrogates_are_shown_as_code_points() -> None:
    assert text_without_surrogates("a\ud800b\udfff") == r"a\ud800b\udfff"


@given(broken_texts)
def test_no_surrogate_is_left(text: str) -> None:
    text_without_surrogates(text).encode()


@given(st.text())
def test_text_without_surrogates_is_left_alone(text: str) -> None:
    assert text_without_surrogates(text) == text
