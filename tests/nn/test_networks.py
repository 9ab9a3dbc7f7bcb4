"""Token networks: shapes with any leading dimensions, locality, and the structure they promise."""

from __future__ import annotations

import pytest
import torch

from probtokens.nn.autoencoder import PIXEL_SCALE, TokenAutoencoder
from probtokens.nn.blocks import Activation, ConvNextBlock, ResidualBlock, ScaleRange, SpreadHead
from probtokens.nn.coupling import NEIGHBOURS, LowRankAdapters, NeighbourCoupling
from probtokens.nn.transition import Backbone, Effect, TokenTransition, TrajectoryEncoder
from probtokens.verify.token_pairs import randomise


def autoencoder() -> TokenAutoencoder:
    torch.manual_seed(0)
    return TokenAutoencoder([[2, 0], [1]], [3, 2], patch=4, widths=[8, 8], encoder_blocks=1, decoder_blocks=1)


def transition(coupled: bool = True, backbone: Backbone = "resnet", noise_rank: int = 0, effect: Effect = "affine") -> TokenTransition:
    torch.manual_seed(0)
    sizes = {"context_dim": 1, "effect_dim": 3, "effect_patch": 3, "width": 8, "blocks": 2, "levels": 2}
    net = TokenTransition([3, 2], **sizes, backbone=backbone, coupled=coupled, noise_rank=noise_rank, effect=effect)
    with torch.no_grad():
        for p in net.parameters():
            p.add_(0.1 * torch.randn_like(p))
    return net


def test_fresh_block_is_the_identity_and_scales_are_bounded() -> None:
    h = torch.randn(2, 8, 3, 4)
    for block in (ResidualBlock(8, 3), ConvNextBlock(8, 3)):
        assert torch.equal(block(h, torch.randn(2, 3)), h)
    raw = torch.tensor([-1e3, -3.0, 0.0, 3.0, 1e3, 1e6])
    scales = ScaleRange(0.01, 4.0, start=0.05)(raw)
    torch.testing.assert_close(scales[[0, 2, 5]], torch.tensor([0.01, 0.05, 4.0]), rtol=1e-4, atol=0.0)
    assert (scales.diff() > 0).all()
    assert scales.max() < 4.0


@pytest.mark.parametrize("activation", ["gelu", "relu"])
def test_a_convnext_block_widens_every_place_with_the_activation_asked_for(activation: Activation) -> None:
    block = ConvNextBlock(8, activation=activation)
    randomise(block)
    h = torch.randn(2, 8, 5, 6)
    places = block.depthwise(h).movedim(1, -1)
    wide = getattr(torch.nn.functional, activation)(places @ block.expand.weight[:, :, 0, 0].T + block.expand.bias)
    expected = h.movedim(1, -1) + wide @ block.project.weight[:, :, 0, 0].T + block.project.bias
    torch.testing.assert_close(block(h).movedim(1, -1), expected, rtol=1e-4, atol=1e-5)


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


@pytest.mark.parametrize("effect", ["affine", "scale"])
def test_an_effect_that_scales_adds_nothing_to_features(effect: Effect) -> None:
    net = transition(effect=effect)
    embed = net.networks[0].get_submodule("embed")
    embed.get_parameter("bias").data.zero_()
    u, c = torch.randn(2, 1, 3, 2, 2), torch.zeros(1, 1)
    for z, moved in ((torch.zeros(1, 5, 4, 6), effect == "affine"), (torch.randn(1, 5, 4, 6), True)):
        one, other = (net(z, part, c).mean for part in u)
        assert torch.allclose(one, other) is not moved


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


def test_wrong_frames_are_named() -> None:
    with pytest.raises(ValueError, match="expected 3 fields on axis -3"):
        autoencoder().encode(torch.zeros(1, 2, 8, 8))
    with pytest.raises(ValueError, match="multiple of the patch size 4 along x, got 10 cells"):
        autoencoder().encode(torch.zeros(1, 3, 8, 10))


@pytest.mark.parametrize("backbone", ["resnet", "unet", "convnext"])
def test_transition_broadcasts_leading_dimensions(backbone: Backbone) -> None:
    net = transition(backbone=backbone)
    z, u, c = torch.randn(4, 2, 5, 3, 3), torch.randn(4, 1, 3, 1, 1), torch.randn(2, 1)
    out = net(z, u, c)
    assert out.mean.shape == z.shape
    torch.testing.assert_close(out.mean[3, 1], net(z[3, 1], u[3, 0], c[1]).mean)
    assert (out.stddev > 0).all()


def test_decoupled_transition_keeps_groups_apart() -> None:
    for coupled in (True, False):
        net, z, u, c = transition(coupled), torch.randn(1, 5, 4, 4), torch.zeros(1, 3, 2, 2), torch.zeros(1, 1)
        changed = z.clone()
        changed[:, 3:] += 1.0
        same = torch.equal(net(z, u, c).mean[:, :3], net(changed, u, c).mean[:, :3])
        assert same is not coupled


