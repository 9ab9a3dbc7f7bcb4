"""What became of damaged inputs: they are read, or refused in one short line that names them, soon and within a gigabyte.

Seconds are those of the processor: other work on the machine does not make an input slow, and one that waits for ever ends no test.
"""

from __future__ import annotations

import resource
import time
from collections.abc import Callable
from typing import Any

#: Most letters of a message beside the name of the file.
LIMIT = 300


class Tally:
    """Counts what became of inputs, and sees that no one takes long or much memory."""

    def __init__(self, note: Callable[[str, Any], None]) -> None:
        self.note, self.memory, self.slowest = note, peak_memory(), 0.0
        self.counts = {"read": 0, "refused": 0}

    def look(self, read: Callable[[], Any], name: str) -> None:
        """See that an input is read, or refused by a message that names ``name``, is short and of one line."""
        began = time.process_time()
        try:
            read()
        except ValueError as error:
            message = str(error)
            assert name in message, message
            assert len(message) - len(name) <= LIMIT, message
            assert "\n" not in message, message
            self.counts["refused"] += 1
        else:
            self.counts["read"] += 1
        self.slowest = max(self.slowest, time.process_time() - began)

    def close(self) -> None:
        """Note the counts for the page that ``examples/reliability_page.py`` writes."""
        grown = (peak_memory() - self.memory) / 2**20
        for name, value in (*self.counts.items(), ("slowest_s", round(self.slowest, 2)), ("grown_mib", round(grown))):
            self.note(name, value)
        assert self.slowest < 10
        assert grown < 1024


def peak_memory() -> int:
    """Bytes that this process has had at most."""
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
