"""Closure of a macro-scale code from a run, from simulations and a model, or from a model and drawn microstructures."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import rich.console
import xarray as xr

from probtokens import __version__
from probtokens.config import Interval, MicrostructureConfig, load_config
from probtokens.config.simulation import require_pressure
from probtokens.data.atomic import replacing
from probtokens.data.the_well.faults import listed
from probtokens.json_text import read_json
from probtokens.pipeline.console import Console
from probtokens.pipeline.fingerprint import file_digest
from probtokens.pipeline.folder import RunFolder
from probtokens.pipeline.record import hardware, versions
from probtokens.screen import TextTable, next_step, open_screen, print_table, say
from probtokens.units import OUR_UNITS, mend
from probtokens.weights import resolved

if TYPE_CHECKING:
    from probtokens.evaluate.closure import Agreement
    from probtokens.predict.ignition_growth import IgnitionGrowth
    from probtokens.simulate.eos import MieGruneisen

_DPI = 150.0
#: Scatter of a logarithm from which on the terms of cards are said to miss.
_MISSES = 0.3
_SHOCK = "shock_pressure"
_SUMMARY = "summary.json"
#: Standard deviation of the logarithm of drawn pores' diameters, and how far from the median they go: the standard set's.
_LOG_SD, _LEAST, _MOST = 0.3, 1 / 1.5, 1 / 0.6
#: Names of the inputs in tables, with their units.
_COLUMNS = {
    "shock_pressure": "shock_pressure_GPa",
    "porosity": "porosity",
    "pore_size": "pore_size_um",
    "pore_spread": "pore_spread_um",
    "crossing_time": "crossing_time_ns",
}


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
            _write(rollout, target, hmx(config.simulate.physics.eos), config.seed, screen)
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
        _write(with_truth(rollout(model, trajectories, draws=draws, seed=seed), trajectories), out, eos, seed, screen, asked=asked)
        _say_next(screen, out)
        return out
    require_of_crystals(model, name)
    shape = 2 * model.grid.ny, 2 * model.grid.nx
    gas, pressure, labels = _draw(source, shape, model.grid.spacing, seed)
    frames = first_frame(1.0 - gas, pressure, spacing=model.grid.spacing).assign_coords(simulation=labels)
    forecast = rollout(model, frames, steps=model.grid.n_times - 1, draws=draws, seed=seed)
    _write(with_truth(forecast), out, eos, seed, screen, solid=frames.sel(field="solid_fraction").values, asked=asked)
    _say_next(screen, out)
    return out


def _require_own(out: Path, asked: dict[str, Any]) -> None:
    """A folder of something else, or of another closure, stays as it is."""
    if out.exists() and not out.is_dir():
        raise ValueError(f"{out}: expected a folder for the closure, found a file")
    if not out.is_dir() or not any(out.iterdir()):
        return
    summary = out / _SUMMARY
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


def _write(
    rollout: xr.Dataset,
    out: Path,
    eos: MieGruneisen,
    seed: int,
    screen: rich.console.Console,
    solid: np.ndarray | None = None,
    asked: dict[str, Any] | None = None,
) -> None:
    """Reduce a rollout to its closure, write all files and print what they say."""
    from probtokens.evaluate.closure import closure_agreement, physical_checks
    from probtokens.evaluate.scores_file import without_nan
    from probtokens.predict.closure_rates import Closure
    from probtokens.predict.ignition_growth import fit_ignition_growth, save_cards
    from probtokens.report.closure import burnt_figure, rates_figure
    from probtokens.report.style import figure_style, png_bytes

    model = str(rollout.attrs.get("model", "model"))
    with Console().stage(f"closure of {model}") as progress:
        found = closure_dataset(rollout, eos, solid, progress)
    found.attrs |= {"model": model, "seed": seed, "probtokens_version": __version__}
    found.attrs |= {"weights": asked["weights"]} if asked else {}
    law, cards, missing, fitted = None, [], [], (out / "closure.json", out / "ignition_growth.json")
    for path in fitted:  # those of an earlier call
        path.unlink(missing_ok=True)
    try:
        law = Closure.fit(found, seed=seed)
        law.save(fitted[0])
        cards = fit_ignition_growth(found, eos=eos, seed=seed)
        save_cards(cards, fitted[1])
    except ValueError as error:  # few simulations, which still have curves and rates
        missing.append(str(error))
    agreement = closure_agreement(found) if solid is None else {}
    checks = physical_checks(found, law)
    with replacing(out / "closure.nc") as temporary:
        found.to_netcdf(temporary, engine="h5netcdf")
    for name, rows in (("rates.csv", _rate_rows(found)), ("curves.csv", _curve_rows(found))):
        with replacing(out / name) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows(rows)
    summary = {
        "schema": 1,
        "version": __version__,
        "versions": versions(),
        "hardware": hardware(),
        "model": model,
        "seed": seed,
        **({"asked": asked} if asked else {}),
        **{key: found.sizes[axis] for key, axis in (("draws", "draw"), ("simulations", "simulation"))},
        "agreement": {name: row._asdict() for name, row in agreement.items()},
        "checks": checks,
        "missing": missing,
    }
    with replacing(out / _SUMMARY) as temporary:
        temporary.write_text(json.dumps(without_nan(summary), indent=1, allow_nan=False) + "\n", encoding="utf-8")
    with figure_style():
        for name, figure in (("rates.png", rates_figure(found, law)), ("burnt.png", burnt_figure(found, model))):
            with replacing(out / name) as temporary:
                temporary.write_bytes(png_bytes(figure, _DPI))
    if agreement:
        print_table(screen, agreement_table(agreement, model))
    for line in [*check_lines(checks), *_scatter_lines(cards), *(f"not fitted: {reason}" for reason in missing)]:
        say(screen, line)
    say(screen, f"closure: {out}")


def closure_dataset(
    rollout: xr.Dataset, eos: MieGruneisen, solid: np.ndarray | None = None, progress: Callable[[int, int], None] | None = None
) -> xr.Dataset:
    """Closure of the forecasts of a rollout and, as ``NAME_truth`` (simulation, …), of its truths.

    Parameters
    ----------
    rollout
        As opened by :func:`probtokens.predict.open_rollout`, or made by :func:`probtokens.predict.lazy.with_truth`.
    eos
        Equation of state that the simulations had.
    solid
        Initial solid fraction (simulation, y, x) where truths are not known; else that of the truths.
    progress
        Called as ``progress(done, total)``.

    Raises
    ------
    ValueError
        If a field or the shock pressure is missing, or a microstructure has no pore.
    """
    from probtokens.predict.closure import closure
    from probtokens.predict.reacted import FIELDS, describe_pores, reacted_curves
    from probtokens.predict.store import all_axes, rollout_fields, rollout_grid

    rollout = all_axes(rollout)
    grid, names = rollout_grid(rollout).in_units(OUR_UNITS), [spec.name for spec in rollout_fields(rollout)]
    wanted = [*FIELDS, _SHOCK]
    if lacking := [name for name in wanted if name not in {*names, *rollout.coords}]:
        raise ValueError(f"closure: expected forecasts of reacting crystals, with {listed(wanted)}, found none of {listed(lacking)}")
    curves = reacted_curves(rollout, "prediction", eos, progress)
    known = solid is None
    if solid is None:
        number = names.index("solid_fraction")
        solid = mend(rollout_fields(rollout)[number].unit, "1")(rollout["truth"].isel(time=0, field=number).values)
    pores = describe_pores(solid, grid.spacing, grid.periodic)
    extent = grid.ny * grid.spacing, grid.nx * grid.spacing
    found = closure(curves, pores, extent, eos)
    if not known:
        return found
    truth = closure(reacted_curves(rollout, "truth", eos), pores, extent, eos).isel(draw=0, drop=True)
    return found.assign({f"{name}_truth": values for name, values in truth.data_vars.items()})


def _rate_rows(found: xr.Dataset) -> Iterator[Sequence[Any]]:
    """One row for each draw, simulation and quantity; the truth's draw is ``truth``, what a record ends before is empty."""
    from probtokens.predict.closure import RATES

    yield ["draw", "simulation", *_COLUMNS.values(), "quantity", "unit", "value"]
    levels = [f"lambda_rate_{level:g}" for level in found["level"].values]
    for ending, draws in (("", found.sizes["draw"]), ("_truth", 1)):
        if f"F{ending}" not in found:
            continue
        quantities = {name: found[f"{name}{ending}"].values for name in RATES}
        quantities |= {name: found[f"lambda_rate{ending}"].values[..., k] for k, name in enumerate(levels)}
        for draw, (number, name) in product(range(draws), enumerate(found["simulation"].values)):
            inputs = [f"{float(found[key].values[number]):.6g}" for key in _COLUMNS]
            for quantity, values in quantities.items():
                value = values[number] if ending else values[draw, number]
                text = f"{value:.6g}" if np.isfinite(value) else ""
                yield ["truth" if ending else draw, name, *inputs, quantity, RATES.get(quantity, "1/ns"), text]


