"""How far the tokens of forecasts are from those that a model learned from."""

from __future__ import annotations

import numpy as np
import torch
import xarray as xr
from numpy.typing import NDArray

from probtokens.data import TrajectorySet
from probtokens.evaluate.token_support import MIN_TOKENS, Reference, TokenSample, as_rows
from probtokens.models.tokens import TokenForecaster
from probtokens.predict.lazy import as_rollout
from probtokens.predict.store import all_axes

Array = NDArray[np.floating]


class TrainingTokens:
    """A sample of a model's tokens of simulations, and how far tokens of forecasts are from it.

    A distance is that to the nearest token of the sample, with every channel in units of its standard deviation over the sample. It is a
    multiple of the distance within which 99 % of the sample have a token of another simulation: beyond 1 is a state that the simulations
    hardly visit.

    Parameters
    ----------
    model
        Trained tokens of either scale.
    trajectories
        Simulations that the model learned from, or such as those; two or more, with the model's fields in its order.
    tokens
        Size of the sample.
    seed
        Seed of the sample.

    Raises
    ------
    ValueError
        If the trajectories are fewer than two, have fewer than 100 tokens, or other fields.

    Examples
    --------
    >>> from probtokens import Trajectories, rollout
    >>> from probtokens.verify.token_pairs import FIELDS, micro_tokens, window
    >>> frames, context = window(n_simulations=8)
    >>> data = Trajectories.from_arrays(frames, FIELDS, spacing=0.04, time_step=0.125, context={"shock_pressure": context[:, 0]})
    >>> near = TrainingTokens(micro_tokens(), data)
    >>> dict(near.by_lead(rollout(micro_tokens(), data, steps=3, draws=4)).sizes)
    {'simulation': 8, 'time': 3}
    """

    def __init__(self, model: TokenForecaster, trajectories: TrajectorySet, *, tokens: int = 20_000, seed: int = 0) -> None:
        found, expected = ([spec.name for spec in has.fields] for has in (trajectories, model))
        if found != expected:
            raise ValueError(f"token support: expected trajectories with the fields {expected}, got {found}")
        self._model = model
        sample = TokenSample(tokens, sum(group.channels for group in model.tokens.groups), np.random.default_rng(seed))
        for number in range(len(trajectories)):
            sample.update(self._rows(trajectories.whole(number)), number)
        if len(sample.tokens) < MIN_TOKENS:
            raise ValueError(f"token support: expected a sample of at least {MIN_TOKENS} tokens, got {len(sample.tokens)}")
        spread = sample.tokens.std(axis=0)
        self._scale = np.where(spread > 0, spread, 1.0)
        sample.tokens = sample.tokens / self._scale
        self._reference = Reference([sample])

    def distances(self, frames: Array) -> Array:
        """Distances of all tokens of frames (frame, field, y, x), physical units, in multiples of the threshold: (token,)."""
        return self._reference.distances(self._rows(frames) / self._scale) / self._reference.thresholds[0]

    def by_lead(self, ensemble: xr.DataArray | xr.Dataset, *, draws: int = 8) -> xr.Dataset:
        """Share of tokens beyond 1, and their mean distance, of every forecast frame.

        Parameters
        ----------
        ensemble
            As :func:`probtokens.rollout` returns it, or a stored rollout.
        draws
            Draws that are looked at, the first ones: every other draw is like them.

        Returns
        -------
        xarray.Dataset
            ``beyond`` and ``distance`` of the draws, ``beyond_truth`` and ``distance_truth`` of a stored rollout's truth, else NaN; shape
            (simulation, time), leads from 1 on.
        """
        if isinstance(ensemble, xr.DataArray):
            ensemble = ensemble.isel(draw=slice(draws))
        with as_rollout(ensemble) as opened:
            rollout = all_axes(opened).isel(draw=slice(draws), time=slice(1, None))
            shape = (rollout.sizes["simulation"], rollout.sizes["time"])
            columns = {name: np.full(shape, np.nan) for name in ("beyond", "distance", "beyond_truth", "distance_truth")}
            for place in np.ndindex(shape):
                here = rollout[["prediction", "truth"]].isel(simulation=place[0], time=place[1]).compute(scheduler="synchronous")
                for frames, end in ((here["prediction"].values, ""), (here["truth"].values[None], "_truth")):
                    if np.isfinite(frames).all():
                        found = self.distances(frames)
                        columns[f"beyond{end}"][place], columns[f"distance{end}"][place] = (found > 1.0).mean(), found.mean()
            coords = {name: rollout[name].load() for name in ("simulation", "time", "lead")}
        return xr.Dataset({name: (("simulation", "time"), values) for name, values in columns.items()}, coords=coords)

    def _rows(self, frames: Array) -> Array:
        return as_rows(self._model.encode(torch.tensor(frames)).mean)
