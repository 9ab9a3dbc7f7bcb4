"""Forecasts of a run as files of ArviZ."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from typer.testing import CliRunner

from probtokens.cli import app
from probtokens.config import MesoConfig
from probtokens.pipeline.folder import RunFolder
from probtokens.predict import Recalibration
from probtokens.verify.token_pairs import meso_tokens, micro_tokens
from tests.predict.synthetic import gaussian_rollout

MODELS = ("tokens", "micro_tokens", "parc", "persistence")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """What a run leaves that is exported; two of its models are deterministic."""
    folder = RunFolder(tmp_path_factory.mktemp("run"))
    folder.config.write_text("name: export\n", encoding="utf-8")
    for kind, model in (("micro", micro_tokens()), ("meso", meso_tokens())):
        folder.model(kind).parent.mkdir(parents=True)
        model.save(folder.model(kind))
    told = {"precision": "float32", "losses": [2.0, 1.0], "validation": [[2, 0.5]]}
    (folder.training("meso") / f"00_{MesoConfig().stages[0].name}.json").write_text(json.dumps(told))
    for seed, model in enumerate(MODELS):
        gaussian_rollout(folder.rollout(model, "test"), members=1 if model in MODELS[2:] else 6, n=2, leads=2, seed=seed)
        Recalibration(model, 2, {"temperature": [0.5], "solid_fraction": [1.0]}).save(folder.recalibration(model))
    return folder


def exported(folder: RunFolder, *options: str) -> dict[str, xr.DataTree]:
    done = CliRunner().invoke(app, ["export", str(folder.root), *options])
    assert done.exit_code == 0, done.output
    return {path.stem: xr.open_datatree(path, engine="h5netcdf").load() for path in sorted((folder.root / "arviz").iterdir())}


def test_every_ensemble_of_a_run_is_exported(folder: RunFolder) -> None:
    trees = exported(folder)
    assert set(trees) == {"tokens", "micro_tokens"}
    assert set(trees["micro_tokens"].children) == {"posterior_predictive", "observed_data", "constant_data"}
    assert set(trees["tokens"].children) == {"posterior_predictive", "observed_data", "constant_data", "posterior", "prior", "sample_stats"}
    np.testing.assert_array_equal(trees["tokens"]["sample_stats"]["loss"], [2.0, 1.0])
    assert set(trees["tokens"]["posterior"].data_vars) == {"scale", "change"}
    narrow = exported(folder, "--recalibrated")
    before, after = (one["tokens"]["posterior_predictive"]["temperature"].std("draw") for one in (trees, narrow))
    np.testing.assert_allclose(after, 0.5 * before, rtol=1e-3)


def test_folders_that_are_no_runs_are_refused(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["export", str(tmp_path)])
    assert done.exit_code == 2
    assert "expected a run folder (with config.yaml) to export, found none" in done.output
    (tmp_path / "config.yaml").write_text("name: empty\n", encoding="utf-8")
    done = CliRunner().invoke(app, ["export", str(tmp_path)])
    assert done.exit_code == 2
    assert "tokens_test.zarr: expected a rollout" in done.output
