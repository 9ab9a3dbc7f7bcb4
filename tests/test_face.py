"""What `import probtokens` offers: few names, loaded late, with examples that run."""

from __future__ import annotations

import ast
import doctest
import importlib
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr

import probtokens as pt
from probtokens.train.objectives import RolloutError
from probtokens.verify.token_pairs import GRID, micro_tokens, window

LATE = ("torch", "pyro", "numpy", "xarray", "matplotlib", "lightning")


def test_importing_the_package_loads_nothing_heavy() -> None:
    program = f"import sys, probtokens; print([name for name in {LATE} if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout == "[]\n"


@pytest.mark.parametrize("name", [name for name in pt.__all__ if name != "__version__"])
def test_every_name_is_there_and_documented(name: str) -> None:
    found = getattr(pt, name)
    assert found.__doc__
    assert name in dir(pt)


def test_type_checkers_know_the_names_that_there_are() -> None:
    tree = ast.parse(Path(pt.__file__).read_text(encoding="utf-8"))
    (known,) = (node for node in tree.body if isinstance(node, ast.If) and isinstance(node.test, ast.Name))
    names = {alias.asname or alias.name: f"{node.module}:{alias.name}" for node in known.body for alias in node.names}
    assert set(names) == set(pt._FACE) == set(pt.__all__) - {"__version__"}
    for name, where in names.items():
        module, _, found = where.partition(":")
        assert getattr(importlib.import_module(module), found) is getattr(pt, name)


def test_other_names_are_refused() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'tokens_of_any_kind'"):
        _ = pt.tokens_of_any_kind


@pytest.mark.parametrize("name", [name for name in pt.__all__ if name != "__version__"])
def test_every_name_has_an_example_that_runs(name: str) -> None:
    found = getattr(pt, name)
    module = importlib.import_module(found.__module__)
    runner, tests = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS), doctest.DocTestFinder()
    for test in tests.find(found, name, module=module, globs=dict(vars(module))):
        runner.run(test)
    assert runner.tries > 0
    assert runner.failures == 0


def disc(ny: int = 32, nx: int = 48) -> np.ndarray:
    y, x = np.mgrid[:ny, :nx]
    return ((y - ny / 2) ** 2 + (x - nx / 2) ** 2 > 36).astype(float)


def test_the_shipped_tokens_forecast_an_own_microstructure() -> None:
    tokens = pt.load("hmx-standard")
    ensemble = pt.rollout(tokens, pt.first_frame(disc(), 9.0), steps=6, draws=10, seed=1)
    temperature = ensemble.sel(field="temperature").isel(simulation=0)
    assert ensemble.sizes["draw"] == 10
    assert ensemble["time"].attrs["unit"] == "ns"
    assert str(ensemble["field_unit"].sel(field="pressure").values) == "GPa"
    assert ensemble["shock_pressure"].values.tolist() == [9.0]
    hottest = temperature.isel(time=-1).max(("y", "x"))
    assert (hottest > 875.0).all()  # the pore collapses, as one of 0.48 µm does at 9 GPa
    assert float(hottest.std()) > 0.0


def test_first_frames_are_those_of_the_simulator() -> None:
    frame = pt.first_frame(np.stack([disc(), np.ones((32, 48))]), [8.0, 11.0])
    assert frame.sizes == {"simulation": 2, "field": 6, "y": 32, "x": 48}
    assert frame["shock_pressure"].values.tolist() == [8.0, 11.0]
    pressure = frame.sel(field="pressure")
    assert pressure.isel(x=0).mean(("y",)).values == pytest.approx([8.0, 11.0], rel=0.02)
    assert abs(float(pressure.isel(x=-1).mean())) < 0.01
    solid = frame.sel(field="solid_fraction").values
    np.testing.assert_allclose(solid[0], disc(), atol=2e-4)
    assert float(frame.sel(field="temperature").isel(x=-1).mean()) == pytest.approx(300.0, abs=2.0)


