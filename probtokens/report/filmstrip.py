"""Film strip: truth, ensemble and rival of one field side by side at a few times."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from matplotlib.figure import Figure

from probtokens.report.panels import Layout, Row, Scale, draw_grid, time_titles
from probtokens.report.reduce import Strip
from probtokens.report.style import PROBABILITY_MAP, SPREAD_MAP, field_map, field_norm, new_figure, probability_norm, spread_norm, with_unit
from probtokens.units import in_unit


def strip_rows(strip: Strip, rival_label: str = "PARC") -> dict[str, Row]:
    """Rows by key, in order of display: fields share one scale, that of the truth where it is known, spread and errors another.

    Keys are ``truth``, ``mean``, ``rival``, ``draw_1``, …, ``spread``, ``error``, ``rival_error`` and
    ``probability``, those that the strip has.
    """
    spec, ensemble = strip.spec, strip.spread is not None
    shown = strip.mean if strip.truth is None else strip.truth
    field = Scale(field_map(spec.name), field_norm(spec.name, shown), with_unit(spec.label, spec.unit))
    rows = {} if strip.truth is None else {"truth": Row("truth", strip.truth, field)}
    rows["mean"] = Row("ensemble\nmean" if ensemble else "forecast", strip.mean, field)
    if strip.rival is not None:
        rows["rival"] = Row(rival_label, strip.rival, field)
    rows |= {f"draw_{k + 1}": Row(f"single\ndraw {k + 1}", draw, field) for k, draw in enumerate(strip.draws)}
    rows |= _deviation_rows(strip, rival_label)
    if strip.probability is not None:
        scale = Scale(PROBABILITY_MAP, probability_norm(), "probability")
        title = f"probability\nof > {in_unit(f'{strip.threshold:g}', spec.unit)}"
        rows["probability"] = Row(title, strip.probability, scale, contour=strip.truth, level=strip.threshold)
    return rows


def main_rows(strip: Strip) -> list[Row]:
    """Few rows that tell the story: truth, mean, spread and probability, or the error where there is no ensemble."""
    rows = strip_rows(replace(strip, rival=None))
    if "spread" not in rows:
        return [rows[key] for key in ("truth", "mean", "error")]
    rows["spread"] = replace(rows["spread"], scale=replace(rows["spread"].scale, label=with_unit("spread", strip.spec.unit)))
    return [rows[key] for key in ("truth", "mean", "spread", "probability") if key in rows]


def filmstrip_figure(strip: Strip, rival_label: str = "PARC") -> Figure:
    """Film strip of one field: rows of quantities, columns of times."""
    rows, layout = list(strip_rows(strip, rival_label).values()), Layout()
    figure = new_figure(*layout.size(rows, len(strip.times), strip.extent))
    draw_grid(figure, rows, time_titles(strip.times, strip.units.time), strip.extent, layout, strip.units.length)
    return figure


def cases_figure(strips: Mapping[str, Strip]) -> Figure:
    """Truth and forecast of several simulations whose truth is known, by what they are called: one colour scale, from all truths."""
    first = next(iter(strips.values()))
    spec, ensemble = first.spec, first.spread is not None
    known = {name: (strip, strip.truth) for name, strip in strips.items() if strip.truth is not None}
    shown = np.stack([truth for _, truth in known.values()])
    scale = Scale(field_map(spec.name), field_norm(spec.name, shown), with_unit(spec.label, spec.unit))
    rows = []
    for name, (strip, truth) in known.items():
        rows.append(Row(f"{name}:\ntruth", truth, scale))
        rows.append(Row(f"{name}:\n{'mean' if ensemble else 'forecast'}", strip.mean, scale))
    layout = Layout()
    figure = new_figure(*layout.size(rows, len(first.times), first.extent))
    draw_grid(figure, rows, time_titles(first.times, first.units.time), first.extent, layout, first.units.length)
    return figure


def _deviation_rows(strip: Strip, rival_label: str) -> dict[str, Row]:
    error = None if strip.truth is None else np.abs(strip.mean - strip.truth)
    rival_error = None if strip.rival is None or strip.truth is None else np.abs(strip.rival - strip.truth)
    images = [image for image in (strip.spread, error, rival_error) if image is not None]
    if not images:
        return {}
    scale = Scale(SPREAD_MAP, spread_norm(*images), with_unit("spread" if error is None else "spread, |error|", strip.spec.unit))
    rows = {}
    if strip.spread is not None:
        rows["spread"] = Row("spread\n(one s.d.)", strip.spread, scale)
    if error is not None:
        rows["error"] = Row("|error|\nof mean" if strip.spread is not None else "|error|", error, scale)
    if rival_error is not None:
        rows["rival_error"] = Row(f"|error| of\n{rival_label}", rival_error, scale)
    return rows
