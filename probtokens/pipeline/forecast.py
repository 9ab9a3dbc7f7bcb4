"""From a micrograph to a forecast: the ensemble, curves of hot spots, a page that shows both, and a record of what they were made from."""

from __future__ import annotations

import json
import time
import warnings
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from probtokens.config import ImageConfig
from probtokens.data.atomic import replacing
from probtokens.fields import HotSpot
from probtokens.pipeline.console import Console
from probtokens.pipeline.fingerprint import file_digest
from probtokens.pipeline.record import hardware, versions
from probtokens.screen import next_step, open_screen, say
from probtokens.units import OUR_UNITS, in_unit
from probtokens.weights import resolved

if TYPE_CHECKING:
    import xarray as xr

    from probtokens.models.tokens import TokenForecaster

#: What a forecast leaves in its folder.
ENSEMBLE, CURVES, PAGE, RECORD = "ensemble.zarr", "hotspots.csv", "report.html", "forecast.json"

_CONTEXT = "shock_pressure"
_MARGIN = 0.25
_HOTSPOT = HotSpot("temperature", 875.0)


@dataclass(frozen=True)
class ImageForecast:
    """What is forecast from a micrograph, and how.

    Attributes
    ----------
    image
        The micrograph, its scale, and how voids are told from crystal.
    pressure
        Behind the shock [GPa].
    model
        Trained tokens, by name or file.
    steps, draws, seed
        Frames after the first, members, and what they follow from.
    """

    image: ImageConfig
    pressure: float
    model: str = "hmx-standard"
    steps: int = 20
    draws: int = 50
    seed: int = 0


def image_settings(
    path: Path, scale: float | None, threshold: str = "otsu", pores: str = "dark", least_diameter: float = 0.0
) -> ImageConfig:
    """Settings of a micrograph as a command line has them.

    Raises
    ------
    ValueError
        If the scale is missing, which no image tells reliably, or a setting does not fit.
    """
    from pydantic import ValidationError

    from probtokens.simulate.microstructure.image import read_grey

    if scale is None:
        ny, nx = read_grey(path).shape
        raise ValueError(
            f"{path}: --scale: expected the edge of a pixel in µm, found none; the image has {ny} × {nx} pixels (height × width), "
            f"so --scale 0.02 would make it {0.02 * ny:g} × {0.02 * nx:g} µm"
        )
    given = {"path": path, "pixel_size": scale, "threshold": threshold, "pores": pores, "least_diameter": least_diameter}
    if threshold != "otsu":
        try:
            given["threshold"] = float(threshold)
        except ValueError:
            raise ValueError(f"--threshold: expected otsu or a number between 0 (black) and 1 (white), got {threshold!r:.80}") from None
    try:
        return ImageConfig.model_validate(given)
    except ValidationError as error:
        first = error.errors()[0]
        name = {"pixel_size": "scale", "least_diameter": "least-diameter"}.get(str(first["loc"][0]), str(first["loc"][0]))
        raise ValueError(f"--{name}: {first['msg']}, got {first['input']!r:.80}") from None


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
    from probtokens.simulate.microstructure.micrograph import find_voids, threshold_of, whole

    screen, console, began = open_screen(), Console(), time.perf_counter()
    _require_own(out)
    model = pt.load(asked.model)
    require_of_crystals(model, asked.model)
    if isinstance(model, pt.MicroTokens):
        model.name = "micro_tokens"  # as in runs
    void = whole(asked.image, model.grid.spacing, multiple=model.patch, margin=_MARGIN)
    threshold, covered = threshold_of(asked.image), float(find_voids(asked.image).mean())
    first = pt.first_frame(1.0 - void, asked.pressure, spacing=model.grid.spacing).sel(field=[spec.name for spec in model.fields])
    grid = replace(model.grid, ny=void.shape[0], nx=void.shape[1], n_times=asked.steps + 1)
    frames = TrajectorySet.from_arrays(
        first.values[:, None],
        model.fields,
        spacing=grid.spacing,
        time_step=grid.time_step,
        context={_CONTEXT: [asked.pressure]},
        boundary=boundary_of(grid.periodic),
    )
    how = "Otsu" if asked.image.threshold == "otsu" else "given"
    say(screen, f"{asked.image.path}: threshold {threshold:.3g} ({how}), {asked.image.pores} pores, {100 * covered:.3g} % of the image")
    say(
        screen,
        f"{grid.ny} × {grid.nx} cells of {in_unit(f'{grid.spacing:g}', grid.length_unit)}, porosity {100 * float(void.mean()):.3g} %",
    )
    with warnings.catch_warnings():  # of which the rollout tells
        warnings.simplefilter("ignore")
        # Refuses what does not fit before anything is written.
        model.forecast(*_request(first), grid=grid, n_steps=asked.steps, n_draws=asked.draws, seed=asked.seed)
    out.mkdir(parents=True, exist_ok=True)
    with console.logging_to(out / "log"):
        with console.stage("forecast") as progress:
            write_rollout(
                model,
                replace(frames, grid=grid, names=(asked.image.path.stem,)),
                out / ENSEMBLE,
                members=asked.draws,
                seed=asked.seed,
                progress=progress,
            )
        with console.stage("report") as progress, open_rollout(out / ENSEMBLE) as ensemble:
            bands = HotspotBands.of(ensemble, _HOTSPOT, progress)
            bands.write(out / CURVES)
            record = _record(asked, model, threshold, covered, void, time.perf_counter() - began)
            with replacing(out / RECORD) as temporary:
                temporary.write_text(json.dumps(record, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
            write_page(out / PAGE, ensemble, bands, asked.image, record)
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


def _record(
    asked: ImageForecast, model: TokenForecaster, threshold: float, covered: float, void: np.ndarray, seconds: float
) -> dict[str, Any]:
    """What makes the forecast again, and what it was made with."""
    path = resolved(Path(asked.model))
    return {
        "image": asked.image.model_dump(mode="json", exclude={"random_orientation", "separate_splits", "path"})
        | {"name": asked.image.path.name, "sha256": file_digest(asked.image.path), "threshold_found": threshold, "voids": covered},
        "cells": dict(zip(("ny", "nx"), void.shape, strict=True))
        | {"spacing": model.grid.spacing, "porosity": float(void.mean()), "margin": _MARGIN},
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