@pytest.mark.parametrize(
    ("solid", "pressure", "message"),
    [
        (np.ones(4), 9.0, None),
        (np.full((8, 8), 2.0), 9.0, "microstructure: expected values from 0 to 1, got 2 to 2"),
        (np.full((8, 8), np.nan), 9.0, "microstructure: expected finite values, got 64 that are not"),
        (np.ones((32, 48)), -1.0, "shock_pressure: expected positive numbers of GPa"),
        (np.ones((2, 32, 48)), [6.0, 7.0, 8.0], r"shock_pressure: expected a number, or one for each of 2 simulations, got shape \(3,\)"),
        (np.ones((32, 48)), [], "shock_pressure: expected a number"),
        (np.ones((32, 48)), None, "shock_pressure: expected positive numbers of GPa, got None"),
        (["a.png"], 9.0, "microstructure: expected solid fractions, or the path of an image"),
        (np.zeros((32, 48)), 9.0, "microstructure: expected no pores in the first 5 columns"),
    ],
)
def test_microstructures_that_do_not_fit_are_refused(solid: np.ndarray, pressure: float, message: str | None) -> None:
    with pytest.raises(ValueError, match=message or "microstructure: expected shape"):
        pt.first_frame(solid, pressure)


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """A dark disc, 8-bit grey, of 0.56 µm in a bright crystal of 1.31 × 1.95 µm: pixels of 0.01 µm."""
    y, x = np.mgrid[:131, :195]
    path = tmp_path / "section.npy"
    np.save(path, np.where((y - 70) ** 2 + (x - 90) ** 2 < 28**2, 40, 200).astype(np.uint8))
    return path


