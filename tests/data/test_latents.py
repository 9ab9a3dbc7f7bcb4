"""Token windows: the tokens of the frames' windows, and of their mirror images."""

import numpy as np
import pytest
import torch

from probtokens.data.dataset import TrajectorySet, WindowDataset
from probtokens.data.latents import TokenWindows
from probtokens.data.normalize import Normalizer
from probtokens.train.augmentation import Reflection
from tests.helpers import make_shard

FIELDS = ("temperature", "velocity_y")


@pytest.fixture
def data(tmp_path):
    make_shard(tmp_path / "shard.hdf5", n_simulations=3)
    trajectories = TrajectorySet.open(tmp_path, FIELDS, ("shock_pressure",))
    return trajectories, Normalizer.fit(trajectories)


def encode(frames: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.avg_pool2d(frames, 4)


def test_windows_are_those_of_the_frames_encoded(data):
    frames, tokens = WindowDataset(*data, horizon=2), TokenWindows(*data, 2, encode, None)
    assert len(tokens) == len(frames)
    for k in (0, 1, len(frames) - 1):
        expected, (found, context, simulation) = frames[k], tokens[k]
        np.testing.assert_allclose(found, encode(torch.from_numpy(expected[0])).numpy(), atol=1e-6)
        assert (context == expected[1]).all()
        assert simulation == expected[2]


def test_mirror_images_follow_and_are_encoded_by_themselves(data):
    mirror = Reflection(data[1]).reflect
    frames, tokens = WindowDataset(*data, horizon=1), TokenWindows(*data, 1, encode, mirror)
    assert len(tokens) == 2 * len(frames)
    k = frames.n_starts + 1
    found, _, simulation = tokens[len(frames) + k]
    np.testing.assert_allclose(found, encode(mirror(torch.from_numpy(frames[k][0]))).numpy(), atol=1e-6)
    assert simulation == 1
    with pytest.raises(IndexError):
        tokens[len(tokens)]
