import os
import re
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import h5py
import numpy as np
import pytest
from typer.testing import CliRunner

import probtokens
from probtokens import MicroTokens, Trajectories, cli
from probtokens.data.atomic import WriteError
from probtokens.pipeline.doctor import SelfCheck
from probtokens.simulate import shard
from probtokens.verify.check import Case, Check
from tests.helpers import make_campaign
from tests.pipeline.recipes import TINY

RECIPE = "rollout: {models: [persistence]}\n"


@pytest.fixture
def call(tmp_path):
    """Run the command line in this process; a recipe is at hand as ``recipe``."""
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(RECIPE, encoding="utf-8")

    def call(*arguments):
        return CliRunner().invoke(cli.app, [str(argument) for argument in arguments])

    call.recipe, call.out = recipe, tmp_path / "run"
    return call


def fails_in_one_line(result, *parts):
    """Check for one line with all parts; a path that is long has at least its end there."""
    lines = [line for line in result.stderr.splitlines() if line.startswith("probtokens: error: ")]
    assert result.exit_code == 2, result.output
    assert len(lines) == 1, result.stderr
    assert "Traceback" not in result.output
    assert all((str(part)[-100:] if isinstance(part, Path) else part) in lines[0] for part in parts), lines[0]


def test_a_missing_recipe(call, tmp_path):
    fails_in_one_line(call("run", tmp_path / "absent.yaml", "--out", call.out), "absent.yaml: expected a recipe file, found none")
    assert not call.out.exists()


def test_an_unknown_key(call):
    call.recipe.write_text("rollout: {member: 8}\n", encoding="utf-8")
    fails_in_one_line(
        call("run", call.recipe, "--out", call.out), call.recipe, "rollout.member: no such key (got 8); did you mean 'members'?"
    )


def test_a_bad_override(call):
    fails_in_one_line(call("run", call.recipe, "--out", call.out, "--set", "rollout.members=1"), "rollout.members", "got 1")


def test_an_unknown_key_in_an_override_names_the_override(call):
    fails_in_one_line(call("run", call.recipe, "--out", call.out, "--set", "sed=1"), call.recipe, "--set sed=1", "did you mean 'seed'?")


@pytest.mark.parametrize("scale", ["micro", "meso"])
def test_a_missing_data_folder_is_refused_before_anything_is_made(call, tmp_path, scale):
    result = call("run", call.recipe, "--out", call.out, "--set", f"data.{scale}={tmp_path / 'absent'}")
    fails_in_one_line(result, f"data.{scale}: ", tmp_path / "absent", "expected a folder of simulations, found none")
    assert not call.out.exists()


def test_a_missing_image_is_refused_before_anything_is_made(call, tmp_path):
    image = f"simulate.meso.microstructure.image={{path: {tmp_path / 'absent.png'}, pixel_size: 0.02}}"
    result = call("run", call.recipe, "--out", call.out, "--set", image)
    fails_in_one_line(result, "simulate.meso.microstructure.image.path: ", tmp_path / "absent.png", "found no file")
    assert not call.out.exists()


def test_a_data_folder_without_splits(call, tmp_path):
    (tmp_path / "empty").mkdir()
    result = call("simulate", call.recipe, "--out", call.out, *(f"--set=data.{scale}={tmp_path / 'empty'}" for scale in ("micro", "meso")))
    fails_in_one_line(result, "expected a folder", "train")


@pytest.fixture
def given_data(call, tmp_path):
    """Check a sound data set after ``harm(shard)`` has been done to one of its files."""
    folder = make_campaign(tmp_path / "given")

    def check(harm):
        shard = folder / "test" / "shard_0000.hdf5"
        harm(shard)
        result = call("simulate", call.recipe, "--out", call.out, "--set", f"data.micro={folder}", "--set", f"data.meso={folder}")
        return shard, result

    return check


def test_sound_data_pass(given_data):
    _, result = given_data(lambda shard: None)
    assert result.exit_code == 0, result.output


