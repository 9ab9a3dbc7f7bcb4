"""Objectives, against the model's own distributions written out; and what each lets learn."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from pyro import poutine
from pyro.infer import SVI, TraceMeanField_ELBO
from pyro.optim import Adam

from probtokens.config import (
    ElboStage,
    InferenceCompilationStage,
    LatentErrorStage,
    ReconstructionStage,
    RolloutErrorStage,
    RolloutScoreStage,
)
from probtokens.models.base import learn
from probtokens.models.state_space import Draws, draw_from
from probtokens.models.tokens import TokenForecaster
from probtokens.train.objectives import (
    Elbo,
    InferenceCompilation,
    LatentError,
    Reconstruction,
    RolloutError,
    RolloutScore,
    objective_of,
)
from probtokens.verify.token_pairs import meso_tokens, micro_tokens, window

OBJECTIVES = (Elbo(), Elbo(learn=("guide", "weights")), RolloutScore(members=2), RolloutError(), Reconstruction(), InferenceCompilation())


@pytest.fixture(params=[micro_tokens, meso_tokens])
def model(request: pytest.FixtureRequest) -> TokenForecaster:
    return request.param()


def centre(model: TokenForecaster) -> dict[str, torch.Tensor]:
    return dict(model.weights(model.weight_posterior().mean)) if model.weight_prior() is not None else {}


def learned(model: TokenForecaster) -> set[str]:
    return {name for name, p in model.named_parameters() if p.grad is not None and p.grad.abs().sum() > 0}


def descend(model: TokenForecaster, rate: float = 0.1) -> None:
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.grad is not None:
                parameter.sub_(rate * parameter.grad.sign())


def test_every_stage_has_its_objective_with_its_settings() -> None:
    pairs = [
        (ReconstructionStage(name="s", steps=1), Reconstruction()),
        (LatentErrorStage(name="s", steps=1, horizon=3, shifts=2, field_weights={"a": 2}), LatentError(field_weights={"a": 2})),
        (RolloutErrorStage(name="s", steps=1, decoded="half"), RolloutError(decoded="half")),
        (RolloutScoreStage(name="s", steps=1, members=4, learn=("noise",)), RolloutScore(members=4, learn=("noise",))),
        (ElboStage(name="s", steps=1, effective_pixels=2.0), Elbo(effective_pixels=2.0)),
        (InferenceCompilationStage(name="s", steps=1), InferenceCompilation()),
    ]
    for stage, objective in pairs:
        assert objective_of(stage) == objective


@pytest.mark.parametrize("objective", OBJECTIVES, ids=lambda objective: type(objective).__name__)
def test_objectives_are_losses_of_svi(objective, model: TokenForecaster) -> None:
    """With steps that change the parameters of the objective's groups, and no others."""
    frames, context = window()
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    takes = [p.requires_grad for p in model.parameters()]
    svi = SVI(model.model, model.guide, Adam({"lr": 1e-3}), objective)
    groups = model.parameter_groups()
    if not set(objective.learn) & set(groups):
        with pytest.raises(ValueError, match="learn: expected some of the parameter groups"):
            svi.step(frames, context)
        return
    losses = [svi.step(frames, context) for _ in range(3)]
    assert all(map(math.isfinite, losses))
    changed = {name for name, p in model.named_parameters() if not torch.equal(p, before[name])}
    wanted = {id(p) for name in objective.learn for p in groups.get(name, ())}
    assert changed
    assert {id(p) for name, p in model.named_parameters() if name in changed} <= wanted
    assert not any(p.grad is not None and p.grad.any() for p in model.parameters() if id(p) not in wanted)
    assert [p.requires_grad for p in model.parameters()] == takes


