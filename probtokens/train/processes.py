"""One stage of training in several processes of one machine that share every batch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import torch.multiprocessing
from lightning.pytorch.strategies import DDPStrategy

#: Called with (stage name, steps done, steps in all, loss).
Progress = Callable[[str, int, int, float], None]


def strategy(devices: int) -> str | DDPStrategy:
    """Lightning's strategy for so many devices of one machine.

    Processes are forked: stages, windows and models need not be copied, and a caller needs no main guard. What an objective does not use
    of a model is the same in every step.
    """
    return "auto" if devices == 1 else DDPStrategy(start_method="fork", static_graph=True)


@contextmanager
def relayed(progress: Progress | None, devices: int) -> Iterator[Progress | None]:
    """What the processes of a training report to, for ``progress`` to be called where it belongs: in the process that started them."""
    if progress is None or devices == 1:
        yield progress
        return
    queue = torch.multiprocessing.get_context("fork").SimpleQueue()

    def listen() -> None:
        for report in iter(queue.get, None):
            progress(*report)

    with ThreadPoolExecutor(1) as listener:
        listening = listener.submit(listen)
        try:
            yield lambda *report: queue.put(report)
        finally:
            queue.put(None)
    listening.result()