def test_a_truncated_file(given_data):
    def truncate(shard):
        os.truncate(shard, shard.stat().st_size // 2)

    shard, result = given_data(truncate)
    fails_in_one_line(result, shard, "expected a complete HDF5 file", "truncated file")


def test_a_field_of_another_shape(given_data):
    def cut(shard):
        with h5py.File(shard, "r+") as file:
            node = file["t0_fields/temperature"]
            values, attributes = node[..., :-1], dict(node.attrs)
            del file["t0_fields/temperature"]
            file["t0_fields"].create_dataset("temperature", data=values).attrs.update(attributes)

    shard, result = given_data(cut)
    fails_in_one_line(result, shard, "temperature", "expected", "got", "16", "15")


def test_a_value_that_is_no_number(given_data):
    def spoil(shard):
        with h5py.File(shard, "r+") as file:
            file["t0_fields/pressure"][1, 2, 3, 4] = np.nan

    shard, result = given_data(spoil)
    fails_in_one_line(result, shard, "pressure", "simulation 1", "frame 2", "expected finite values", "nan")


def test_a_missing_field(given_data):
    def drop(shard):
        with h5py.File(shard, "r+") as file:
            del file["t0_fields/solid_fraction"]
            names = [name for name in file["t0_fields"].attrs["field_names"] if name != "solid_fraction"]
            file["t0_fields"].attrs["field_names"] = names

    shard, result = given_data(drop)
    fails_in_one_line(result, shard, "expected", "solid_fraction")


def test_a_stage_that_needs_another_names_the_command_and_leaves_no_folder(call):
    result = call("rollout", call.recipe, "--out", call.out / "deep" / "run")
    fails_in_one_line(result, "'rollout persistence' expected the results of 'simulate meso', found none", "probtokens simulate")
    assert not call.out.exists()


def test_a_campaign_that_cannot_be_drawn_leaves_no_folder(call):
    pores = "simulate.micro.microstructure={porosity: {low: 0.9, high: 0.95}}"
    fails_in_one_line(
        call("simulate", call.recipe, "--out", call.out, "--jobs", 1, "--set", pores),
        "data/micro/train",
        "expected room for pores of porosity",
    )
    assert not call.out.exists()


def test_a_folder_that_was_there_stays(call):
    call.out.mkdir()
    assert call("rollout", call.recipe, "--out", call.out).exit_code == 2
    assert call.out.is_dir()


EMPTY = "{n_train: 0, n_valid: 0, n_test: 0}"


def test_simulating_asks_a_recipe_about_nothing_else(call):
    others = [
        *("data.fields=[density]", "rollout.scale=micro", "meso.n_simulations=0", "evaluate.hotspot_field=heat"),
        *("data.micro_tokens=absent.pt", f"simulate.micro={EMPTY}", f"simulate.meso={EMPTY}"),
    ]
    overrides = [f"--set={one}" for one in others]
    result = call("simulate", call.recipe, "--out", call.out, *overrides)
    assert result.exit_code == 0, result.output
    told = call("inspect", call.out)
    assert told.exit_code == 0, told.output
    assert "only some commands can use it" in told.stdout
    fails_in_one_line(call("run", call.recipe, "--out", call.out, *overrides), "expected")


def test_simulations_that_training_lacks_are_asked_for_when_it_begins(call):
    result = call("run", call.recipe, "--out", call.out, f"--set=simulate.meso={EMPTY}")
    fails_in_one_line(result, "simulate.meso", "n_valid of at least 1")
    assert not call.out.exists()


def test_a_preview_simulates_nothing_and_leaves_the_folder_to_the_run(call):
    call.recipe.write_text(TINY.replace("n_times: 5", "n_times: 2").replace("time_step: 0.05", "time_step: 0.01"), encoding="utf-8")
    result = call("simulate", call.recipe, "--out", call.out, "--preview")
    assert result.exit_code == 0, result.output
    assert sorted(path.name for path in call.out.rglob("*")) == ["meso.png", "micro.png", "preview"]
    assert call("simulate", call.recipe, "--out", call.out).exit_code == 0
    before = {path: path.stat().st_mtime_ns for path in call.out.rglob("*") if path.is_file() and path.suffix != ".png"}
    assert call("simulate", call.recipe, "--out", call.out, "--preview", "--set", "seed=3").exit_code == 0
    assert {path: path.stat().st_mtime_ns for path in before} == before
    again = call("simulate", call.recipe, "--out", call.out)
    assert "simulate micro: up to date" in again.stderr


def test_a_preview_into_a_folder_of_something_else_is_refused(call):
    call.out.mkdir()
    (call.out / "thesis.tex").touch()
    fails_in_one_line(call("simulate", call.recipe, "--out", call.out, "--preview"), call.out, "found other files")


TINY_CAMPAIGN = """
simulate:
  physics: {compile: false}
  micro: &micro
    {ny: 16, nx: 24, time_step: 0.02, n_times: 2, n_train: 2, n_valid: 1, n_test: 1, shard_size: 2,
     microstructure: {kinds: [ellipse], diameter: {low: 0.25, high: 0.3}, margin: 0.08}}
  meso: *micro
rollout: {models: [persistence]}
"""


def test_simulations_by_jobs_of_a_cluster_are_those_of_this_process(call, tmp_path):
    pytest.importorskip("submitit")
    call.recipe.write_text(TINY_CAMPAIGN, encoding="utf-8")
    here, there = tmp_path / "here", tmp_path / "there"
    assert call("simulate", call.recipe, "--out", here, "--jobs", 1).exit_code == 0
    arguments = ("simulate", call.recipe, "--out", there, "--submitit", "--set", "simulate.cluster.executor=debug")
    assert call(*arguments).exit_code == 0
    shards = sorted((here / "data").rglob("*.hdf5"))
    assert len(shards) == 6
    for path in shards:
        assert (there / path.relative_to(here)).read_bytes() == path.read_bytes()
    again = call("simulate", call.recipe, "--out", there, "--jobs", 2)
    assert "simulate micro: up to date\nsimulate meso: up to date\n" in again.stderr


def test_failed_runs_are_told_at_once_at_the_end_and_when_asked(call, monkeypatch):
    call.recipe.write_text(TINY_CAMPAIGN, encoding="utf-8")
    draw = shard.draw

    def one_is_broken(task, campaign):
        pressure, porosity = draw(task, campaign)
        if len(porosity) == 2:
            porosity[1, 3, 3] = np.nan
        return pressure, porosity

    monkeypatch.setattr(shard, "draw", one_is_broken)
    result = call("simulate", call.recipe, "--out", call.out, "--jobs", 1)
    assert result.exit_code == 0, result.output
    assert "micro train/shard_0000: left out run 1 (" in result.stderr
    data = call.out / "data" / "micro"
    assert f"simulate micro: runs that failed and are left out: 1; see probtokens inspect {data}\n" in result.stderr
    assert "train/shard_0000.hdf5 run 1 (" in call("inspect", data).output


def test_without_submitit_the_line_says_what_to_install(call, monkeypatch):
    monkeypatch.setitem(sys.modules, "submitit", None)
    fails_in_one_line(call("simulate", call.recipe, "--out", call.out, "--submitit"), "pip install 'probtokens[slurm]'")


def test_coverage_of_what_is_no_run_folder(call, tmp_path):
    fails_in_one_line(call("inspect", tmp_path, "--coverage"), tmp_path, "expected a run folder")


def test_coverage_before_the_data_names_the_command(call):
    call.out.mkdir()
    (call.out / "config.yaml").write_text(RECIPE, encoding="utf-8")
    result = call("inspect", call.out, "--coverage")
    fails_in_one_line(result, "expected the results of 'simulate micro', found none", "probtokens simulate", call.out)
    assert not (call.out / "coverage").exists()


def test_coverage_of_data_without_a_field_or_a_folder(call, tmp_path):
    folder = make_campaign(tmp_path / "given")
    groups = "[{fields: [temperature], channels: 2}, {fields: [reacted_fraction], channels: 1}]"
    settings = f"{{fields: [temperature, reacted_fraction], micro: {folder}, meso: {folder}}}"
    call.out.mkdir()
    (call.out / "config.yaml").write_text(f"data: {settings}\nmicro: {{tokens: {{groups: {groups}}}}}\n", encoding="utf-8")
    fails_in_one_line(call("inspect", call.out, "--coverage"), folder / "train", "expected fields ['reacted_fraction']")
    (call.out / "config.yaml").write_text(f"data: {{micro: {folder}, meso: {tmp_path / 'absent'}}}\n", encoding="utf-8")
    fails_in_one_line(call("inspect", call.out, "--coverage"), "data.meso", tmp_path / "absent", "found none")
    assert not (call.out / "coverage").exists()


def test_coverage_leaves_the_records_of_a_run_as_they_are(call, tmp_path):
    folder = make_campaign(tmp_path / "given")
    given = [f"--set=data.{scale}={folder}" for scale in ("micro", "meso")]
    assert call("simulate", call.recipe, "--out", call.out, *given).exit_code == 0
    before = {path: path.stat().st_mtime_ns for path in call.out.rglob("*") if path.is_file()}
    result = call("inspect", call.out, "--coverage")
    assert result.exit_code == 0, result.output
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert sorted(path.name for path in call.out.rglob("coverage*")) == ["coverage", "coverage.json", "coverage.png"]
    again = call("simulate", call.recipe, "--out", call.out, *given)
    assert again.exit_code == 0
    assert "check micro: up to date" in again.stderr


def test_a_training_that_diverges_names_stage_step_remedy_and_what_was_kept(call, tmp_path):
    folder = make_campaign(tmp_path / "given", n_train=2, n_valid=1, n_test=1)
    tokens = "{patch: 8, width: 8, group_width: 8, transition_blocks: 1, trajectory_dim: 2, groups: [{fields: [temperature], channels: 2}]}"
    stages = (
        "[{name: codec, objective: reconstruction, steps: 1, batch_size: 2}, {name: wild, objective: elbo, steps: 9, learning_rate: 1e5}]"
    )
    data = f"data: {{fields: [temperature], micro: {folder}, meso: {folder}}}"
    call.recipe.write_text(
        f"{data}\nmicro: {{tokens: {tokens}, stages: {stages}}}\nrollout: {{models: [micro_tokens]}}\n", encoding="utf-8"
    )
    result = call("run", call.recipe, "--out", call.out)
    kept = call.out / "checkpoints" / "micro" / "00_codec.pt"
    fails_in_one_line(
        result, "'wild', step 2 of 9: expected a finite loss, got nan; try a learning_rate below 100000; last good state: ", kept
    )
    assert len(result.stderr.splitlines()[-1]) <= len("probtokens: error: ") + 300
    assert kept.is_file()


def test_usage_errors_are_user_errors(call):
    assert call("run", call.recipe).exit_code == 2
    assert call("train", "nothing", call.recipe, "--out", call.out).exit_code == 2
    assert call("fly").exit_code == 2
    assert call("simulate", call.recipe, "--out", call.out, "--jobs", 0).exit_code == 2


FORECAST, CLOSURE = ("forecast", "--image", "absent.png", "--scale=0.02", "--out=x"), ("closure", "--model=hmx-standard", "--out=x")


@pytest.mark.parametrize(
    "arguments",
    [
        *(
            (*FORECAST, "--pressure=8", f"{name}={value}")
            for name in ("--steps", "--draws")
            for value in ("0", "-3", 10**12, "1e12", "nan", "x")
        ),
        *(
            (*command, f"--seed={value}")
            for command in ((*FORECAST, "--pressure=8"), CLOSURE)
            for value in ("-1", 2**63, "1e3", "nan", "x")
        ),
        *((*command, f"--pressure={value}") for command in (FORECAST, CLOSURE) for value in ("0", "-5", "1e12", "nan", "inf", "x")),
        *((*FORECAST, "--pressure=8", f"--scale={value}") for value in ("0", "-1", "nan", "inf", "x")),
        *((*FORECAST, "--pressure=8", f"--least-diameter={value}") for value in ("-1", "nan", "inf", "x")),
        *((*FORECAST, "--pressure=8", f"--threshold={value}") for value in ("0", "1", "nan", "x")),
        *((*CLOSURE, f"--porosity={value}") for value in ("0", "-0.1", "1", "nan", "x")),
        *((*CLOSURE, f"--diameter={value}") for value in ("0", "-1", "nan", "inf", "x")),
        *((*CLOSURE, f"{name}={value}") for name in ("--draws", "--microstructures") for value in ("0", 10**12, "nan", "x")),
        *(("simulate", "absent.yaml", "--out=x", f"--jobs={value}") for value in ("0", "-1", 10**12, "nan", "x")),
    ],
    ids=lambda arguments: f"{arguments[0]} {arguments[-1]}",
)
def test_absurd_numbers_are_refused_before_anything_is_done(call, monkeypatch, arguments):
    for name in ("load", "pipeline.closure.closure_of_model", "pipeline.commands.run_stages"):
        monkeypatch.setattr(f"probtokens.{name}", lambda *_, **__: pytest.fail("work has begun"))
    result = call(*arguments)
    option = arguments[-1].partition("=")[0].removeprefix("--")
    assert result.exit_code == 2, result.output
    assert option in result.stderr
    assert len(result.stderr.splitlines()[-1]) <= 300


def test_sensible_numbers_are_taken(call, monkeypatch):
    taken = []
    for command in ("forecast.forecast_image", "closure.closure_of_model", "commands.run_stages"):
        monkeypatch.setattr(f"probtokens.pipeline.{command}", lambda *given, **options: taken.append((given, options)))
    assert call(*FORECAST, "--pressure=100", "--steps=1", "--draws=1", f"--seed={2**63 - 1}", "--threshold=0.5").exit_code == 0
    assert call(*CLOSURE, "--pressure=1e-3", "--porosity=0.5", "--diameter=0.1", "--draws=2", "--seed=0").exit_code == 0
    assert call("simulate", "absent.yaml", "--out=x", "--jobs=2").exit_code == 0
    assert (taken[0][0][0].pressure, taken[0][0][0].seed, taken[0][0][0].threshold) == (100.0, 2**63 - 1, "0.5")
    assert (taken[1][0][2].pressures, taken[1][0][2].porosities, taken[1][1]) == ((1e-3,), (0.5,), {"draws": 2, "seed": 0})
    assert taken[2][0][3] == ["simulate.jobs=2"]


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (MemoryError(), 2, "probtokens: error: memory: expected more than there is (none was got); try fewer draws, cells or jobs\n"),
        (
            RuntimeError("[enforce fail] can't allocate memory: you"),
            2,
            "probtokens: error: memory: expected more than there is ([enforce fail] can't allocate memory: you); "
            "try fewer draws, cells or jobs\n",
        ),
        (ValueError("file x:\n  expected a, got b"), 2, "probtokens: error: file x: expected a, got b\n"),
        (FileNotFoundError(2, "No such file", "x"), 2, "probtokens: error: x: expected a path that can be used, got No such file\n"),
        (
            OSError(36, "File name too long", "x" * 5000),
            2,
            f"probtokens: error: …{'x' * 149}: expected a path that can be used, got File name too long\n",
        ),
        (WriteError("x: cannot write: No space left on device"), 2, "probtokens: error: x: cannot write: No space left on device\n"),
        (RuntimeError("broken"), 1, "probtokens: error: unexpected RuntimeError: broken (--debug shows where)\n"),
        (KeyboardInterrupt(), 130, "probtokens: interrupted; the same command goes on from here\n"),
    ],
    ids=["no memory", "no memory for tensors", "bad value", "missing file", "long name", "full disk", "bug", "Ctrl-C"],
)
def test_exit_codes(call, monkeypatch, error, code, text):
    def fail(path):
        raise error

    monkeypatch.setattr("probtokens.pipeline.inspect.describe", fail)
    result = call("inspect", "x")
    assert (result.exit_code, result.stderr) == (code, text)


