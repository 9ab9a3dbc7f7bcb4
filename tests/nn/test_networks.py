"""Token networks: shapes with any leading dimensions, locality, and the structure they promise."""

from __future__ import annotations

import pytest
import torch

from probtokens.nn.autoencoder import PIXEL_SCALE, TokenAutoencoder
from probtokens.nn.blocks import ConvNextBlock, ResidualBlock, ScaleRange, SpreadHead, hidden_kernels
from probtokens.nn.transition import TokenTransition
from probtokens.verify.token_pairs import randomise


def autoencoder() -> TokenAutoencoder:
    torch.manual_seed(0)
    return TokenAutoencoder([[2, 0], [1]], [3, 2], patch=4, widths=[8, 8], encoder_blocks=1, decoder_blocks=1)


def transition(coupled: bool = True) -> TokenTransition:
    torch.manual_seed(0)
    net = TokenTransition([3, 2], context_dim=1, effect_dim=3, effect_patch=3, width=8, blocks=2, coupled=coupled)
    with torch.no_grad():
        for p in net.parameters():
            p.add_(0.1 * torch.randn_like(p))
    return net


def test_fresh_block_is_the_identity_and_scales_are_bounded() -> None:
    h = torch.randn(2, 8, 3, 4)
    assert torch.equal(ResidualBlock(8)(h), h)
    assert torch.equal(ResidualBlock(8, 3)(h, torch.randn(2, 3)), h)
    assert torch.equal(ConvNextBlock(8)(h), h)
    raw = torch.tensor([-1e3, -3.0, 0.0, 3.0, 1e3, 1e6])
    scales = ScaleRange(0.01, 4.0, start=0.05)(raw)
    torch.testing.assert_close(scales[[0, 2, 5]], torch.tensor([0.01, 0.05, 4.0]), rtol=1e-4, atol=0.0)
    assert (scales.diff() > 0).all()
    assert scales.max() < 4.0


def test_a_convnext_block_widens_every_place_and_leaves_its_input_alone() -> None:
    block = ConvNextBlock(8)
    randomise(block)
    h = torch.randn(2, 8, 5, 6)
    kept = h.clone()
    places = block.depthwise(h).movedim(1, -1)
    wide = torch.relu(places @ block.expand.weight[:, :, 0, 0].T + block.expand.bias)
    expected = h.movedim(1, -1) + wide @ block.project.weight[:, :, 0, 0].T + block.project.bias
    torch.testing.assert_close(block(h).movedim(1, -1), expected, rtol=1e-4, atol=1e-5)
    assert torch.equal(h, kept)


