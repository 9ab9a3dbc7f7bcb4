"""Views of a domain, against the frames that they stand for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import pytest
import torch

from probtokens.data.augmentation import Extension
from probtokens.data.normalize import mirror_image
from probtokens.models.state_space import ALL_SOURCES, NO_SOURCES, Draws, Source
from probtokens.models.tokens import TokenForecaster
from probtokens.models.views import View
from probtokens.verify.token_pairs import FIELDS, GRID, meso_tokens, micro_tokens, window

OPEN = dict.fromkeys(("left", "right", "bottom", "top"), "OPEN")
PATCH = 8

mirror = partial(mirror_image, fields=FIELDS)


def every_view() -> View:
    """Each of the views of a domain once, as draws of two simulations, the second in the opposite order."""
    index = torch.arange(2 * PATCH**2)
    index = torch.stack([index, index.flip(0)], dim=1)
    return View(index >= PATCH**2, torch.stack([index // PATCH % PATCH, index % PATCH], dim=-1), PATCH, FIELDS)


def first() -> tuple[torch.Tensor, torch.Tensor]:
    frames, context = window()
    return frames[:, 0], context


def with_views(build: Callable[[], TokenForecaster], views: str = "shifted") -> TokenForecaster:
    model = build()
    model.tokens = model.tokens.model_copy(update={"views": views})
    return model


def test_every_view_comes_back_as_the_domain() -> None:
    frames = first()[0]
    view = every_view()
    back = view.back(view.seen(frames))
    assert back.shape == (2 * PATCH**2, *frames.shape)
    assert torch.equal(back, frames.expand_as(back))


def test_views_along_periodic_axes_are_turned_around_and_no_longer() -> None:
    frames = first()[0]
    view = replace(every_view(), periodic="y")
    seen = view.seen(frames)
    assert torch.equal(view.back(seen), frames.expand(2 * PATCH**2, *frames.shape))
    assert seen.shape[-2:] == (GRID.ny, GRID.nx + PATCH)
    edges = {"left": "OPEN", "right": "OPEN", "bottom": "PERIODIC", "top": "PERIODIC"}
    for draw in range(0, len(seen), 7):
        image = mirror(frames[0]) if view.mirrored[draw, 0] else frames[0]
        assert torch.equal(seen[draw, 0], Extension(FIELDS, edges, PATCH)(image, tuple(view.before[draw, 0].tolist())))


def test_whole_windows_are_seen_as_their_frames_are() -> None:
    frames = window()[0]
    view = View.of(torch.rand(3, 2, 3, generator=torch.Generator().manual_seed(0)), PATCH, FIELDS)
    seen = view.seen(frames)
    assert seen.shape == (3, 2, 4, 5, 24, 32)
    for time in range(4):
        assert torch.equal(seen[:, :, time], view.seen(frames[:, time]))
    assert torch.equal(view.back(seen), frames.expand(3, *frames.shape))


def test_views_of_a_domain_with_open_edges_are_those_of_latent_stages() -> None:
    frames = first()[0]
    view = every_view()
    seen = view.seen(frames)
    extension = Extension(FIELDS, OPEN, PATCH)
    for draw in range(0, len(seen), 7):
        for number in range(2):
            image = mirror(frames[number]) if view.mirrored[draw, number] else frames[number]
            y, x = view.before[draw, number].tolist()
            assert torch.equal(seen[draw, number], extension(image, (y, x)))


def test_mirror_images_turn_components_along_y_around_and_nothing_else() -> None:
    frames = first()[0]
    image = mirror(frames)
    assert torch.equal(mirror(image), frames)
    assert torch.equal(image[:, 4], -frames[:, 4].flip(-2))
    assert torch.equal(image[:, :4], frames[:, :4].flip(-2))
    assert torch.equal(mirror_image(frames[:, :1], FIELDS[:1]), frames[:, :1].flip(-2))


def test_spread_is_turned_back_without_a_sign() -> None:
    view = View(torch.tensor([[True, False]]), torch.full((1, 2, 2), 3), PATCH, FIELDS)
    spread = view.seen(first()[0].abs()).abs()
    back = view.spread_back(spread)
    assert (back >= 0).all()
    torch.testing.assert_close(back[0, 1], first()[0][1].abs())


def test_all_views_are_equally_likely_and_follow_from_the_seed() -> None:
    model = micro_tokens(views="shifted")
    drawn = [model.view(2, Draws(4000, torch.Generator().manual_seed(seed))) for seed in (0, 0, 1)]
    assert torch.equal(drawn[0].before, drawn[1].before)
    assert torch.equal(drawn[0].mirrored, drawn[1].mirrored)
    assert not torch.equal(drawn[0].before, drawn[2].before)
    number = (drawn[0].mirrored * PATCH + drawn[0].before[..., 0]) * PATCH + drawn[0].before[..., 1]
    counts = torch.bincount(number.flatten(), minlength=2 * PATCH**2).double()
    chi_square = float(((counts - 62.5).square() / 62.5).sum())  # of 127 degrees of freedom, sd 16
    assert len(counts) == 2 * PATCH**2
    assert chi_square < 127 + 4 * 16


def test_zeros_stand_for_the_domain_as_it_is_and_ones_for_no_more_than_a_patch() -> None:
    zero, one = View.of(torch.zeros(1, 3), PATCH, FIELDS), View.of(torch.ones(1, 3), PATCH, FIELDS)
    assert not zero.mirrored.any()
    assert not zero.before.any()
    assert one.mirrored.all()
    assert (one.before == PATCH - 1).all()
    frames = first()[0][:1]
    assert torch.equal(zero.seen(frames)[..., : GRID.ny, : GRID.nx], frames)


@pytest.mark.parametrize("build", [micro_tokens, meso_tokens])
@pytest.mark.parametrize(("name", "longer"), [("mirrored", 0), ("shifted", PATCH)])
def test_a_draw_is_the_forecast_of_its_view_turned_back(build: Callable[[], TokenForecaster], name: str, longer: int) -> None:
    plain, model = build(), with_views(build, name)
    initial, context = first()
    only_views = list(model.forecast(initial, context, grid=GRID, n_steps=2, n_draws=3, seed=5, sources=frozenset({Source.VIEW})))
    view = model.view(len(initial), Draws(3, torch.Generator().manual_seed(5)))
    larger = replace(GRID, ny=GRID.ny + longer, nx=GRID.nx + longer)
    for draw, frames in enumerate(view.seen(initial)):
        one = View(view.mirrored[draw : draw + 1], view.before[draw : draw + 1], longer, FIELDS)
        direct = plain.forecast(frames, context, grid=larger, n_steps=2, n_draws=1, seed=0, sources=NO_SOURCES)
        for found, expected in zip(only_views, direct, strict=True):
            torch.testing.assert_close(found[draw], one.back(expected)[0], rtol=1e-4, atol=1e-3)
    # Random weights know no symmetry: views differ, and a draw that is not turned back is wrong.
    assert float(only_views[-1].var(0).max()) > 1.0


def test_without_views_among_its_sources_a_forecast_is_of_the_view_of_zeros() -> None:
    initial, context = first()
    options = {"grid": GRID, "n_steps": 2, "n_draws": 2, "seed": 0, "sources": NO_SOURCES}
    plain, seen = (list(model.forecast(initial, context, **options)) for model in (micro_tokens(), micro_tokens(views="mirrored")))
    assert all(torch.equal(one, other) for one, other in zip(plain, seen, strict=True))


def test_without_views_draws_keep_their_noise() -> None:
    initial, context = first()
    model = with_views(micro_tokens, "mirrored")
    options = {"grid": GRID, "n_steps": 2, "n_draws": 6, "seed": 5}
    every, without = (list(model.forecast(initial, context, **options, sources=s)) for s in (ALL_SOURCES, ALL_SOURCES - {Source.VIEW}))
    mirrored = model.view(len(initial), Draws(6, torch.Generator().manual_seed(5))).mirrored
    assert 0 < int(mirrored.sum()) < mirrored.numel()
    for one, other in zip(every, without, strict=True):
        torch.testing.assert_close(one[~mirrored], other[~mirrored])
        assert not torch.allclose(one[mirrored], other[mirrored])
