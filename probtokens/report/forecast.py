"""The page of a forecast from a micrograph: bands of hot spots, the micrograph as it was understood, and frames of mean and spread."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from jinja2 import Environment, PackageLoader, StrictUndefined
from matplotlib.figure import Figure
from numpy.typing import NDArray

from probtokens.config import ImageConfig
from probtokens.data.atomic import replacing
from probtokens.ensembles import above, as_floats, ensemble_mean
from probtokens.evaluate import scores
from probtokens.evaluate.hotspots import curve_units, hotspot_curves
from probtokens.fields import VELOCITY, FieldSpec, Grid, HotSpot
from probtokens.predict.store import rollout_fields, rollout_grid
from probtokens.report.curves import curves_figure
from probtokens.report.filmstrip import filmstrip_figure
from probtokens.report.reduce import Strip, extent_of, strip_frames
from probtokens.report.style import field_map, field_norm, figure_style, new_figure, png_bytes, with_unit
from probtokens.report.tables import format_score
from probtokens.report.wording import Wording, decimals, flattened, sentence
from probtokens.simulate.initial import SHOCK_START
from probtokens.simulate.microstructure.image import read_grey
from probtokens.simulate.microstructure.micrograph import find_voids
from probtokens.units import in_unit

_DPI = 110
_STRIP_TIMES = 6
_LEVELS = (0.5, 0.9)
_VOID_COLOR, _SHOCK_COLOR = "#d55e00", "#0072b2"


#: What a reader has to know of bands that stand beside no simulation.
_UNCHECKED = (
    "The bands are the draws' own: only simulations tell how often they hold the truth, and on many pores those of hmx-standard do less "
    "often than they say"
)


@dataclass(frozen=True)
class HotspotBands:
    """Medians and central intervals of hot-spot curves of one simulation.

    Attributes
    ----------
    document
        As the part of a ``scores.json`` that curves are drawn from.
    wording
        What curves are called.
    model
        Name of the model.
    """

    document: Mapping[str, Any]
    wording: Wording
    model: str

    @classmethod
    def of(cls, ensemble: xr.Dataset, hotspot: HotSpot, progress: Callable[[int, int], None] | None = None) -> HotspotBands:
        """Bands of a stored forecast of one simulation, over leads >= 1."""
        curves = hotspot_curves(ensemble, hotspot, progress=progress)
        units, model = curve_units(ensemble, hotspot), str(ensemble.attrs["model"])
        found: dict[str, Any] = {}
        for name in hotspot.curves:
            draws = curves[name].values[..., 1:]
            found[name] = {"time": ensemble["time"].values[1:].tolist(), "median": np.median(draws, axis=0).tolist()}
            if len(draws) > 1:
                for level in _LEVELS:
                    lower, upper = scores.central_interval(draws, level)
                    found[name] |= {f"lower_{100 * level:g}": lower.tolist(), f"upper_{100 * level:g}": upper.tolist()}
        fields = {spec.name: spec.unit for spec in rollout_fields(ensemble)}
        document = {
            "hotspot": {"field": hotspot.field, "threshold": hotspot.threshold},
            "units": {"fields": fields, "hotspot": units, "time": rollout_grid(ensemble).time_unit},
            "models": {model: {"hotspot": {name: {"curves": curve} for name, curve in found.items()}}},
        }
        return cls(document, Wording.of(document), model)

    @property
    def curves(self) -> dict[str, dict[str, Any]]:
        """Lists over time by what they are, by curve; those of bands have one entry, the simulation's."""
        return {name: entry["curves"] for name, entry in self.document["models"][self.model]["hotspot"].items()}

    def write(self, path: Path) -> None:
        """Write all curves as CSV, a line for each time, whole or not at all."""
        time = next(iter(self.curves.values()))["time"]
        columns = {f"{name}_{key}": values[0] for name, curve in self.curves.items() for key, values in curve.items() if key != "time"}
        units = ", ".join(f"{name} in {self.wording.units[name]}" for name in self.curves)
        lines = [f"# time in {self.wording.time_unit} since the first frame; {units}", ",".join(["time", *columns])]
        lines += [",".join(f"{value:.6g}" for value in row) for row in zip(time, *columns.values(), strict=True)]
        with replacing(path) as temporary:
            temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")

    def told(self) -> list[str]:
        """Sentences on every curve at the last time, and on what its bands are."""
        lines, bands = [], False
        for name, label in self.wording.curves.items():
            last = {key: values[-1] if key == "time" else values[0][-1] for key, values in self.curves[name].items()}
            unit, when = self.wording.units[name], in_unit(decimals(last["time"]), self.wording.time_unit)
            text = f"{sentence(label)} at {when}: {in_unit(format_score(last['median']), unit)}"
            if "lower_90" in last:
                bands = True
                text += ", 90 % of draws within " + in_unit(f"{format_score(last['lower_90'])} to {format_score(last['upper_90'])}", unit)
            lines.append(text)
        return [*lines, _UNCHECKED] if bands else lines


