from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from probtokens.models.micro import MicroTokens
from probtokens.models.tokens import TokenForecaster
from probtokens.report.reduce_tokens import compression, known_scalars, load_primary, reduce_fit, reduce_reconstruction, reduce_token_maps
from probtokens.report.run import Run


def truth(run: Run) -> Tensor:
    """All true frames, (simulation, time, field, y, x)."""
    return torch.tensor(run.rollouts["micro_tokens"]["truth"].values)


def test_fit_is_that_of_all_frames_at_once(token_run: Run, model: MicroTokens) -> None:
    frames = truth(token_run)
    decoded = model.decode(model.encode(frames).mean)
    rmse = (decoded.mean - frames).double().square().mean(dim=(0, 1, 3, 4)).sqrt()
    spread = decoded.stddev.double().square().mean(dim=(0, 1, 3, 4)).sqrt()
    fits = reduce_fit(token_run, model)
    assert [fit.spec for fit in fits] == list(token_run.fields)
    np.testing.assert_allclose([fit.rmse for fit in fits], rmse, rtol=1e-5)
    np.testing.assert_allclose([fit.spread for fit in fits], spread, rtol=1e-5)


def test_a_code_without_loss_has_no_error(token_run: Run, model: MicroTokens) -> None:
    """An encoder that knows the frames of a constant decoder: the error is the distance from that constant."""
    for decoder in model.autoencoder.decoders:
        for parameter in decoder.parameters():
            parameter.data.zero_()
    expected = (truth(token_run) - model.normalizer.field_mean[:, None, None]).double().square().mean(dim=(0, 1, 3, 4)).sqrt()
    np.testing.assert_allclose([fit.rmse for fit in reduce_fit(token_run, model)], expected, rtol=1e-5)


def test_compression_counts_numbers(model: MicroTokens) -> None:
    assert compression(model) == pytest.approx(5 * 64 / 7)


@pytest.mark.parametrize(("field", "position"), [("temperature", 0), ("pressure", 1), ("solid_fraction", 2)])
def test_reconstruction_is_of_the_chosen_frames_and_field(token_run: Run, model: MicroTokens, field: str, position: int) -> None:
    found = reduce_reconstruction(token_run, model, token_run.field(field), [1, 4])
    frames = truth(token_run)[0, [1, 4]]
    decoded = model.decode(model.encode(frames).mean)
    np.testing.assert_array_equal(found.truth, frames[:, position])
    np.testing.assert_allclose(found.mean, decoded.mean[:, position], rtol=1e-5)
    np.testing.assert_allclose(found.spread, decoded.stddev[:, position], rtol=1e-5)
    np.testing.assert_allclose(found.times, [0.75, 3.0])


def test_a_reconstruction_and_its_spread_know_the_bounds_of_the_field(token_run: Run, model: MicroTokens) -> None:
    """Half of what the decoder draws around a full cell would be beyond one."""
    for decoder in model.autoencoder.decoders:
        for parameter in decoder.parameters():
            parameter.data.zero_()
    model.normalizer.field_mean[2] = 1.0
    found = reduce_reconstruction(token_run, model, token_run.field("solid_fraction"), [1, 4])
    pixel = model.autoencoder.decode(torch.zeros(1, 7, 1, 1)).stddev[0, 2, 0, 0].detach()
    scale = float(pixel) * float(model.normalizer.field_scale[2])
    np.testing.assert_allclose(found.mean, 1.0 - scale / np.sqrt(2 * np.pi), rtol=1e-5)
    np.testing.assert_allclose(found.spread, scale * np.sqrt(0.5 - 0.5 / np.pi), rtol=1e-4)


def test_maps_are_those_of_the_posterior_given_the_whole_trajectory(token_run: Run, model: MicroTokens) -> None:
    maps = reduce_token_maps(token_run, model, token_run.field("temperature"), [0, 2, 4], n_channels=2)
    scalars = known_scalars(token_run, model, token_run.simulation)
    draws = model.smooth(truth(token_run)[:1], scalars, n_draws=24, seed=0)
    mean, spread = draws["z"][:, 0, [0, 2, 4]].mean(0), draws["z"][:, 0, [0, 2, 4]].std(0)
    assert [group.n_channels for group in maps.groups] == [3, 2, 2]
    assert [group.label for group in maps.groups][:2] == ["temperature, solid volume fraction", "pressure"]
    for group, first in zip(maps.groups, (0, 3, 5), strict=True):
        channels = [first + number - 1 for number in group.channels]
        np.testing.assert_allclose(group.mean, mean[:, channels].transpose(0, 1), rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(group.spread, spread[:, channels].transpose(0, 1), rtol=1e-5)
        assert group.mean.shape == (2, 3, 2, 3)
        assert np.all(np.diff(group.weights) <= 0)
    np.testing.assert_array_equal(maps.effect, draws["u"][:, 0])


def test_a_channel_that_the_decoder_does_not_see_comes_last(token_run: Run, model: MicroTokens) -> None:
    decoder = model.autoencoder.decoders[0]
    for layer in ("linear", "embed"):
        decoder.get_parameter(f"{layer}.weight").data[:, 1] = 0.0
    group = reduce_token_maps(token_run, model, token_run.field("temperature"), [0, 4]).groups[0]
    assert group.channels[-1] == 2
    assert group.weights[-1] == 0.0
    assert group.weights[-2] > 0.0


def test_the_model_of_the_pictures_is_read(token_run: Run) -> None:
    model = load_primary(token_run)
    assert isinstance(model, TokenForecaster)
    assert model.name == "micro_tokens"
    assert load_primary(replace(token_run, rollouts={"persistence": token_run.rollouts["persistence"]})) is None


def test_a_model_of_another_grid_is_refused(token_run: Run, model: MicroTokens, token_run_folder: Path) -> None:
    model.grid = model.learned_on = replace(model.grid, time_step=0.125)
    path = token_run_folder / "checkpoints" / "micro" / "model.pt"
    model.save(path)
    with pytest.raises(ValueError, match=rf"{path}: expected a model of .* got one of .*time_step=0.125"):
        load_primary(token_run)
