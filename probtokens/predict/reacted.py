"""Reacted mass of every draw of an ensemble, read a few draws of one simulation at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from probtokens.ensembles import Floats
from probtokens.fields import KNOWN_FIELDS, KNOWN_SCALARS, FieldSpec, field_index
from probtokens.predict.store import DRAWS_AT_ONCE, all_axes, rollout_fields, rollout_grid, rollout_leads
from probtokens.simulate.eos import AMBIENT_TEMPERATURE, MENIKOFF_SEWELL, MieGruneisen
from probtokens.simulate.microstructure.measure import measure_pores
from probtokens.simulate.microstructure.rasterize import void_fraction
from probtokens.units import OUR_UNITS, Mending, mend

#: Fields that the mass of the products follows from.
FIELDS = ("temperature", "pressure", "solid_fraction", "reacted_fraction")

#: Cells with a smaller share of products count as none: they have less than 0.3 % of all products in the simulator, and draws, which
#: cannot be negative, leave a trace in every cell at rest.
_TRACE = 1e-2
#: Solid fraction below which a cell's temperature tells nothing of the solid in it.
_LEAST_SOLID = 1e-3
#: Density of products, in crystal densities, below which none count as thinner. The simulator has hardly any: their mass changes by
#: 0.1 %. There the isotherm is flat, so that 30 K more would leave a forecast's hottest cells without mass.
_LEAST_DENSITY = 0.5


def reacted_mass(fields: Mapping[str, ArrayLike], cell_area: float, eos: MieGruneisen = MENIKOFF_SEWELL) -> Floats:
    """Mass of the reaction products [pg per µm of depth], shape (...), of frames of shape (..., y, x).

    M = Σ Y ρ ΔA with the reacted mass fraction Y and the density ρ of the mixture. Density is no field that is stored. It is that of the
    condensed phase, ρ = α ρ₁(T₁, p), because the gas holds a thousandth of the mass. The equation of state is inverted at the condensed
    phase's temperature T₁ = T₀ + (T − T₀)/α, which undoes :meth:`probtokens.simulate.mixture.Mixture.temperature`.

    Parameters
    ----------
    fields
        ``temperature`` [K], ``pressure`` [GPa], ``solid_fraction`` and ``reacted_fraction``, each (..., y, x).
    cell_area
        [µm²].
    eos
        Equation of state that the simulations had.
    """
    temperature, pressure, solid, reacted = (np.asarray(fields[name]) for name in FIELDS)
    mass = np.zeros(reacted.shape)
    burnt = reacted > _TRACE
    share = np.maximum(solid[burnt].astype(np.float64), _LEAST_SOLID)
    condensed = AMBIENT_TEMPERATURE + (temperature[burnt] - AMBIENT_TEMPERATURE) / share
    density = np.maximum(eos.density(condensed, pressure[burnt]), _LEAST_DENSITY * eos.rho0)
    mass[burnt] = reacted[burnt] * share * density
    return mass.sum(axis=(-2, -1)) * cell_area


def reacted_curves(
    rollout: xr.Dataset,
    variable: Literal["prediction", "truth"] = "prediction",
    eos: MieGruneisen = MENIKOFF_SEWELL,
    progress: Callable[[int, int], None] | None = None,
) -> xr.Dataset:
    """Reacted mass and mean pressure of every draw, with 8 draws of one simulation in memory at a time.

    Parameters
    ----------
    rollout
        As opened by :func:`probtokens.predict.open_rollout`, or made by :func:`probtokens.predict.lazy.with_truth`.
    variable
        Forecast or truth; the truth counts as a single draw.
    eos
        Equation of state that the simulations had.
    progress
        Called as ``progress(done, total)`` after some draws of a simulation.

    Returns
    -------
    xr.Dataset
        ``reacted_mass`` [pg/µm] and ``mean_pressure`` [GPa], shape (draw, simulation, time), and the rollout's coordinates of these,
        context scalars included. All are in the package's units, whatever those of the rollout are. Time begins with the first frame.

    Raises
    ------
    ValueError
        If a field or the first frame is missing, coordinates are not those of square cells and equal steps, or a unit is of another
        dimension than in the package's simulations, or of none.
    """
    rollout = all_axes(rollout)
    specs, grid, _ = rollout_fields(rollout), rollout_grid(rollout).in_units(OUR_UNITS), rollout_leads(rollout)
    frames = rollout[variable] if variable == "prediction" else rollout[variable].expand_dims("draw")
    indices = [field_index(specs, name) for name in FIELDS]
    chosen, mendings = frames.isel(field=indices), [_mending(specs[index]) for index in indices]
    draws, simulations, times = (chosen.sizes[dim] for dim in ("draw", "simulation", "time"))
    mass, pressure = np.empty((draws, simulations, times)), np.empty((draws, simulations, times))
    parts = [(i, slice(k, k + DRAWS_AT_ONCE)) for i in range(simulations) for k in range(0, draws, DRAWS_AT_ONCE)]
    for done, (simulation, part) in enumerate(parts, start=1):
        values = chosen.isel(simulation=simulation, draw=part).values  # (draw, time, field, y, x)
        for frame in range(times):
            fields = {name: mending(values[:, frame, k]) for k, (name, mending) in enumerate(zip(FIELDS, mendings, strict=True))}
            mass[part, simulation, frame] = reacted_mass(fields, grid.cell_area, eos)
            pressure[part, simulation, frame] = fields["pressure"].mean(axis=(-2, -1), dtype=np.float64)
        if progress is not None:
            progress(done, len(parts))
    kept = {name: _in_ours(values) for name, values in frames.coords.items() if values.dims in (("simulation",), ("time",))}
    dims = ("draw", "simulation", "time")
    return xr.Dataset(
        {"reacted_mass": (dims, mass, {"units": "pg/µm"}), "mean_pressure": (dims, pressure, {"units": "GPa"})},
        coords={**kept, "draw": np.arange(draws)},
    )


def _mending(spec: FieldSpec) -> Mending:
    try:
        return mend(spec.unit, KNOWN_FIELDS[spec.name].unit)
    except ValueError as error:
        raise ValueError(f"field {spec.name!r}: expected {error}") from None


def _in_ours(values: xr.DataArray) -> xr.DataArray:
    """Time and known scalars in the package's units; other coordinates as they are."""
    name = str(values.name)
    target = {"time": OUR_UNITS.time, **KNOWN_SCALARS}.get(name)
    if target is None or (unit := str(values.attrs.get("unit", target))) == target:
        return values
    try:
        mending = mend(unit, target)
    except ValueError as error:
        raise ValueError(f"coordinate {name!r}: expected {error}") from None
    return (values.astype(np.float64) * mending.factor).assign_attrs(values.attrs | {"unit": mending.unit})


