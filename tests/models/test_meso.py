"""Meso tokens: micro tokens whose transition changes, with weights that a draw keeps."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch.distributions import kl_divergence

from probtokens.models.base import learn
from probtokens.models.meso import MesoTokens
from probtokens.models.micro import MicroTokens
from probtokens.verify.token_pairs import GRID, MESO, meso_tokens, micro_tokens, window


def lattice(n: int = 2, seed: int = 0) -> torch.Tensor:
    return torch.randn(n, 7, 4, 5, generator=torch.Generator().manual_seed(seed))


def weights(model: MesoTokens, n: int = 1, change: float = 0.0, seed: int = 3) -> dict[str, torch.Tensor]:
    """Weights of ``n`` draws, each with its own random relative change of every number."""
    changes = change * torch.randn(n, sum(model.prior.sizes), generator=torch.Generator().manual_seed(seed))
    return {"transition": model._adapted.numbers(changes)}


def test_at_the_centre_of_the_prior_the_transition_is_that_of_the_micro_tokens() -> None:
    micro = micro_tokens()
    model = MesoTokens(micro, MESO, 3, GRID.n_times)
    z, u, c = lattice(), torch.randn(2, 3, 1, 1), torch.randn(2, 2)
    centre = model.weights(model.weight_prior().mean)
    ours, theirs = model.step(z, u, c, centre), micro.step(z, u, c, {})
    torch.testing.assert_close(ours.mean, theirs.mean)
    torch.testing.assert_close(ours.stddev, theirs.stddev)


@pytest.mark.parametrize("name", ["networks.0.embed.weight", "networks.0.blocks.0.film.weight", "networks.0.spread.2.bias"])
def test_a_change_of_a_kernel_or_bias_is_relative_to_its_root_mean_square(name: str) -> None:
    model = meso_tokens()
    unchanged = model._adapted.parameters_from(model._adapted.numbers(torch.zeros(sum(model.prior.sizes))))
    changed = model._adapted.parameters_from(model._adapted.numbers(torch.full((sum(model.prior.sizes),), 0.5)))
    own = model.transition.get_parameter(name)
    assert torch.equal(unchanged[name], own)
    torch.testing.assert_close(changed[name], own + 0.5 * own.square().mean().sqrt())


def test_without_any_data_the_posterior_is_the_prior() -> None:
    model = MesoTokens.of_prior(micro_tokens(), MESO)
    assert float(kl_divergence(model.weight_posterior(), model.weight_prior()).detach()) == pytest.approx(0.0, abs=1e-3)
    w = torch.stack([model.weight_posterior().sample() for _ in range(200)])
    torch.testing.assert_close(w.std(), torch.tensor(1.0), rtol=0.01, atol=0.0)


def test_every_draw_has_its_own_weights() -> None:
    model = meso_tokens()
    z, u, c = lattice(), torch.randn(2, 3, 1, 1), torch.randn(2, 2)
    three = weights(model, n=3, change=0.1)
    together = model.step(z.expand(3, *z.shape), u.expand(3, *u.shape), c, {k: v[:, None] for k, v in three.items()})
    for number in range(3):
        alone = model.step(z, u, c, {name: values[number] for name, values in three.items()})
        torch.testing.assert_close(together.mean[number], alone.mean)
        torch.testing.assert_close(together.stddev[number], alone.stddev)
    assert not torch.allclose(together.mean[0], together.mean[1])


def test_weights_that_differ_between_simulations_are_refused() -> None:
    model = meso_tokens()
    three = {name: values[None] for name, values in weights(model, n=2).items()}
    with pytest.raises(ValueError, match=r"weights: expected one of every draw, the first of the axes \(1, 2\), got \(1, 2\)"):
        model.step(lattice(), torch.randn(2, 3, 1, 1), torch.randn(2, 2), three)


def test_only_the_posterior_and_the_guide_learn() -> None:
    model = meso_tokens()
    learned = {name.split(".")[0] for name, p in model.named_parameters() if p.requires_grad}
    assert learned == {"trajectory_encoder", "token_evidence", "smoother", "posterior"}
    with pytest.raises(ValueError, match=r"learn: expected some of the parameter groups .* of MesoTokens, got \['codec'\]"):
        learn(model, ("codec",))


def test_what_tells_spread_has_a_centre_of_its_own() -> None:
    micro = micro_tokens()
    model = MesoTokens(micro, MESO, 3, GRID.n_times)
    z, u, c = lattice(), torch.randn(2, 3, 1, 1), torch.randn(2, 2)
    with torch.no_grad():
        model.posterior.spread.add_(1.0)
    moved = model.step(z, 0 * u, c, model.weights(model.weight_posterior().mean))
    plain = micro.step(z, 0 * u, c, {})
    torch.testing.assert_close(moved.mean, plain.mean)
    assert not torch.allclose(moved.stddev, plain.stddev)


@pytest.mark.parametrize("build", [micro_tokens, meso_tokens, lambda: MesoTokens(micro_tokens(rest={"pressure": 0.0}), MESO, 3, 5)])
def test_no_parameter_is_in_two_groups_and_all_that_may_learn_are_in_one(build) -> None:
    model = build()
    grouped = [id(p) for parameters in model.parameter_groups().values() for p in parameters]
    assert len(grouped) == len(set(grouped))
    assert set(grouped) == {id(p) for p in model.parameters() if p.requires_grad}


def test_a_draw_keeps_its_weights_over_the_trajectory(monkeypatch: pytest.MonkeyPatch) -> None:
    model = meso_tokens()
    seen = []
    step = model.step
    monkeypatch.setattr(model, "step", lambda z, u, context, w: (seen.append(w["transition"]), step(z, u, context, w))[1])
    frames, context = window()
    list(model.forecast(frames[:, 0], context, grid=GRID, n_steps=3, n_draws=4, seed=0))
    assert all(torch.equal(seen[0], later) for later in seen)
    assert len(seen[0].unique(dim=0)) == 4


def test_what_differs_between_draws_is_not_compiled() -> None:
    model = meso_tokens()
    assert all(owner is model.autoencoder for owner, _ in model.compiled_parts())


@pytest.mark.slow
def test_compiled_forecasts_have_the_weights_of_their_draws() -> None:
    plain, compiled = meso_tokens(), meso_tokens()
    compiled.compile_networks()
    frames, context = window()
    request = {"grid": GRID, "n_steps": 2, "n_draws": 3, "seed": 0}
    for ours, theirs in zip(
        plain.forecast(frames[:, 0], context, **request), compiled.forecast(frames[:, 0], context, **request), strict=True
    ):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-2)


def test_micro_weights_of_the_original_are_untouched() -> None:
    micro = micro_tokens()
    before = {name: value.clone() for name, value in micro.state_dict().items()}
    model = MesoTokens(micro, MESO, 3, GRID.n_times)
    model.transition.networks[0].head.bias.data.add_(1.0)
    assert all(torch.equal(before[name], value) for name, value in micro.state_dict().items())
    assert all(p.requires_grad for p in micro.parameters())


@pytest.mark.parametrize("build", [micro_tokens, meso_tokens, lambda: micro_tokens(views="shifted", rest={"pressure": 0.0})])
def test_saved_and_loaded_models_forecast_the_same(build, tmp_path: Path) -> None:
    model = build()
    model.save(tmp_path / "model.pt")
    loaded = type(model).load(str(tmp_path / "model.pt"))
    frames, context = window()
    request = {"grid": GRID, "n_steps": 2, "n_draws": 3, "seed": 0}
    for ours, theirs in zip(
        model.forecast(frames[:, 0], context, **request), loaded.forecast(frames[:, 0], context, **request), strict=True
    ):
        assert torch.equal(ours, theirs)


def test_bad_model_files_are_named(tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    with pytest.raises(ValueError, match="found no file"):
        MicroTokens.load(path)
    micro_tokens().save(path)
    with pytest.raises(ValueError, match="expected format 9 of kind 'meso', got format 7 of kind 'micro'"):
        MesoTokens.load(path)
    content = torch.load(path, weights_only=True)
    torch.save(content | {"format": 6}, path)
    with pytest.raises(ValueError, match=r"got format 6 of kind 'micro'; files of older versions have to be trained again"):
        MicroTokens.load(path)
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(ValueError, match=r"model\.pt: expected a micro model, got an unreadable file"):
        MicroTokens.load(path)
