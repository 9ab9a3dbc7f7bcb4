"""The command: from a run, from simulations and a model, from drawn microstructures."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import xarray as xr
from typer.testing import CliRunner

from probtokens.cli import app
from probtokens.data.the_well import write_shard
from probtokens.fields import Grid, field_spec
from probtokens.pipeline.closure_files import closure_dataset
from probtokens.pipeline.closure_lines import scatter_lines
from probtokens.pipeline.folder import RunFolder
from probtokens.predict import open_rollout
from probtokens.predict.closure_rates import load_closure
from probtokens.predict.ignition_growth import IgnitionGrowth
from probtokens.predict.store import create_store
from probtokens.simulate.eos import MENIKOFF_SEWELL
from tests.helpers import BOUNDARY

SPECS = tuple(map(field_spec, ("temperature", "pressure", "solid_fraction", "reacted_fraction")))
GRID = Grid(16, 24, 0.04, 0.25, 21)
FILES = {"closure.nc", "rates.csv", "curves.csv", "closure.json", "ignition_growth.json", "summary.json", "rates.png", "burnt.png"}


def burning(first: np.ndarray, pressure: np.ndarray, lead: int, factor: np.ndarray) -> np.ndarray:
    """Frames (draw, simulation, field, y, x): a corner burns from a time on that falls with pressure, draws ``factor`` times as fast."""
    time = lead * GRID.time_step
    share = np.clip(0.004 * factor[:, None] * pressure**1.5 * np.maximum(time - 10 / pressure**1.5, 0), 0, 1)[..., None, None]
    frame = np.broadcast_to(first, (len(factor), *first.shape)).copy()
    frame[:, :, 0], frame[:, :, 1], frame[:, :, 2] = 700.0, pressure[:, None, None], 1.0
    frame[:, :, 3, :, 8:] = share
    return frame


class Burner:
    """Forecaster of the corner, whose draws differ."""

    name = "burner"
    fields = SPECS
    normalizer = SimpleNamespace(context_names=("shock_pressure",))
    grid = Grid(16, 24, GRID.spacing, GRID.time_step, GRID.n_times)

    def forecast(self, initial, context, *, grid, n_steps, n_draws, seed) -> Iterator[torch.Tensor]:
        factor = 1 + 0.1 * np.random.default_rng(seed).normal(size=n_draws)
        for lead in range(1, n_steps + 1):
            yield torch.from_numpy(burning(initial.numpy(), context[:, 0].numpy(), lead, factor)).float()


def simulations(n: int = 6) -> tuple[np.ndarray, np.ndarray]:
    """First frames (simulation, field, y, x) with pores of different sizes, and pressures."""
    y, x = np.mgrid[: GRID.ny, : GRID.nx]
    radius = 2.5 + 0.5 * (np.arange(n) % 3)[:, None, None]
    solid = 1.0 - 0.999 * ((y - 8) ** 2 + (x - 14) ** 2 < radius**2)
    first = np.stack([np.full_like(solid, 300.0), np.full_like(solid, 1e-4), solid, np.zeros_like(solid)], axis=1)
    return first, np.linspace(6, 12, n)


def truths(n: int = 6) -> tuple[np.ndarray, np.ndarray]:
    """Frames (simulation, time, field, y, x) and pressures."""
    first, pressure = simulations(n)
    return np.stack([first, *(burning(first, pressure, lead, np.ones(1))[0] for lead in range(1, GRID.n_times))], axis=1), pressure


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A run with forecasts of an ensemble and of a deterministic model."""
    folder = RunFolder(tmp_path_factory.mktemp("run"))
    folder.config.write_text("name: closure\n", encoding="utf-8")
    frames, pressure = truths()
    for model, draws in (("tokens", 10), ("micro_tokens", 10), ("parc", 1), ("persistence", 1)):
        arrays = create_store(
            folder.rollout(model, "test"),
            draws=draws,
            simulations=[f"s/{i}" for i in range(len(frames))],
            fields=SPECS,
            grid=GRID,
            context={"shock_pressure": pressure},
            attributes={"model": model, "spacing": GRID.spacing, "time_step": GRID.time_step},
        )
        factor = np.linspace(0.8, 1.2, draws)
        arrays.prediction[:, :, 0] = np.broadcast_to(frames[:, 0], (draws, *frames[:, 0].shape))
        for lead in range(1, GRID.n_times):
            arrays.prediction[:, :, lead] = burning(frames[:, 0], pressure, lead, factor)
        arrays.truth[:] = frames
    return folder


