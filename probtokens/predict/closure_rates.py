"""Rates for a macro-scale code: smooth functions of shock pressure, porosity and pore size, one for each draw."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray
from scipy.spatial import ConvexHull

from probtokens.data.atomic import replacing
from probtokens.ensembles import Floats, as_floats
from probtokens.json_text import read_json
from probtokens.predict.closure import INPUTS, RATES
from probtokens.predict.regression import posterior_draw, simulation_weights

_SCHEMA = 1
#: Inputs whose largest value exceeds the smallest by less than this share do not vary, and are taken at their mean.
_VARIES = 0.05
#: How far outside the hull of the simulations a point may be, in their range of logarithms: round-off of files.
_SLACK = 0.01
#: Prior standard deviation of exponents, by input; that of the rate at the centre is a factor of e².
_EXPONENT_SD = {"shock_pressure": 4.0, "porosity": 1.0, "pore_size": 1.0}
_LOG_SD = 2.0


class Rates(NamedTuple):
    """Closure rates, each of shape (draw, ...), or (...) of one draw: t_ign [ns], Ḟ_ign and Ḟ_growth [1/ns]."""

    ignition_time: Floats
    ignition_rate: Floats
    growth_rate: Floats


@dataclass(frozen=True, eq=False)
class Closure:
    """Power laws q = q₀ (P_s/P̄)^α (φ/φ̄)^β (d/d̄)^γ of every draw, where simulations say something.

    Attributes
    ----------
    centre
        Geometric means of shock pressure [GPa], porosity and pore size [µm], by name.
    low, high
        Ranges of the simulations that ignite, by name.
    varied
        Inputs that have an exponent; the others are as ``centre``.
    coefficients
        log q₀ and exponents of ``varied``, shape (draw, rate, 1 + varied), of the rates as :class:`Rates` has them.
    scatter
        Standard deviation of log q of single microstructures about the laws, shape (draw, rate).
    facets
        Facets of the convex hull of the simulations in logarithms over their range, shape (facet, varied + 1): inside,
        normals times point plus offset is not positive.

    Examples
    --------
    >>> pressure, porosity, size = np.random.default_rng(0).uniform([5, 0.03, 0.4], [12, 0.1, 1.0], (20, 3)).T
    >>> time = np.array([[1.0], [1.1]]) * (pressure / 8.0) ** -2.0  # two draws
    >>> made = xr.Dataset({name: (("draw", "simulation"), time if name == "ignition_time" else 1.0 / time) for name in RATES})
    >>> inputs = {name: ("simulation", values) for name, values in zip(INPUTS, (pressure, porosity, size))}
    >>> law = Closure.fit(made.assign_coords(inputs))
    >>> round(float(law.rates(8.0, 0.06, 0.7, draw=1).ignition_time), 1)
    1.1
    """

    centre: dict[str, float]
    low: dict[str, float]
    high: dict[str, float]
    varied: tuple[str, ...]
    coefficients: Floats
    scatter: Floats
    facets: Floats

    @classmethod
    def fit(cls, closure: xr.Dataset, *, seed: int = 0) -> Closure:
        """Regress the logarithms of every draw's rates on those of the inputs.

        Coefficients of a draw are of its own rates, of simulations weighted anew and of a prior that is drawn anew
        (:func:`probtokens.predict.regression.posterior_draw`), so that their spread over draws is that of a posterior.
        Simulations of which fewer than half of the draws ignite are left out.

        Parameters
        ----------
        closure
            As :func:`probtokens.predict.closure.closure` returns it.
        seed
            Seed of the weights and priors.

        Raises
        ------
        ValueError
            If too few simulations ignite, or in a draw none grows.
        """
        rates = np.stack([closure[name].values for name in RATES], axis=1)  # (draw, rate, simulation)
        kept = np.isfinite(rates[:, 0]).mean(axis=0) >= 0.5
        values = {name: closure[name].values[kept].astype(np.float64) for name in INPUTS}
        varied = tuple(name for name in INPUTS if kept.any() and np.ptp(values[name]) > _VARIES * values[name].min())
        if not varied or kept.sum() < len(varied) + 2:
            raise ValueError(
                f"closure: expected at least {len(varied) + 2} simulations that ignite, of different {list(varied or INPUTS)}, "
                f"got {kept.sum()}"
            )
        centre = {name: float(np.exp(np.log(found).mean())) for name, found in values.items()}
        low, high = ({name: float(end(found)) for name, found in values.items()} for end in (np.min, np.max))
        logs = np.stack([np.log(values[name] / centre[name]) for name in varied], axis=1)
        design = np.concatenate([np.ones((len(logs), 1)), logs], axis=1)
        scale = np.array([_LOG_SD, *(_EXPONENT_SD[name] for name in varied)])
        weights = simulation_weights(len(rates), len(kept), seed)[:, kept]
        targets = np.log(np.where(rates > 0, rates, np.nan))[:, :, kept]
        if missing := [name for k, name in enumerate(RATES) if not np.isfinite(targets[:, k]).any(axis=1).all()]:
            raise ValueError(f"closure: expected a {missing[0]} of some simulation in every draw, got none: records are too short")
        typical = np.nanmean(targets, axis=(0, 2))
        generator = np.random.default_rng((seed, 1))
        coefficients, scatter = np.empty((*rates.shape[:2], len(scale))), np.empty(rates.shape[:2])
        for draw, rate in np.ndindex(*rates.shape[:2]):
            prior = scale * generator.normal(size=len(scale)) + np.r_[typical[rate], np.zeros(len(varied))]
            coefficients[draw, rate], scatter[draw, rate] = posterior_draw(design, targets[draw, rate], weights[draw], prior, scale)
        return cls(centre, low, high, varied, coefficients, scatter, _facets(logs / np.ptp(logs, axis=0)))

    def rates(self, shock_pressure: ArrayLike, porosity: ArrayLike, pore_size: ArrayLike, draw: int | None = None) -> Rates:
        """Rates at any number of points, inside the simulations only.

        Parameters
        ----------
        shock_pressure, porosity, pore_size
            [GPa], 1 and [µm], of shapes that broadcast.
        draw
            One draw, or all.

        Raises
        ------
        ValueError
            If a point is outside the convex hull of the simulations that ignite, or there is no such draw.
        """
        draws = len(self.coefficients)
        if draw is not None and not 0 <= draw < draws:
            raise ValueError(f"draw: expected 0..{draws - 1}, got {draw}")
        given, logs = self._logs(shock_pressure, porosity, pore_size)
        inside = self._inside(given, logs)
        if not inside.all():
            place = np.unravel_index(inside.argmin(), inside.shape)
            point = ", ".join(f"{name} {given[name][place]:.4g}" for name in INPUTS)
            known = ", ".join(f"{name} {self.low[name]:.4g} to {self.high[name]:.4g}" for name in INPUTS)
            raise ValueError(f"closure: expected points among the simulations (the convex hull of {known}), got {point}")
        every = self.coefficients if draw is None else self.coefficients[draw]
        found = np.exp(np.tensordot(every, np.concatenate([np.ones((*logs.shape[:-1], 1)), logs], axis=-1), axes=(-1, -1)))
        return Rates(*np.moveaxis(found, 1 if draw is None else 0, 0))

    def covers(self, shock_pressure: ArrayLike, porosity: ArrayLike, pore_size: ArrayLike) -> NDArray[np.bool_]:
        """Where :meth:`rates` answers, in the shape to which the arguments broadcast."""
        return self._inside(*self._logs(shock_pressure, porosity, pore_size))

    def _logs(self, *values: ArrayLike) -> tuple[dict[str, Floats], Floats]:
        """Inputs by name, each (...), and logarithms over the centre of those that vary (..., varied); NaN of what is not positive."""
        numbers = (as_floats(one, name) for name, one in zip(INPUTS, values, strict=True))
        given = dict(zip(INPUTS, np.broadcast_arrays(*numbers), strict=True))
        positive = (np.where(given[name] > 0, given[name], np.nan) / self.centre[name] for name in self.varied)
        return given, np.log(np.stack(list(positive), axis=-1))

    def _inside(self, given: dict[str, Floats], logs: Floats) -> NDArray[np.bool_]:
        """Whether points are in the hull of what varies and near the centre of what does not."""
        span = np.array([np.log(self.high[name] / self.low[name]) for name in self.varied])
        inside = ((logs / span) @ self.facets[:, :-1].T + self.facets[:, -1] <= _SLACK).all(axis=-1)
        for name in set(INPUTS) - set(self.varied):
            inside &= np.abs(given[name] / self.centre[name] - 1.0) <= _VARIES
        return inside

    def save(self, path: Path) -> None:
        """Write as JSON, whole or not at all; :func:`load_closure` reads it."""
        document = {
            "schema": _SCHEMA,
            "rates": RATES,
            "law": "rate = exp(c0 + sum_i c_i log(input_i / centre_i)), one row of coefficients for each draw",
            **{name: getattr(self, name) for name in ("centre", "low", "high")},
            "varied": list(self.varied),
            **{name: getattr(self, name).tolist() for name in ("coefficients", "scatter", "facets")},
        }
        with replacing(path) as temporary:
            temporary.write_text(json.dumps(document, indent=1, allow_nan=False) + "\n", encoding="utf-8")


def load_closure(path: Path | str) -> Closure:
    """Read what :meth:`Closure.save` wrote.

    Raises
    ------
    ValueError
        If the file is missing, no JSON, or of another schema.
    """
    document: Any = read_json(Path(path), "a closure file")
    try:
        if document["schema"] != _SCHEMA:
            raise KeyError
        coefficients, scatter, facets = (np.array(document[name], dtype=np.float64) for name in ("coefficients", "scatter", "facets"))
        centre, low, high = ({key: float(document[name][key]) for key in INPUTS} for name in ("centre", "low", "high"))
        varied = tuple(name for name in INPUTS if name in document["varied"])
        if coefficients.ndim != 3 or coefficients.shape[1:] != (len(RATES), 1 + len(varied)):
            raise KeyError
    except (KeyError, TypeError, ValueError):
        raise ValueError(f"{path}: expected a closure file of schema {_SCHEMA}, got {str(document)[:80]}") from None
    return Closure(centre, low, high, varied, coefficients, scatter, facets)


def _facets(points: Floats) -> Floats:
    """Facets (facet, dimension + 1) of the convex hull of points (point, dimension); points on a plane are joggled apart."""
    if points.shape[1] == 1:
        return np.array([[1.0, -points.max()], [-1.0, points.min()]])
    return ConvexHull(points, qhull_options="QJ").equations
