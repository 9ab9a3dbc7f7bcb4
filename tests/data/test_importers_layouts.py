"""What single layouts have that others have not."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
import xarray as xr

from probtokens import limits
from probtokens.data import TrajectorySet, read_info
from probtokens.data.importers import Given, convert, make_plan, open_source
from probtokens.units import measure, mend, ours
from tests.data.layouts import CASES, GROUPED, NETCDF, NPZ, NX, NY, OURS, PARC, PARCTORCH, SCIMITAR, WELL, write_parctorch


@pytest.mark.parametrize(
    ("unit", "expected", "factor", "offset"),
    [
        ("Pa", "GPa", 1e-9, 0.0),
        ("dyne/cm^2", "GPa", 1e-10, 0.0),
        ("m", "µm", 1e6, 0.0),
        ("Å", "µm", 1e-4, 0.0),
        ("s", "ns", 1e9, 0.0),
        ("m s-1", "km/s", 1e-3, 0.0),
        ("cm/µs", "km/s", 10.0, 0.0),
        ("kg m**-3", "g/cm³", 1e-3, 0.0),
        ("kg/m3", "g/cm³", 1e-3, 0.0),
        ("J/kg", "kJ/g", 1e-6, 0.0),
        ("degC", "K", 1.0, 273.15),
        ("1/s", "1/ns", 1e-9, 0.0),
        ("%", "1", 0.01, 0.0),
        ("-", "1", 1.0, 0.0),
        ("V/m", "V/m", 1.0, 0.0),
        ("GPa", "GPa", 1.0, 0.0),
    ],
)
def test_units_become_ours_where_that_is_asked_for(unit: str, expected: str, factor: float, offset: float) -> None:
    mending = mend(unit, ours(unit))
    assert mending.unit == expected
    np.testing.assert_allclose([mending.factor, mending.offset], [factor, offset], rtol=1e-12)


def test_mended_values_are_rounded_once() -> None:
    values = np.random.default_rng(0).uniform(-1e10, 1e10, 1000).astype(np.float32)
    np.testing.assert_allclose(mend("Pa", "GPa")(values), values.astype(np.float64) / 1e9, rtol=6e-8)
    np.testing.assert_array_equal(mend("GPa")(values), values)


@pytest.mark.parametrize(("text", "expected"), [("50 nm", 0.05), ("0.05", 0.05), ("5e-8m", 0.05), ("1.5 mm", 1500.0)])
def test_lengths_have_a_unit_or_the_given_one(text: str, expected: float) -> None:
    assert measure(text, "µm", "µm") == (expected, "µm")


@pytest.mark.parametrize("part", ["temperatures", "pressures"])
def test_parc_without_a_frame(part: str, tmp_path: Path) -> None:
    source = PARC.write(tmp_path)
    missing = {"temperatures": "Temp_02.txt", "pressures": "pres_03.txt"}[part]
    (source / "data" / "raw" / part / "data_02" / missing).unlink()
    with pytest.raises(ValueError, match=rf"{part}/data_02: expected 3 frames, \['{missing}'\] among them, got 2 without it"):
        open_source(source, PARC.given)


def test_parc_begins_with_the_state_before_the_shock_and_has_the_splits_of_its_authors(tmp_path: Path) -> None:
    raw = PARC.write(tmp_path) / "data" / "raw"
    for k in range(4, 43):
        for part, ending in (("microstructures", ".pgm"), ("temperatures", ""), ("pressures", "")):
            (raw / part / f"data_{k:02d}{ending}").symlink_to(raw / part / f"data_01{ending}")
    contents = open_source(raw, replace(PARC.given, splits=None)).contents
    assert {split: (numbers[0], numbers[-1]) for split, numbers in (contents.splits or {}).items()} == {
        "train": (0, 24),
        "valid": (25, 32),
        "test": (33, 41),
    }
    assert make_plan(contents, replace(PARC.given, splits=None)).grid.time_step == 0.79


def test_a_damaged_pgm_image(tmp_path: Path) -> None:
    source = PARC.write(tmp_path)
    image = source / "data" / "raw" / "microstructures" / "data_01.pgm"
    image.write_text(image.read_text()[:100])
    with pytest.raises(ValueError, match=r"data_01\.pgm: expected a complete PGM image"):
        open_source(source, PARC.given)


def test_scaled_parctorch_without_its_ranges_is_refused(tmp_path: Path) -> None:
    source = write_parctorch(tmp_path, scaled=True)
    (source / "min_max.json").unlink()
    given = replace(PARCTORCH.given, layout="parctorch")
    with pytest.raises(
        ValueError, match=r"expected min_max.json beside or above arrays that are scaled, or --range NAME=LOW:HIGH, got none"
    ):
        open_source(source, given)
    assert open_source(source, replace(given, ranges={"temperature": (300.0, 4000.0)})).layout == "parctorch"


@pytest.mark.parametrize("speed", [False, True], ids=["old", "new"])
@pytest.mark.parametrize("scaled", [False, True], ids=["physical", "scaled"])
def test_parctorch_with_old_and_new_ranges(speed: bool, scaled: bool, tmp_path: Path) -> None:
    source = write_parctorch(tmp_path, speed=speed, scaled=scaled)
    plan = convert(source, tmp_path / "out", PARCTORCH.given)
    (path,) = (tmp_path / "out" / "data" / "train").iterdir()
    stored = json.loads(read_info(path).attributes["min_max"])
    assert stored["velocity"] == ("speed" if speed else "components")
    assert stored["channel_max"] == json.loads((source / "min_max.json").read_text())["channel_max"]
    assert any(("(new)" if speed else "(old)") in note for note in plan.notes)
    assert any("is undone" in note for note in plan.notes) == scaled
    frames = TrajectorySet.open(path.parent, list(PARCTORCH.frames), []).frames(0)
    for k, (name, values) in enumerate(PARCTORCH.frames.items()):
        span = np.ptp(values)
        np.testing.assert_allclose(frames[:, k], values[0], rtol=2e-7, atol=1e-6 * span if scaled else 0, err_msg=name)


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("{", "min_max.json"),
        ("[1]", "expected keys"),
        ('{"channel_min": [0, 0], "channel_max": [1, 1]}', "expected 5 numbers, one for each channel"),
        ('{"channel_min": [0, 0, 0, 0, "a"], "channel_max": [1, 1, 1, 1, 1]}', "channel_min: expected 5 numbers"),
    ],
)
def test_parctorch_with_damaged_ranges(content: str, text: str, tmp_path: Path) -> None:
    source = PARCTORCH.write(tmp_path)
    (source / "min_max.json").write_text(content)
    with pytest.raises(ValueError, match=text):
        open_source(source, PARCTORCH.given)


def test_parctorch_of_other_channels_asks_for_their_units(tmp_path: Path) -> None:
    for k in range(3):
        np.save(tmp_path / f"case_{k}.npy", np.random.default_rng(k).random((3, 2, 6, 8)))
    given = Given(layout="parctorch", spacing="1", time_step="1", splits=(1, 1, 1))
    contents = open_source(tmp_path, given).contents
    with pytest.raises(ValueError, match="--unit 0=UNIT"):
        make_plan(contents, given)
    named = replace(given, names={"0": "velocity_x", "1": "velocity_y"}, units={"velocity": "cm/s"})
    assert make_plan(contents, named).units == {"velocity_x": "cm/s", "velocity_y": "cm/s"}
    assert make_plan(contents, replace(named, wanted={"velocity": "km/s"})).units == {"velocity_x": "km/s", "velocity_y": "km/s"}


@pytest.mark.parametrize(
    "header", ["", "X Y U V P T Ls\n", "# x y u v p t ls\n# in SI units\n", 'VARIABLES = "T" "Ls" "X" "Y" "U" "V" "P"\n']
)
def test_scimitar_with_any_header(header: str, tmp_path: Path) -> None:
    source = SCIMITAR.write(tmp_path)
    order = [5, 6, 0, 1, 2, 3, 4] if header.startswith("VARIABLES") else range(7)
    for path in source.rglob("*.dat"):
        table = np.loadtxt(path, skiprows=3)[::-1]
        path.write_text(header + "\n".join(" ".join(f"{value:.9g}" for value in line[list(order)]) for line in table))
    convert(source, tmp_path / "out", SCIMITAR.given)
    frames = TrajectorySet.open(tmp_path / "out" / "data" / "test", list(SCIMITAR.frames), []).frames(0)
    for k, values in enumerate(SCIMITAR.frames.values()):
        np.testing.assert_allclose(frames[:, k], values[2], rtol=2e-7, atol=1e-12)


def test_scimitar_frames_are_in_the_order_of_their_numbers_and_none_is_missing(tmp_path: Path) -> None:
    source = SCIMITAR.write(tmp_path)
    for run in source.iterdir():
        for k, path in enumerate(sorted(run.iterdir())):
            path.rename(run / f"t{9 + k}.dat")  # t10 comes before t9 in the alphabet
    convert(source, tmp_path / "out", SCIMITAR.given)
    frames = TrajectorySet.open(tmp_path / "out" / "data" / "train", ["temperature"], []).frames(0)
    np.testing.assert_array_equal(frames[:, 0], SCIMITAR.frames["temperature"][0])
    (source / "run_1" / "t10.dat").rename(source / "run_1" / "t14.dat")
    with pytest.raises(ValueError, match=r"run_1: expected frames in steps of 2, none missing, got t14.dat after t11.dat"):
        open_source(source, SCIMITAR.given)
    (source / "run_1" / "t14.dat").rename(source / "run_1" / "last.dat")
    with pytest.raises(ValueError, match=r"expected the number of the frame in every file's name, got \['last.dat'\]"):
        open_source(source, SCIMITAR.given)


@pytest.mark.parametrize(
    ("line", "text"),
    [("1 2 3", "expected lines of numbers"), ("0 0 0 0 x 0 0", "could not convert"), ("9 9 0 0 0 300 0", "one line for each of")],
)
def test_scimitar_with_a_bad_line(line: str, text: str, tmp_path: Path) -> None:
    source = SCIMITAR.write(tmp_path)
    path = source / "run_0" / "out_001000.dat"
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines[:9], line, *lines[10:]]))
    with pytest.raises(ValueError, match=rf"out_001000\.dat: .*{text}"):
        convert(source, tmp_path / "out", SCIMITAR.given)


def test_pdebench_groups_whose_axes_are_the_other_way_round(tmp_path: Path) -> None:
    """The paper calls the axes (t, x, y, channel); where the sizes tell, they are believed."""
    source = GROUPED.write(tmp_path)
    with h5py.File(source, "r+") as file:
        for key in list(file):
            values = file[key]["data"][()]
            del file[key]["data"]
            file[key]["data"] = values.swapaxes(1, 2)
    convert(source, tmp_path / "out", GROUPED.given)
    frames = TrajectorySet.open(tmp_path / "out" / "data" / "train", ["activator"], []).frames(0)
    np.testing.assert_array_equal(frames[:, 0], GROUPED.frames["activator"][0])


def test_compressible_flow_whose_name_tells_no_edges(tmp_path: Path) -> None:
    case = CASES["pdebench compressible"]
    source = case.write(tmp_path).rename(tmp_path / "flow.hdf5")
    plan = make_plan(open_source(source, case.given).contents, case.given)
    assert set(plan.boundary.values()) == {"OPEN"}
    assert any("--boundary" in note for note in plan.notes)
    walls = replace(case.given, boundary=dict.fromkeys(("bottom", "top"), "WALL"))
    assert make_plan(open_source(source, walls).contents, walls).boundary == {
        "left": "OPEN",
        "right": "OPEN",
        "bottom": "WALL",
        "top": "WALL",
    }


@pytest.mark.parametrize("n_times", [2, 5])
def test_compressible_flow_with_a_wrong_number_of_times(n_times: int, tmp_path: Path) -> None:
    case = CASES["pdebench compressible"]
    source = case.write(tmp_path)
    with h5py.File(source, "r+") as file:
        del file["t-coordinate"]
        file["t-coordinate"] = np.arange(n_times, dtype="f4")
    with pytest.raises(ValueError, match=rf"t-coordinate: expected 3 or 4 times, for 3 frames, got {n_times}"):
        open_source(source, replace(case.given, layout="pdebench"))


@pytest.mark.parametrize("wanted", [{}, OURS, {"length": "mm", "velocity": "cm/s"}])
def test_units_in_files_of_the_well_are_kept_or_turned_into_what_is_wanted(wanted: dict[str, str], tmp_path: Path) -> None:
    source = WELL.write(tmp_path)
    for path in source.rglob("*.hdf5"):
        with h5py.File(path, "r+") as file:
            for name, unit in {"x": "m", "y": "m", "time": "s"}.items():
                file[f"dimensions/{name}"].attrs["units"] = unit
            file["t1_fields/velocity"].attrs["units"] = "m/s"
    plan = convert(source, tmp_path / "out", Given(units={"*": "1"}, wanted=wanted))
    grids = {0: (0.5, "m", 0.25, "s"), 1: (5e5, "µm", 2.5e8, "ns"), 2: (500.0, "mm", 0.25, "s")}
    assert (plan.grid.spacing, plan.grid.length_unit, plan.grid.time_step, plan.grid.time_unit) == grids[len(wanted)]
    found = TrajectorySet.open(tmp_path / "out" / "data" / "train", ["velocity_x"], [])
    unit, factor = {0: ("m/s", 1.0), 1: ("km/s", 1e-3), 2: ("cm/s", 100.0)}[len(wanted)]
    assert (found.grid, found.fields[0].unit) == (plan.grid, unit)
    np.testing.assert_allclose(found.frames(0)[:, 0], factor * WELL.frames["velocity_x"][0], rtol=2e-7)


def test_a_tensor_named_as_a_whole(tmp_path: Path) -> None:
    units = {"length": "µm", "time": "ns", "flow": "m/s", "*": "1"}
    convert(WELL.write(tmp_path), tmp_path / "out", Given(names={"D": "stress", "velocity": "flow"}, units=units))
    (path,) = (tmp_path / "out" / "data" / "train").iterdir()
    with h5py.File(path) as file:
        assert list(file["t1_fields"]) == ["flow"]
        assert file["t2_fields/stress"].shape == (1, 3, NX, NY, 2, 2)


def test_an_xarray_with_an_axis_of_fields(tmp_path: Path) -> None:
    """As ensembles and ``Trajectories.from_arrays`` have them."""
    values = np.random.default_rng(0).random((3, 2, 3, NY, NX)).astype("f4")
    coordinates = {
        "field": ["concentration", "temperature"],
        "field_unit": ("field", ["1", "K"]),
        "x": 0.04 * np.arange(NX),
        "y": 0.04 * np.arange(NY),
        "time": 0.02 * np.arange(3),
    }
    array = xr.DataArray(values[:, :, :, None], coordinates, ("simulation", "field", "time", "z", "y", "x"), name="frames")
    array.to_netcdf(tmp_path / "set.nc", engine="h5netcdf")
    given = Given(units={"length": "µm", "time": "ns"}, splits=(1, 1, 1))
    convert(tmp_path / "set.nc", tmp_path / "out", given)
    found = TrajectorySet.open(tmp_path / "out" / "data" / "test", ["concentration", "temperature"], [])
    np.testing.assert_array_equal(found.frames(0), values[2].swapaxes(0, 1))
    assert (found.grid.spacing, found.grid.time_step) == (0.04, 0.02)


@pytest.mark.parametrize(
    ("dims", "text"),
    [
        (("time", "y"), "expected an array with the 2 axes of --dims"),
        (("time", "z", "x"), r"expected --dims with some of \['simulation'"),
        (("time", "x", "x"), "each once"),
        (("x", "y", "time"), "expected arrays of equal sizes"),
    ],
)
def test_wrong_axes_of_numpy_arrays(dims: tuple[str, ...], text: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=text):
        open_source(NPZ.write(tmp_path), replace(NPZ.given, dims=dims))


def test_an_archive_of_far_more_than_it_has_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = NPZ.write(tmp_path)
    target = source if source.is_file() else next(source.rglob("*.npz"))
    with zipfile.ZipFile(target, "a", zipfile.ZIP_DEFLATED) as archive, archive.open("zeros.npy", "w") as member:
        np.lib.format.write_array(member, np.zeros((3, 500, 500)))
    monkeypatch.setattr(limits, "ALWAYS_ALLOWED", 5_000_000)
    with pytest.raises(ValueError, match=r"zeros.npy: expected an array of at most 5 MB in a file of .* kB, got 6 MB"):
        open_source(source, NPZ.given)


def _link(file: h5py.File) -> None:
    del file["T"]
    file["T"] = h5py.ExternalLink("other.nc", "/T")


def _long(file: h5py.File) -> None:
    del file["time"]
    file.create_dataset("time", (10**11,), "f8", chunks=(1 << 16,))


@pytest.mark.parametrize(("harm", "text"), [(_link, "expected 'T' in the file itself"), (_long, "/time: expected .* chunks .* only 0")])
def test_a_netcdf_file_that_is_not_what_it_says(harm: Callable[[h5py.File], None], text: str, tmp_path: Path) -> None:
    source = NETCDF.write(tmp_path)
    with h5py.File(source, "r+") as file:
        harm(file)
    with pytest.raises(ValueError, match=f"set.nc: .*{text}"):
        open_source(source, NETCDF.given)


def test_arrays_of_objects_are_not_unpickled(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(ValueError, match=r"a\.npy: expected a complete \.npy file of numbers"):
        open_source(tmp_path / "a.npy", Given(dims=("time", "y", "x")))