def invoke(*arguments: str) -> str:
    done = CliRunner().invoke(app, ["closure", *map(str, arguments)])
    assert done.exit_code == 0, done.output
    return done.output


def test_a_run_has_closures_of_its_ensembles_beside_the_truths(run: RunFolder) -> None:
    output = invoke(str(run.root))
    assert {path.name for path in run.closure.iterdir()} == {"tokens", "micro_tokens"}
    out = run.closure / "tokens"
    assert {path.name for path in out.iterdir()} == FILES
    found = xr.load_dataset(out / "closure.nc", engine="h5netcdf")
    assert dict(found["growth_rate"].sizes) == {"draw": 10, "simulation": 6}
    assert found["ignition_time"].attrs["units"] == "ns"
    assert (found["growth_rate"][0] < found["growth_rate_truth"]).all()
    assert (found["growth_rate"][-1] > found["growth_rate_truth"]).all()
    summary = json.loads((out / "summary.json").read_text())
    assert summary["agreement"]["growth_rate"]["coverage"] == 1
    assert summary["checks"]["monotone"]["growth_rate"]["share"] == 1
    assert "growth_rate ~ P_s^" in output
    assert "growth_rate" in output.split("covers")[1]
    law = load_closure(out / "closure.json")
    point = found["shock_pressure"].values[2], found["porosity"].values[2], found["pore_size"].values[2]
    rates = law.rates(*point)
    assert (np.diff(rates.growth_rate) > 0).mean() > 0.7, "draws keep their order"
    assert len(json.loads((out / "ignition_growth.json").read_text())["cards"]) == 10


