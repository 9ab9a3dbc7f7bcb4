import numpy as np
import pytest
import torch

from probtokens.fields import HotSpot
from probtokens.models.micro import MicroTokens
from probtokens.models.state_space import NO_SOURCES
from probtokens.report.reduce_traversal import VALUES, Traversal, reduce_traversal, traversal_leads
from probtokens.report.run import Run

THRESHOLDS = {"temperature": 875.0, "pressure": 16.5}


def effect_weights(model: MicroTokens) -> torch.Tensor:
    """Weights on the trajectory effect, (feature, D, 1, 1)."""
    return model.transition.networks[0].get_parameter("effect.weight").data


def forecast(run: Run, model: MicroTokens, effects: torch.Tensor | None = None) -> torch.Tensor:
    """Frames without noise of all simulations at every lead, (draw, simulation, lead, field, y, x), for effects (draw, D), or none."""
    data = run.rollouts["micro_tokens"]
    first = torch.tensor(data["truth"].isel(time=0).values)
    context = torch.tensor(data["shock_pressure"].values[:, None], dtype=torch.float32)
    n_draws = 1 if effects is None else len(effects)
    settings = {"grid": model.grid, "n_steps": 4, "n_draws": n_draws, "seed": 3, "sources": NO_SOURCES, "effects": effects}
    return torch.stack(list(model.forecast(first, context, **settings)), dim=2)


def reduced(run: Run, model: MicroTokens, field: str = "temperature") -> Traversal:
    return reduce_traversal(run, model, HotSpot(field, THRESHOLDS[field]))


@pytest.mark.parametrize(("n_times", "leads"), [(41, (6, 12)), (13, (6, 12)), (5, (2, 4)), (2, (1, 1))])
def test_leads(n_times: int, leads: tuple[int, int]) -> None:
    assert traversal_leads(n_times) == leads


@pytest.mark.parametrize(("field", "position"), [("temperature", 0), ("pressure", 1)])
def test_without_effect_it_is_the_rollout_without_noise(token_run: Run, model: MicroTokens, field: str, position: int) -> None:
    found = reduced(token_run, model, field)
    data = token_run.rollouts["micro_tokens"]
    fields = forecast(token_run, model)[0, :, :, position].numpy()
    for images in found.images[:, VALUES.index(0.0)]:
        np.testing.assert_allclose(images, fields[0, [1, 3]], rtol=1e-4, atol=1e-4)
    assert 0 < found.true_area.min() < found.true_area.max() < 16 * 24 * 0.24**2
    for area in found.area[:, VALUES.index(0.0)]:
        np.testing.assert_allclose(area, (fields[:, 3] > THRESHOLDS[field]).sum(axis=(1, 2)) * 0.24**2)
    last = data["truth"].isel(time=4).sel(field=field).values
    np.testing.assert_allclose(found.true_area, (last > THRESHOLDS[field]).sum(axis=(1, 2)) * 0.24**2)
    np.testing.assert_array_equal(found.truth, data["truth"].isel(simulation=0, time=[2, 4]).sel(field=field).values)


def test_a_change_is_that_between_the_ends(token_run: Run, model: MicroTokens) -> None:
    """Over both simulations; pictures are of the first."""
    effect_weights(model).mul_(20.0)
    found = reduced(token_run, model)
    for direction in range(3):
        ends = torch.zeros(2, 3)
        ends[:, direction] = torch.tensor([-2.0, 2.0])
        low, high = forecast(token_run, model, ends)[:, :, -1, 0]
        assert found.changes[direction] == pytest.approx(float((high - low).square().mean().sqrt()), rel=1e-3)
    assert found.changes.min() > 1.0
    assert list(found.top) == np.argsort(-found.changes)[:2].tolist()


def test_a_model_without_effect_is_flat(token_run: Run, model: MicroTokens) -> None:
    effect_weights(model).zero_()
    found = reduced(token_run, model)
    np.testing.assert_allclose(found.changes, 0.0, atol=0.01)
    np.testing.assert_allclose(found.images, np.broadcast_to(found.images[:, :1], found.images.shape), atol=0.01)
    np.testing.assert_array_equal(found.area, np.broadcast_to(found.area[:, :1], found.area.shape))


def test_the_only_direction_that_matters_leads(token_run: Run, model: MicroTokens) -> None:
    effect_weights(model).mul_(20.0)[:, [0, 2]] = 0.0
    found = reduced(token_run, model)
    assert found.top[0] == 1
    assert found.changes[1] > 1.0
    np.testing.assert_allclose(found.changes[[0, 2]], 0.0, atol=0.01)
