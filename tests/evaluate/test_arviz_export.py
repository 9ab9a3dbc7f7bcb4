import numpy as np
import pytest
import torch
import xarray as xr

from probtokens.evaluate.arviz_export import to_arviz
from probtokens.evaluate.multivariate import pool
from probtokens.predict import Recalibration
from probtokens.train.fitting import History
from probtokens.train.loop import Trained
from tests.predict.synthetic import gaussian_rollout

GROUPS = {"posterior_predictive", "observed_data", "constant_data"}


@pytest.fixture(scope="module")
def rollout(tmp_path_factory):
    return gaussian_rollout(tmp_path_factory.mktemp("tree") / "r", members=5, n=3, leads=2)


def test_every_block_is_there_once_in_its_place(rollout):
    tree = to_arviz(rollout)
    assert set(tree.children) == GROUPS
    blocks = 3 * 2 * 2 * 3
    predictive, observed, places = (tree[group] for group in ("posterior_predictive", "observed_data", "constant_data"))
    for index, (name, unit) in enumerate((("temperature", "K"), ("solid_fraction", "1"))):
        assert predictive[name].dims == ("chain", "draw", "obs")
        assert predictive[name].shape == (1, 5, blocks)
        assert observed[name].dims == ("obs",)
        assert predictive[name].attrs["unit"] == observed[name].attrs["unit"] == unit
        expected = pool(rollout.prediction.values[:, :, 1:, index], 8)
        np.testing.assert_allclose(predictive[name][0], expected.reshape(5, -1), rtol=1e-6)
        np.testing.assert_allclose(observed[name], pool(rollout.truth.values[:, 1:, index], 8).ravel(), rtol=1e-6)
    simulation, lead, row, column = np.unravel_index(np.arange(blocks), (3, 2, 2, 3))
    np.testing.assert_array_equal(places["simulation"], simulation)
    np.testing.assert_allclose(places["time"], 0.5 * (lead + 1))
    np.testing.assert_allclose(places["y"], 0.4 + 0.8 * row)
    np.testing.assert_allclose(places["x"], 0.4 + 0.8 * column)


def test_a_sample_is_part_of_the_whole_and_the_same_for_all_fields(rollout):
    whole, part = to_arviz(rollout), to_arviz(rollout, max_observations=10, seed=1)
    places = [part["constant_data"][name].values for name in ("simulation", "time", "y", "x")]
    everywhere = [whole["constant_data"][name].values for name in ("simulation", "time", "y", "x")]
    where = [
        int(np.flatnonzero(np.all([a == b for a, b in zip(everywhere, place, strict=True)], axis=0))[0])
        for place in zip(*places, strict=True)
    ]
    assert len(set(where)) == 10
    for name in ("temperature", "solid_fraction"):
        np.testing.assert_array_equal(part["posterior_predictive"][name], whole["posterior_predictive"][name][..., where])
        np.testing.assert_array_equal(part["observed_data"][name], whole["observed_data"][name][where])
    again = to_arviz(rollout, max_observations=10, seed=1)
    for group in GROUPS:
        xr.testing.assert_equal(again[group].to_dataset(), part[group].to_dataset())
    other = to_arviz(rollout, max_observations=10, seed=2)
    assert not np.array_equal(part["observed_data"]["temperature"], other["observed_data"]["temperature"])


def test_recalibration_scales_anomalies(rollout):
    factors = Recalibration("m", 3, {"temperature": [0.5], "solid_fraction": [1.0]})
    raw, narrow = (to_arviz(rollout, recalibration=version)["posterior_predictive"] for version in (None, factors))
    np.testing.assert_allclose(narrow["temperature"].std("draw"), 0.5 * raw["temperature"].std("draw"), rtol=1e-3)
    np.testing.assert_array_equal(narrow["solid_fraction"], raw["solid_fraction"])


def test_domains_smaller_than_a_block_are_one_block(rollout):
    tree = to_arviz(rollout.isel(x=slice(16)), block=32)
    assert tree["observed_data"].sizes["obs"] == 3 * 2


def test_blocks_of_a_rollout_that_was_cut_or_thinned_stay_where_they_are(rollout):
    places = to_arviz(rollout.isel(y=slice(8, None), time=[0, 2]), block=4)["constant_data"]
    assert sorted(set(places["time"].values)) == [1.0]
    np.testing.assert_allclose(sorted(set(places["y"].values)), [1.0, 1.4])
    thinned = to_arviz(rollout.isel(y=slice(None, None, 2), x=slice(None, None, 2)), block=4)["constant_data"]
    np.testing.assert_allclose(np.unique(thinned["x"]), [0.35, 1.15, 1.95])


def test_a_single_simulation_may_be_chosen_either_way(rollout):
    one, axis = (to_arviz(rollout.isel(simulation=chosen))["observed_data"].to_dataset() for chosen in (1, [1]))
    assert one.equals(axis)


def test_deterministic_rollout_is_refused(rollout):
    with pytest.raises(ValueError, match="synthetic: expected at least 2 draws, got 1"):
        to_arviz(rollout.isel(draw=[0]))


