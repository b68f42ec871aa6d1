"""A buffer that cuts received bytes into lines."""


class LineBuffer:
    """Bytes that were received and not taken yet. No byte is searched twice for the end of a line."""

    def __init__(self) -> None:
        self._received = bytearray()
        self._searched = 0

    def __len__(self) -> int:
        return len(self._received)

    def add(self, data: bytes) -> None:
        """Append received bytes."""
        self._received += data

    def next(self) -> bytes | None:
        """Remove and return the next line, without its newline; None while no line is whole."""
        end = self._received.find(b"\n", self._searched)
        if end < 0:
            self._searched = len(self._received)
            return None
        return self._taken(end)

    def rest(self) -> bytes:
        """Remove and return everything: where no line is whole, the unfinished one."""
        return self._taken(len(self._received))

    def _taken(self, end: int) -> bytes:
        """Remove and return the bytes up to `end`, and remove the newline there."""
        with memoryview(self._received) as received, received[:end] as beginning:
            line = bytes(beginning)
        del self._received[: end + 1]
        self._searched = 0
        return line