def test_an_exit_that_stands_for_ctrl_c_is_one(call, monkeypatch):
    def interrupted(path):
        try:
            raise KeyboardInterrupt
        except KeyboardInterrupt:
            sys.exit(1)

    monkeypatch.setattr("probtokens.pipeline.inspect.describe", interrupted)
    assert call("inspect", "x").exit_code == 130


def test_debug_shows_the_traceback(call, monkeypatch):
    def fail(path):
        raise ValueError("expected a, got b")

    monkeypatch.setattr("probtokens.pipeline.inspect.describe", fail)
    result = call("inspect", "x", "--debug")
    assert result.exit_code == 2
    assert "Traceback" in result.stderr
    assert result.stderr.endswith("probtokens: error: expected a, got b\n")


def test_version(call):
    result = call("--version")
    assert (result.exit_code, result.output) == (0, f"probtokens {probtokens.__version__}\n")
    assert re.fullmatch(r"\d+\.\d+\.\d+\S*", probtokens.__version__)


def test_help_lists_the_commands(call):
    text = call("--help").output
    assert all(name in text for name in ("run", "simulate", "train", "rollout", "evaluate", "report", "inspect"))


def test_the_package_is_the_command():
    ran = subprocess.run([sys.executable, "-m", "probtokens", "--version"], capture_output=True, text=True, check=True)
    assert ran.stdout == f"probtokens {probtokens.__version__}\n"


