"""Transitions that leave material at rest where it is."""

from __future__ import annotations

import torch
from torch import Tensor, nn

#: Distance in tokens, of unit variance or so over all frames, at which a token counts as at rest by a factor exp(-1/2).
_WIDTH = 0.2


class RestBalance(nn.Module):
    """What a transition would add to tokens at rest, to be taken off it where they are at rest.

    Scores move a transition as a whole, and material that no wave has reached is a small part of them: it is left with a drift that
    all draws share. Schemes that keep a steady state exactly are called well-balanced (Greenberg and Leroux, SIAM J. Numer. Anal. 33,
    1996); here the drift at rest is learned, and subtracted times a Gaussian of the distance from the tokens of rest.

    Parameters
    ----------
    channels
        Of the tokens.

    Attributes
    ----------
    tokens, tells
        Tokens of rest, and 1 for the channels that tell it, 0 for others, shape (channel,).
    drift
        What the transition adds there, shape (channel,).
    """

    tokens: Tensor
    tells: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("tokens", torch.zeros(channels))
        self.register_buffer("tells", torch.zeros(channels))
        self.drift = nn.Parameter(torch.zeros(channels))

    def nearness(self, z: Tensor) -> Tensor:
        """How much tokens (..., channel, y, x) are at rest: 1 there, 0 far from it, shape (..., 1, y, x)."""
        apart = (z - self.tokens[:, None, None]) * (self.tells / _WIDTH)[:, None, None]
        return (-apart.square().sum(-3, keepdim=True) / 2).exp()

    def forward(self, z: Tensor) -> Tensor:
        """What to take off the change of tokens (..., channel, y, x)."""
        return self.drift[:, None, None] * self.nearness(z)
