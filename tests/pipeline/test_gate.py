"""Nothing of a run begins with simulations, recipe and tokens that do not fit each other."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import h5py
import numpy as np
import pytest
import torch

from probtokens.config import load_config
from probtokens.data import read_info
from probtokens.pipeline.folder import RunFolder
from probtokens.pipeline.gate import require_fit
from probtokens.pipeline.graph import build_stages, required, run_by
from probtokens.predict.store import RESERVED, create_store, open_rollout
from probtokens.simulate import shard
from probtokens.simulate.run import FIELD_UNITS, SCALAR_UNITS, BatchResult
from probtokens.simulate.shard import planned, run_shard
from probtokens.verify.token_pairs import GRID, TOKENS, micro_tokens
from tests.helpers import make_campaign
from tests.pipeline.recipes import TINY
from tests.simulate.campaigns import CAMPAIGN, PHYSICS, tasks_of

GIVEN = {"micro": {"ny": 16, "nx": 24, "n_times": 4}, "meso": {"ny": 24, "nx": 32, "n_times": 5}}


@pytest.fixture(scope="module")
def campaigns(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with simulations of both scales, 2 + 1 + 1 each."""
    root = tmp_path_factory.mktemp("campaigns")
    for scale, shape in GIVEN.items():
        make_campaign(root / scale, n_train=2, n_valid=1, n_test=1, **shape)
    return root


@pytest.fixture
def data(campaigns: Path, tmp_path: Path) -> Path:
    """Return a copy of them that may be spoiled."""
    return Path(shutil.copytree(campaigns, tmp_path / "data"))


@pytest.fixture
def check(tmp_path: Path) -> Callable[..., None]:
    """Return the gate of a run, or of one command, on given data unless ``data`` is ``None``; nothing may be written."""
    recipe = tmp_path / "tiny.yaml"
    recipe.write_text(TINY, encoding="utf-8")

    def check(data: Path | None, *overrides: str, command: str = "run", scales: tuple[str, ...] = ("micro", "meso")) -> None:
        given = [f"data.{scale}={data / scale}" for scale in scales] if data is not None else []
        config, folder = load_config(recipe, [*given, *overrides]), RunFolder(tmp_path / "run")
        stages = build_stages(config, folder)
        require_fit(config, folder, stages, required(stages, "report") if command == "run" else run_by(stages, command))
        assert not folder.root.exists()

    return check


def rewrite(path: Path, change: Callable[[h5py.File], None]) -> None:
    with h5py.File(path, "r+") as file:
        change(file)


def stretched(axes: tuple[str, ...], factor: float) -> Callable[[h5py.File], None]:
    def change(file: h5py.File) -> None:
        for axis in axes:
            file[f"dimensions/{axis}"][...] = file[f"dimensions/{axis}"][()] * factor

    return change


def with_unit(name: str, unit: str) -> Callable[[h5py.File], None]:
    return lambda file: file[name].attrs.__setitem__("units", unit)


def with_top(kind: str) -> Callable[[h5py.File], None]:
    return lambda file: file["boundary_conditions/top"].attrs.__setitem__("bc_type", kind)


def test_what_fits_passes_whatever_is_run(data: Path, check: Callable[..., None]) -> None:
    for command in ("run", "simulate", "train micro", "train meso", "train parc", "rollout", "evaluate", "report"):
        check(data, command=command)
    check(None)


@pytest.mark.parametrize("place", [(scale, split) for scale in GIVEN for split in ("train", "valid", "test")])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (stretched(("x", "y"), 1.25), r"cell size: expected .* µm as in .*, got"),
        (stretched(("time",), 2.0), r"frame step: expected .* ns as in .*, got"),
        (with_unit("scalars/shock_pressure", "Pa"), r"scalar 'shock_pressure': expected unit '(GPa|Pa)' as in .*, got '(GPa|Pa)'"),
        (with_top("OPEN"), r"top edge: expected (WALL|OPEN) as in .*, got (WALL|OPEN)"),
    ],
)
def test_files_of_every_split_and_scale_are_compared(
    data: Path, check: Callable[..., None], place: tuple[str, str], change: Callable[[h5py.File], None], message: str
) -> None:
    rewrite(data.joinpath(*place, "shard_0000.hdf5"), change)
    with pytest.raises(ValueError, match=message) as caught:
        check(data, command="run" if place[0] == "meso" else "simulate")
    assert len(str(caught.value)) <= 300


