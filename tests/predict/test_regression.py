"""Regressions whose posterior is known."""

import numpy as np

from probtokens.predict.regression import posterior_draw, simulation_weights


def test_draws_have_nearly_the_posterior_of_a_linear_model():
    """Mean and spread over weights and prior means are those of the conjugate posterior; with equal weights they would be too sure."""
    rng = np.random.default_rng(0)
    x = np.stack([np.ones(60), np.linspace(-1, 1, 60)], axis=1)
    noise, scale = 0.4, np.array([1.0, 0.5])
    target = x @ np.array([0.5, 2.0]) + noise * rng.normal(size=60)
    precision = x.T @ x / noise**2 + np.diag(1 / scale**2)
    mean, spread = np.linalg.solve(precision, x.T @ target / noise**2), np.sqrt(np.diag(np.linalg.inv(precision)))
    centres = scale * rng.normal(size=(600, 2))
    random, equal = (
        np.array([posterior_draw(x, target, own, centre, scale)[0] for own, centre in zip(weights, centres, strict=True)])
        for weights in (simulation_weights(600, 60, seed=1), np.ones((600, 60)))
    )
    np.testing.assert_allclose(random.mean(axis=0), mean, atol=0.25 * spread.max())
    np.testing.assert_allclose(random.std(axis=0), spread, rtol=0.25)
    assert (equal.std(axis=0) < 0.5 * spread).all()


def test_what_data_do_not_tell_has_its_prior():
    rng = np.random.default_rng(1)
    x = np.stack([np.ones(10), np.zeros(10)], axis=1)
    scale = np.array([1.0, 0.7])
    found = np.array(
        [posterior_draw(x, np.full(10, 3.0), np.ones(10), np.array([0.0, 2.0]) + scale * rng.normal(size=2), scale)[0] for _ in range(800)]
    )
    np.testing.assert_allclose(found[:, 0], 3.0, atol=0.01)
    np.testing.assert_allclose([found[:, 1].mean(), found[:, 1].std()], [2.0, 0.7], atol=0.08)


def test_exact_data_give_their_coefficients_whatever_the_weights():
    x = np.stack([np.ones(12), np.linspace(-1, 1, 12), np.linspace(-1, 1, 12) ** 2], axis=1)
    truth = np.array([1.0, -2.0, 0.5])
    target = x @ truth
    target[3] = np.nan
    for weights in simulation_weights(4, 12, seed=0):
        found, scatter = posterior_draw(x, target, weights, np.zeros(3), np.full(3, 5.0))
        np.testing.assert_allclose(found, truth, atol=0.02)
        assert scatter == 0.05


def test_weights_have_mean_one_and_the_seed_decides():
    weights = simulation_weights(50, 7, seed=3)
    np.testing.assert_allclose(weights.mean(axis=1), 1)
    np.testing.assert_array_equal(weights, simulation_weights(50, 7, seed=3))
    assert not np.array_equal(weights, simulation_weights(50, 7, seed=4))
    np.testing.assert_allclose(weights.var(axis=0).mean(), 7 * 7 * (6 / (7**2 * 8)), rtol=0.3)
