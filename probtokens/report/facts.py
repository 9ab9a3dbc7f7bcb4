"""What a run was: data, settings, timings and provenance as texts without machine paths."""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np
import xarray as xr

from probtokens import __version__
from probtokens.fields import KNOWN_SCALARS
from probtokens.paths import inside
from probtokens.predict import open_rollout, rollout_grid
from probtokens.report.run import Run
from probtokens.report.style import model_label
from probtokens.report.tables import format_score
from probtokens.report.verdict import FEWEST_VALIDATION
from probtokens.report.wording import decimals, flattened, listing, sentence
from probtokens.units import in_unit

_SHOCK = "shock_pressure"
#: Simulations outside of the training range that are described.
_MOST_OUTSIDE = 6
_ABSOLUTE_PATH = re.compile(r"(?<![\w:/.<])(?:~|[A-Za-z]:)?[/\\](?:[^\s/\\'\",:<>]+[/\\])*([^\s/\\'\",:<>]+)")


def without_paths(text: str) -> str:
    """Replace absolute paths by their last part: a report is read elsewhere."""
    return _ABSOLUTE_PATH.sub(r"…/\1", text)


def headline_facts(run: Run) -> list[tuple[str, str]]:
    """Data set sizes, extrapolation, ranges of the context, ensemble, seed, version and hardware."""
    facts = [
        ("Test simulations", _test_data(run)),
        ("Outside of training", _extrapolation(run)),
        ("Trained on", _training_data(run)),
        *((sentence(_label(name)), _context_range(run, name)) for name in run.config.data.context),
        ("Ensemble", _ensemble(run)),
        ("Wall-clock time, all cores", _speed(run)),
        ("Seed", str(run.config.seed)),
        ("Version", f"probtokens {_version(run)}"),
        ("Hardware", _hardware(run)),
    ]
    return [(name, without_paths(text)) for name, text in facts if text]


def amount(value: float | None, unit: str) -> str:
    """A score with its unit."""
    return in_unit(format_score(value), unit)


def snippet(run: Run) -> str:
    """Python that opens the rollouts of the run."""
    field, threshold = run.hotspot.field, run.hotspot.threshold
    names = ", ".join(run.rollouts)
    return f"""from pathlib import Path
from probtokens.predict import open_rollout

run = Path(".")  # the run folder
rollout = open_rollout(run / "rollouts" / "{run.primary}_test.zarr")  # or of {names}
forecast, truth = rollout["prediction"], rollout["truth"]  # (draw, simulation, time, field, y, x), read when used
draws = forecast.sel(field="{field}").isel(simulation={run.simulation})
mean, spread = draws.mean("draw"), draws.std("draw")
probability = (draws > {threshold:g}).mean("draw")
print(probability.isel(time=-1).values)"""


def simulation_titles(run: Run) -> list[str]:
    """Name of each test simulation with its context, e.g. shock pressure [GPa]."""
    data = run.rollouts[run.primary]
    known = [[_value(data[name], value) for value in data[name].values] for name in run.config.data.context]
    return [" · ".join(parts) for parts in zip(map(str, data["simulation"].values), *known, strict=True)]


def given(run: Run) -> str:
    """What a forecast is made from, in words."""
    made = getattr(run.config.data, run.config.rollout.scale) is None
    subject = "a shocked porous HMX crystal" if made else "a simulation"
    return listing([f"the first frame of {subject}", *(f"its {_label(name)}" for name in run.config.data.context)])


def forecast(run: Run) -> str:
    """What is forecast, in words."""
    return listing([spec.label for spec in run.forecast_fields])


def timings(run: Run) -> list[tuple[str, str]]:
    """Stage names and durations, in order, and their sum."""
    seconds = {name.replace("_", " "): float(record["seconds"]) for name, record in run.records.items() if name != "report"}
    if not seconds:
        return []
    return [(name, duration(value)) for name, value in seconds.items()] + [("total", duration(sum(seconds.values())))]


def provenance(run: Run) -> list[tuple[str, str]]:
    """Everything that the scores file and the last stage say about their origin, flattened."""
    items = flattened(run.scores["provenance"])
    versions: Mapping[str, str] = next((record["versions"] for record in reversed(run.records.values()) if record.get("versions")), {})
    items += [(f"version of {name}", str(value)) for name, value in versions.items()]
    return [(key, without_paths(value)) for key, value in items]


