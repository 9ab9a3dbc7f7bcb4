"""What every importer has to do: recognise, convert without loss, ask for what is missing, and refuse what is damaged."""

from __future__ import annotations

import json
import weakref
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from probtokens.data import TrajectorySet, read_info
from probtokens.data.importers import LAYOUTS, Given, Simulation, convert, make_plan, open_source
from probtokens.data.importers.convert import PICTURE, RECORD
from probtokens.data.the_well.faults import MAX_MESSAGE
from tests.data.layouts import CASES, Case

every_case = pytest.mark.parametrize("case", CASES.values(), ids=CASES)


def converted(case: Case, tmp_path: Path, **changes: Any) -> Path:
    convert(case.write(tmp_path), tmp_path / "out", replace(case.given, **changes))
    return tmp_path / "out"


def fails(source: Path, tmp_path: Path, given: Given, *parts: str) -> None:
    """Conversion is refused in a short message with all these parts."""
    with pytest.raises(ValueError, match="expected") as caught:
        convert(source, tmp_path / "refused", given)
    message = str(caught.value)
    assert all(part in message for part in parts), message
    assert len(message) <= MAX_MESSAGE


@every_case
def test_the_layout_is_recognised(case: Case, tmp_path: Path) -> None:
    assert open_source(case.write(tmp_path), case.given).layout == case.layout


def test_every_layout_has_a_case() -> None:
    assert {case.layout for case in CASES.values()} == set(LAYOUTS)


@every_case
def test_nothing_is_lost(case: Case, tmp_path: Path) -> None:
    out = converted(case, tmp_path)
    assert (out / "stats.yaml").is_file()
    for split, numbers in case.splits.items():
        found = TrajectorySet.open(out / "data" / split, list(case.frames), list(case.scalars))
        assert len(found) == len(numbers)
        assert found.grid == case.grid
        assert found.boundary == case.boundary
        for place, number in enumerate(numbers):
            frames = found.frames(place)
            for k, (name, values) in enumerate(case.frames.items()):
                expected = np.broadcast_to(values[number], (case.grid.n_times, *case.grid.shape))
                np.testing.assert_allclose(frames[:, k], expected, rtol=2e-7, atol=1e-12, err_msg=name)
            for name, column in case.scalars.items():
                np.testing.assert_allclose(found.scalar(name)[place], column[number], rtol=1e-6)


@every_case
def test_units_symmetries_and_constants_are_stored(case: Case, tmp_path: Path) -> None:
    (path,) = (converted(case, tmp_path) / "data" / "train").iterdir()
    info = read_info(path)
    assert set(info.fields) == set(case.frames)
    ours = {"temperature": "K", "pressure": "GPa", "velocity_x": "km/s", "velocity_y": "km/s", "solid_fraction": "1", "density": "g/cm³"}
    for name, values in case.frames.items():
        assert info.sources[name].time_varying == (values.shape[1] > 1)
        assert info.units[name] == ours.get(name, info.units[name])
    if "velocity_y" in case.frames:
        assert [info.spec(name).odd for name in ("velocity_x", "velocity_y")] == ["x", "y"]
    if "D_xy" in case.frames:
        assert [info.spec(name).odd for name in ("D_xx", "D_xy")] == ["", "xy"]
    assert info.attributes["layout"] == case.layout