def write_page(path: Path, ensemble: xr.Dataset, bands: HotspotBands, image: ImageConfig, record: Mapping[str, Any]) -> None:
    """Write the page: self-contained, whole or not at all.

    Parameters
    ----------
    ensemble
        Stored forecast of one simulation.
    bands
        Its hot spots.
    image
        The micrograph that it began with.
    record
        What it was made from and with; all of it is on the page.
    """
    fields = [spec for spec in rollout_fields(ensemble) if not spec.constant]
    hot, grid = bands.wording.spec, rollout_grid(ensemble)
    others = [spec for spec in fields if spec.name not in (hot.name, *VELOCITY)]
    with figure_style():
        content = {
            "name": record["image"]["name"],
            "headline": bands.wording.headline,
            "limit": bands.wording.limit,
            "hot_spots": sentence(bands.wording.hot_spots),
            "reading": bands.told(),
            "facts": _facts(record, grid),
            "ensemble": ensemble.sizes["draw"] > 1,
            "curves": _picture(curves_figure(bands.document, bands.model, None, [record["image"]["name"]])),
            "micrograph": _picture(_micrograph(image, record["image"]["threshold_found"], ensemble)),
            "strips": [(spec.label, _picture(filmstrip_figure(_strip(ensemble, spec, bands.wording.hotspot)))) for spec in (hot, *others)],
            "record": flattened(record),
        }
    environment = Environment(loader=PackageLoader("probtokens.report", "templates"), autoescape=True, undefined=StrictUndefined)
    with replacing(path) as temporary:
        temporary.write_text(environment.get_template("forecast.html.jinja").render(content), encoding="utf-8")


def _facts(record: Mapping[str, Any], grid: Grid) -> list[tuple[str, str]]:
    cells, image = record["cells"], record["image"]
    size = in_unit(f"{cells['ny'] * cells['spacing']:.3g} × {cells['nx'] * cells['spacing']:.3g}", grid.length_unit)
    step = in_unit(f"{grid.time_step:g}", grid.time_unit)
    how = "Otsu's" if image["threshold"] == "otsu" else "given"
    return [
        ("Shock pressure", f"{record['shock_pressure']:g} GPa"),
        ("Scale", f"{image['pixel_size']:g} µm a pixel"),
        ("Threshold", f"{image['threshold_found']:.3g} of full range ({how}), {image['pores']} pores"),
        ("Porosity", f"{100 * cells['porosity']:.3g} % ({100 * image['voids']:.3g} % of the whole image)"),
        ("Domain", f"{cells['ny']} × {cells['nx']} cells, {size} (height × width)"),
        (
            "Ensemble",
            f"{record['draws']} draws, seed {record['seed']}, {record['steps']} frames every {step}",
        ),
        ("Model", record["model"]["name"]),
        ("Version", f"probtokens {record['versions']['probtokens']}"),
    ]


