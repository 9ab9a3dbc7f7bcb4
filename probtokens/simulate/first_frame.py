"""First frames of own microstructures, without a simulation."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from probtokens.config import PhysicsConfig
from probtokens.config.simulation import MOST_PRESSURE
from probtokens.fields import KNOWN_FIELDS, Grid
from probtokens.simulate.initial import SHOCK_START
from probtokens.simulate.microstructure.rasterize import gas_fraction
from probtokens.simulate.run import build_solver, run_batch
from probtokens.units import quantity

#: Part of a cell that is gas from which on it belongs to a pore.
_PORE = 0.5


def first_frame(solid_fraction: Any, shock_pressure: Any, *, spacing: float | str = 0.04) -> xr.DataArray:
    """Frames of porous HMX that a shock has just entered from the left: what forecasts begin with.

    Parameters
    ----------
    solid_fraction
        Solid volume fraction of every cell, 1 in the crystal and 0 in pores, shape (y, x) or (simulation, y, x). The shock begins
        0.16 µm from the left edge, where the crystal must be solid.
    shock_pressure
        Pressure behind the shock [GPa], a number or one for each simulation; or with a unit, ``"90 kbar"``.
    spacing
        Cell edge [µm], or with a unit, ``"40 nm"``; that of ``hmx-standard`` by default.

    Returns
    -------
    xarray.DataArray
        Shape (simulation, field, y, x), physical units, with the coordinates ``shock_pressure`` [GPa] of simulations, ``field_unit``,
        and ``y`` and ``x`` [µm].

    Raises
    ------
    ValueError
        If shapes do not fit, values are not fractions, pressures are not positive or above 100 GPa, or pores lie where the shock begins.

    Examples
    --------
    >>> import numpy as np
    >>> y, x = np.mgrid[:32, :48]
    >>> solid = ((y - 16) ** 2 + (x - 24) ** 2 > 36).astype(float)
    >>> first_frame(solid, 9.0).sizes["field"]
    6
    """
    solid = np.asarray(solid_fraction, dtype=np.float64)
    solid = solid[None] if solid.ndim == 2 else solid
    if solid.ndim != 3 or min(solid.shape) < 1:
        raise ValueError(f"solid_fraction: expected shape (y, x) or (simulation, y, x), got {np.shape(solid_fraction)}")
    if not (np.isfinite(solid).all() and solid.min() >= 0.0 and solid.max() <= 1.0):
        raise ValueError(f"solid_fraction: expected values from 0 to 1, got {solid.min():g} to {solid.max():g}")
    spacing = quantity(spacing, "µm", "spacing")
    shock_pressure = quantity(shock_pressure, "GPa", "shock_pressure") if isinstance(shock_pressure, str) else shock_pressure
    pressure = np.broadcast_to(np.asarray(shock_pressure, dtype=np.float64), solid.shape[:1])
    if not (np.isfinite(pressure).all() and (pressure > 0.0).all()):
        raise ValueError(f"shock_pressure: expected positive numbers of GPa, got {shock_pressure}")
    if (pressure > MOST_PRESSURE).any():
        raise ValueError(f"shock_pressure: expected at most {MOST_PRESSURE:g} GPa, got {pressure.max():g}; are they in Pa, or in MPa?")
    entered = int(np.ceil(SHOCK_START / spacing)) + 1
    if (1.0 - solid[..., :entered] > _PORE).any():
        raise ValueError(f"solid_fraction: expected no pores in the first {entered} columns, where the shock begins")
    gas = gas_fraction(1.0 - solid)
    grid = Grid(ny=solid.shape[1], nx=solid.shape[2], spacing=spacing, time_step=1.0, n_times=1)
    physics = PhysicsConfig(compile=False)
    frames = run_batch(build_solver(physics, spacing), gas, pressure, grid, physics).frames
    fields = [name for name in KNOWN_FIELDS if name in frames]
    coordinates = {
        "field": fields,
        "field_unit": ("field", [KNOWN_FIELDS[name].unit for name in fields]),
        "shock_pressure": ("simulation", pressure, {"unit": "GPa"}),
        "y": ("y", (np.arange(grid.ny) + 0.5) * spacing, {"unit": "µm"}),
        "x": ("x", (np.arange(grid.nx) + 0.5) * spacing, {"unit": "µm"}),
    }
    values = np.stack([frames[name][:, 0] for name in fields], axis=1)
    return xr.DataArray(values, dims=("simulation", "field", "y", "x"), coords=coordinates, name="first_frame")
