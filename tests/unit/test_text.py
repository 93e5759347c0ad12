from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st
from readings import HOSTILE_NAMES
from strategies import broken_texts

from cpuwatch.text import text_from_bytes, text_from_locale, text_without_surrogates


@given(st.text())
def test_valid_utf8_is_unchanged(text: str) -> None:
    assert text_from_bytes(text.encode()) == text


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        (b"caf\xe9", r"caf\xe9"),
        (b"\xff\xfe", r"\xff\xfe"),
        # UTF-8 has no surrogates, unlike CESU-8.
        (b"\xed\xa0\x80", r"\xed\xa0\x80"),
        # A name of 15 bytes can end in the middle of a character.
        ("žluť".encode()[:-1], r"žlu\xc5"),
    ],
)
def test_an_invalid_byte_is_escaped(raw: bytes, shown: str) -> None:
    assert text_from_bytes(raw) == shown


@given(st.binary())
def test_text_from_any_bytes_can_be_encoded(raw: bytes) -> None:
    text_from_bytes(raw).encode()


@given(st.binary())
def test_text_decoded_by_another_library_is_the_same(raw: bytes) -> None:
    assert text_without_surrogates(raw.decode("utf-8", "surrogateescape")) == text_from_bytes(raw)
    assert text_from_locale(os.fsdecode(raw)) == text_from_bytes(raw)


@pytest.mark.parametrize("raw", HOSTILE_NAMES)
def test_a_hostile_name_is_the_same_either_way(raw: bytes) -> None:
    assert text_without_surrogates(raw.decode("utf-8", "surrogateescape")) == text_from_bytes(raw)
    assert text_from_locale(os.fsdecode(raw)) == text_from_bytes(raw)


def test_other_surrogates_are_escaped_as_code_points() -> None:
    assert text_without_surrogates("a\ud800b\udfff") == r"a\ud800b\udfff"


@given(broken_texts)
def test_no_surrogate_is_left(text: str) -> None:
    text_without_surrogates(text).encode()


@given(st.text())
def test_text_without_surrogates_is_left_alone(text: str) -> None:
    assert text_without_surrogates(text) == text
