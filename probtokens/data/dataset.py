"""From trajectories to batches of windows in a reproducible order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from probtokens.data.trajectories import TrajectorySet

__all__ = ["Batch", "StepSampler", "TrajectorySet", "WindowDataset"]

Window = tuple[np.ndarray, np.ndarray, int]


@dataclass(frozen=True, eq=False)
class Batch:
    """Windows of consecutive frames with what is known about their simulations.

    Attributes
    ----------
    frames
        Physical units, shape (batch, time, field, y, x); of latent stages tokens (batch, time, channel, token_y, token_x).
    context
        Physical units, shape (batch, context).
    index
        Number of each window's simulation in its set, shape (batch,), int64.
    """

    frames: Tensor
    context: Tensor
    index: Tensor

    def __len__(self) -> int:
        """Number of windows."""
        return self.frames.shape[0]

    @property
    def horizon(self) -> int:
        """Number of frames after the first."""
        return self.frames.shape[1] - 1

    def to(self, device: torch.device | str) -> Batch:
        """Copy on ``device``."""
        return Batch(self.frames.to(device), self.context.to(device), self.index.to(device))


class WindowDataset(Dataset[Window]):
    """All windows of ``horizon`` + 1 consecutive frames of every trajectory.

    Items are the windows of the first trajectory from the earliest on, of the second, …: frames of shape
    (time, field, y, x) and context of shape (context,) in physical units, and the number of the simulation. Longer trajectories have more
    windows. Pass :meth:`collate` to a ``DataLoader`` to get a :class:`Batch`.

    Parameters
    ----------
    latest_start
        Last frame that a window may begin with; any by default.

    Raises
    ------
    ValueError
        If a trajectory is shorter than ``horizon`` + 1 frames.
    """

    def __init__(self, trajectories: TrajectorySet, horizon: int, latest_start: int | None = None) -> None:
        n_times = trajectories.grid.n_times
        if not 0 <= horizon < n_times:
            raise ValueError(f"horizon: expected 0..{n_times - 1} for trajectories of {n_times} frames, got {horizon}")
        self.trajectories = trajectories
        self.horizon = horizon
        most = np.inf if latest_start is None else latest_start + 1
        lengths = np.array([trajectories.length(i) for i in range(len(trajectories))], dtype=np.int64)
        self._ends = np.minimum(lengths - horizon, most).astype(np.int64).repeat(self._copies()).cumsum()

    def _copies(self) -> int:
        """In how many forms each trajectory is there, one after the other."""
        return 1

    def __len__(self) -> int:
        """Number of windows."""
        return int(self._ends[-1]) if len(self._ends) else 0

    def _place(self, k: int) -> tuple[int, int]:
        """Number of the form of a trajectory that window ``k`` is of, and its first frame."""
        if not 0 <= k < len(self):
            raise IndexError(f"window: expected 0..{len(self) - 1}, got {k}")
        number = int(np.searchsorted(self._ends, k, side="right"))
        return number, k - (int(self._ends[number - 1]) if number else 0)

    def __getitem__(self, k: int) -> Window:
        """Window number ``k``."""
        simulation, start = self._place(k)
        return self.trajectories.frames(simulation, start, start + self.horizon + 1), self.trajectories.context[simulation], simulation

    @staticmethod
    def collate(items: Sequence[Window]) -> Batch:
        """Stack windows into a batch."""
        frames, context, index = zip(*items, strict=True)
        return Batch(torch.from_numpy(np.stack(frames)), torch.from_numpy(np.stack(context)), torch.tensor(index, dtype=torch.int64))


class StepSampler(Sampler[list[int]]):
    """Batches of window numbers for training steps ``start_step`` … ``n_steps`` - 1.

    The windows form one endless sequence of passes, each a fresh permutation drawn from
    (``seed``, pass); step k takes entries ``k * batch_size`` … ``(k + 1) * batch_size`` - 1 of it. So
    the batch of a step depends on the seed and the step alone, and training that resumes at step k with
    ``start_step=k`` sees exactly what it would have seen; every pass has every window once, and a batch may
    span two passes. With a ``share`` of (rank, number of ranks) each of several processes gets its part of every batch.

    Raises
    ------
    ValueError
        If a count is not positive, ``start_step`` is not in ``0..n_steps``, or a batch cannot be shared evenly.
    """

    def __init__(
        self, n_windows: int, batch_size: int, n_steps: int, seed: int, start_step: int = 0, share: tuple[int, int] = (0, 1)
    ) -> None:
        for name, value in (("n_windows", n_windows), ("batch_size", batch_size)):
            if value < 1:
                raise ValueError(f"{name}: expected >= 1, got {value}")
        if not 0 <= start_step <= n_steps:
            raise ValueError(f"start_step: expected 0..{n_steps}, got {start_step}")
        if batch_size % share[1]:
            raise ValueError(f"batch_size: expected a multiple of the {share[1]} devices that share it, got {batch_size}")
        self.n_windows = n_windows
        self.batch_size = batch_size
        self.n_steps = n_steps
        self.seed = seed
        self.start_step = start_step
        self.rank, self.n_ranks = share
        self._pass: tuple[int, np.ndarray] = (0, self._permutation(0))

    def __len__(self) -> int:
        """Number of steps left."""
        return self.n_steps - self.start_step

    def __iter__(self) -> Iterator[list[int]]:
        """Batches in the order of steps."""
        return (self.batch(step) for step in range(self.start_step, self.n_steps))

    def batch(self, step: int) -> list[int]:
        """Window numbers of one training step, or the share of them."""
        first = step * self.batch_size
        return [self._window(position) for position in range(first + self.rank, first + self.batch_size, self.n_ranks)]

    def _window(self, position: int) -> int:
        number, offset = divmod(position, self.n_windows)
        if self._pass[0] != number:
            self._pass = (number, self._permutation(number))
        return int(self._pass[1][offset])

    def _permutation(self, number: int) -> np.ndarray:
        return np.random.default_rng([self.seed, number]).permutation(self.n_windows)
