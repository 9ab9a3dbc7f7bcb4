"""Previews: what is shown is what is simulated, and what does not resolve is said."""

from pathlib import Path

import h5py
import numpy as np
import pytest
from PIL import Image

from probtokens.config import CampaignConfig, ImageConfig, Interval, MicrostructureConfig, PhysicsConfig
from probtokens.simulate.campaign import draw, plan
from probtokens.simulate.execute import run_campaign
from probtokens.simulate.microstructure.rasterize import gas_fraction
from probtokens.simulate.preview import Preview, preview_campaign, preview_warnings

FINE = MicrostructureConfig(kinds=("ellipse",), diameter=Interval(low=0.5, high=0.8))


def campaign(pores: MicrostructureConfig = FINE, **settings) -> CampaignConfig:
    return CampaignConfig(**({"n_train": 5, "n_valid": 2, "n_test": 3, "shard_size": 2, "microstructure": pores} | settings))


def test_a_preview_is_every_draw_of_the_campaign_in_order():
    preview = preview_campaign(campaign(), seed=3)
    drawn = [draw(shard, campaign()) for shard in plan(campaign(), Path(), 3)]
    np.testing.assert_array_equal(preview.gas, np.concatenate([gas for _, gas in drawn]))
    np.testing.assert_array_equal(preview.shock_pressure, np.concatenate([pressure for pressure, _ in drawn]))
    assert preview.n_simulations == {"train": 5, "valid": 2, "test": 3}
    assert preview.porosity.shape == preview.pores_per_simulation.shape == (10,)
    assert preview.pores_per_simulation.sum() == len(preview.pores.area)


def test_a_preview_shows_what_is_simulated(tmp_path):
    pores = MicrostructureConfig(
        kinds=("ellipse",), porosity=Interval(low=0.05, high=0.1), diameter=Interval(low=0.2, high=0.25), margin=0.06
    )
    tiny = campaign(pores, ny=16, nx=24, time_step=0.01, n_times=2, n_train=2, n_valid=1, n_test=1)
    preview = preview_campaign(tiny, seed=7)
    run_campaign("micro", tiny, PhysicsConfig(compile=False), tmp_path, seed=7)
    found, pressure = [], []
    for split in ("train", "valid", "test"):
        with h5py.File(tmp_path / split / "shard_0000.hdf5") as file:
            found.append(file["t0_fields/solid_fraction"][:, 0].swapaxes(1, 2))
            pressure.append(file["scalars/shock_pressure"][:])
    np.testing.assert_allclose(np.concatenate(pressure), preview.shock_pressure, rtol=1e-6)
    # Behind the shock the trace of gas in the solid is compressed.
    np.testing.assert_allclose(np.concatenate(found)[:, :, 9:], 1.0 - preview.gas[:, :, 9:], atol=1e-5)


def test_the_porosity_is_that_of_the_area():
    preview = preview_campaign(campaign(), seed=0)
    areas = preview.pores.area.sum() / (48 * 72 * 0.04**2)
    assert preview.porosity.sum() == pytest.approx(areas, rel=1e-3)


def test_resolved_pores_need_no_warning():
    assert preview_warnings(preview_campaign(campaign(), seed=0)) == []


def test_coarse_cells_are_warned_of():
    small = MicrostructureConfig(kinds=("ellipse",), diameter=Interval(low=0.25, high=0.3))
    (warning,) = preview_warnings(preview_campaign(campaign(small), seed=0))
    assert warning.startswith("10 of 10 pores are less than 10 cells across (equivalent diameter), the smallest ")


def test_thin_cracks_are_warned_of():
    cracks = MicrostructureConfig(kinds=("crack",), diameter=Interval(low=0.3, high=0.5))
    warnings = preview_warnings(preview_campaign(campaign(cracks), seed=0))
    assert "10 of 10 pores are less than 4 cells wide, the narrowest 1." in warnings[1]


def single(void: np.ndarray) -> Preview:
    ny, nx = void.shape
    return Preview(campaign(ny=ny, nx=nx), ("train",), np.array([10.0]), gas_fraction(void)[None])


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        (slice(4, 30), "pores begin 0.16 µm from the left edge, in the shock, which reaches to 0.21 µm: raise margin"),
        (slice(30, 59), "pores reach the right edge, where the boundary takes the material for solid: raise margin"),
        (slice(6, 58), None),
    ],
)
def test_pores_in_the_shock_or_at_the_far_edge_are_warned_of(columns, expected):
    void = np.zeros((40, 60))
    void[10:30, columns] = 1.0
    assert preview_warnings(single(void)) == ([expected] if expected else [])


def test_coarse_pixels_and_pieces_that_overlap_are_warned_of(tmp_path):
    grey = np.full((200, 400), 200, dtype=np.uint8)
    for row, column in np.ndindex(14, 28):
        grey[14 * row + 3 : 14 * row + 12, 14 * column + 3 : 14 * column + 12] = 30
    Image.fromarray(grey).save(tmp_path / "a.png")

    def warnings(pixel_size: float, n_train: int, *, separate_splits: bool = True) -> list[str]:
        pores = MicrostructureConfig(image=ImageConfig(path=tmp_path / "a.png", pixel_size=pixel_size, separate_splits=separate_splits))
        preview = preview_campaign(campaign(pores, n_train=n_train, n_valid=1, n_test=1), seed=0)
        return [line for line in preview_warnings(preview) if "pixels" in line or "pieces" in line]

    assert warnings(0.04, 8) == []
    assert warnings(0.1, 8) == ["pixels of 0.1 µm are larger than cells of 0.04 µm: outlines are stepped"]
    assert warnings(0.04, 98) == ["98 train pieces cover their part of the image 8.5 times: they share pores, and tell less than 98"]
    shared = "pieces of all splits come from the whole image: test simulations share pores with training simulations"
    assert warnings(0.04, 8, separate_splits=False) == [shared]


def test_no_pores_no_warnings():
    assert preview_warnings(single(np.zeros((40, 60)))) == []
