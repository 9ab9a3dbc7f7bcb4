"""A second physics with periodic edges and a vector field: its generator against exact flows, its recipe, and the page of its results."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import yaml

from probtokens.data import TrajectorySet, read_info
from probtokens.models.micro import MicroTokens
from probtokens.pipeline.commands import run_all
from probtokens.pipeline.folder import RunFolder
from tests.pipeline.recipes import TINY

ROOT = Path(__file__).parent.parent.parent
EXAMPLE, RESULTS = ROOT / "examples" / "shear_flow.py", ROOT / "docs" / "results" / "shear_flow"
FIELDS, CONTEXT = ("dye", "velocity_x", "velocity_y"), ("viscosity",)


def loaded(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def example() -> ModuleType:
    return loaded(EXAMPLE)


@pytest.fixture(scope="module")
def small_set(example: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("set")
    example.main(out, (2, 1, 1))
    return out


def test_vortices_of_taylor_and_green_decay_as_they_should_and_a_wave_of_dye_diffuses(example: ModuleType) -> None:
    """Taylor, Phil. Mag. 46, 671 (1923): ω = cos kx cos ky decays as exp(−2 ν k² t), and dye that varies with ω alone is not advected."""
    y, x = (np.mgrid[: example.N, : example.N] + 0.5) * example.SPACING
    k = 2 * np.pi / example.LENGTH
    wave = np.cos(k * x) * np.cos(k * y)
    dye, u, v = example.solve(np.fft.fft2(np.stack([wave, wave])), 0.02)
    time = example.FRAME * np.arange(example.N_TIMES)[:, None, None]
    decay = np.exp(-2 * 0.02 * k**2 * time)
    np.testing.assert_allclose(u, -decay * np.cos(k * x) * np.sin(k * y) / (2 * k), atol=1e-7)
    np.testing.assert_allclose(v, decay * np.sin(k * x) * np.cos(k * y) / (2 * k), atol=1e-7)
    np.testing.assert_allclose(dye, np.exp(-2 * example.DIFFUSIVITY * k**2 * time) * wave, atol=1e-7)
    slower = example.solve(np.fft.fft2(np.stack([wave, wave])), 0.01)[1]
    assert np.abs(slower - u).max() > 0.01


def test_flows_are_incompressible_keep_their_dye_and_lose_energy(example: ModuleType) -> None:
    dye, u, v = example.solve(example.beginning(np.random.default_rng(3)), 0.02)
    divergence = np.fft.ifft2(1j * example.KX * np.fft.fft2(u) + 1j * example.KY * np.fft.fft2(v)).real
    assert np.abs(divergence).max() < 1e-10
    np.testing.assert_allclose(dye.mean((1, 2)), dye[0].mean(), rtol=1e-10)
    assert (np.diff((u**2 + v**2).mean((1, 2))) < 0).all()
    assert np.abs(dye[-1] - dye[0]).max() > 0.3


def test_what_is_written_is_a_vector_field_with_periodic_edges(small_set: Path) -> None:
    opened = TrajectorySet.open(small_set / "train", FIELDS, CONTEXT)
    assert opened.grid.periodic == "xy"
    assert set(opened.boundary.values()) == {"PERIODIC"}
    assert [(spec.odd, spec.vector) for spec in opened.fields] == [("", ""), ("x", "velocity"), ("y", "velocity")]
    source = read_info(small_set / "train" / "shard_0000.hdf5").sources["velocity_y"]
    assert (source.group, source.dataset, source.component) == ("t1_fields", "velocity", (1,))
    assert opened.names == ("shard_0000/0", "shard_0000/1")
    assert not np.array_equal(opened.frames(0), opened.frames(1))


def test_the_recipe_trains_forecasts_recalibrates_and_scores(small_set: Path, tmp_path: Path) -> None:
    tiny = yaml.safe_load(TINY)["micro"]
    overrides = [f"data.micro={small_set}", f"micro.stages={json.dumps(tiny['stages'])}", "rollout.members=4", "report.animation=false"]
    overrides += [f"micro.tokens.{key}={value}" for key, value in tiny["tokens"].items() if key not in ("patch", "views")]
    folder = RunFolder(tmp_path / "run")
    run_all(EXAMPLE.with_suffix(".yaml"), folder.root, overrides)
    document = json.loads(folder.scores.read_text(encoding="utf-8"))
    assert set(document["models"]["micro_tokens"]["fields"]) == set(FIELDS)
    assert "uncalibrated" in document["models"]["micro_tokens"]
    assert MicroTokens.load(folder.root / "checkpoints" / "micro" / "model.pt").grid.periodic == "xy"


def test_intervals_of_the_committed_run_cover_after_recalibration_and_its_page_tells_it() -> None:
    model = json.loads((RESULTS / "scores.json").read_text(encoding="utf-8"))["models"]["micro_tokens"]
    for name in FIELDS:
        assert 0.85 <= model["fields"][name]["coverage_90"] <= 0.95
    page = loaded(ROOT / "examples" / "flow_page.py")
    assert (ROOT / "docs" / "shear_flow.md").read_text(encoding="utf-8") == page.text(RESULTS, ROOT / "docs" / "shear_flow.md.in")
