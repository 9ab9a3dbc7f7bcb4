"""Draws of global sites, and likelihoods of trajectories against exact ones."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from pyro import poutine

import probtokens as pt
from probtokens.evaluate.global_sites import global_sites, log_weight, weight_draws
from probtokens.models.state_space import Guide
from probtokens.verify.guide_training import no_context
from probtokens.verify.linear_chain import Chain, ExactPosterior, LinearChain, simulate
from probtokens.verify.token_pairs import FIELDS, GRID, meso_tokens, micro_tokens, window


def trajectories() -> pt.Trajectories:
    frames, context = window()
    given = {"spacing": GRID.spacing, "time_step": GRID.time_step, "context": {"shock_pressure": context[:, 0]}}
    return pt.Trajectories.from_arrays(frames, FIELDS, **given)


def test_shapes_are_those_of_the_sites() -> None:
    groups = global_sites(meso_tokens(), trajectories(), draws=3)
    assert list(groups["posterior"]) == list(groups["prior"]) == ["u", "scale", "change", "coupling"]
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


def test_weights_are_drawn_from_posterior_and_prior() -> None:
    tokens = meso_tokens()
    groups = weight_draws(tokens, draws=400, seed=1)
    assert weight_draws(micro_tokens(), draws=3) == {}
    for group, expected in (("posterior", tokens.weight_posterior()), ("prior", tokens.weight_prior())):
        assert set(groups[group]) == {"scale", "change", "coupling"}
        blocks = len(tokens.prior.sizes)
        logs = np.log(groups[group]["scale"] / tokens.config.prior_scale) / 0.5  # standard normal in the prior
        np.testing.assert_allclose(logs.mean(0), expected.mean.detach()[:blocks], atol=5 * float(expected.stddev.max()) / 20)
        np.testing.assert_allclose(logs.std(0), expected.stddev.detach()[:blocks], rtol=0.25)
    assert (groups["posterior"]["change"].mean(0) < groups["prior"]["change"].mean(0)).all()
