"""Build inputs as people have them, read each, and write the table of docs/reference/inputs.md.

    python -m benchmarks.sources --out docs/reference/inputs.md

A row is an input: what lies on the disk, the command that reads it, and what that command reads or why it refuses. The
pictures are of one colour each, since nothing here is learned from them. tests/benchmarks/test_sources.py fails if the
page is not what this program writes.
"""

from __future__ import annotations

import json
import re
import tarfile
import tempfile
import unicodedata
import zipfile
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import click
import numpy as np
from PIL import Image

from autotl.cache import cache_folder
from autotl.data import load
from autotl.errors import DatasetError
from autotl.plugins.manager import Plugins, load_plugins
from autotl.records import PARTS, Dataset, Kind
from autotl.report import wording
from autotl.stats import values

HEAD = """\
# Inputs, and how they are read

<!-- Made by benchmarks/sources.py; write there, then: python -m benchmarks.sources --out docs/reference/inputs.md -->

Every row is an input that was built and read: what lies on the disk, the command, and what is read or why not. The
sentences are those of `autotl profile`. [Data sources](../guide/sources.md) explains the rules; files that are
left out are listed in `manifest.csv`, each with its reason. Parquet, DICOM, HEIC and objects of Python are not in the
table: the first three need packages of their own, and the last have no command.
"""
TABLE = ("| input | command | read as |", "| --- | --- | --- |")
CLASSES = ("cat", "dog")
EACH = 3  # images of a class
TWELVE = tuple(f"img/{number}.png" for number in range(12))
FORMATS = ("PNG", "JPEG", "GIF", "BMP", "WEBP", "TIFF", "PPM")
SHOWN = 4  # classes and files that a row names


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """An input: `build` writes it into an empty folder and returns DATA."""

    title: str
    build: Callable[[Path], Path]
    options: dict[str, str] = field(default_factory=dict)


# --------------------------------------------------------------------------- files


def _picture(path: Path, shade: int = 0, form: str = "PNG") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    colour = (shade * 37 % 256, shade * 11 % 256, 255 - shade * 5 % 256)
    Image.new("RGB", (24, 24), colour).save(path, form)


def _tree(root: Path, *folders: str, each: int = EACH) -> Path:
    """Write images into folders, all of them different."""
    for number, folder in enumerate(folders):
        for index in range(each):
            _picture(root / folder / f"{index}.png", 1 + each * number + index)
    return root


def _in_folders(*folders: str) -> Callable[[Path], Path]:
    return lambda root: _tree(root / "photos", *folders)


def _beside(root: Path, name: str, text: str, encoding: str = "utf-8") -> Path:
    """Write twelve images into img/, and a table beside them."""
    for number, place in enumerate(TWELVE):
        _picture(root / place, number)
    (root / name).write_bytes(text.encode(encoding))
    return root / name


def _table(
    header: Sequence[str],
    row: Callable[[int], Sequence[object]],
    *,
    name: str = "labels.csv",
    separator: str = ",",
    encoding: str = "utf-8",
) -> Callable[[Path], Path]:
    """Return a builder of twelve images and a table with `row` of each."""
    lines = [list(header)] if header else []
    lines += [[str(cell) for cell in row(number)] for number in range(12)]
    text = "".join(separator.join(line) + "\n" for line in lines)
    return lambda root: _beside(root, name, text, encoding)


def _named(number: int) -> str:
    return CLASSES[number % 2]


# --------------------------------------------------------------------------- folders


def _loose(root: Path) -> Path:
    _tree(root / "photos", "train/cat", "train/dog")
    for number in range(5):
        _picture(root / "photos" / "train" / f"forgotten{number}.png", 90 + number)
    return root / "photos"


def _two_forms(root: Path) -> Path:
    for part, form in (("train", "NFC"), ("test", "NFD")):
        _tree(root / "photos", *(f"{part}/{unicodedata.normalize(form, name)}" for name in ("café", "thé")))
    return root / "photos"


def _linked(root: Path) -> Path:
    _tree(root, "bus", "car")
    (root / "photos").mkdir()
    for name, target in (("a", "bus"), ("b", "car")):
        (root / "photos" / name).symlink_to(f"../{target}")
    return root / "photos"


def _pointers(root: Path) -> Path:
    for name in CLASSES:
        for number in range(EACH):
            path = root / "photos" / name / f"{number}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(
                f"version https://git-lfs.github.com/spec/v1\noid sha256:{number:064d}\nsize 12345\n"
            )
    return root / "photos"


