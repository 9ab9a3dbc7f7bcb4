"""Microstructures from images: voids of known area, formats, and what is said of images that do not fit."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from probtokens.config import ImageConfig, Interval, MicrostructureConfig
from probtokens.simulate.microstructure import pore_fraction
from probtokens.simulate.microstructure.image import image_digest, read_grey
from probtokens.simulate.microstructure.micrograph import crop, otsu, threshold_of, whole
from probtokens.simulate.microstructure.rasterize import area_average, void_fraction

#: Extent of the domain below: 48 × 72 cells of 0.04 µm.
NY, NX, SPACING = 48, 72, 0.04
DISC, SQUARE = 0.35, 0.4


def micrograph(
    pixel_size: float, height: float = NY * SPACING, width: float = NX * SPACING, noise: float = 0.0, seed: int = 0
) -> np.ndarray:
    """Grey values (row, column) of 8 bits: a dark disc of radius ``DISC`` µm and a dark square of edge ``SQUARE`` µm in a bright solid."""
    y, x = (np.arange(round(extent / pixel_size)) + 0.5 for extent in (height, width))
    x, y = np.meshgrid(x * pixel_size, y * pixel_size)
    disc = np.hypot(x - 0.9, y - 0.7) < DISC
    square = (abs(x - 2.0) < SQUARE / 2) & (abs(y - 1.2) < SQUARE / 2)
    grey = np.where(disc | square, 60.0, 190.0) + noise * np.random.default_rng(seed).normal(size=disc.shape)
    return np.clip(np.rint(grey), 0, 255).astype(np.uint8)


def write(path: Path, grey: np.ndarray) -> Path:
    Image.fromarray(grey).save(path)
    return path


def settings(path: Path, pixel_size: float, margin: float = 0.25, porosity: Interval | None = None, **image) -> MicrostructureConfig:
    return MicrostructureConfig(margin=margin, porosity=porosity, image=ImageConfig(path=path, pixel_size=pixel_size, **image))


def draw(config: MicrostructureConfig, seed: int = 0, ny: int = NY, nx: int = NX) -> np.ndarray:
    return pore_fraction(ny, nx, SPACING, config, np.random.default_rng(seed))


@pytest.mark.parametrize("pixel_size", [0.004, 0.01, 0.015, 0.02, 0.04])
def test_void_area_is_that_of_the_image(tmp_path, pixel_size):
    path = write(tmp_path / "a.png", micrograph(pixel_size))
    area = void_fraction(draw(settings(path, pixel_size))).sum() * SPACING**2
    assert area == pytest.approx((micrograph(pixel_size) < 128).sum() * pixel_size**2, rel=1e-6)  # nothing is lost on the cells
    exact = np.pi * DISC**2 + SQUARE**2
    assert area == pytest.approx(exact, rel=0.002 if pixel_size <= 0.01 else 0.02)  # the rest is what pixels cut off a disc


def test_shapes_lie_where_the_image_has_them(tmp_path):
    path = write(tmp_path / "a.png", micrograph(0.01)[::-1])  # a picture begins with its top row
    void = void_fraction(draw(settings(path, 0.01)))
    x, y = np.meshgrid((np.arange(NX) + 0.5) * SPACING, (np.arange(NY) + 0.5) * SPACING)
    left, right = x < 1.5, x > 1.5
    for part, centre in ((left, (0.9, 0.7)), (right, (2.0, 1.2))):
        assert [np.average(axis[part], weights=void[part]) for axis in (x, y)] == pytest.approx(centre, abs=0.005)


def test_pixels_of_the_size_of_cells_stay_as_they_are(tmp_path):
    path = write(tmp_path / "a.png", micrograph(SPACING)[::-1])
    np.testing.assert_allclose(void_fraction(draw(settings(path, SPACING))), micrograph(SPACING) < 128, atol=1e-8)


@pytest.mark.parametrize("ratio", [0.3, 0.7, 1.0, 2.5, 3.7])
def test_averages_conserve_area(ratio):
    """Against sums over sub-pixels of a tenth of a pixel, which the edges of cells meet."""
    pixels = np.random.default_rng(1).random((40, 50)) < 0.3
    ny, nx = int(39 / ratio), int(49 / ratio)
    found = area_average(pixels, 1.0, ny, nx, ratio)
    step = round(10 * ratio)
    fine = np.repeat(np.repeat(pixels, 10, axis=0), 10, axis=1)[: ny * step, : nx * step]
    np.testing.assert_allclose(found, fine.reshape(ny, step, nx, step).mean(axis=(1, 3)), atol=1e-8)


def test_edges_of_cells_are_anti_aliased(tmp_path):
    void = void_fraction(draw(settings(write(tmp_path / "a.png", micrograph(0.005)), 0.005)))
    edge = (void > 0.02) & (void < 0.98)
    assert 0.5 * 2 * np.pi * DISC / SPACING < edge.sum() < 4 * 2 * np.pi * DISC / SPACING


def ascii_pgm(path: Path, grey: np.ndarray) -> None:
    rows = "\n".join(" ".join(map(str, row)) for row in grey)
    path.write_text(f"P2\n# a comment\n{grey.shape[1]} {grey.shape[0]}\n255\n{rows}\n")


FORMATS = {
    "grey.png": lambda path, grey: Image.fromarray(grey).save(path),
    "grey_of_three_channels.png": lambda path, grey: Image.fromarray(np.stack([grey] * 3, axis=-1)).save(path),
    "opaque.png": lambda path, grey: Image.fromarray(grey).convert("RGBA").save(path),
    "palette.png": lambda path, grey: Image.fromarray(grey).convert("P").save(path),
    "sixteen_bits.png": lambda path, grey: Image.fromarray(grey.astype(np.uint16) * 257).save(path),
    "binary.pgm": lambda path, grey: Image.fromarray(grey).save(path),
    "binary_of_sixteen_bits.pgm": lambda path, grey: path.write_bytes(
        b"P5 %d %d 65535\n" % grey.shape[::-1] + (grey.astype(">u2") * 257).tobytes()
    ),
    "ascii.pgm": ascii_pgm,
    "bytes.npy": np.save,
    "floats.npy": lambda path, grey: np.save(path, grey / 255.0),
    "words.npy": lambda path, grey: np.save(path, grey.astype(np.uint16) * 257),
}


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_gives_the_same_microstructure(tmp_path, name):
    grey = micrograph(0.02, height=3.0, width=4.0, noise=8.0)
    path = tmp_path / name
    FORMATS[name](path, grey)
    np.testing.assert_allclose(read_grey(path), grey[::-1] / 255.0, atol=1e-6)
    np.save(tmp_path / "reference.npy", grey)
    for seed in range(3):
        np.testing.assert_array_equal(draw(settings(path, 0.02), seed), draw(settings(tmp_path / "reference.npy", 0.02), seed))


def test_voids_as_bools(tmp_path):
    voids = micrograph(0.02) < 128
    np.save(tmp_path / "voids.npy", voids)
    path = write(tmp_path / "a.png", micrograph(0.02))
    np.testing.assert_array_equal(draw(settings(tmp_path / "voids.npy", 0.02, pores="bright")), draw(settings(path, 0.02)))


def test_dark_and_bright_pores_are_mirror_images(tmp_path):
    dark, bright = write(tmp_path / "a.png", micrograph(0.02, noise=10.0)), write(tmp_path / "b.png", 255 - micrograph(0.02, noise=10.0))
    np.testing.assert_array_equal(draw(settings(dark, 0.02)), draw(settings(bright, 0.02, pores="bright")))


def test_otsu_separates_two_classes():
    generator = np.random.default_rng(0)
    grey = np.concatenate([generator.normal(0.2, 0.05, 3000), generator.normal(0.7, 0.05, 17000)]).clip(0, 1)
    assert 0.33 < otsu(grey) < 0.57
    assert (grey < otsu(grey)).sum() == pytest.approx(3000, rel=0.01)
    assert otsu(np.array([0.0, 1.0, 1.0])) == pytest.approx(0.5)


def test_a_given_threshold_is_used(tmp_path):
    grey = np.full((96, 144), 200, dtype=np.uint8)
    grey[30:50, 60:80], grey[60:70, 60:80] = 100, 40
    path = write(tmp_path / "a.png", grey)
    areas = [void_fraction(draw(settings(path, 0.02, threshold=t))).sum() * 4 for t in (0.3, 0.6)]
    assert areas == pytest.approx([10 * 20, 30 * 20])


def test_specks_are_filled(tmp_path):
    grey = micrograph(0.01)
    clean = draw(settings(write(tmp_path / "clean.png", grey), 0.01))
    speckled = grey.copy()
    speckled[10:180:6, 232:260:6] = 50  # right of disc and square
    path = write(tmp_path / "speckled.png", speckled)
    assert (draw(settings(path, 0.01)) > clean + 0.01).sum() > 100
    np.testing.assert_array_equal(draw(settings(path, 0.01, least_diameter=0.03)), clean)


def test_pieces_differ_by_seed_and_repeat(tmp_path):
    config = settings(write(tmp_path / "a.png", micrograph(0.02, height=4.0, width=6.0)), 0.02)
    np.testing.assert_array_equal(draw(config, 1), draw(config, 1))
    assert np.abs(draw(config, 1) - draw(config, 2)).max() > 0.5


def test_random_orientation_makes_all_eight(tmp_path):
    grey = np.full((60, 60), 200, dtype=np.uint8)
    grey[20:44, 20:26], grey[20:26, 20:38] = 20, 20  # an L: no symmetry
    config = settings(write(tmp_path / "a.png", grey), SPACING, random_orientation=True)
    seen = {draw(config, seed, ny=60, nx=60).tobytes() for seed in range(80)}
    assert len(seen) == 8
    fixed = settings(tmp_path / "a.png", SPACING)
    assert len({draw(fixed, seed, ny=60, nx=60).tobytes() for seed in range(5)}) == 1


def test_margins_on_left_and_right_are_solid_and_walls_may_cut_voids(tmp_path):
    grey = np.full((200, 300), 220, dtype=np.uint8)
    grey[:, ::2] = 30
    void = void_fraction(draw(settings(write(tmp_path / "a.png", grey), 0.02)))
    assert void[:, :7].max() == 0.0  # 0.25 µm: six cells and a part of the seventh
    assert void[:, -7:].max() == 0.0
    assert void[[0, -1], 7:-7].min() > 0.0


def test_pieces_have_the_porosity_asked_for(tmp_path):
    grey = np.full((400, 900), 220, dtype=np.uint8)
    generator = np.random.default_rng(3)
    for row, column in zip(generator.integers(0, 380, 60), 900 * generator.random(60) ** 3, strict=True):
        grey[row : row + 20, int(column) : int(column) + 20] = 30
    path = write(tmp_path / "a.png", grey)
    wanted = Interval(low=0.02, high=0.04)
    found = [void_fraction(draw(settings(path, 0.01, porosity=wanted), seed)).mean() for seed in range(20)]
    assert 0.02 <= min(found) <= max(found) <= 0.04
    with pytest.raises(ValueError, match=r"a\.png: expected pieces of 1\.92 × 2\.88 µm with porosity 0\.9–0\.95 .* got none in 200"):
        draw(settings(path, 0.01, porosity=Interval(low=0.9, high=0.95)))


def test_a_changed_image_is_read_again(tmp_path):
    path = write(tmp_path / "a.png", micrograph(0.02))
    before, digest = draw(settings(path, 0.02)), image_digest(path)
    write(path, micrograph(0.02)[::-1])
    assert np.abs(draw(settings(path, 0.02)) - before).max() > 0.5
    assert image_digest(path) != digest
    assert image_digest(tmp_path / "none.png") == "absent"


def colours(path: Path) -> None:
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (200, 300, 3), dtype=np.uint8)).save(path)


def transparent(path: Path) -> None:
    Image.fromarray(np.full((200, 300, 4), 100, dtype=np.uint8)).save(path)


def cut_off(path: Path) -> None:
    path.write_bytes(write(path, micrograph(0.01, noise=30.0)).read_bytes()[:2000])


def cut_off_array(path: Path) -> None:
    np.save(path, micrograph(0.01))
    path.write_bytes(path.read_bytes()[:2000])


@pytest.mark.parametrize(
    ("name", "make", "parts"),
    [
        ("none.png", lambda path: None, ["expected an image (PNG, PGM or npy), found no file"]),
        ("a.txt", lambda path: path.write_text("grey"), ["expected an image of format PNG, PGM or npy, got another"]),
        ("a.jpg", lambda path: Image.fromarray(micrograph(0.02)).save(path), ["expected an image of format PNG, PGM or npy, got another"]),
        ("colours.png", colours, ["expected a grey image, got colours"]),
        ("glass.png", transparent, ["expected an opaque image, got transparent pixels"]),
        ("half.png", cut_off, ["expected a complete image, got"]),
        ("half.npy", cut_off_array, ["expected a complete npy file, got"]),
        (
            "volume.npy",
            lambda path: np.save(path, np.zeros((4, 5, 6), dtype=np.uint8)),
            ["expected a grey image (row, column)", "(4, 5, 6)"],
        ),
        ("kelvin.npy", lambda path: np.save(path, np.full((200, 300), 300.0)), ["expected floats from 0 to 1, got 300 to 300"]),
        ("nan.npy", lambda path: np.save(path, np.full((200, 300), np.nan)), ["expected floats from 0 to 1, got nan to nan"]),
        ("signed.npy", lambda path: np.save(path, np.zeros((200, 300), dtype=np.int64)), ["expected bools, 8 or 16 bit", "got int64"]),
        ("one_grey.png", lambda path: write(path, np.full((200, 300), 90, dtype=np.uint8)), ["different grey", "one grey of 0.353"]),
        (
            "small.png",
            lambda path: write(path, micrograph(0.02)[:90]),
            ["at least 1.92 × 2.88 µm", "got 1.8 × 2.88 µm (90 × 144 pixels of 0.02 µm)"],
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_images_that_cannot_be_used_are_named(tmp_path, name, make, parts):
    path = tmp_path / name
    make(path)
    with pytest.raises(ValueError, match="expected") as error:
        draw(settings(path, 0.02))
    assert all(part in str(error.value) for part in (str(path), *parts)), str(error.value)


def test_a_picture_of_too_many_pixels_is_refused_before_it_is_unpacked(tmp_path, monkeypatch):
    path = write(tmp_path / "a.png", micrograph(0.02))
    read_grey(path)
    monkeypatch.setattr("probtokens.simulate.microstructure.image.MAX_PIXELS", 10_000)
    with pytest.raises(ValueError, match=r"a.png: expected a picture of at most 10000 pixels \(save it as npy\), got \d+ × \d+"):
        read_grey(path)


def test_an_image_that_fits_one_way_only_cannot_be_turned(tmp_path):
    path = write(tmp_path / "a.png", micrograph(0.02))
    with pytest.raises(
        ValueError, match=r"at least 1\.92 × 2\.88 µm \(height × width of the domain, in either orientation\), got 1\.92 × 2\.88"
    ):
        draw(settings(path, 0.02, random_orientation=True))


def test_a_piece_without_voids_is_an_error_that_says_how_many_were_tried(tmp_path):
    grey = np.full((96, 160), 200, dtype=np.uint8)
    grey[:, :2] = 20  # always in the margin
    with pytest.raises(ValueError, match=r"with voids farther than margin 0\.25 µm .* got none in 200 random ones \(voids cover 0\.0125"):
        crop(NY, NX, SPACING, settings(write(tmp_path / "a.png", grey), 0.02), np.random.default_rng(0))


@pytest.mark.parametrize("turned", [False, True])
def test_splits_have_parts_of_an_image_of_their_own(tmp_path, turned):
    """Half of the training part is void, a quarter of the validation part, all of the test part; pieces across have other shares."""
    rows = np.arange(80)[:, None]
    columns = np.arange(200)[None]
    void = np.where(columns < 100, rows % 2 == 0, (columns >= 140) | (rows % 4 == 0))
    grey = np.where(void, 0, 200).astype(np.uint8)
    path = write(tmp_path / "a.png", grey.T[::-1].copy() if turned else grey)  # a picture begins with its top row

    def porosities(split: str, **image) -> set[float]:
        config = settings(path, SPACING, margin=0.0, threshold=0.5, **image)
        generator = np.random.default_rng(0)
        return {round(float(crop(20, 20, SPACING, config, generator, split).mean()), 6) for _ in range(40)}

    assert porosities("train") == {0.5}
    assert porosities("valid") == {0.25}
    assert porosities("test") == {1.0}
    assert len(porosities("test", separate_splits=False)) > 3
    with pytest.raises(ValueError, match=r"expected the valid part of the image \(20% of its longer edge\) to be at least 2 × 2 µm"):
        crop(50, 50, SPACING, settings(path, SPACING, margin=0.0), np.random.default_rng(0), "valid")


def test_a_whole_image_is_taken_as_it_is(tmp_path):
    path = write(tmp_path / "a.png", micrograph(0.01, height=1.99, width=2.99)[::-1])
    image = ImageConfig(path=path, pixel_size=0.01)
    void = whole(image, SPACING, multiple=4)
    assert void.shape == (48, 72)  # what is less than four cells is cut off
    np.testing.assert_array_equal(void, whole(image, SPACING, multiple=4))
    assert void.sum() * SPACING**2 == pytest.approx(np.pi * DISC**2 + SQUARE**2, rel=0.002)
    assert threshold_of(image) == pytest.approx(125 / 255, abs=0.05)
    wide = whole(image, SPACING, margin=0.8)
    assert not wide[:, :20].any()
    assert 0.0 < wide.sum() < void.sum()


@pytest.mark.parametrize(
    ("pixel_size", "pores", "message"),
    [
        (0.001, "dark", "is the scale right"),
        (100.0, "dark", "expected at most 4e.06 cells of .* is the scale right\\? A number is in µm; others say their unit, '20 nm'$"),
        (0.01, "bright", "expected voids"),
    ],
)
def test_a_whole_image_that_does_not_fit_is_refused(tmp_path, pixel_size, pores, message):
    grey = micrograph(0.01) if pores == "dark" else np.pad(np.full((150, 60), 60, np.uint8), ((0, 0), (0, 40)), constant_values=190)
    with pytest.raises(ValueError, match=message):
        whole(ImageConfig(path=write(tmp_path / "a.png", grey), pixel_size=pixel_size, pores=pores), SPACING, margin=0.45)