def _curve_rows(found: xr.Dataset) -> Iterator[Sequence[Any]]:
    """One row for each draw, simulation and time."""
    yield ["draw", "simulation", "time_ns", "F", "lambda"]
    for ending, draws in (("", found.sizes["draw"]), ("_truth", 1)):
        if f"F{ending}" not in found:
            continue
        ratio, burnt = (found[f"{name}{ending}"].values for name in ("F", "lambda"))
        for draw, (number, name) in product(range(draws), enumerate(found["simulation"].values)):
            own = number if ending else (draw, number)
            for time, one, other in zip(found["time"].values, ratio[own], burnt[own], strict=True):
                yield ["truth" if ending else draw, name, f"{time:.6g}", f"{one:.6g}", f"{other:.6g}"]


def agreement_table(agreement: dict[str, Agreement], model: str) -> TextTable:
    """One row for each quantity: how forecasts agree with the simulator."""
    from probtokens.evaluate.closure import LEVEL
    from probtokens.predict.closure import RATES

    percent = f"{100 * LEVEL:g} %"
    table = TextTable(title=f"Closure of {model} against the simulator", caption="bias: of the median draw; (…): 90 % bootstrap interval")
    table.column("", "quantity")
    for header in (
        ("", "simulations"),
        (percent, "covers"),
        ("bias", ""),
        ("bias", "[%]"),
        ("half", "width"),
        ("", "RMSE"),
        ("", "CRPS"),
        ("", "unit"),
    ):
        table.column(*header, numbers=True)
    for name, row in agreement.items():
        unit = RATES.get(name, "1" if name == "lambda_end" else "1/ns")
        numbers = (
            [f"{value:.3g}" for value in (row.bias, 100 * row.relative_bias, row.half_width, row.rmse, row.crps)] if row.n else ["–"] * 5
        )
        covers = f"{row.coverage:.2f} ({row.coverage_low:.2f}–{row.coverage_high:.2f})" if row.n else "–"
        table.row(name, str(row.n), covers, *numbers, unit)
    return table


