"""Transport of tokens: exact for uniform flow, silent at rest, upstream at the edge."""

from __future__ import annotations

import pytest
import torch

from probtokens.nn.autoencoder import TokenAutoencoder
from probtokens.nn.transport import TokenTransport

PATCH, FIELDS = 4, 3


def lossless(mean: tuple[float, float] = (0.0, 0.0)) -> tuple[TokenAutoencoder, TokenTransport]:
    """Tokens that hold every pixel of (velocity_y, something, velocity_x), and their transport."""
    torch.manual_seed(0)
    autoencoder = TokenAutoencoder([[1], [2, 0]], [16, 32], PATCH, widths=[4, 4], encoder_blocks=1, decoder_blocks=1)
    autoencoder.initialise([torch.randn(64, FIELDS, 8, 8)])
    return autoencoder, TokenTransport(autoencoder, velocity=(2, 0), mean=mean, scale=(1.0, 2.0))


def moved(frames: torch.Tensor, autoencoder: TokenAutoencoder, transport: TokenTransport) -> torch.Tensor:
    tokens = autoencoder.encode(frames).mean
    return autoencoder.decode(tokens + transport(tokens)).mean


@pytest.mark.parametrize(("cells_x", "cells_y"), [(3, 0), (0, -2), (5, 1)])
def test_uniform_flow_shifts_the_pattern_by_whole_cells(cells_x: int, cells_y: int) -> None:
    autoencoder, transport = lossless()
    frames = torch.randn(2, FIELDS, 16, 24)
    frames[:, 2] = cells_x
    frames[:, 0] = cells_y / 2.0
    inner = (..., slice(6, 10), slice(8, 16))
    expected = frames.roll((cells_y, cells_x), dims=(-2, -1))
    torch.testing.assert_close(moved(frames, *(autoencoder, transport))[inner], expected[inner], rtol=1e-3, atol=1e-3)


def test_the_mean_velocity_counts_and_the_edge_is_repeated_upstream() -> None:
    autoencoder, transport = lossless(mean=(2.0, 0.0))
    frames = torch.randn(1, FIELDS, 8, 12)
    frames[:, [0, 2]] = 0.0
    after = moved(frames, autoencoder, transport)[:, 1]
    torch.testing.assert_close(after[..., 2:], frames[:, 1, :, :-2], rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(after[..., :2], frames[:, 1, :, :1].expand(-1, -1, 2), rtol=1e-3, atol=1e-3)


def test_half_a_cell_is_interpolated_and_rest_changes_nothing() -> None:
    autoencoder, transport = lossless()
    frames = torch.randn(1, FIELDS, 8, 12)
    frames[:, 0], frames[:, 2] = 0.0, 0.5
    after = moved(frames, autoencoder, transport)[:, 1]
    between = (frames[:, 1, :, 1:] + frames[:, 1, :, :-1]) / 2
    torch.testing.assert_close(after[..., 1:], between, rtol=1e-3, atol=1e-3)
    frames[:, 2] = 0.0
    tokens = autoencoder.encode(frames).mean
    torch.testing.assert_close(transport(tokens), torch.zeros_like(tokens), rtol=0, atol=2e-3)


def test_transport_follows_the_gradient_of_its_velocity() -> None:
    autoencoder, transport = lossless()
    tokens = autoencoder.encode(torch.randn(1, FIELDS, 8, 8)).mean.detach().requires_grad_()
    transport(tokens).square().sum().backward()
    assert tokens.grad is not None
    assert torch.isfinite(tokens.grad).all()
    assert list(transport.parameters()) == []
    assert all((net.linear.weight.grad != 0).any() for net in (*autoencoder.encoders, *autoencoder.decoders))


def test_tokens_that_are_not_numbers_stay_so_and_crash_nothing() -> None:
    """A training that diverges has to end with a message; the gradient of a lookup at NaN read memory that is not there."""
    _, transport = lossless()
    z = torch.full((4, 48, 8, 12), torch.nan, requires_grad=True)
    moved_by = transport(z)
    moved_by.sum().backward()
    assert moved_by.isnan().all()