def duration(seconds: float) -> str:
    """Seconds as a person would say them."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"


def _test_data(run: Run) -> str:
    grid = rollout_grid(run.rollouts[run.primary])
    size = f"{decimals(grid.nx * grid.spacing)} × {in_unit(decimals(grid.ny * grid.spacing), grid.length_unit)}"
    end = (grid.n_times - 1) * grid.time_step
    return f"{run.n_simulations} of {grid.nx} × {grid.ny} cells ({size}), {grid.n_times} frames to {in_unit(decimals(end), grid.time_unit)}"


def _extrapolation(run: Run) -> str:
    """Test simulations that begin outside of the training range, and of what, by model; models with the same ones are told together."""
    models: dict[str, list[str]] = {}
    for model, entry in run.scores["models"].items():
        found = [f"{name}: {text}" for name, text in entry.get("extrapolation", {}).items()]
        more = [f"{len(found) - _MOST_OUTSIDE} more, which scores.json lists"] if len(found) > _MOST_OUTSIDE else []
        if found:
            text = f"{len(found)} of {run.n_simulations} test simulations, {'; '.join(found[:_MOST_OUTSIDE] + more)}"
            models.setdefault(text, []).append(model_label(model))
    return ". ".join(f"{sentence(listing(names))}: {text}" for text, names in models.items())


def _training_data(run: Run) -> str:
    n_meso = run.scores["models"][run.primary]["n_meso"]
    if run.config.data.micro_tokens is not None:
        parts = ["supplied micro tokens"]
    elif run.config.data.micro is not None:
        parts = ["supplied micro simulations"]
    else:
        parts = [f"{run.config.simulate.micro.n_train} micro simulations"]
    return " and ".join(parts + ([f"{n_meso} meso simulations"] if n_meso else []))


def _context_range(run: Run, name: str) -> str:
    scale, tested = run.config.rollout.scale, np.asarray(run.rollouts[run.primary][name].values)
    form, unit = _form(run.rollouts[run.primary][name])
    text = in_unit(f"{tested.min():{form}} to {tested.max():{form}}", unit) + " in the tests"
    if name != _SHOCK or getattr(run.config.data, scale) is not None:
        return text
    planned = run.config.simulate.campaigns[scale].shock_pressure
    return f"{planned.low:g} to {planned.high:g} GPa in the campaign, {text}"


def _value(scalar: xr.DataArray, value: float) -> str:
    (form, unit), name = _form(scalar), str(scalar.name)
    number = in_unit(f"{value:{form}}", unit)
    return number if name == _SHOCK else f"{_label(name)} {number}"


def _form(scalar: xr.DataArray) -> tuple[str, str]:
    """Format and unit of a context scalar."""
    unit = str(scalar.attrs.get("unit", KNOWN_SCALARS.get(str(scalar.name), "1")))
    return ".1f" if unit == KNOWN_SCALARS[_SHOCK] else ".3g", unit


def _label(name: str) -> str:
    return name.replace("_", " ")


def _ensemble(run: Run) -> str:
    members = run.rollouts[run.primary].sizes["draw"]
    if members < 2:
        return f"{model_label(run.primary)} is deterministic"
    recalibration = run.recalibrations.get(run.primary)
    if recalibration is None:
        return f"{members} draws, not recalibrated"
    few = ", too few to trust it" if recalibration.n_simulations < FEWEST_VALIDATION else ""
    return f"{members} draws, spread recalibrated on {recalibration.n_simulations} validation simulations{few}"


def _speed(run: Run) -> str:
    """Time of a draw beside that of a simulation, where the run has made both."""
    scale, made = run.config.rollout.scale, run.records.get(f"rollout_{run.primary}")
    if made is None:
        return ""
    valid = inside(run.folder, "rollouts", f"{run.primary}_valid.zarr")
    n_forecasts = run.n_simulations + (open_rollout(valid).sizes["simulation"] if valid.exists() else 0)
    n_draws = run.rollouts[run.primary].sizes["draw"]
    each = made["seconds"] / n_forecasts
    text = f"{duration(each / n_draws)} a draw" + (f", {duration(each)} for {n_draws}" if n_draws > 1 else "")
    solved, campaign = run.records.get(f"simulate_{scale}"), run.config.simulate.campaigns[scale]
    if solved is None or getattr(run.config.data, scale) is not None:
        return text
    return f"{text}; {duration(solved['seconds'] / (campaign.n_train + campaign.n_valid + campaign.n_test))} a simulation"


def _hardware(run: Run) -> str:
    given = run.scores["provenance"].get("hardware")
    hardware = given or next((record["hardware"] for record in reversed(run.records.values()) if record.get("hardware")), "")
    if not isinstance(hardware, Mapping):
        return str(hardware)
    return ", ".join(f"{value} cores" if name == "cores" else str(value) for name, value in hardware.items())


def _version(run: Run) -> str:
    return str(run.scores["provenance"].get("version", __version__))
