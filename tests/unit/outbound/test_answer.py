"""Answers are read from bytes, within limits, however the bytes are split."""

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.domain.outcomes import Failure
from relay.outbound.http.answer import (
    BODY_CAP_BYTES,
    HEAD_BYTES,
    HEAD_FIELDS,
    MAX_INFORMATIONAL,
    RAW_FACTOR,
    AnswerFault,
    AnswerReader,
)

OK = b"HTTP/1.1 200 OK\r\n"
EARLY = b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n"
EMPTY = OK + b"content-length: 0\r\n\r\n"

RAW_BYTES = HEAD_BYTES + RAW_FACTOR * BODY_CAP_BYTES


def read(*pieces: bytes) -> tuple[AnswerReader, Failure | None]:
    """Feed pieces as a connection does: until the answer ends or is at fault."""
    reader = AnswerReader()
    for piece in pieces:
        try:
            reader.feed(piece)
        except AnswerFault as fault:
            return reader, fault.failure
        if reader.complete or reader.is_cut or reader.is_flooded:
            break
    return reader, None


def split(data: bytes, size: int) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]


def found(reader: AnswerReader, failure: Failure | None) -> tuple[Any, ...]:
    return reader.status, reader.headers, reader.body(), reader.complete, reader.is_cut, reader.is_flooded, failure


def test_informational_answers_are_skipped_up_to_a_bound() -> None:
    """Their headers are none of the final answer's; with more of them nothing is read any further."""
    reader, failure = read(EARLY * MAX_INFORMATIONAL + OK + b"x: 1\r\ncontent-length: 0\r\n\r\n")
    assert (reader.status, reader.complete, failure) == (200, True, None)
    assert reader.headers == [(b"x", b"1"), (b"content-length", b"0")]
    reader, failure = read(EARLY * (MAX_INFORMATIONAL + 1) + EMPTY)
    assert (reader.status, reader.is_flooded, failure) == (0, True, None)


@pytest.mark.parametrize("size", [1 << 20, 1000])
@pytest.mark.parametrize(
    ("value", "failure"), [(HEAD_BYTES - 100, None), (HEAD_BYTES, Failure.OVERSIZED), (250_000, Failure.OVERSIZED)]
)
def test_a_head_has_at_most_64_kib(value: int, failure: Failure | None, size: int) -> None:
    """In one piece or in many; a body behind it does not count."""
    data = OK + b"x: " + b"a" * value + b"\r\ncontent-length: 5000\r\n\r\n" + b"b" * 5000
    reader, fault = read(*split(data, size))
    assert (fault, reader.complete) == (failure, failure is None)


@pytest.mark.parametrize("size", [1 << 20, 1000])
@pytest.mark.parametrize("head", [b"HTTP/1.1 200 " + b"a" * 70_000, OK + b"a" * 70_000, OK + b"x:" + b" " * 70_000])
def test_a_head_without_an_end_is_refused_early(head: bytes, size: int) -> None:
    """Whatever it is that does not end: the reason, a name, or the space in front of a value."""
    reader, fault = read(*split(head, size))
    assert (reader.status, fault) == (0, Failure.OVERSIZED)


def test_a_head_has_at_most_100_fields() -> None:
    """One more is refused."""
    fields = [b"x: 1\r\n"] * (HEAD_FIELDS - 1)
    assert read(OK + b"".join(fields) + b"content-length: 0\r\n\r\n")[0].complete
    reader, fault = read(OK + b"".join(fields) + b"y: 1\r\ncontent-length: 0\r\n\r\n")
    assert (reader.complete, fault) == (False, Failure.OVERSIZED)


def test_trailers_are_read_and_bounded() -> None:
    """They are none of the headers; too many break the body off, and the status stands."""
    chunked = OK + b"transfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n"
    reader, _ = read(chunked + b"t: 1\r\n\r\n")
    assert (reader.complete, reader.reusable, reader.body()) == (True, True, b"ok")
    assert reader.headers == [(b"transfer-encoding", b"chunked")]
    reader, fault = read(chunked + b"t: 1\r\n" * (HEAD_FIELDS + 1) + b"\r\n")
    assert (reader.status, reader.complete, fault) == (200, False, Failure.OVERSIZED)
    reader, fault = read(*split(chunked + b"t: " + b"a" * RAW_BYTES, 1000))
    assert (reader.status, reader.complete, reader.is_cut) == (200, False, True)