def test_networks_of_their_own_share_no_noise() -> None:
    z, u, context = torch.randn(4, 5, 6, 7), torch.zeros(4, 3, 2, 3), torch.zeros(4, 1)
    together, apart = (transition(coupled, noise_rank=2)(z, u, context).loading for coupled in (True, False))
    assert (together != 0).all()
    assert together.shape == (4, 2, 5, 6, 7)
    assert apart.shape == (4, 4, 5, 6, 7)
    assert (apart[:, :2, :3] != 0).all()
    assert (apart[:, 2:, 3:] != 0).all()
    assert not apart[:, :2, 3:].any()
    assert not apart[:, 2:, :3].any()


def test_transition_is_local_and_moves_with_its_input() -> None:
    net, u, c = transition(), torch.zeros(1, 3, 1, 14), torch.zeros(1, 1)
    reach = 1 + 2 * 2
    z = torch.randn(1, 5, 1, 40)
    changed = z.clone()
    changed[..., 20] += 1.0
    moved = (net(z, u, c).mean != net(changed, u, c).mean).any(1)[0, 0].nonzero().flatten()
    assert moved.min() >= 20 - reach
    assert moved.max() <= 20 + reach
    shifted = net(z.roll(3, dims=-1), u, c).mean[..., 15:25]
    torch.testing.assert_close(shifted, net(z, u, c).mean.roll(3, dims=-1)[..., 15:25])


def test_a_u_net_moves_with_its_input_by_its_coarsest_step_and_takes_any_extent() -> None:
    net, u, c = transition(backbone="unet"), torch.zeros(1, 3, 3, 32), torch.zeros(1, 1)
    assert net.adapter_widths == [8, 16, 32, 32, 16, 8]
    z = torch.randn(1, 5, 8, 96)
    shifted = net(z.roll(4, dims=-1), u, c).mean[..., 40:56]
    torch.testing.assert_close(shifted, net(z, u, c).mean.roll(4, dims=-1)[..., 40:56])
    assert net(z[..., :7, :9], u, c).mean.shape == (1, 5, 7, 9)


def test_messages_come_from_the_named_neighbours_and_from_nowhere_outside() -> None:
    torch.manual_seed(0)
    net = NeighbourCoupling([3, 2], width=4)
    mean, log_scale = torch.randn(2, 1, 5, 4, 6)
    sent = torch.stack(
        [net.message[0](torch.cat([mean[:, :3], log_scale[:, :3]], 1)), net.message[1](torch.cat([mean[:, 3:], log_scale[:, 3:]], 1))], 1
    )
    for number, (dy, dx) in enumerate(NEIGHBOURS):
        weights = torch.zeros(1, 2, 8)
        weights[:, :, number] = 2.0
        received = net.messages(mean, log_scale, weights).unflatten(1, (2, 4))
        torch.testing.assert_close(received[..., 1:3, 1:5], 2.0 * sent[..., 1 + dy : 3 + dy, 1 + dx : 5 + dx])
        edge = received[..., 0, :] if dy < 0 else received[..., -1, :] if dy > 0 else received[..., 0] if dx < 0 else received[..., -1]
        assert (edge == 0).all()


def test_adapter_is_a_low_rank_kernel() -> None:
    torch.manual_seed(0)
    adapters = LowRankAdapters([6], rank=2)
    h, s = torch.randn(1, 6, 5, 5), torch.tensor([[0.5, -2.0]])
    kernel = torch.einsum("or,r,rikl->oikl", adapters.up[0].weight[:, :, 0, 0], s[0], adapters.down[0].weight)
    assert torch.linalg.matrix_rank(kernel.flatten(1)) == 2
    torch.testing.assert_close(adapters.bind(s)[0](h), torch.nn.functional.conv2d(h, kernel, padding=1), rtol=1e-4, atol=1e-5)


def test_trajectory_effects_act_where_they_are() -> None:
    net, c = transition(), torch.zeros(1, 1)
    assert net.effect_shape(4, 40) == (3, 2, 14)
    z, u = torch.randn(1, 5, 1, 40), torch.zeros(1, 3, 1, 14)
    changed = u.clone()
    changed[..., 7] += 1.0
    moved = (net(z, u, c).mean != net(z, changed, c).mean).any(1)[0, 0].nonzero().flatten()
    reach = 3 + 2 * 2  # of the interpolation between effects, then of two blocks
    assert moved.min() >= 21 - reach
    assert moved.max() <= 23 + reach


def test_the_posterior_of_an_effect_sees_the_tokens_around_it() -> None:
    net = TrajectoryEncoder(5, 1, 8, 3, effect_patch=2)
    torch.nn.init.normal_(net.head.weight)
    tokens, context = torch.randn(1, 4, 5, 5, 8), torch.zeros(1, 1)
    before = net(tokens, context)
    assert before.mean.shape == before.stddev.shape == (1, 3, 3, 4)
    tokens[:, 2, :, 4, 7] += 1.0
    assert (net(tokens, context).mean != before.mean).any(1)[0].tolist() == [[False] * 4, [False] * 3 + [True], [False] * 3 + [True]]


def test_one_frame_says_nothing_about_the_trajectory_effect() -> None:
    net = TrajectoryEncoder(5, 1, 8, 3, effect_patch=2)
    torch.nn.init.normal_(net.head.weight)
    tokens, context = torch.randn(2, 4, 5, 3, 3), torch.zeros(2, 1)
    prior = net(tokens[:, :1], context)
    assert (prior.mean == 0).all()
    assert (prior.stddev == 1).all()
    assert (net(tokens, context).mean != 0).all()
