import shutil

import numpy as np
import pytest
import torch

import probtokens as pt
from probtokens.baselines.persistence import Persistence
from probtokens.data import Normalizer, TrajectorySet
from probtokens.data.support import ExtrapolationWarning
from probtokens.fields import FieldSpec, Grid, field_spec
from probtokens.models.micro import MicroTokens
from probtokens.predict import open_rollout, rollout_fields, rollout_grid, write_rollout
from probtokens.predict.lazy import rollout, with_truth
from probtokens.predict.rollout import simulation_seed
from probtokens.verify.token_pairs import GRID, micro_tokens, window
from tests.predict.synthetic import FIELDS, RandomWalk, Trajectories


def test_layout(tmp_path):
    trajectories, calls = Trajectories(), []
    path = write_rollout(
        RandomWalk(), trajectories, tmp_path / "runs" / "walk.zarr", members=5, seed=7, progress=lambda *done: calls.append(done)
    )
    rollout = open_rollout(path)
    assert [done for done, _ in calls] == sorted(done for done, _ in calls)
    assert {(15, 45), (30, 45), (45, 45)} <= set(calls)
    assert rollout.prediction.dims == ("draw", "simulation", "time", "field", "y", "x")
    assert rollout.prediction.shape == (5, 3, 4, 2, 6, 8)
    assert rollout.truth.dims == rollout.prediction.dims[1:]
    assert rollout.prediction.dtype == rollout.truth.dtype == np.float32
    assert rollout.prediction.chunks is not None, "opened lazily"
    np.testing.assert_allclose(rollout.time, [0, 0.125, 0.25, 0.375])
    np.testing.assert_array_equal(rollout.lead, [0, 1, 2, 3])
    np.testing.assert_allclose(rollout.x, (np.arange(8) + 0.5) * 0.04)
    assert list(rollout.simulation.values) == list(trajectories.names)
    assert list(rollout.field_unit.sel(field=["solid_fraction", "temperature"]).values) == ["1", "K"]
    np.testing.assert_array_equal(rollout.porosity, [1, 3, 5])
    assert {name: rollout.attrs[name] for name in ("model", "seed", "members")} == {"model": "walk", "seed": 7, "members": 5}
    assert rollout.attrs["precision"] == "float32"
    assert rollout_fields(rollout) == FIELDS
    assert rollout_grid(rollout) == trajectories.grid
    for i in range(3):
        np.testing.assert_array_equal(rollout.truth.isel(simulation=i), trajectories.frames(i))
        np.testing.assert_array_equal(rollout.prediction.isel(simulation=i, time=0), np.stack([trajectories.frames(i)[0]] * 5))


def test_fields_with_their_own_bounds_and_symmetry_come_back(tmp_path):
    vorticity = FieldSpec("vorticity", "1/ns", "vorticity", odd="xy")
    fields = (FieldSpec("density", "g/cm³", "mass density", lower=0.0), FieldSpec("v", "kJ/g", "heat", odd="y", vector="u"), vorticity)
    path = write_rollout(RandomWalk(fields=fields), Trajectories(fields=fields), tmp_path / "r.zarr", members=2, seed=0)
    assert rollout_fields(open_rollout(path)) == fields


def test_same_seed_same_bits_and_other_seed_others(tmp_path):
    a, b, c = (
        open_rollout(write_rollout(RandomWalk(), Trajectories(), tmp_path / name, members=3, seed=seed)).prediction.values
        for name, seed in (("a", 1), ("b", 1), ("c", 2))
    )
    np.testing.assert_array_equal(a, b)
    assert not np.array_equal(a, c)