@pytest.mark.parametrize("objective", OBJECTIVES, ids=lambda objective: type(objective).__name__)
def test_objectives_are_modules(objective, model: TokenForecaster) -> None:
    frames, context = window()
    bound = objective(model.model, model.guide)
    if not set(objective.learn) & set(model.parameter_groups()):
        return
    assert {id(p) for p in bound.parameters()} == {id(p) for p in model.parameters()}
    torch.manual_seed(0)
    loss = bound(frames, context)
    torch.manual_seed(0)
    torch.testing.assert_close(loss, objective(model.model, model.guide, frames, context))
    loss.backward()
    groups = model.parameter_groups()
    wanted = {id(p) for name in objective.learn for p in groups.get(name, ())}
    assert learned(model)
    assert {id(p) for name, p in model.named_parameters() if name in learned(model)} <= wanted


def test_the_elbo_is_that_of_pyro_per_token_and_frame() -> None:
    model = micro_tokens()
    frames, context = window()
    torch.manual_seed(0)
    plain = TraceMeanField_ELBO()(model.model, model.guide)(frames, context)
    torch.manual_seed(0)
    ours = Elbo(effective_pixels=float(model.tokens.patch**2)).parts(model, frames, context)["loss"]
    torch.testing.assert_close(ours, plain / (2 * 3 * 2 * 3))
    torch.manual_seed(0)
    tempered = Elbo(effective_pixels=4.0).parts(model, frames, context)["loss"]
    assert tempered < ours


def test_the_score_counts_the_divergence_of_global_sites_and_micro_tokens_have_none() -> None:
    frames, context = window()
    assert "divergence" not in RolloutScore(members=2).parts(micro_tokens(), frames, context)
    model = meso_tokens()
    with torch.no_grad():
        model.posterior.scales.fill_(0.5)
        model.posterior.changes.fill_(0.001)
    losses = []
    for weight in (0.0, 1.0, 4.0):
        torch.manual_seed(0)
        losses.append(RolloutScore(members=2, kl_weight=weight).parts(model, frames, context))
    divergence = torch.distributions.kl_divergence(model.weight_posterior(), model.weight_prior()) / (
        3 * 4 * 2 * 3
    )  # frames after the first, tokens
    torch.testing.assert_close(losses[1]["divergence"], divergence)
    torch.testing.assert_close(losses[1]["loss"] - losses[0]["loss"], divergence)
    torch.testing.assert_close(losses[2]["loss"] - losses[0]["loss"], 4 * divergence)


@pytest.mark.parametrize(
    ("horizon", "field_weights", "shares"),
    [(1, {}, [1, 1, 1, 1, 1]), (3, {}, [1, 1, 1, 1, 1]), (3, {"temperature": 4.0, "velocity_y": 2.0}, [4, 1, 1, 1, 2])],
)
def test_latent_errors_are_those_of_fields_by_the_linear_decoder(
    model: TokenForecaster, horizon: int, field_weights: dict[str, float], shares: list[int]
) -> None:
    """Against the model's own steps and its linear decoder, pixel by pixel; the groups' fields are in another order than the frames'."""
    frames, context = window(n_times=horizon + 1)
    tokens = model.encode(frames).mean
    learn(model, ("dynamics",))
    parts = LatentError(field_weights=field_weights, kl_weight=2.0).parts(model, tokens, context)
    parts["loss"].backward()
    found = parts.get("error", parts["loss"])
    assert all(not name.startswith("autoencoder") for name in learned(model))
    assert any(name.startswith(("transition", "posterior")) for name in learned(model))
    z, errors = tokens[:, 0], []

    def linear(z: torch.Tensor) -> torch.Tensor:
        patches = model.autoencoder.linear_change(z)
        joined = torch.nn.functional.pixel_shuffle(patches, model.tokens.patch)
        return joined[:, model.autoencoder.field_order]

    for lead in range(1, horizon + 1):
        z = model.step(z, torch.zeros(2, 3, 1, 1), model.context_vector(context), centre(model)).mean
        errors.append((linear(z) - linear(tokens[:, lead])).square().mean((0, 2, 3)))
    weights = torch.tensor(shares, dtype=torch.float32)
    torch.testing.assert_close(found, (torch.stack(errors).mean(0) * weights).sum() / weights.sum())
    if model.weight_prior() is not None:  # relative to itself: the gradient is that of the logarithm
        torch.testing.assert_close(parts["loss"], 1 + 2 * parts["divergence"])