@pytest.mark.parametrize("kind", ["zarr", "netcdf"])
def test_saved_and_opened_again(rollout, tmp_path, kind):
    draws = {"w": np.random.default_rng(0).normal(size=(4, 3)), "u": np.zeros((4, 3, 2, 1, 1))}
    tree = to_arviz(rollout, max_observations=20, posterior=draws, prior=draws, log_likelihood={"frames": np.zeros((4, 3))})
    if kind == "zarr":
        tree.to_zarr(tmp_path / "tree", consolidated=False)
        opened = xr.open_datatree(tmp_path / "tree", engine="zarr", consolidated=False)
    else:
        tree.to_netcdf(tmp_path / "tree", engine="h5netcdf")
        opened = xr.open_datatree(tmp_path / "tree", engine="h5netcdf")
    with opened:
        assert set(opened.children) == GROUPS | {"posterior", "prior", "log_likelihood"}
        for group in opened.children:
            xr.testing.assert_identical(
                opened[group].to_dataset().load().drop_attrs(deep=False), tree[group].to_dataset().drop_attrs(deep=False)
            )
        assert opened["observed_data"]["temperature"].attrs["unit"] == "K"


def test_draws_of_sites_become_groups(rollout):
    """As Predictive returns them: global sites stay, frames and tokens of single times do not."""
    rng = np.random.default_rng(0)
    draws = {
        "w": torch.tensor(rng.normal(size=(6, 7))),
        "u": rng.normal(size=(6, 3, 2, 1, 2)),
        "z_0": rng.normal(size=(6, 1)),
        "x": [0.0] * 6,
    }
    tree = to_arviz(rollout, posterior=draws, log_likelihood={"frames": rng.normal(size=(6, 3))})
    posterior, likelihood = tree["posterior"], tree["log_likelihood"]
    assert set(posterior.data_vars) == {"w", "u"}
    assert posterior["w"].dims == ("chain", "draw", "weight")
    assert posterior["u"].dims == ("chain", "draw", "simulation", "effect", "effect_y", "effect_x")
    assert likelihood["frames"].dims == ("chain", "draw", "simulation")
    np.testing.assert_allclose(posterior["w"][0], draws["w"], rtol=1e-6)
    with pytest.raises(ValueError, match="prior: expected as many draws of each site along the first axis"):
        to_arviz(rollout, prior={"w": np.zeros((3, 2)), "u": np.zeros((2, 2))})


def test_arviz_compares_by_trajectories(rollout):
    import arviz_stats

    rng = np.random.default_rng(0)
    tree = to_arviz(rollout, posterior={"w": rng.normal(size=(60, 2))}, log_likelihood={"frames": -5 + 0.1 * rng.normal(size=(60, 3))})
    assert arviz_stats.loo(tree).elpd == pytest.approx(3 * -5, abs=0.2)


def test_an_ensemble_in_memory_gives_the_same(rollout):
    ensemble = rollout["prediction"].isel(time=slice(1, None)).assign_attrs(rollout.attrs)
    whole, bare = to_arviz(ensemble, rollout["truth"].values), to_arviz(ensemble)
    expected = to_arviz(rollout)
    assert set(bare.children) == GROUPS - {"observed_data"}
    for group in GROUPS:
        xr.testing.assert_equal(whole[group].to_dataset(), expected[group].to_dataset())
    xr.testing.assert_equal(bare["posterior_predictive"].to_dataset(), expected["posterior_predictive"].to_dataset())
    with pytest.raises(ValueError, match="truth: expected none beside a stored rollout"):
        to_arviz(rollout, rollout["truth"].values)


@pytest.mark.parametrize("coverage", [False, True])
def test_arviz_sees_what_is_calibrated(tmp_path, coverage):
    """Curves of a calibrated ensemble stay in the 99 % band, but for the steps of 50 draws; those of a narrow one leave it."""
    from arviz_stats.ecdf_utils import difference_ecdf_pit

    def outside(name, width):
        rollout = gaussian_rollout(tmp_path / name, members=50, width=width, n=4, leads=3)
        tree = to_arviz(rollout, block=1)
        groups = [tree[group].to_dataset()[["temperature"]] for group in ("posterior_predictive", "observed_data")]
        curve = difference_ecdf_pit(groups[0], groups[1], 0.99, coverage, n_simulations=300)["temperature"]
        y, bottom, top = (curve.sel(plot_axis=axis).values for axis in ("y", "y_bottom", "y_top"))
        return float(np.mean((y < bottom) | (y > top)))

    assert outside("good", 1.0) < 0.05
    assert outside("narrow", 0.5) > 0.3


def test_arviz_plots_take_the_tree(rollout):
    import matplotlib as mpl

    mpl.use("agg")
    import arviz_plots
    from matplotlib import pyplot as plt

    tree = to_arviz(rollout, max_observations=30)
    for plot, options in (
        (arviz_plots.plot_ppc_pit, {}),
        (arviz_plots.plot_ppc_pit, {"coverage": True}),
        (arviz_plots.plot_ppc_interval, {}),
        (arviz_plots.plot_ppc_dist, {"num_samples": 3}),
    ):
        drawn = plot(tree, backend="matplotlib", **options)
        assert {"temperature", "solid_fraction"} <= set(drawn.viz["plot"].data_vars)
        plt.close("all")


def test_sample_stats_are_those_of_the_training(rollout, tmp_path):
    history = History({"a": Trained("float32", [3.0, 2.0], [(2, 0.5)]), "b": Trained("float32", [1.0], [(1, 0.25)])})
    tree = to_arviz(rollout, history=history)
    tree.to_netcdf(tmp_path / "tree.nc", engine="h5netcdf")
    with xr.open_datatree(tmp_path / "tree.nc", engine="h5netcdf") as again:
        statistics = again["sample_stats"]
        np.testing.assert_array_equal(statistics["loss"].sel(step=[1, 2, 3]), [3.0, 2.0, 1.0])
        np.testing.assert_array_equal(statistics["score"].sel(scored_step=[2, 3]), [0.5, 0.25])
    assert "score" not in to_arviz(rollout, history=History({"a": Trained("float32", [3.0], [])}))["sample_stats"]
