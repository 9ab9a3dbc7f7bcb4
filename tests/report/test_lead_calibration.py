from copy import deepcopy
from pathlib import Path

import numpy as np
import pytest

from probtokens.report.lead_calibration import lead_calibration_figure
from probtokens.report.run import Run, open_run
from probtokens.report.style import figure_style
from probtokens.report.wording import Wording


@pytest.fixture(scope="module")
def run(run_folder: Path) -> Run:
    return open_run(run_folder)


@pytest.mark.parametrize(("count", "left_out"), [(1, ()), (3, ()), (1, ("50", "80"))])
def test_labels_lie_inside_the_figure(run: Run, count: int, left_out: tuple[str, ...]) -> None:
    entry = deepcopy(run.scores["models"]["tokens"])
    for section in (entry, entry["uncalibrated"]):
        for values in (*section["fields"].values(), *section["hotspot"].values()):
            for level in left_out:
                del values["by_lead"][f"coverage_{level}"]
    with figure_style():
        figure = lead_calibration_figure(entry, run.fields[:count], Wording.of(run.scores))
        titles = min(axes.title.get_window_extent().y1 for axes in figure.axes if axes.get_title())
        assert figure.legends[0].get_window_extent().y0 > titles
        tight, whole = figure.get_tightbbox(), figure.bbox_inches
        assert min(tight.x0, tight.y0) >= 0
        assert tight.x1 <= whole.x1
        assert tight.y1 <= whole.y1
    assert [axes.get_title().replace("\n", " ") for axes in figure.axes][1:3] == ["hot-spot area", "hot-spot temperature"]


def test_lines_are_the_scores_before_and_after(run: Run) -> None:
    entry = run.scores["models"]["tokens"]
    figure = lead_calibration_figure(entry, run.fields, Wording.of(run.scores))
    upper, lower = figure.axes[3], figure.axes[3 + 5]
    for axes, keys in ((upper, ("coverage_50", "coverage_80", "coverage_90")), (lower, ("spread_skill",))):
        expected = [scores["fields"]["pressure"]["by_lead"][key] for scores in (entry, entry["uncalibrated"]) for key in keys]
        np.testing.assert_allclose([line.get_ydata() for line in axes.lines if line.get_linewidth() >= 1], expected)


def test_dotted_lines_are_what_chance_makes_of_a_perfect_forecaster(run: Run) -> None:
    entry = run.scores["models"]["tokens"]
    figure = lead_calibration_figure(entry, run.fields, Wording.of(run.scores))
    for column, (part, name) in ((0, ("fields", "temperature")), (1, ("hotspot", "area"))):
        chance = entry[part][name]["by_chance"]
        for axes, keys in (
            (figure.axes[column], ("coverage_50", "coverage_80", "coverage_90")),
            (figure.axes[column + 5], ("spread_skill",)),
        ):
            expected = [chance[key][side] for key in keys for side in ("lower", "upper")]
            found = [line.get_ydata() for line in axes.lines if line.get_linewidth() < 1]
            np.testing.assert_allclose(found, np.array(expected, dtype=float))


def test_bands_are_the_targets(run: Run) -> None:
    figure = lead_calibration_figure(run.scores["models"]["tokens"], run.fields, Wording.of(run.scores))
    bands = [(patch.get_y(), patch.get_y() + patch.get_height()) for patch in figure.axes[0].patches]
    np.testing.assert_allclose(bands, [(0.45, 0.55), (0.75, 0.85), (0.85, 0.95)])
    (band,) = figure.axes[5].patches
    np.testing.assert_allclose((band.get_y(), band.get_y() + band.get_height()), (0.8, 1.2))


def test_scores_that_are_not_recalibrated_or_defined(run: Run) -> None:
    entry = {key: value for key, value in run.scores["models"]["tokens"].items() if key != "uncalibrated"}
    blank = {**entry["fields"]["temperature"]["by_lead"]}
    blank["spread_skill"] = [None] * len(blank["time"])
    entry["fields"] = {"temperature": {"by_lead": blank}}
    entry["hotspot"] = {name: {"by_lead": curve["by_lead"]} for name, curve in entry["hotspot"].items()}
    figure = lead_calibration_figure(entry, run.fields[:1], Wording.of(run.scores))
    assert [len(axes.lines) for axes in figure.axes] == [3, 3, 3, 1, 1, 1]
    assert np.isnan(figure.axes[3].lines[0].get_ydata()).all()
    assert not {"before recalibration", "9 of 10 that are right"} & {text.get_text() for text in figure.legends[0].get_texts()}
