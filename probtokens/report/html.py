"""The report: one HTML file with all figures, tables and settings inside."""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from matplotlib.figure import Figure

from probtokens.config import dump_config
from probtokens.data.atomic import replacing
from probtokens.evaluate.scores_file import seen_before
from probtokens.fields import VELOCITY
from probtokens.report import facts
from probtokens.report.animation import animation_frames
from probtokens.report.curves import curves_figure
from probtokens.report.filmstrip import filmstrip_figure
from probtokens.report.lead_calibration import lead_calibration_figure, tells_chance
from probtokens.report.reading import plain_reading
from probtokens.report.reduce import reduce_reliability, reduce_strip, strip_frames
from probtokens.report.reliability import calibration_figure, lead_figure
from probtokens.report.run import Run, open_run
from probtokens.report.style import figure_style, model_color, model_label, png_bytes
from probtokens.report.tables import score_tables
from probtokens.report.tokens import Section, token_sections
from probtokens.report.wording import Wording, sentence

_DPI = 110
_STRIP_TIMES = 6
_MOST_FRAMES = 40
_MOST_CURVES = 36
#: Pictures of a report beside those of fields other than velocities.
_PICTURES = 5

#: Takes a figure and returns what stands for it on the page.
Show = Callable[[Figure], str]


def write_report(run_dir: Path, path: Path | None = None, progress: Callable[[int, int, str], None] | None = None) -> Path:
    """Write the report of a run folder: self-contained, whole or not at all; as its ``report.html`` or to another ``path``.

    ``progress(done, total, text)`` is called after each picture.

    Raises
    ------
    ValueError
        If configuration, scores or all rollouts are missing; the message names the file.
    """
    run = open_run(run_dir)
    with figure_style():
        content = _content(run, _picture if progress is None else _told(run, progress))
    environment = Environment(loader=PackageLoader("probtokens.report", "templates"), autoescape=True, undefined=StrictUndefined)
    text = environment.get_template("report.html.jinja").render(content)
    path = path or run_dir / "report.html"
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return path


def _told(run: Run, progress: Callable[[int, int, str], None]) -> Show:
    """Pictures, each of which is told; of all runs with an ensemble of tokens there are as many as are said."""
    total, done = len(run.fields) + _PICTURES, 0
    progress(0, total, "pictures")

    def show(figure: Figure) -> str:
        nonlocal done
        done += 1
        progress(min(done, total), total, "pictures")
        return _picture(figure)

    return show


def _content(run: Run, show: Show) -> dict[str, Any]:
    """Everything that the template shows."""
    titles = facts.simulation_titles(run)
    models, wording = run.scores["models"], Wording.of(run.scores)
    return {
        "name": run.config.name,
        "headline": wording.headline,
        "hot_spots": sentence(wording.hot_spots),
        "field": wording.spec.label,
        "limit": wording.limit,
        "given": facts.given(run),
        "forecast": facts.forecast(run),
        "facts": facts.headline_facts(run),
        "primary": model_label(run.primary),
        "rival": None if run.rival is None else model_label(run.rival),
        "ensemble": run.rollouts[run.primary].sizes["draw"] > 1,
        "tables": score_tables(run.scores, run.fields),
        "raw_tables": score_tables(run.scores, run.fields, uncalibrated=True) if run.recalibrations else [],
        "reading": plain_reading(run.scores, run.primary),
        "simulation": titles[run.simulation],
        "strip": _strip(run, run.hotspot.field, show),
        "more_strips": [
            (spec.label, _strip(run, spec.name, show)) for spec in run.fields if spec.name not in (run.hotspot.field, *VELOCITY)
        ],
        "frames": _animation(run) if run.config.report.animation else [],
        "curves": show(curves_figure(run.scores, run.primary, run.rival, titles[:_MOST_CURVES])),
        "n_curves": (min(len(titles), _MOST_CURVES), len(titles)),
        "calibration": _calibration(run, show),
        "chance": tells_chance(models[run.primary]),
        "leads": show(lead_figure(models, run.fields)),
        "lead_calibration": _lead_calibration(run, show),
        "tokens": _tokens(run, show),
        "recalibrated": bool(run.recalibrations),
        "configuration": facts.without_paths(dump_config(run.config)),
        "timings": facts.timings(run),
        "unseen": not seen_before(run.scores),
        "provenance": facts.provenance(run),
    }


def _strip(run: Run, field: str, show: Show) -> str:
    frames = strip_frames(run.rollouts[run.primary].sizes["time"], _STRIP_TIMES)
    label = "" if run.rival is None else model_label(run.rival)
    return show(filmstrip_figure(reduce_strip(run, run.field(field), frames), label))


def _animation(run: Run) -> list[str]:
    """Base64 pictures, evenly thinned to at most 40."""
    frames = [0, *strip_frames(run.rollouts[run.primary].sizes["time"], _MOST_FRAMES - 1)]
    return list(animation_frames(reduce_strip(run, run.field(run.hotspot.field), frames)))


def _calibration(run: Run, show: Show) -> str | None:
    reliability = reduce_reliability(run)
    return show(calibration_figure(reliability, model_color(run.primary))) if reliability else None


def _lead_calibration(run: Run, show: Show) -> str | None:
    if run.rollouts[run.primary].sizes["draw"] < 2:
        return None
    return show(lead_calibration_figure(run.scores["models"][run.primary], run.fields, Wording.of(run.scores)))


def _tokens(run: Run, show: Show) -> list[tuple[Section, str]]:
    """Sections with their pictures; none where the model has no tokens or they are not asked for."""
    if not run.config.report.tokens:
        return []
    frames = strip_frames(run.rollouts[run.primary].sizes["time"], _STRIP_TIMES)
    return [(section, show(section.figure)) for section in token_sections(run, Wording.of(run.scores), frames)]


def _picture(figure: Figure) -> str:
    """Base64 text of a PNG."""
    return base64.b64encode(png_bytes(figure, _DPI)).decode("ascii")