def test_the_shell_completes_keys_of_settings():
    words = {"_PROBTOKENS_COMPLETE": "complete_bash", "COMP_WORDS": "probtokens settings micro.tokens.pat", "COMP_CWORD": "2"}
    ran = subprocess.run([sys.executable, "-m", "probtokens"], env=os.environ | words, capture_output=True, text=True, check=False)
    assert ran.stdout.split() == ["micro.tokens.patch"]


@pytest.mark.parametrize("path", [*sorted(Path("docs").glob("results/*/scores.json")), *sorted(Path("examples").glob("*.yaml"))], ids=str)
def test_inspect_reads_what_the_repository_holds(call, path):
    result = call("inspect", path)
    assert result.exit_code == 0, result.output
    assert "only some commands" not in result.stdout
    assert ("Test scores: " if path.suffix == ".json" else "fields: ") in result.stdout


def test_inspect_reads_model_files(call, tmp_path):
    result = call("inspect", "probtokens/weights/hmx-standard/model.pt")
    assert result.exit_code == 0, result.output
    for part in ("MicroTokens", "cells of 0.04 µm, frames every 0.125 ns", "reacted_fraction", "card: ", "data.micro_tokens: probtokens"):
        assert part in result.stdout
    assert re.search(r"context +shock_pressure +GPa +4.873 … 13.61", result.stdout)
    meso = call("inspect", "tests/models/stored/format_9_meso.pt")
    assert "MesoTokens" in meso.stdout
    assert "data.micro_tokens" not in meso.stdout  # which takes micro tokens alone
    own = tmp_path / "own.pt"
    data = Trajectories.from_arrays(np.ones((2, 3, 1, 8, 8)), {"height": "m"}, spacing="1 m", time_step="1 s")
    MicroTokens.untrained(data).save(own)
    last = call("inspect", own).stdout.splitlines()[-1]
    assert last.startswith(f"next: in a recipe data.micro_tokens: {own}, or in Python probtokens.load(")  # not of crystals: no micrograph
    (tmp_path / "model.pt").write_bytes(b"none")
    fails_in_one_line(call("inspect", tmp_path / "model.pt"), tmp_path / "model.pt", "expected a model")