@every_case
def test_one_simulation_is_in_memory_at_a_time(case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[weakref.ref[np.ndarray]] = []
    layout = LAYOUTS[case.layout]
    read = layout.read

    def watched(self: Any, number: int) -> Simulation:
        assert not [reference for reference in seen if reference() is not None]
        simulation = read(self, number)
        frames = {name: np.array(values) for name, values in simulation.frames.items()}
        seen.extend(map(weakref.ref, frames.values()))
        return Simulation(simulation.path, frames, simulation.scalars)

    monkeypatch.setattr(layout, "read", watched)
    converted(case, tmp_path)
    assert len(seen) == 3 * len(case.frames)


def content(path: Path) -> dict[str, tuple[bytes, dict[str, str]]]:
    """All objects of a file with their values and attributes; the files themselves hold the second in which they were written."""
    found: dict[str, tuple[bytes, dict[str, str]]] = {}

    def note(name: str, node: Any) -> None:
        values = node[()].tobytes() if isinstance(node, h5py.Dataset) else b""
        found[name] = values, {key: repr(value) for key, value in node.attrs.items()}

    with h5py.File(path) as file:
        note("/", file)
        file.visititems(note)
    return found


@every_case
def test_an_interrupted_conversion_goes_on(case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, out, layout = case.write(tmp_path), tmp_path / "out", LAYOUTS[case.layout]
    read, asked = layout.read, []

    def interrupted(self: Any, number: int) -> Simulation:
        asked.append(number)
        if len(asked) == 2:
            raise KeyboardInterrupt
        return read(self, number)

    monkeypatch.setattr(layout, "read", interrupted)
    with pytest.raises(KeyboardInterrupt):
        convert(source, out, case.given)
    (first,) = out.rglob("*.hdf5")
    written = first.stat().st_mtime_ns
    convert(source, out, case.given)
    assert len(asked) == 4
    assert asked[1] == asked[2]
    assert set(asked) == {0, 1, 2}
    assert first.stat().st_mtime_ns == written
    whole = {path.relative_to(out): content(path) for path in out.rglob("*.hdf5")}
    convert(source, tmp_path / "at_once", case.given)
    assert {path: content(tmp_path / "at_once" / path) for path in whole} == whole


@pytest.mark.parametrize(
    ("case", "change", "text"),
    [pytest.param(case, *asked, id=f"{name} {asked[1]}") for name, case in CASES.items() for asked in case.asked],
)
def test_what_the_files_do_not_tell_is_asked_for(case: Case, change: dict[str, Any], text: str, tmp_path: Path) -> None:
    fails(case.write(tmp_path), tmp_path, replace(case.given, **change), text)
    assert not (tmp_path / "refused").exists()


def test_all_that_the_files_do_not_tell_is_asked_for_at_once(tmp_path: Path) -> None:
    for number in range(3):
        np.savez(tmp_path / f"{number}.npz", temperature=np.full((3, 4, 5), 300.0), load=9.0)
    asked = ("--unit temperature=UNIT, --unit load=UNIT ('1' for a number)", "--spacing", "--time-step", "--splits TRAIN/VALID/TEST of 3")
    fails(tmp_path, tmp_path.parent, Given(dims=("time", "y", "x")), *asked)
    given = Given(dims=("time", "y", "x"), units={"*": "1"}, spacing="1 µm", splits=(1, 1, 1))
    with pytest.raises(ValueError, match="what the files do not tell: --time-step of frames ..0.1 ns.., got none"):
        make_plan(open_source(tmp_path, given).contents, given)


def test_frames_of_numpy_files_are_read_when_they_are_needed(tmp_path: Path) -> None:
    given = Given(dims=("time", "y", "x"))
    np.savez(tmp_path / "run.npz", temperature=np.full((30, 40, 50), 300.0), load=9.0)
    whole = (tmp_path / "run.npz").read_bytes()
    (tmp_path / "run.npz").write_bytes(whole.replace(np.float64(300.0).tobytes(), np.float64(301.0).tobytes()))
    source = open_source(tmp_path, given)
    assert source.contents.shape == (30, 40, 50)
    assert (list(source.contents.fields), list(source.contents.scalars)) == (["temperature"], ["load"])
    with pytest.raises(ValueError, match="run.npz: temperature: expected a complete .npz file of numbers, got Bad CRC-32"):
        source.read(0)
    (tmp_path / "run.npz").write_bytes(whole)
    assert open_source(tmp_path, given).read(0).frames["temperature"].max() == 300.0


@pytest.mark.parametrize(
    ("case", "damage"),
    [
        pytest.param(case, kind, id=f"{name} {kind}")
        for name, case in CASES.items()
        for kind in ("nan", "cut", "fewer", "slender")
        if getattr(case, kind) is not None
    ],
)
def test_damaged_files_are_refused_by_name(case: Case, damage: str, tmp_path: Path) -> None:
    source = case.write(tmp_path)
    parts = getattr(case, damage)(source)
    fails(source, tmp_path, replace(case.given, layout=case.layout), *parts)
    assert not list((tmp_path / "refused").rglob("*.tmp"))


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"units": {"presure": "Pa"}}, "--unit: expected some of"),
        ({"names": {"temprature": "t"}}, "--name: expected some of"),
        ({"names": {"temperature": "pressure"}}, "--name to give different names"),
        ({"ranges": {"heat": (0.0, 1.0)}}, "--range: expected some of"),
        ({"units": {"pressure": "Ppa"}}, "'Ppa'"),
        ({"units": {"pressure": "m/s"}}, "a unit of the dimension of 'GPa'"),
        ({"units": {"solid_fraction": "K"}}, "a unit of the dimension of '1'"),
        ({"wanted": {"presure": "Pa"}}, "--in: expected some of"),
        ({"wanted": {"pressure": "K"}}, "a unit that becomes 'K'"),
        ({"wanted": {"*": "SI"}}, "--in: expected '*=ours'"),
        ({"spacing": "-1"}, "--spacing: expected a positive number"),
        ({"spacing": "1 ns"}, "--spacing: expected a unit of the dimension of 'µm', got 'ns'"),
        ({"time_step": "fast"}, "--time-step: expected a positive number"),
        ({"boundary": {"left": "SHUT"}}, "--boundary: expected some of"),
        ({"boundary": {"left": "PERIODIC"}}, "both or neither"),
        ({"splits": (3, 1, 1)}, "--splits: expected three numbers"),
        ({"splits": (0, 2, 1)}, "the first at least 1"),
        ({"layout": "vtk"}, "--layout: expected one of"),
    ],
)
def test_options_that_do_not_fit_are_refused(change: dict[str, Any], text: str, tmp_path: Path) -> None:
    case = CASES["parc"]
    fails(case.write(tmp_path), tmp_path, replace(case.given, **change), text)