def test_a_curriculum_cuts_windows_into_pieces_that_leave_no_step_out() -> None:
    frames, context = torch.arange(9.0).expand(2, 9)[..., None], torch.tensor([[1.0], [2.0]])
    objective = LatentError(curriculum={4: 0.5, 1: 0.25})
    pieces, of_each = objective.windows(frames, context, 0.0)
    assert pieces[..., 0].tolist() == [[k, k + 1] for _ in range(2) for k in range(8)]
    assert of_each.flatten().tolist() == [1.0] * 8 + [2.0] * 8
    pieces, of_each = objective.windows(frames, context, 0.25)
    assert pieces[..., 0].tolist() == [[0, 1, 2, 3, 4], [4, 5, 6, 7, 8]] * 2
    assert of_each.flatten().tolist() == [1.0, 1.0, 2.0, 2.0]
    whole, of_each = objective.windows(frames, context, 0.75)
    assert whole is frames
    assert of_each is context


@pytest.mark.parametrize("views", ["one", "shifted"])
def test_scores_teach_all_noise_in_any_view(views: str) -> None:
    frames, context = window()
    model = micro_tokens(views=views)
    learn(model, ("noise",))
    torch.manual_seed(0)
    RolloutScore(members=2).parts(model, frames, context)["loss"].backward()
    assert "autoencoder.pixel_raw_scale" in learned(model)
    for part in ("autoencoder.encoders", "autoencoder.decoders", "transition"):
        assert any(".spread" in name and name.startswith(part) for name in learned(model))


