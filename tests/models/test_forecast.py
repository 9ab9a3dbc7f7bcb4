"""Forecasts from some sources of variance only, against rollouts written out by hand."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from probtokens import precision
from probtokens.models.state_space import ALL_SOURCES, NO_SOURCES, Source, Sources
from probtokens.models.tokens import TokenForecaster
from probtokens.verify.token_pairs import GRID, SCALE, meso_tokens, micro_tokens, window

SEED, DRAWS, STEPS = 3, 4, 3
SETS = (ALL_SOURCES, NO_SOURCES, *(frozenset({source}) for source in Source), *(ALL_SOURCES - {source} for source in Source))


def first(n_simulations: int = 2) -> tuple[torch.Tensor, torch.Tensor]:
    frames, context = window(n_simulations)
    return frames[:, 0], context


def forecast(model: TokenForecaster, **options: object) -> list[torch.Tensor]:
    return list(model.forecast(*first(), **({"grid": GRID, "n_steps": STEPS, "n_draws": DRAWS, "seed": SEED} | options)))


def bound(model: TokenForecaster, name: str, absent: float) -> torch.Tensor:
    found = [getattr(spec, name) for spec in model.fields]
    return torch.tensor([absent if value is None else value for value in found])[:, None, None]


@torch.no_grad()
def by_hand(model: TokenForecaster, sources: Sources) -> list[torch.Tensor]:
    """Frames of a forecast: every noise in turn from one generator, multiplied by 0 where its source is left out."""
    initial, context = first()
    generator = torch.Generator().manual_seed(SEED)

    def noise(source: Source, *shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator) * (source in sources)

    weights = {}
    if (posterior := model.weight_posterior()) is not None:
        rank = noise(Source.WEIGHTS, DRAWS, 1, posterior.cov_factor.shape[-1])
        own = noise(Source.WEIGHTS, DRAWS, 1, len(posterior.loc))
        weights = model.weights(posterior.loc + rank @ posterior.cov_factor.T + posterior.cov_diag.sqrt() * own)
    vector = model.context_vector(context)
    beginning = model.encode(initial)
    lattice = (DRAWS, *beginning.mean.shape)
    u = noise(Source.EFFECT, DRAWS, len(initial), *model.effect_shape(*lattice[-2:]))
    z = beginning.mean + beginning.stddev * noise(Source.INITIAL, *lattice)
    frames = []
    for lead in range(1, STEPS + 1):
        following = model.step(z, u, vector, weights)
        z = following.mean + following.stddev * noise(Source.PROCESS, *lattice)
        pixels = model.autoencoder.decode(z)
        number = int(np.random.SeedSequence([SEED, lead]).generate_state(1)[0])
        cells = torch.randn(pixels.mean.shape, generator=torch.Generator().manual_seed(number)) * (Source.DECODER in sources)
        unbounded = model.normalizer.denormalize(pixels.mean + pixels.stddev * cells)
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
        absent = {Source.WEIGHTS: model.weight_prior() is None, Source.VIEW: model.tokens.views == "one"}
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
    decode = model.autoencoder.decode
    monkeypatch.setattr(model.autoencoder, "decode", lambda z: decoded.append(z) or decode(z))
    some = forecast(model, leads=(1, 3))
    assert len(decoded) == 2
    assert all(torch.equal(frame, every[lead]) for frame, lead in zip(some, (0, 2), strict=True))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"leads": (0, 2)}, r"leads: expected some of 1\.\.3, got \[0, 2\]"),
        ({"leads": (4,)}, r"leads: expected some of 1\.\.3, got \[4\]"),
        ({"n_draws": True}, "n_draws: expected a whole number >= 1, got True"),
        ({"seed": 2**70}, "seed: expected a whole number >= 0, got 1180591620717411303424"),
        ({"sources": frozenset({"luck"})}, r"sources: expected some of \['view', 'initial state', .*got \['luck'\]"),
    ],
)
def test_what_is_not_there_is_refused_before_the_first_frame(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        forecast(micro_tokens(), **options)


def test_weights_of_another_precision_are_refused_by_name() -> None:
    model = micro_tokens().double()
    for ask in (lambda: forecast(model), lambda: model.encode(window()[0][:, 0])):
        with pytest.raises(ValueError, match=r"MicroTokens: expected weights of torch.float32, got torch.float64; model.float\(\)"):
            ask()
    assert all(map(torch.equal, forecast(model.float()), forecast(micro_tokens())))


@pytest.mark.parametrize("views", ["one", "shifted"])
def test_effects_may_be_given_in_place_of_drawn_ones(views: str) -> None:
    model = micro_tokens(views=views)
    quiet = forecast(model, n_draws=2, sources=NO_SOURCES)[-1]
    torch.testing.assert_close(quiet[0], quiet[1], rtol=1e-5, atol=1e-4)
    effects = torch.tensor([[0.0, 0.0, 0.0], [2.0, 2.0, 2.0]])
    moved = forecast(model, n_draws=2, sources=NO_SOURCES, effects=effects)[-1]
    torch.testing.assert_close(moved[0], quiet[0], rtol=1e-5, atol=1e-4)
    assert (moved[1] - quiet[1]).abs().max() > 1e-2
    noisy = forecast(model, n_draws=2, effects=effects[:1].expand(2, 3))[-1]
    assert not torch.equal(noisy[0], noisy[1])
    with pytest.raises(ValueError, match=r"effects: expected shape \(draw, D\) = \(2, 3\), got \(3, 2\)"):
        forecast(model, n_draws=2, effects=torch.zeros(3, 2))


def test_half_a_precision_changes_rounding_alone() -> None:
    """Convolutions of a forecast lose digits; noise, tokens and frames do not."""
    exact, rounded = micro_tokens(), micro_tokens(precision="bfloat16")
    for sources, tolerance in ((NO_SOURCES, 0.05), (ALL_SOURCES, 0.1)):  # a scale is the exponential of what is rounded
        ours, theirs = (forecast(model, sources=sources)[-1] for model in (rounded, exact))
        assert ours.dtype == torch.float32
        assert 0 < ((ours - theirs) / SCALE[:, None, None]).abs().max() < tolerance


@pytest.mark.parametrize("asked", ["auto", "float32", "bfloat16"])
def test_a_model_says_which_precision_it_computes_in(asked: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model = micro_tokens(precision=asked)
    for flags, fast in (((), "float32"), (("AVX2",), "float32"), (("AVX2", "AMX"), "bfloat16")):
        monkeypatch.setattr(precision, "instructions", lambda flags=flags: flags)
        assert model.precision == (fast if asked == "auto" else asked)


@pytest.mark.slow
@pytest.mark.parametrize("views", ["one", "shifted"])
def test_compiled_networks_forecast_the_same(views: str) -> None:
    exact, compiled = micro_tokens(views=views), micro_tokens(views=views)
    compiled.compile_networks()
    for ours, theirs in zip(forecast(compiled), forecast(exact), strict=True):
        torch.testing.assert_close(ours / SCALE[:, None, None], theirs / SCALE[:, None, None], rtol=0, atol=1e-3)
