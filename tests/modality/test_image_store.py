"""Decoding: what kinds of image files become, what is refused, and the store they lie in."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from PIL import Image

from autotl.budget import Allowance
from autotl.modality import image_store
from autotl.modality.image_store import (
    STATISTICS,
    Pixels,
    choose_side,
    decode,
    load_image,
    reduced,
    square,
    square_image,
)
from autotl.records import Geometry

FOREVER = Allowance(deadline=float("inf"))


def loaded(image: Image.Image, path: Path, side: int = 256, **how: object) -> np.ndarray:
    image.save(path, **how)  # type: ignore[arg-type]
    return load_image(path, side)[0]


def halves(left: tuple[int, ...], right: tuple[int, ...], mode: str = "RGB") -> Image.Image:
    image = Image.new(mode, (20, 10), left)
    image.paste(right, (10, 0, 20, 10))
    return image


RED, BLUE = (200, 0, 0), (0, 0, 200)


# --------------------------------------------------------------------------- kinds of files


def test_a_camera_that_was_turned_is_turned_back(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # to be shown a quarter turn clockwise
    found = loaded(halves(RED, BLUE), tmp_path / "a.png", exif=exif)
    assert found.shape == (20, 10, 3)
    assert tuple(found[2, 5]) == RED and tuple(found[17, 5]) == BLUE


@pytest.mark.parametrize(("mode", "ink"), [("RGBA", (10, 10, 10)), ("LA", (10,))])
def test_dark_drawings_lie_on_white(tmp_path: Path, mode: str, ink: tuple[int, ...]) -> None:
    found = loaded(halves((*ink, 255), (*ink, 0), mode), tmp_path / "a.png")
    assert found[5, 2].tolist() == [10, 10, 10] and found[5, 17].tolist() == [255, 255, 255]


def test_bright_drawings_lie_on_black(tmp_path: Path) -> None:
    found = loaded(halves((250, 250, 250, 255), (250, 250, 250, 0), "RGBA"), tmp_path / "a.png")
    assert found[5, 2].tolist() == [250, 250, 250] and found[5, 17].tolist() == [0, 0, 0]


def test_a_drawing_that_is_in_alpha_alone_is_seen(tmp_path: Path) -> None:
    found = loaded(halves((0, 0, 0, 255), (0, 0, 0, 0), "RGBA"), tmp_path / "a.png")
    assert found[5, 2, 0] == 0 and found[5, 17, 0] == 255


def test_alpha_that_hides_nothing_is_no_alpha(tmp_path: Path) -> None:
    halves((*RED, 255), (*BLUE, 255), "RGBA").save(tmp_path / "a.png")
    found, seen = load_image(tmp_path / "a.png", 256)
    assert seen["alpha"] == 0.0
    assert tuple(found[5, 2]) == RED


def test_gray_and_black_and_white(tmp_path: Path) -> None:
    assert loaded(Image.new("L", (5, 4), 77), tmp_path / "a.png")[0, 0].tolist() == [77] * 3
    assert loaded(Image.new("1", (5, 4), 1), tmp_path / "b.png")[0, 0].tolist() == [255] * 3


def test_palettes_with_and_without_transparency(tmp_path: Path) -> None:
    image = halves(RED, BLUE).quantize(4)
    assert tuple(loaded(image, tmp_path / "a.gif")[5, 2]) == RED
    clear = image.getpixel((15, 5))
    found = loaded(image, tmp_path / "b.png", transparency=clear)
    assert tuple(found[5, 2]) == RED and found[5, 17].tolist() == [255, 255, 255]


def test_printers_colours(tmp_path: Path) -> None:
    found = loaded(Image.new("CMYK", (16, 16), (0, 255, 255, 0)), tmp_path / "a.jpg")
    red, green, blue = found[8, 8].tolist()
    assert red > 200 and green < 60 and blue < 60


def test_sixteen_bits_are_scaled_by_their_own_range_not_clipped(tmp_path: Path) -> None:
    ramp = np.linspace(1000, 40_000, 256).astype(np.uint16).reshape(16, 16)
    found = loaded(Image.fromarray(ramp), tmp_path / "a.png")
    assert found[0, 0, 0] == 0 and found[-1, -1, 0] == 255
    assert np.all(np.diff(found[..., 0].ravel().astype(int)) >= 0) and len(np.unique(found)) > 200


def test_sixteen_bits_that_hold_eight_stay_as_they_are(tmp_path: Path) -> None:
    found = loaded(Image.fromarray(np.full((8, 8), 93, np.uint16)), tmp_path / "a.png")
    assert np.unique(found).tolist() == [93]


def test_floats_with_nothing_in_them_are_no_crash(tmp_path: Path) -> None:
    found = loaded(Image.fromarray(np.full((8, 8), 4e4, np.float32)), tmp_path / "a.tif")
    assert found.shape == (8, 8, 3)


# --------------------------------------------------------------------------- sizes


@pytest.mark.parametrize(
    ("size", "expected"), [((300, 200), (64, 96)), ((40, 30), (30, 40)), ((64, 64), (64, 64))]
)
def test_images_are_made_smaller_never_larger(
    tmp_path: Path, size: tuple[int, int], expected: tuple[int, int]
) -> None:
    assert loaded(Image.new("RGB", size, RED), tmp_path / "a.png", 64).shape[:2] == expected


def test_large_photos_come_out_as_small_ones_do(tmp_path: Path) -> None:
    ramp = Image.linear_gradient("L").resize((1600, 1200)).convert("RGB")
    found = loaded(ramp, tmp_path / "a.jpg", 64, quality=95)
    exact = np.asarray(ramp.resize((85, 64), Image.Resampling.BOX), int)
    assert found.shape == (64, 85, 3)
    assert np.abs(found.astype(int) - exact).mean() < 3


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (2, 3)])
def test_a_few_pixels_are_an_image_too(tmp_path: Path, size: tuple[int, int]) -> None:
    Image.new("RGB", size, RED).save(tmp_path / "a.png")
    found = decode([str(tmp_path / "a.png")], tmp_path / "store", side=64, allowance=FOREVER)
    assert found.present.all() and not np.isnan(found.statistics).any()


# --------------------------------------------------------------------------- the store


def photos(folder: Path, count: int = 5) -> list[str]:
    generator = np.random.default_rng(0)
    names = []
    for number in range(count):
        image = generator.integers(0, 255, (10 + number, 12, 3), dtype=np.uint8)
        names.append(str(folder / f"{number}.png"))
        Image.fromarray(image).save(names[-1])
    return names


def test_what_is_stored_is_read_again(tmp_path: Path) -> None:
    files = photos(tmp_path)
    found = decode(files, tmp_path / "store", side=64, allowance=FOREVER, order=np.array([3, 0, 4, 2, 1]))
    assert found.present.all() and found.errors == {}
    store = Pixels.open(tmp_path / "store")
    assert len(store) == 5 and store.present.all()
    for row, file in enumerate(files):
        assert np.array_equal(store.image(row), np.asarray(Image.open(file)))


def test_statistics_say_what_is_there(tmp_path: Path) -> None:
    Image.new("RGB", (30, 20), (100, 100, 100)).save(tmp_path / "gray.png")
    halves((*RED, 255), (*RED, 0), "RGBA").save(tmp_path / "alpha.png")
    found = decode(
        [str(tmp_path / n) for n in ("gray.png", "alpha.png")], tmp_path / "s", side=64, allowance=FOREVER
    )
    gray, alpha = (dict(zip(STATISTICS, row.tolist(), strict=True)) for row in found.statistics)
    assert (gray["width"], gray["height"], gray["brightness"]) == (30, 20, 100)
    assert gray["contrast"] == gray["sharpness"] == gray["colour"] == gray["alpha"] == 0
    assert gray["bytes"] == (tmp_path / "gray.png").stat().st_size
    assert alpha["alpha"] == 1 and alpha["colour"] > 10


def test_broken_files_are_rows_with_a_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = photos(tmp_path, 3)
    whole = Path(files[1]).read_bytes()
    Path(files[1]).write_bytes(whole[: len(whole) // 2])
    Image.new("RGB", (300, 300)).save(tmp_path / "bomb.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10_000)
    files += [str(tmp_path / "bomb.png"), str(tmp_path / "missing.png")]
    found = decode(files, tmp_path / "store", side=64, allowance=FOREVER)
    assert found.present.tolist() == [True, False, True, False, False]
    assert sorted(found.errors) == [1, 3, 4]
    assert "too many pixels" in found.errors[3] and found.errors[4]
    assert np.isnan(found.statistics[1]).all() and not found.thumbnails[1].any()
    with pytest.raises(LookupError, match="row 1"):
        Pixels.open(tmp_path / "store").image(1)


def test_a_truncated_photo_is_not_filled_up_with_gray(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    Image.effect_noise((200, 200), 60).convert("RGB").save(path)
    path.write_bytes(path.read_bytes()[:4000])
    found = decode([str(path)], tmp_path / "store", side=64, allowance=FOREVER)
    assert not found.present.any() and "breaks off" in found.errors[0]


def test_it_stops_when_time_is_over_after_a_first_helping(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(image_store, "CHUNK", 2)
    order = np.array([4, 2, 0, 1, 3])
    found = decode(photos(tmp_path), tmp_path / "s", side=64, allowance=Allowance(deadline=0.0), order=order)
    assert np.flatnonzero(found.present).tolist() == [2, 4]
    assert found.errors == {}, "late is not broken"


def test_a_store_without_an_image_opens(tmp_path: Path) -> None:
    decode([str(tmp_path / "missing.png")], tmp_path / "store", side=64, allowance=FOREVER)
    assert not Pixels.open(tmp_path / "store").present.any()


@pytest.mark.parametrize(("images", "side"), [(10, 256), (1_000, 256), (50_000, 103), (10**7, 64)])
def test_the_store_stays_within_its_limit(images: int, side: int) -> None:
    assert choose_side(images, 256) == side


# --------------------------------------------------------------------------- squares


def test_the_central_square_is_what_is_resized() -> None:
    image = np.zeros((10, 30, 3), np.uint8)
    image[:, 10:20] = 200
    assert (
        square_image(image, 8)[:, 1:-1] == 200
    ).all()  # at the rim, what is resized reaches a pixel beyond


@pytest.mark.parametrize("shape", [(120, 30), (30, 120), (40, 200)])
def test_a_square_of_a_long_image(shape: tuple[int, int]) -> None:
    image = np.full((*shape, 3), 50, np.uint8)
    end = image[:15] if shape[0] > shape[1] else image[:, :15]
    end[:] = 250  # at one end, outside the central square
    seen = {name: square_image(image, 24, "bilinear", name) for name in get_args(Geometry)}
    assert all(square.shape == (24, 24, 3) for square in seen.values())
    assert [name for name, square in seen.items() if (square > 200).any()] == ["squash", "pad"]
    assert [name for name, square in seen.items() if (square == image_store.GROUND).all(2).any()] == ["pad"]


def test_padding_a_square_adds_nothing() -> None:
    image = np.arange(300, dtype=np.uint8).reshape(10, 10, 3)
    assert np.array_equal(square_image(image, 10, geometry="pad"), image)


@pytest.mark.parametrize("size", [(5000, 100), (100, 5000), (20, 3000)])
def test_no_part_of_a_very_long_image_is_lost(size: tuple[int, int]) -> None:
    image = Image.new("RGB", size)
    image.paste((255, 255, 255), (0, 0, max(20, size[0] // 100), max(20, size[1] // 100)))
    kept = reduced(image, 64)
    assert kept[0, 0].min() > 200 and kept[-1, -1].max() == 0
    assert kept.shape[0] * kept.shape[1] <= 1.1 * image_store.LONGEST * 64 * 64
    assert kept.shape[1] / kept.shape[0] == pytest.approx(size[0] / size[1], rel=0.1)


def test_squares_of_rows_come_in_their_order(tmp_path: Path) -> None:
    files = photos(tmp_path)
    decode(files, tmp_path / "store", side=64, allowance=FOREVER)
    store = Pixels.open(tmp_path / "store")
    found = square(store, np.array([4, 1]), 8)
    assert np.array_equal(found[0], square_image(store.image(4), 8))
    assert np.array_equal(found[1], square_image(store.image(1), 8))


def test_how_a_file_was_made_is_read_from_it(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (30, 40, 3), dtype=np.uint8)
    framed = np.full((40, 50, 3), 250, np.uint8)
    framed[5:-5, 5:-5] = pixels
    exif = Image.Exif()
    exif[271], exif[272] = "Acme", "X1"
    exif.get_ifd(0x8769)[0x9003] = "2024:05:06 07:08:09"
    Image.fromarray(pixels).save(tmp_path / "a.jpg", quality=60, exif=exif)
    Image.fromarray(framed).convert("L").save(tmp_path / "b.png")
    (tmp_path / "c.png").write_bytes(b"no image")
    files = [str(tmp_path / name) for name in ("a.jpg", "b.png", "c.png")]
    made = decode(files, tmp_path / "store", side=64, allowance=FOREVER).metadata
    assert made["format"].tolist() == ["JPEG", "PNG", ""]
    assert made["mode"].tolist() == ["RGB", "L", ""]
    assert made["quality"][0] == 60 and np.isnan(made["quality"][1:]).all()
    assert made["camera"].tolist() == ["Acme X1", "", ""] and made["taken"][0] == "2024:05:06 07:08:09"
    assert made["border"].tolist() == ["", "#e0e0e0", ""]
    assert (
        made["aspect"][:2].tolist() == [1.33, 1.25]
        and made["bytes"][0] == (tmp_path / "a.jpg").stat().st_size
    )


def test_what_lies_inside_a_frame_has_a_thumbnail_of_its_own(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    cells = Image.fromarray(generator.integers(0, 255, (8, 8, 3), np.uint8))
    plain = cells.resize((120, 120), Image.Resampling.NEAREST)
    framed = Image.new("RGB", (140, 132), (250, 250, 250))
    framed.paste(plain, (10, 6))
    alone = Image.new("RGB", (240, 240), (250, 250, 250))  # an object on a plain ground is not cut out
    alone.paste(plain, (60, 60))
    for name, image in (("plain", plain), ("framed", framed), ("alone", alone)):
        image.save(tmp_path / f"{name}.jpg", quality=90)
    files = [str(tmp_path / f"{name}.jpg") for name in ("plain", "framed", "alone")]
    decoded = image_store.decode(
        files, tmp_path / "store", side=256, allowance=Allowance(deadline=float("inf"))
    )
    same = (decoded.inner == decoded.thumbnails).all((1, 2, 3))
    assert same.tolist() == [True, False, True]
    apart = np.abs(decoded.inner[1].astype(int) - decoded.thumbnails[0])
    assert apart.mean() < 10 < np.abs(decoded.thumbnails[1].astype(int) - decoded.thumbnails[0]).mean()