def test_simulate_says_beforehand_what_a_default_adds(call):
    recipe = call.out.with_name("meso.yaml")
    recipe.write_text(f"simulate: {{meso: {EMPTY}}}\n", encoding="utf-8")
    text = call("inspect", recipe).stdout
    assert "micro data: simulated, 48 + 4 + 4 runs of 48 × 72 cells, 25 frames, P_s 8 … 14 GPa, by default: the recipe has no" in text
    recipe.write_text(f"simulate: {{meso: {EMPTY}, micro: {EMPTY}}}\n", encoding="utf-8")
    result = call("simulate", recipe, "--out", call.out)
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("micro data: simulated, 0 + 0 + 0 runs of 48 × 72 cells, 25 frames")
    assert "by default" not in result.stdout


def test_every_command_says_what_to_do_next(call, monkeypatch):
    healthy = SelfCheck(1.0, np.array([0.9, 1.1]), True, (1.0, 1.0))
    monkeypatch.setattr("probtokens.pipeline.doctor.self_check", lambda: healthy)
    monkeypatch.setattr("probtokens.verify.inference.CASES", (Case("sums", "one and one", "arithmetic", lambda: [sound()]),))
    empty = [f"--set=simulate.{scale}={EMPTY}" for scale in ("micro", "meso")]
    made, data = call.out.with_name("made"), make_campaign(call.out.with_name("data"))
    commands = [
        ("simulate", call.recipe, "--out", call.out, "--preview", *empty),
        ("simulate", call.recipe, "--out", made, *empty),
        ("inspect", made),
        ("inspect", call.recipe),
        ("inspect", "docs/results/micro/scores.json"),
        ("inspect", "probtokens/weights/hmx-standard/model.pt"),
        ("inspect", data),
        ("settings", "seed"),
        ("doctor",),
        ("verify", "inference"),
    ]
    for command in commands:
        result = call(*command)
        assert result.exit_code == 0, result.output
        assert result.stdout.splitlines()[-1].startswith("next: "), command


