import pytest

from probtokens.config import load_config
from probtokens.pipeline.fingerprint import fingerprints
from probtokens.pipeline.folder import RunFolder
from probtokens.pipeline.graph import build_stages, required, run_by
from probtokens.pipeline.work.simulations import campaign_seed
from tests.helpers import make_campaign

MODELS = ("tokens", "micro_tokens", "parc", "persistence")


@pytest.fixture
def folder(tmp_path):
    return RunFolder(tmp_path / "run")


def changed(folder, *overrides):
    """Names of the stages that a changed setting touches."""
    before = fingerprints(build_stages(load_config(), folder))
    after = fingerprints(build_stages(load_config(None, overrides), folder))
    return {name for name in after if after[name] != before.get(name)}


LAST = {"evaluate", "report"}
MICRO = {"train_micro", "train_meso", "rollout_tokens", "rollout_micro_tokens"}
MESO = {"train_meso", "train_parc", *(f"rollout_{model}" for model in MODELS)}


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("report.simulation=77", {"report"}),
        ("simulate.jobs=7", set()),
        ("data.frame_cache=0", set()),
        ("simulate.cluster.partition=short", set()),
        ("name=other", {"report"}),
        ("evaluate.hotspot_threshold=901.5", LAST),
        ("rollout.members=77", {f"rollout_{model}" for model in MODELS} | LAST),
        ("parc.width=7", {"train_parc", "rollout_parc"} | LAST),
        ("meso.guide_rank=7", {"train_meso", "rollout_tokens"} | LAST),
        ("meso.n_simulations=77", {"train_meso", "train_parc", "rollout_tokens", "rollout_parc"} | LAST),
        ("micro.tokens.width=7", MICRO | LAST),
        ("data.symmetry=[]", MICRO | {"train_parc", "rollout_parc"} | LAST),
        ("data.odd={pressure: xy}", MICRO | MESO | LAST),
        ("simulate.micro.n_train=77", {"simulate_micro"} | MICRO | LAST),
        ("simulate.meso.n_train=77", {"simulate_meso"} | MESO | LAST),
        ("simulate.physics.viscosity=0.123", {"simulate_micro", "simulate_meso"} | MICRO | MESO | LAST),
    ],
)
def test_a_setting_touches_what_depends_on_it_and_no_more(folder, override, expected):
    assert changed(folder, override) == expected


def test_the_seed_touches_everything(folder):
    assert changed(folder, "seed=77") == {stage.name for stage in build_stages(load_config(), folder)}


def test_stages_come_after_what_they_need_and_own_their_outputs(folder):
    stages = build_stages(load_config(), folder)
    seen = set()
    for stage in stages:
        assert set(stage.needs) <= seen
        seen.add(stage.name)
    outputs = [path for stage in stages for path in stage.outputs]
    assert len(set(outputs)) == len(outputs)
    assert not any(a in b.parents for a in outputs for b in outputs)


def test_a_run_without_tokens_trains_none(folder):
    stages = build_stages(load_config(None, ["rollout.models=[persistence]"]), folder)
    assert required(stages, "report") == {"simulate_meso", "rollout_persistence", "evaluate", "report"}


def test_scores_need_the_models_and_data_that_evidence_is_asked_of(folder):
    def needs(models):
        return {stage.name: stage.needs for stage in build_stages(load_config(None, [f"rollout.models=[{models}]"]), folder)}["evaluate"]

    assert needs("tokens, parc") == ("rollout_tokens", "train_meso", "simulate_meso", "rollout_parc")
    assert needs("parc, persistence") == ("rollout_parc", "rollout_persistence")


def test_without_meso_simulations_meso_tokens_need_none(folder):
    overrides = ["meso.n_simulations=0", "rollout.models=[tokens, persistence]"]
    stages = {stage.name: stage for stage in build_stages(load_config(None, overrides), folder)}
    assert stages["rollout_tokens"].needs == ("train_meso", "simulate_meso")
    assert stages["train_meso"].needs == ("train_micro",)


