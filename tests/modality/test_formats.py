"""Formats by content: what is read, what is named with its package, and the pages of a file."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, features
from source_files import folders, read, reasons

from autotl.budget import Allowance
from autotl.modality import image, image_file, image_signature, image_store
from autotl.modality.image_store import load_image
from autotl.records import Kind
from autotl.report import wording

HEIC = b"\0\0\0\x18ftypheic\0\0\0\0heicmif1" + bytes(200)
DICOM = bytes(128) + b"DICM" + bytes(200)


def saved(kind: str, pages: int = 1, **given: Any) -> bytes:
    frames = [Image.fromarray(np.full((16, 16, 3), 20 + 40 * page, np.uint8)) for page in range(pages)]
    out = io.BytesIO()
    more = {"save_all": True, "append_images": frames[1:]} if pages > 1 else {}
    frames[0].save(out, kind, **more, **given)
    return out.getvalue()


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "BMP", "PPM", "WEBP", "TIFF", "AVIF"])
def test_images_are_recognised_by_their_first_bytes(kind: str) -> None:
    if kind == "AVIF" and not features.check("avif"):
        pytest.skip("this Pillow has no AVIF")
    assert image_signature.recognised(saved(kind)[:132])


@pytest.mark.parametrize(
    "head", [b"", b"BMW", b"P5 engine", b"II*", b"RIFF0000WAVE", b"\0\0\0\x18ftypmp42", b"x" * 132]
)
def test_other_files_are_not(head: bytes) -> None:
    assert not image_signature.recognised(head)


@pytest.mark.skipif(not features.check("avif"), reason="this Pillow has no AVIF")
def test_avif_is_read(tmp_path: Path) -> None:
    (tmp_path / "photo").write_bytes(saved("AVIF"))
    assert load_image(tmp_path / "photo", 64)[0].shape == (16, 16, 3)


@pytest.mark.parametrize(("content", "package"), [(HEIC, "pillow-heif"), (DICOM, "pydicom")])
def test_a_format_without_its_package_is_named_with_it(
    tmp_path: Path, content: bytes, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("pillow_heif", "pydicom"):
        monkeypatch.setitem(sys.modules, module, None)
    image_file.decoders.cache_clear()
    folders(tmp_path, "a", "b")
    (tmp_path / "a" / "x").write_bytes(content)
    data = read(tmp_path)
    assert reasons(data) == {"a/x": Kind.NEEDS_PACKAGE}
    assert package in wording.sentence(data.left_out[0].reason)
    with pytest.raises(image_file.NeedsPackage) as refused:
        load_image(tmp_path / "a" / "x", 64)
    assert package in image_file.reason(refused.value) and "pip install 'autotl[" in image_file.reason(
        refused.value
    )


@pytest.mark.parametrize(("kind", "pages"), [("TIFF", 5), ("GIF", 3), ("PNG", 1), ("JPEG", 1)])
def test_pages_are_counted(kind: str, pages: int) -> None:
    assert image.pages(io.BytesIO(saved(kind, pages))) == pages
    assert image.pages(io.BytesIO(saved(kind, pages)[:20])) == 1


def test_pages_that_are_not_used_are_a_finding(tmp_path: Path) -> None:
    folders(tmp_path, "a", "b")
    for number in range(2):
        (tmp_path / "a" / f"stack{number}.tif").write_bytes(saved("TIFF", 5))
    (found,) = [finding for finding in read(tmp_path).findings if finding.kind is Kind.PAGES_UNUSED]
    assert found.where == ("a/stack0.tif", "a/stack1.tif")
    assert (
        wording.sentence(found) == "2 files have several pages or frames: the first is used, 8 pages are not"
    )


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize("frames", [1, 3])
def test_dicom(tmp_path: Path, photometric: str, frames: int) -> None:
    pydicom = pytest.importorskip("pydicom")
    meta = pydicom.dataset.FileMetaDataset()
    meta.MediaStorageSOPClassUID = pydicom.uid.SecondaryCaptureImageStorage
    meta.MediaStorageSOPInstanceUID = "1.2.3"
    meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    data = pydicom.Dataset()
    data.file_meta = meta
    data.Rows, data.Columns, data.SamplesPerPixel = 16, 20, 1
    data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 16, 12, 11, 0
    data.PhotometricInterpretation, data.NumberOfFrames = photometric, frames
    ramp = np.tile(np.linspace(0, 4000, 20).astype(np.uint16), (frames, 16, 1))
    data.PixelData = ramp.tobytes()
    pydicom.dcmwrite(tmp_path / "scan", data, enforce_file_format=True)
    pixels = load_image(tmp_path / "scan", 64)[0]
    assert pixels.shape == (16, 20, 3)
    dark, bright = (0, -1) if photometric == "MONOCHROME2" else (-1, 0)
    assert pixels[0, dark].max() == 0 and pixels[0, bright].min() == 255
    with (tmp_path / "scan").open("rb") as file:
        assert image.pages(file) == frames


def _files(folder: Path) -> dict[str, Path]:
    """Write one picture in every format and form that has a decoding of its own, by name."""
    generator = np.random.default_rng(0)
    picture = Image.fromarray(generator.integers(0, 255, (40, 30, 3), np.uint8)).resize((260, 300))
    alpha = picture.convert("RGBA")
    alpha.putalpha(Image.fromarray(np.tile(np.linspace(0, 255, 260).astype(np.uint8), (300, 1))))
    deep = Image.fromarray(np.asarray(picture.convert("L"), np.uint16) * 200)
    turned = Image.Exif()
    turned[274] = 6
    forms: dict[str, tuple[Image.Image, str, dict[str, Any]]] = {
        "jpeg": (picture, "JPEG", {}),
        "cmyk": (picture.convert("CMYK"), "JPEG", {}),
        "turned": (picture, "JPEG", {"exif": turned}),
        "png": (picture, "PNG", {}),
        "palette": (picture.convert("P"), "PNG", {}),
        "alpha": (alpha, "PNG", {}),
        "deep": (deep, "PNG", {}),
        "bit": (picture.convert("1"), "PNG", {}),
        "gif": (picture, "GIF", {}),
        "webp": (picture, "WEBP", {"method": 0}),
        "bmp": (picture, "BMP", {}),
        "ppm": (picture, "PPM", {}),
        "tga": (picture, "TGA", {}),
        "tiff": (picture, "TIFF", {}),
        "deep tiff": (deep, "TIFF", {}),
        "pages": (picture, "TIFF", {"save_all": True, "append_images": [alpha.convert("RGB")]}),
    }
    if features.check("avif"):
        forms["avif"] = (picture, "AVIF", {"speed": 10})
    for name, (image_, kind, more) in forms.items():
        image_.save(folder / name, kind, **more)
    return {name: folder / name for name in forms}


def test_training_and_prediction_decode_the_same_pixels_of_every_format(tmp_path: Path) -> None:
    """A run stores images of a shorter side of 256; a model reads files anew, whatever its input size."""
    files = _files(tmp_path)
    paths = [str(path) for path in files.values()]
    decoded = image.decode(paths, tmp_path / "store", allowance=Allowance(deadline=float("inf")))
    assert not decoded.errors
    stored = image.open(tmp_path / "store")
    for row, (name, path) in enumerate(files.items()):
        predicted = load_image(path, image_store.LARGEST_SIDE)[0]
        assert (stored.image(row) == predicted).all(), name
        assert predicted.shape[2] == 3 and min(predicted.shape[:2]) == 256, name
        assert predicted.std() > 5, f"{name} is empty"
    assert stored.image(list(files).index("turned")).shape[1] > 256, "turned by its EXIF orientation"
