from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from probtokens.config import (
    Config,
    ElboStage,
    FieldGroupConfig,
    InferenceCompilationStage,
    LatentErrorStage,
    MesoConfig,
    MicroConfig,
    ParcConfig,
    ReconstructionStage,
    RolloutErrorStage,
    RolloutScoreStage,
    TokenConfig,
    dump_config,
    load_config,
)

RECIPES = sorted(set(Path("examples").glob("*.yaml")) - {Path("examples/benchmark.yaml")})
PORES = "simulate: {micro: {microstructure: {%s}}}"


def test_the_recipe_of_a_benchmark_is_none_of_a_run() -> None:
    path = Path("examples/benchmark.yaml")
    with pytest.raises(
        ValueError, match="expected the recipe of a run, got that of a benchmark; try: probtokens benchmark examples/benchmark.yaml"
    ):
        load_config(path)


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
        (
            "data: {fields: [temperature]}\nmicro: {tokens: {groups: [{fields: [pressure], channels: 2}]}}",
            ["recipe.yaml: micro.tokens.groups: expected exactly the fields of data.fields ['temperature'], got ['pressure']"],
        ),
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
        (
            "evaluate: {hotspot_field: pressure}",
            ["recipe.yaml: evaluate.hotspot_threshold: expected a value that hot spots of 'pressure' exceed, got none"],
        ),
        (
            "evaluate: {hotspot_field: pore, hotspot_threshold: 1}",
            ["evaluate.hotspot_field: expected one of data.fields ['temperature'", "got 'pore'"],
        ),
        ("evaluate: {hotspot_threshold: .inf}", ["evaluate.hotspot_threshold", "finite number"]),
        ("evaluate: {hotspot_field: area}", ["evaluate: ", "not named as one of the curves", "got 'area'"]),
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
    assert load_config(path) == Config(name="recipe")  # a run is called as its recipe
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
        ("simulate.physics={right: wall}", "tear off"),
        ("simulate.meso.shock_pressure={low: 8000, high: 14000}", "simulate.meso.shock_pressure.*100 GPa"),
        ("simulate.shifts={hot: {n_test: 2, shock_pressure: {low: -3, high: -1}}}", "simulate.shifts.hot.shock_pressure"),
        ("simulate.micro.n_times=1", "simulate.micro.n_times"),
        ("simulate.physics.viscosity=100", "simulate.physics.viscosity.*less than or equal to 10"),
        ("simulate.meso.nx=100000000", "simulate.meso.nx.*less than or equal to 10000000"),
        ("rollout.members=1000000000000", "rollout.members.*less than or equal to 10000000"),
        ("meso.prior_scale=5e-324", "meso.prior_scale.*greater than or equal to"),
        ("meso.prior_scale=1e4", "meso.prior_scale.*less than or equal to 10"),
    ],
)
def test_settings_that_make_no_sense_are_errors(override, message):
    with pytest.raises(ValueError, match=message):
        load_config(None, (override,))


def stages(*settings):
    """Override with one micro stage of so many steps for each of the settings."""
    return f"micro.stages=[{', '.join(f'{{name: {name}, steps: 1, {each}}}' for name, each in zip('abc', settings, strict=False))}]"


#: Objective to the class of its stages, and what these learn.
KINDS = {
    "reconstruction": (ReconstructionStage, ["codec"]),
    "latent_error": (LatentErrorStage, ["dynamics"]),
    "rollout_error": (RolloutErrorStage, ["codec", "dynamics"]),
    "rollout_score": (RolloutScoreStage, ["dynamics", "noise"]),
    "elbo": (ElboStage, ["codec", "dynamics", "noise", "guide", "weights"]),
    "inference_compilation": (InferenceCompilationStage, ["guide"]),
}


@pytest.mark.parametrize("objective", KINDS)
def test_the_objective_tells_the_kind_of_a_stage(objective):
    (stage,) = load_config(None, [stages(f"objective: {objective}")]).micro.stages
    kind, groups = KINDS[objective]
    assert type(stage) is kind
    assert stage == kind(name="a", steps=1)
    assert list(stage.learn) == groups
    assert stage.on_tokens is (objective == "latent_error")


def test_every_kind_of_stage_is_saved_and_read_back(tmp_path):
    every = [f"{{name: {name}, objective: {name}, steps: 2}}" for name in KINDS]
    config = load_config(None, [f"micro.stages=[{', '.join(every)}]"])
    assert [type(stage) for stage in config.micro.stages] == [kind for kind, *_ in KINDS.values()]
    path = tmp_path / "config.yaml"
    path.write_text(dump_config(config))
    assert load_config(path) == config


@pytest.mark.parametrize("given", ["objective: mse", "horizon: 1"])
def test_stages_without_a_known_objective_are_refused(given):
    with pytest.raises(ValueError, match=r"micro\.stages\.0: .*'?objective'?"):
        load_config(None, [stages(given)])


