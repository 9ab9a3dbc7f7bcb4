"""Windows seen otherwise: mirrored, extended and cut, in physical units."""

from __future__ import annotations

from functools import partial

import pytest
import torch

from probtokens.data.augmentation import Extension, RandomCrop, Reflection
from probtokens.data.dataset import Batch
from probtokens.data.normalize import mirror_image
from probtokens.fields import FieldSpec
from probtokens.train.windows import _shifted
from probtokens.verify.token_pairs import FIELDS, window

VELOCITY_X, VELOCITY_Y = 3, 4


def test_about_half_of_the_windows_are_mirror_images() -> None:
    torch.manual_seed(0)
    frames, context = window(n_simulations=400, n_times=2)
    kept = frames.clone()
    batch = Reflection(FIELDS)(Batch(frames, context, torch.arange(400)))
    image = mirror_image(frames, FIELDS)
    turned = (batch.frames == image).flatten(1).all(1)
    same = (batch.frames == frames).flatten(1).all(1)
    assert (turned ^ same).all()
    assert float(turned.float().mean()) == pytest.approx(0.5, abs=0.08)
    assert torch.equal(frames, kept)
    assert torch.equal(batch.context, context)
    assert torch.equal(batch.index, torch.arange(400))


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
    frames = torch.randn(2, 5, 6, 7, generator=torch.Generator().manual_seed(0))
    boundary = {"left": "WALL", "right": "OPEN", "bottom": "OPEN", "top": "OPEN"}
    found = Extension(FIELDS, boundary, patch=4)(frames, (1, 3))
    assert found.shape == (2, 5, 10, 11)
    assert torch.equal(found[..., 1:7, 3:10], frames)
    for column in range(3):
        mirrored = frames[..., 2 - column].clone()
        mirrored[:, VELOCITY_X] *= -1.0  # the velocity towards the wall
        assert torch.equal(found[..., 1:7, column], mirrored)
    assert torch.equal(found[..., 1:7, 10], frames[..., 6])
    assert torch.equal(found[..., 0, 3:10], frames[..., 0, :])


def test_along_periodic_axes_views_and_crops_are_turned_around_and_as_long_as_the_domain() -> None:
    frames = torch.randn(2, 5, 6, 7, generator=torch.Generator().manual_seed(0))
    boundary = {"left": "OPEN", "right": "OPEN", "bottom": "PERIODIC", "top": "PERIODIC"}
    found = Extension(FIELDS, boundary, patch=4)(frames, (1, 3))
    assert found.shape == (2, 5, 6, 11)
    assert torch.equal(found[..., 3:10], frames.roll(1, -2))
    torch.manual_seed(0)
    cells = torch.arange(16 * 24, dtype=torch.float32).reshape(1, 1, 1, 16, 24)
    crop, starts = RandomCrop(8, "y"), set()
    for _ in range(200):
        cut = crop(Batch(cells, torch.zeros(1, 1), torch.zeros(1, dtype=torch.int64))).frames
        y, x = divmod(int(cut[0, 0, 0, 0, 0]), 24)
        assert torch.equal(cut, cells.roll(-y, -2)[..., x : x + 16])
        starts.add(y)
    assert starts == set(range(9))


def test_walls_below_and_above_turn_the_velocity_along_y_around() -> None:
    frames = torch.randn(2, 5, 6, 7, generator=torch.Generator().manual_seed(0))
    boundary = {"left": "OPEN", "right": "OPEN", "bottom": "WALL", "top": "WALL"}
    found = Extension(FIELDS, boundary, patch=4)(frames, (4, 0))  # all of the patch lies below
    assert torch.equal(found[..., :4, :7], mirror_image(frames[..., :4, :], FIELDS))
    found = Extension(FIELDS, boundary, patch=4)(frames, (0, 0))
    assert torch.equal(found[..., 6:, :7], mirror_image(frames[..., 2:, :], FIELDS))
    assert torch.equal(found[..., 6:, :7][:, VELOCITY_Y], -frames[..., 2:, :].flip(-2)[:, VELOCITY_Y])


def test_walls_turn_around_what_is_declared_to_be_odd_across_them() -> None:
    odd = {"Vy": "y", "u": "x", "vorticity": "xy", "concentration_y": ""}
    fields = tuple(FieldSpec(name, "1", name, odd=axes) for name, axes in odd.items())
    frames = torch.randn(4, 6, 7, generator=torch.Generator().manual_seed(0))
    found = Extension(fields, dict.fromkeys(("left", "right", "bottom", "top"), "WALL"), patch=4)(frames, (2, 1))
    for number, axes in enumerate(odd.values()):
        sign = {axis: -1.0 if axis in axes else 1.0 for axis in "xy"}
        torch.testing.assert_close(found[number, 1, 1:8], sign["y"] * frames[number, 0])
        torch.testing.assert_close(found[number, 2:8, 0], sign["x"] * frames[number, :, 0])
        torch.testing.assert_close(found[number, 1, 0], sign["x"] * sign["y"] * frames[number, 0, 0])


def test_mirrored_views_of_latent_stages_go_on_beyond_the_edges_that_they_mirror() -> None:
    """With a wall below and an open edge above, what is below the mirror image is what was above the domain."""
    frames, _ = window()
    mirror = partial(mirror_image, fields=FIELDS)
    extension = Extension(FIELDS, {"left": "WALL", "right": "OPEN", "bottom": "WALL", "top": "OPEN"}, patch=8)
    for number, view in enumerate(_shifted(3, images=[lambda x: x, mirror], extension=extension, n=6, seed=0)):
        y, x = view.keywords["before"]
        if number % 2:
            assert torch.equal(view(frames), mirror(extension(frames, (8 - y, x))))
            assert torch.equal(view(frames)[..., y : y + 16, x : x + 24], mirror(frames))
