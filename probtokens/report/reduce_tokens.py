"""Reduce what a token model makes of the true frames to the small arrays that the figures show, frame by frame."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from probtokens.data import TrajectorySet
from probtokens.data.the_well.layout import boundary_of
from probtokens.evaluate.ablation import score_leads, source_rows
from probtokens.fields import FieldSpec, field_index
from probtokens.pipeline.tokens_of_run import TOKEN_MODELS, load_tokens
from probtokens.predict import rollout_grid
from probtokens.report.reduce import Array, extent_of, strip_frames
from probtokens.report.run import Run
from probtokens.units import OUR_UNITS, Units

if TYPE_CHECKING:
    from probtokens.models.tokens import TokenForecaster


#: Frames encoded at once.
_BLOCK = 4

#: Draws of the posterior given a whole trajectory.
_DRAWS = 24

#: Draws, test simulations and leads that tell the parts of the variance: draws are made eight at a time.
_PART_DRAWS, _PART_SIMULATIONS, _PART_LEADS = 8, 2, 8
_WHOLE, _ALONE = "all", " alone"


@dataclass(frozen=True)
class Fit:
    """How well one field is reconstructed over all test frames.

    ``rmse`` is that of the decoded mean of the posterior's mean, ``spread`` the root mean square of the decoder's standard
    deviation, both in the field's unit.
    """

    spec: FieldSpec
    rmse: float
    spread: float


@dataclass(frozen=True)
class Reconstruction:
    """One field of one simulation through the tokens and back; images have shape (time, y, x), physical units.

    ``spread`` is the decoder's standard deviation. ``extent`` is (left, right, bottom, top); it and ``times`` are in ``units``.
    """

    spec: FieldSpec
    times: Array
    extent: tuple[float, float, float, float]
    truth: Array
    mean: Array
    spread: Array
    units: Units = OUR_UNITS


@dataclass(frozen=True)
class GroupMaps:
    """Token posterior of the leading channels of one field group; maps have shape (channel, time, token_y, token_x).

    ``channels`` are their numbers within the group, from 1, and ``n_channels`` is how many the group has. ``mean`` and ``spread``
    are in units of the tokens, whose variance was one over all training patches at the start. ``weights`` tells by how much, root
    mean square in standard deviations of a field, the group's decoded fields change without the channel, shape (channel,).
    """

    label: str
    channels: tuple[int, ...]
    n_channels: int
    mean: Array
    spread: Array
    weights: Array


@dataclass(frozen=True)
class TokenMaps:
    """Token posteriors q(z_t | x_0 … x_T) at a few times of one simulation, with the true field ``truth`` (time, y, x) beside.

    ``effect`` has draws of the trajectory effect from the same posterior, shape (draw, D, effect_y, effect_x).
    """

    spec: FieldSpec
    times: Array
    extent: tuple[float, float, float, float]
    truth: Array
    groups: tuple[GroupMaps, ...]
    effect: Array
    units: Units = OUR_UNITS


@dataclass(frozen=True)
class Parts:
    """What the variance of one field's members comes from, pooled over cells and ``n_simulations`` test simulations, by lead.

    ``alone`` maps a source to the variance of ``n_draws`` members that differ by it alone, ``whole`` is that of members that differ by
    all, in the field's unit squared, shape (lead,); ``times`` are in ``time_unit``.
    """

    spec: FieldSpec
    times: Array
    whole: Array
    alone: Mapping[str, Array]
    n_draws: int
    n_simulations: int
    time_unit: str = OUR_UNITS.time


def load_primary(run: Run) -> TokenForecaster | None:
    """The trained model whose forecast is pictured, ``None`` where it is no token model.

    Raises
    ------
    ValueError
        If its file is missing, damaged or not of this run's fields and grid; the message names the file.
    """
    if run.primary not in TOKEN_MODELS:
        return None
    path = run.model_file
    model = load_tokens(run.primary, path, run.config)
    names, found = [spec.name for spec in run.fields], [spec.name for spec in model.fields]
    grid = rollout_grid(run.rollouts[run.primary])
    if names != found or not model.grid.compatible_with(grid):
        kind = "meso" if type(model).__name__ == "MesoTokens" else "micro"
        raise ValueError(f"{path(kind)}: expected a model of {names} on {grid}, as in the rollout, got one of {found} on {model.grid}")
    return model


def compression(model: TokenForecaster) -> float:
    """Numbers of a patch, all fields, for each number of its token."""
    return len(model.fields) * model.patch**2 / sum(group.channels for group in model.tokens.groups)


def true_frames(run: Run, simulation: int, frames: Sequence[int]) -> Tensor:
    """All true fields of some frames, shape (time, field, y, x), physical units."""
    return torch.from_numpy(run.rollouts[run.primary]["truth"].isel(simulation=simulation, time=list(frames)).values)


def known_scalars(run: Run, model: TokenForecaster, simulation: int) -> Tensor:
    """Known scalars of a simulation, shape (1, context)."""
    data = run.rollouts[run.primary]
    return torch.tensor([[float(data[name].values[simulation]) for name in model.normalizer.context_names]], dtype=torch.float32)


def reduce_fit(run: Run, model: TokenForecaster) -> tuple[Fit, ...]:
    """Reconstruction of every field over all frames of all test simulations, the given first ones included."""
    error, spread = torch.zeros(2, len(run.fields), dtype=torch.float64)
    n_times = run.rollouts[run.primary].sizes["time"]
    for simulation in range(run.n_simulations):
        for start in range(0, n_times, _BLOCK):
            truth = true_frames(run, simulation, range(start, min(start + _BLOCK, n_times)))
            pixels = model.decode(model.encode(truth).mean)
            error += (pixels.mean - truth).double().square().mean(dim=(-2, -1)).sum(0)
            spread += pixels.stddev.double().square().mean(dim=(-2, -1)).sum(0)
    parts = ((part / (run.n_simulations * n_times)).sqrt().tolist() for part in (error, spread))
    return tuple(Fit(spec, *values) for spec, *values in zip(run.fields, *parts, strict=True))


def reduce_reconstruction(run: Run, model: TokenForecaster, spec: FieldSpec, frames: Sequence[int]) -> Reconstruction:
    """Truth, decoded mean and decoder's spread of a field at ``frames`` of the run's chosen simulation."""
    data, position = run.rollouts[run.primary], field_index(run.fields, spec.name)
    truth = true_frames(run, run.simulation, frames)
    pixels = model.decode(model.encode(truth).mean)
    true, mean, spread = (values[:, position].numpy() for values in (truth, pixels.mean, pixels.stddev))
    times = np.asarray(data["time"].values)[list(frames)]
    return Reconstruction(spec, times, extent_of(data), true, mean, spread, rollout_grid(data).units)


def reduce_token_maps(run: Run, model: TokenForecaster, spec: FieldSpec, frames: Sequence[int], n_channels: int = 4) -> TokenMaps:
    """Posterior mean and spread of the leading ``n_channels`` of every field group at ``frames`` of the run's chosen simulation.

    Those lead that the decoded fields of the group depend on most, see :class:`GroupMaps`.
    """
    data, position = run.rollouts[run.primary], field_index(run.fields, spec.name)
    truth = true_frames(run, run.simulation, frames)
    whole = true_frames(run, run.simulation, range(data.sizes["time"]))
    smoothed = model.smooth(whole[None], known_scalars(run, model, run.simulation), n_draws=_DRAWS, seed=0)
    draws = smoothed["z"][:, 0, list(frames)]
    mean, spread = draws.mean(0), draws.std(0)
    weights, groups, first = _channel_weights(model, mean), [], 0
    for group in model.tokens.groups:
        own = weights[first : first + group.channels]
        leading = own.argsort(descending=True, stable=True)[:n_channels]
        maps = [values[:, first + leading].transpose(0, 1).numpy() for values in (mean, spread)]
        label = ", ".join(run.field(name).label for name in group.fields)
        groups.append(GroupMaps(label, tuple(k + 1 for k in leading.tolist()), group.channels, maps[0], maps[1], own[leading].numpy()))
        first += group.channels
    times = np.asarray(data["time"].values)[list(frames)]
    shown, effect = truth[:, position].numpy(), smoothed["u"][:, 0].numpy()
    return TokenMaps(spec, times, extent_of(data), shown, tuple(groups), effect, rollout_grid(data).units)


def reduce_parts(run: Run, model: TokenForecaster, spec: FieldSpec) -> Parts:
    """Forecast a few test simulations with few draws again, from all sources and from each alone, and decode a few leads."""
    data, used = run.rollouts[run.primary], min(_PART_SIMULATIONS, run.n_simulations)
    grid = rollout_grid(data)
    trajectories = TrajectorySet.from_arrays(
        np.stack([true_frames(run, simulation, range(grid.n_times)).numpy() for simulation in range(used)]),
        list(run.fields),
        spacing=f"{grid.spacing!r} {grid.length_unit}",
        time_step=f"{grid.time_step!r} {grid.time_unit}",
        boundary=boundary_of(grid.periodic),
        context={name: data[name].values[:used] for name in model.normalizer.context_names},
    )
    leads = strip_frames(grid.n_times, _PART_LEADS)
    request: dict[str, Any] = {"field": spec.name, "members": _PART_DRAWS, "seed": run.config.seed}
    variances = {
        name: np.array(score_leads(model, trajectories, leads, sources=sources, **request)["variance"], dtype=np.float64)
        for name, sources in source_rows(model).items()
        if name == _WHOLE or name.endswith(_ALONE)
    }
    whole = variances.pop(_WHOLE)
    alone = {name.removesuffix(_ALONE): variance for name, variance in variances.items()}
    return Parts(spec, np.asarray(data["time"].values)[leads], whole, alone, _PART_DRAWS, used, grid.time_unit)


@torch.inference_mode()
def _channel_weights(model: TokenForecaster, tokens: Tensor) -> Tensor:
    """Root-mean-square change of a group's normalised decoded fields when one channel has its average, shape (channel,)."""
    names = [spec.name for spec in model.fields]
    average = tokens.mean(dim=(0, 2, 3))
    decoded = model.autoencoder.decode(tokens).mean
    weights: list[Tensor] = []
    for group in model.tokens.groups:
        own = [names.index(name) for name in group.fields]
        for _ in range(group.channels):
            without = tokens.clone()
            without[:, len(weights)] = average[len(weights)]
            weights.append((model.autoencoder.decode(without).mean - decoded)[:, own].square().mean().sqrt())
    return torch.stack(weights)