@pytest.mark.parametrize(
    ("objective", "key"),
    [(name, "members: 5") for name in KINDS if name != "rollout_score"]
    + [(name, "kl_weight: 2") for name in KINDS if name not in ("rollout_score", "latent_error")],
)
def test_what_members_and_priors_are_scored_by_is_of_objectives_that_have_them(objective, key):
    with pytest.raises(ValueError, match=rf"micro\.stages\.0\.{key.split(':')[0]}: no such key"):
        load_config(None, [stages(f"objective: {objective}, {key}")])


@pytest.mark.parametrize(
    ("objective", "key"),
    [
        ("rollout_error", "shifts: 2"),
        ("rollout_score", "field_weights: {temperature: 2}"),
        ("latent_error", "decoded: half"),
        ("rollout_score", "effective_pixels: 2"),
    ],
)
def test_settings_of_other_objectives_are_no_keys(objective, key):
    with pytest.raises(ValueError, match=rf"micro\.stages\.0\.{key.split(':')[0]}: no such key"):
        load_config(None, [stages(f"objective: {objective}, {key}")])


def test_keys_of_a_stage_are_compared_with_those_of_its_kind_alone():
    with pytest.raises(ValueError, match=r"micro\.stages\.1\.member: no such key \(got 5\); did you mean 'members'\?$"):
        load_config(None, [stages("objective: elbo", "objective: rollout_score, member: 5")])
    with pytest.raises(ValueError, match=r"micro\.stages\.0\.member: no such key \(got 5\), expected one of \[") as error:
        load_config(None, [stages("objective: elbo, member: 5")])
    assert "'effective_pixels'" in str(error.value)
    assert "'members'" not in str(error.value)
    with pytest.raises(ValueError, match=r"parc\.stages\.0\.shifts: no such key \(got 2\), expected one of \[.*'decoded'"):
        load_config(None, ["parc.stages=[{name: a, steps: 1, shifts: 2}]"])
    with pytest.raises(ValueError, match=r"meso\.stages\.0\.learn\.1: Input should be .*\(got 'means'\)$"):
        load_config(None, ["meso.stages=[{name: a, objective: elbo, steps: 1, learn: [guide, means]}]"])


def test_coverage_needs_a_level():
    with pytest.raises(ValueError, match="evaluate.coverage"):
        load_config(None, ["evaluate.coverage=[]"])


def test_fields_that_tokens_do_not_have_are_refused():
    given = "latent_error, field_weights: {density: 2}"
    with pytest.raises(ValueError, match=r"b: field_weights: expected some of \['temperature', .*\], got \['density'\]"):
        load_config(None, [stages("objective: elbo", f"objective: {given}")])


@pytest.mark.parametrize("curriculum", ["{3: 0.1}", "{1: 0.6, 4: 0.6}", "{0: 0.1}"])
def test_a_curriculum_has_horizons_that_windows_can_be_cut_into(curriculum):
    with pytest.raises(ValueError, match="a: expected a curriculum of divisors of the horizon of 8, with shares of 1 together at most"):
        load_config(None, [stages(f"objective: latent_error, horizon: 8, curriculum: {curriculum}")])
    (stage,) = load_config(None, [stages("objective: latent_error, horizon: 8, curriculum: {1: 0.2, 4: 0.3}")]).micro.stages
    assert stage.curriculum == {1: 0.2, 4: 0.3}


@pytest.mark.parametrize("objective", KINDS)
def test_likelihoods_and_frames_without_noise_are_computed_in_single_precision(objective):
    for precision in ("bfloat16", "auto"):
        override = stages(f"objective: {objective}, precision: {precision}")
        if objective in ("latent_error", "rollout_score"):
            assert load_config(None, [override]).micro.stages[0].precision == precision
            continue
        with pytest.raises(ValueError, match=rf"micro\.stages\.0\.precision: Input should be 'float32' \(got '{precision}'\)"):
            load_config(None, [override])
    assert load_config(None, [stages(f"objective: {objective}")]).micro.stages[0].precision == "float32"


def test_only_an_elbo_teaches_the_guide():
    with pytest.raises(ValueError, match=r"micro\.stages\.0\.learn\.1: Input should be .* \(got 'guide'\)$"):
        load_config(None, [stages("objective: rollout_score, learn: [noise, guide]")])
    assert load_config(None, [stages("objective: elbo, learn: [guide]")]).micro.stages[0].learn == ("guide",)


@pytest.mark.parametrize(
    ("objective", "learn", "expected"),
    [
        ("reconstruction", "noise", "codec"),
        ("latent_error", "noise", "dynamics"),
        ("rollout_error", "noise", "codec"),
        ("inference_compilation", "dynamics", "guide"),
    ],
)
def test_errors_without_noise_tell_no_spread_and_noise_nothing_else(objective, learn, expected):
    with pytest.raises(ValueError, match=rf"micro\.stages\.0\.learn\.0: Input should be '{expected}' \(got '{learn}'\)"):
        load_config(None, [stages(f"objective: {objective}, learn: [{learn}]")])


