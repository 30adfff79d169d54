"""Images that someone sent: programs, bombs and damaged files end in a row or a reason, and start nothing."""

from __future__ import annotations

import io
import os
import random
import struct
import sys
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from amounts import mutants
from PIL import Image

from autotl.budget import Allowance
from autotl.modality import image, image_file, image_store
from autotl.modality.image_file import reason
from autotl.modality.image_store import decode, load_image

pytestmark = pytest.mark.filterwarnings("ignore:::PIL")  # of damaged files; runs ignore them, see image_file
FOREVER = Allowance(deadline=float("inf"))
MUTANTS = mutants(300)

STARTS = ("subprocess.Popen", "os.system", "os.exec", "os.fork", "os.posix_spawn", "os.spawn")
_started: list[str] = []
_watching = False


def _audit(event: str, arguments: tuple[object, ...]) -> None:
    if _watching and event in STARTS:
        _started.append(f"{event}{arguments}")


sys.addaudithook(_audit)  # it cannot be removed, so it is silent outside of `nothing_starts`


@contextmanager
def nothing_starts() -> Iterator[None]:
    global _watching  # noqa: PLW0603 (an audit hook has no other way)
    _started.clear()
    _watching = True
    try:
        yield
    finally:
        _watching = False
    assert _started == []


def picture(side: int = 40) -> Image.Image:
    values = np.random.default_rng(0).integers(0, 255, (side, side, 3), np.uint8)
    return Image.fromarray(values)


def saved(kind: str, picture: Image.Image, **how: object) -> bytes:
    out = io.BytesIO()
    picture.save(out, kind, **how)  # type: ignore[arg-type]
    return out.getvalue()


def problem(path: Path) -> str:
    with pytest.raises(Exception) as caught:  # noqa: PT011 (Pillow raises what it likes)
        load_image(path, 64)
    return reason(caught.value)


# --------------------------------------------------------------------------- programs

EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 40 40\n%%EndComments\n{} loop\n%%EOF\n"


@pytest.mark.parametrize("name", ["photo.png", "photo.eps", "photo.jpg"])
def test_postscript_is_no_image_whatever_its_name(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ghostscript = tmp_path / "bin" / "gs"
    ghostscript.parent.mkdir()
    ghostscript.write_text(f"#!/bin/sh\ntouch {tmp_path}/it-ran\n")
    ghostscript.chmod(0o755)
    monkeypatch.setenv("PATH", f"{ghostscript.parent}{os.pathsep}{os.environ['PATH']}")
    path = tmp_path / name
    path.write_bytes(EPS)
    with nothing_starts():
        assert problem(path) == "not an image of a known format"
        with path.open("rb") as stream:
            assert image.check(stream) is not None
        image.glance([str(path)])
        with pytest.raises(Image.UnidentifiedImageError):
            image.thumbnail(tmp_path / "no store", 0, path)
    assert not (tmp_path / "it-ran").exists()


@pytest.mark.parametrize("kind", ["EPS", "PDF", "PCX", "IM", "SGI", "ICO", "DDS", "PALM", "XBM", "SPIDER"])
def test_formats_that_are_not_listed_are_refused_by_content(tmp_path: Path, kind: str) -> None:
    drawn = {"PALM": "P", "XBM": "1", "SPIDER": "F"}
    path = tmp_path / "photo.png"
    path.write_bytes(saved(kind, picture().convert(drawn.get(kind, "RGB"))))
    assert problem(path) == "not an image of a known format"


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "BMP", "PPM", "WEBP", "TIFF", "AVIF", "TGA"])
def test_listed_formats_are_recognised_by_content(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "photo.jpg"
    path.write_bytes(saved(kind, picture()))
    assert load_image(path, 64)[0].shape == (40, 40, 3)


def test_every_listed_decoder_is_one_of_pillows() -> None:
    Image.init()
    assert set(image_file.DECODERS) - {"HEIF"} <= set(Image.OPEN)  # HEIF is that of pillow-heif


def test_image_files_are_opened_in_one_place() -> None:
    package = Path(image_file.__file__).parents[1]
    openers = [p for p in package.rglob("*.py") if "Image.open(" in p.read_text(encoding="utf-8")]
    assert openers == [Path(image_file.__file__)]


def test_pipes_and_devices_are_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    assert problem(tmp_path / "pipe.png") == "a pipe or a device, not a file"
    assert problem(Path("/dev/zero")) == "a pipe or a device, not a file"


# --------------------------------------------------------------------------- bombs


def png(width: int, height: int, colour: int = 2) -> bytes:
    """A valid PNG of zeros, small as a file."""
    bands = {0: 1, 2: 3, 6: 4}[colour]
    packer = zlib.compressobj(9)
    line = bytes(1 + width * bands)
    packed = b"".join(packer.compress(line) for _ in range(height)) + packer.flush()

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", packed) + chunk(b"IEND", b"")


@pytest.mark.parametrize(("width", "height"), [(13_000, 13_000), (60_000, 2_800), (1_000_000, 100)])
def test_too_many_pixels_are_refused_by_the_header(tmp_path: Path, width: int, height: int) -> None:
    path = tmp_path / "a.png"
    head = bytearray(png(1, 1))
    head[16:24] = struct.pack(">II", width, height)
    head[29:33] = struct.pack(">I", zlib.crc32(head[12:29]))
    path.write_bytes(head)
    assert problem(path) == "too many pixels to be decoded safely"
    with path.open("rb") as stream:
        found = image.check(stream)
    assert found is not None and found.kind == "too_many_pixels"


def test_a_large_jpeg_is_decoded_small(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    Image.new("L", (10_000, 9_500), 90).save(path)
    pixels, about = load_image(path, 256)
    assert (about["width"], about["height"]) == (10_000, 9_500)
    assert abs(int(pixels.mean()) - 90) <= 1


def test_a_large_progressive_jpeg_is_refused_since_it_is_held_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.jpg"
    picture(400).save(path, progressive=True)
    monkeypatch.setattr(image_file, "MOST_PIXELS", 100_000)
    assert problem(path) == "too many pixels to be decoded safely"
    picture(400).save(path)
    assert load_image(path, 64)[0].shape == (100, 100, 3) or load_image(path, 64)[0].shape == (64, 64, 3)


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "LA", "I;16", "CMYK"])
def test_large_images_come_out_as_small_ones_do(
    tmp_path: Path, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    smooth = np.linspace(0, 255, 300 * 400).reshape(300, 400)
    drawn = Image.fromarray(smooth.astype(np.uint8)).convert("RGB")
    drawn = Image.fromarray((smooth * 200).astype(np.uint16)) if mode == "I;16" else drawn.convert(mode)
    path = tmp_path / "a.tif"
    drawn.save(path)
    plain, _ = load_image(path, 64)
    monkeypatch.setattr(image_store, "LARGE", 1000)
    reduced, about = load_image(path, 64)
    assert reduced.shape == plain.shape and about["width"] == 400
    assert np.abs(reduced.astype(int) - plain).mean() < 3


def test_images_together_take_no_more_memory_than_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    gate = image_file.MemoryGate(100)
    inside, most = 0, 0
    guard = threading.Lock()

    def work(amount: int) -> None:
        nonlocal inside, most
        with gate.hold(amount):
            with guard:
                inside += amount
                most = max(most, inside)
            time.sleep(0.002)
            with guard:
                inside -= amount

    threads = [threading.Thread(target=work, args=(amount,)) for amount in (60, 60, 30, 300, 10, 100) * 5]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert most == 300, "the largest is alone, and the others share the limit"


def scans(count: int) -> bytes:
    """A progressive JPEG whose last pass over the image comes `count` times."""
    whole = saved("JPEG", picture(600), progressive=True, quality=10)
    last = whole.rindex(b"\xff\xda")
    return whole[:last] + whole[last:-2] * count + whole[-2:]


def test_an_image_that_takes_long_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_file, "SECONDS", 0.3)
    path = tmp_path / "a.jpg"
    path.write_bytes(scans(3000))
    began = time.thread_time()
    assert "to be decoded" in problem(path)
    assert time.thread_time() - began < 2.0


