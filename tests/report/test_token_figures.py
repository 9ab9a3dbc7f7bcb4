import numpy as np
import pytest
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from probtokens.report.filmstrip import strip_rows
from probtokens.report.reduce import reduce_strip
from probtokens.report.reduce_tokens import load_primary, reduce_reconstruction, reduce_token_maps
from probtokens.report.reduce_traversal import VALUES, reduce_traversal
from probtokens.report.run import Run
from probtokens.report.style import field_norm, figure_style, signed_norm, spread_norm
from probtokens.report.token_figures import adaptation_figure, reconstruction_figure, token_maps_figure
from probtokens.report.traversal_figures import effect_figure, traversal_figure


def assert_labels_inside(figure: Figure) -> None:
    tight, whole = figure.get_tightbbox(), figure.bbox_inches
    assert min(tight.x0, tight.y0) >= 0
    assert tight.x1 <= whole.x1
    assert tight.y1 <= whole.y1


def test_reconstruction_has_the_film_strips_colours(token_run: Run) -> None:
    model, spec = load_primary(token_run), token_run.field("temperature")
    assert model is not None
    with figure_style():
        figure = reconstruction_figure(reduce_reconstruction(token_run, model, spec, [2, 4]))
        assert_labels_inside(figure)
    images = [axes.images[0] for axes in figure.axes if axes.images]
    assert len(images) == 4 * 2
    strip = strip_rows(reduce_strip(token_run, spec, [2, 4]))["truth"].scale.norm
    assert (images[0].norm.vmin, images[0].norm.vmax) == (strip.vmin, strip.vmax)
    assert images[2].norm is images[0].norm
    signed, spread = images[4].norm, images[6].norm
    assert signed.vmax == -signed.vmin == spread.vmax


def test_maps_show_every_channel_at_every_time_twice(token_run: Run) -> None:
    model = load_primary(token_run)
    assert model is not None
    with figure_style():
        figure = token_maps_figure(reduce_token_maps(token_run, model, token_run.field("temperature"), [0, 2, 4], n_channels=2))
        assert_labels_inside(figure)
    shapes = [axes.images[0].get_array().shape for axes in figure.axes if axes.images]
    assert shapes.count((2, 3)) == 2 * 6 * 3
    assert shapes.count((16, 24)) == 2 * 3
    titles = {text.get_text() for text in figure.texts}
    assert {"posterior mean", "posterior standard deviation"} < titles


def test_traversal_shows_truth_and_every_value(token_run: Run) -> None:
    model = load_primary(token_run)
    assert model is not None
    traversal = reduce_traversal(token_run, model, token_run.hotspot)
    with figure_style():
        pictures, lines = traversal_figure(traversal), effect_figure(traversal, "hot-spot area")
        assert_labels_inside(pictures)
        assert_labels_inside(lines)
    images = [axes.images[0] for axes in pictures.axes if axes.images]
    assert len(images) == 2 * 4 * (1 + len(VALUES))
    assert [axes.get_title() for axes in pictures.axes[:6]] == ["truth", "u = −2", "u = −1", "u = 0", "u = +1", "u = +2"]
    np.testing.assert_array_equal(images[0].get_array(), traversal.truth[0])
    np.testing.assert_array_equal(images[2 * 6 + 3].get_array(), 0.0)
    ranking, *areas = lines.axes
    assert [bar.get_height() for bar in ranking.patches] == pytest.approx(list(traversal.changes))
    assert len(areas) == 2
    assert all(len(axes.lines) == token_run.n_simulations + 2 for axes in areas)


def test_signed_norm_is_symmetric_and_square_root() -> None:
    images = np.linspace(-400, 100, 2001)
    norm = signed_norm(images)
    high = spread_norm(np.abs(images)).vmax
    np.testing.assert_allclose(norm([-high, -high / 4, 0.0, high / 4, high]), [0.0, 0.25, 0.5, 0.75, 1.0])
    np.testing.assert_allclose(norm.inverse(norm(123.0)), 123.0)


@pytest.mark.parametrize(
    ("values", "low", "high"),
    [
        ((300.0, 400.0), 300.0, 400.0),
        ((1800.0, 1800.0), 1800.0, 1800.18),
        ((0.06, 0.0604), 0.06, 0.0604),
        ((0.0, 1e-9), 0.0, 1e-9),
        ((0.0, 0.0), 0.0, 1.0),
    ],
)
def test_a_scale_spans_what_is_shown(values: tuple[float, float], low: float, high: float) -> None:
    norm = field_norm("temperature", np.repeat(values, 2000))
    assert not isinstance(norm, LogNorm)
    assert (norm.vmin, norm.vmax) == pytest.approx((low, high), rel=1e-6, abs=1e-15)


def test_what_is_below_a_logarithmic_scale_has_its_lowest_colour() -> None:
    norm = field_norm("temperature", np.linspace(300, 3000, 100))
    assert isinstance(norm, LogNorm)
    np.testing.assert_allclose(norm(np.array([-50.0, 0.0, 100.0])).filled(np.nan), 0.0)


@pytest.mark.parametrize("count", [3, 60])
def test_the_legend_of_adaptation_covers_no_block(count: int) -> None:
    draws = np.exp(np.random.default_rng(0).normal(size=(9, count)))
    with figure_style():
        figure = adaptation_figure([f"transition.networks.0.blocks.{number}.weight" for number in range(count)], draws, 2 * draws)
        assert_labels_inside(figure)
        (axes,) = figure.axes
        assert axes.get_legend().get_window_extent().y0 >= axes.get_window_extent().y1