@pytest.mark.parametrize("size", [1 << 20, 1000])
def test_a_body_is_read_up_to_its_cap(size: int) -> None:
    """One that fits exactly is complete; one byte more cuts it, and nothing of it is kept."""
    for length, complete in ((BODY_CAP_BYTES, True), (BODY_CAP_BYTES + 1, False)):
        data = OK + b"content-length: %d\r\n\r\n" % length + b"a" * length
        reader, fault = read(*split(data, size))
        assert (reader.complete, reader.is_cut, fault) == (complete, not complete, None)
        assert len(reader.body()) == BODY_CAP_BYTES


def test_what_never_reaches_the_body_is_bounded_as_well() -> None:
    """Tiny chunks with long extensions."""
    chunk = b"1;" + b"e" * 1000 + b"\r\nx\r\n"
    reader, fault = read(OK + b"transfer-encoding: chunked\r\n\r\n", *[chunk] * 1000)
    assert (reader.is_cut, reader.raw_bytes < RAW_BYTES + 2000, fault) == (True, True, None)


@pytest.mark.parametrize(
    ("data", "reusable"),
    [
        (EMPTY, True),
        (b"HTTP/1.1 204 No Content\r\n\r\n", True),
        (b"HTTP/1.1 304 Not Modified\r\ncontent-length: 9\r\n\r\n", True),
        (OK + b"transfer-encoding: chunked\r\n\r\n0\r\n\r\n", True),
        (b"HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ncontent-length: 0\r\n\r\n", True),
        (OK + b"connection: close\r\ncontent-length: 0\r\n\r\n", False),
        (b"HTTP/1.0 200 OK\r\ncontent-length: 0\r\n\r\n", False),
        (EMPTY + b"garbage", False),
        (EMPTY + EMPTY, False),
        (OK + b"content-length: 0\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n", False),
        (b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n", False),
        (b"HTTP/1.1 101 Switching Protocols\r\n\r\n", False),
    ],
    ids=repr,
)
def test_which_connections_can_carry_another_answer(data: bytes, reusable: bool) -> None:
    """Not those whose answer says so, is the last of HTTP/1.0, is framed in two ways, or is followed by anything."""
    reader, fault = read(data)
    assert (reader.complete, reader.reusable, fault) == (True, reusable, None)


def test_what_follows_an_answer_changes_nothing_of_it() -> None:
    """A second answer in the same bytes is not the first one's."""
    reader, _ = read(EMPTY + b"HTTP/1.1 500 Error\r\nx: 1\r\ncontent-length: 2\r\n\r\nno")
    assert (reader.status, reader.headers, reader.body()) == (200, [(b"content-length", b"0")], b"")


@pytest.mark.parametrize(
    "data",
    [
        b"\r\n" + EMPTY,
        b"RTSP/1.0 200 OK\r\ncontent-length: 0\r\n\r\n",
        b"ICE/1.0 200 OK\r\ncontent-length: 0\r\n\r\n",
        b"HTTP/2.0 200 OK\r\ncontent-length: 0\r\n\r\n",
        b"HTTP/0.9 200 OK\r\ncontent-length: 0\r\n\r\n",
        b"HTTP/1.1 099 Low\r\ncontent-length: 0\r\n\r\n",
        b"HTTP/1.1 20 OK\r\n\r\n",
        OK + b"content-length: 1\r\ncontent-length: 2\r\n\r\nab",
        OK + b"content-length: +1\r\n\r\na",
        OK + b"content-length: 1_0\r\n\r\na",
        OK + b"x y: 1\r\n\r\n",
        OK + b"x : 1\r\n\r\n",
        OK + b"x: \0\r\n\r\n",
    ],
    ids=repr,
)
@pytest.mark.parametrize("size", [1, 1000])
def test_what_is_not_http_1_is_refused(data: bytes, size: int) -> None:
    """Other protocols that llhttp knows, other versions, and heads that parsers read differently."""
    reader, fault = read(*split(data, size))
    assert (reader.status, fault) == (0, Failure.PROTOCOL)


def test_a_reader_reads_one_answer_after_the_other() -> None:
    """Nothing of one is left in the next."""
    reader = AnswerReader()
    for answer in (EARLY + OK + b"x: 1\r\ncontent-length: 2\r\n\r\nok", EMPTY):
        reader.expect()
        reader.feed(answer)
        assert (reader.complete, reader.reusable) == (True, True)
    assert (reader.headers, reader.body(), reader.raw_bytes) == ([(b"content-length", b"0")], b"", len(EMPTY))


_NAMES = st.text("abcdefghijklmnop-", min_size=1, max_size=8).map(lambda name: b"x" + name.encode())
_VALUES = st.binary(max_size=20).map(lambda value: bytes(byte for byte in value if byte > 32 and byte != 127))
_FIELDS = st.lists(st.tuples(_NAMES, _VALUES).map(lambda pair: b"%s: %s\r\n" % pair), max_size=5).map(b"".join)


@st.composite
def answers(draw: st.DrawFn) -> bytes:
    """Answers as they should be and as they should not: any framing, any status, perhaps with bytes behind them."""
    version = draw(st.sampled_from([b"1.1", b"1.0"]))
    status = draw(st.sampled_from([101, 200, 204, 304, 404, 599, 999]))
    head = b"HTTP/%s %d Said so\r\n" % (version, status) + draw(_FIELDS)
    head += draw(st.sampled_from([b"", b"connection: close\r\n", b"connection: keep-alive\r\n"]))
    body = draw(st.binary(max_size=40) | st.just(b"b" * (BODY_CAP_BYTES + 1)))
    match draw(st.sampled_from(["length", "chunks", "both", "close", "bad"])):
        case "length":
            framed = head + b"content-length: %d\r\n\r\n" % len(body) + body
        case "chunks":
            framed = head + b"transfer-encoding: chunked\r\n\r\n" + _chunks(draw, body) + draw(_FIELDS) + b"\r\n"
        case "both":
            framed = head + b"content-length: 3\r\ntransfer-encoding: chunked\r\n\r\n" + _chunks(draw, body) + b"\r\n"
        case "close":
            framed = head + b"\r\n" + body
        case _:
            framed = head + b"transfer-encoding: chunked\r\n\r\nzz\r\n" + body
    return (
        EARLY * draw(st.integers(0, MAX_INFORMATIONAL + 1)) + framed + draw(st.sampled_from([b"", b"\0garbage", EMPTY]))
    )


def _chunks(draw: st.DrawFn, body: bytes) -> bytes:
    size = draw(st.integers(1, 50))
    return (
        b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in split(body, max(size, len(body) // 50))) + b"0\r\n"
    )


@given(answers(), st.lists(st.integers(0, 1 << 15), max_size=12))
def test_how_the_bytes_are_split_does_not_matter(data: bytes, cuts: list[int]) -> None:
    """Whole, in pieces, or byte by byte: what is found is the same."""
    whole = found(*read(data))
    edges = [0, *sorted({cut % (len(data) + 1) for cut in cuts}), len(data)]
    pieces = [data[begin:end] for begin, end in pairwise(edges) if begin < end]
    assert found(*read(*pieces)) == whole
    if len(data) < 2000:
        assert found(*read(*split(data, 1))) == whole


@given(st.binary(max_size=400), st.integers(1, 400))
def test_no_bytes_raise_anything_but_a_fault(noise: bytes, at: int) -> None:
    """Also where they begin as an answer does."""
    good = OK + b"transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
    read(noise)
    read(good[:at] + noise)
    read(*split(good[:at] + noise, 7))
