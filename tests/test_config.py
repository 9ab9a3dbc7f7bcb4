from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from probtokens.config import Config, dump_config, load_config

RECIPES = sorted(Path("examples").glob("*.yaml"))
PORES = "simulate: {micro: {microstructure: {%s}}}"


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_every_example_recipe_is_valid(path):
    assert load_config(path).name == path.stem


def test_defaults_need_no_file():
    assert load_config() == Config()


@given(seed=st.integers(0, 2**31), members=st.integers(2, 500), width=st.integers(1, 512), low=st.floats(1, 50))
def test_a_saved_configuration_is_read_back_unchanged(tmp_path_factory, seed, members, width, low):
    overrides = [
        f"seed={seed}",
        f"rollout.members={members}",
        f"micro.tokens.width={width}",
        f"simulate.meso.shock_pressure={{low: {low!r}, high: 60}}",
    ]
    config = load_config(None, overrides)
    path = tmp_path_factory.mktemp("config") / "config.yaml"
    path.write_text(dump_config(config), encoding="utf-8")
    assert load_config(path) == config


def test_a_saved_microstructure_is_read_back_unchanged(tmp_path):
    pores = "simulate.micro.microstructure="
    for settings in (
        "{porosity: {low: 0.05, high: 0.1}, kind_weights: {v: 0.5}, diameter_distribution: log_normal, diameter_median: 0.5}",
        "{image: {path: a.png, pixel_size: 0.01, pores: bright}, porosity: {low: 0.05, high: 0.1}}",
    ):
        config = load_config(None, [pores + settings])
        path = tmp_path / "config.yaml"
        path.write_text(dump_config(config), encoding="utf-8")
        assert load_config(path) == config


def test_overrides_win_over_the_file_and_later_ones_over_earlier_ones(tmp_path):
    path = tmp_path / "recipe.yaml"
    path.write_text("seed: 1\nrollout: {members: 8}\n", encoding="utf-8")
    config = load_config(path, ["rollout.members=9", "rollout.members=10", "simulate.micro.n_train=3"])
    assert (config.seed, config.rollout.members, config.simulate.micro.n_train) == (1, 10, 3)


def test_settings_cannot_be_changed_afterwards():
    with pytest.raises(ValueError, match="frozen"):
        load_config().seed = 2


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("colour: red", ["colour: no such key (got 'red'), expected one of ['data'"]),
        ("rollout: {member: 8}", ["rollout.member: no such key (got 8); did you mean 'members'?"]),
        ("rollout: {members: 1}", ["rollout.members", "greater than or equal to 2", "got 1"]),
        ("rollout: {members: many}", ["rollout.members", "valid integer", "'many'"]),
        ("simulate: {micro: {shock_pressure: {low: 5, high: 4}}}", ["simulate.micro.shock_pressure", "low <= high", "5.0 > 4.0"]),
        ("data: {fields: [temperature]}", ["micro.tokens.groups", "exactly the fields of data.fields"]),
        ("micro: {tokens: {groups: [{fields: [pressure, pressure], channels: 2}]}}", ["groups", "every field once"]),
        (PORES % "kinds: [ellipse, disc]", ["kinds.1", "'ellipse', 'v', 'crack' or 'cluster'", "'disc'"]),
        (PORES % "kinds: []", ["kinds", "at least 1 item"]),
        (PORES % "kinds: [v], kind_weights: {crack: 2}", ["kind_weights: expected kinds among ['v'], got ['crack']"]),
        (PORES % "n_pores: [3, 2]", ["n_pores: expected low <= high, got 3 > 2"]),
        (PORES % "n_pores: [3, 4], porosity: {low: 0.1, high: 0.2}", ["expected one of n_pores and porosity, got both"]),
        (PORES % "porosity: {low: 0, high: 0.2}", ["porosity: expected a range inside 0..1, got 0.0..0.2"]),
        (PORES % "diameter: {low: 0, high: 0.2}", ["diameter: expected low > 0, got 0.0"]),
        (PORES % "diameter_log_sd: 0.5", ["expected diameter_distribution log_normal", "got uniform"]),
        (PORES % "diameter_distribution: log_normal, diameter_median: 0.9", ["diameter_median: expected it in diameter 0.3..0.8, got 0.9"]),
        (PORES % "image: {path: a.png}", ["image.pixel_size", "Field required"]),
        (PORES % "image: {path: a.png, pixel_size: 0.02, treshold: 0.4}", ["image.treshold", "did you mean 'threshold'?"]),
        (PORES % "image: {path: a.png, pixel_size: 0.02, threshold: 1.5}", ["image.threshold", "less than 1", "got 1.5"]),
        (PORES % "image: {path: a.png, pixel_size: 0.02}, gap: 0.1", ["expected no settings of drawn pores beside it, got ['gap']"]),
        ("evaluate: {hotspot_field: pore}", ["evaluate.hotspot_field: expected one of data.fields ['temperature'", "got 'pore'"]),
        ("evaluate: {hotspot_threshold: .inf}", ["evaluate.hotspot_threshold", "finite number"]),
        ("evaluate: {hotspot_field: area}", ["evaluate: ", "not named as the curves", "got 'area'"]),
        ("[1, 2]", ["expected a mapping", "got list"]),
        ("a: [", ["line 1: expected YAML"]),
        ("name: one\nseed: 1\nname: two", ["line 3: expected YAML, got the key 'name' twice"]),
    ],
)
def test_errors_name_file_key_expected_and_found(tmp_path, text, parts):
    path = tmp_path / "recipe.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=r"recipe\.yaml[:,] ") as error:
        load_config(path)
    assert all(part in str(error.value) for part in parts), str(error.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"absent\.yaml: expected a recipe file, found none"):
        load_config(tmp_path / "absent.yaml")


