"""Rollouts as an ArviZ data tree, small enough to plot: fields averaged over blocks, a sample of observations."""

from __future__ import annotations

import arviz_base
import numpy as np
import xarray as xr
from numpy.typing import NDArray

from probtokens.evaluate.multivariate import pool
from probtokens.predict.recalibrate import Recalibration
from probtokens.predict.store import Slab, all_axes, map_slabs, rollout_fields, rollout_grid


def to_datatree(
    rollout: xr.Dataset, *, block: int = 8, max_observations: int = 500, seed: int = 0, recalibration: Recalibration | None = None
) -> xr.DataTree:
    """Groups ``posterior_predictive``, ``observed_data`` and ``constant_data`` with one variable for each field.

    Every field is averaged over ``block`` by ``block`` cells; observations are all blocks of all simulations at
    leads >= 1, or a random sample of them, the same for all fields, on one flat dimension ``obs``. Save it with its own
    ``to_zarr`` or ``to_netcdf``.

    Parameters
    ----------
    rollout
        As opened by :func:`probtokens.predict.open_rollout`, with at least 2 draws.
    block
        Edge of the blocks in cells; at most the whole domain.
    max_observations
        Size of the sample. The PIT and coverage curves of ArviZ are not corrected for the number of draws M: they
        are off by up to ``2 / (M + 1)``, which many more than ``M**2 / 4`` observations make look like miscalibration.
        Blocks next to each other say nearly the same, so its bands are too narrow for large samples anyhow.
    seed
        Seed of the sample.
    recalibration
        Applied before averaging.

    Returns
    -------
    xr.DataTree
        Variables of shape (chain = 1, draw, obs) and (obs,) with attribute ``unit``; ``constant_data`` has
        ``simulation`` (position), ``time`` [ns], ``y`` and ``x`` (block centres [µm]) of each observation.

    Raises
    ------
    ValueError
        If the rollout is deterministic.
    """
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
    specs = rollout_fields(rollout)
    names = list(parts)
    places = {
        "simulation": simulation,
        "time": rollout["time"].values[1:][lead],
        "y": _block_centres(rollout["y"].values, block)[row],
        "x": _block_centres(rollout["x"].values, block)[column],
    }
    tree = arviz_base.from_dict(
        {
            "posterior_predictive": {name: np.concatenate([p for p, _ in parts[name]], axis=1)[None] for name in names},
            "observed_data": {name: np.concatenate([t for _, t in parts[name]]) for name in names},
            "constant_data": places,
        },
        dims={name: ["obs"] for name in (*names, *places)},
    )
    for spec in specs:
        for group in ("posterior_predictive", "observed_data"):
            tree[group][spec.name].attrs["unit"] = spec.unit
    return tree


def _block_centres(cells: NDArray[np.floating], block: int) -> NDArray[np.floating]:
    """Centres of blocks from those of cells, without what is left over at the far end."""
    whole = len(cells) // block * block
    return cells[:whole].reshape(-1, block).mean(axis=1)