def test_meso_tokens_see_micro_simulations_beside_theirs(folder):
    def needs(*overrides):
        given = [
            "data.micro_tokens=hmx-standard",
            "data.fields=[temperature, pressure, solid_fraction, velocity_x, velocity_y, reacted_fraction]",
        ]
        return {stage.name: stage.needs for stage in build_stages(load_config(None, [*given, *overrides]), folder)}

    assert needs()["train_meso"] == ("train_micro", "simulate_micro", "simulate_meso")
    without = needs("meso.replay=0")
    assert without["train_meso"] == ("train_micro", "simulate_meso")
    assert "simulate_micro" not in without


def test_parc_is_trained_where_it_forecasts(folder):
    def stages(models):
        return {stage.name for stage in build_stages(load_config(None, [f"rollout.models=[{models}]"]), folder)}

    assert "train_parc" in stages("tokens, parc")
    assert "train_parc" not in stages("tokens, micro_tokens")


def test_parc_without_meso_simulations_is_refused(folder):
    with pytest.raises(ValueError, match="got 'parc' with meso.n_simulations 0"):
        build_stages(load_config(None, ["meso.n_simulations=0"]), folder)


def test_given_files_replace_the_campaign_and_count(folder, tmp_path):
    given = make_campaign(tmp_path / "given")
    config = load_config(None, [f"data.micro={given}"])
    stages = {stage.name: stage for stage in build_stages(config, folder)}
    assert "simulate_micro" not in stages
    assert stages["train_micro"].needs == ("check_micro",)
    before = fingerprints(tuple(stages.values()))
    shard = next((given / "train").glob("*.hdf5"))
    shard.write_bytes(shard.read_bytes() + b"0")
    after = fingerprints(build_stages(config, folder))
    assert {name for name in after if after[name] != before[name]} == {"check_micro"} | MICRO | LAST


def test_an_image_counts_by_its_content(folder, tmp_path):
    def known(name):
        override = f"simulate.meso.microstructure.image={{path: {tmp_path / name}, pixel_size: 0.02}}"
        return fingerprints(build_stages(load_config(None, [override]), folder))

    for name in ("a.png", "moved.png"):
        (tmp_path / name).write_bytes(b"one")
    before = known("a.png")
    assert known("moved.png") == before
    (tmp_path / "a.png").write_bytes(b"two")
    after = known("a.png")
    assert {name for name in after if after[name] != before[name]} == {"simulate_meso"} | MESO | LAST


def test_a_sub_command_without_stages_is_refused(folder):
    stages = build_stages(load_config(None, ["meso.n_simulations=0", "rollout.models=[tokens]"]), folder)
    assert run_by(stages, "simulate") == {"simulate_micro", "simulate_meso"}
    with pytest.raises(ValueError, match="train parc: expected a recipe that has such a stage"):
        run_by(stages, "train parc")


def test_shifted_test_sets_are_simulated_apart_and_a_report_does_without(folder):
    one, two = (f"{name}: {{n_test: 2, n_times: {n}}}" for name, n in (("long", 40), ("longer", 80)))
    stages = build_stages(load_config(None, (f"simulate.shifts={{{one}}}",)), folder)
    assert run_by(stages, "simulate") == {"simulate_micro", "simulate_meso", "simulate_long"}
    assert "simulate_long" not in required(stages, "report")
    more = fingerprints(build_stages(load_config(None, (f"simulate.shifts={{{two}, {one}}}",)), folder))
    assert more["simulate_long"] == fingerprints(stages)["simulate_long"]
    assert changed(folder, f"simulate.shifts={{{one}}}") == {"simulate_long"}


def test_a_shifted_test_set_draws_from_a_seed_of_its_own():
    config = load_config(None, ("simulate.shifts={a: {n_test: 1}, b: {n_test: 1}}",))
    seeds = {campaign_seed(config, name) for name in config.simulate.campaigns}
    assert len(seeds) == 4
    assert campaign_seed(load_config(None, ("simulate.shifts={b: {n_test: 9}}",)), "b") == campaign_seed(config, "b")
