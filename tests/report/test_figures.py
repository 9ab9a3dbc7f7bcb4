from pathlib import Path

import matplotlib
import numpy as np
import pytest
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from PIL import Image

from probtokens.report import hero, hero_figure
from probtokens.report.animation import animation_frames, write_gif
from probtokens.report.curves import curves_figure
from probtokens.report.facts import duration, without_paths
from probtokens.report.filmstrip import cases_figure, filmstrip_figure, main_rows, strip_rows
from probtokens.report.reduce import reduce_reliability, reduce_strip
from probtokens.report.reliability import calibration_figure, lead_figure
from probtokens.report.run import Run, open_run
from probtokens.report.style import figure_style, png_bytes
from probtokens.report.wording import Wording


@pytest.fixture(scope="module")
def run(run_folder: Path) -> Run:
    return open_run(run_folder)


def norms(run: Run, field: str) -> dict[str, Normalize]:
    return {key: row.scale.norm for key, row in strip_rows(reduce_strip(run, run.field(field), [3, 6])).items()}


@pytest.mark.parametrize("field", ["temperature", "pressure", "solid_fraction"])
def test_fields_share_one_norm_and_deviations_another(run: Run, field: str) -> None:
    found = norms(run, field)
    assert all(found[key] is found["truth"] for key in ("mean", "rival", "draw_1", "draw_2"))
    assert all(found[key] is found["spread"] for key in ("error", "rival_error"))
    assert found["truth"] is not found["spread"]


def test_drawn_images_share_the_norm_and_follow_the_truth(run: Run) -> None:
    strip = reduce_strip(run, run.field("temperature"), [3, 6])
    figure = filmstrip_figure(strip)
    images = [axes.images[0] for axes in figure.axes if axes.images]
    assert len(images) == 2 * len(strip_rows(strip))
    assert len({id(image.norm) for image in images[: 2 * 5]}) == 1
    assert images[0].norm.vmax <= strip.truth.max()


@pytest.mark.parametrize("count", [1, 2])
def test_labels_lie_inside_the_figure(run: Run, count: int) -> None:
    models, fields = run.scores["models"], run.fields[:count]
    titles = ["first · 13.5 GPa", "second · 17.5 GPa"][:count]
    with figure_style():
        figures = [
            filmstrip_figure(reduce_strip(run, run.field("temperature"), [3, 6][:count])),
            curves_figure(run.scores, run.primary, run.rival, titles),
            lead_figure(models, fields, Wording.of(run.scores)),
            calibration_figure(reduce_reliability(run)[:count], "#000000"),
        ]
        for figure in figures:
            tight, whole = figure.get_tightbbox(), figure.bbox_inches
            assert tight.x0 >= 0
            assert tight.y0 >= 0
            assert tight.x1 <= whole.x1
            assert tight.y1 <= whole.y1


def test_every_line_of_errors_by_lead_is_inside_its_panel(run: Run) -> None:
    figure = lead_figure(run.scores["models"], run.fields[:1], Wording.of(run.scores))
    for axes in figure.axes[:2]:
        low, high = axes.get_ylim()
        values = np.concatenate([np.asarray(line.get_ydata(), dtype=float) for line in axes.lines])
        assert len(axes.lines) >= len(run.scores["models"])
        assert low < values[values > 0].min()
        assert high > values.max()
        assert sum(low <= tick <= high for tick in axes.get_yticks()) >= 2


@pytest.mark.parametrize("count", [1, 2, 5])
def test_panels_fill_the_figure(run: Run, count: int) -> None:
    figure = lead_figure(run.scores["models"], run.fields[:count], Wording.of(run.scores))
    right = max(axes.get_position().x1 for axes in figure.axes)
    assert right * figure.get_figwidth() == pytest.approx(figure.get_figwidth() - 0.2)


def test_curves_have_bands_truth_and_rival(run: Run) -> None:
    figure = curves_figure(run.scores, run.primary, run.rival, ["a", "b"])
    assert len(figure.axes) == 4
    for axes in figure.axes:
        assert {line.get_label() for line in axes.lines} == {"truth", "meso tokens, median", "PARC"}
        assert {band.get_label() for band in axes.collections} == {"90 % band", "50 % band"}
    assert figure.axes[0].get_ylim() == figure.axes[1].get_ylim()


