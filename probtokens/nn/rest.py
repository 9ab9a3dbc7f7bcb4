"""Transitions that leave material at rest where it is."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from probtokens.nn.edges import Wrapping, wrapped

#: Distance of tokens, which vary by about one over all frames, at which a token counts as at rest by a factor exp(-1/2).
_WIDTH = 0.2


class RestGate(Wrapping):
    """How much may happen to tokens in a step: nothing where all tokens within reach are at rest.

    Scores move a transition as a whole, and material that no wave has reached is a small part of them. Schemes that keep a steady state
    exactly are called well-balanced (Greenberg and Leroux, SIAM J. Numer. Anal. 33, 1996). Here a factor on drift and noise does it, for
    every effect, context and weight.

    Parameters
    ----------
    tells
        Whether each channel tells rest, and stays as it is there.
    reach
        Tokens, along each axis, that a wave may cross in a step.
    """

    tells: Tensor

    def __init__(self, tells: Sequence[bool], reach: int) -> None:
        super().__init__()
        self.reach = reach
        self.register_buffer("tells", torch.tensor(tells, dtype=torch.float32)[:, None, None], persistent=False)

    def forward(self, apart: Tensor) -> Tensor:
        """Factor (batch, channel, y, x) in [0, 1] for tokens so far from those of rest; 1 for all channels that do not tell it."""
        moved = -torch.expm1(-(apart * (self.tells / _WIDTH)).square().sum(1, keepdim=True) / 2)
        reach = min(self.reach, moved.shape[-2]), min(self.reach, moved.shape[-1])
        within, (y, x) = wrapped(moved, reach, self.periodic)
        within = nn.functional.max_pool2d(within, (2 * reach[0] + 1, 1), 1, (y, 0))
        within = nn.functional.max_pool2d(within, (1, 2 * reach[1] + 1), 1, (0, x))
        return 1 - self.tells * (1 - within)
