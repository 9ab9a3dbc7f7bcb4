"""How far a campaign is, from the frames of its shards, wherever they are computed."""

from __future__ import annotations

import contextlib
import logging
import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from probtokens.simulate.quality import FailedRun
from probtokens.simulate.shard import ShardTask

log = logging.getLogger(__name__)

#: Receives frames done, frames in all (both summed over simulations), and what is being done.
Progress = Callable[[int, int, str], None]

#: Seconds between two notes of the same shard, and between two looks at them.
INTERVAL = 1.0


class Tally:
    """Counts the frames of a campaign and reports what goes wrong.

    Parameters
    ----------
    tasks
        All shards.
    done
        Those that were finished before.
    progress
        Is told after every change.
    """

    def __init__(self, tasks: Sequence[ShardTask], done: Sequence[ShardTask], progress: Progress | None) -> None:
        self._total = sum(task.n_frames for task in tasks)
        self._n_shards, self._n_done = len(tasks), len(done)
        self._done = self._shown = sum(task.n_frames for task in done)
        self._progress = progress or (lambda done, total, text: None)
        self._progress(self._done, self._total, "")

    def at_work(self, frames: int, text: str, label: str | None = None) -> None:
        """Frames computed of the shards that are not finished, and a line about the last of them."""
        self._shown = max(self._shown, self._done + frames)
        self._progress(self._shown, self._total, f"{label}: {text}" if label else text)

    def at_work_elsewhere(self, tasks: Sequence[ShardTask]) -> None:
        """Sum up the notes of other processes."""
        notes = [frames for task in tasks if (frames := read_note(task)) is not None]
        self.at_work(sum(notes), f"{self._n_done} of {self._n_shards} shards done, {len(notes)} at work")

    def finished(self, task: ShardTask, failed: Sequence[FailedRun]) -> None:
        """Count a shard and tell which of its runs failed."""
        self._done += task.n_frames
        self._n_done += 1
        for run in failed:
            log.warning("%s: left out %s", task.label, run)
        self.at_work(0, f"{task.label}: done")


def note(task: ShardTask) -> Callable[[int, str], None]:
    """Progress of a shard that other processes can read: a number in a hidden file beside it.

    It works across the nodes of a cluster as well as between processes, and is never worth an error.
    The first number, 0, is there at once.
    """
    path, last = _note_path(task), -math.inf

    def write(frames: int, line: str) -> None:
        nonlocal last
        if time.monotonic() - last >= INTERVAL:
            last = time.monotonic()
            with contextlib.suppress(OSError):
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(str(frames), encoding="ascii")

    write(0, "")
    last = -math.inf
    return write


def read_note(task: ShardTask) -> int | None:
    """Frames that the process at work on a shard has noted; ``None`` if none is at work."""
    try:
        return min(int(_note_path(task).read_text(encoding="ascii") or 0), task.n_frames)
    except (OSError, ValueError):
        return None


def remove_note(task: ShardTask) -> None:
    """Forget what was noted."""
    with contextlib.suppress(OSError):
        _note_path(task).unlink()


def _note_path(task: ShardTask) -> Path:
    path = task.shard.path
    return path.with_name(f".{path.stem}.frames")
