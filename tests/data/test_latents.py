"""Token windows: the tokens of the frames' windows, and of their mirror images."""

import multiprocessing
from functools import partial

import numpy as np
import pytest
import torch

from probtokens.data.dataset import TrajectorySet, WindowDataset
from probtokens.data.latents import TokenWindows, encode_views
from probtokens.data.normalize import mirror_image
from tests.helpers import make_shard

FIELDS = ("temperature", "velocity_y")


@pytest.fixture
def data(tmp_path):
    make_shard(tmp_path / "shard.hdf5", n_simulations=3)
    return TrajectorySet.open(tmp_path, FIELDS, ("shock_pressure",))


def as_it_is(frames: torch.Tensor) -> torch.Tensor:
    return frames


def encode(frames: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.avg_pool2d(frames, 4)


def test_windows_are_those_of_the_frames_encoded(data, tmp_path):
    """Frames and context in physical units, as in the files."""
    frames, tokens = WindowDataset(data, horizon=2), TokenWindows(data, 2, encode_views(data, encode, lambda number: [as_it_is], tmp_path))
    assert len(tokens) == len(frames)
    for k in (0, 1, len(frames) - 1):
        expected, (found, context, simulation) = frames[k], tokens[k]
        np.testing.assert_allclose(found, encode(torch.tensor(expected[0])).numpy(), rtol=1e-6)
        assert (context == expected[1]).all()
        assert simulation == expected[2]


def test_views_of_a_trajectory_follow_each_other(data, tmp_path):
    mirror = partial(mirror_image, fields=data.fields)
    frames, tokens = (
        WindowDataset(data, horizon=1),
        TokenWindows(data, 1, encode_views(data, encode, lambda number: [as_it_is, mirror], tmp_path)),
    )
    assert len(tokens) == 2 * len(frames)
    starts = len(frames) // len(data)
    found, _, simulation = tokens[3 * starts + 1]
    expected = encode(mirror(torch.tensor(frames[starts + 1][0])))
    np.testing.assert_allclose(found, expected.numpy(), rtol=1e-6)
    assert not np.allclose(found[:, 1], tokens[2 * starts + 1][0][:, 1])
    assert simulation == 1
    with pytest.raises(IndexError):
        tokens[len(tokens)]


def test_views_may_differ_between_trajectories_and_progress_counts_these(data, tmp_path):
    numbers, told = [], []

    def views(number):
        numbers.append(number)
        return [lambda frames: frames + 100.0 * number]

    tokens = encode_views(data, encode, views, tmp_path, lambda *report: told.append(report))
    assert numbers == [0, 1, 2]
    assert told == [(done, 3) for done in range(4)]
    assert len(tokens) == 3
    for number in range(3):
        found = tokens.read(number, 0, data.grid.n_times)
        np.testing.assert_allclose(found, encode(torch.tensor(data.frames(number))).numpy() + 100.0 * number, rtol=1e-5)


def test_windows_begin_no_later_than_asked(data, tmp_path):
    every, early = WindowDataset(data, horizon=1), WindowDataset(data, horizon=1, latest_start=1)
    assert len(early) == 6
    np.testing.assert_array_equal(early[3][0], every[len(every) // 3 + 1][0])
    assert len(WindowDataset(data, horizon=1, latest_start=100)) == len(every)
    tokens = TokenWindows(data, 1, encode_views(data, encode, lambda number: [as_it_is], tmp_path), latest_start=1)
    np.testing.assert_allclose(tokens[3][0], encode(torch.tensor(early[3][0])).numpy(), rtol=1e-6)


def test_tokens_lie_in_a_file_without_a_name_that_processes_share(data, tmp_path):
    tokens = encode_views(data, encode, lambda number: [as_it_is], tmp_path / "new")
    assert list((tmp_path / "new").iterdir()) == []
    expected = [tokens.read(number, 1, 3) for number in range(3)]

    def look() -> None:
        for number in [0, 1, 2] * 50:
            np.testing.assert_array_equal(tokens.read(number, 1, 3), expected[number])

    processes = [multiprocessing.get_context("fork").Process(target=look) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0]


def test_a_folder_that_cannot_be_written_is_named(data, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match=f"{tmp_path / 'file'}: cannot write"):
        encode_views(data, encode, lambda number: [as_it_is], tmp_path / "file")