def test_decoding_ends_with_the_allowance_though_an_image_takes_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(image_store, "LEAST_SECONDS", 0.3)
    (tmp_path / "a.jpg").write_bytes(scans(3000))
    began = time.monotonic()
    found = decode([str(tmp_path / "a.jpg")] * 4, tmp_path / "s", side=64, allowance=Allowance(deadline=0.0))
    assert not found.present.any() and found.errors == {}, "late is not broken"
    assert time.monotonic() - began < 5.0


# --------------------------------------------------------------------------- damaged files


def damaged(count: int) -> Iterator[bytes]:
    """Damaged images of every listed format: bytes changed, removed, repeated, and numbers in the header replaced."""
    kinds: list[tuple[str, dict[str, object]]] = [
        ("JPEG", {}), ("JPEG", {"progressive": True}), ("PNG", {}), ("GIF", {}), ("BMP", {}), ("PPM", {}),
        ("WEBP", {}), ("WEBP", {"lossless": True}), ("TIFF", {}), ("TIFF", {"compression": "tiff_lzw"}),
        ("TIFF", {"compression": "tiff_adobe_deflate"}), ("TGA", {}), ("TGA", {"compression": "tga_rle"}),
    ]  # fmt: skip
    sound = [saved(kind, picture(), **how) for kind, how in kinds]
    chance = random.Random(20)
    for number in range(count):
        content = bytearray(sound[number % len(sound)])
        for _ in range(chance.choice((1, 1, 2, 8, 40))):
            at = chance.randrange(min(len(content), chance.choice((30, 200, 10**6))))
            kind = chance.randrange(5)
            if kind == 0:
                content[at] = chance.randrange(256)
            elif kind == 1:
                content[at] ^= 1 << chance.randrange(8)
            elif kind == 2:
                content[at : at + 4] = struct.pack(
                    chance.choice("<>") + "I", chance.choice((0, 1, 65535, 2**31))
                )
            elif kind == 3:
                del content[at : at + chance.randrange(1, 50)]
            else:
                content[at:at] = content[at : at + 50]
            if not content:
                break
        yield bytes(content)


def test_mutants_of_images_are_a_row_or_a_reason(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    record_property("mutants", MUTANTS)
    files = []
    for number, content in enumerate(damaged(MUTANTS)):
        path = tmp_path / f"{number}.png"
        path.write_bytes(content)
        files.append(str(path))
    with nothing_starts():
        found = decode(files, tmp_path / "s", side=64, allowance=FOREVER)
        for file in files:
            with open(file, "rb") as stream:
                image.check(stream)
    reasons = set(found.errors.values())
    assert len(files) == MUTANTS and found.present.sum() + len(found.errors) == MUTANTS
    assert 0 < found.present.sum() < MUTANTS
    assert all(text and text.isprintable() for text in reasons)
