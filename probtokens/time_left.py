"""How long work will still take."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable

#: Seconds of work before which an estimate would be a guess.
_ENOUGH = 5.0
#: Seconds between two samples.
_SAMPLE = 0.5


class TimeLeft:
    """Extrapolates progress at the rate of the more recent half of the time so far.

    What was done before the first report costs nothing now and does not count; a slow start, such as
    compiling, is forgotten when as much time again has passed.

    Parameters
    ----------
    clock
        Time in seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._samples: deque[tuple[float, int]] = deque()
        self._begin = 0.0
        self._total = 0

    def update(self, done: int, total: int) -> float | None:
        """Seconds left after ``done`` of ``total`` steps; ``None`` while too little is known."""
        now = self._clock()
        if not self._samples or total != self._total or done < self._samples[-1][1]:
            self._samples.clear()
            self._begin, self._total = now, total
        if not self._samples or now - self._samples[-1][0] >= _SAMPLE:
            self._samples.append((now, done))
        while len(self._samples) > 2 and self._samples[1][0] <= 0.5 * (self._begin + now):
            self._samples.popleft()
        then, before = self._samples[0]
        if now - self._begin < _ENOUGH or done <= before or done >= total:
            return None
        return (total - done) * (now - then) / (done - before)


def format_left(seconds: float) -> str:
    """Rough duration for people.

    >>> format_left(32), format_left(170), format_left(9000)
    ('40 s', '3 min', '2.5 h')
    """
    if seconds < 90:
        return f"{10 * max(1, math.ceil(seconds / 10))} s"
    return f"{math.ceil(seconds / 60)} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
