from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch.distributions import Normal

from probtokens.config import StageConfig
from probtokens.data.dataset import Batch
from probtokens.models.meso import MesoTokens
from probtokens.models.micro import MicroTokens
from probtokens.models.state_space import Belief
from probtokens.verify.token_pairs import GRID, MESO, meso_tokens, micro_tokens, window


def lattice(n: int = 2, seed: int = 0) -> Belief:
    generator = torch.Generator().manual_seed(seed)
    z, mean, log_scale = torch.randn(3, n, 7, 4, 5, generator=generator)
    return Belief(z, mean, log_scale)


def weights(model: MesoTokens, n: int = 2, strength: float = 0.0, coupling: float = 0.0) -> dict[str, torch.Tensor]:
    return {
        "strengths": torch.full((n, model.dynamics.adapters.n_strengths), strength),
        "coupling": torch.full((n, 3 * 8), coupling),
    }


def test_untrained_coupling_without_strengths_is_the_micro_transition() -> None:
    micro = micro_tokens()
    model = MesoTokens(micro, MESO, 3, GRID.n_times)
    belief, u, c = lattice(), torch.randn(2, 3, 1, 1), torch.randn(2, 2)
    ours, theirs = model.dynamics(belief, u, c, weights(model, coupling=1.0)), micro.dynamics(belief, u, c, {})
    torch.testing.assert_close(ours.mean, theirs.mean)
    torch.testing.assert_close(ours.stddev, theirs.stddev)


def test_every_batch_entry_has_its_own_weights() -> None:
    model = meso_tokens()
    belief, u, c = lattice(), torch.randn(2, 3, 1, 1), torch.randn(2, 2)
    mixed = weights(model)
    mixed["strengths"][1] = 0.5
    mixed["coupling"][1] = 1.0
    both = model.dynamics(belief, u, c, mixed).mean
    plain = model.dynamics(belief, u, c, weights(model)).mean
    strong = model.dynamics(belief, u, c, weights(model, strength=0.5, coupling=1.0)).mean
    torch.testing.assert_close(both[0], plain[0])
    torch.testing.assert_close(both[1], strong[1])
    assert not torch.allclose(both[1], plain[1])


def test_a_neighbours_certainty_is_heard() -> None:
    model = meso_tokens()
    belief, u, c = lattice(), torch.randn(2, 3, 1, 1), torch.randn(2, 2)
    unsure = belief.log_scale.clone()
    unsure[:, :, 1, 2] += 1.0
    w = weights(model, coupling=1.0)
    changed = model.dynamics(Belief(belief.z, belief.mean, unsure), u, c, w).mean != model.dynamics(belief, u, c, w).mean
    expected = torch.zeros(4, 5, dtype=torch.bool)
    expected[0:3, 1:4] = True
    expected[1, 2] = False
    assert torch.equal(changed.any(dim=(0, 1)) if changed.ndim == 2 else changed.any(0).any(0), expected)


def test_only_the_coupling_learns_and_a_score_leaves_the_weight_posterior_alone() -> None:
    model = meso_tokens()
    learned = {name.split(".")[0] for name, p in model.named_parameters() if p.requires_grad}
    assert learned == {"dynamics", "trajectory_encoder", "smoother", "posterior", "autoencoder"}
    assert not any(p.requires_grad for p in model.dynamics.transition.parameters())
    model.begin_stage(StageConfig(name="s", objective="score", steps=1, horizon=2))
    assert not any(p.requires_grad for p in model.posterior.parameters())


def test_a_draw_keeps_its_weights_over_the_trajectory(monkeypatch: pytest.MonkeyPatch) -> None:
    model = meso_tokens()
    seen = []
    model.dynamics.register_forward_hook(lambda module, args, out: seen.append(args[3]["strengths"]))
    frames, context = window()
    list(model.forecast(model.normalizer.denormalize(frames[:, 0]), context, grid=GRID, n_steps=3, n_draws=4, seed=0))
    assert all(torch.equal(seen[0], later) for later in seen)
    assert len(seen[0].unique(dim=0)) == 4


def test_micro_weights_of_the_original_are_untouched() -> None:
    micro = micro_tokens()
    before = {name: value.clone() for name, value in micro.state_dict().items()}
    model = MesoTokens(micro, MESO, 3, GRID.n_times)
    model.autoencoder.pixel_raw_scale.data.add_(1.0)
    assert all(torch.equal(before[name], value) for name, value in micro.state_dict().items())
    assert all(p.requires_grad for p in micro.parameters())


@pytest.mark.parametrize("build", [micro_tokens, meso_tokens])
def test_saved_and_loaded_models_forecast_the_same(build, tmp_path: Path) -> None:
    model = build()
    model.save(tmp_path / "model.pt")
    loaded = type(model).load(str(tmp_path / "model.pt"))
    frames, context = window()
    initial = model.normalizer.denormalize(frames[:, 0])
    request = {"grid": GRID, "n_steps": 2, "n_draws": 3, "seed": 0}
    for ours, theirs in zip(model.forecast(initial, context, **request), loaded.forecast(initial, context, **request), strict=True):
        assert torch.equal(ours, theirs)


