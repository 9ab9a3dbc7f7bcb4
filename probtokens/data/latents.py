"""Windows of tokens instead of frames, encoded once, for stages that leave the autoencoder as it is."""

from __future__ import annotations

import math
import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from probtokens.data.atomic import writing
from probtokens.data.dataset import Window, WindowDataset
from probtokens.data.trajectories import TrajectorySet

#: Frames encoded at once.
_CHUNK = 16

View = Callable[[Tensor], Tensor]


class TokenFile:
    """Tokens of many views, all on one lattice, on disk: in a file without a name, which goes with its process however that ends.

    Parameters
    ----------
    folder
        Where the file lies; made if needed.

    Raises
    ------
    WriteError
        If the folder cannot be made or written.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._begins = [0]
        self._lattice: tuple[int, ...] = ()
        with writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
            self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - closed with the object

    def __len__(self) -> int:
        """Number of views."""
        return len(self._begins) - 1

    def append(self, tokens: np.ndarray) -> None:
        """Add a view (time, channel, token_y, token_x), float32; raises a ``WriteError`` if there is no room."""
        assert len(self) == 0 or tokens.shape[1:] == self._lattice
        self._lattice = tokens.shape[1:]
        with writing(self._folder):
            self._file.write(np.ascontiguousarray(tokens, dtype=np.float32).data)
            self._file.flush()
        self._begins.append(self._begins[-1] + len(tokens))

    def read(self, number: int, start: int, stop: int) -> np.ndarray:
        """Tokens of view ``number`` at the times ``start`` to ``stop`` - 1; forked processes may read at once."""
        frame = 4 * math.prod(self._lattice)
        content = os.pread(self._file.fileno(), (stop - start) * frame, (self._begins[number] + start) * frame)
        return np.frombuffer(content, dtype=np.float32).reshape(stop - start, *self._lattice)


@torch.inference_mode()
def encode_views(
    trajectories: TrajectorySet,
    encode: Callable[[Tensor], Tensor],
    views: Callable[[int], Sequence[View]],
    folder: Path,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> TokenFile:
    """Tokens (time, channel, token_y, token_x) of all views of the first trajectory, of the second, ….

    Views, such as mirror images, are encoded by themselves because tokens cannot be mirrored.

    Parameters
    ----------
    encode
        Tokens (frame, channel, token_y, token_x) of frames (frame, field, y, x) in physical units.
    views
        For every trajectory, given by its number, what is made of its frames (time, field, y, x) before they are encoded; all
        of one extent, and as many for every trajectory.
    folder
        Where the tokens are kept while they are needed.
    progress
        Told trajectories done and in all, before the first one and after each.
    """
    found = TokenFile(folder)
    progress(0, len(trajectories))
    for number in range(len(trajectories)):
        frames = torch.tensor(trajectories.whole(number))
        for view in views(number):
            found.append(torch.cat([encode(part) for part in view(frames).split(_CHUNK)]).cpu().numpy())
        progress(number + 1, len(trajectories))
    return found


class TokenWindows(WindowDataset):
    """All windows of ``horizon`` + 1 consecutive token lattices of every trajectory, in several views.

    A :class:`WindowDataset` whose frames are tokens (time, channel, token_y, token_x).

    Parameters
    ----------
    tokens
        What :func:`encode_views` made of the same trajectories.
    latest_start
        Last frame that a window may begin with; any by default.

    Raises
    ------
    ValueError
        As :class:`WindowDataset`.
    """

    def __init__(
        self,
        trajectories: TrajectorySet,
        horizon: int,
        tokens: TokenFile,
        latest_start: int | None = None,
    ) -> None:
        self._tokens = tokens
        self._per_trajectory = len(tokens) // len(trajectories)
        super().__init__(trajectories, horizon, latest_start)

    def _copies(self) -> int:
        return self._per_trajectory

    def __getitem__(self, k: int) -> Window:
        """Window number ``k``."""
        number, start = self._place(k)
        simulation = number // self._per_trajectory
        return self._tokens.read(number, start, start + self.horizon + 1), self.trajectories.context[simulation], simulation
