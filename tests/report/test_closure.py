"""Pictures of closures."""

import numpy as np
import pytest

from probtokens.predict.closure_rates import Closure
from probtokens.report.closure import burnt_figure, rates_figure
from probtokens.report.style import figure_style
from tests.predict.closures import power_law_closure


@pytest.fixture(scope="module")
def closure():
    found = power_law_closure(draws=9)
    return found.assign({f"{name}_truth": found[name].isel(draw=4, drop=True) for name in found.data_vars})


def test_rates_are_drawn_against_pressure_and_truth_with_units(closure):
    with figure_style():
        figure = rates_figure(closure, Closure.fit(closure))
        alone = rates_figure(closure.drop_vars([name for name in closure.data_vars if str(name).endswith("_truth")]), None)
    labels = [axes.get_ylabel() for axes in figure.axes]
    assert labels[0] == "ignition time t_ign [ns]"
    assert labels.count("forecast [1/ns]") == 2
    assert len(alone.axes) == 4, "three rates and the scale of porosity"
    first = figure.axes[0]
    (truths,) = [line for line in first.lines if line.get_label() == "simulator"]
    np.testing.assert_array_equal(truths.get_xdata(), closure["shock_pressure"])
    np.testing.assert_array_equal(truths.get_ydata(), closure["ignition_time_truth"])
    assert any(band.get_label() == "power laws at mean porosity and pore size, 90 % band" for band in first.collections)
    assert any(line.get_label() == "their median" for line in first.lines)
    (told,) = figure.legends
    assert len({handle.get_label() for handle in told.legend_handles}) == len(told.texts) == 5, "the line of the laws is in the legend too"


def test_burnt_fractions_of_at_most_twelve_simulations_are_drawn_in_order_of_pressure(closure):
    assert closure.sizes["simulation"] == 14
    with figure_style():
        figure = burnt_figure(closure, "tokens")
    assert len(figure.axes) == 12
    pressures = [float(axes.get_title().split()[0]) for axes in figure.axes]
    assert pressures == sorted(pressures)
    assert figure.axes[-1].get_xlabel() == "time [ns]"


@pytest.mark.parametrize("simulations", [1, 2, 3, 14])
def test_the_legend_of_burnt_fractions_fits_and_is_above_the_panels(closure, simulations):
    with figure_style():
        figure = burnt_figure(closure.isel(simulation=slice(simulations)), "tokens")
        figure.canvas.draw()
    (legend,) = figure.legends
    box = legend.get_window_extent()
    assert 0 <= box.x0 < box.x1 <= figure.bbox.width
    assert box.y0 >= max(axes.title.get_window_extent().y1 for axes in figure.axes)


def test_rates_share_their_axis_of_pressure_though_one_simulation_alone_grows(closure):
    grows = closure["shock_pressure"] == closure["shock_pressure"].max()
    two = closure.assign({name: closure[name].where(grows) for name in ("growth_rate", "growth_rate_truth")})
    with figure_style():
        limits = [axes.get_xlim() for axes in rates_figure(two, None).axes if axes.get_xlabel() == "shock pressure [GPa]"]
    assert limits == [limits[0]] * 3
    assert limits[0][1] < 1.5 * float(closure["shock_pressure"].max())