def test_an_unsound_installation_fails(call, monkeypatch):
    monkeypatch.setattr("probtokens.pipeline.doctor.self_check", lambda: SelfCheck(9.0, np.array([0.9, 1.1]), True, (1.0, 1.0)))
    result = call("doctor")
    assert result.exit_code == 1
    assert "NOT SOUND" in result.stdout


def sound():
    return Check("sum", "1", 2.0, 2.0)


def test_help_imports_no_heavy_library():
    code = "import sys, probtokens.cli; sys.exit(sum(name in sys.modules for name in ('torch', 'numpy', 'pyro', 'xarray')))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


INTERRUPTED = "probtokens: interrupted; the same command goes on from here\n"


def stopped(work, number, before="pass"):
    """Exit status and standard error of a command that gets a signal while ``work``, a body of statements, is in ``wait``."""
    program = f"""
        import os, signal, sys, time
        import probtokens.pipeline.settings as settings
        from probtokens import cli
        signal.signal(signal.SIGINT, signal.default_int_handler)  # a background shell has it ignored
        def wait(seconds=1200):
            print("at work", flush=True)
            time.sleep(seconds)
        {before}
        def work(key):
            {work}
        settings.describe_settings = work
        cli.main()
    """
    arguments = [sys.executable, "-c", textwrap.dedent(program), "settings", "x"]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "at work\n"
        process.send_signal(number)
        _, stderr = process.communicate(timeout=600)  # machines stall
    return process.returncode, stderr


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_a_command_in_one_line(number, code):
    assert stopped("wait()", number) == (code, INTERRUPTED)


