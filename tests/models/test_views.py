"""Views of a domain, against the frames that they stand for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import pytest
import torch

from probtokens.config import StageConfig
from probtokens.data.dataset import Batch
from probtokens.data.normalize import mirror_image
from probtokens.models.forecast import ALL_SOURCES, NO_SOURCES, Source, within_bounds
from probtokens.models.tokens import TokenForecaster
from probtokens.models.training import decoded_leads
from probtokens.models.views import Views
from probtokens.train.augmentation import Extension
from probtokens.verify.token_pairs import FIELDS, GRID, meso_tokens, micro_tokens, normalizer, window

OPEN = dict.fromkeys(("left", "right", "bottom", "top"), "OPEN")
PATCH = 8

mirror = partial(mirror_image, fields=FIELDS)


def every_view() -> Views:
    """Each of the views of a domain once, as draws of two simulations, the second in the opposite order."""
    index = torch.arange(2 * PATCH**2)
    index = torch.stack([index, index.flip(0)], dim=1)
    return Views(index >= PATCH**2, torch.stack([index // PATCH % PATCH, index % PATCH], dim=-1), PATCH)


def physical() -> tuple[torch.Tensor, torch.Tensor]:
    frames, context = window()
    made = normalizer()
    return made.denormalize(frames[:, 0]), context * made.context_scale + made.context_mean


def with_views(build: Callable[[], TokenForecaster], views: str = "shifted") -> TokenForecaster:
    model = build()
    model.tokens = model.tokens.model_copy(update={"views": views})
    return model


def test_every_view_comes_back_as_the_domain() -> None:
    frames = physical()[0]
    views = every_view()
    back = views.back(views.seen(frames, mirror), mirror)
    assert back.shape == (2 * PATCH**2, *frames.shape)
    assert torch.equal(back, frames.expand_as(back))


def test_views_of_a_domain_with_open_edges_are_those_of_latent_stages() -> None:
    frames = physical()[0]
    views = every_view()
    seen = views.seen(frames, mirror)
    extension = Extension(normalizer(), OPEN, PATCH)
    for draw in range(0, len(seen), 7):
        for number in range(2):
            image = mirror(frames[number]) if views.mirrored[draw, number] else frames[number]
            y, x = views.before[draw, number].tolist()
            assert torch.equal(seen[draw, number], extension(image, (y, x)))


def test_mirror_images_turn_components_along_y_around_and_nothing_else() -> None:
    frames = physical()[0]
    image = mirror(frames)
    assert torch.equal(mirror(image), frames)
    assert torch.equal(image[:, 4], -frames[:, 4].flip(-2))
    assert torch.equal(image[:, :4], frames[:, :4].flip(-2))
    assert torch.equal(mirror_image(frames[:, :1], FIELDS[:1]), frames[:, :1].flip(-2))


def test_all_views_are_equally_likely_and_follow_from_the_seed() -> None:
    drawn = [Views.drawn(4000, 2, PATCH, torch.Generator().manual_seed(seed), torch.device("cpu")) for seed in (0, 0, 1)]
    assert torch.equal(drawn[0].before, drawn[1].before)
    assert torch.equal(drawn[0].mirrored, drawn[1].mirrored)
    assert not torch.equal(drawn[0].before, drawn[2].before)
    number = (drawn[0].mirrored * PATCH + drawn[0].before[..., 0]) * PATCH + drawn[0].before[..., 1]
    counts = torch.bincount(number.flatten(), minlength=2 * PATCH**2).double()
    chi_square = float(((counts - 62.5).square() / 62.5).sum())  # of 127 degrees of freedom, sd 16
    assert len(counts) == 2 * PATCH**2
    assert chi_square < 127 + 4 * 16


@pytest.mark.parametrize("build", [micro_tokens, meso_tokens])
@pytest.mark.parametrize(("name", "longer"), [("mirrored", 0), ("shifted", PATCH)])
def test_a_draw_is_the_forecast_of_its_view_turned_back(build: Callable[[], TokenForecaster], name: str, longer: int) -> None:
    plain, model = build(), with_views(build, name)
    initial, context = physical()
    views = Views.drawn(3, len(initial), longer, torch.Generator().manual_seed(5), torch.device("cpu"))
    only_views = list(model.forecast(initial, context, grid=GRID, n_steps=2, n_draws=3, seed=5, sources=frozenset({Source.VIEW})))
    larger = replace(GRID, ny=GRID.ny + longer, nx=GRID.nx + longer)
    for draw, frames in enumerate(views.seen(initial, mirror)):
        one = Views(views.mirrored[draw : draw + 1], views.before[draw : draw + 1], longer)
        direct = plain.forecast(frames, context, grid=larger, n_steps=2, n_draws=1, seed=0, sources=NO_SOURCES)
        for found, expected in zip(only_views, direct, strict=True):
            torch.testing.assert_close(found[draw], one.back(expected, mirror)[0], rtol=1e-4, atol=1e-3)
    # Random weights know no symmetry: views differ, and a draw that is not turned back is wrong.
    assert float(only_views[-1].var(0).max()) > 1.0


@pytest.mark.parametrize("build", [micro_tokens, meso_tokens])
def test_without_views_among_its_sources_a_forecast_sees_the_domain_as_it_is(build: Callable[[], TokenForecaster]) -> None:
    initial, context = physical()
    options = {"grid": GRID, "n_steps": 2, "n_draws": 2, "seed": 0, "sources": NO_SOURCES}
    plain, seen = (list(model.forecast(initial, context, **options)) for model in (build(), with_views(build)))
    assert all(torch.equal(one, other) for one, other in zip(plain, seen, strict=True))


def test_without_views_draws_keep_their_noise() -> None:
    initial, context = physical()
    model = with_views(micro_tokens, "mirrored")
    options = {"grid": GRID, "n_steps": 2, "n_draws": 6, "seed": 5}
    every, without = (list(model.forecast(initial, context, **options, sources=s)) for s in (ALL_SOURCES, ALL_SOURCES - {Source.VIEW}))
    mirrored = Views.drawn(6, len(initial), 0, torch.Generator().manual_seed(5), torch.device("cpu")).mirrored
    assert 0 < int(mirrored.sum()) < mirrored.numel()
    for one, other in zip(every, without, strict=True):
        torch.testing.assert_close(one[~mirrored], other[~mirrored])
        assert not torch.allclose(one[mirrored], other[mirrored])


def test_training_decodes_members_as_forecasts_do(monkeypatch: pytest.MonkeyPatch) -> None:
    frames, context = window()
    model = with_views(micro_tokens)
    views = Views.drawn(3, len(frames), PATCH, torch.Generator().manual_seed(5), torch.device("cpu"))
    monkeypatch.setattr(Views, "drawn", lambda *_: views)
    forecast = list(model.forecast(*physical(), grid=GRID, n_steps=3, n_draws=3, seed=0, sources=frozenset({Source.VIEW})))
    leads = list(decoded_leads(model, frames, model.context_vector(context), 3, frozenset({Source.VIEW})))
    assert len(leads) == 2  # of three, half rounded up
    for pixels, truth in leads:
        lead = next(n for n in range(1, 4) if torch.equal(frames[:, n], truth))
        expected = forecast[lead - 1]
        torch.testing.assert_close(within_bounds(model.normalizer.denormalize(pixels.mean), FIELDS), expected, rtol=1e-4, atol=1e-3)


def test_spread_is_turned_back_with_what_it_is_the_spread_of(monkeypatch: pytest.MonkeyPatch) -> None:
    frames, context = window()
    model = with_views(micro_tokens)
    found = []
    for mirrored in (False, True):
        views = Views(torch.full((2, 2), mirrored), torch.full((2, 2, 2), 3), PATCH)
        monkeypatch.setattr(Views, "drawn", lambda *_, views=views: views)
        torch.manual_seed(3)
        turned = model.normalizer.mirror(frames) if mirrored else frames
        found.append(
            [pixels.stddev for pixels, _ in decoded_leads(model, turned, model.context_vector(context), 2, frozenset({Source.VIEW}))]
        )
    for plain, turned in zip(*found, strict=True):
        torch.testing.assert_close(turned, plain.flip(-2))
        assert not torch.allclose(turned, plain)


@pytest.mark.parametrize("views", ["one", "shifted"])
@pytest.mark.parametrize("decoder_noise", [False, True])
def test_scores_teach_decoder_noise_where_asked_and_the_rest_in_any_view(views: str, decoder_noise: bool) -> None:
    frames, context = window()
    stage = StageConfig(name="score", objective="score", steps=1, horizon=3, members=2, learn="uncertainty", decoder_noise=decoder_noise)
    model = with_views(micro_tokens, views)
    model.begin_stage(stage)
    torch.manual_seed(0)
    model.loss(Batch(frames, context, torch.arange(2)), stage)["loss"].backward()
    learned = {name for name, parameter in model.named_parameters() if parameter.grad is not None and bool(parameter.grad.any())}
    assert ("autoencoder.pixel_raw_scale" in learned) is decoder_noise
    assert any(name.startswith("autoencoder.decoders") for name in learned) is decoder_noise
    assert any(".spread" in name and name.startswith("dynamics") for name in learned)