def _strip(ensemble: xr.Dataset, spec: FieldSpec, hotspot: HotSpot) -> Strip:
    """Mean, spread and probability of a field, frame by frame."""
    frames = strip_frames(ensemble.sizes["time"], _STRIP_TIMES)
    values = ensemble["prediction"].isel(simulation=0).sel(field=spec.name)
    several = ensemble.sizes["draw"] > 1
    means, spreads, chances, draws = [], [], [], []
    for frame in frames:
        members = values.isel(time=frame).values
        means.append(ensemble_mean(members))
        spreads.append(as_floats(members).std(axis=0, ddof=int(several)))
        chances.append(above(members, hotspot.threshold).mean(axis=0))
        draws.append(members[:2])
    return Strip(
        spec=spec,
        times=ensemble["time"].values[frames],
        extent=extent_of(ensemble),
        units=rollout_grid(ensemble).units,
        truth=None,
        mean=np.stack(means),
        draws=np.stack(draws, axis=1) if several else np.empty((0, *np.shape(means))),
        spread=np.stack(spreads) if several else None,
        probability=np.stack(chances) if several and spec.name == hotspot.field else None,
        rival=None,
        threshold=hotspot.threshold,
    )


def _micrograph(image: ImageConfig, threshold: float, ensemble: xr.Dataset) -> Figure:
    """The image with the outlines of its voids, its grey values with the threshold, and the cells that the forecast begins with."""
    grey, extent, unit = read_grey(image.path), extent_of(ensemble), rollout_grid(ensemble).length_unit
    size = tuple(n * image.pixel_size for n in grey.shape)
    shown, voids = _thinned(grey), _thinned(find_voids(image).astype(float))
    wide, gap, left, top = 3.9, 0.7, 0.65, 0.4
    tall = wide * max(size[0] / size[1], extent[3] / extent[1])
    figure = new_figure(left + 3 * wide + 2 * gap + 0.2, tall + top + 0.55)
    width, height = figure.get_size_inches()
    boxes = [((left + k * (wide + gap)) / width, 0.55 / height, wide / width, tall / height) for k in range(3)]
    picture, cells, histogram = (figure.add_axes(box) for box in boxes)
    whole = (0.0, size[1], 0.0, size[0])
    picture.imshow(shown, cmap="gray", vmin=0.0, vmax=1.0, origin="lower", extent=whole)
    picture.contour(voids, levels=[0.5], colors=[_VOID_COLOR], linewidths=0.7, origin="lower", extent=whole)
    picture.set_title("micrograph, voids outlined")
    solid = ensemble["truth"].isel(simulation=0, time=0)
    name = "solid_fraction" if "solid_fraction" in solid["field"].values else str(solid["field"].values[0])
    first = solid.sel(field=name).values
    cells.imshow(first, cmap=field_map(name), norm=field_norm(name, first), origin="lower", extent=extent)
    cells.axvline(SHOCK_START, color=_SHOCK_COLOR, linewidth=1.0, linestyle=(0, (4, 2)))
    cells.set_title(f"first frame: {name.replace('_', ' ')}; the shock comes from the left")
    histogram.hist(grey.ravel(), bins=64, range=(0.0, 1.0), color="#8a8a8a")
    histogram.axvline(threshold, color=_VOID_COLOR, linewidth=1.3)
    histogram.set(xlabel="grey value (0 black, 1 white)", yticks=[], title=f"pixels by grey value, threshold {threshold:.3g}")
    for axes in (picture, cells):
        axes.set(xlabel=with_unit("x", unit), ylabel=with_unit("y", unit))
        axes.spines[["top", "right"]].set_visible(True)
    return figure


def _thinned(grey: NDArray[np.floating], most: int = 1200) -> NDArray[np.floating]:
    """An image of few enough pixels for a page."""
    step = -(-max(grey.shape) // most)
    return grey[::step, ::step]


def _picture(figure: Figure) -> str:
    """Base64 text of a PNG."""
    return base64.b64encode(png_bytes(figure, _DPI)).decode("ascii")
