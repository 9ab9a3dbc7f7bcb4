"""Is this installation sound, and what will it compute with: the first thing to run, and to send with a report of a fault."""

from __future__ import annotations

import os
import time
from typing import NamedTuple

import numpy as np
import rich.console

from probtokens.fields import HotSpot
from probtokens.pipeline.record import hardware, versions
from probtokens.precision import resolve
from probtokens.screen import TextTable, next_step, open_screen, print_table, say
from probtokens.simulate.compiler import require_compiler

#: A pore of 0.24 µm radius under a shock, and the forecast of it [GPa, frames, draws].
_CELLS, _CENTRE, _RADIUS = (32, 48), (16, 20), 6
_PRESSURE, _STEPS, _DRAWS = 9.5, 6, 16
_HOTSPOT = HotSpot("temperature", 875.0)


def examine(screen: rich.console.Console | None = None) -> bool:
    """Print versions, processor, threads, compiler and precision, then forecast a pore and compare it with a simulation of it.

    Parameters
    ----------
    screen
        Where to print; standard output by default.

    Returns
    -------
    bool
        Whether the forecast is right.
    """
    screen = screen or open_screen()
    table = TextTable(gap=2)
    table.column("")
    table.column("found here")
    for name, value in (versions() | hardware() | _surroundings()).items():
        table.row(name, value)
    print_table(screen, table)
    say(screen, f"self-check: {_STEPS} frames of a pore at {_PRESSURE:g} GPa, simulated, and forecast by hmx-standard ...")
    found = self_check()
    if found.sound:
        say(screen, (f"sound: {found}", "green"))
        next_step(screen, "probtokens forecast --image MICROGRAPH --scale µm --pressure GPa, or probtokens run RECIPE --out DIR")
    else:
        say(screen, (f"NOT SOUND: {found}", "red"))
        next_step(screen, "probtokens verify simulator tells whether the simulator is right; install the versions of constraints.txt anew")
    return found.sound


class SelfCheck(NamedTuple):
    """What became of the pore: areas of hot spots [µm²] in the last frame, by simulation and in every draw, and how long they took [s]."""

    simulated: float
    forecast: np.ndarray
    repeated: bool
    seconds: tuple[float, float]

    @property
    def sound(self) -> bool:
        """Whether the simulated area lies among the draws', widened by half of their range, and the same seed gives the same draws."""
        low, high = float(self.forecast.min()), float(self.forecast.max())
        margin = 0.5 * (high - low)
        return self.repeated and self.simulated > 0.0 and low - margin <= self.simulated <= high + margin

    def __str__(self) -> str:
        simulated, forecast = self.seconds
        return (
            f"hot spots of {self.simulated:.3g} µm² simulated in {simulated:.1f} s, "
            f"{self.forecast.min():.3g} to {self.forecast.max():.3g} µm² in {len(self.forecast)} draws of {forecast:.1f} s, "
            f"which the same seed {'repeats' if self.repeated else 'does NOT repeat'}"
        )


def self_check() -> SelfCheck:
    """Simulate and forecast a pore; some twenty seconds on two cores."""
    import probtokens as pt
    from probtokens.config import PhysicsConfig
    from probtokens.evaluate.hotspots import hotspot_area
    from probtokens.fields import Grid
    from probtokens.simulate.microstructure.rasterize import gas_fraction
    from probtokens.simulate.run import build_solver, run_batch

    y, x = np.mgrid[: _CELLS[0], : _CELLS[1]]
    solid = ((y - _CENTRE[0]) ** 2 + (x - _CENTRE[1]) ** 2 > _RADIUS**2).astype(float)
    tokens = pt.load("hmx-standard")
    grid, physics = Grid(*_CELLS, tokens.grid.spacing, tokens.grid.time_step, _STEPS + 1), PhysicsConfig(compile=False)
    begin = time.perf_counter()
    truth = run_batch(build_solver(physics, grid.spacing), gas_fraction(1.0 - solid)[None], np.array([_PRESSURE]), grid, physics)
    simulated = time.perf_counter() - begin
    first = pt.first_frame(solid, _PRESSURE, spacing=grid.spacing)
    begin = time.perf_counter()
    draws = [pt.rollout(tokens, first, steps=_STEPS, draws=count).sel(field=_HOTSPOT.field).isel(time=-1).values for count in (_DRAWS, 1)]
    seconds = time.perf_counter() - begin
    return SelfCheck(
        float(hotspot_area(truth.frames[_HOTSPOT.field][0, -1], _HOTSPOT.threshold, grid.cell_area)),
        hotspot_area(draws[0][:, 0], _HOTSPOT.threshold, grid.cell_area),
        bool(np.array_equal(draws[0][:1], draws[1])),
        (simulated, seconds),
    )


def _surroundings() -> dict[str, str]:
    """Threads, compiler and precision."""
    import torch

    usable = len(os.sched_getaffinity(0))
    told = {name: os.environ.get(name) for name in ("OMP_NUM_THREADS", "GOMP_SPINCOUNT", "OMP_WAIT_POLICY", "ONEDNN_MAX_CPU_ISA")}
    threads = torch.get_num_threads()
    try:
        require_compiler()
        compiler = f"{os.environ.get('CXX', 'g++')} builds programs; kernels of the simulator are compiled"
    except OSError as error:
        compiler = f"none ({error}); simulations run without, several times slower"
    return {
        "cores for this process": str(usable),
        "threads of torch": f"{threads}{f', more than {usable} cores: slow; set OMP_NUM_THREADS={usable}' if threads > usable else ''}",
        **{name: value for name, value in told.items() if value is not None},
        "C++ compiler": compiler,
        "precision: auto": f"{resolve('auto', 'cuda' if torch.cuda.is_available() else 'cpu')} convolutions are the fast ones here",
    }
