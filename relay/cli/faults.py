"""Errors of commands, with the exit codes that docs/cli.md lists."""

from enum import IntEnum

from relay.errors import RelayError


class Exit(IntEnum):
    """What a command says to the shell."""

    WELL = 0
    FAILED = 1
    MISUSED = 2
    DIFFERENT = 3


class Misused(RelayError):  # noqa: N818 - named for what happened, like relay.errors
    """Arguments, variables or a file are wrong. Nothing was asked of the relay."""


class Refusal(RelayError):  # noqa: N818
    """The API refused a request, or did not answer it. `status` is None without an answer."""

    def __init__(self, message: str, *, status: int | None = None, code: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.code = code