def test_draws_do_not_depend_on_which_others_are_forecast(tmp_path):
    many = open_rollout(write_rollout(RandomWalk(), Trajectories(3), tmp_path / "many", members=3, seed=1)).prediction
    few = open_rollout(write_rollout(RandomWalk(), Trajectories(2), tmp_path / "few", members=3, seed=1)).prediction
    np.testing.assert_array_equal(many.isel(simulation=slice(2)), few)
    noise = many.values - many.values[:, :, :1]
    assert not np.array_equal(noise[:, 0], noise[:, 1]), "simulations have different draws"
    assert len({simulation_seed(seed, i) for seed in range(20) for i in range(20)}) == 400


def test_deterministic_model_has_one_draw(tmp_path):
    trajectories = Trajectories()
    rollout = open_rollout(write_rollout(Persistence(FIELDS), trajectories, tmp_path / "p.zarr", members=50, seed=0))
    assert rollout.sizes["draw"] == rollout.attrs["members"] == 1
    np.testing.assert_array_equal(rollout.prediction[0, 2, 3], trajectories.frames(2)[0])


def test_each_frame_is_written_before_the_next_is_asked_for(tmp_path):
    """What keeps memory bounded: at every lead the previous frame is on disk and no longer referenced."""
    path, counts = tmp_path / "walk.zarr", []

    def count_chunks(state, lead):
        counts.append(len([chunk for chunk in tmp_path.rglob("prediction/c/**/*") if chunk.is_file()]))
        return state

    write_rollout(RandomWalk(frame=count_chunks), Trajectories(2), path, members=2, seed=0)
    per_frame = len(FIELDS)
    assert counts[:3] == [0, per_frame, 2 * per_frame]
    assert counts[3] == 4 * per_frame, "three leads and the initial frame of the first simulation"


def test_memory_does_not_grow_with_leads(tmp_path):
    tracemalloc = pytest.importorskip("tracemalloc")
    peaks = []
    for n_times in (4, 16):
        trajectories = Trajectories(1, Grid(64, 64, 0.04, 0.125, n_times))
        write_rollout(RandomWalk(), trajectories, tmp_path / "warm.zarr", members=2, seed=0)
        tracemalloc.start()
        write_rollout(RandomWalk(), trajectories, tmp_path / f"{n_times}.zarr", members=64, seed=0)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    frame = 64 * 2 * 64 * 64 * 4
    assert peaks[1] < peaks[0] + 2 * frame, "sixteen frames of 2 MB each would be 32 MB"


def test_failure_leaves_nothing_and_keeps_the_old_rollout(tmp_path):
    path = tmp_path / "walk.zarr"
    write_rollout(RandomWalk(), Trajectories(), path, members=2, seed=0)
    before = open_rollout(path).prediction.values

    def stop(state, lead):
        if lead == 2:
            raise KeyboardInterrupt
        return state

    with pytest.raises(KeyboardInterrupt):
        write_rollout(RandomWalk(frame=stop), Trajectories(), path, members=2, seed=1)
    assert [p.name for p in tmp_path.iterdir()] == ["walk.zarr"]
    np.testing.assert_array_equal(open_rollout(path).prediction, before)
    write_rollout(RandomWalk(), Trajectories(), path, members=2, seed=1)
    assert not np.array_equal(open_rollout(path).prediction, before), "a finished run replaces the old rollout"
    assert [p.name for p in tmp_path.iterdir()] == ["walk.zarr"]


def test_rubbish_of_a_killed_run_does_not_survive(tmp_path):
    partial = tmp_path / ".walk.zarr.partial"
    partial.mkdir()
    (partial / "junk").write_text("junk")
    path = write_rollout(RandomWalk(), Trajectories(), tmp_path / "walk.zarr", members=2, seed=0)
    assert not partial.exists()
    assert not (path / "junk").exists()


def test_something_else_is_never_replaced(tmp_path):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.tex").write_text("years")
    with pytest.raises(ValueError, match="expected a rollout"):
        write_rollout(RandomWalk(), Trajectories(), tmp_path / "thesis", members=2, seed=0)
    assert (tmp_path / "thesis" / "chapter.tex").read_text() == "years"


