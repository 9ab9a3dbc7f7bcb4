"""First frames of own microstructures, without a simulation."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import xarray as xr

from probtokens.config import PhysicsConfig
from probtokens.config.simulation import require_pressure
from probtokens.fields import KNOWN_FIELDS, Grid
from probtokens.simulate.initial import SHOCK_START
from probtokens.simulate.microstructure.micrograph import find_voids, image_settings, threshold_of, whole
from probtokens.simulate.microstructure.rasterize import gas_fraction
from probtokens.simulate.run import build_solver, run_batch
from probtokens.units import quantity

#: Part of a cell that is gas from which on it belongs to a pore.
_PORE = 0.5


def first_frame(
    microstructure: Any,
    shock_pressure: Any,
    *,
    spacing: float | str = 0.04,
    pixel_size: float | str | None = None,
    threshold: float | str = "otsu",
    pores: str = "dark",
    least_diameter: float | str = 0.0,
    multiple: int = 4,
) -> xr.DataArray:
    """Frames of porous HMX that a shock has just entered from the left: what forecasts begin with.

    Parameters
    ----------
    microstructure
        Solid volume fraction of every cell, 1 in the crystal and 0 in pores, shape (y, x) or (simulation, y, x). The shock begins
        0.16 µm from the left edge, where the crystal must be solid. Or the path of a grey image (PNG, PGM or npy) of a section,
        whose voids within 0.25 µm of the left and right edges are filled.
    shock_pressure
        Pressure behind the shock [GPa], a number or one for each simulation; or with a unit, ``"90 kbar"``. One microstructure
        meets all pressures.
    spacing
        Cell edge [µm], or with a unit, ``"40 nm"``; that of ``hmx-standard`` by default.
    pixel_size
        Edge of a pixel [µm], or with a unit, ``"20 nm"``: an image needs it.
    threshold
        Grey value between pores and crystal, from 0 (black) to 1 (white), or ``"otsu"``, which finds it.
    pores
        Whether pores of the image are ``"dark"`` or ``"bright"``.
    least_diameter
        Pores of the image with a smaller area than a disc of this diameter [µm] are noise and filled; or with a unit.
    multiple
        Numbers of cells of an image are multiples of it: the edge of a patch of the tokens, 4 for ``hmx-standard``. What is left
        over at the top and at the right is cut off.

    Returns
    -------
    xarray.DataArray
        Shape (simulation, field, y, x), physical units, with the coordinates ``shock_pressure`` [GPa] of simulations, ``field_unit``,
        and ``y`` and ``x`` [µm]. Of an image the attributes say the ``threshold``, the share of pixels that are ``voids``, and the
        ``porosity`` of the cells.

    Raises
    ------
    ValueError
        If shapes do not fit, values are not fractions, pressures are not positive or above 100 GPa, or pores lie where the shock begins;
        if an image cannot be read, comes without ``pixel_size``, or has no pores; or if an array comes with what is said of images.

    Examples
    --------
    >>> import numpy as np
    >>> y, x = np.mgrid[:32, :48]
    >>> solid = ((y - 16) ** 2 + (x - 24) ** 2 > 36).astype(float)
    >>> first_frame(solid, 9.0).sizes["field"]
    6
    """
    spacing = quantity(spacing, "µm", "spacing")
    if not 0.0 < spacing < np.inf:
        raise ValueError(f"spacing: expected a positive length [µm], got {spacing}")
    if multiple < 1:
        raise ValueError(f"multiple: expected a number of cells, at least 1, got {multiple}")
    found: dict[str, float] = {}
    if isinstance(microstructure, str | os.PathLike):
        image = image_settings(microstructure, pixel_size, threshold, pores, least_diameter)
        void = whole(image, spacing, multiple=multiple)
        found = {"threshold": threshold_of(image), "voids": float(find_voids(image).mean()), "porosity": float(void.mean())}
        microstructure = 1.0 - void
    elif (pixel_size, threshold, pores, least_diameter) != (None, "otsu", "dark", 0.0):
        raise ValueError("pixel_size, threshold, pores and least_diameter: expected the path of an image with them, got an array")
    solid, pressure = _together(_solid(microstructure), shock_pressure)
    entered = int(np.ceil(SHOCK_START / spacing)) + 1
    if (1.0 - solid[..., :entered] > _PORE).any():
        raise ValueError(f"microstructure: expected no pores in the first {entered} columns, where the shock begins")
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
    return xr.DataArray(values, dims=("simulation", "field", "y", "x"), coords=coordinates, name="first_frame", attrs=found)


def _solid(given: Any) -> np.ndarray:
    """Solid fractions (simulation, y, x)."""
    solid = _numbers(given, "microstructure", "solid fractions, or the path of an image")
    solid = solid[None] if solid.ndim == 2 else solid
    if solid.ndim != 3 or min(solid.shape) < 1:
        raise ValueError(f"microstructure: expected shape (y, x) or (simulation, y, x), got {np.shape(given)}")
    if not np.isfinite(solid).all():
        raise ValueError(f"microstructure: expected finite values, got {np.sum(~np.isfinite(solid))} that are not")
    if not (solid.min() >= 0.0 and solid.max() <= 1.0):
        raise ValueError(f"microstructure: expected values from 0 to 1, got {solid.min():g} to {solid.max():g}")
    return solid


def _together(solid: np.ndarray, given: Any) -> tuple[np.ndarray, np.ndarray]:
    """Solid fractions and pressures of the same simulations."""
    given = quantity(given, "GPa", "shock_pressure") if isinstance(given, str) else given
    pressure = _numbers(given, "shock_pressure", "positive numbers of GPa")
    require_pressure(pressure.ravel().tolist())
    if pressure.ndim > 1 or pressure.size == 0 or len({1, len(solid), pressure.size}) > 2:
        raise ValueError(f"shock_pressure: expected a number, or one for each of {len(solid)} simulations, got shape {pressure.shape}")
    count = max(len(solid), pressure.size)
    return np.broadcast_to(solid, (count, *solid.shape[1:])), np.broadcast_to(pressure, count)


def _numbers(given: Any, name: str, what: str) -> np.ndarray:
    values = np.asarray(given)
    if values.dtype.kind not in "biuf":
        raise ValueError(f"{name}: expected {what}, got {given!r:.80}")
    return values.astype(np.float64)
