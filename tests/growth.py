"""Growth of costs with the input; absolute times are never compared, since machines differ and are busy."""

from collections.abc import Callable, Sequence

MOST = 2.5
"""What may become of it where twice as much is given: twice as much, and some more for what a machine adds."""

TRIES = 6
"""The least of so many is taken: what others do on the machine only ever adds."""


def is_in_proportion(taken: Callable[[int], Sequence[float]], size: int, floors: Sequence[float]) -> bool:
    """Return whether twice the size takes at most `MOST` times as much, in each of several measures, in seconds.

    What takes less than its floor is not judged: there the machine adds more than the work.
    """
    once: Sequence[float] = [float("inf")] * len(floors)
    twice = once
    for _ in range(TRIES):
        once, twice = _least(once, taken(size)), _least(twice, taken(2 * size))
        if all(much <= MOST * max(little, floor) for much, little, floor in zip(twice, once, floors, strict=True)):
            return True
    return False


def _least(known: Sequence[float], new: Sequence[float]) -> Sequence[float]:
    return list(map(min, known, new))