@pytest.mark.parametrize("views", ["one", "shifted"])
def test_inference_compilation_asks_the_guide_for_what_draws_came_from(views: str) -> None:
    """Against Pyro: the density that the guide gives to the sites of the same draw, site by site."""
    model, (frames, context) = micro_tokens(views=views), window()
    torch.manual_seed(0)
    parts = InferenceCompilation().parts(model, frames, context)
    torch.manual_seed(0)
    drawn, _, sites = draw_from(model, frames[:, 0], context, 3, Draws(1))
    values = {name: value[0] for name, value in sites.items()}
    trace = poutine.trace(poutine.condition(model.guide, values)).get_trace(drawn, context)
    trace.compute_log_prob()
    n_tokens = values["z_0"].shape[-1] * values["z_0"].shape[-2]
    logs = {name: trace.nodes[name]["log_prob"].mean() / n_tokens for name in values if name != "view"}
    torch.testing.assert_close(parts["effects"], -logs["u"], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(parts["tokens"], -torch.stack([logs[f"z_{t}"] for t in range(4)]).mean(), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(parts["loss"], parts["effects"] + parts["tokens"])


@pytest.mark.parametrize("objective", [Elbo(), RolloutScore(members=2)], ids=lambda o: type(o).__name__)
def test_learning_noise_alone_leaves_noiseless_rollouts_as_they_are(objective) -> None:
    model = micro_tokens()
    frames, context = window()

    def rollout() -> list[torch.Tensor]:
        return [frame.detach() for frame in model.mean_frames(frames[:, 0], context, (0, 1, 2))]

    noiseless = rollout()
    noisy = next(model.forecast(frames[:, 0], context, grid=model.grid, n_steps=1, n_draws=2, seed=0))
    learn(model, ("noise",))
    objective.parts(model, frames, context)["loss"].backward()
    descend(model)
    assert all(torch.equal(one, other) for one, other in zip(rollout(), noiseless, strict=True))
    assert not torch.allclose(next(model.forecast(frames[:, 0], context, grid=model.grid, n_steps=1, n_draws=2, seed=0)), noisy)


@pytest.mark.parametrize("build", [micro_tokens, meso_tokens])
def test_learning_the_guide_alone_leaves_the_model_as_it_is(build: Callable[[], TokenForecaster]) -> None:
    """Forecasts draw from the same distributions but for the weights'; the guide learns."""
    model = build()
    frames, context = window()
    learn(model, ("guide", "weights"))
    Elbo().parts(model, frames, context)["loss"].backward()
    guides = ("trajectory_encoder.", "token_evidence.", "smoother.", *(("posterior.",) if build is meso_tokens else ()))
    assert {guide for guide in guides for name in learned(model) if name.startswith(guide)} == set(guides)
    assert all(name.startswith(guides) for name in learned(model))


def test_dynamics_learn_while_tokens_mean_the_same_fields() -> None:
    model = micro_tokens()
    frames, context = window()
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    decoded = model.decode(model.encode(frames).mean).mean
    learn(model, ("dynamics", "noise"))
    for _ in range(2):  # layers that start silent pass gradients on from the second step
        RolloutScore(members=2).parts(model, frames, context)["loss"].backward()
        descend(model, 0.01)
    assert torch.equal(model.decode(model.encode(frames).mean).loc, model.decode(model.encode(frames).mean).loc)
    torch.testing.assert_close(model.decode(model.encode(frames).mean).mean, decoded, rtol=1e-3, atol=1.0)
    moved = {name for name, parameter in model.named_parameters() if not torch.equal(parameter, before[name])}
    assert {name for name in before if name.startswith("transition.")} <= moved
    assert all({"spread", "pixel_raw_scale"} & set(name.split(".")) for name in moved if name.startswith("autoencoder."))


def test_noiseless_rollouts_use_the_centre_of_the_weight_posterior() -> None:
    frames, context = window(n_times=2)
    model = meso_tokens()
    losses = []
    for seed in range(2):
        torch.manual_seed(seed)
        losses.append(RolloutError().parts(model, frames, context)["loss"])
    assert torch.equal(*losses)


def test_errors_beyond_a_bound_where_a_field_rests_on_it_cost_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Solid without pores: a decoder that misses it upwards draws it exactly, one that misses it downwards does not."""
    model, (frames, context) = micro_tokens(), window()
    solid = frames[:, :1].clone()
    solid[:, :, 2] = 1.0
    standard = model.normalizer.normalize(solid[:, 0])

    def loss(miss: float) -> float:
        loc = standard.clone()
        loc[:, 2] += miss
        decoded = torch.distributions.Normal(loc, torch.full_like(loc, 1e-3))
        monkeypatch.setattr(model.autoencoder, "decode", lambda z: decoded)
        return float(Reconstruction().parts(model, solid, context)["loss"])

    assert loss(0.5) < 1e-6
    assert loss(-0.5) == pytest.approx(0.25 / 5, rel=1e-3)


def test_rollout_errors_are_of_all_leads_or_a_random_half() -> None:
    frames, context = window()
    model = micro_tokens()
    x = model.normalizer.normalize(frames)
    errors = [(mean - x[:, t]).square().mean() for t, mean in enumerate(model.mean_frames(frames[:, 0], context, range(4)))]
    parts = RolloutError().parts(model, frames, context)
    torch.testing.assert_close(parts["reconstruction"], errors[0])
    torch.testing.assert_close(parts["rollout"], torch.stack(errors[1:]).mean())
    pairs = {round(float((errors[i] + errors[j]).detach() / 2), 4) for i, j in ((1, 2), (1, 3), (2, 3))}
    found = {round(float(RolloutError(decoded="half").parts(model, frames, context)["rollout"].detach()), 4) for _ in range(12)}
    assert found <= pairs
    assert len(found) > 1
