"""The report: one HTML file with all figures, tables and settings inside; and its figures as files for papers."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from matplotlib.figure import Figure
from PIL.Image import Image

from probtokens.config import dump_config
from probtokens.data.atomic import replacing
from probtokens.evaluate.scores_file import seen_before
from probtokens.fields import VELOCITY
from probtokens.report import facts
from probtokens.report.animation import animation_frames, write_gif
from probtokens.report.curves import curves_figure, physics_figure
from probtokens.report.filmstrip import cases_figure, filmstrip_figure
from probtokens.report.lead_calibration import lead_calibration_figure, tells_chance, verdict_figure
from probtokens.report.reading import plain_reading
from probtokens.report.reduce import Strip, reduce_reliability, reduce_strip, strip_frames
from probtokens.report.reliability import calibration_figure, lead_figure
from probtokens.report.run import Run, open_run
from probtokens.report.style import figure_style, model_color, model_label, png_bytes, with_unit
from probtokens.report.tables import score_tables
from probtokens.report.tokens import Section, token_sections
from probtokens.report.verdict import COVERAGE_TOLERANCE, FEWEST_VALIDATION, SPREAD_TARGET, judge
from probtokens.report.wording import Wording, sentence

_DPI = 110
_QUALITY = 82
_STRIP_TIMES, _CASE_TIMES = 6, 4
_MOST_FRAMES = 40
_MOST_CURVES = 36
#: Pictures of a report beside those of fields other than velocities.
_PICTURES = 8

_PHYSICS_NOTES = {
    "front": "The front is the median over rows of where, from the far edge, the pressure first exceeds half of ∑p²/∑p; once it has left "
    "it is at the far edge.",
    "hotspot_count": "Cells that touch at an edge or a corner are counted as one region.",
    "reacted_fall": "What has reacted stays so: the fall is how far the mean is below the most that it has been.",
}

#: Takes a name and a figure, and returns what stands for the figure on the page.
Show = Callable[[str, Figure], str]


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
        frames = [_webp(frame) for frame in animation_frames(_moving(run))] if run.config.report.animation else []
    environment = Environment(loader=PackageLoader("probtokens.report", "templates"), autoescape=True, undefined=StrictUndefined)
    text = environment.get_template("report.html.jinja").render(content, frames=frames)
    path = path or run_dir / "report.html"
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return path


def _told(run: Run, progress: Callable[[int, int, str], None]) -> Show:
    """Pictures, each of which is told; of all runs with an ensemble of tokens there are as many as are said."""
    total, done = len(run.forecast_fields) + _PICTURES, 0
    progress(0, total, "pictures")

    def show(name: str, figure: Figure) -> str:
        nonlocal done
        done += 1
        progress(min(done, total), total, "pictures")
        return _picture(name, figure)

    return show


def write_figures(run_dir: Path, folder: Path | None = None) -> list[Path]:
    """Write every figure of the report as PDF, texts as text, and the animation as ``animation.gif``.

    Parameters
    ----------
    folder
        Where; by default ``figures`` in the run folder.

    Raises
    ------
    ValueError
        As :func:`write_report`.
    """
    run, folder, written = open_run(run_dir), folder or run_dir / "figures", []

    def save(name: str, figure: Figure) -> str:
        path = folder / f"{name}.pdf"
        with replacing(path) as temporary:
            figure.savefig(temporary, format="pdf", metadata={"CreationDate": None})
        written.append(path)
        return ""

    folder.mkdir(parents=True, exist_ok=True)
    with figure_style():
        _content(run, save)
        write_gif(_moving(run), folder / "animation.gif")
    return [*written, folder / "animation.gif"]


def _content(run: Run, show: Show) -> dict[str, Any]:
    """Everything that the template shows but the animation."""
    titles = facts.simulation_titles(run)
    models, wording = run.scores["models"], Wording.of(run.scores)
    recalibration = run.recalibrations.get(run.primary)
    n_validation = None if recalibration is None else recalibration.n_simulations
    verdict = judge(run.scores, run.primary, run.forecast_fields, n_validation)
    quantities = wording.quantities(run.forecast_fields)
    others = [spec for spec in run.forecast_fields if spec.name not in (run.hotspot.field, *VELOCITY)]
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
        "verdict": verdict.sentences,
        "verdict_map": show("verdict", verdict_figure(verdict)),
        "spread_target": SPREAD_TARGET,
        "tolerance": round(100 * COVERAGE_TOLERANCE),
        "tables": score_tables(run.scores, quantities),
        "raw_tables": score_tables(run.scores, quantities, uncalibrated=True) if run.recalibrations else [],
        "reading": plain_reading(run.scores, run.primary),
        "simulation": titles[run.simulation],
        "strip": show(f"forecast_{_file(run.hotspot.field)}", _strip(run, run.hotspot.field)),
        "more_strips": [(spec.label, show(f"forecast_{_file(spec.name)}", _strip(run, spec.name))) for spec in others],
        "cases": _cases(run, titles, show),
        "curves": show("hot_spots", curves_figure(run.scores, run.primary, run.rival, titles[:_MOST_CURVES])),
        "n_curves": (min(len(titles), _MOST_CURVES), len(titles)),
        "physics": _physics(run, wording, show),
        "physics_tables": score_tables(run.scores, wording.physics),
        "calibration": _calibration(run, show),
        "chance": tells_chance(models[run.primary]),
        "leads": show("leads", lead_figure(models, run.forecast_fields, wording)),
        "lead_calibration": _lead_calibration(run, show),
        "tokens": _tokens(run, show),
        "recalibrated": bool(run.recalibrations),
        "few_validation": None if n_validation is None or n_validation >= FEWEST_VALIDATION else n_validation,
        "snippet": facts.snippet(run),
        "configuration": facts.without_paths(dump_config(run.config)),
        "timings": facts.timings(run),
        "unseen": not seen_before(run.scores),
        "provenance": facts.provenance(run),
    }


def _strip(run: Run, field: str) -> Figure:
    frames = strip_frames(run.rollouts[run.primary].sizes["time"], _STRIP_TIMES)
    return filmstrip_figure(reduce_strip(run, run.field(field), frames), "" if run.rival is None else model_label(run.rival))


def _cases(run: Run, titles: list[str], show: Show) -> tuple[str, list[str]] | None:
    """Best, median and worst simulation: picture and names; nothing of a single one."""
    if not run.cases:
        return None
    frames, spec = strip_frames(run.rollouts[run.primary].sizes["time"], _CASE_TIMES), run.field(run.hotspot.field)
    crps = run.scores["models"][run.primary]["fields"][spec.name]["by_simulation"]["crps"]
    strips = {name: reduce_strip(run, spec, frames, simulation=number) for name, number in run.cases.items()}
    told = [f"{sentence(name)}: {titles[number]}, CRPS {facts.amount(crps[number], spec.unit)}" for name, number in run.cases.items()]
    return show("best_to_worst", cases_figure(strips)), told


def _moving(run: Run) -> Strip:
    """What the animation shows, evenly thinned to at most 40 frames."""
    frames = [0, *strip_frames(run.rollouts[run.primary].sizes["time"], _MOST_FRAMES - 1)]
    return reduce_strip(run, run.field(run.hotspot.field), frames)


def _physics(run: Run, wording: Wording, show: Show) -> tuple[str, list[str]]:
    """Picture and what its curves are; those that files of earlier versions lack are left out."""
    labels = {quantity.name: with_unit(quantity.label, quantity.unit) for quantity in wording.physics}
    notes = [text for name, text in _PHYSICS_NOTES.items() if name in labels]
    return show("physics", physics_figure(run.scores, run.primary, run.simulation, labels)), notes


def _calibration(run: Run, show: Show) -> str | None:
    reliability = reduce_reliability(run)
    return show("calibration", calibration_figure(reliability, model_color(run.primary))) if reliability else None


def _lead_calibration(run: Run, show: Show) -> str | None:
    if run.rollouts[run.primary].sizes["draw"] < 2:
        return None
    figure = lead_calibration_figure(run.scores["models"][run.primary], run.forecast_fields, Wording.of(run.scores))
    return show("calibration_by_lead", figure)


def _tokens(run: Run, show: Show) -> list[tuple[Section, str]]:
    """Sections with their pictures; none where the model has no tokens or they are not asked for."""
    if not run.config.report.tokens:
        return []
    frames = strip_frames(run.rollouts[run.primary].sizes["time"], _STRIP_TIMES)
    sections = token_sections(run, Wording.of(run.scores), frames)
    return [(section, show(f"tokens_{_file(section.title.split(':')[0])}", section.figure)) for section in sections]


def _picture(name: str, figure: Figure) -> str:
    """Base64 text of a PNG."""
    return base64.b64encode(png_bytes(figure, _DPI)).decode("ascii")


def _webp(frame: Image) -> str:
    """Base64 text of a WebP picture."""
    buffer = io.BytesIO()
    frame.save(buffer, "webp", quality=_QUALITY, method=4)
    return base64.b64encode(buffer.getvalue()).decode("ascii")


def _file(text: str) -> str:
    """Text as a part of a file's name."""
    return re.sub(r"\W+", "_", text).strip("_").lower()
