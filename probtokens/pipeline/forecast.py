"""From a micrograph to a forecast: the ensemble, curves of hot spots, a page that shows both, and a record of what they were made from."""

from __future__ import annotations

import json
import time
import warnings
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from probtokens.config import ImageConfig
from probtokens.config.simulation import require_pressure
from probtokens.console import Console
from probtokens.data.atomic import replacing
from probtokens.errors import renamed
from probtokens.fields import HotSpot
from probtokens.pipeline.fingerprint import file_digest
from probtokens.pipeline.record import hardware, versions
from probtokens.screen import next_step, open_screen, say
from probtokens.units import OUR_UNITS, in_unit
from probtokens.weights import resolved

if TYPE_CHECKING:
    import xarray as xr

    from probtokens.models.tokens import TokenForecaster

#: What a forecast leaves in its folder.
#: Porosity from which on pores and crystal are more likely mistaken for each other.
_MOST_POROUS = 0.5
ENSEMBLE, CURVES, PAGE, RECORD = "ensemble.zarr", "hotspots.csv", "report.html", "forecast.json"

_CONTEXT = "shock_pressure"
_HOTSPOT = HotSpot("temperature", 875.0)
#: What Python calls an argument -> what the command line calls it.
_OPTIONS = {
    "pixel_size": "--scale",
    "threshold": "--threshold",
    "pores": "--pores",
    "least_diameter": "--least-diameter",
    "shock_pressure": "--pressure",
}


@dataclass(frozen=True)
class ImageForecast:
    """What is forecast from a micrograph, and how.

    Attributes
    ----------
    image
        The micrograph.
    pressure
        Behind the shock [GPa].
    pixel_size, threshold, pores, least_diameter
        Its scale, and how voids are told from crystal, as :func:`probtokens.first_frame` takes them.
    model
        Trained tokens, by name or file.
    steps, draws, seed
        Frames after the first, members, and what they follow from.
    """

    image: Path
    pressure: float
    pixel_size: float | str | None = None
    threshold: float | str = "otsu"
    pores: str = "dark"
    least_diameter: float | str = 0.0
    model: str = "hmx-standard"
    steps: int = 20
    draws: int = 50
    seed: int = 0


