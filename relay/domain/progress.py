"""Whether work that waits gets done. A worker that does none for a while, though there is some, is not well."""


class Progress:
    """One kind of work in one worker. Times are seconds of a clock that is never set back."""

    def __init__(self, now_s: float, *, within_s: float) -> None:
        """Work that waits is to be begun `within_s`, or some other work of its kind done."""
        self._within_s = within_s
        self._since_s = now_s
        self._done = 0

    def look(self, *, waits: bool, done: int, now_s: float) -> None:
        """Take in whether work waits, and how much has been done since the process began."""
        if not waits or done != self._done:
            self._since_s = now_s
        self._done = done

    def stuck_s(self, now_s: float) -> float:
        """For how long work has waited while none was done; 0: not for long enough to mean anything."""
        waited_s = now_s - self._since_s
        return waited_s if waited_s >= self._within_s else 0.0
