from dataclasses import replace

import numpy as np
import pytest

from probtokens.config import TokenConfig
from probtokens.data import TrajectorySet
from probtokens.evaluate.coverage import measure_coverage
from probtokens.fields import field_spec
from probtokens.report.coverage import coverage_figure
from probtokens.report.style import figure_style
from tests.helpers import make_campaign

FIELDS = ("temperature", "pressure", "solid_fraction", "velocity_x", "velocity_y")
SPECS = tuple(map(field_spec, FIELDS))


@pytest.fixture(scope="module")
def figure_and_coverage(tmp_path_factory):
    """A small made-up set of each kind."""
    root = tmp_path_factory.mktemp("sets")
    make_campaign(root / "micro")
    make_campaign(root / "meso", ny=32, nx=48, seed=7)
    sets = {name: TrajectorySet.open(root / name, FIELDS, ()) for name in ("micro/train", "micro/valid", "meso/train")}
    parts = {"train": sets["meso/train"]}
    found = measure_coverage(sets["micro/train"], sets["micro/valid"], parts, TokenConfig(), threshold=875.0, seed=0)
    with figure_style():
        return coverage_figure(found, SPECS), found


def named(figure, label):
    (axes,) = [axes for axes in figure.axes if axes.get_xlabel() == label]
    return axes


def test_every_field_has_a_histogram_with_its_unit_and_a_log_axis(figure_and_coverage):
    figure, found = figure_and_coverage
    for label in ("temperature [K]", "pressure [GPa]", "solid volume fraction", "velocity along x [km/s]", "velocity along y [km/s]"):
        assert named(figure, label).get_yscale() == "log"
    patches = named(figure, "temperature [K]").patches
    for patch in patches:
        values, edges, _ = patch.get_data()
        assert (values * np.diff(edges)).sum() == pytest.approx(1.0)
    assert len(patches) == len(found.histograms) - 1


def test_distance_curves_cross_the_threshold_where_the_share_says(figure_and_coverage):
    figure, found = figure_and_coverage
    axes = named(figure, "distance to the nearest micro token / threshold")
    curves = {line.get_label(): line for line in axes.lines}
    drawn = 0
    for stratum in found.strata:
        label = next((label for label in curves if str(label).startswith(f"{stratum.name}: ")), None)
        x, y = curves[label].get_data()
        if len(x) and np.isfinite(x).all():
            assert np.interp(1.0, x, y) == pytest.approx(100 * stratum.meso_beyond, abs=3.0)
            drawn += 1
    assert drawn > 0


def test_the_map_is_in_micrometres_with_one_outline_for_each_token_beyond(figure_and_coverage):
    figure, found = figure_and_coverage
    axes = named(figure, "x [µm]")
    ny, nx = found.map.temperature.shape
    assert axes.images[0].get_extent() == pytest.approx((0.0, 0.04 * nx, 0.0, 0.04 * ny))
    assert axes.images[0].origin == "lower"
    outlined = {(round(p.get_y() / 0.16), round(p.get_x() / 0.16)) for p in axes.patches}
    assert outlined == {tuple(place) for place in np.argwhere(found.map.beyond).tolist()}
    assert f"{len(outlined)} of {found.map.beyond.size} tokens" in axes.get_title()


def test_labels_lie_inside_the_figure(figure_and_coverage):
    figure, _ = figure_and_coverage
    with figure_style():
        tight, whole = figure.get_tightbbox(), figure.bbox_inches
    assert tight.x0 >= -0.01
    assert tight.y0 >= -0.01
    assert tight.x1 <= whole.x1 + 0.01
    assert tight.y1 <= whole.y1 + 0.01


@pytest.mark.parametrize(
    ("verdicts", "words"),
    [
        (("covered", "not covered", "undecided"), "does not cover: b"),
        (("covered", "undecided", "too few"), "Undecided whether micro covers all meso states: b"),
        (("covered", "covered", "too few"), "Micro covers the meso states"),
    ],
)
def test_the_title_says_what_fails(figure_and_coverage, verdicts, words):
    _, found = figure_and_coverage
    strata = tuple(replace(found.strata[0], name=name, verdict=verdict) for name, verdict in zip("abc", verdicts, strict=True))
    assert words in coverage_figure(replace(found, strata=strata), SPECS).texts[0].get_text()