def _nan_at_second_lead(state, lead):
    if lead == 2:
        state = state.clone()
        state[1, 0, 1, 3, 3] = torch.nan
    return state


@pytest.mark.parametrize(
    ("forecaster", "members", "message"),
    [
        (
            RandomWalk(frame=_nan_at_second_lead),
            3,
            r"walk, simulation shard_0000/0, lead 2: expected finite values.*\{'solid_fraction': 1\}",
        ),
        (RandomWalk(frame=lambda state, lead: state[..., :-1]), 3, r"lead 1: expected 3 frames of shape .*got \(3, 1, 2, 6, 7\)"),
        (RandomWalk(draws=2), 3, r"\(3 or 1, 1, 2, 6, 8\), got \(2, 1, 2, 6, 8\)"),
        (RandomWalk(frame=lambda state, lead: state[: 4 - lead]), 3, r"got \(2, 1, 2, 6, 8\)"),
        (RandomWalk(frame=lambda state, lead: state[:1] if lead == 2 else state), 3, "lead 2: expected 3 draws as before, got 1"),
        (RandomWalk(extra_steps=1), 3, "lead 4: expected 3 frames"),
        (RandomWalk(extra_steps=-1), 3, "expected 3 frames, got 2"),
        (RandomWalk(fields=FIELDS[::-1]), 3, "expected the fields of the trajectories"),
        (RandomWalk(fields=(*FIELDS, field_spec("pressure"))), 3, "expected the fields of the trajectories"),
        (RandomWalk(), 0, "members: expected >= 1, got 0"),
    ],
)
def test_errors_name_what_was_expected(tmp_path, forecaster, members, message):
    with pytest.raises(ValueError, match=message):
        write_rollout(forecaster, Trajectories(), tmp_path / "r.zarr", members=members, seed=0)
    assert list(tmp_path.iterdir()) == []


def test_truth_must_be_finite_and_of_the_grid(tmp_path):
    class Broken(Trajectories):
        def frames(self, i, start=0, stop=None):
            frames = super().frames(i).copy()
            frames[2, 0, 0, 0] = np.inf
            return frames

    with pytest.raises(ValueError, match=r"truth, simulation shard_0000/0, lead 2: expected finite.*temperature"):
        write_rollout(RandomWalk(), Broken(), tmp_path / "r.zarr", members=2, seed=0)
    with pytest.raises(ValueError, match="expected at least 1 of at least 2 frames, got 3 of 1"):
        write_rollout(RandomWalk(), Trajectories(grid=Grid(6, 8, 0.04, 0.125, 1)), tmp_path / "r.zarr", members=2, seed=0)


def test_open_says_what_it_found(tmp_path):
    with pytest.raises(ValueError, match="found nothing"):
        open_rollout(tmp_path / "no.zarr")
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="found something else"):
        open_rollout(tmp_path / "file")
    path = write_rollout(RandomWalk(), Trajectories(), tmp_path / "r.zarr", members=2, seed=0)
    shutil.rmtree(path / "truth")
    with pytest.raises(ValueError, match="'truth' of dimensions .*got none of that name"):
        open_rollout(path)


def test_memory_is_that_of_eight_draws_and_a_draw_is_the_same_however_many_there_are(tmp_path, monkeypatch):
    model, (frames, context), asked = micro_tokens(), window(), []
    known = {"shock_pressure": context[:, 0]}
    data = pt.Trajectories.from_arrays(frames, model.fields, spacing=GRID.spacing, time_step=GRID.time_step, context=known)
    forecast = model.forecast
    monkeypatch.setattr(
        model, "forecast", lambda *args, n_draws, **kwargs: (asked.append(n_draws), forecast(*args, n_draws=n_draws, **kwargs))[1]
    )
    for members in (5, 20):
        write_rollout(model, data, tmp_path / f"{members}.zarr", members=members, seed=3)
    assert set(asked) == {8}
    with open_rollout(tmp_path / "5.zarr") as few, open_rollout(tmp_path / "20.zarr") as many:
        assert many.sizes["draw"] == 20
        assert many["prediction"].encoding["chunks"][0] == 8
        np.testing.assert_array_equal(few["prediction"].values, many["prediction"].values[:5])
        lazy = pt.rollout(model, data, draws=20, seed=3)
        np.testing.assert_array_equal(lazy.values, many["prediction"].values[:, :, 1:])


