import numpy as np
import pytest

from probtokens.config import CampaignConfig
from probtokens.report.microstructures import MAX_PANELS, preview_figure
from probtokens.report.style import figure_style
from probtokens.simulate.initial import SHOCK_START
from probtokens.simulate.preview import Preview, preview_campaign


def preview(n_train: int) -> Preview:
    return preview_campaign(CampaignConfig(n_train=n_train, n_valid=1, n_test=1), seed=1)


def test_pictures_show_solid_fraction_in_micrometres_with_title_and_shock():
    drawn = preview(2)
    pictures = [axes for axes in preview_figure(drawn, "micro").axes if axes.images]
    for number, axes in enumerate(pictures):
        np.testing.assert_allclose(axes.images[0].get_array(), 1.0 - drawn.gas[number])
        assert axes.images[0].get_extent() == pytest.approx((0.0, 2.88, 0.0, 1.92))
        assert axes.images[0].origin == "lower"
        assert axes.lines[0].get_xdata()[0] == SHOCK_START
    assert pictures[2].get_title() == f"valid · {drawn.shock_pressure[2]:.1f} GPa · {100 * drawn.porosity[2]:.1f} %"


def test_histograms_count_every_simulation_and_pore():
    drawn = preview(MAX_PANELS + 6)
    figure = preview_figure(drawn, "micro")
    pictures, histograms = [a for a in figure.axes if a.images], [a for a in figure.axes if not a.images]
    assert len(pictures) == MAX_PANELS
    assert {axes.get_title().split()[0] for axes in (pictures[0], pictures[-1])} == {"train", "test"}
    counts = [sum(bar.get_height() for bar in axes.patches) for axes in histograms]
    assert counts == [MAX_PANELS + 8, len(drawn.pores.area)]


@pytest.mark.parametrize("n_train", [1, 30])
def test_labels_lie_inside_the_figure_and_pictures_keep_their_proportions(n_train):
    with figure_style():
        figure = preview_figure(preview(n_train), "micro")
        tight, whole = figure.get_tightbbox(), figure.bbox_inches
    assert tight.x0 >= -0.01
    assert tight.y0 >= -0.01
    assert tight.x1 <= whole.x1 + 0.01
    assert tight.y1 <= whole.y1 + 0.01
    box = figure.axes[0].get_window_extent()
    assert box.width / box.height == pytest.approx(72 / 48)
