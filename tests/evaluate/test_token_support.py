import numpy as np
import pytest
import torch

from probtokens.config import TokenConfig
from probtokens.data import TrajectorySet
from probtokens.evaluate.token_support import (
    MIN_DISTANCE,
    LinearTokens,
    Reference,
    Strata,
    TokenSample,
    as_rows,
    patches_of,
    share_interval,
)
from probtokens.fields import field_spec
from probtokens.models.micro import MicroTokens
from tests.helpers import make_campaign

FIELDS = ("temperature", "pressure", "solid_fraction", "velocity_x", "velocity_y")


def sample(tokens: np.ndarray, simulations: np.ndarray, capacity: int = 10_000) -> TokenSample:
    made = TokenSample(capacity, tokens.shape[1], np.random.default_rng(0))
    for name in np.unique(simulations):
        made.update(tokens[simulations == name], int(name))
    return made


def test_tokens_are_those_that_training_starts_from(tmp_path):
    micro = TrajectorySet.open(make_campaign(tmp_path) / "train", FIELDS, ())
    code, state = LinearTokens(TokenConfig(), micro), torch.random.get_rng_state()
    model = MicroTokens(TokenConfig(), code.normalizer, micro.grid)
    model.initialise(torch.tensor(micro.frames(number)) for number in range(len(micro)))
    frames = micro.frames(1)
    tokens = code.encode(frames)
    torch.testing.assert_close(tokens, model.encode(torch.tensor(frames)).mean)
    np.testing.assert_allclose(code.decode(tokens), model.decode(tokens).loc.numpy(), rtol=1e-4, atol=1e-4)
    error = code.decode(code.encode(frames)) - frames
    assert np.abs(error).mean(axis=(0, 2, 3))[0] < 0.1 * frames[:, 0].std()
    torch.random.set_rng_state(state)
    LinearTokens(TokenConfig(), micro)
    assert torch.equal(torch.random.get_rng_state(), state)


def test_patches_and_rows_are_in_the_same_order():
    values = np.arange(2 * 4 * 6).reshape(2, 4, 6)
    cut = patches_of(values, 2)
    assert cut.shape == (2, 2, 3, 4)
    assert cut[1, 1, 2].tolist() == values[1, 2:4, 4:6].ravel().tolist()
    lattice = torch.tensor(cut[..., 0])[:, None]
    assert as_rows(lattice)[:, 0].tolist() == cut[..., 0].ravel().tolist()


def test_a_sample_is_uniform_and_bounded():
    counts = np.zeros(10)
    for seed in range(200):
        drawn = TokenSample(20, 1, np.random.default_rng(seed))
        for simulation in range(10):
            drawn.update(np.full((30, 1), simulation, dtype=np.float32), simulation)
        assert (len(drawn.tokens), drawn.seen, drawn.sources) == (20, 300, 10)
        np.testing.assert_array_equal(drawn.tokens[:, 0], drawn.simulations)
        counts += np.bincount(drawn.simulations, minlength=10)
    np.testing.assert_allclose(counts / 200, 2.0, atol=0.35)


def test_the_threshold_ignores_tokens_of_the_same_simulation():
    """Every simulation visits the same places on a line of spacing 1, five times each, shifted by a little of its own."""
    simulations = np.repeat(np.arange(4), 150)
    places = np.tile(np.repeat(np.arange(30.0), 5), 4)
    tokens = (places + 0.1 * simulations)[:, None]
    reference = Reference([sample(tokens, simulations)])
    np.testing.assert_allclose(reference.left_out[0], 0.1, atol=1e-5)
    assert reference.thresholds[0] == pytest.approx(0.1, abs=1e-5)
    np.testing.assert_allclose(reference.distances(np.array([[-2.0], [5.05], [7.3]])), [2.0, 0.05, 0.0], atol=1e-5)


def test_equal_states_do_not_make_round_off_count_and_few_tokens_set_no_threshold():
    simulations = np.repeat(np.arange(2), 100)
    few = np.array([[9.0], [9.0], [9.0]]), np.array([0, 1, 1])
    reference = Reference([sample(np.ones((200, 1)), simulations), sample(*few)])
    assert reference.thresholds[0] == MIN_DISTANCE
    assert np.isnan(reference.thresholds[1])


def test_the_interval_is_wide_where_simulations_differ():
    rng, names = np.random.default_rng(0), np.repeat(np.arange(8), 500)
    alike = rng.exponential(size=4000)
    apart = alike * np.repeat(np.linspace(0.3, 2.0, 8), 500)
    low, high = share_interval([(alike, names)], alike, names, np.random.default_rng(1))
    assert low <= 0.01 <= high < 0.02
    lower, higher = share_interval([(alike, names)], apart, names, np.random.default_rng(1))
    assert higher - lower > 3 * (high - low)


def test_kinds_of_patches():
    frames = np.full((1, 2, 4, 24), 300.0)
    frames[0, 1] = 1.0
    frames[0, 0, 1, [1, 5, 9, 13, 17]] = [875.0, 876.0, 2000.0, 3000.0, 5000.0]
    frames[0, 1, 0, [3, 7, 22]] = [0.95, 0.1, 0.1]
    specs = (field_spec("temperature"), field_spec("solid_fraction"))
    strata = Strata(specs, 875.0)
    assert strata.names == ("≤ 875 K, solid", "≤ 875 K, void", "875 … 2000 K", "2000 … 3500 K", "> 3500 K")
    assert strata(frames, 4)[0, 0].tolist() == [0, 2, 2, 3, 4, 1]
    plain = Strata(specs[:1], 2500.0)
    assert plain.names == ("≤ 2500 K", "2500 … 3500 K", "> 3500 K")
    assert plain(frames[:, :1], 4)[0, 0].tolist() == [0, 0, 0, 1, 2, 0]