def describe_pores(solid_fraction: NDArray[np.floating], spacing: float, periodic: str = "") -> xr.Dataset:
    """Porosity and pore sizes of initial microstructures.

    Parameters
    ----------
    solid_fraction
        Solid volume fraction (simulation, y, x) of first frames.
    spacing
        Cell edge [µm].
    periodic
        Axes whose ends meet, across which pores are joined.

    Returns
    -------
    xr.Dataset
        Along ``simulation``: ``porosity``, the area fraction of voids; ``pore_size`` [µm], the mean diameter of discs of the pores' areas;
        ``pore_spread`` [µm], the standard deviation of these diameters.

    Raises
    ------
    ValueError
        If a microstructure has no pore.
    """
    gas = 1.0 - np.asarray(solid_fraction, dtype=np.float64)
    diameters = [measure_pores(one, spacing, periodic).diameter for one in gas]
    if empty := [number for number, found in enumerate(diameters) if not len(found)]:
        raise ValueError(f"microstructures: expected pores in every one, got none in simulations {empty[:10]}")
    columns = {
        "porosity": (np.clip(void_fraction(gas), 0.0, 1.0).mean(axis=(1, 2)), "1"),
        "pore_size": (np.array([found.mean() for found in diameters]), "µm"),
        "pore_spread": (np.array([found.std() for found in diameters]), "µm"),
    }
    return xr.Dataset({name: ("simulation", values, {"units": unit}) for name, (values, unit) in columns.items()})
