"""Token windows: the tokens of the frames' windows, and of their mirror images."""

import numpy as np
import pytest
import torch

from probtokens.data.dataset import TrajectorySet, WindowDataset
from probtokens.data.latents import TokenWindows, encode_views
from probtokens.data.normalize import Normalizer
from tests.helpers import make_shard

FIELDS = ("temperature", "velocity_y")


@pytest.fixture
def data(tmp_path):
    make_shard(tmp_path / "shard.hdf5", n_simulations=3)
    trajectories = TrajectorySet.open(tmp_path, FIELDS, ("shock_pressure",))
    return trajectories, Normalizer.fit(trajectories)


def as_it_is(frames: torch.Tensor) -> torch.Tensor:
    return frames


def encode(frames: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.avg_pool2d(frames, 4)


def test_windows_are_those_of_the_frames_encoded(data):
    frames, tokens = WindowDataset(*data, horizon=2), TokenWindows(*data, 2, encode_views(*data, encode, lambda number: [as_it_is]))
    assert len(tokens) == len(frames)
    for k in (0, 1, len(frames) - 1):
        expected, (found, context, simulation) = frames[k], tokens[k]
        np.testing.assert_allclose(found, encode(torch.from_numpy(expected[0])).numpy(), atol=1e-6)
        assert (context == expected[1]).all()
        assert simulation == expected[2]


def test_views_of_a_trajectory_follow_each_other(data):
    mirror = data[1].mirror
    frames, tokens = WindowDataset(*data, horizon=1), TokenWindows(*data, 1, encode_views(*data, encode, lambda number: [as_it_is, mirror]))
    assert len(tokens) == 2 * len(frames)
    found, _, simulation = tokens[3 * frames.n_starts + 1]
    np.testing.assert_allclose(found, encode(mirror(torch.from_numpy(frames[frames.n_starts + 1][0]))).numpy(), atol=1e-6)
    assert simulation == 1
    with pytest.raises(IndexError):
        tokens[len(tokens)]


def test_windows_begin_no_later_than_asked(data):
    every, early = WindowDataset(*data, horizon=1), WindowDataset(*data, horizon=1, latest_start=1)
    assert (early.n_starts, len(early)) == (2, 6)
    np.testing.assert_array_equal(early[3][0], every[every.n_starts + 1][0])
    assert WindowDataset(*data, horizon=1, latest_start=100).n_starts == every.n_starts
    tokens = TokenWindows(*data, 1, encode_views(*data, encode, lambda number: [as_it_is]), latest_start=1)
    np.testing.assert_allclose(tokens[3][0], encode(torch.from_numpy(early[3][0])).numpy(), atol=1e-6)
