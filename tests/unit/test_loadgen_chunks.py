from __future__ import annotations

import h11
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from benchmarks.loadgen.chunks import BadChunkError, Chunks

pieces = st.lists(st.binary(min_size=1, max_size=300), max_size=8)


def sent(content: list[bytes]) -> tuple[bytes, bytes]:
    """Return head and body as written by another implementation."""
    server = h11.Connection(h11.SERVER)
    server.receive_data(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
    server.next_event()
    head = server.send(h11.Response(status_code=200, headers=[("transfer-encoding", "chunked")]))
    body = [server.send(h11.Data(data=piece)) for piece in content]
    body.append(server.send(h11.EndOfMessage()))
    return head or b"", b"".join(part or b"" for part in body)


@given(content=pieces, cuts=st.lists(st.integers(1, 200), min_size=1), behind=st.binary(max_size=20))
@example(content=[b"\r\n0\r\n\r\n"], cuts=[1], behind=b"")
def test_the_end_is_found_only_when_the_body_is_complete(content: list[bytes], cuts: list[int], behind: bytes) -> None:
    head, body = sent(content)
    buffer = bytearray(head + body + behind)
    end = len(head) + len(body)
    chunks = Chunks(len(head))
    filled, turn = len(head), 0
    while (found := chunks.end(buffer, filled)) is None:
        assert filled < end
        filled = min(filled + cuts[turn % len(cuts)], len(buffer))
        turn += 1
    assert found == end <= filled
    assert chunks.body(buffer) == b"".join(content)


@given(st.text("0123456789abcdefABCDEF", min_size=1, max_size=3).filter(lambda text: int(text, 16)))
def test_a_chunk_size_is_any_hexadecimal_number(digits: str) -> None:
    data = b"a" * int(digits, 16)
    buffer = bytearray(digits.encode() + b";name=value\r\n" + data + b"\r\n0\r\n\r\n")
    chunks = Chunks(0)
    assert chunks.end(buffer, len(buffer)) == len(buffer)
    assert chunks.body(buffer) == data


@pytest.mark.parametrize(
    "data",
    [
        b"\r\n",
        b"-1\r\n",
        b"+1\r\na\r\n",
        b"1_0\r\n",
        b"0x1\r\na\r\n",
        b"five\r\n",
        b"2\r\nabc\r\n",
        b"0\r\nname: value\r\n\r\n",
        b"1" * 17 + b"\r\n",
        b"no end of a line" * 100,
    ],
)
def test_invalid_chunks_are_refused(data: bytes) -> None:
    with pytest.raises(BadChunkError):
        Chunks(0).end(bytearray(data), len(data))
