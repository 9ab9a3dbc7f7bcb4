"""Make a set of decaying shear flows with dye in the layout of The Well: two dimensions, periodic edges, a vector field.

python examples/shear_flow.py runs/shear_flow_data

Incompressible flow of vorticity ω and a dye of concentration c; two shear layers roll up into vortices, with a viscosity ν of their own:

    ∂ω/∂t + u·∇ω = ν ∇²ω,   ∂c/∂t + u·∇c = κ ∇²c,   u = (∂ψ/∂y, −∂ψ/∂x),   ∇²ψ = −ω

The scheme is pseudospectral, with the two-thirds rule and steps of Runge and Kutta (Canuto et al., Spectral Methods, 2006).
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from probtokens.data import write_shard
from probtokens.fields import Grid

N, SPACING, LENGTH = 32, 0.1, 3.2  # cells along an axis; edges of a cell and of the square [µm]
N_TIMES, FRAME, STEPS = 17, 0.1, 5  # frames, ns between them, steps from one to the next
VISCOSITY, DIFFUSIVITY = (0.01, 0.03), 0.01  # µm²/ns
UNITS = {"dye": "1", "velocity_x": "km/s", "velocity_y": "km/s", "viscosity": "µm²/ns"}
EDGES = dict.fromkeys(("left", "right", "bottom", "top"), "PERIODIC")
KY, KX = (2 * np.pi * np.fft.fftfreq(N, SPACING)[index] for index in np.ogrid[:N, :N])  # 1/µm
SQUARE = KX**2 + KY**2
KEPT = np.maximum(np.abs(KX), np.abs(KY)) < 2 / 3 * np.pi / SPACING


def beginning(rng: np.random.Generator) -> np.ndarray:
    """Fourier coefficients (field, y, x) of vorticity and dye: two layers between streams, waves of any phase, and a blob anywhere."""
    y, x = (np.mgrid[:N, :N] + 0.5) * SPACING
    near_y, near_x = ((place - rng.uniform(0, LENGTH)) % LENGTH - LENGTH / 2 for place in (y, x))
    stream = rng.uniform(0.7, 1.2) * np.tanh((np.abs((y - rng.uniform(0, LENGTH)) % LENGTH - LENGTH / 2) - LENGTH / 4) / 0.2)
    waves = [rng.normal() / m * np.sin(2 * np.pi * (m * x + k * y) / LENGTH + rng.uniform(0, 7)) for m in (1, 2, 3) for k in (-1, 0, 1)]
    dye = np.exp(-(near_y**2 + near_x**2) / (2 * rng.uniform(0.3, 0.6) ** 2))
    return KEPT * np.stack([np.fft.fft2(np.sum(waves, axis=0)) - 1j * KY * np.fft.fft2(stream), np.fft.fft2(dye)])


def velocity(vorticity: np.ndarray) -> np.ndarray:
    """Components along x and y on the grid, of Fourier coefficients; the mean flow is zero."""
    stream = vorticity / np.where(SQUARE > 0, SQUARE, np.inf)
    return np.fft.ifft2(np.stack([1j * KY * stream, -1j * KX * stream])).real


def rate(state: np.ndarray, viscosity: float) -> np.ndarray:
    """Time derivative of Fourier coefficients (field, y, x)."""
    u, v = velocity(state[0])
    advected = np.fft.fft2(u * np.fft.ifft2(1j * KX * state).real + v * np.fft.ifft2(1j * KY * state).real)
    return -(KEPT * advected) - SQUARE * np.array([viscosity, DIFFUSIVITY])[:, None, None] * state


def solve(state: np.ndarray, viscosity: float) -> np.ndarray:
    """Frames (field, time, y, x) of dye and velocity."""
    frames, step = [], FRAME / STEPS
    for number in range(STEPS * (N_TIMES - 1) + 1):
        if number % STEPS == 0:
            frames.append([np.fft.ifft2(state[1]).real, *velocity(state[0])])
        a = rate(state, viscosity)
        b = rate(state + step / 2 * a, viscosity)
        c = rate(state + step / 2 * b, viscosity)
        state = state + step / 6 * (a + 2 * b + 2 * c + rate(state + step * c, viscosity))
    return np.moveaxis(frames, 1, 0)


def main(out: Path, runs: Sequence[int] = (40, 24, 24)) -> None:
    """Write train/, valid/ and test/ of so many simulations."""
    for seed, (split, count) in enumerate(zip(("train", "valid", "test"), runs, strict=True)):
        rng = np.random.default_rng(seed)
        viscosity = rng.uniform(*VISCOSITY, count)
        frames = dict(zip(UNITS, np.stack([solve(beginning(rng), one) for one in viscosity], axis=1), strict=False))
        given = {"grid": Grid(N, N, SPACING, FRAME, N_TIMES), "boundary": EDGES, "scalars": {"viscosity": viscosity}, "units": UNITS}
        write_shard(out / split / "shard_0000.hdf5", frames, dataset_name="shear_flow", **given)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