@renamed(_OPTIONS)
def forecast_image(asked: ImageForecast, out: Path) -> None:
    """Forecast an own microstructure; leave ensemble, curves, page and record in ``out``, and print what hot spots come to.

    Raises
    ------
    ValueError
        If the image, the scale, the pressure, the model or the folder does not fit; nothing is written then.
    """
    import probtokens as pt
    from probtokens.data import TrajectorySet
    from probtokens.data.the_well.layout import boundary_of
    from probtokens.predict import open_rollout, write_rollout
    from probtokens.report.forecast import HotspotBands, write_page
    from probtokens.simulate.microstructure.micrograph import image_settings

    screen, console, began = open_screen(), Console(), time.perf_counter()
    require_pressure([asked.pressure])
    image = image_settings(asked.image, asked.pixel_size, asked.threshold, asked.pores, asked.least_diameter)
    _require_own(out)
    model = pt.load(asked.model)
    require_of_crystals(model, asked.model)
    if isinstance(model, pt.MicroTokens):
        model.name = "micro_tokens"  # as in runs
    first = pt.first_frame(
        image.path,
        asked.pressure,
        spacing=model.grid.spacing,
        pixel_size=image.pixel_size,
        threshold=image.threshold,
        pores=image.pores,
        least_diameter=image.least_diameter,
        multiple=model.patch,
    )
    first = first.sel(field=[spec.name for spec in model.fields])
    grid = replace(model.grid, ny=first.sizes["y"], nx=first.sizes["x"], n_times=asked.steps + 1)
    frames = TrajectorySet.from_arrays(
        first.values[:, None],
        model.fields,
        spacing=grid.spacing,
        time_step=grid.time_step,
        context={_CONTEXT: [asked.pressure]},
        boundary=boundary_of(grid.periodic),
    )
    how, found = "Otsu" if image.threshold == "otsu" else "given", first.attrs
    taken = f"threshold {found['threshold']:.3g} ({how}), {image.pores} pores, {100 * found['voids']:.3g} % of the image"
    cells = f"{grid.ny} × {grid.nx} cells of {in_unit(f'{grid.spacing:g}', grid.length_unit)}"
    say(screen, f"{image.path}: {taken}")
    say(screen, f"{cells}, porosity {100 * found['porosity']:.3g} %")
    if found["porosity"] > _MOST_POROUS:
        other = "bright" if image.pores == "dark" else "dark"
        say(screen, (f"caution: more than half is void; are the pores {other}? then add --pores {other}", "yellow"))
    with warnings.catch_warnings():  # of which the rollout tells
        warnings.simplefilter("ignore")
        # Refuses what does not fit before anything is written.
        model.forecast(*_request(first), grid=grid, n_steps=asked.steps, n_draws=asked.draws, seed=asked.seed)
    out.mkdir(parents=True, exist_ok=True)
    with console.logging_to(out / "log"):
        with console.stage("forecast") as progress:
            write_rollout(
                model,
                replace(frames, grid=grid, names=(image.path.stem,)),
                out / ENSEMBLE,
                members=asked.draws,
                seed=asked.seed,
                progress=progress,
            )
        with console.stage("report") as progress, open_rollout(out / ENSEMBLE) as ensemble:
            bands = HotspotBands.of(ensemble, _HOTSPOT, progress)
            bands.write(out / CURVES)
            record = _record(asked, image, model, first, time.perf_counter() - began)
            with replacing(out / RECORD) as temporary:
                temporary.write_text(json.dumps(record, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
            write_page(out / PAGE, ensemble, bands, image, record)
    for line in bands.told():
        say(screen, line)
    next_step(screen, f'open {out / PAGE}; in Python: probtokens.predict.open_rollout("{out / ENSEMBLE}")')


def _request(first: xr.DataArray) -> tuple[Any, Any]:
    import torch

    return torch.from_numpy(first.values), torch.tensor(first[_CONTEXT].values, dtype=torch.float32)[:, None]


def _require_own(out: Path) -> None:
    """A folder of something else stays as it is."""
    if out.exists() and not out.is_dir():
        raise ValueError(f"{out}: expected a folder for the forecast, found a file")
    known = {ENSEMBLE, CURVES, PAGE, RECORD, "log"}
    if out.is_dir() and (others := sorted(path.name for path in out.iterdir() if path.name not in known and not path.name.startswith("."))):
        raise ValueError(f"{out}: expected an empty folder or an earlier forecast, found {others[0]!r:.80}")


def require_of_crystals(model: TokenForecaster, name: str) -> None:
    """Refuse tokens of anything but shocked crystals in the package's units, of which first frames are made.

    Raises
    ------
    ValueError
        If they are of other fields, scalars or units.
    """
    from probtokens.fields import KNOWN_FIELDS

    names, context = [spec.name for spec in model.fields], list(model.normalizer.context_names)
    own = [spec.name for spec in model.fields if spec.unit != KNOWN_FIELDS.get(spec.name, spec).unit]
    if own or (model.grid is not None and model.grid.units != OUR_UNITS):
        raise ValueError(
            f"{resolved(Path(name))}: expected tokens in the units of the package's crystals (probtokens convert --in ours), "
            f"got {model.grid.steps} and others for {own!s:.60}"
        )
    if not set(names) <= set(KNOWN_FIELDS) or _HOTSPOT.field not in names or context != [_CONTEXT]:
        raise ValueError(
            f"{resolved(Path(name))}: expected tokens of some of {list(KNOWN_FIELDS)}, temperature among them, with the scalar {_CONTEXT}, "
            f"got {names!s:.100} with {context!s:.60}"
        )


def _record(asked: ImageForecast, image: ImageConfig, model: TokenForecaster, first: xr.DataArray, seconds: float) -> dict[str, Any]:
    """What makes the forecast again, and what it was made with."""
    from probtokens.simulate.microstructure.micrograph import MARGIN

    path, found = resolved(Path(asked.model)), first.attrs
    return {
        "image": image.model_dump(mode="json", exclude={"random_orientation", "separate_splits", "path"})
        | {"name": image.path.name, "sha256": file_digest(image.path), "threshold_found": found["threshold"], "voids": found["voids"]},
        "cells": {"ny": first.sizes["y"], "nx": first.sizes["x"]}
        | {"spacing": model.grid.spacing, "porosity": found["porosity"], "margin": MARGIN},
        "shock_pressure": asked.pressure,
        "model": {"name": asked.model if path != Path(asked.model).absolute() else path.name, "sha256": file_digest(path)},
        "steps": asked.steps,
        "time_step": model.grid.time_step,
        "draws": asked.draws,
        "seed": asked.seed,
        "precision": model.precision,
        "seconds": round(seconds, 1),
        "versions": versions(),
        "hardware": hardware(),
    }