LATE: list[tuple[list[str], str]] = [
    (
        ["micro.tokens.patch=5"],
        "micro/train/shard_0000.hdf5: grid: expected ny and nx as multiples of 5 .micro.tokens.patch., got 16 and 24",
    ),
    (["meso.n_simulations=3"], "meso/train/.*: expected meso.n_simulations of at most the 2 training simulations, got 3"),
    (["report.simulation=1"], "meso/test/.*: test simulations: expected report.simulation in 0..0, got 1"),
    (["data.context=[shock_pressure, time]"], "expected scalars .'time'., got a file with"),
    (["data.context=[density]"], "expected scalars .'density'., got a file with"),
    (
        ["data.fields=[temperature, velocity_y]", "micro.tokens.groups=[{fields: [temperature, velocity_y], channels: 4}]"],
        "meso/train/.*: parc: fields: expected both of .'velocity_x', 'velocity_y'. or none, got .'temperature', 'velocity_y'.",
    ),
    (
        ["meso.stages=[{name: a, objective: reconstruction, steps: 1}]"],
        "meso/train/.*: meso.stages: a: learn: expected some of the parameter groups",
    ),
    (
        ["micro.stages=[{name: a, objective: elbo, steps: 1, learn: [weights]}]"],
        "micro/train/.*: micro.stages: a: learn: expected some of the parameter groups .* of MicroTokens",
    ),
    *(
        (
            [f"{model}.{key}=1000000"],
            f"{scale}/train/.*: {model}.stages: expected a model of at most 1000000000 numbers to learn, got widths",
        )
        for model, key, scale in (("micro", "tokens.width", "micro"), ("meso", "guide_rank", "meso"), ("parc", "width", "meso"))
    ),
    *(
        (
            [f"{model}.stages=[{{name: a, objective: rollout_error, steps: 1, horizon: {n}}}]"],
            f"{scale}/train/.*: {model}.stages: a: horizon: expected 0..{n - 1} for simulations of {n} frames, got {n}",
        )
        for model, scale, n in (("micro", "micro", 4), ("meso", "meso", 5), ("parc", "meso", 5))
    ),
]


