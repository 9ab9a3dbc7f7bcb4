"""Draws of global sites, and likelihoods of trajectories against exact ones."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from pyro import poutine
from torch.distributions import Normal

import probtokens as pt
from probtokens.evaluate.global_sites import evidence_bound, global_sites, log_weight, weight_draws
from probtokens.fields import FieldSpec, Grid
from probtokens.models.meso import MesoTokens
from probtokens.models.state_space import Guide, Posterior
from probtokens.models.tokens import TokenForecaster
from probtokens.nn.smoothing import Factor
from probtokens.verify.guide_training import no_context
from probtokens.verify.linear_chain import Chain, ExactPosterior, LinearChain, simulate
from probtokens.verify.token_pairs import FIELDS, GRID, MESO, meso_tokens, micro_tokens, window
from tests.verify.exact_guide import DRIVEN, exact_guide


def trajectories() -> pt.Trajectories:
    frames, context = window()
    given = {"spacing": GRID.spacing, "time_step": GRID.time_step, "context": {"shock_pressure": context[:, 0]}}
    return pt.Trajectories.from_arrays(frames, FIELDS, **given)


def test_shapes_are_those_of_the_sites() -> None:
    groups = global_sites(meso_tokens(), trajectories(), draws=3)
    assert list(groups["posterior"]) == list(groups["prior"]) == ["u", "scale", "change"]
    for name, values in groups["posterior"].items():
        assert values.shape == groups["prior"][name].shape
        assert not np.array_equal(values[0], values[1])
    assert groups["posterior"]["u"].shape[:2] == (3, 2)
    assert groups["log_likelihood"]["frames"].shape == (3, 2)
    views = global_sites(micro_tokens(views="mirrored"), trajectories(), draws=2)
    assert set(views["posterior"]) == {"u", "view"}


def test_the_seed_is_all_the_randomness() -> None:
    before = torch.get_rng_state()
    one, other, another = (global_sites(micro_tokens(), trajectories(), draws=2, seed=seed) for seed in (1, 1, 2))
    assert np.array_equal(one["posterior"]["u"], other["posterior"]["u"])
    assert not np.array_equal(one["posterior"]["u"], another["posterior"]["u"])
    torch.manual_seed(0)
    assert before.shape == torch.get_rng_state().shape


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="draws and samples: expected >= 1, got 0 and 1"):
        global_sites(micro_tokens(), trajectories(), draws=0)
    frames, _ = window()
    fewer = pt.Trajectories.from_arrays(frames[:, :, :2], FIELDS[:2], spacing=0.04, time_step=0.125)
    with pytest.raises(ValueError, match="trajectories: expected the fields"):
        global_sites(micro_tokens(), fewer)


@torch.no_grad()
def test_importance_weights_have_the_exact_evidence_as_their_mean() -> None:
    """Of a short chain, with a guide that has learned nothing."""
    chain = Chain(carry=(0.9,), drive=(0.3,), noise=(0.4,), n_pixels=2, lattice=(1, 1), n_times=3)
    frames = simulate(chain, 1, torch.Generator().manual_seed(3))
    exact = float(ExactPosterior(chain).log_evidence(frames.numpy())[0])
    torch.manual_seed(0)
    program, many = LinearChain(chain), frames.expand(40_000, *frames.shape[1:])
    guide = poutine.trace(Guide(program)).get_trace(many, no_context(many))
    weights = log_weight(program, guide, many, no_context(many))
    assert float(weights.logsumexp(0)) - np.log(len(many)) == pytest.approx(exact, abs=0.05)
    assert float(weights.mean()) < exact


def test_more_samples_come_nearer_to_the_evidence_from_below() -> None:
    one, several = (global_sites(micro_tokens(), trajectories(), draws=8, samples=n)["log_likelihood"]["frames"].mean() for n in (1, 6))
    assert one < several


class ScaledPosterior(Posterior):
    """Right but for the scales of tokens."""

    def __init__(self, *args: Any, factor: float) -> None:
        super().__init__(*args)
        self.factor = factor

    def tokens(self, prior: Normal, factor: Factor) -> Normal:
        right = super().tokens(prior, factor)
        return Normal(right.mean, self.factor * right.stddev, validate_args=False)


class ChainTokens(LinearChain):
    """The exact chain as a token model; with a ``factor`` its guide has scales that are so many times too wide."""

    fields = tuple(FieldSpec(f"pixel_{i}", "1", "a pixel") for i in range(DRIVEN.n_pixels))
    grid = Grid(*DRIVEN.lattice, 1.0, 1.0, DRIVEN.n_times)
    require_grid = TokenForecaster.require_grid

    def __init__(self, factor: float = 1.0) -> None:
        super().__init__(DRIVEN)
        self.load_state_dict(exact_guide().state_dict())
        self.factor = factor

    @property
    def guide(self) -> Guide:
        guide = Guide(self)
        guide.posterior = partial(ScaledPosterior, factor=self.factor)
        return guide


def of_a_chain(n: int) -> tuple[pt.Trajectories, np.ndarray]:
    """Simulations of the chain and their exact log evidence by value."""
    frames = simulate(DRIVEN, n, torch.Generator().manual_seed(5)).numpy()
    exact = ExactPosterior(DRIVEN).log_evidence(frames) / frames[0, 1:].size
    return pt.Trajectories.from_arrays(frames, ChainTokens.fields, spacing=1.0, time_step=1.0), exact


def test_an_exact_guide_bounds_the_evidence_by_itself() -> None:
    """Its weights do not vary, so one sample will do."""
    simulations, exact = of_a_chain(6)
    found = evidence_bound(ChainTokens(), simulations, samples=1)
    assert (found["window_frames"], found["samples"], found["simulations"]) == (5, 1, 6)
    assert found["by_simulation"]["simulation"] == list(simulations.names)
    np.testing.assert_allclose(found["by_simulation"]["bound"], exact, atol=1e-5)
    assert found["mean"] == pytest.approx(exact.mean(), abs=1e-5)
    assert found["standard_error"] == pytest.approx(exact.std(ddof=1) / 6**0.5, abs=1e-5)


@pytest.mark.parametrize("factor", [0.75, 1.25])
def test_a_guide_with_scales_off_by_a_quarter_has_a_lower_bound(factor: float) -> None:
    simulations, exact = of_a_chain(12)
    one, many = (np.array(evidence_bound(ChainTokens(factor), simulations, samples=k)["by_simulation"]["bound"]) for k in (1, 8))
    below = exact - one
    assert below.mean() > 3 * below.std(ddof=1) / 12**0.5 > 0
    assert one.mean() < many.mean() < exact.mean()


def test_a_window_begins_with_the_first_frame_and_ends_with_the_last() -> None:
    tokens, simulations = meso_tokens(), trajectories()
    frames, context = window()
    given = {"spacing": GRID.spacing, "time_step": GRID.time_step, "context": {"shock_pressure": context[:, 0]}}
    shorter = pt.Trajectories.from_arrays(frames[:, :3], FIELDS, **given)
    assert evidence_bound(tokens, simulations, frames=3) == evidence_bound(tokens, shorter, frames=99)
    assert evidence_bound(tokens, simulations, frames=3)["mean"] != evidence_bound(tokens, simulations, frames=4)["mean"]


@pytest.mark.parametrize("tokens", [meso_tokens, micro_tokens], ids=["meso", "micro"])
def test_one_seed_gives_one_bound_and_leaves_other_draws_alone(tokens: Callable[[], TokenForecaster]) -> None:
    model, simulations = tokens(), trajectories()
    before = torch.get_rng_state()
    one, other, another = (evidence_bound(model, simulations, samples=2, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), before)
    assert one == other
    assert one["mean"] != another["mean"]
    first = evidence_bound(model, simulations.subset([0]), samples=2, seed=1)
    assert first["by_simulation"]["bound"] == one["by_simulation"]["bound"][:1]


def test_a_single_simulation_has_no_standard_error() -> None:
    found = evidence_bound(micro_tokens(), trajectories().subset([1]), samples=1)
    assert np.isnan(found["standard_error"])
    assert np.isfinite(found["mean"])


def test_a_density_that_is_not_finite_has_no_bound() -> None:
    broken = ChainTokens()
    with torch.no_grad():
        broken.log_noise.fill_(torch.nan)
    found = evidence_bound(broken, of_a_chain(2)[0], samples=1)
    assert np.isnan([found["mean"], found["standard_error"], *found["by_simulation"]["bound"]]).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [({"frames": 1}, "expected >= 2 and >= 1, got 1 and 4"), ({"samples": 0}, "expected >= 2 and >= 1, got 8 and 0")],
)
def test_windows_and_samples_that_tell_nothing_are_refused(options: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        evidence_bound(micro_tokens(), trajectories(), **options)


def test_simulations_that_do_not_fit_have_no_bound() -> None:
    frames, context = window()
    given = {"spacing": GRID.spacing, "time_step": GRID.time_step, "context": {"shock_pressure": context[:, 0]}}
    for changed in ({"time_step": 1.0}, {"spacing": 1.0}):
        with pytest.raises(ValueError, match="trajectories: expected cell"):
            evidence_bound(micro_tokens(), pt.Trajectories.from_arrays(frames, FIELDS, **{**given, **changed}))
    with pytest.raises(ValueError, match="trajectories: expected the fields"):
        evidence_bound(micro_tokens(), pt.Trajectories.from_arrays(frames[:, :, :2], FIELDS[:2], **given))


def test_weights_are_drawn_from_posterior_and_prior() -> None:
    tokens = MesoTokens(micro_tokens(), MESO, n_simulations=3, n_times=GRID.n_times)
    groups = weight_draws(tokens, draws=400, seed=1)
    assert weight_draws(micro_tokens(), draws=3) == {}
    for group, expected in (("posterior", tokens.weight_posterior()), ("prior", tokens.weight_prior())):
        assert set(groups[group]) == {"scale", "change"}
        blocks = len(tokens.prior.sizes)
        logs = np.log(groups[group]["scale"] / tokens.config.prior_scale) / 0.5  # standard normal in the prior
        np.testing.assert_allclose(logs.mean(0), expected.mean.detach()[:blocks], atol=5 * float(expected.stddev.max()) / 20)
        np.testing.assert_allclose(logs.std(0), expected.stddev.detach()[:blocks], rtol=0.25)
    assert (groups["posterior"]["change"].mean(0) < groups["prior"]["change"].mean(0)).all()
