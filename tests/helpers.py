"""Synthetic data for tests: smooth fields that look like a shock passing over hot blobs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from probtokens.data.the_well import write_shard
from probtokens.fields import Grid

BOUNDARY = {"left": "OPEN", "right": "OPEN", "bottom": "WALL", "top": "WALL"}
UNITS = {
    "temperature": "K",
    "pressure": "GPa",
    "solid_fraction": "1",
    "velocity_x": "km/s",
    "velocity_y": "km/s",
    "shock_pressure": "GPa",
    "porosity": "1",
}


def make_frames(
    n_simulations: int = 2, ny: int = 16, nx: int = 24, n_times: int = 6, seed: int = 0
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Fields of shape (simulation, time, y, x) and scalars of shape (simulation,).

    A front of width 2 cells moves right at a speed that grows with the shock pressure (13-18 GPa); behind
    it a pore closes and leaves a Gaussian hot spot that grows in time.
    """
    rng = np.random.default_rng(seed)
    shape = (n_simulations, 1, 1, 1)
    shock = rng.uniform(13.0, 18.0, shape)
    y0, x0 = rng.uniform(0.3, 0.7, shape) * ny, rng.uniform(0.2, 0.6, shape) * nx
    radius = rng.uniform(0.1, 0.2, shape) * min(ny, nx) + 1.0
    time = np.linspace(0.0, 1.0, n_times).reshape(1, -1, 1, 1)
    y = np.arange(ny).reshape(1, 1, -1, 1) + 0.5
    x = np.arange(nx).reshape(1, 1, 1, -1) + 0.5

    front = 0.1 * nx + time * nx * shock / 18.0
    shocked = 0.5 * (1.0 - np.tanh((x - front) / 2.0))
    passed = 0.5 * (1.0 + np.tanh((front - x0) / 2.0))
    blob = np.exp(-((y - y0) ** 2 + (x - x0) ** 2) / (2 * radius**2))
    hot = blob * passed * (0.3 + time)
    fields = {
        "temperature": 300.0 + 120.0 * shocked + 1500.0 * hot,
        "pressure": shock * shocked * (1.0 - 0.2 * hot) + 1e-4,
        "solid_fraction": 1.0 - 0.95 * blob * (1.0 - passed),
        "velocity_x": 1.2 * shocked * (1.0 + 0.1 * blob),
        "velocity_y": 0.3 * hot * (y0 - y) / radius,
    }
    porosity = (1.0 - fields["solid_fraction"][:, 0]).mean(axis=(1, 2))
    return (
        {name: np.ascontiguousarray(values, dtype=np.float32) for name, values in fields.items()},
        {"shock_pressure": shock.reshape(-1).astype(np.float32), "porosity": porosity.astype(np.float32)},
    )


def make_shard(
    path: Path,
    *,
    n_simulations: int = 2,
    ny: int = 16,
    nx: int = 24,
    n_times: int = 6,
    seed: int = 0,
    spacing: float = 0.04,
    time_step: float = 0.125,
) -> Path:
    """Write one synthetic file with five fields and the scalars ``shock_pressure`` and ``porosity``; return its path."""
    frames, scalars = make_frames(n_simulations, ny, nx, n_times, seed)
    write_shard(
        path,
        frames,
        grid=Grid(ny=ny, nx=nx, spacing=spacing, time_step=time_step, n_times=n_times),
        scalars=scalars,
        units=UNITS,
        dataset_name="synthetic",
        boundary=BOUNDARY,
        attributes={"frame": "laboratory", "seed": seed},
    )
    return path


def make_campaign(folder: Path, *, n_train: int = 4, n_valid: int = 2, n_test: int = 2, seed: int = 0, **shape: Any) -> Path:
    """Write ``train``, ``valid`` and ``test`` folders of two-simulation files; return ``folder``."""
    for offset, (split, count) in enumerate((("train", n_train), ("valid", n_valid), ("test", n_test))):
        for shard, first in enumerate(range(0, count, 2)):
            make_shard(
                folder / split / f"shard_{shard:04d}.hdf5",
                n_simulations=min(2, count - first),
                seed=seed + 1000 * offset + shard,
                **shape,
            )
    return folder