@pytest.mark.parametrize(("overrides", "message"), LATE)
def test_the_recipe_is_compared_with_the_files(data: Path, check: Callable[..., None], overrides: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        check(data, *overrides)
    assert len(str(caught.value)) <= 300


def test_names_that_rollouts_need_are_refused(data: Path, check: Callable[..., None]) -> None:
    for split in ("train", "valid", "test"):
        for scale in GIVEN:
            rewrite(data / scale / split / "shard_0000.hdf5", lambda file: file["scalars"].move("porosity", "lead"))
            rewrite(
                data / scale / split / "shard_0000.hdf5",
                lambda file: file["scalars"].attrs.__setitem__("field_names", ["shock_pressure", "lead"]),
            )
    with pytest.raises(ValueError, match=r"data.context 'lead': expected a name that rollouts do not use for something else"):
        check(data, "data.context=[lead]")


@pytest.mark.parametrize("name", ["a/b", ".hidden", "__x"])
def test_names_that_are_no_names_of_arrays_are_refused_before_anything_is_trained(
    name: str, data: Path, check: Callable[..., None]
) -> None:
    def rename(file: h5py.File) -> None:
        file.attrs["simulation_parameters"] = [name]
        file.attrs[name] = 1.0

    for path in data.rglob("*.hdf5"):
        rewrite(path, rename)
    with pytest.raises(ValueError, match=f"data.context '{name}': expected a name without a slash that begins with a letter"):
        check(data, f"data.context=[{name}]")


def test_names_of_files_that_no_text_can_hold_are_refused(data: Path, check: Callable[..., None]) -> None:
    """Simulations are called after their files, in rollouts too."""
    file = data / "meso" / "test" / "shard_0000.hdf5"
    os.rename(file, os.fsencode(file.parent) + b"/caf\xe9.hdf5")
    with pytest.raises(ValueError, match=r"expected a file name of printable letters in UTF-8, got b'caf\\xe9.hdf5'"):
        check(data)


def test_reserved_names_are_those_of_a_store(tmp_path: Path) -> None:
    create_store(tmp_path / "a.zarr", draws=1, simulations=["a"], fields=micro_tokens().fields, grid=GRID, context={}, attributes={})
    assert {str(name) for name in open_rollout(tmp_path / "a.zarr").variables} == set(RESERVED)


def test_only_what_is_run_has_to_fit(data: Path, check: Callable[..., None]) -> None:
    late = "meso.stages=[{name: a, objective: reconstruction, steps: 1}]"
    check(data, late, "rollout.models=[persistence]")
    check(data, late, command="train micro")
    with pytest.raises(ValueError, match="meso.stages: a: learn"):
        check(data, late, command="train meso")
    rewrite(data / "micro" / "train" / "shard_0000.hdf5", stretched(("time",), 2.0))
    check(data, "rollout.models=[persistence]")
    check(data, command="train parc")


def test_mirror_images_need_edges_of_one_kind(data: Path, check: Callable[..., None]) -> None:
    for path in data.glob("*/*/*.hdf5"):
        rewrite(path, with_top("OPEN"))
    with pytest.raises(
        ValueError, match=r"edges: expected bottom and top of one kind with data.symmetry \[mirror_y\]; .*, got WALL and OPEN"
    ):
        check(data)
    check(data, "data.symmetry=[]")


PLANNED: list[tuple[list[str], str]] = [
    (["simulate.meso.ny=20"], "simulate.meso: grid: expected ny and nx as multiples of 8 .micro.tokens.patch., got 20 and 32"),
    (["simulate.meso.spacing=0.05"], "simulate.meso: cell size: expected 0.04 µm as in simulate.micro, got 0.05 µm"),
    (["simulate.meso.n_test=0"], "simulate.meso: expected n_test of at least 1, got 0"),
    (["simulate.micro.n_train=0"], "simulate.micro: expected n_train of at least 1, got 0"),
    (["data.context=[load]"], "simulate.micro: expected scalars .'load'., got a file with .'shock_pressure'"),
    (["report.simulation=2"], "simulate.meso: test simulations: expected report.simulation in 0..1, got 2"),
    (
        [
            "data.fields=[density]",
            "micro.tokens.groups=[{fields: [density], channels: 4}]",
            "evaluate.hotspot_field=density",
            "evaluate.hotspot_threshold=2",
        ],
        "simulate.micro: expected fields .'density'., got a file with .'temperature'",
    ),
]


@pytest.mark.parametrize(("overrides", "message"), PLANNED)
def test_simulations_to_come_are_compared_before_they_are_made(check: Callable[..., None], overrides: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check(None, *overrides)
    check(None, *overrides, command="simulate")  # simulating alone is free of what training asks for


OTHER_SCALES: list[tuple[dict[str, float], list[str], str]] = [
    (
        {"spacing": 0.08},
        [],
        r"cell size: expected 0\.04 µm as in .*micro/train/.*, got 0\.08 µm, which data\.meso_cell_width: 2 would declare$",
    ),
    ({"spacing": 0.02}, [], r"cell size: expected 0\.04 µm .*, got 0\.02 µm, which data\.meso_cell_width: 0\.5 would declare$"),
    ({"spacing": 0.06}, [], r"cell size: expected 0\.04 µm .*, got 0\.06 µm$"),
    ({}, ["data.meso_cell_width=2"], r"cell size: expected 2 × 0\.04 µm .*, got 0\.04 µm, which data\.meso_cell_width: 1 would declare$"),
    ({"time_step": 0.25}, [], r"frame step: expected 0\.125 ns .*, got 0\.25 ns, which data\.meso_steps_per_frame: 2 would declare$"),
    (
        {"time_step": 0.375},
        ["data.meso_steps_per_frame=2"],
        r"frame step: expected 2 × 0\.125 ns .*, got 0\.375 ns, which data\.meso_steps_per_frame: 3 would declare$",
    ),
    ({"time_step": 0.0625}, [], r"frame step: expected 0\.125 ns .*, got 0\.0625 ns$"),
    (
        {"spacing": 0.12},
        ["data.meso_cell_width=3"],
        r"meso/train/.*: cell size: expected data\.meso_cell_width as a divisor of 8 \(micro\.tokens\.patch\), got 3$",
    ),
    (
        {"spacing": 0.02, "nx": 24},
        ["data.meso_cell_width=0.5"],
        r"grid: expected ny and nx as multiples of 16 \(micro\.tokens\.patch over data\.meso_cell_width\), got 32 and 24$",
    ),
]


@pytest.mark.parametrize(("shape", "overrides", "message"), OTHER_SCALES)
def test_other_scales_are_refused_unless_they_are_declared(
    tmp_path: Path, check: Callable[..., None], shape: dict[str, float], overrides: list[str], message: str
) -> None:
    data = tmp_path / "data"
    make_campaign(data / "micro", n_train=2, n_valid=1, n_test=1, **GIVEN["micro"])
    make_campaign(data / "meso", n_train=2, n_valid=1, n_test=1, **({"ny": 32, "nx": 32, "n_times": 5} | shape))
    with pytest.raises(ValueError, match=message) as caught:
        check(data, *overrides)
    assert len(str(caught.value)) <= 300


@pytest.mark.parametrize(
    ("shape", "declared"),
    [
        ({"ny": 12, "nx": 16, "spacing": 0.08}, "data.meso_cell_width=2"),
        ({"ny": 48, "nx": 96, "spacing": 0.04 / 3}, "data.meso_cell_width=0.333333333"),
        ({"ny": 16, "nx": 24, "time_step": 0.375}, "data.meso_steps_per_frame=3"),
    ],
)
def test_declared_scales_pass(tmp_path: Path, check: Callable[..., None], shape: dict[str, float], declared: str) -> None:
    data = tmp_path / "data"
    make_campaign(data / "micro", n_train=2, n_valid=1, n_test=1, **GIVEN["micro"])
    make_campaign(data / "meso", n_train=2, n_valid=1, n_test=1, **({"n_times": 5} | shape))
    for command in ("run", "train meso", "rollout"):
        check(data, declared, command=command)


def test_given_and_planned_simulations_are_compared(data: Path, check: Callable[..., None]) -> None:
    for command in ("run", "simulate"):
        with pytest.raises(ValueError, match="simulate.meso: frame step: expected 0.125 ns as in .*micro/train/.*hdf5, got 0.02 ns"):
            check(data, scales=("micro",), command=command)
    check(data, "simulate.meso.time_step=0.125", "simulate.physics.frame=laboratory", scales=("micro",))
    with pytest.raises(ValueError, match="simulate.meso: left edge: expected OPEN as in .*, got WALL"):
        check(data, "simulate.meso.time_step=0.125", scales=("micro",))


def test_planned_files_are_described_as_they_are_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    campaign = CAMPAIGN.model_copy(update={"n_train": 1, "n_valid": 0, "n_test": 0})
    (task,) = tasks_of(campaign, tmp_path)

    def simulated(*args: object) -> BatchResult:
        frames = np.full((task.campaign.n_train, campaign.n_times, campaign.ny, campaign.nx), 0.5, dtype=np.float32)
        return BatchResult(dict.fromkeys(FIELD_UNITS, frames), dict.fromkeys(SCALAR_UNITS, np.zeros(1)))

    monkeypatch.setattr(shard, "run_batch", simulated)
    monkeypatch.setattr(shard, "_solver", lambda *args: SimpleNamespace(kernels="eager"))
    run_shard(task)
    written, described = read_info(task.shard.path), planned(tmp_path, campaign, PHYSICS)
    assert set(described.fields) == set(written.fields)
    assert {name: described.spec(name) for name in described.fields} == {name: written.spec(name) for name in written.fields}
    assert set(described.scalars) <= set(written.scalars)
    assert described.units == written.units
    assert described.boundary == written.boundary
    assert described.grid.shape == written.grid.shape
    assert described.grid.n_times == written.grid.n_times
    assert described.grid.compatible_with(written.grid)


@pytest.mark.parametrize(
    ("shape", "overrides", "message"),
    [
        ({"ny": 12}, [], r"data/meso/train/.*: grid: expected ny and nx as multiples of 8 .the patch of .*tokens.pt., got 12 and 32"),
        ({"spacing": 0.05}, [], "data/meso/train/.*: cell size: expected 0.04 µm as in .*tokens.pt, got 0.05 µm"),
        ({"time_step": 0.25}, [], "data/meso/train/.*: frame step: expected 0.125 ns as in .*tokens.pt, got 0.25 ns"),
        ({}, ["data.symmetry=[]"], "tokens.pt: expected tokens with views 'one' without mirror_y in data.symmetry, got 'mirrored'"),
        ({}, ["data.context=[]"], r"tokens.pt: expected micro tokens of data.context \[\], got \['shock_pressure'\]"),
    ],
)
def test_given_tokens_are_compared(
    tmp_path: Path, check: Callable[..., None], shape: dict[str, int], overrides: list[str], message: str
) -> None:
    micro_tokens(views="mirrored").save(tmp_path / "tokens.pt")
    make_campaign(tmp_path / "data" / "meso", n_train=2, n_valid=1, n_test=1, **({"ny": 24, "nx": 32} | shape))
    given = f"data.micro_tokens={tmp_path / 'tokens.pt'}"
    for command in ("run", "simulate"):
        with pytest.raises(ValueError, match=message):
            check(tmp_path / "data", given, *overrides, scales=("meso",), command=command)


def test_given_tokens_of_another_unit_are_refused(tmp_path: Path, check: Callable[..., None]) -> None:
    for unit in ("kg/m^3", "g/cm^3"):
        make_campaign(tmp_path / unit / "meso", n_train=2, n_valid=1, n_test=1, ny=16)
        for path in (tmp_path / unit / "meso").glob("*/*.hdf5"):

            def to_density(file: h5py.File, unit: str = unit) -> None:
                file["t0_fields"].move("temperature", "density")
                file["t0_fields"].attrs["field_names"] = ["density", "pressure", "solid_fraction"]
                file["t0_fields/density"].attrs["units"] = unit

            rewrite(path, to_density)
    from probtokens.data import Normalizer, TrajectorySet
    from probtokens.models.micro import MicroTokens

    trained_on = TrajectorySet.open(tmp_path / "kg/m^3" / "meso" / "train", ["density"], [])
    MicroTokens(TOKENS.model_copy(update={"groups": ()}), Normalizer.fit(trained_on), trained_on.grid).save(tmp_path / "tokens.pt")
    settings = [
        "data.fields=[density]",
        "data.context=[]",
        "evaluate.hotspot_field=density",
        "evaluate.hotspot_threshold=2",
        f"data.micro_tokens={tmp_path / 'tokens.pt'}",
    ]
    check(tmp_path / "kg/m^3", *settings, scales=("meso",))
    with pytest.raises(
        ValueError, match=r"g/cm.3/meso/train/.*: field 'density': expected unit 'kg/m\^3' as in .*tokens.pt, got 'g/cm\^3'"
    ):
        check(tmp_path / "g/cm^3", *settings, scales=("meso",))


def test_the_gate_draws_nothing(data: Path, check: Callable[..., None]) -> None:
    before = torch.get_rng_state()
    check(data)
    assert torch.equal(torch.get_rng_state(), before)


def test_validation_simulations_are_asked_for_where_spreads_are_recalibrated(data: Path, check: Callable[..., None]) -> None:
    few = "simulate.meso.n_valid=0"
    with pytest.raises(ValueError, match="simulate.meso: expected n_valid of at least 1"):
        check(None, few)
    check(None, few, "evaluate.recalibrate=false")
    shutil.rmtree(data / "meso" / "valid")
    with pytest.raises(ValueError, match="valid"):
        check(data)
    check(data, "evaluate.recalibrate=false")
