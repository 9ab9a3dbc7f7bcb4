"""From a micrograph to an ensemble, its hot spots and a page, by the command line."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

import probtokens as pt
from probtokens import cli
from probtokens.pipeline.fingerprint import file_digest
from probtokens.predict import open_rollout

PIXEL, STEPS, DRAWS, SEED = 0.02, 4, 20, 3


def micrograph(path: Path) -> Path:
    """A dark disc of 0.24 µm radius, and a speck, in a bright crystal of 1.28 × 1.92 µm."""
    y, x = (np.mgrid[:64, :96] + 0.5) * PIXEL
    voids = (np.hypot(x - 0.8, y - 0.6) < 0.24) | (np.hypot(x - 1.4, y - 1.0) < 0.05)
    noise = np.random.default_rng(0).normal(scale=8.0, size=voids.shape)
    Image.fromarray(np.clip(np.where(voids, 50.0, 200.0) + noise, 0, 255).astype(np.uint8)).save(path)
    return path


def call(*arguments: object):
    return CliRunner().invoke(cli.app, ["forecast", *(str(argument) for argument in arguments)])


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return micrograph(tmp_path_factory.mktemp("image") / "section.png")


@pytest.fixture(scope="module")
def made(image: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Folder of a forecast, and what was printed."""
    out = tmp_path_factory.mktemp("out") / "deep" / "forecast"
    numbers = ("--steps", STEPS, "--draws", DRAWS, "--seed", SEED, "--least-diameter", 0.2)
    result = call("--image", image, "--pressure", "90 kbar", "--scale", PIXEL, "--out", out, *numbers)
    assert result.exit_code == 0, result.output
    return out, result.stdout


def test_the_ensemble_is_that_of_the_same_steps_in_python(made: tuple[Path, str], image: Path) -> None:
    first = pt.first_frame(str(image), 9.0, pixel_size="20 nm", least_diameter=0.2)
    ensemble = pt.rollout(pt.load("hmx-standard"), first, steps=STEPS, draws=DRAWS, seed=SEED)
    with open_rollout(made[0] / "ensemble.zarr") as stored:
        np.testing.assert_array_equal(stored["prediction"].values[:, :, 1:], ensemble.values)
        np.testing.assert_array_equal(stored["truth"].values[0, 0], first.sel(field=stored["field"].values).values[0])
        assert np.isnan(stored["truth"].values[0, 1:]).all()
        assert stored["simulation"].values.tolist() == ["section"]
        assert stored.attrs["model"] == "micro_tokens"
        assert stored["shock_pressure"].values.tolist() == [9.0]


def test_curves_are_those_of_the_ensemble(made: tuple[Path, str]) -> None:
    _, names, *lines = (made[0] / "hotspots.csv").read_text(encoding="utf-8").splitlines()
    columns = dict(zip(names.split(","), np.array([line.split(",") for line in lines], dtype=float).T, strict=True))
    with open_rollout(made[0] / "ensemble.zarr") as stored:
        hot = stored["prediction"].sel(field="temperature").values[:, 0, 1:] > 875.0
    areas = hot.sum((-1, -2)) * 0.04**2
    np.testing.assert_allclose(columns["area_median"], np.median(areas, axis=0), rtol=1e-5)
    assert areas.max() > 0.0
    inside = (areas >= columns["area_lower_90"] - 1e-6) & (areas <= columns["area_upper_90"] + 1e-6)
    assert inside.mean(axis=0).min() >= 0.85
    np.testing.assert_allclose(columns["time"], 0.125 * np.arange(1, STEPS + 1))
    assert (columns["temperature_median"] >= 875.0).all()


