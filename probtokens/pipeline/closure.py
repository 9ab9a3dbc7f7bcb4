"""Closure of a macro-scale code from a run, from simulations and a model, or from a model and drawn microstructures."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import rich.console

from probtokens.config import Interval, MicrostructureConfig, load_config
from probtokens.config.simulation import require_pressure
from probtokens.data.the_well.faults import listed
from probtokens.json_text import read_json
from probtokens.pipeline.closure_files import SUMMARY, write_closure
from probtokens.pipeline.fingerprint import file_digest
from probtokens.pipeline.folder import RunFolder
from probtokens.screen import next_step, open_screen
from probtokens.weights import resolved

#: Standard deviation of the logarithm of drawn pores' diameters, and how far from the median they go: the standard set's.
_LOG_SD, _LEAST, _MOST = 0.3, 1 / 1.5, 1 / 0.6


@dataclass(frozen=True)
class Drawn:
    """Microstructures to be drawn: each combination of shock pressures [GPa], porosities and median diameters [µm], ``number`` times.

    Raises
    ------
    ValueError
        If a number is out of range.
    """

    pressures: tuple[float, ...]
    porosities: tuple[float, ...]
    diameters: tuple[float, ...]
    number: int

    def __post_init__(self) -> None:
        require_pressure(self.pressures)
        if wrong := [share for share in self.porosities if not 0.0 < share < 1.0]:
            raise ValueError(f"porosity: expected shares between 0 and 1, got {wrong[0]:g}")
        if wrong := [diameter for diameter in self.diameters if not 0.0 < diameter < math.inf]:
            raise ValueError(f"diameter: expected positive numbers of µm, got {wrong[0]:g}")


def closure_of_run(path: Path, out: Path | None = None, screen: rich.console.Console | None = None) -> list[Path]:
    """Closures of a run's test forecasts beside those of its test simulations, one folder for each probabilistic model.

    Parameters
    ----------
    path
        Run folder whose test forecasts are there.
    out
        Where to write; ``path``/closure by default.
    screen
        Where to print; standard output by default.

    Raises
    ------
    ValueError
        If it is no run folder, a forecast is missing, lacks a field or has no shock pressure, or no model is probabilistic.
    """
    from probtokens.predict import open_rollout
    from probtokens.simulate.eos import hmx

    screen, folder = screen or open_screen(), RunFolder(path)
    if not folder.config.is_file():
        raise ValueError(f"{path}: expected a run folder (with config.yaml) for its closure, found none")
    config, written = load_config(folder.config), []
    for model in config.rollout.models:
        with open_rollout(folder.rollout(model, "test")) as rollout:
            if rollout.sizes["draw"] < 2:
                continue
            target = (out or folder.closure) / model
            write_closure(rollout, target, hmx(config.simulate.physics.eos), config.seed, screen)
            written.append(target)
    if not written:
        raise ValueError(f"{path}: expected forecasts of a probabilistic model, found only those of {list(config.rollout.models)}")
    _say_next(screen, written[0])
    return written


def closure_of_model(
    name: str, out: Path, source: Path | Drawn, *, draws: int, seed: int, screen: rich.console.Console | None = None
) -> Path:
    """Closure of forecasts by a trained model: of the simulations in a folder, whose truths stand beside them, or of drawn microstructures.

    Parameters
    ----------
    name
        Trained tokens by name or file.
    out
        Folder to write to.
    source
        Folder of HDF5 files, or what to draw.
    draws, seed
        Members, and what they and the microstructures follow from.
    screen
        Where to print; standard output by default.

    Raises
    ------
    ValueError
        If the model or the simulations cannot be read or do not fit, or pores find no room.
    """
    from probtokens.data import TrajectorySet
    from probtokens.models.shelf import load
    from probtokens.pipeline.forecast import require_of_crystals
    from probtokens.predict.lazy import rollout, with_truth
    from probtokens.simulate.eos import MENIKOFF_SEWELL
    from probtokens.simulate.first_frame import first_frame

    if draws < 2:
        raise ValueError(f"draws: expected at least 2, got {draws}")
    model = load(name)
    assert model.grid is not None
    eos, screen = MENIKOFF_SEWELL, screen or open_screen()
    asked = {"weights": f"{name}, sha256 {file_digest(resolved(Path(name)))}", "draws": draws, "seed": seed}
    asked |= {"simulations of": str(source.resolve())} if isinstance(source, Path) else asdict(source)
    _require_own(out, asked)
    if isinstance(source, Path):
        trajectories = TrajectorySet.open(source, [spec.name for spec in model.fields], model.normalizer.context_names)
        write_closure(with_truth(rollout(model, trajectories, draws=draws, seed=seed), trajectories), out, eos, seed, screen, asked=asked)
        _say_next(screen, out)
        return out
    require_of_crystals(model, name)
    shape = 2 * model.grid.ny, 2 * model.grid.nx
    gas, pressure, labels = _draw(source, shape, model.grid.spacing, seed)
    frames = first_frame(1.0 - gas, pressure, spacing=model.grid.spacing).assign_coords(simulation=labels)
    forecast = rollout(model, frames, steps=model.grid.n_times - 1, draws=draws, seed=seed)
    write_closure(with_truth(forecast), out, eos, seed, screen, solid=frames.sel(field="solid_fraction").values, asked=asked)
    _say_next(screen, out)
    return out


def _require_own(out: Path, asked: dict[str, Any]) -> None:
    """A folder of something else, or of another closure, stays as it is."""
    if out.exists() and not out.is_dir():
        raise ValueError(f"{out}: expected a folder for the closure, found a file")
    if not out.is_dir() or not any(out.iterdir()):
        return
    summary = out / SUMMARY
    found = read_json(summary, "summary of a closure").get("asked") if summary.is_file() else None
    if found is None:
        raise ValueError(f"{out}: expected an empty folder, or one of the same closure, found others; name another with --out")
    if changed := [key for key, value in json.loads(json.dumps(asked)).items() if found.get(key) != value]:
        raise ValueError(f"{out}: expected an empty folder, or one of the same closure, found one with another: {listed(changed)} changed")


def _say_next(screen: rich.console.Console, out: Path) -> None:
    law = out / "closure.json"
    used = (
        f"in a macro-scale code probtokens.predict.closure_rates.load_closure({str(law)!r})"
        if law.exists()
        else f"rates are in {out / 'rates.csv'}"
    )
    next_step(screen, f"look at {out / 'rates.png'}; {used}")


def _draw(drawn: Drawn, shape: tuple[int, int], spacing: float, seed: int) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Gas fractions (simulation, y, x), pressures (simulation,) and names; all pressures meet the same microstructures."""
    from probtokens.simulate.microstructure import pore_fraction
    from probtokens.simulate.microstructure.rasterize import void_fraction

    gas, pressures, labels = [], [], []
    for k, (porosity, diameter) in enumerate(product(drawn.porosities, drawn.diameters)):
        config = MicrostructureConfig(
            kind_weights={"crack": 0.5},
            diameter=Interval(low=_LEAST * diameter, high=_MOST * diameter),
            diameter_distribution="log_normal",
            diameter_median=diameter,
            diameter_log_sd=_LOG_SD,
            porosity=Interval(low=porosity, high=porosity),
        )
        for number in range(drawn.number):
            pores = void_fraction(pore_fraction(*shape, spacing, config, np.random.default_rng((seed, k, number))))
            for pressure in drawn.pressures:
                gas.append(np.clip(pores, 0.0, 1.0))
                pressures.append(pressure)
                labels.append(f"porosity {porosity:g} diameter {diameter:g} pressure {pressure:g}/{number}")
    return np.array(gas), np.array(pressures), labels