@pytest.mark.parametrize("becomes", ["sys.exit()", "sys.exit(0)", "raise RuntimeError('a process was killed')", "raise ValueError('x')"])
def test_sigterm_is_told_whatever_libraries_make_of_it(becomes):
    work = f"""
            try:
                wait()
            except BaseException:
                {becomes}
    """
    assert stopped(work.strip(), signal.SIGTERM) == (143, INTERRUPTED)


def test_sigterm_is_not_lost_where_python_ignores_exceptions():
    before = """
        class Slow:
            def __del__(self):
                wait()
    """
    work = """
            slow = Slow()
            del slow
            time.sleep(60)
    """
    assert stopped(work.strip(), signal.SIGTERM, before.strip()) == (143, INTERRUPTED)


def test_a_second_sigterm_ends_what_clears_up_for_too_long():
    work = """
            try:
                wait()
            finally:
                os.kill(os.getpid(), signal.SIGTERM)
                time.sleep(60)
    """
    assert stopped(work.strip(), signal.SIGTERM) == (-signal.SIGTERM, "")


@pytest.mark.parametrize(("answer", "code"), [("signal.SIG_IGN", 3), ("lambda *_: os._exit(7)", 7)], ids=["nothing", "another exit code"])
def test_an_answer_to_sigterm_that_is_there_stays(answer, code):
    before = f"signal.signal(signal.SIGTERM, {answer})"
    assert stopped("wait(1); sys.exit(3)", signal.SIGTERM, before) == (code, "")


def test_commands_leave_the_answer_to_sigterm_as_it_was(call, monkeypatch):
    seen = []
    monkeypatch.setattr("probtokens.pipeline.inspect.describe", lambda path: seen.append(signal.getsignal(signal.SIGTERM)))
    assert call("inspect", "x").exit_code == 0
    assert seen[0] is not signal.SIG_DFL
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_inspect_suggests_what_it_can_read(call, tmp_path):
    folder = tmp_path / "section"
    (folder / "ensemble.zarr").mkdir(parents=True)
    for name in ("forecast.json", "hotspots.csv", "log", "report.html", "scores.json"):
        (folder / name).touch()
    fails_in_one_line(call("inspect", folder), folder, "inspect one of ['ensemble.zarr', 'scores.json'] in it?")
