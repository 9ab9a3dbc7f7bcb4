"""Ensembles as an ArviZ data tree, small enough to plot: fields averaged over blocks, a sample of observations."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import arviz_base
import numpy as np
import xarray as xr
from numpy.typing import NDArray

from probtokens.data.arrays import numbers
from probtokens.evaluate.multivariate import pool
from probtokens.predict.lazy import as_rollout
from probtokens.predict.recalibrate import Recalibration
from probtokens.predict.store import Slab, all_axes, map_slabs, rollout_fields, rollout_grid

#: Axes of the program's global sites, after that of draws.
_SITE_DIMS = {
    "w": ["weight"],
    "scale": ["block"],
    "change": ["block"],
    "u": ["simulation", "effect", "effect_y", "effect_x"],
    "view": ["simulation", "view_axis"],
}
_LOCAL_SITE = re.compile(r"x|z_\d+")

if TYPE_CHECKING:
    from probtokens.train.fitting import History

Draws = Mapping[str, Any]


def to_arviz(
    ensemble: xr.DataArray | xr.Dataset,
    truth: Any = None,
    *,
    posterior: Draws | None = None,
    prior: Draws | None = None,
    log_likelihood: Draws | None = None,
    history: History | None = None,
    recalibration: Recalibration | None = None,
    block: int = 8,
    max_observations: int = 500,
    seed: int = 0,
) -> xr.DataTree:
    """Groups of ArviZ with one variable for each field, and for each global site that draws are given of.

    Every field is averaged over ``block`` by ``block`` cells; observations are all blocks of all simulations at
    leads >= 1, or a random sample of them, the same for all fields, on one flat dimension ``obs``. Save the tree with its own
    ``to_zarr`` or ``to_netcdf``.

    Parameters
    ----------
    ensemble
        As :func:`probtokens.rollout` returns it, or a stored rollout as :func:`probtokens.predict.open_rollout` opens it, which holds its
        truth; with at least 2 draws.
    truth
        Trajectories, or frames (simulation, time, field, y, x) in physical units, the first frames included. Without them there is no
        ``observed_data``.
    posterior, prior
        Draws of sites by name, (draw, ...), as :func:`~probtokens.evaluate.global_sites.global_sites` or ``pyro.infer.Predictive``
        returns them. Frames and the tokens of single times are left out.
    log_likelihood
        By name, (draw, simulation) [nats]: one number for each trajectory.
    history
        What :func:`probtokens.fit` returned when it trained the model.
    recalibration
        Applied before averaging.
    block
        Edge of the blocks in cells; at most the whole domain.
    max_observations
        Size of the sample. The PIT and coverage curves of ArviZ are not corrected for the number of draws M: they
        are off by up to ``2 / (M + 1)``, which many more than ``M**2 / 4`` observations make look like miscalibration.
        Blocks next to each other say nearly the same, so its bands are too narrow for large samples anyhow.
    seed
        Seed of the sample.

    Returns
    -------
    xr.DataTree
        ``posterior_predictive`` (chain = 1, draw, obs) and ``observed_data`` (obs,) with attribute ``unit``. ``constant_data`` has
        ``simulation`` (position), ``time``, ``y`` and ``x`` (block centres) of each observation, with that attribute too. ``posterior``,
        ``prior`` and ``log_likelihood`` where they are given, and ``sample_stats`` of a history: ``loss`` (step,), and ``score`` of
        validation forecasts (scored_step,) if there are any.

    Raises
    ------
    ValueError
        If the ensemble is deterministic, the truth does not fit it, or draws are no numbers or of different length within a group.

    Examples
    --------
    >>> from probtokens import rollout
    >>> from probtokens.verify.token_pairs import micro_tokens, window
    >>> frames, context = window()
    >>> tree = to_arviz(rollout(micro_tokens(), frames[:, 0], context, steps=3, draws=5), frames)
    >>> sorted(tree.children)
    ['constant_data', 'observed_data', 'posterior_predictive']
    """
    known = truth is not None or isinstance(ensemble, xr.Dataset)
    with as_rollout(ensemble, truth) as rollout:
        fields, observed, places = _observations(rollout, recalibration, block, max_observations, seed)
        specs = [spec for spec in rollout_fields(rollout) if not spec.constant]
        units = rollout_grid(rollout).units
    groups: dict[str, dict[str, Any]] = {"posterior_predictive": {name: values[None] for name, values in fields.items()}}
    groups |= {"observed_data": observed} if known else {}
    groups["constant_data"] = places
    for group, draws in (("posterior", posterior), ("prior", prior), ("log_likelihood", log_likelihood)):
        if draws is not None:
            groups[group] = {name: values[None] for name, values in _draws(group, draws).items()}
    dims = {name: ["obs"] for name in (*fields, *places)} | {name: ["simulation"] for name in log_likelihood or ()} | _SITE_DIMS
    tree = arviz_base.from_dict(groups, dims=dims)
    for spec in specs:
        for group in ("posterior_predictive", "observed_data")[: 1 + known]:
            tree[group][spec.name].attrs["unit"] = spec.unit
    for axis, unit in (("time", units.time), ("y", units.length), ("x", units.length)):
        tree["constant_data"][axis].attrs["unit"] = unit
    if history is not None:
        tree["sample_stats"] = xr.DataTree(_statistics(history))
    return tree


def _statistics(history: History) -> xr.Dataset:
    """Losses by step, counted from 1, and scores by the steps done before them."""
    statistics = xr.Dataset({"loss": ("step", history.losses)}, {"step": np.arange(1, len(history.losses) + 1)})
    if history.validation:
        statistics = statistics.assign_coords(scored_step=list(history.validation))
        statistics["score"] = ("scored_step", list(history.validation.values()))
    return statistics


def _draws(group: str, draws: Draws) -> dict[str, NDArray[np.float32]]:
    """Draws (draw, ...) of what is no frame and no token of a single time."""
    found = {name: numbers(values, f"{group} {name!r}") for name, values in draws.items() if not _LOCAL_SITE.fullmatch(name)}
    if len({values.shape[:1] for values in found.values()}) > 1 or any(values.ndim < 1 for values in found.values()):
        shapes = {name: values.shape for name, values in found.items()}
        raise ValueError(f"{group}: expected as many draws of each site along the first axis, got {shapes}")
    return found


def _observations(
    rollout: xr.Dataset, recalibration: Recalibration | None, block: int, max_observations: int, seed: int
) -> tuple[dict[str, NDArray[np.float32]], dict[str, NDArray[np.float32]], dict[str, NDArray[Any]]]:
    """Members (draw, obs) and truth (obs,) by field, and where each observation is."""
    rollout = all_axes(rollout)
    sizes, grid = rollout.sizes, rollout_grid(rollout)
    if sizes["draw"] < 2:
        raise ValueError(f"rollout of {rollout.attrs.get('model')}: expected at least 2 draws, got {sizes['draw']}")
    block = min(block, grid.ny, grid.nx)
    frames = (sizes["simulation"], sizes["time"] - 1)
    shape = (*frames, grid.ny // block, grid.nx // block)
    total = int(np.prod(shape))
    chosen = np.sort(np.random.default_rng(seed).permutation(total)[:max_observations])
    simulation, lead, row, column = np.unravel_index(chosen, shape)

    def work(slab: Slab) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
        prediction = (slab if recalibration is None else recalibration.apply_to(slab)).prediction
        here = (simulation == slab.simulation) & (lead + 1 == slab.frame)
        rows, columns = row[here], column[here]
        return pool(prediction, block)[:, rows, columns].astype(np.float32), pool(slab.truth, block)[rows, columns].astype(np.float32)

    parts = map_slabs(work, rollout)
    places = {
        "simulation": simulation,
        "time": rollout["time"].values[1:][lead],
        "y": _block_centres(rollout["y"].values, block)[row],
        "x": _block_centres(rollout["x"].values, block)[column],
    }
    members = {name: np.concatenate([part for part, _ in found], axis=1) for name, found in parts.items()}
    return members, {name: np.concatenate([part for _, part in found]) for name, found in parts.items()}, places


def _block_centres(cells: NDArray[np.floating], block: int) -> NDArray[np.floating]:
    """Centres of blocks from those of cells, without what is left over at the far end."""
    whole = len(cells) // block * block
    return cells[:whole].reshape(-1, block).mean(axis=1)