def test_animation_frames_differ_and_have_one_size(run: Run) -> None:
    frames = list(animation_frames(reduce_strip(run, run.field("temperature"), range(7))))
    assert len({frame.tobytes() for frame in frames}) == 7
    assert len({frame.size for frame in frames}) == 1


def test_the_animation_is_a_gif_of_all_frames_that_begins_again(run: Run, tmp_path: Path) -> None:
    write_gif(reduce_strip(run, run.field("temperature"), range(7)), tmp_path / "a.gif")
    with Image.open(tmp_path / "a.gif") as image:
        assert image.n_frames == 7
        assert image.info["loop"] == 0
        image.seek(6)
        assert image.info["duration"] == 1200


def test_cases_are_ranked_by_their_score_and_share_a_scale(run: Run) -> None:
    crps = run.scores["models"]["tokens"]["fields"]["temperature"]["by_simulation"]["crps"]
    assert crps[run.cases["best"]] == min(crps)
    assert crps[run.cases["worst"]] == max(crps)
    strips = {name: reduce_strip(run, run.field("temperature"), [3, 6], simulation=number) for name, number in run.cases.items()}
    np.testing.assert_array_equal(strips["worst"].truth, run.rollouts["tokens"].truth.values[run.cases["worst"], [3, 6], 0])
    images = [axes.images[0] for axes in cases_figure(strips).axes if axes.images]
    assert len(images) == 2 * 2 * 2
    assert len({id(image.norm) for image in images}) == 1


def test_main_rows_of_a_deterministic_model(run: Run) -> None:
    deterministic = Run(run.folder, run.config, run.scores, {}, {"parc": run.rollouts["parc"]}, {})
    strip = reduce_strip(deterministic, deterministic.field("temperature"), [3])
    assert [row.title for row in main_rows(strip)] == ["truth", "forecast", "|error|"]
    assert reduce_reliability(deterministic) == []


def test_hero_figure_is_written(run_folder: Path, tmp_path: Path) -> None:
    path = hero_figure(run_folder, tmp_path / "hero.png")
    image = Image.open(path)
    assert image.format == "PNG"
    assert image.width >= 1500
    assert np.asarray(image).std() > 10


@pytest.mark.parametrize("label", ["{}", "{} of volumetric mass production rate of water > 0.08 kg·m⁻³·s⁻¹ [µm²]"])
def test_labels_of_the_hero_figures_curves_are_apart_from_its_colour_bars(
    run_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, label: str
) -> None:
    figures: list[Figure] = []
    known = hero.curve_labels
    monkeypatch.setattr(hero, "curve_labels", lambda scores: {name: label.format(text) for name, text in known(scores).items()})
    monkeypatch.setattr(hero, "png_bytes", lambda figure, dpi: (figures.append(figure), png_bytes(figure, dpi))[1])
    hero_figure(run_folder, tmp_path / "hero.png")
    (figure,) = figures
    (curves, others) = ([axes for axes in figure.axes if bool(axes.lines) is drawn] for drawn in (True, False))
    assert len(curves) == 2
    renderer = figure.canvas.get_renderer()
    assert max(axes.get_tightbbox(renderer).x1 for axes in others) < min(axes.get_tightbbox(renderer).x0 for axes in curves)
    assert max(axes.get_tightbbox(renderer).x1 for axes in curves) <= figure.bbox.width


def test_settings_are_not_global() -> None:
    before = dict(matplotlib.rcParams)
    with figure_style():
        assert matplotlib.rcParams["axes.spines.top"] is False
    assert dict(matplotlib.rcParams) == before


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("micro: /home/me/data/set-1", "micro: …/set-1"),
        ("~/runs/a.zarr, ok", "…/a.zarr, ok"),
        (r"C:\data\meso.hdf5", "…/meso.hdf5"),
        ("µm²/ns and 3/4", "µm²/ns and 3/4"),
        ("relative/data/file", "relative/data/file"),
    ],
)
def test_without_paths(text: str, clean: str) -> None:
    assert without_paths(text) == clean


@pytest.mark.parametrize(("seconds", "text"), [(3.25, "3.2 s"), (59.96, "60.0 s"), (61, "1 min 01 s"), (7384, "2 h 03 min")])
def test_duration(seconds: float, text: str) -> None:
    assert duration(seconds) == text
