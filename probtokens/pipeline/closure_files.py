"""Files of a closure: rates and curves of draws, laws, cards, pictures and a summary."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator, Sequence
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import rich.console
import xarray as xr

from probtokens import __version__
from probtokens.console import Console
from probtokens.data.atomic import replacing
from probtokens.data.the_well.faults import listed
from probtokens.pipeline.closure_lines import agreement_table, check_lines, scatter_lines
from probtokens.pipeline.record import hardware, versions
from probtokens.screen import print_table, say
from probtokens.units import OUR_UNITS, mend

if TYPE_CHECKING:
    from probtokens.simulate.eos import MieGruneisen

#: What was asked for, and what was found.
SUMMARY = "summary.json"
_DPI = 150.0
_SHOCK = "shock_pressure"
#: Names of the inputs in tables, with their units.
_COLUMNS = {
    "shock_pressure": "shock_pressure_GPa",
    "porosity": "porosity",
    "pore_size": "pore_size_um",
    "pore_spread": "pore_spread_um",
    "crossing_time": "crossing_time_ns",
}


def write_closure(
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
    with replacing(out / SUMMARY) as temporary:
        temporary.write_text(json.dumps(without_nan(summary), indent=1, allow_nan=False) + "\n", encoding="utf-8")
    with figure_style():
        for name, figure in (("rates.png", rates_figure(found, law)), ("burnt.png", burnt_figure(found, model))):
            with replacing(out / name) as temporary:
                temporary.write_bytes(png_bytes(figure, _DPI))
    if agreement:
        print_table(screen, agreement_table(agreement, model))
    for line in [*check_lines(checks), *scatter_lines(cards), *(f"not fitted: {reason}" for reason in missing)]:
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
