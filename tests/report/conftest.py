"""A made-up run folder: a shock front over pores that ignite, an ensemble that mistimes them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from probtokens.config import Config, dump_config, load_config
from probtokens.evaluate import score_rollout, write_scores
from probtokens.fields import Grid, HotSpot, field_spec
from probtokens.models.micro import MicroTokens
from probtokens.predict import Recalibration, open_rollout
from probtokens.predict.store import create_store
from probtokens.report.run import Run, open_run
from probtokens.verify.token_pairs import TOKENS, normalizer, randomise

FIELDS = ("temperature", "pressure", "solid_fraction", "velocity_x", "velocity_y")
HOT = HotSpot("temperature", 875.0)
SHOCK_SPEED = 5.5
DURATION = 3.0
WIDTH = 5.76
ERROR = {"tokens": 0.06, "micro_tokens": 0.14, "parc": 0.1, "persistence": 0.0}
NOISE = {"temperature": 15.0, "pressure": 0.2}
SECONDS = {"simulate_meso": 312.4, "train_micro": 1203.0, "train_meso": 640.5, "rollout_tokens": 41.2, "evaluate": 18.9}


@pytest.fixture(scope="session")
def make_run() -> Callable[..., Path]:
    """Return a function that writes a made-up run folder."""
    return write_run


@pytest.fixture(scope="session")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a small made-up run with all models."""
    return write_run(tmp_path_factory.mktemp("run"), fields=FIELDS[:3])