def _masks(root: Path) -> Path:
    _tree(root / "photos", "benign", "malignant")
    for number, path in enumerate(sorted((root / "photos").rglob("*.png"))):
        mask = np.arange(24 * 24).reshape(24, 24) % (number + 2) == 0
        Image.fromarray((255 * mask).astype(np.uint8)).convert("1").save(
            path.with_name(f"{path.stem}_mask.png")
        )
    return root / "photos"


def _without_extension(root: Path) -> Path:
    for path in sorted(_tree(root / "photos", *CLASSES).rglob("0.png")):
        path.rename(path.with_suffix(""))
    return root / "photos"


def _formats(root: Path) -> Path:
    for number, form in enumerate(FORMATS):
        for shade, name in enumerate(CLASSES):
            _picture(root / "photos" / name / f"{number}.dat", 10 * number + shade, form)
    return root / "photos"


def _pages(root: Path) -> Path:
    for shade, name in enumerate(CLASSES):
        (root / "photos" / name).mkdir(parents=True)
        for number in range(EACH):
            pages = [Image.new("L", (24, 24), 10 * number + 100 * shade + page) for page in range(5)]
            pages[0].save(root / "photos" / name / f"{number}.tif", save_all=True, append_images=pages[1:])
    return root / "photos"


def _damaged(root: Path) -> Path:
    _tree(root / "photos", *CLASSES)
    (root / "photos" / "cat" / "empty.png").write_bytes(b"")
    (root / "photos" / "cat" / "page.png").write_text("<html>not found</html>")
    (root / "photos" / "dog" / "notes.txt").write_text("x")
    return root / "photos"


def _two_spellings(root: Path) -> Path:
    names = [unicodedata.normalize(form, "café") for form in ("NFC", "NFD")]
    return _tree(root / "photos", *names, "bar", "bar ")


def _around(root: Path) -> Path:
    _picture(_tree(root / "photos", "images/cat", "images/dog") / "cover.png", 90)
    return root / "photos"


def _lists(root: Path) -> Path:
    _tree(root / "photos", *(f"images/{name}" for name in CLASSES))
    (root / "photos" / "meta").mkdir()
    for part, numbers in (("train", (0, 1)), ("test", (2,))):
        lines = [f"{name}/{number}" for name in CLASSES for number in numbers]
        (root / "photos" / "meta" / f"{part}.txt").write_text("\n".join(lines))
    return root / "photos"


def _archive_inside(root: Path) -> Path:
    _archive("zip")(root)
    (root / "photos").mkdir()
    (root / "photos.zip").rename(root / "photos" / "photos.zip")
    return root / "photos"


def _loose_names(root: Path) -> Path:
    for number in range(6):
        _picture(root / "photos" / f"{_named(number)}.{number}.png", number)
    return root / "photos"


def _unlabelled(root: Path) -> Path:
    _tree(root / "photos", *CLASSES, "unsorted")
    return root / "photos"


# --------------------------------------------------------------------------- archives, sets, several tables


def _archive(form: str) -> Callable[[Path], Path]:
    def build(root: Path) -> Path:
        _tree(root / "archive", *CLASSES)
        if form == "zip":
            with zipfile.ZipFile(root / "photos.zip", "w") as out:
                for path in sorted((root / "archive").rglob("*.png")):
                    out.write(path, path.relative_to(root).as_posix())
        else:
            with tarfile.open(root / "photos.tar.gz", "w:gz") as out:
                out.add(root / "archive", "archive")
        return root / f"photos.{form}"

    return build


def _escaping(root: Path) -> Path:
    _archive("zip")(root)
    with zipfile.ZipFile(root / "photos.zip", "a") as out:
        out.write(root / "archive" / "cat" / "0.png", "../outside.png")
    return root / "photos.zip"


def _metadata(root: Path) -> Path:
    rows = "".join(f"img/{number}.png,{_named(number)}\n" for number in range(12))
    return _beside(root / "photos", "metadata.csv", f"file_name,label\n{rows}").parent


def _tables_by_part(root: Path) -> Path:
    for name, first, end in (("train.csv", 0, 8), ("test.csv", 8, 12)):
        rows = "".join(f"img/{number}.png,{_named(number)}\n" for number in range(first, end))
        _beside(root / "photos", name, f"path,label\n{rows}")
    return root / "photos"