def test_tables_are_tidy_and_agree_with_the_file(run: RunFolder) -> None:
    invoke(str(run.root))
    out = run.closure / "tokens"
    found = xr.load_dataset(out / "closure.nc", engine="h5netcdf")
    with (out / "rates.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == (10 + 1) * 6 * 6
    (row,) = [row for row in rows if (row["draw"], row["simulation"], row["quantity"]) == ("7", "s/3", "growth_rate")]
    assert float(row["value"]) == pytest.approx(float(found["growth_rate"][7, 3]), rel=1e-5)
    assert float(row["shock_pressure_GPa"]) == pytest.approx(float(found["shock_pressure"][3]))
    assert row["unit"] == "1/ns"
    with (out / "curves.csv").open(encoding="utf-8") as file:
        curves = list(csv.DictReader(file))
    assert len(curves) == (10 + 1) * 6 * GRID.n_times
    assert {row["draw"] for row in curves} == {"truth", *map(str, range(10))}


@pytest.fixture
def burner(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("probtokens.models.shelf.load", lambda name: Burner())


def test_a_model_forecasts_simulations_of_a_folder(burner: None, tmp_path: Path) -> None:
    frames, pressure = truths()
    units = {spec.name: spec.unit for spec in SPECS} | {"shock_pressure": "GPa"}
    fields = {spec.name: frames[:, :, k].astype(np.float32) for k, spec in enumerate(SPECS)}
    path, scalars = tmp_path / "sims" / "a.hdf5", {"shock_pressure": pressure}
    write_shard(path, fields, grid=GRID, scalars=scalars, units=units, dataset_name="made", boundary=BOUNDARY)
    invoke(str(tmp_path / "sims"), "--model", "burner", "--out", str(tmp_path / "out"), "--draws", "9")
    found = xr.load_dataset(tmp_path / "out" / "closure.nc", engine="h5netcdf")
    assert found.sizes["draw"] == 9
    np.testing.assert_allclose(found["growth_rate"].median("draw") / found["growth_rate_truth"], 1, atol=0.15)


def test_drawn_microstructures_need_no_simulation(burner: None, tmp_path: Path) -> None:
    arguments = ["--model", "burner", "--draws", "3", "--diameter", "0.2", "--porosity", "0.03", "--pressure", "7", "--pressure", "10"]
    outputs = [tmp_path / name for name in ("a", "b")]
    for out in outputs:
        text = invoke(*arguments, "--out", str(out), "--microstructures", "2", "--seed", "1")
    first, again = (xr.load_dataset(out / "closure.nc", engine="h5netcdf") for out in outputs)
    xr.testing.assert_identical(first.drop_attrs(), again.drop_attrs())
    np.testing.assert_array_equal(first["shock_pressure"], [7, 10, 7, 10])
    np.testing.assert_allclose(first["porosity"], 0.03, atol=0.015)
    assert float(first["porosity"][0]) == pytest.approx(float(first["porosity"][1]), rel=1e-6), "all pressures meet the same pores"
    assert "growth_rate_truth" not in first
    assert "agreement" not in text
    assert "threshold: below 7 GPa" in text
    before = (outputs[0] / "closure.json").read_bytes()
    done = CliRunner().invoke(app, ["closure", *arguments, "--out", str(outputs[0]), "--microstructures", "2", "--seed", "2"])
    assert done.exit_code == 2
    assert "expected an empty folder, or one of the same closure, found one with another: ['seed'] changed" in " ".join(done.output.split())
    assert (outputs[0] / "closure.json").read_bytes() == before
    last = text.splitlines()[-1]
    assert last.startswith(f"next: look at {outputs[1] / 'rates.png'}; in a macro-scale code ")
    assert "load_closure" in last


def test_other_physics_has_no_closure(run: RunFolder) -> None:
    expected = r"closure: expected forecasts of reacting crystals, .* found none of .*shock_pressure"
    with open_rollout(run.rollout("tokens", "test")) as rollout, pytest.raises(ValueError, match=expected):
        closure_dataset(rollout.drop_vars("shock_pressure"), MENIKOFF_SEWELL)


def test_terms_that_miss_are_told() -> None:
    card = IgnitionGrowth(0, 1.0, 0.1, 4.0, 1.0, 0.7, 1.5, ignition_scatter=0.1, growth_scatter=0.41)
    (line,) = scatter_lines([card])
    assert line.startswith("cards: the growth term misses single simulations by 41 %")
    assert scatter_lines([]) == []


def test_few_simulations_have_rates_but_no_laws(run: RunFolder, tmp_path: Path, burner: None) -> None:
    text = invoke(
        "--model",
        "burner",
        "--draws",
        "2",
        "--diameter",
        "0.2",
        "--porosity",
        "0.03",
        "--pressure",
        "9",
        "--microstructures",
        "1",
        "--out",
        str(tmp_path),
    )
    assert "not fitted: closure: expected at least 2 simulations that ignite" in text
    assert text.splitlines()[-1] == f"next: look at {tmp_path / 'rates.png'}; rates are in {tmp_path / 'rates.csv'}"
    assert {path.name for path in tmp_path.iterdir()} == FILES - {"closure.json", "ignition_growth.json"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "expected a run folder, or --model"),
        (["nowhere"], "expected a run folder (with config.yaml) for its closure, found none"),
        (["nowhere", "--pressure", "9"], "expected --pressure, --porosity and --diameter with --model alone"),
        (["--model", "burner"], "expected --out with --model, got none"),
        (["nowhere", "--model", "burner", "--out", "out"], "expected a folder of HDF5 files"),
    ],
)
def test_what_is_not_there_is_refused(
    arguments: list[str], message: str, burner: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, ["closure", *arguments])
    assert done.exit_code == 2
    assert message in " ".join(done.output.split())
