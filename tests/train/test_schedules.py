from __future__ import annotations

import pytest
import torch

from probtokens.data.dataset import Batch
from probtokens.data.normalize import Normalizer
from probtokens.fields import FieldSpec
from probtokens.train.augmentation import Extension, RandomCrop, Reflection
from probtokens.train.schedules import warmup_cosine
from probtokens.verify.token_pairs import MEAN, SCALE, normalizer


@pytest.mark.parametrize(
    ("step", "expected"),
    [(0, 0.1), (1, 0.2), (9, 1.0), (10, 1.0), (54, 0.52), (99, 0.02), (150, 0.02)],
)
def test_warmup_cosine_by_table(step: int, expected: float) -> None:
    assert warmup_cosine(step, 100) == pytest.approx(expected, abs=0.01)


def test_a_stage_of_one_step_runs_at_full_rate() -> None:
    assert warmup_cosine(0, 1) == 1.0


def test_about_half_of_the_windows_are_reflected() -> None:
    torch.manual_seed(0)
    frames = torch.randn(400, 1, 5, 4, 4)
    batch = Reflection(normalizer())(Batch(frames, torch.zeros(400, 1), torch.arange(400)))
    share = (batch.frames[:, 0, 0] != frames[:, 0, 0]).flatten(1).any(1).float().mean()
    assert float(share) == pytest.approx(0.5, abs=0.08)
    assert MEAN.shape == SCALE.shape


def test_crops_begin_at_any_cell_and_keep_whole_patches() -> None:
    """Cells numbered along y and x: a crop is a block of them."""
    torch.manual_seed(0)
    cells = torch.arange(16 * 24, dtype=torch.float32).reshape(1, 1, 1, 16, 24)
    batch = Batch(cells, torch.zeros(1, 1), torch.zeros(1, dtype=torch.int64))
    starts = set()
    for _ in range(1200):
        frames = RandomCrop(8)(batch).frames
        assert frames.shape == (1, 1, 1, 8, 16)
        y, x = divmod(int(frames[0, 0, 0, 0, 0]), 24)
        assert torch.equal(frames, cells[..., y : y + 8, x : x + 16])
        starts.add((y, x))
    assert len(starts) == 81
    single = Batch(cells[..., :8, :8], batch.context, batch.index)
    assert torch.equal(RandomCrop(8)(single).frames, single.frames)


def test_beyond_walls_lie_mirror_images_beyond_open_edges_what_is_at_them() -> None:
    made = normalizer()
    frames = torch.randn(2, 5, 6, 7, generator=torch.Generator().manual_seed(0))
    boundary = {"left": "WALL", "right": "OPEN", "bottom": "PERIODIC", "top": "PERIODIC"}
    found = Extension(made, boundary, patch=4)(frames, (1, 3))
    assert found.shape == (2, 5, 10, 11)
    torch.testing.assert_close(found[..., 1:7, 3:10], frames)
    physical, inside = made.denormalize(found), made.denormalize(frames)
    for column in range(3):
        mirrored = inside[..., 2 - column].clone()
        mirrored[:, 3] *= -1.0  # the velocity towards the wall
        torch.testing.assert_close(physical[..., 1:7, column], mirrored, rtol=1e-4, atol=1e-3)
    torch.testing.assert_close(found[..., 1:7, 10], frames[..., 6])
    torch.testing.assert_close(found[..., 0, 3:10], frames[..., 5, :])
    torch.testing.assert_close(found[..., 7:, 3:10], frames[..., :3, :])


def test_walls_turn_around_what_is_declared_to_be_odd_across_them() -> None:
    odd = {"Vy": "y", "u": "x", "vorticity": "xy", "concentration_y": ""}
    made = Normalizer(tuple(FieldSpec(name, "1", name, odd=axes) for name, axes in odd.items()), ())
    frames = torch.randn(4, 6, 7, generator=torch.Generator().manual_seed(0))
    found = Extension(made, dict.fromkeys(("left", "right", "bottom", "top"), "WALL"), patch=4)(frames, (2, 1))
    for number, axes in enumerate(odd.values()):
        sign = {axis: -1.0 if axis in axes else 1.0 for axis in "xy"}
        torch.testing.assert_close(found[number, 1, 1:8], sign["y"] * frames[number, 0])
        torch.testing.assert_close(found[number, 2:8, 0], sign["x"] * frames[number, :, 0])
        torch.testing.assert_close(found[number, 1, 0], sign["x"] * sign["y"] * frames[number, 0, 0])