def _by_path(root: Path) -> Path:
    return _beside(root, "labels.json", json.dumps({place: _named(n) for n, place in enumerate(TWELVE)}))


def _json_lines(root: Path) -> Path:
    lines = [json.dumps({"image": place, "class": _named(n)}) for n, place in enumerate(TWELVE)]
    return _beside(root, "labels.jsonl", "\n".join(lines))


def _excel(root: Path) -> Path:
    import openpyxl

    book = openpyxl.Workbook()
    book.active.title = "2024"
    for row in [("path", "label"), *((place, _named(n)) for n, place in enumerate(TWELVE))]:
        book.active.append(row)
    _beside(root, "labels.csv", "").unlink()
    book.save(root / "labels.xlsx")
    return root / "labels.xlsx"


def _numbered_files(root: Path) -> Path:
    for number in range(12):
        _picture(root / "img" / f"{number:05d}.png", number)
    rows = "".join(f"{number},{_named(number)}\n" for number in range(12))
    (root / "labels.csv").write_text(f"id,label\n{rows}")
    return root / "labels.csv"


def _with_title(root: Path) -> Path:
    rows = "".join(f"{place},{_named(number)}\n" for number, place in enumerate(TWELVE))
    return _beside(root, "labels.csv", f"Export of 2024\n\npath,label\n{rows}")


def _paths_by_class(root: Path) -> Path:
    return _beside(root, "labels.json", json.dumps({"cat": TWELVE[::2], "dog": TWELVE[1::2]}))


def _coco(root: Path) -> Path:
    folder = root / "street"
    boxes = []
    for number in range(6):
        _picture(folder / "images" / f"{number}.png", number)
        boxes.append({"image_id": number, "category_id": number % 2, "bbox": [4, 4, 12, 12], "id": number})
    found = {
        "images": [{"id": n, "file_name": f"{n}.png", "width": 24, "height": 24} for n in range(6)],
        "annotations": boxes,
        "categories": [{"id": n, "name": name} for n, name in enumerate(CLASSES)],
    }
    (folder / "annotations.json").write_text(json.dumps(found))
    return folder


def _yolo(root: Path) -> Path:
    folder = root / "street"
    for number in range(6):
        _picture(folder / "images" / f"{number}.png", number)
        (folder / "labels").mkdir(exist_ok=True)
        (folder / "labels" / f"{number}.txt").write_text(f"{number % 2} 0.5 0.5 0.5 0.5\n")
    (folder / "data.yaml").write_text("names: [cat, dog]\ntrain: images\n")
    return folder


def _voc(root: Path) -> Path:
    folder = root / "street"
    for number in range(6):
        _picture(folder / "JPEGImages" / f"{number}.png", number)
        (folder / "Annotations").mkdir(exist_ok=True)
        (folder / "Annotations" / f"{number}.xml").write_text(
            f"<annotation><filename>{number}.png</filename><size><width>24</width><height>24</height></size>"
            f"<object><name>{_named(number)}</name><bndbox><xmin>4</xmin><ymin>4</ymin><xmax>16</xmax><ymax>16</ymax>"
            "</bndbox></object></annotation>"
        )
    return folder


