"""Numbers as letters and digits, as ids have them."""

import string

ALPHABET = string.digits + string.ascii_uppercase + string.ascii_lowercase
"""In the order of ASCII, so that texts sort as numbers do."""
LENGTH = 27
"""62**27 is just above 2**160."""


def base62(number: int) -> str:
    """Write a number of at most 160 bits in 27 letters and digits.

    >>> base62(61)
    '00000000000000000000000000z'
    """
    letters = []
    for _ in range(LENGTH):
        number, digit = divmod(number, 62)
        letters.append(ALPHABET[digit])
    return "".join(reversed(letters))
