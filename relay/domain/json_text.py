"""JSON as the relay reads and writes it: numbers with a point keep their digits, as Decimals (1.10 stays 1.10)."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import msgspec


def _digits(text: str) -> Decimal:
    return Decimal(text)


decode: Callable[[bytes | str], Any] = msgspec.json.Decoder(float_hook=_digits).decode
"""Bytes or text to objects; raises one of BROKEN."""
encode = msgspec.json.Encoder(decimal_format="number").encode
"""Objects to bytes, keys in their order."""
encode_sorted = msgspec.json.Encoder(decimal_format="number", order="sorted").encode
"""Objects to bytes, keys sorted: what digests are taken of."""

BROKEN = (msgspec.MsgspecError, ValueError, ArithmeticError, RecursionError)
"""Whatever text that is not JSON can raise: malformed, not UTF-8, an absurd exponent, too deep."""
