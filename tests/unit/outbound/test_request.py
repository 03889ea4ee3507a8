"""A head is one line for each header, or it is not sent."""

import pytest

from relay.outbound.http.request import Preamble, encode_head


def test_a_head_as_it_goes_over_the_wire() -> None:
    """What follows from the URL and the body is written here, and `accept` only where nobody else says it."""
    preamble = Preamble("POST", "/hook?a=1", "crm.example.com:8443", [("user-agent", "r")])
    assert encode_head(preamble, [("webhook-id", "m")], 2) == (
        b"POST /hook?a=1 HTTP/1.1\r\nhost: crm.example.com:8443\r\naccept: */*\r\nuser-agent: r\r\n"
        b"webhook-id: m\r\ncontent-length: 2\r\n\r\n"
    )
    assert b"*/*" not in encode_head(Preamble("POST", "/", "a", [("accept", "text/plain")]), (), 0)


@pytest.mark.parametrize("bad", ["a\r\nx: 1", "a\n", "a\r", "a\0", "\r\n\r\nGET / HTTP/1.1"])
def test_nothing_can_smuggle_a_line_into_a_head(bad: str) -> None:
    """Neither by a value, a name, a path, a host nor a method."""
    preamble = Preamble("POST", "/", "a", ())
    for headers in ([("x", bad)], [(bad, "x")], [("y", "1"), ("x", bad)]):
        with pytest.raises(ValueError, match="line break"):
            encode_head(preamble, headers, 0)
        with pytest.raises(ValueError, match="line break"):
            Preamble("POST", "/", "a", headers)
    for arguments in ((bad, "/", "a"), ("POST", bad, "a"), ("POST", "/", bad), ("HEAD", "/", "a")):
        with pytest.raises(ValueError, match="request line"):
            Preamble(*arguments, ())


def test_what_is_not_ascii_is_not_sent() -> None:
    """There is no one encoding that receivers agree on."""
    with pytest.raises(ValueError, match="ascii"):
        encode_head(Preamble("POST", "/", "a", [("x", "ä")]), (), 0)