@pytest.mark.parametrize("override", ["seed", "=1", "name.first=x", "rollout.members.count=1"])
def test_malformed_overrides_are_refused(tmp_path, override):
    path = tmp_path / "recipe.yaml"
    path.write_text("name: tiny\nrollout: {members: 8}\n", encoding="utf-8")
    with pytest.raises(ValueError, match="override"):
        load_config(path, [override])


def test_an_empty_file_means_defaults(tmp_path):
    path = tmp_path / "recipe.yaml"
    path.write_text("# nothing set\n", encoding="utf-8")
    assert load_config(path) == Config()
    assert yaml.safe_load(dump_config(Config()))["seed"] == 0


def test_a_shift_is_the_meso_campaign_with_changes_and_test_simulations_alone():
    overrides = ("simulate.shifts={hot: {n_test: 2, shock_pressure: {low: 15, high: 16}}, wide: {n_test: 3, nx: 288}}",)
    campaigns = load_config(None, overrides).simulate.campaigns
    assert list(campaigns) == ["micro", "meso", "hot", "wide"]
    meso, hot, wide = (campaigns[name] for name in ("meso", "hot", "wide"))
    assert (hot.n_train, hot.n_valid, hot.n_test) == (0, 0, 2)
    assert hot.shock_pressure.low == 15
    assert hot.microstructure == meso.microstructure
    assert (wide.ny, wide.nx, wide.shock_pressure) == (meso.ny, 288, meso.shock_pressure)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("simulate.shifts={meso: {n_test: 2}}", "other than micro and meso"),
        ("simulate.shifts={'../x': {n_test: 2}}", "pattern"),
        ("simulate.shifts={hot: {n_test: 2, n_train: 4}}", "n_train"),
        ("simulate.shifts={hot: {}}", "n_test"),
        ("simulate.micro={n_train: 0, n_valid: 0, n_test: 0}", "at least one simulation"),
        ("simulate.physics={right: wall}", "tear off"),
        ("simulate.meso.shock_pressure={low: 8000, high: 14000}", "simulate.meso.shock_pressure.*100 GPa"),
        ("simulate.shifts={hot: {n_test: 2, shock_pressure: {low: -3, high: -1}}}", "simulate.shifts.hot.shock_pressure"),
        ("simulate.micro.n_times=1", "simulate.micro.n_times"),
        ("simulate.physics.viscosity=100", "simulate.physics.viscosity.*less than or equal to 10"),
    ],
)
def test_simulation_settings_that_make_no_sense_are_errors(override, message):
    with pytest.raises(ValueError, match=message):
        load_config(None, (override,))


def test_simulations_are_held_out_for_stages_that_learn_uncertainty():
    means = "{name: a, objective: mse, steps: 1, horizon: 1}"
    with pytest.raises(ValueError, match="held_out: expected a stage with learn uncertainty, posterior or shrinkage"):
        load_config(None, ["micro.held_out=2", f"micro.stages=[{means}]"])
    assert (
        load_config(
            None, ["micro.held_out=2", f"micro.stages=[{means}, {{name: b, objective: elbo, steps: 1, horizon: 1, learn: uncertainty}}]"]
        ).micro.held_out
        == 2
    )


@pytest.mark.parametrize(
    "key", ["members: 5", "energy_weight: 1", "decoder_noise: true", "hot_spots: {temperature: 875}", "hot_spot_weight: 2"]
)
def test_what_members_are_scored_by_is_of_scores_only(key):
    with pytest.raises(ValueError, match=f"a: expected {key.split(':')[0]} with objective score only, got elbo"):
        load_config(None, [f"micro.stages=[{{name: a, objective: elbo, steps: 1, horizon: 1, {key}}}]"])


def test_a_weight_of_hot_spots_needs_hot_spots():
    with pytest.raises(ValueError, match="a: expected hot_spot_weight with hot_spots only, got 2"):
        load_config(None, ["micro.stages=[{name: a, objective: score, steps: 1, horizon: 1, hot_spot_weight: 2}]"])
    with pytest.raises(ValueError, match="evaluate.coverage"):
        load_config(None, ["evaluate.coverage=[]"])


def test_means_never_see_all_simulations():
    with pytest.raises(ValueError, match="a: expected all_simulations with learn uncertainty, posterior or shrinkage only, got dynamics"):
        load_config(None, ["micro.stages=[{name: a, objective: score, steps: 1, horizon: 1, learn: dynamics, all_simulations: true}]"])


def test_likelihoods_are_computed_in_single_precision():
    stages = "micro.stages=[{{name: a, objective: {}, steps: 1, horizon: 1, precision: bfloat16}}]"
    with pytest.raises(ValueError, match="a: expected precision bfloat16 with objective latent or score, got elbo"):
        load_config(None, [stages.format("elbo")])
    assert load_config(None, [stages.format("score")]).micro.stages[0].precision == "bfloat16"


def test_only_an_elbo_teaches_the_posterior():
    with pytest.raises(ValueError, match="a: expected learn posterior with objective elbo only, got score"):
        load_config(None, ["micro.stages=[{name: a, objective: score, steps: 1, horizon: 1, learn: posterior}]"])


@pytest.mark.parametrize(
    ("objective", "learn", "expected"),
    [("latent", "uncertainty", "everything"), ("mse", "uncertainty", "everything"), ("noise", "everything", "uncertainty")],
)
def test_errors_without_noise_tell_no_spread_and_noise_nothing_else(objective, learn, expected):
    with pytest.raises(ValueError, match=f"a: expected learn {expected} with objective {objective}, got {learn}"):
        load_config(None, [f"micro.stages=[{{name: a, objective: {objective}, steps: 1, horizon: 1, learn: {learn}}}]"])
