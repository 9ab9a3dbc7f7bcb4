"""Forecasts from some sources of variance only, against rollouts written out by hand."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from probtokens.models.forecast import ALL_SOURCES, NO_SOURCES, Source, Sources
from probtokens.models.state_space import Belief, initial_posterior
from probtokens.models.tokens import TokenForecaster
from probtokens.verify.token_pairs import GRID, meso_tokens, micro_tokens, window

SEED, DRAWS, STEPS = 3, 4, 3
SETS = (ALL_SOURCES, NO_SOURCES, *(frozenset({source}) for source in Source), *(ALL_SOURCES - {source} for source in Source))


def physical(model: TokenForecaster) -> tuple[torch.Tensor, torch.Tensor]:
    frames, context = window()
    return model.normalizer.denormalize(frames[:, 0]), context * model.normalizer.context_scale + model.normalizer.context_mean


def forecast(model: TokenForecaster, **options: object) -> list[torch.Tensor]:
    return list(model.forecast(*physical(model), **({"grid": GRID, "n_steps": STEPS, "n_draws": DRAWS, "seed": SEED} | options)))


def bound(model: TokenForecaster, name: str, absent: float) -> torch.Tensor:
    found = [getattr(spec, name) for spec in model.fields]
    return torch.tensor([absent if value is None else value for value in found])[:, None, None]


@torch.no_grad()
def by_hand(model: TokenForecaster, sources: Sources) -> list[torch.Tensor]:
    """Frames of a forecast: every noise in turn from one generator, multiplied by 0 where its source is left out."""
    initial, context = physical(model)
    generator = torch.Generator().manual_seed(SEED)

    def noise(source: Source, *shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator) * (source in sources)

    with torch.random.fork_rng():
        torch.manual_seed(SEED)
        weights = model.sample_weights(DRAWS) if Source.WEIGHTS in sources else model.central_weights()
    vector = model.context_vector(model.normalizer.normalize_context(context))
    source = initial_posterior(model.autoencoder, model.normalizer.normalize(initial))
    lattice = (DRAWS, *source.mean.shape)
    z = source.mean + source.stddev * noise(Source.INITIAL, *lattice)
    u = noise(Source.EFFECT, DRAWS, len(initial), *model.effect_shape(*lattice[-2:]))
    frames = []
    for _ in range(STEPS):
        step = model.dynamics(Belief.of(z, source), u, vector, weights)
        shared = noise(Source.PROCESS, *lattice[:2], *step.shared_shape)
        source, given = step.marginal, step.given(shared)
        z = given.mean + given.stddev * noise(Source.PROCESS, *lattice)
        pixels = model.autoencoder.decode(z)
        patch = model.tokens.patch
        cells = noise(Source.DECODER, *lattice[:2], *lattice[-2:], len(model.fields) * patch**2).movedim(-1, -3)
        unbounded = model.normalizer.denormalize(pixels.mean + pixels.stddev * torch.nn.functional.pixel_shuffle(cells, patch))
        frames.append(torch.minimum(torch.maximum(unbounded, bound(model, "lower", -torch.inf)), bound(model, "upper", torch.inf)))
    return frames


@pytest.mark.parametrize("build", [micro_tokens, meso_tokens])
@pytest.mark.parametrize("sources", SETS, ids=lambda sources: "+".join(sorted(sources)) or "none")
def test_a_forecast_draws_from_the_sources_asked_for_and_keeps_their_noise(build: Callable[[], TokenForecaster], sources: Sources) -> None:
    model = build()
    for ours, direct in zip(forecast(model, sources=sources), by_hand(model, sources), strict=True):
        torch.testing.assert_close(ours, direct, rtol=1e-5, atol=1e-4)  # the order of sums follows from how draws lie in memory


@pytest.mark.parametrize("build", [micro_tokens, meso_tokens])
def test_all_sources_are_the_default_and_each_changes_the_forecast(build: Callable[[], TokenForecaster]) -> None:
    model = build()
    last = forecast(model)[-1]
    assert torch.equal(last, forecast(model, sources=ALL_SOURCES)[-1])
    for source in Source:
        same = torch.equal(last, forecast(model, sources=ALL_SOURCES - {source})[-1])
        absent = {Source.WEIGHTS: not model.central_weights(), Source.VIEW: model.tokens.views == "one"}
        assert same is absent.get(source, False)


@pytest.mark.parametrize("build", [micro_tokens, meso_tokens])
def test_without_sources_all_members_and_seeds_are_one(build: Callable[[], TokenForecaster]) -> None:
    model = build()
    for one, other in zip(forecast(model, sources=NO_SOURCES), forecast(model, sources=NO_SOURCES, seed=9), strict=True):
        assert torch.equal(one, other)
        torch.testing.assert_close(one, one[:1].expand_as(one), rtol=1e-5, atol=1e-4)


def test_frames_do_not_depend_on_which_are_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    model = micro_tokens()
    every = forecast(model)
    decoded = []
    decode = model.autoencoder.decode_patches
    monkeypatch.setattr(model.autoencoder, "decode_patches", lambda z: decoded.append(z) or decode(z))
    some = forecast(model, leads=(1, 3))
    assert len(decoded) == 2
    assert all(torch.equal(frame, every[lead]) for frame, lead in zip(some, (0, 2), strict=True))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"leads": (0, 2)}, r"leads: expected some of 1\.\.3, got \[0, 2\]"),
        ({"leads": (4,)}, r"leads: expected some of 1\.\.3, got \[4\]"),
        ({"sources": frozenset({"luck"})}, r"sources: expected some of \['view', 'initial state', .*got \['luck'\]"),
    ],
)
def test_what_is_not_there_is_refused_before_the_first_frame(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        forecast(micro_tokens(), **options)
