"""How the upstream says no: a bare JSON string, where rows are objects (hazard H2)."""


class Refusal(Exception):  # noqa: N818 - named for what it says
    """An answer without rows. `status` is an HTTP status, `headers` go with it."""

    def __init__(self, message: str, *, status: int, headers: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self.headers = headers or {}


class BadParameter(Refusal):
    """A parameter that makes no sense. The status is not known: 400 unless the sandbox was told otherwise."""

    def __init__(self, message: str) -> None:
        super().__init__(message, status=400)