def spoilt(n: int = 3) -> tuple[Trajectories, MicroTokens]:
    """Simulations of which the second is shocked harder than any in training, and tokens that know it."""
    frames, context = window(n_simulations=n)
    context[1] = 40.0
    given = TrajectorySet.from_arrays(
        frames, micro_tokens().fields, spacing=0.04, time_step=0.125, context={"shock_pressure": context[:, 0]}
    )
    return given, micro_tokens()


def test_extrapolation_is_told_once_and_kept_with_the_rollout(tmp_path):
    trajectories, model = spoilt()
    expected = ["", "shock_pressure 40 (12 to 18 GPa in training)", ""]
    with pytest.warns(ExtrapolationWarning, match="tokens: 1 of 3 .* arrays/1: shock_pressure 40") as caught:
        stored = open_rollout(write_rollout(model, trajectories, tmp_path / "r.zarr", members=10, seed=0))
    assert len(caught) == 1
    with pytest.warns(ExtrapolationWarning, match="tokens: 1 of 3 .* arrays/1: shock_pressure 40") as caught:
        lazy = rollout(model, trajectories, draws=10, seed=0)
    lazy = lazy.compute()
    assert [warning.filename for warning in caught] == [__file__]
    for found in (stored, lazy, with_truth(lazy, trajectories)):
        assert found["outside"].values.tolist() == expected
        for name, known in zip(("temperature", "pressure"), model.support.fields, strict=False):
            ends = found["field_least"].sel(field=name), found["field_most"].sel(field=name)
            assert tuple(map(float, ends)) == pytest.approx(known.limits)
    assert lazy.sel(simulation=lazy.outside == "").sizes["simulation"] == 2


@pytest.mark.filterwarnings("error::probtokens.ExtrapolationWarning")
def test_nothing_is_told_of_a_forecaster_that_knows_no_training_data(tmp_path):
    found = open_rollout(write_rollout(RandomWalk(), Trajectories(), tmp_path / "r.zarr", members=2, seed=0))
    assert found["outside"].values.tolist() == ["", "", ""]
    assert np.isnan(found["field_least"]).all()
    assert np.isnan(found["field_most"]).all()


def test_own_forecasters_are_gated_by_their_support(tmp_path):
    walk, trajectories = RandomWalk(), Trajectories()
    normalizer = Normalizer.fit(
        TrajectorySet.from_arrays(
            np.stack([trajectories.frames(i) for i in range(3)]),
            FIELDS,
            spacing=0.04,
            time_step=0.125,
            context=dict(zip(trajectories.context_names, trajectories.context.T, strict=True)),
        )
    )
    walk.support = normalizer.support()
    write_rollout(walk, trajectories, tmp_path / "r.zarr", members=2, seed=0)
    trajectories.context = trajectories.context * 1e9
    with pytest.raises(ValueError, match="walk: context: scalar 'porosity', simulation shard_0000/0: expected values near"):
        write_rollout(walk, trajectories, tmp_path / "s.zarr", members=2, seed=0)


def test_first_frames_of_other_cells_are_refused() -> None:
    import probtokens as pt

    solid = np.ones((32, 48))
    solid[12:20, 20:28] = 0.0
    with pytest.raises(ValueError, match=r"first_frames: expected cells of 0.04 µm as the model's, got y in steps of 40"):
        pt.rollout(pt.load("hmx-standard"), pt.first_frame(solid, 9.0, spacing=40.0), steps=1, draws=2)