def test_a_micrograph_is_as_good_as_its_solid_fractions(image: Path) -> None:
    found = pt.first_frame(image, [6.0, 9.0], pixel_size=0.01)
    assert found.sizes == {"simulation": 2, "field": 6, "y": 32, "x": 48}  # what is less than a patch is cut off
    grey = np.load(image)[::-1][:128, :192]
    solid = (grey > 120).reshape(32, 4, 48, 4).mean((1, 3))
    np.testing.assert_array_equal(found.values, pt.first_frame(solid, [6.0, 9.0]).values)
    area = np.pi * 0.28**2
    assert found.attrs["porosity"] == pytest.approx(area / (1.28 * 1.92), rel=0.01)
    assert found.attrs["voids"] == pytest.approx(area / (1.31 * 1.95), rel=0.01)
    assert 40 / 255 < found.attrs["threshold"] < 200 / 255
    assert pt.first_frame(image, 9.0, pixel_size="10 nm", multiple=5).sizes["x"] == 45
    assert not np.array_equal(pt.first_frame(image, 9.0, pixel_size=0.01, spacing=0.02).values, found.values)


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({}, "pixel_size: expected the edge of a pixel in µm, found none; .*section.npy has 131 × 195 pixels"),
        ({"pixel_size": -0.01}, "pixel_size: Input should be greater than 0"),
        ({"pixel_size": "10 ns"}, "pixel_size: expected a unit"),
        ({"pixel_size": 0.01, "threshold": "dark"}, "threshold: expected otsu or a number between 0"),
        ({"pixel_size": 0.01, "threshold": 2}, "threshold: Input should be less than 1"),
        ({"pixel_size": 0.01, "pores": "grey"}, "pores: Input should be 'dark' or 'bright'"),
        ({"pixel_size": 0.01, "least_diameter": 0.6}, "section.npy: expected voids"),
        ({"pixel_size": 0.01, "multiple": 0}, "multiple: expected a number of cells, at least 1"),
        ({"pixel_size": 1e-4}, "section.npy: expected more than 0.16 × 0.5 µm .* is the scale right?"),
    ],
)
def test_what_is_said_of_a_micrograph_has_to_fit(image: Path, said: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        pt.first_frame(image, 9.0, **said)


def test_a_micrograph_has_to_be_readable_and_an_array_has_no_pixels(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"absent.png: expected an image \(PNG, PGM or npy\), found no file"):
        pt.first_frame(str(tmp_path / "absent.png"), 9.0, pixel_size=0.01)
    (tmp_path / "note.png").write_text("no image")
    with pytest.raises(ValueError, match="note.png: expected an image of format PNG, PGM or npy, got another"):
        pt.first_frame(tmp_path / "note.png", 9.0, pixel_size=0.01)
    for said in ({"pixel_size": 0.01}, {"threshold": 0.5}, {"pores": "bright"}, {"least_diameter": 0.1}):
        with pytest.raises(ValueError, match=f"{next(iter(said))}.*: expected the path of an image with them, got an array"):
            pt.first_frame(disc(), 9.0, **said)
    with pytest.raises(ValueError, match="spacing: expected a positive length"):
        pt.first_frame(disc(), 9.0, spacing=0.0)


@pytest.mark.parametrize("kind", ["torch", "numpy", "xarray"])
def test_arrays_of_any_kind_give_the_same_draws(kind: str) -> None:
    model = micro_tokens()
    frames, context = window()
    first = {
        "torch": frames[:, 0],
        "numpy": frames[:, 0].numpy().astype(np.float64),
        "xarray": xr.DataArray(
            frames[:, 0].flip(1).numpy(),
            dims=("simulation", "field", "y", "x"),
            coords={"field": [spec.name for spec in model.fields][::-1], "shock_pressure": ("simulation", context[:, 0].numpy())},
        ),
    }[kind]
    found = pt.rollout(model, first, None if kind == "xarray" else context, steps=2, draws=5, seed=3)
    expected = pt.rollout(model, frames[:, 0], context.numpy(), steps=2, draws=5, seed=3)
    np.testing.assert_array_equal(found.values, expected.values)


def test_draws_are_made_late_in_blocks_and_do_not_depend_on_how_many_are_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    model = micro_tokens()
    frames, context = window()
    asked = []
    stream = model._stream
    monkeypatch.setattr(model, "_stream", lambda *given: (asked.append((len(given[0]), given[3].n_draws)), stream(*given))[1])
    many = pt.rollout(model, frames[:, 0], context, steps=2, draws=20, seed=3)
    asked.clear()
    few = pt.rollout(model, frames[:, 0], context, steps=2, draws=3, seed=3)
    asked.clear()
    np.testing.assert_array_equal(many.isel(draw=slice(3)).values, few.values)
    assert asked == [(1, 8)] * 4
    assert many.chunks[:2] == ((8, 8, 4), (1, 1))
    assert not np.array_equal(many.isel(draw=0).values, many.isel(draw=8).values)


def trajectories(n_times: int = 4) -> tuple[pt.Trajectories, torch.Tensor, torch.Tensor]:
    """Two simulations whose fields are in another order than the model's."""
    frames, context = window(n_times=n_times)
    given = xr.DataArray(
        frames.flip(2).numpy(),
        dims=("simulation", "time", "field", "y", "x"),
        coords={"field": [spec.name for spec in micro_tokens().fields][::-1]},
    )
    scalars = {"porosity": [0.1, 0.2], "shock_pressure": context[:, 0]}
    return pt.Trajectories.from_arrays(given, spacing=GRID.spacing, time_step=GRID.time_step, context=scalars), frames, context


@pytest.mark.parametrize("steps", [None, 2])
def test_trajectories_bring_first_frames_and_context(steps: int | None) -> None:
    model, (given, frames, context) = micro_tokens(), trajectories()
    found = pt.rollout(model, given, steps=steps, draws=3, seed=3)
    np.testing.assert_array_equal(found.values, pt.rollout(model, frames[:, 0], context, steps or 3, draws=3, seed=3).values)
    assert list(found["simulation"].values) == ["arrays/0", "arrays/1"]
    with pytest.raises(ValueError, match="context: expected none beside trajectories"):
        pt.rollout(model, given, context)


def test_draws_of_a_simulation_do_not_depend_on_those_after_it() -> None:
    model, (given, *_) = micro_tokens(), trajectories()
    alone, all_of_them = (pt.rollout(model, which, draws=3, seed=3) for which in (given.subset([0]), given))
    np.testing.assert_array_equal(alone.values, all_of_them.isel(simulation=[0]).values)


def test_forecasters_without_a_grid_or_context_of_their_own_take_those_of_trajectories() -> None:
    given, frames, _ = trajectories()
    model = pt.Persistence(given.fields)
    found = pt.rollout(model, given, draws=5)
    assert found.sizes["draw"] == 1
    np.testing.assert_array_equal(found.isel(draw=0, time=-1), frames[:, 0].flip(1))
    with pytest.raises(ValueError, match="persistence: expected trajectories, or a model with a grid"):
        pt.rollout(model, frames[:, 0])


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: pt.RolloutScore(members=1), "members: Input should be greater than or equal to 2, got 1$"),
        (lambda: pt.RolloutScore(member=2), "member: expected no argument of this name, got 2$"),
        (lambda: pt.Elbo(learn=("nose",)), "learn: Input should be 'codec', .* got 'nose'$"),
        (lambda: pt.FieldSpec(3, "K"), "field 3: expected name, unit, label and vector as text"),
        (lambda: pt.Grid(ny=4.5, nx=4, spacing=1.0, time_step=1.0, n_times=2), "grid ny: expected a whole number > 0, got 4.5"),
        (lambda: pt.Grid(ny=4, nx=4, spacing="1 µm", time_step=1.0, n_times=2), "grid spacing: expected > 0, got 1 µm"),
        (lambda: pt.HotSpot("temperature", "hot"), "hot spots of 'temperature': expected a finite threshold, got hot"),
    ],
)
def test_arguments_that_do_not_fit_are_refused_by_name(wrong: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        wrong()


def test_what_does_not_fit_a_training_is_refused_by_name(tmp_path: Path) -> None:
    data, _, _ = trajectories()
    (tmp_path / "file").touch()
    for said, message in (
        ({"horizon": 0}, "horizon: Input should be greater than or equal to 1, got 0$"),
        ({"learning_rate": -1.0}, "learning_rate: Input should be greater than 0, got -1.0$"),
        ({"resume": tmp_path / "file"}, "resume: expected a folder, found the file"),
    ):
        with pytest.raises(ValueError, match=message):
            pt.fit(micro_tokens(), data, RolloutError(), **{"steps": 1, **said})
    with pytest.raises(ValueError, match="context: expected a mapping from names of scalars to their values, got list"):
        pt.Trajectories.from_arrays(np.ones((1, 2, 1, 4, 4)), {"temperature": "K"}, spacing=1.0, time_step=1.0, context=[9.0])


def test_what_does_not_fit_is_refused_before_anything_is_computed() -> None:
    model = micro_tokens()
    frames, context = window()
    for said in ({"steps": 0}, {"steps": "2"}, {"draws": -1}, {"draws": "8"}):
        with pytest.raises(ValueError, match=f"^{next(iter(said))}: expected a whole number >= 1"):
            pt.rollout(model, frames[:, 0], context, **said)
    with pytest.raises(ValueError, match=r"context: expected the scalars \['shock_pressure'\]"):
        pt.rollout(model, frames[:, 0])
    with pytest.raises(ValueError, match="first_frames: expected shape"):
        pt.rollout(model, frames[:, 0, :3], context)
    field = xr.DataArray(
        frames[:, 0, :4].numpy(), dims=("simulation", "field", "y", "x"), coords={"field": [f.name for f in model.fields[:4]]}
    )
    with pytest.raises(ValueError, match=r"first_frames: expected the fields .*, got .* without \['velocity_y'\]"):
        pt.rollout(model, field, context)
    assert torch.is_tensor(context)
    assert GRID.ny == 16


@pytest.mark.parametrize(
    ("given", "got"),
    [
        (np.ones((16, 24)), r"shape \(16, 24\)"),
        (torch.ones(2, 16, 24), r"shape \(2, 16, 24\)"),
        (Path("section.png"), "section.png"),
        (xr.DataArray(np.ones((16, 24)), dims=("y", "x")), r"shape \(16, 24\)"),
    ],
)
def test_a_microstructure_alone_is_no_first_frame(given: object, got: str) -> None:
    message = rf"first_frames: expected \(simulation, field, y, x\) .* with 5 fields, got {got}; pt.first_frame makes them of"
    with pytest.raises(ValueError, match=message):
        pt.rollout(micro_tokens(), given, [[9.0]], steps=2)


def test_models_are_loaded_by_what_their_file_holds(tmp_path) -> None:
    path = tmp_path / "model.pt"
    micro_tokens().save(path)
    assert isinstance(pt.load(path), pt.MicroTokens)
    with pytest.raises(ValueError, match=r"expected trained tokens of the package, \['hmx-standard'\], or a file"):
        pt.load("no-such-tokens")
