from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.data import DataLoader

from probtokens.data.dataset import Batch, StepSampler, WindowDataset
from probtokens.data.latents import TokenWindows, encode_views
from probtokens.data.trajectories import TrajectorySet
from tests.helpers import make_shard

FIELDS = ("temperature", "pressure")


@pytest.fixture
def trajectories(campaign: Path) -> TrajectorySet:
    return TrajectorySet.open(campaign / "train", FIELDS, ["shock_pressure"])


def test_every_window_of_every_trajectory_in_physical_units(trajectories: TrajectorySet) -> None:
    windows = WindowDataset(trajectories, horizon=2)
    assert len(windows) == 5 * 3
    for k in range(len(windows)):
        batch = WindowDataset.collate([windows[k]])
        assert torch.equal(batch.frames, torch.tensor(trajectories.frames(k // 3, k % 3, k % 3 + 3))[None])
        assert torch.equal(batch.context, torch.tensor(trajectories.context[k // 3 : k // 3 + 1]))
        assert batch.index.tolist() == [k // 3]


@pytest.mark.parametrize("n_workers", [0, 2])
def test_batches(trajectories: TrajectorySet, n_workers: int) -> None:
    windows = WindowDataset(trajectories, horizon=1)
    sampler = StepSampler(len(windows), batch_size=3, n_steps=4, seed=0)
    loader = DataLoader(windows, batch_sampler=sampler, collate_fn=WindowDataset.collate, num_workers=n_workers)
    batches = list(loader)
    assert len(batches) == 4
    for numbers, batch in zip(sampler, batches, strict=True):
        assert isinstance(batch, Batch)
        assert batch.frames.shape == (3, 2, 2, 6, 8)
        assert (len(batch), batch.horizon) == (3, 1)
        assert batch.context.shape == (3, 1)
        assert batch.index.tolist() == [k // 4 for k in numbers]
        assert batch.index.dtype == torch.int64


def test_to_moves_everything() -> None:
    batch = Batch(torch.zeros(1, 2, 1, 3, 3), torch.zeros(1, 1), torch.zeros(1, dtype=torch.int64)).to("meta")
    assert {batch.frames.device.type, batch.context.device.type, batch.index.device.type} == {"meta"}


def test_whole_trajectory_is_the_longest_window(trajectories: TrajectorySet) -> None:
    assert len(WindowDataset(trajectories, horizon=4)) == 5
    assert len(WindowDataset(trajectories, horizon=0)) == 25
    for horizon in (5, -1):
        with pytest.raises(ValueError, match=rf"horizon: expected 0..4 for trajectories of 5 frames, got {horizon}"):
            WindowDataset(trajectories, horizon)


def test_what_is_done_to_a_batch_does_not_reach_the_trajectories(trajectories: TrajectorySet) -> None:
    windows = WindowDataset(trajectories, 1)
    batch = WindowDataset.collate([windows[0]])
    batch.frames.zero_()
    batch.context.zero_()
    again = WindowDataset.collate([windows[0]])
    assert again.frames.any()
    assert again.context.any()


def test_window_out_of_range(trajectories: TrajectorySet) -> None:
    windows = WindowDataset(trajectories, 1)
    with pytest.raises(IndexError):
        windows[len(windows)]


sizes = st.integers(1, 12)


@given(n_windows=sizes, batch_size=sizes, n_steps=sizes, seed=st.integers(0, 2**32), data=st.data())
def test_resumed_steps_are_the_steps_of_an_uninterrupted_run(
    n_windows: int, batch_size: int, n_steps: int, seed: int, data: st.DataObject
) -> None:
    start = data.draw(st.integers(0, n_steps))
    full = list(StepSampler(n_windows, batch_size, n_steps, seed))
    resumed = StepSampler(n_windows, batch_size, n_steps, seed, start_step=start)
    assert len(full) == n_steps
    assert len(resumed) == n_steps - start
    assert list(resumed) == full[start:]
    assert list(resumed) == full[start:], "a second iteration gives the same"
    assert resumed.batch(0) == full[0]


@given(n_windows=sizes, batch_size=sizes, seed=st.integers(0, 99))
def test_every_pass_has_every_window_once(n_windows: int, batch_size: int, seed: int) -> None:
    n_steps = -(-3 * n_windows // batch_size)
    stream = np.concatenate(list(StepSampler(n_windows, batch_size, n_steps, seed)))
    for number in range(3):
        assert sorted(stream[number * n_windows : (number + 1) * n_windows]) == list(range(n_windows))


@given(n_windows=sizes, per_rank=sizes, n_ranks=st.integers(1, 3), seed=st.integers(0, 99))
def test_ranks_share_every_batch(n_windows: int, per_rank: int, n_ranks: int, seed: int) -> None:
    settings = (n_windows, per_rank * n_ranks, 3, seed)
    shares = [list(StepSampler(*settings, share=(rank, n_ranks))) for rank in range(n_ranks)]
    for step, whole in enumerate(StepSampler(*settings)):
        assert [len(share[step]) for share in shares] == [per_rank] * n_ranks
        assert sorted(window for share in shares for window in share[step]) == sorted(whole)


def test_passes_and_seeds_differ() -> None:
    first, second = StepSampler(50, 50, 2, seed=0)
    assert first != second
    assert first != next(iter(StepSampler(50, 50, 1, seed=1)))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0, 1, 1, 0), "n_windows"),
        ((1, 0, 1, 0), "batch_size"),
        ((1, 1, 3, 0, 4), r"start_step: expected 0..3, got 4"),
        ((1, 3, 1, 0, 0, (0, 2)), "batch_size: expected a multiple of the 2 devices that share it, got 3"),
    ],
)
def test_bad_sampler(arguments: tuple[int, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        StepSampler(*arguments)


@pytest.fixture
def unequal(tmp_path: Path) -> TrajectorySet:
    """Two simulations of three frames and three of seven, in one folder."""
    make_shard(tmp_path / "a.hdf5", n_simulations=2, n_times=3)
    make_shard(tmp_path / "b.hdf5", n_simulations=3, n_times=7)
    return TrajectorySet.open(tmp_path, FIELDS, ["shock_pressure"])


def test_longer_trajectories_have_more_windows(unequal: TrajectorySet) -> None:
    assert [unequal.length(i) for i in range(5)] == [3, 3, 7, 7, 7]
    windows = WindowDataset(unequal, horizon=1)
    assert len(windows) == 2 * 2 + 3 * 6
    expected = [(i, start) for i in range(5) for start in range(unequal.length(i) - 1)]
    for k, (simulation, start) in enumerate(expected):
        frames, _, index = windows[k]
        assert index == simulation
        np.testing.assert_array_equal(frames, unequal.frames(simulation, start, start + 2))
    with pytest.raises(IndexError):
        windows[len(windows)]
    assert len(WindowDataset(unequal, horizon=1, latest_start=3)) == 2 * 2 + 3 * 4
    with pytest.raises(ValueError, match=r"horizon: expected 0..2 for trajectories of 3 frames, got 3"):
        WindowDataset(unequal, horizon=3)


def test_trajectories_are_compared_over_the_frames_that_all_have(unequal: TrajectorySet) -> None:
    assert unequal.grid.n_times == 3
    assert {len(unequal.frames(i)) for i in range(5)} == {3}
    assert [len(unequal.whole(i)) for i in range(5)] == [3, 3, 7, 7, 7]
    np.testing.assert_array_equal(unequal.subset([4]).frames(0, 5, 7), unequal.whole(4)[5:])
    with pytest.raises(ValueError, match=r"a\.hdf5: expected frames within 0\.\.3, got 2\.\.4"):
        unequal.frames(0, 2, 4)


def test_tokens_of_unequal_trajectories_are_those_of_their_frames(unequal: TrajectorySet, tmp_path: Path) -> None:
    def encode(frames: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.avg_pool2d(frames, 2)

    tokens = encode_views(unequal, encode, lambda number: [lambda frames: frames, lambda frames: -frames], tmp_path / "tokens")
    windows = TokenWindows(unequal, 1, tokens)
    expected = [(i, sign, start) for i in range(5) for sign in (1, -1) for start in range(unequal.length(i) - 1)]
    assert len(windows) == len(expected)
    for k, (simulation, sign, start) in enumerate(expected):
        found, _, index = windows[k]
        assert index == simulation
        np.testing.assert_allclose(found, sign * encode(torch.tensor(unequal.frames(simulation, start, start + 2))).numpy(), rtol=1e-5)