def test_gradients_of_a_convnext_block_are_right_though_it_overwrites_what_a_convolution_gave() -> None:
    block = ConvNextBlock(3).double()
    randomise(block)
    h = torch.randn(1, 3, 4, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(block, (h,))
    kernel = block.expand.weight.detach().clone().requires_grad_()

    def given(weight: torch.Tensor) -> torch.Tensor:
        return torch.func.functional_call(block, {"expand.weight": weight}, (h.detach(),))

    assert torch.autograd.gradcheck(given, (kernel,))


def test_a_condition_scales_and_shifts_what_a_residual_block_sees() -> None:
    block = ResidualBlock(8, 3)
    randomise(block)
    h, condition = torch.randn(2, 8, 5, 6), torch.randn(2, 3)
    scale, shift = (condition @ block.film.weight.T + block.film.bias)[:, :, None, None].chunk(2, dim=1)
    inner = h * (1 + scale) + shift
    hidden = torch.nn.functional.silu(block.first(inner))
    torch.testing.assert_close(block(h, condition), h + block.second(hidden))


def test_hidden_kernels_are_those_of_blocks_that_mix_channels() -> None:
    net = torch.nn.ModuleDict({"embed": torch.nn.Conv2d(3, 8, 3), "one": ResidualBlock(8, 2), "two": ConvNextBlock(8)})
    found = {id(kernel) for kernel in hidden_kernels(net)}
    names = [name for name, parameter in net.named_parameters() if id(parameter) in found]
    assert names == ["one.first.weight", "one.second.weight", "two.expand.weight", "two.project.weight"]


def test_a_scale_thrown_to_its_bound_finds_back() -> None:
    """A few large residuals may carry it there; the likelihood of the others must bring it back."""
    errors = 0.02 * torch.randn(1000, generator=torch.Generator().manual_seed(0))
    raw = torch.tensor(40.0, requires_grad=True)
    optimizer = torch.optim.Adam([raw], lr=0.2)
    for _ in range(600):
        optimizer.zero_grad()
        scale = ScaleRange(0.001, 1.0, start=0.03)(raw)
        (scale.log() + 0.5 * (errors / scale).square()).mean().backward()
        optimizer.step()
    torch.testing.assert_close(scale.detach(), errors.square().mean().sqrt(), rtol=0.02, atol=0.0)


def test_how_sure_a_field_is_cannot_move_the_bounds_of_its_pixels() -> None:
    net = autoencoder()
    z = torch.randn(1, 5, 2, 3)
    for shift, bound in ((-1e4, PIXEL_SCALE.low), (1e6, PIXEL_SCALE.high)):
        net.pixel_raw_scale.data.fill_(shift)
        torch.testing.assert_close(net.decode(z).stddev, torch.full((1, 3, 8, 12), bound), rtol=1e-4, atol=0.0)


def test_a_scale_follows_features_over_orders_of_magnitude_and_keeps_learning() -> None:
    """Errors that grow like a root of the amplitude: the likelihood finds their scale, in a few hot spots as in all the rest."""
    generator = torch.Generator().manual_seed(0)
    amplitude = 10 ** torch.empty(1, 1, 40, 50).uniform_(-1, 4, generator=generator)
    features = amplitude * torch.linspace(0.5, 1.0, 8)[:, None, None]
    true = 0.003 * amplitude.sqrt()
    error = true * torch.randn(true.shape, generator=generator)
    torch.manual_seed(0)
    scales, head = ScaleRange(1e-4, 1.0, start=0.03), SpreadHead(8, 1)
    optimizer = torch.optim.Adam(head.parameters(), lr=0.02)
    for _ in range(400):
        optimizer.zero_grad()
        scale = scales(head(features))
        (scale.log() + 0.5 * (error / scale).square()).mean().backward()
        optimizer.step()
    assert (scale / true).log().abs().quantile(0.95) < 0.3
    raw = head(1e6 * features)
    raw.sum().backward()
    assert raw.abs().max() < 20  # six more orders of magnitude add little


def test_autoencoder_shapes_and_field_order() -> None:
    net = autoencoder()
    frames = torch.randn(2, 5, 3, 8, 12)
    tokens = net.encode(frames)
    assert tokens.mean.shape == (2, 5, 5, 2, 3)
    pixels = net.decode(tokens.mean)
    assert pixels.mean.shape == frames.shape
    torch.testing.assert_close(net.decode(tokens.mean[1, 3]).mean, pixels.mean[1, 3])


def test_tokens_of_a_group_know_only_its_fields() -> None:
    net = autoencoder()
    frames = torch.randn(1, 3, 8, 8)
    changed = frames.clone()
    changed[:, 1] += 1.0
    before, after = net.encode(frames).mean, net.encode(changed).mean
    assert torch.equal(before[:, :3], after[:, :3])
    assert not torch.equal(before[:, 3:], after[:, 3:])
    z = before.clone()
    z[:, 3:] += 1.0
    moved = (net.decode(z).mean != net.decode(before).mean).any(dim=(0, 2)).any(-1)
    assert moved.tolist() == [False, True, False]


def test_initial_tokens_are_the_principal_components_of_patches() -> None:
    net = autoencoder()
    mixing = torch.randn(3 * 16, 3 * 16) / 7
    patches = torch.randn(40, 6, 48) @ mixing
    frames = patches.unflatten(-1, (3, 4, 4)).permute(0, 2, 3, 1, 4).reshape(40, 3, 4, 24)
    net.initialise([frames[:10], frames[10:]])
    rows = frames[:, 1].unflatten(-1, (6, 4)).transpose(1, 2).reshape(-1, 16)
    u, s, v = torch.linalg.svd(rows - rows.mean(0), full_matrices=False)
    best = (rows - rows.mean(0) - (u[:, :2] * s[:2]) @ v[:2]).square().mean()
    tokens = net.encode(frames).mean
    error = (net.decode(tokens).mean - frames)[:, 1].square().mean()
    torch.testing.assert_close(error, best, rtol=1e-3, atol=1e-5)
    torch.testing.assert_close(tokens.std((0, 2, 3), unbiased=False), torch.ones(5), rtol=1e-3, atol=1e-3)


def test_a_change_of_tokens_changes_the_linear_part_of_every_field_by_its_own_group() -> None:
    """A fresh decoder is its linear part."""
    net = autoencoder()
    z, change = torch.randn(2, 2, 5, 2, 3)
    expected = net.decode(z + change).mean - net.decode(z).mean
    found = net.linear_change(change)
    assert found.shape == (2, 48, 2, 3)
    ordered = torch.nn.functional.pixel_shuffle(found, 4)  # of the groups' fields: 2, 0, 1
    torch.testing.assert_close(ordered, expected[:, [2, 0, 1]], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(found.square().mean(), expected.square().mean())


def test_wrong_frames_are_named() -> None:
    with pytest.raises(ValueError, match="expected 3 fields on axis -3"):
        autoencoder().encode(torch.zeros(1, 2, 8, 8))
    with pytest.raises(ValueError, match="multiple of the patch size 4 along x, got 10 cells"):
        autoencoder().encode(torch.zeros(1, 3, 8, 10))


@pytest.mark.parametrize("coupled", [True, False])
def test_a_transition_looks_at_every_entry_of_a_batch_by_itself(coupled: bool) -> None:
    net = transition(coupled)
    z, u, c = torch.randn(4, 5, 3, 3), torch.randn(4, 3, 1, 1), torch.randn(4, 1)
    drift, scale = net(z, u, c)
    assert drift.shape == scale.shape == z.shape
    one = net(z[3:], u[3:], c[3:])
    torch.testing.assert_close(drift[3:], one[0])
    torch.testing.assert_close(scale[3:], one[1])
    assert (scale > 0).all()


def test_a_fresh_transition_is_near_persistence_with_little_noise() -> None:
    torch.manual_seed(0)
    net = TokenTransition([3, 2], context_dim=1, effect_dim=3, effect_patch=3, width=8, blocks=2)
    z = torch.randn(8, 5, 6, 6)
    drift, scale = net(z, torch.randn(8, 3, 2, 2), torch.zeros(8, 1))
    assert float(drift.detach().square().mean().sqrt()) < 0.1
    torch.testing.assert_close(scale, torch.full_like(z, 0.01))


def test_an_effect_scales_the_features_of_tokens_and_adds_nothing() -> None:
    net = transition()
    net.networks[0].get_parameter("embed.bias").data.zero_()
    u, c = torch.randn(2, 1, 3, 2, 2), torch.zeros(1, 1)
    for z, moved in ((torch.zeros(1, 5, 4, 6), False), (torch.randn(1, 5, 4, 6), True)):
        one, other = (net(z, part, c)[0] for part in u)
        assert torch.allclose(one, other) is not moved


def test_decoupled_transition_keeps_groups_apart() -> None:
    for coupled in (True, False):
        net, z, u, c = transition(coupled), torch.randn(1, 5, 4, 4), torch.zeros(1, 3, 2, 2), torch.zeros(1, 1)
        changed = z.clone()
        changed[:, 3:] += 1.0
        same = torch.equal((z + net(z, u, c)[0])[:, :3], (changed + net(changed, u, c)[0])[:, :3])
        assert same is not coupled


def test_transition_is_local_and_moves_with_its_input() -> None:
    net, u, c = transition(), torch.zeros(1, 3, 1, 14), torch.zeros(1, 1)
    reach = 1 + 2 * 2
    z = torch.randn(1, 5, 1, 40)
    changed = z.clone()
    changed[..., 20] += 1.0
    moved = (z + net(z, u, c)[0] != changed + net(changed, u, c)[0]).any(1)[0, 0].nonzero().flatten()
    assert moved.min() >= 20 - reach
    assert moved.max() <= 20 + reach
    shifted = net(z.roll(3, dims=-1), u, c)[0][..., 15:25]
    torch.testing.assert_close(shifted, net(z, u, c)[0].roll(3, dims=-1)[..., 15:25])


def test_trajectory_effects_act_where_they_are() -> None:
    net, c = transition(), torch.zeros(1, 1)
    assert net.effect_shape(4, 40) == (3, 2, 14)
    z, u = torch.randn(1, 5, 1, 40), torch.zeros(1, 3, 1, 14)
    changed = u.clone()
    changed[..., 7] += 1.0
    moved = (net(z, u, c)[0] != net(z, changed, c)[0]).any(1)[0, 0].nonzero().flatten()
    reach = 3 + 2 * 2  # of the interpolation between effects, then of two blocks
    assert moved.min() >= 21 - reach
    assert moved.max() <= 23 + reach