@pytest.mark.parametrize(("objective", "horizon"), [("reconstruction", 0)])
def test_windows_of_objectives_that_look_at_single_frames_or_steps_have_one_length(objective, horizon):
    with pytest.raises(ValueError, match=rf"micro\.stages\.0\.horizon: Input should be {horizon} \(got 2\)"):
        load_config(None, [stages(f"objective: {objective}, horizon: 2")])
    with pytest.raises(ValueError, match="greater than or equal to 1"):
        load_config(None, [stages("objective: rollout_error, horizon: 0")])


def test_every_setting_of_training_says_what_it_is():
    for section in (TokenConfig, FieldGroupConfig, MicroConfig, MesoConfig, ParcConfig, *(kind for kind, *_ in KINDS.values())):
        own = {name: field for name, field in section.model_fields.items() if name not in ("objective", "precision", "horizon", "learn")}
        assert [name for name, field in own.items() if not field.description] == [], section.__name__


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ([f"seed={2**63}"], r"seed: Input should be less than or equal to 9223372036854775807"),
        (["data.symmetry=[mirror_x]"], r"data\.symmetry\.0: Input should be 'mirror_y' \(got 'mirror_x'\)"),
        (["data.odd={Vy: y}"], r"data: .*odd: expected some of fields \['temperature', .*, got \['Vy'\]"),
        (["data.odd={pressure: z}"], r"data\.odd\.pressure: Input should be '', 'x', 'y' or 'xy' \(got 'z'\)"),
        (["data.fields=[temperature, temperature]"], r"data: .*fields: expected every name once, got \['temperature', 'temperature'\]"),
        (["data.context=[a, a]"], r"data: .*context: expected every name once"),
        (["data.fields=[]"], r"data: .*fields: expected at least one, got none"),
        (["data.meso_cell_width=1.5"], r"data: .*meso_cell_width: expected a whole number of micro cells or one over it, got 1\.5"),
        (["data.meso_cell_width=0.4"], r"data: .*meso_cell_width: expected a whole number of micro cells or one over it, got 0\.4"),
        (["data.meso_steps_per_frame=0"], r"data\.meso_steps_per_frame: Input should be greater than or equal to 1"),
        (["data.meso_steps_per_frame=1.5"], r"data\.meso_steps_per_frame: Input should be a valid integer"),
        (["rollout.models=[]"], r"rollout: .*models: expected at least one, and every name once, got \[\]"),
        (["rollout.models=[parc, parc]"], r"rollout: .*models: expected at least one, and every name once, got \['parc', 'parc'\]"),
        (["evaluate.coverage=[0.9, 0.90000001]"], r"evaluate: .*coverage: expected levels that differ to six digits"),
        (["data.symmetry=[]", "micro.tokens.views=shifted"], r"micro\.tokens\.views: expected 'one' without mirror_y in data\.symmetry"),
    ],
)
def test_symmetries_and_names_that_cannot_be(overrides, message):
    with pytest.raises(ValueError, match=message):
        load_config(None, overrides)


def test_a_recipe_says_what_mirror_images_are():
    assert Config().data.mirrored
    config = load_config(None, ["data.symmetry=[]", "data.odd={pressure: xy}"])
    assert not config.data.mirrored
    assert config.data.odd == {"pressure": "xy"}


@pytest.mark.parametrize(
    ("override", "section"),
    [
        ("micro.tokens.groups=[{fields: [temperature], channels: 4}]", "micro"),
        ("data.symmetry=[]", "micro"),
        ("meso.stages=[{name: a, objective: latent_error, steps: 1, field_weights: {density: 2}}]", "meso"),
        ("rollout.scale=micro", "rollout"),
        ("meso.n_simulations=0", "rollout"),
        ("evaluate.hotspot_field=density", "evaluate"),
    ],
)
def test_only_what_is_used_has_to_fit(override, section):
    overrides = [override, "micro.tokens.views=shifted"] if override == "data.symmetry=[]" else [override]
    every = {"micro", "meso", "rollout", "evaluate"}
    load_config(None, overrides, uses=every - {section})
    for uses in (None, {section}):
        with pytest.raises(ValueError, match=r"expected"):
            load_config(None, overrides, uses=uses)


@pytest.mark.parametrize(("key", "value"), [("seed", "true"), ("rollout.members", "false"), ("evaluate.coverage", "[true]")])
def test_true_and_false_are_no_numbers(key, value):
    with pytest.raises(ValueError, match=f"{key}.*expected a number"):
        load_config(None, [f"{key}={value}"])
    assert load_config(None, ["evaluate.recalibrate=false"]).evaluate.recalibrate is False