def test_fewer_simulations_than_there_are(tmp_path: Path) -> None:
    out = converted(CASES["parc"], tmp_path, splits=(1, 0, 1))
    assert sorted(path.name for path in out.rglob("*.hdf5")) == ["data_01.hdf5", "data_02.hdf5"]


def test_names_units_and_ranges_of_the_user(tmp_path: Path) -> None:
    changes = {"names": {"solid_fraction": "grain"}, "units": {"pressure": "bar"}, "ranges": {"grain": (2.0, 4.0)}}
    out = converted(CASES["parc"], tmp_path, **changes)
    frames = TrajectorySet.open(out / "data" / "train", ["pressure", "grain"], []).frames(0)
    np.testing.assert_allclose(frames[:, 0], 1e5 * CASES["parc"].frames["pressure"][0], rtol=2e-7)
    np.testing.assert_array_equal(frames[0, 1], 2 + 2 * CASES["parc"].frames["solid_fraction"][0, 0])


@every_case
def test_units_stay_as_they_are_given(case: Case, tmp_path: Path) -> None:
    """What is not turned into ours is what ours are when they are turned back."""
    kept = convert(case.write(tmp_path), tmp_path / "kept", replace(case.given, wanted={}))
    turned = convert(tmp_path / "kept", tmp_path / "ours", Given(wanted={"*": "ours"}))
    assert turned.grid.length_unit == "µm"
    assert turned.grid.spacing == pytest.approx(case.grid.spacing, rel=1e-6)
    assert turned.grid.time_step == pytest.approx(case.grid.time_step, rel=1e-6)
    found = TrajectorySet.open(tmp_path / "kept" / "data" / "train", list(kept.fields), [])
    assert found.grid == kept.grid
    back = TrajectorySet.open(tmp_path / "ours" / "data" / "train", list(kept.fields), [])
    for k, name in enumerate(kept.fields):
        values = np.broadcast_to(case.frames[name][0], back.frames(0)[:, k].shape)
        np.testing.assert_allclose(back.frames(0)[:, k], values, rtol=1e-6, atol=1e-10, err_msg=name)


def test_a_folder_of_something_else_is_refused_and_left_alone(tmp_path: Path) -> None:
    case, out = CASES["parc"], tmp_path / "out"
    source = case.write(tmp_path)
    out.mkdir()
    (out / PICTURE).touch()
    (out / "thesis.tex").touch()
    with pytest.raises(ValueError, match=r"expected a new or empty folder, got \['thesis.tex'\]"):
        convert(source, out, case.given)
    assert sorted(path.name for path in out.iterdir()) == [PICTURE, "thesis.tex"]
    (out / "thesis.tex").unlink()
    convert(source, out, case.given)


def test_a_folder_in_the_source_is_refused(tmp_path: Path) -> None:
    source = CASES["the well"].write(tmp_path)
    with pytest.raises(ValueError, match="expected a folder outside of"):
        convert(source, source / "out", CASES["the well"].given)
    assert not (source / "out").exists()


def test_files_of_the_same_name_in_several_folders_are_told_apart(tmp_path: Path) -> None:
    case = CASES["the well"]
    out = converted(case, tmp_path, splits=(2, 0, 1))  # whatever the folders say
    found = TrajectorySet.open(out / "data" / "train", ["velocity_x"], [])
    assert found.names == ("data_test_active_L_10_0/0", "data_train_active_L_10_0/0")
    np.testing.assert_array_equal(found.frames(0)[:, 0], case.frames["velocity_x"][2])


