"""Whole runs on other fields and scalars than those of the simulator, with only a recipe changed."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType
from unittest import mock

import numpy as np
import pytest
import yaml
from scipy.ndimage import label

from probtokens.data import TrajectorySet, read_info
from probtokens.pipeline.commands import run_all
from probtokens.pipeline.folder import RunFolder
from tests.helpers import make_campaign
from tests.pipeline.recipes import TINY

EXAMPLE = Path(__file__).parent.parent.parent / "examples" / "reaction_diffusion.py"
FIELDS, CONTEXT = ("catalyst", "substrate"), ("feed_rate",)


@pytest.fixture(scope="module")
def temperature_alone(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """Return a run on one field, without any scalar that tells simulations apart."""
    root = tmp_path_factory.mktemp("temperature")
    data = make_campaign(root / "data", n_train=2, n_valid=1, n_test=2)
    recipe = root / "tiny.yaml"
    recipe.write_text(TINY, encoding="utf-8")
    folder = RunFolder(root / "run")
    settings = ["fields=[temperature]", "context=[]", f"micro={data}", f"meso={data}"]
    overrides = [f"data.{setting}" for setting in settings]
    run_all(recipe, folder.root, overrides)
    return folder


@pytest.fixture(scope="module")
def example() -> ModuleType:
    """Return the script that makes the reaction–diffusion set."""
    spec = importlib.util.spec_from_file_location("reaction_diffusion", EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def small_set(example: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a set of very few and small simulations."""
    out = tmp_path_factory.mktemp("set")
    sizes = "--micro 2 1 1 --meso 2 1 2 --micro-cells 16 --meso-cells 40 --frames 4"
    with mock.patch("sys.argv", [str(EXAMPLE), str(out), *sizes.split()]):
        example.main()
    return out


def test_temperature_alone_and_no_context_run_from_training_to_report(temperature_alone: RunFolder) -> None:
    document = json.loads(temperature_alone.scores.read_text(encoding="utf-8"))
    assert document["hotspot"] == {"field": "temperature", "threshold": 875.0}
    assert set(document["models"]) == {"tokens", "micro_tokens", "parc", "persistence"}
    for entry in document["models"].values():
        assert list(entry["fields"]) == ["temperature"]
        assert set(entry["hotspot"]) >= {"area", "temperature", "hotspot_count", "area_rate", "temperature_rate"}
    assert "Test simulation shard_0000/0." in temperature_alone.report.read_text(encoding="utf-8")


def test_the_example_solves_its_equations(example: ModuleType) -> None:
    """Against explicit steps written out here, with edges repeated so that nothing flows through them."""
    feed, (u, v) = 0.04, example.seeded(np.random.default_rng(0), 16, 2)
    frames = example.solve(u, v, feed, 3)

    def laplacian(field: np.ndarray) -> np.ndarray:
        wide = np.pad(field, 1, mode="edge")
        return wide[2:, 1:-1] + wide[:-2, 1:-1] + wide[1:-1, 2:] + wide[1:-1, :-2] - 4 * field

    for step in range(1, 101):
        reaction = u * v**2
        u, v = u + 0.16 * laplacian(u) - reaction + feed * (1 - u), v + 0.08 * laplacian(v) + reaction - (feed + 0.06) * v
        if step in (50, 100):
            np.testing.assert_allclose(frames[:, step // 50], [u, v], rtol=1e-9, atol=1e-12)


def test_the_example_writes_what_its_recipe_asks_for(small_set: Path) -> None:
    shapes = {"micro": (16, 16), "meso": (40, 40)}
    for scale, shape in shapes.items():
        opened = TrajectorySet.open(small_set / scale / "train", FIELDS, CONTEXT)
        assert opened.grid.shape == shape
        assert (opened.grid.spacing, opened.grid.time_step, opened.grid.n_times) == (0.1, 0.05, 4)
        assert np.all((opened.context >= 30) & (opened.context <= 45))
        assert set(opened.boundary.values()) == {"WALL"}
        seeds = [label(opened.frames(number)[0, 0] > 0.1)[1] for number in range(2)]
        assert seeds == [1, 1] if scale == "micro" else min(seeds) > 1
    assert read_info(small_set / "micro" / "train" / "shard_0000.hdf5").units["feed_rate"] == "1/ns"


def test_a_simulation_depends_on_the_seed_and_its_number_alone(example: ModuleType, small_set: Path, tmp_path: Path) -> None:
    micro, _ = np.random.SeedSequence(0).spawn(2)
    example.write_split(tmp_path / "again" / "a.hdf5", micro.spawn(3)[0], 1, 16, (1, 1), 4)
    again, first = (TrajectorySet.open(folder, FIELDS, CONTEXT) for folder in (tmp_path / "again", small_set / "micro" / "train"))
    np.testing.assert_array_equal(again.frames(0), first.frames(0))
    assert again.context[0] == first.context[0]
    assert not np.array_equal(first.frames(0), first.frames(1))


@pytest.mark.slow
def test_the_example_is_trained_and_scored_by_its_recipe(small_set: Path, tmp_path: Path) -> None:
    tiny = yaml.safe_load(TINY)
    overrides = [f"{model}.stages={json.dumps(tiny[model]['stages'])}" for model in ("micro", "meso", "parc")]
    overrides += [f"micro.tokens.{key}={value}" for key, value in tiny["micro"]["tokens"].items() if key != "patch"]
    overrides += [f"data.{scale}={small_set / scale}" for scale in ("micro", "meso")]
    folder = RunFolder(tmp_path / "run")
    run_all(EXAMPLE.with_suffix(".yaml"), folder.root, [*overrides, "parc.width=4", "parc.levels=1", "rollout.members=4"])
    document = json.loads(folder.scores.read_text(encoding="utf-8"))
    assert document["hotspot"] == {"field": "catalyst", "threshold": 0.2}
    assert set(document["models"]["tokens"]["hotspot"]) == {
        *("area", "catalyst", "area_rate", "catalyst_rate"),
        *("hotspot_count", "hotspot_size", "largest_hotspot"),
    }
    assert "How catalyst evolves and where it exceeds 0.2" in folder.report.read_text(encoding="utf-8")