def _scatter_lines(cards: Sequence[IgnitionGrowth]) -> list[str]:
    """Terms of the cards that do not fit, a sentence each."""
    lines = []
    for term in ("ignition", "growth"):
        middle = float(np.median([getattr(card, f"{term}_scatter") for card in cards])) if cards else 0.0
        if middle > _MISSES:
            lines.append(f"cards: the {term} term misses single simulations by {100 * middle:.0f} %; do not use it (closure.json has laws)")
    return lines


def check_lines(checks: dict[str, Any]) -> list[str]:
    """What the physicist's checks say, one sentence each."""
    lines = []
    for name, entry in checks["monotone"].items():
        if "exponent" in entry:
            low, middle, high = entry["exponent"]
            verb = "rises" if entry["expected_sign"] > 0 else "falls"
            lines.append(
                f"{name} ~ P_s^{middle:.2f} ({low:.2f} to {high:.2f}), {verb} with P_s in {100 * entry['share']:.0f} % of draws; "
                f"rank correlation {entry['kendall']:.2f}"
            )
    threshold, pulse = checks["threshold"], checks["p2_tau"]
    if threshold["lowest_ignited"] is None:
        lines.append("threshold: no simulation ignites")
    elif threshold["highest_not_ignited"] is None:
        lines.append(f"threshold: below {threshold['lowest_ignited']:.3g} GPa, the lowest pressure; every simulation ignites")
    else:
        lines.append(
            f"threshold: ignites from {threshold['lowest_ignited']:.3g} GPa; does not up to {threshold['highest_not_ignited']:.3g} GPa; "
            f"{threshold['not_ignited_above']} simulations above the former do not"
        )
    if pulse["n"] is not None:
        low, middle, high = pulse["n"]
        lines.append(
            f"P_s^n t_ign constant for n {middle:.2f} ({low:.2f} to {high:.2f}); "
            f"P_s² t_ign varies by {100 * pulse['variation']:.0f} % over simulations"
        )
    return lines