def test_bad_model_files_are_named(tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    with pytest.raises(ValueError, match="found no file"):
        MicroTokens.load(path)
    micro_tokens().save(path)
    with pytest.raises(ValueError, match="expected format 6 of kind 'meso', got format 6 of kind 'micro'"):
        MesoTokens.load(path)
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(ValueError, match=r"model\.pt: expected a micro model, got an unreadable file"):
        MicroTokens.load(path)


@pytest.mark.parametrize("objective", ["elbo", "noise", "score"])
def test_learning_uncertainty_alone_leaves_noiseless_rollouts_as_they_are(objective: str) -> None:
    model = micro_tokens()
    stage = StageConfig(name="s", objective=objective, steps=1, horizon=2, batch_size=2, learn="uncertainty")
    frames, context = window()

    def rollout(stochastic: bool) -> torch.Tensor:
        start = Belief.of(torch.zeros(2, 7, 2, 3), Normal(torch.zeros(()), torch.ones(())))
        u = torch.ones(2, 3, 1, 1) * stochastic
        transition = model.dynamics(start, u, model.context_vector(context), {})
        z = transition.mean + transition.stddev * stochastic
        pixels = model.autoencoder.decode(z)
        return (pixels.mean + pixels.stddev * stochastic).detach()

    model.begin_stage(stage)
    noisy, noiseless = rollout(True), rollout(False)
    model.loss(Batch(frames, context, torch.zeros(2, dtype=torch.long)), stage)["loss"].backward()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.grad is not None:
                parameter.sub_(0.1 * parameter.grad.sign())
    assert torch.equal(rollout(False), noiseless)
    assert not torch.allclose(rollout(True), noisy)


@pytest.mark.parametrize("build", [micro_tokens, meso_tokens])
def test_learning_the_posterior_alone_leaves_the_model_as_it_is(build: Callable[[], torch.nn.Module]) -> None:
    """Forecasts draw from the same distributions but for the weights' and the first tokens'; the guide learns."""
    model = build()
    stage = StageConfig(name="s", objective="elbo", steps=1, horizon=2, batch_size=2, learn="posterior")
    frames, context = window()
    model.begin_stage(stage)
    model.loss(Batch(frames, context, torch.zeros(2, dtype=torch.long)), stage)["loss"].backward()
    learned = {name for name, parameter in model.named_parameters() if parameter.grad is not None and parameter.grad.abs().sum() > 0}
    own = "autoencoder.encoders." if build is micro_tokens else "posterior."  # without fine-tuning meso tokens keep their encoder
    guides = ("trajectory_encoder.", "smoother.", own)
    assert all(name.startswith(guides) for name in learned)
    assert {guide for guide in guides for name in learned if name.startswith(guide)} == set(guides)
    before = model.autoencoder.encode(frames).mean
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.grad is not None:
                parameter.sub_(0.1 * parameter.grad.sign())
    assert torch.equal(model.autoencoder.encode(frames).mean, before)


def test_dynamics_learn_while_tokens_mean_the_same_fields() -> None:
    model = micro_tokens()
    stage = StageConfig(name="s", objective="score", steps=1, horizon=2, batch_size=2, members=2, learn="dynamics")
    frames, context = window()
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    decoded = model.autoencoder.decode(model.token_means(frames)).mean
    model.begin_stage(stage)
    for _ in range(2):  # layers that start silent pass gradients on from the second step
        model.loss(Batch(frames, context, torch.zeros(2, dtype=torch.long)), stage)["loss"].backward()
        with torch.no_grad():
            for parameter in model.parameters():
                if parameter.grad is not None:
                    parameter.sub_(0.01 * parameter.grad.sign())
    assert torch.equal(model.autoencoder.decode(model.token_means(frames)).mean, decoded)
    moved = {name for name, parameter in model.named_parameters() if not torch.equal(parameter, before[name])}
    assert {name for name in before if name.startswith("dynamics.")} <= moved
    assert all("spread" in name.split(".") for name in moved if name.startswith("autoencoder."))


def test_noiseless_rollouts_use_the_centre_of_the_weight_posterior() -> None:
    model = meso_tokens()
    centre = model.central_weights()
    draws = model.sample_weights(400)
    assert {name: value.shape[:2] for name, value in centre.items()} == dict.fromkeys(draws, (1, 1))
    median = draws["coupling"].median(0).values
    torch.testing.assert_close(centre["coupling"][0], median, rtol=0.1, atol=0.1)
    frames, context = window(n_times=2)
    stage = StageConfig(name="s", objective="mse", steps=1, horizon=1)
    losses = []
    for seed in range(2):
        torch.manual_seed(seed)
        losses.append(model.loss(Batch(frames, context, torch.zeros(2, dtype=torch.long)), stage)["loss"])
    assert torch.equal(*losses)


def test_fine_tuning_lets_the_copies_learn() -> None:
    model = MesoTokens(micro_tokens(), MESO.model_copy(update={"fine_tune": True}), 3, GRID.n_times)
    assert all(p.requires_grad for p in model.parameters())


def test_the_copied_transport_moves_with_the_copied_autoencoder() -> None:
    micro = micro_tokens()
    model = MesoTokens(micro, MESO, 3, GRID.n_times)
    z = torch.randn(1, 7, 2, 3)
    before = model.transition.transport(z)
    torch.testing.assert_close(before, micro.transition.transport(z))
    with torch.no_grad():
        model.autoencoder.decoders[0].linear.weight.mul_(2.0)
    assert not torch.allclose(model.transition.transport(z), before)
    torch.testing.assert_close(micro.transition.transport(z), before)
