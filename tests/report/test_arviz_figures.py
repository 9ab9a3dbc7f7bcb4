"""Diagrams of ArviZ through one call for all its versions."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from probtokens.report.arviz_figures import calibration_plot


def tree(width: float = 1.0, n: int = 200, members: int = 40) -> xr.DataTree:
    """Members that deviate ``width`` times as much as they should from a centre that the truth deviates from as well."""
    rng = np.random.default_rng(0)
    centre = rng.normal(900.0, 100.0, n)
    predictive = xr.Dataset({"temperature": (("chain", "draw", "obs"), centre + width * 100 * rng.normal(size=(1, members, n)))})
    observed = xr.Dataset({"temperature": ("obs", centre + 100 * rng.normal(size=n))})
    return xr.DataTree.from_dict({"posterior_predictive": predictive, "observed_data": observed})


def furthest(figure) -> float:
    """Largest distance from zero of the curves of a figure."""
    return max(float(np.abs(np.asarray(line.get_ydata(), dtype=float)).max()) for axes in figure.axes for line in axes.lines)


@pytest.mark.parametrize("kind", ["pit", "coverage"])
def test_curves_of_narrow_ensembles_leave_zero(kind: str) -> None:
    good, narrow = (furthest(calibration_plot(tree(width), kind, "temperature")) for width in (1.0, 0.3))
    assert good < 0.12
    assert narrow > 0.15


def test_reliability_is_of_the_event() -> None:
    figure = calibration_plot(tree(), "reliability", "temperature", threshold=900.0)
    assert figure.axes[0].lines
    assert figure.axes[0].get_xlabel() == "forecast probability of temperature > 900"
    assert figure.axes[0].get_ylabel() == "observed frequency"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("pit", "pressure"), r"posterior_predictive: expected a variable 'pressure', got \['temperature'\]"),
        (("rank", "temperature"), "kind: expected 'pit', 'coverage' or 'reliability', got 'rank'"),
        (("reliability", "temperature"), "threshold: expected one of 'reliability' and none of others, got None"),
    ],
)
def test_what_does_not_fit_is_refused(arguments: tuple[str, str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        calibration_plot(tree(), *arguments)
    with pytest.raises(ValueError, match="observed_data: expected a variable 'temperature', got no such group"):
        calibration_plot(xr.DataTree.from_dict({"posterior_predictive": tree()["posterior_predictive"].to_dataset()}), "pit", "temperature")
    with pytest.raises(ValueError, match="threshold: expected one of 'reliability' and none of others, got 9"):
        calibration_plot(tree(), "pit", "temperature", threshold=9.0)