CASES = (
    # folders
    Case(title="`cat/` `dog/`", build=_in_folders(*CLASSES)),
    Case(
        title="`train/cat` `train/dog` `test/cat` `test/dog`",
        build=_in_folders("train/cat", "train/dog", "test/cat", "test/dog"),
    ),
    Case(
        title="`Training_Set/` and `Test_Set/` with the same classes",
        build=_in_folders("Training_Set/cat", "Training_Set/dog", "Test_Set/cat", "Test_Set/dog"),
    ),
    Case(
        title="`Trainingsdaten/` `Validierung/` `Testdaten/` with the same classes",
        build=_in_folders(
            *(f"{part}/{name}" for part in ("Trainingsdaten", "Validierung", "Testdaten") for name in CLASSES)
        ),
    ),
    Case(
        title="`train/` `test/` and `train_augmented/` with the same classes",
        build=_in_folders(
            *(f"{part}/{name}" for part in ("train", "test", "train_augmented") for name in CLASSES)
        ),
    ),
    Case(
        title="`train_cat/` `train_dog/` `test_cat/` `test_dog/`",
        build=_in_folders("train_cat", "train_dog", "test_cat", "test_dog"),
    ),
    Case(title="class folders, and lists `meta/train.txt` and `meta/test.txt`", build=_lists),
    Case(
        title="`cat/train` `cat/test` `dog/train` `dog/test`",
        build=_in_folders("cat/train", "cat/test", "dog/train", "dog/test"),
    ),
    Case(
        title="`archive/archive/cat` and `dog`",
        build=_in_folders("archive/archive/cat", "archive/archive/dog"),
    ),
    Case(
        title="`seg_train/seg_train/cat` …, `seg_test/seg_test/cat` …",
        build=_in_folders(*(f"seg_{p}/seg_{p}/{name}" for p in ("train", "test") for name in CLASSES)),
    ),
    Case(
        title="`train/animals/cat` …, `test/animals/cat` …",
        build=_in_folders(*(f"{p}/animals/{name}" for p in ("train", "test") for name in CLASSES)),
    ),
    Case(title="`images/cat` `images/dog` beside an image", build=_around),
    Case(
        title="`images/cat` `images/dog` beside `docs/`",
        build=_in_folders("images/cat", "images/dog", "docs"),
    ),
    Case(title="vehicles: `train/` `bus/` `car/`", build=_in_folders("train", "bus", "car")),
    Case(title="`train/cat` `train/dog` beside `bus/`", build=_in_folders("train/cat", "train/dog", "bus")),
    Case(
        title="the same",
        build=_in_folders("train/cat", "train/dog", "bus"),
        options={"layout": "part/class"},
    ),
    Case(title="`train/` and `test/` without class folders", build=_in_folders("train", "test")),
    Case(
        title="`animal/cat` `animal/dog` `plant/fern` `plant/moss`",
        build=_in_folders("animal/cat", "animal/dog", "plant/fern", "plant/moss"),
    ),
    Case(
        title="`morning/` and `evening/` with the same folders",
        build=_in_folders("morning/cat", "morning/dog", "evening/cat", "evening/dog"),
    ),
    Case(
        title="the same",
        build=_in_folders("morning/cat", "morning/dog", "evening/cat", "evening/dog"),
        options={"layout": "folder/class"},
    ),
    Case(title="`train/cat` `train/dog`, five images in `train/` itself", build=_loose),
    Case(title="`.5mm/` `1mm/` `2mm/`", build=_in_folders(".5mm", "1mm", "2mm")),
    Case(title="the same", build=_in_folders(".5mm", "1mm", "2mm"), options={"include": "hidden"}),
    Case(title="`café` composed in train, decomposed in test", build=_two_forms),
    Case(title="`café` composed and decomposed, `bar` with a space at its end", build=_two_spellings),
    Case(
        title="`train/big cat` `train/dog`, `test/big_cat` `test/dog`",
        build=_in_folders("train/big cat", "train/dog", "test/big_cat", "test/dog"),
    ),
    Case(
        title="`train/Cat` `train/Dog`, `test/cat` `test/dog`",
        build=_in_folders("train/Cat", "train/Dog", "test/cat", "test/dog"),
    ),
    Case(
        title="the same",
        build=_in_folders("train/Cat", "train/Dog", "test/cat", "test/dog"),
        options={"ignore_case": "True"},
    ),
    Case(title="`a` and `b` are links to folders beside DATA", build=_linked),
    Case(title="the same", build=_linked, options={"root": "."}),
    Case(title="pointers of Git LFS named .jpg", build=_pointers),
    Case(title="`x.png` and its mask `x_mask.png`", build=_masks),
    Case(title="the same", build=_masks, options={"include": "masks"}),
    Case(title="PNG without an extension", build=_without_extension),
    Case(title=f"{', '.join(FORMATS)} in files named .dat", build=_formats),
    Case(title="TIFF with five pages", build=_pages),
    Case(title="an empty file, a web page named .png, notes.txt", build=_damaged),
    Case(title="`cat.0.png` `dog.1.png` … without folders", build=_loose_names),
    Case(
        title="`cat/` `dog/` and `unsorted/` without labels",
        build=_unlabelled,
        options={"unlabelled": "unsorted"},
    ),
    # archives
    Case(title="a zip of `archive/cat` …", build=_archive("zip")),
    Case(title="a tar.gz of the same", build=_archive("tar.gz")),
    Case(title="a zip with the member `../outside.png`", build=_escaping),
    Case(title="a folder with an archive in it", build=_archive_inside),
    # tables
    Case(title="`path,label`", build=_table(("path", "label"), lambda n: (TWELVE[n], _named(n)))),
    Case(
        title="`path;label`",
        build=_table(("path", "label"), lambda n: (TWELVE[n], _named(n)), separator=";"),
    ),
    Case(
        title="TSV",
        build=_table(("path", "label"), lambda n: (TWELVE[n], _named(n)), name="labels.tsv", separator="\t"),
    ),
    Case(title="without a header", build=_table((), lambda n: (TWELVE[n], _named(n)))),
    Case(
        title="labels in cp1252 (`Größe`)",
        build=_table(("path", "label"), lambda n: (TWELVE[n], ("Größe", "klein")[n % 2]), encoding="cp1252"),
    ),
    Case(
        title="labels in UTF-16",
        build=_table(("path", "label"), lambda n: (TWELVE[n], ("Größe", "klein")[n % 2]), encoding="utf-16"),
    ),
    Case(
        title="`image_id,label` with `img/0` for `img/0.png`",
        build=_table(("image_id", "label"), lambda n: (f"img/{n}", _named(n))),
    ),
    Case(
        title="paths of another machine: `C:\\data\\img\\0.png`",
        build=_table(("path", "label"), lambda n: (f"C:\\data\\img\\{n}.png", _named(n))),
    ),
    Case(
        title="paths of two other machines",
        build=_table(
            ("path", "label"),
            lambda n: (("C:\\a\\", "file:///home/ann/set/")[n % 2] + TWELVE[n], "ab"[n // 6]),
        ),
    ),
    Case(
        title="`img/0.jpg` for `img/0.png`",
        build=_table(("path", "label"), lambda n: (f"img/{n}.jpg", _named(n))),
    ),
    Case(title="`id` 7 for `img/00007.png`", build=_numbered_files),
    Case(title="a title and an empty line above `path,label`", build=_with_title),
    Case(
        title="`path,label,label`, which differ",
        build=_table(("path", "label", "label"), lambda n: (TWELVE[n], _named(n), "xyz"[n % 3])),
    ),
    Case(
        title="`path,label,split` with 0, 1 and 2",
        build=_table(("path", "label", "split"), lambda n: (TWELVE[n], _named(n), n % 3)),
    ),
    Case(
        title="`path,label,split,writer`",
        build=_table(
            ("path", "label", "split", "writer"),
            lambda n: (TWELVE[n], _named(n), "test" if n > 7 else "train", n // 2),
        ),
        options={"group": "writer"},
    ),
    Case(
        title="`path,label,is_valid`",
        build=_table(("path", "label", "is_valid"), lambda n: (TWELVE[n], _named(n), n > 7)),
    ),
    Case(
        title="`photo,animal,site`: two columns may be the label",
        build=_table(("photo", "animal", "site"), lambda n: (TWELVE[n], _named(n), "abc"[n % 3])),
    ),
    Case(
        title="the same",
        build=_table(("photo", "animal", "site"), lambda n: (TWELVE[n], _named(n), "abc"[n % 3])),
        options={"label": "animal"},
    ),
    Case(
        title="`path,cat,dog` with one 1 in each row",
        build=_table(("path", "cat", "dog"), lambda n: (TWELVE[n], n % 2, 1 - n % 2)),
    ),
    Case(
        title="`path,cat,dog` with any number of 1",
        build=_table(("path", "cat", "dog"), lambda n: (TWELVE[n], n % 2, int(n % 3 > 0))),
    ),
    Case(
        title='labels such as `"cat,dog"`',
        build=_table(("path", "label"), lambda n: (TWELVE[n], ('"cat,dog"', "cat", '"dog,bird"')[n % 3])),
    ),
    Case(
        title="labels such as `cat + dog` beside `cat` and `dog`",
        build=_table(("path", "label"), lambda n: (TWELVE[n], ("cat + dog", "cat", "dog")[n % 3])),
    ),
    Case(
        title="the labels `NA` and `cat`",
        build=_table(("path", "label"), lambda n: (TWELVE[n], ("NA", "cat")[n % 2])),
    ),
    Case(
        title="labels such as `1.234,50`, separated by semicolons",
        build=_table(("path", "price"), lambda n: (TWELVE[n], f"{n + 1}.234,50"), separator=";"),
    ),
    Case(
        title="labels such as `1,234`, all of them",
        build=_table(("path", "price"), lambda n: (TWELVE[n], f"{n + 1},234"), separator=";"),
    ),
    Case(
        title="labels such as `12.5 kg`",
        build=_table(("path", "load"), lambda n: (TWELVE[n], f"{10 + n / 2} kg")),
    ),
    Case(
        title="labels such as `0.137`",
        build=_table(("path", "label"), lambda n: (TWELVE[n], f"{0.137 * n:.3f}")),
    ),
    Case(
        title="labels such as `grade 2`",
        build=_table(("path", "label"), lambda n: (TWELVE[n], f"grade {n % 4}")),
        options={"target": "regression"},
    ),
    Case(title="JSON Lines with `image` and `class`", build=_json_lines),
    Case(title="JSON: `{path: label}`", build=_by_path),
    Case(title="JSON: `{class: [paths]}`", build=_paths_by_class),
    Case(title="Excel", build=_excel),
    Case(title="a folder with `metadata.csv` (`file_name,label`)", build=_metadata),
    Case(title="a folder with `train.csv` and `test.csv`", build=_tables_by_part),
    # objects in images
    Case(title="COCO annotations", build=_coco),
    Case(title="the same", build=_coco, options={"crops": "True"}),
    Case(title="YOLO annotations", build=_yolo),
    Case(title="the same", build=_yolo, options={"crops": "True"}),
    Case(title="Pascal VOC annotations", build=_voc),
    Case(title="the same", build=_voc, options={"crops": "True"}),
)


# --------------------------------------------------------------------------- rows


def row(case: Case, plugins: Plugins) -> str:
    """Return the line of an input."""
    with tempfile.TemporaryDirectory() as place:
        root = Path(place).resolve()
        source = case.build(root)
        options = dict(case.options)
        for name in ("root", "unlabelled"):  # folders, relative to where DATA lies or to DATA itself
            if name in options:
                options[name] = str((root if name == "root" else source) / options[name])
        try:
            text = _read_as(load.load(str(source), options, plugins))
        except DatasetError as error:
            text = f"**refused**: {error}"
        shown = source.name if source.is_file() else f"{source.name}/"
        text = re.sub(rf"{re.escape(str(cache_folder().resolve()))}\S*/files", "the cache", text)
        text = text.replace(str(source), shown.rstrip("/")).replace(f"{root}/", "").replace(str(root), ".")
    cells = (case.title, f"`autotl profile {shown}{_options(case.options)}`", text)
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _options(options: dict[str, str]) -> str:
    flags = {"True": ""}
    return "".join(
        f" --{name.replace('_', '-')} {flags.get(value, value)}".rstrip() for name, value in options.items()
    )


def _read_as(data: Dataset) -> str:
    """Return what was read, how, and what is left out."""
    sentences = [_counts(data), *wording.sentences(data.reading)]
    sentences += [wording.sentence(finding) for finding in data.findings if finding.kind is not Kind.LEFT_OUT]
    reasons = Counter(wording.sentence(out.reason) for out in data.left_out)
    for reason, count in reasons.items():
        names = [out.name for out in data.left_out if wording.sentence(out.reason) == reason]
        more = f" and {count - 1} more" if count > 1 else ""
        sentences.append(f"left out: `{names[0]}`{more}: {reason}")
    if data.unlabelled is not None:
        sentences.append(f"{len(data.unlabelled.names)} images without labels")
    return "<br>".join(sentence.removeprefix("read as: ") for sentence in sentences)


def _counts(data: Dataset) -> str:
    target = data.targets[0]
    if target.kind == "regression":
        text = f"{len(data.files)} images with numbers"
    else:
        table = values.of(data.labels).targets(data.labels, len(data.classes)) > 0
        kind = "classes" if target.kind == "multiclass" else "labels, several an image"
        each = [f"{name} {int(n)}" for name, n in zip(data.classes, table.sum(0), strict=True)]
        text = f"{len(data.classes)} {kind}: {', '.join(each[:SHOWN])}"
    parts = [
        f"{part} {int((data.given == code).sum())}"
        for code, part in enumerate(PARTS)
        if (data.given == code).any()
    ]
    groups = [] if data.group is None else [f"{len(np.unique(data.group))} groups"]
    return "; ".join([text, *([", ".join(parts)] if parts else []), *groups])


def page(cases: Iterable[Case] = CASES) -> str:
    """Return the page with the rows of all inputs."""
    plugins = load_plugins(installed=False)
    return "\n".join([HEAD, *TABLE, *(row(case, plugins) for case in cases), ""])


@click.command()
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), required=True, help="File to write.")
def main(out: Path) -> None:
    """Write the page."""
    out.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