@pytest.mark.parametrize("change", ["option", "file"])
def test_another_conversion_into_the_same_folder_is_refused(change: str, tmp_path: Path) -> None:
    case = CASES["parc"]
    out = converted(case, tmp_path)
    given, source = case.given, tmp_path / "parc"
    if change == "option":
        given = replace(given, spacing="60 nm")
    else:
        (source / "data" / "raw" / "temperatures" / "data_03" / "Temp_01.txt").touch()
    with pytest.raises(ValueError, match=rf"one with another: \['{'given' if change == 'option' else 'files'}'\] changed"):
        convert(source, out, given)
    assert json.loads((out / RECORD).read_text())["given"]["spacing"] == "55 nm"


def test_options_may_change_until_the_first_simulation_is_written(tmp_path: Path) -> None:
    case, out = CASES["parc"], tmp_path / "out"
    source = case.write(tmp_path)
    with pytest.raises(ValueError, match="both or neither"):
        convert(source, out, replace(case.given, boundary={"left": "PERIODIC"}))
    convert(source, out, case.given)
    assert len(list(out.rglob("*.hdf5"))) == 3


def test_what_the_user_says_instead_of_the_files_is_told(tmp_path: Path) -> None:
    case = CASES["netcdf"]
    plan = convert(case.write(tmp_path), tmp_path / "out", replace(case.given, spacing="0.2 mm", time_step="1"))
    assert (plan.grid.spacing, plan.grid.time_step) == (200.0, 1000.0)
    assert "spacing: 200 µm as --spacing says, not the 0.1 mm of the files" in plan.notes
    assert "time step: 1000 ns as --time-step says, not the 0.5 us of the files" in plan.notes


def test_a_spacing_of_the_user_does_not_make_cells_square(tmp_path: Path) -> None:
    case = CASES["netcdf"]
    source = case.write(tmp_path)
    parts = case.slender(source) if case.slender else ()
    fails(source, tmp_path, replace(case.given, spacing="0.1 mm"), *parts)


@pytest.mark.parametrize("content", ["nothing", "other files"])
def test_what_is_no_set_is_refused(content: str, tmp_path: Path) -> None:
    if content == "nothing":
        fails(tmp_path / "absent", tmp_path, Given(), "absent", "a file or folder of simulations")
        return
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "a.txt").write_text("some words\n")
    fails(tmp_path / "notes", tmp_path, Given(), "notes", "one of the layouts parc,", "['a.txt']")


@pytest.mark.parametrize("layout", LAYOUTS)
def test_files_of_another_layout_than_the_given_one(layout: str, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    fails(tmp_path / "empty", tmp_path, Given(layout=layout), "empty", "expected")


@every_case
def test_the_loader_of_the_well_reads_it(case: Case, tmp_path: Path) -> None:
    the_well = pytest.importorskip("the_well.data")
    out = converted(case, tmp_path)
    loaded = the_well.WellDataset(path=str(out), well_split_name="train", n_steps_input=1, n_steps_output=1)
    constant = [name for name, values in case.frames.items() if values.shape[1] == 1]
    names = [name for order in loaded.metadata.field_names.values() for name in order]
    assert sorted(names) == sorted(set(case.frames) - set(constant))
    assert sorted(name for order in loaded.metadata.constant_field_names.values() for name in order) == sorted(constant)
    item = loaded[0]
    for k, name in enumerate(names):
        np.testing.assert_allclose(item["input_fields"][0, ..., k].numpy(), case.frames[name][0, 0].T, rtol=2e-7, atol=1e-12)
    codes = {"WALL": 0.0, "OPEN": 1.0, "PERIODIC": 2.0}
    assert item["boundary_conditions"].flatten().tolist() == [codes[case.boundary[side]] for side in ("left", "right", "bottom", "top")]


def test_files_of_ours_are_converted_to_themselves(tmp_path: Path) -> None:
    """What is in The Well's layout with our units comes out as it is."""
    out = converted(CASES["the well"], tmp_path)
    convert(out, tmp_path / "again", Given())
    for split in ("train", "valid", "test"):
        (path,), (other,) = ((folder / "data" / split).iterdir() for folder in (out, tmp_path / "again"))
        with h5py.File(path) as a, h5py.File(other) as b:
            for group in ("t0_fields", "t1_fields", "t2_fields"):
                assert list(a[group].attrs["field_names"]) == list(b[group].attrs["field_names"])
                for name in a[group]:
                    np.testing.assert_array_equal(a[group][name], b[group][name])
                    assert dict(a[group][name].attrs)["units"] == dict(b[group][name].attrs)["units"]