@pytest.fixture(scope="session")
def whole_token_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a small made-up run whose first model is the random token model of ``checkpoints/micro/model.pt``."""
    folder = tmp_path_factory.mktemp("tokens")
    write_run(folder, models=("micro_tokens", "persistence"), n_times=5, overrides=("report.tokens=true", "report.animation=false"))
    torch.manual_seed(0)
    model = MicroTokens(TOKENS, normalizer(), Grid(16, 24, WIDTH / 24, DURATION / 4, 5))
    randomise(model)
    (folder / "checkpoints" / "micro").mkdir(parents=True)
    model.save(folder / "checkpoints" / "micro" / "model.pt")
    return folder


@pytest.fixture
def token_run_folder(whole_token_run: Path, tmp_path: Path) -> Path:
    """Return a copy of ``whole_token_run`` that a test may damage."""
    return shutil.copytree(whole_token_run, tmp_path / "tokens")


@pytest.fixture
def token_run(token_run_folder: Path) -> Run:
    """Return the run of ``token_run_folder``, opened."""
    return open_run(token_run_folder)


@pytest.fixture
def model(token_run_folder: Path) -> MicroTokens:
    """Return the token model of ``token_run_folder``."""
    return MicroTokens.load(token_run_folder / "checkpoints" / "micro" / "model.pt")


def write_run(
    folder: Path,
    *,
    models: tuple[str, ...] = tuple(ERROR),
    members: int = 6,
    n_simulations: int = 2,
    n_times: int = 7,
    shape: tuple[int, int] = (16, 24),
    fields: tuple[str, ...] = FIELDS,
    hotspot: HotSpot = HOT,
    context: str = "shock_pressure",
    given: bool = False,
    overrides: tuple[str, ...] = (),
) -> Path:
    """Write config, rollouts, recalibrations, scores and stage records as the pipeline does, no trained models.

    ``given``: not from the simulator.
    """
    grid = Grid(*shape, WIDTH / shape[1], DURATION / (n_times - 1), n_times)
    (folder / "stages").mkdir(parents=True)
    (folder / "rollouts").mkdir()
    names = ", ".join(fields)
    settings = [
        f"rollout.models=[{', '.join(models)}]",
        "data.micro=/somewhere/private/micro-set",
        f"data.fields=[{names}]",
        f"data.context=[{context}]",
        f"micro.tokens.groups=[{{fields: [{names}], channels: 4}}]",
        f"evaluate.hotspot_field={hotspot.field}",
        f"evaluate.hotspot_threshold={hotspot.threshold}",
        "report.tokens=false",
    ]
    config = load_config(None, [*settings, *["data.meso=/somewhere/private/meso-set"] * given, *overrides])
    (folder / "config.yaml").write_text(dump_config(config), encoding="utf-8")
    pores = [_pores(np.random.default_rng(n), grid) for n in range(n_simulations)]
    truth = np.stack([_simulation(table, grid, fields) for table in pores])
    entries = {model: _write_model(folder, model, pores, truth, grid, fields, members, config) for model in models}
    provenance = {"version": "0.1.0", "name": "quick", "seed": 0, "data": {"micro": "/somewhere/private/micro-set", "meso": "simulated"}}
    write_scores(folder / "scores.json", entries, hotspot, members, n_simulations, provenance)
    for stage, seconds in SECONDS.items():
        record = {
            "stage": stage,
            "fingerprint": "0",
            "status": "done",
            "seconds": seconds,
            "hardware": {"machine": "x86_64", "cores": "2"},
            "versions": {"python": "3.11.2"},
        }
        (folder / "stages" / f"{stage}.json").write_text(json.dumps(record), encoding="utf-8")
    return folder


def _write_model(
    folder: Path, model: str, pores: list[np.ndarray], truth: np.ndarray, grid: Grid, fields: tuple[str, ...], members: int, config: Config
) -> dict:
    draws = members if model.startswith("tokens") else 1
    path = folder / "rollouts" / f"{model}_test.zarr"
    arrays = create_store(
        path,
        draws=draws,
        simulations=[f"meso_{n:03d}" for n in range(len(pores))],
        fields=[field_spec(name) for name in fields],
        grid=grid,
        context={name: np.linspace(13.5, 17.5, len(pores)) for name in config.data.context},
        attributes={"model": model, "spacing": grid.spacing, "time_step": grid.time_step},
    )
    arrays.truth[:] = truth
    arrays.prediction[:] = np.stack([_draw(model, draw, pores, truth, grid, fields) for draw in range(draws)])
    recalibration = Recalibration(model, 3, {name: list(np.linspace(1.3, 1.1, grid.n_times - 1)) for name in fields}) if draws > 1 else None
    if recalibration is not None:
        recalibration.save(folder / "recalibration" / f"{model}.json")
    scored = score_rollout(
        open_rollout(path), hotspot=config.evaluate.hotspot, coverage_levels=config.evaluate.coverage, recalibration=recalibration, block=8
    )
    return {"n_meso": {"tokens": 6, "parc": 6, "micro_tokens": 0}.get(model), **scored}


def _pores(rng: np.random.Generator, grid: Grid) -> np.ndarray:
    """Pore table, shape (pore, [y, x, radius, delay, growth, peak])."""
    height, width = np.array(grid.shape) * grid.spacing
    n = 9
    return np.column_stack(
        [
            rng.uniform(0.1, 0.9, n) * height,
            rng.uniform(0.15, 0.9, n) * width,
            rng.uniform(0.15, 0.35, n),
            rng.uniform(0.1, 0.6, n),
            rng.uniform(0.1, 0.4, n),
            rng.uniform(2000, 4000, n),
        ]
    )


def _simulation(pores: np.ndarray, grid: Grid, fields: tuple[str, ...]) -> np.ndarray:
    """Fields of one simulation, shape (time, field, y, x)."""
    shape, spacing, time = grid.shape, grid.spacing, np.arange(grid.n_times) * grid.time_step
    y, x = np.meshgrid((np.arange(shape[0]) + 0.5) * spacing, (np.arange(shape[1]) + 0.5) * spacing, indexing="ij")
    frames = np.empty((len(time), len(fields), *shape), dtype=np.float32)
    for k, t in enumerate(time):
        shocked = 1 / (1 + np.exp((x - 0.3 - SHOCK_SPEED * t) / 0.06))
        temperature, solid = 300 + 300 * shocked, np.ones(shape)
        for py, px, radius, delay, growth, peak in pores:
            distance = np.hypot(y - py, x - px)
            closing = np.clip((0.3 + SHOCK_SPEED * t - px) / 0.8, 0, 1)
            solid -= (1 - closing) / (1 + np.exp((distance - radius) / 0.03))
            age = t - (px - 0.3) / SHOCK_SPEED - delay
            if age > 0:
                hot = (1 - np.exp(-age / 0.15)) / (1 + np.exp((distance - 0.1 - growth * age) / 0.05))
                temperature = np.maximum(temperature, 300 + (peak - 300) * hot)
        hot = (temperature - 600).clip(0) / 3400
        known = {
            "temperature": temperature,
            "pressure": 16 * shocked * solid.clip(0, 1) + 4 * hot,
            "solid_fraction": solid.clip(0, 1),
            "velocity_x": 2.1 * (shocked - 1),
            "velocity_y": 0.3 * hot * np.sin(4 * y),
            "activator": hot,
            "inhibitor": 0.4 * shocked,
        }
        frames[k] = np.stack([known[name] if name in known else hot + 0.2 * shocked for name in fields])
    return frames


def _draw(model: str, draw: int, pores: list[np.ndarray], truth: np.ndarray, grid: Grid, fields: tuple[str, ...]) -> np.ndarray:
    """One member of one model, shape (simulation, time, field, y, x); the first frame is the truth's."""
    if model == "persistence":
        return np.repeat(truth[:, :1], grid.n_times, axis=1)
    rng = np.random.default_rng([draw, len(model)])
    scale = np.array([NOISE.get(name, 0.01) for name in fields], dtype=np.float32)[:, None, None]
    out = np.empty_like(truth)
    for n, table in enumerate(pores):
        shared = np.random.default_rng([n, len(model)]).normal(size=table.shape)
        error = ERROR[model] * (shared + rng.normal(size=table.shape))
        disturbed = table + error * np.array([0.3, 0.3, 0.1, 1.5, 1.0, 2500.0])
        frames = _simulation(disturbed, grid, fields)
        out[n] = frames + scale * rng.normal(size=frames.shape).astype(np.float32)
    out[:, 0] = truth[:, 0]
    return out
