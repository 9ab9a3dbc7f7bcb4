"""Windows of tokens instead of frames, encoded once, for stages that leave the autoencoder as it is."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from probtokens.data.dataset import Window, WindowDataset
from probtokens.data.normalize import Normalizer
from probtokens.data.trajectories import TrajectorySet

#: Frames encoded at once.
_CHUNK = 16


class TokenWindows(WindowDataset):
    """All windows of ``horizon`` + 1 consecutive token lattices of every trajectory, and of its mirror image.

    A :class:`WindowDataset` whose frames are tokens (time, channel, token_y, token_x), held in memory: some per cent of
    the fields' size. Trajectory ``n`` + k is the mirror image of trajectory k of ``n``, which is encoded by itself because
    tokens cannot be mirrored.

    Parameters
    ----------
    encode
        Tokens (frame, channel, token_y, token_x) of normalised frames (frame, field, y, x).
    mirror
        Mirror image of normalised frames; ``None`` for trajectories as they are alone.

    Raises
    ------
    ValueError
        As :class:`WindowDataset`.
    """

    def __init__(
        self,
        trajectories: TrajectorySet,
        normalizer: Normalizer,
        horizon: int,
        encode: Callable[[Tensor], Tensor],
        mirror: Callable[[Tensor], Tensor] | None,
    ) -> None:
        super().__init__(trajectories, normalizer, horizon)
        images = [lambda frames: frames] + ([mirror] if mirror is not None else [])
        self._tokens = [self._encoded(number, image, encode) for image in images for number in range(len(trajectories))]

    def __len__(self) -> int:
        """Number of windows."""
        return len(self._tokens) * self.n_starts

    def __getitem__(self, k: int) -> Window:
        """Window number ``k``."""
        if not 0 <= k < len(self):
            raise IndexError(f"window: expected 0..{len(self) - 1}, got {k}")
        number, start = divmod(k, self.n_starts)
        simulation = number % len(self.trajectories)
        return self._tokens[number][start : start + self.horizon + 1], self._context[simulation], simulation

    @torch.inference_mode()
    def _encoded(self, number: int, image: Callable[[Tensor], Tensor], encode: Callable[[Tensor], Tensor]) -> np.ndarray:
        """Tokens (time, channel, token_y, token_x) of one trajectory."""
        frames = image(torch.from_numpy((self.trajectories.frames(number) - self._mean) / self._scale))
        return torch.cat([encode(part) for part in frames.split(_CHUNK)]).cpu().numpy()