def test_the_page_has_bands_micrograph_and_frames_and_is_one_file(made: tuple[Path, str]) -> None:
    page = (made[0] / "report.html").read_text(encoding="utf-8")
    markup = re.sub(r"[A-Za-z0-9+/=]{200,}", "", page)
    assert "http" not in markup
    assert str(made[0]) not in markup
    for part in ("Hot-spot area at 0.50 ns: ", "Threshold", "Otsu", 'id="micrograph"', 'id="fields"', "9 GPa", "section.png"):
        assert part in markup
    assert page.count("data:image/png") == 2 + 4  # curves, micrograph, and all fields but velocities


def test_the_record_and_the_screen_say_what_was_understood(made: tuple[Path, str], image: Path) -> None:
    record = json.loads((made[0] / "forecast.json").read_text(encoding="utf-8"))
    assert record["image"]["sha256"] == file_digest(image)
    assert 0.2 < record["image"]["threshold_found"] < 0.78
    disc = np.pi * 0.24**2 / (1.28 * 1.92)  # the speck is filled
    assert record["cells"]["porosity"] == pytest.approx(disc, rel=0.03)
    assert (record["draws"], record["seed"], record["shock_pressure"]) == (DRAWS, SEED, 9.0)
    assert record["model"]["name"] == "hmx-standard"
    assert f"threshold {record['image']['threshold_found']:.3g} (Otsu), dark pores" in made[1]
    assert made[1].splitlines()[-1].startswith(f"next: open {made[0]}/report.html")


def test_pores_and_crystal_that_are_mistaken_for_each_other_are_noticed(image: Path, tmp_path: Path, made: tuple[Path, str]) -> None:
    numbers = ("--pressure", 9, "--scale", PIXEL, "--steps", 1, "--draws", 2)
    result = call("--image", image, "--pores", "bright", "--out", tmp_path / "out", *numbers)
    assert "caution: more than half is void; are the pores dark? then add --pores dark" in " ".join(result.stdout.split())
    assert "caution" not in made[1]


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["--pressure", 9], ["--scale: expected the edge of a pixel in µm, found none", "64 × 96 pixels"]),
        (["--pressure", 9, "--scale", 0.0], ["--scale: ", "greater than 0"]),
        (["--pressure", 9, "--scale", "20 ns"], ["--scale: expected a unit", "'ns'"]),
        (["--pressure", 9, "--scale", PIXEL, "--least-diameter", -1], ["--least-diameter: ", "greater than or equal to 0"]),
        (["--pressure", 9, "--scale", PIXEL, "--threshold", "dark"], ["--threshold: expected otsu or a number", "'dark'"]),
        (["--pressure", 9, "--scale", PIXEL, "--threshold", 0.01], ["section.png: expected voids", "threshold 0.01"]),
        (["--pressure", 9, "--scale", 0.0005], ["section.png: expected more than 0.16 × 0.5 µm", "is the scale right?"]),
        (["--pressure", 9e9, "--scale", PIXEL], ["--pressure: expected at most 100 GPa, got 9e+09; are they in Pa, or in MPa?"]),
        (["--pressure", -1, "--scale", PIXEL], ["--pressure: expected a positive number"]),
        (["--pressure", "9 km/s", "--scale", PIXEL], ["--pressure: expected", "'km/s'"]),
        (["--pressure", "much", "--scale", PIXEL], ["--pressure: expected", "'much'"]),
        (["--pressure", 9, "--scale", PIXEL, "--model", "absent.pt"], ["absent.pt: expected a model, found no file"]),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line_and_leaves_no_folder(image: Path, tmp_path: Path, arguments: list, parts: list) -> None:
    result = call("--image", image, "--out", tmp_path / "out", *arguments)
    assert result.exit_code == 2, result.output
    assert "Traceback" not in result.output
    for part in parts:
        assert part in result.stderr
    assert not (tmp_path / "out").exists()


def test_a_folder_of_something_else_stays_as_it_is(image: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").touch()
    result = call("--image", image, "--pressure", 9, "--scale", PIXEL, "--out", tmp_path)
    assert result.exit_code == 2
    assert "found 'thesis.tex'" in result.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]
