"""Meso tokens: micro tokens plus a coupling that neighbours hear, and weights that a draw keeps."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch.distributions import Normal

from probtokens.models.base import learn
from probtokens.models.meso import MesoTokens
from probtokens.models.micro import MicroTokens
from probtokens.models.state_space import State
from probtokens.verify.token_pairs import GRID, MESO, meso_tokens, micro_tokens, window


def lattice(n: int = 2, seed: int = 0) -> State:
    generator = torch.Generator().manual_seed(seed)
    z, mean, log_scale = torch.randn(3, n, 7, 4, 5, generator=generator)
    return State(z, Normal(mean, log_scale.exp()))


def weights(model: MesoTokens, n: int = 2, strength: float = 0.0, coupling: float = 0.0) -> dict[str, torch.Tensor]:
    return {"strengths": torch.full((n, model.adapters.n_strengths), strength), "coupling": torch.full((n, 3 * 8), coupling)}


def test_untrained_coupling_without_strengths_is_the_micro_transition() -> None:
    micro = micro_tokens()
    model = MesoTokens(micro, MESO, 3, GRID.n_times)
    state, u, c = lattice(), torch.randn(2, 3, 1, 1), torch.randn(2, 2)
    ours, theirs = model.step(state, u, c, weights(model, coupling=1.0)), micro.step(state, u, c, {})
    torch.testing.assert_close(ours.mean, theirs.mean)
    torch.testing.assert_close(ours.stddev, theirs.stddev)


def test_every_batch_entry_has_its_own_weights() -> None:
    model = meso_tokens()
    state, u, c = lattice(), torch.randn(2, 3, 1, 1), torch.randn(2, 2)
    mixed = weights(model)
    mixed["strengths"][1] = 0.5
    mixed["coupling"][1] = 1.0
    both = model.step(state, u, c, mixed).mean
    plain = model.step(state, u, c, weights(model)).mean
    strong = model.step(state, u, c, weights(model, strength=0.5, coupling=1.0)).mean
    torch.testing.assert_close(both[0], plain[0])
    torch.testing.assert_close(both[1], strong[1])
    assert not torch.allclose(both[1], plain[1])


def test_a_neighbours_certainty_is_heard() -> None:
    model = meso_tokens()
    state, u, c = lattice(), torch.randn(2, 3, 1, 1), torch.randn(2, 2)
    unsure = state.source.stddev.clone()
    unsure[:, :, 1, 2] *= 2.7
    w = weights(model, coupling=1.0)
    changed = model.step(State(state.z, Normal(state.source.mean, unsure)), u, c, w).mean != model.step(state, u, c, w).mean
    expected = torch.zeros(4, 5, dtype=torch.bool)
    expected[0:3, 1:4] = True
    expected[1, 2] = False
    assert torch.equal(changed.any(0).any(0), expected)


def test_only_the_coupling_learns_without_fine_tuning() -> None:
    model = meso_tokens()
    learned = {name.split(".")[0] for name, p in model.named_parameters() if p.requires_grad}
    assert learned == {
        "adapters",
        "coupling",
        "noise_log_factor",
        "trajectory_encoder",
        "token_evidence",
        "smoother",
        "posterior",
        "autoencoder",
    }
    assert not any(p.requires_grad for p in model.transition.parameters())
    assert [name for name, p in model.autoencoder.named_parameters() if p.requires_grad] == ["pixel_raw_scale"]
    with pytest.raises(ValueError, match=r"learn: expected some of the parameter groups .* of MesoTokens, got \['codec'\]"):
        learn(model, ("codec",))


def test_fine_tuning_lets_the_copies_learn() -> None:
    model = MesoTokens(micro_tokens(), MESO.model_copy(update={"fine_tune": True}), 3, GRID.n_times)
    assert all(p.requires_grad for p in model.parameters())


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
    monkeypatch.setattr(model, "step", lambda state, u, context, w: (seen.append(w["strengths"]), step(state, u, context, w))[1])
    frames, context = window()
    list(model.forecast(frames[:, 0], context, grid=GRID, n_steps=3, n_draws=4, seed=0))
    assert all(torch.equal(seen[0], later) for later in seen)
    assert len(seen[0].unique(dim=0)) == 4


def test_micro_weights_of_the_original_are_untouched() -> None:
    micro = micro_tokens()
    before = {name: value.clone() for name, value in micro.state_dict().items()}
    model = MesoTokens(micro, MESO, 3, GRID.n_times)
    model.autoencoder.pixel_raw_scale.data.add_(1.0)
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
    with pytest.raises(ValueError, match="expected format 7 of kind 'meso', got format 7 of kind 'micro'"):
        MesoTokens.load(path)
    content = torch.load(path, weights_only=True)
    torch.save(content | {"format": 6}, path)
    with pytest.raises(ValueError, match=r"got format 6 of kind 'micro'; files of older versions have to be trained again"):
        MicroTokens.load(path)
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(ValueError, match=r"model\.pt: expected a micro model, got an unreadable file"):
        MicroTokens.load(path)
