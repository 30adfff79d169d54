"""Every command and block of README.md, docs/ and the READMEs of plugins/ is run.

They are run on a few pictures and an engine that answers from a table.

What cannot be run here says so, with the reason, in a comment before it: ``<!-- not run: REASON -->``. A block
that is a file of the repository names it: ``<!-- file: PATH -->``. The examples are run for real in
test_examples.py.
"""

from __future__ import annotations

import io
import json
import re
import shlex
import shutil
import sqlite3
import sys
import tarfile
import tomllib
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from installed import PLUGINS, install
from made_images import pictures
from PIL import Image

from autotl.cli import main
from autotl.engine import client, slots
from autotl.stats import values
from autotl.testing.simulated_engine import Cell, TableClock, TableEngine

pytestmark = pytest.mark.usefixtures("no_drawings")

ROOT = Path(__file__).resolve().parent.parent
PAGES = [
    ROOT / "README.md",
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted((ROOT / "plugins").glob("*/README.md")),
]
MOST_NOT_RUN = 6
NOT_HERE = {  # commands that a table engine or a machine without a hub cannot do, and what tests them
    "autotl run --continue runs/photos": "needs an interrupted run: tests/run_folder/test_resume.py",
    "autotl backbones --fetch": "needs a hub: tests/weights/test_hub.py",
    "autotl predict runs/photos labels.csv --top 5 --out labels.parquet": "pyarrow is optional: tests/test_predict.py",
    "autotl export": "needs a real model: tests/engine/test_export.py",
    "autotl fit runs/photos more-photos/": "needs a real model: tests/run_folder/test_fit.py",
}


@dataclass(frozen=True)
class Block:
    page: str
    line: int
    language: str
    text: str
    mark: str  # the comment right before it

    @property
    def id(self) -> str:
        return f"{self.page}:{self.line}"


def _blocks() -> list[Block]:
    found = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        pattern = r"^(?:<!-- (.+?) -->\n)?```(\w*)\n(.*?)^```$"
        for match in re.finditer(pattern, text, re.DOTALL | re.MULTILINE):
            line = text[: match.start(2)].count("\n") + 1
            found.append(Block(str(page.relative_to(ROOT)), line, match[2], match[3], match[1] or ""))
    return found


BLOCKS = _blocks()
RUN = [b for b in BLOCKS if not b.mark.startswith(("not run: ", "file: "))]


def _commands() -> list[tuple[str, str]]:
    """Commands by where they stand: lines of shell blocks, after ``$`` in transcripts, and examples of help texts."""
    found: dict[str, str] = {}
    for block in RUN:
        for number, line in enumerate(block.text.splitlines(), start=block.line + 1):
            shown = re.match(r"\s*(?:\$|Example:|Start with:)\s+(autotl .*)", line)
            if block.language == "sh" and line.strip() and not line.startswith("#"):
                found.setdefault(line, f"{block.page}:{number}")
            elif shown:
                found.setdefault(shown[1].partition(", or:")[0], f"{block.page}:{number}")
    return [(where, command) for command, where in found.items()]


# --------------------------------------------------------------------------- a place to run them in


class Anything(dict[tuple[str, int], Cell]):
    """A table with a cell for every backbone, slow enough that a dozen trials fill a budget."""

    def get(self, key: Any, default: Any = None) -> Cell:
        return Cell(seconds=0.02, linear=0.6 + 0.3 * (hash(key[0]) % 7) / 7, tuned={"all": 0.95})


class Engine(TableEngine):
    """A table engine whose models know their classes, and which predicts with those of a folder."""

    def answer(self, *arguments: Any) -> Any:
        done = super().answer(*arguments)
        description = json.dumps({"classes": self.classes})
        (self.folder / str(done.model) / "model.json").write_text(description)
        return done

    def predict(self, model: str, files: Any, allowance: Any, features: bool = False) -> Any:
        if not hasattr(self, "classes"):
            self.classes = tuple(json.loads((Path(model) / "model.json").read_text())["classes"])
            self.target = values.of_kind("multiclass")
        return super().predict(model, files, allowance, features)


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files that the pages name: photos, tables, checkpoints, a finished run."""
    root = tmp_path_factory.mktemp("docs")
    others = ("photos-later", "photos-unsorted", "new-photos", "more", "more-photos", "new_camera")
    for name in ("photos", "signs", *others):
        pictures(root / name, each=30 if name in ("photos", "signs") else 6, classes=3)
    for name in ("photos", "signs"):
        for image in sorted((root / name).glob("*/*.png")):
            image.rename(image.with_name(f"track{int(image.stem) % 10:02d}_{image.name}"))
    for part in ("train_set", "test_set"):
        pictures(root / "flowers" / part, each=6, classes=3)
    _street(root / "street")
    shutil.make_archive(str(root / "flowers"), "zip", root / "flowers")
    for day in ("monday", "friday"):
        pictures(root / "sessions" / day, each=6, classes=3)
    images = sorted((root / "photos").glob("*/*.png"))
    _shards(root / "photos-shards", images)
    plants = [f"{p.parent.name}/{p.stem};{p.parent.name}" for p in images]
    (root / "plants.csv").write_text("\n".join(["photo_no;species_name", *plants]))
    lines = [f"{p.relative_to(root)},{p.parent.name},writer{n % 9},{1 + n % 2}" for n, p in enumerate(images)]
    (root / "pages.csv").write_text("\n".join(["path,label,writer,trust", *lines]))
    (root / "labels.csv").write_text("\n".join(["path,label", *(line.rsplit(",", 2)[0] for line in lines)]))
    numbers = [f"{p.relative_to(root)},{0.37 * n:.2f}" for n, p in enumerate(images)]
    (root / "discs.csv").write_text("\n".join(["path,label", *numbers]))
    tiles = [f"{p.relative_to(root)},{n % 2},{n // 2 % 2},{n // 3 % 2}" for n, p in enumerate(images)]
    shapes = [
        f"{p.relative_to(root)},{p.parent.name},{'disc' if n % 2 else 'ring'},{n // 3 % 2}"
        for n, p in enumerate(images)
    ]
    (root / "shapes.csv").write_text("\n".join(["path,color,shape,camera", *shapes]))
    (root / "tiles.csv").write_text("\n".join(["path,red,green,blue", *tiles]))
    shades = np.repeat(np.uint8([60, 190]), 30)
    noise = np.random.default_rng(0).integers(0, 60, (60, 28, 28), np.uint8)
    np.savez(root / "digits.npz", images=noise + shades[:, None, None], labels=shades)
    shutil.copy(root / "digits.npz", root / "pathmnist.npz")
    with closing(sqlite3.connect(root / "photos.sqlite")) as database:
        database.execute("CREATE TABLE images (id INTEGER PRIMARY KEY, image BLOB, label TEXT)")
        rows = [(p.read_bytes(), p.parent.name) for p in images]
        database.executemany("INSERT INTO images (image, label) VALUES (?, ?)", rows)
        database.commit()
    for name in ("one.jpg", "new-photo.jpg"):
        shutil.copy(images[0], root / name)
    for name in ("checkpoints", "my-checkpoints"):
        shutil.copytree(ROOT / "autotl" / "embedded", root / name)
    for name in ("photos", "photos-20250101-120000", "monday", "tuesday"):
        with pytest.MonkeyPatch.context() as patch:
            _answer_from_a_table(patch)
            words = ["run", str(root / "photos"), "--offline", "-q", "--out", str(root / "runs" / name)]
            assert CliRunner().invoke(main, words).exit_code == 0
    return root


def _street(folder: Path) -> None:
    """Write four images with two annotated objects each, as YOLO does."""
    folder.mkdir()
    generator = np.random.default_rng(0)
    for number in range(4):
        Image.fromarray(generator.integers(0, 255, (40, 60, 3), np.uint8)).save(folder / f"{number}.png")
        (folder / f"{number}.txt").write_text("0 0.25 0.5 0.3 0.6\n1 0.75 0.5 0.3 0.6\n")
    (folder / "classes.txt").write_text("car\nbus\n")


def _shards(folder: Path, images: list[Path]) -> None:
    """Write three tar shards of images, each with its label beside it."""
    folder.mkdir()
    for number in range(3):
        with tarfile.open(folder / f"photos-{number:06d}.tar", "w") as shard:
            for image in images[number::3]:
                label = tarfile.TarInfo(f"{image.parent.name}-{image.stem}.cls")
                label.size = len(image.parent.name)
                shard.add(image, f"{image.parent.name}-{image.stem}{image.suffix}")
                shard.addfile(label, io.BytesIO(image.parent.name.encode()))


def _connect(*, folder: Path, **_: Any) -> Engine:
    return Engine(Path(folder).absolute(), Anything(), TableClock())


def _answer_from_a_table(patch: pytest.MonkeyPatch) -> None:
    """Start no worker: neither for a run nor for what reads the model of one."""
    patch.setattr(client, "connect", _connect)
    patch.setattr(slots, "connect", lambda call: _connect(folder=call.folder))


@pytest.fixture
def desk(shelf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the shelf to work in, the packages of plugins/ installed, the engine replaced."""
    place = tmp_path / "desk"
    shutil.copytree(shelf, place)
    (place / "plugins").symlink_to(PLUGINS)
    monkeypatch.chdir(place)
    _answer_from_a_table(monkeypatch)
    # Not the planner, which would replace the default one on every page.
    names = [path.name for path in PLUGINS.iterdir() if path.is_dir() and path.name != "autotl-random-search"]
    monkeypatch.setattr("sys.path", [*install(tmp_path / "site", *names), *sys.path])
    monkeypatch.setenv("HOME", str(tmp_path))
    return place


@pytest.mark.parametrize(
    ("where", "command"), _commands(), ids=lambda text: text if ":" in text[:40] else None
)
def test_command(where: str, command: str, desk: Path) -> None:
    words = shlex.split(command, comments=True)
    plain = " ".join(words)
    for start, reason in NOT_HERE.items():
        if plain == start or (start != "autotl run --continue runs/photos" and plain.startswith(start)):
            pytest.skip(reason)
    if words[:2] == ["pip", "install"]:
        assert (desk / words[2] / "pyproject.toml").is_file()
        return
    assert words[0] == "autotl", (
        f"{where}: not a command of autotl; mark the block as not run, with the reason"
    )
    end = next((n for n, word in enumerate(words) if word in {">", ">>", "|"}), len(words))
    done = CliRunner().invoke(main, words[1:end])
    assert done.exit_code == 0, done.output


@pytest.mark.parametrize("block", [b for b in RUN if b.language == "python"], ids=lambda b: b.id)
def test_python(block: Block, desk: Path) -> None:
    exec(compile(block.text, block.id, "exec"), {"__name__": "__main__"})


@pytest.mark.parametrize("block", [b for b in BLOCKS if b.mark.startswith("file: ")], ids=lambda b: b.mark)
def test_a_block_that_is_a_file_is_that_file(block: Block) -> None:
    path = ROOT / block.mark.removeprefix("file: ")
    assert block.text == path.read_text(encoding="utf-8"), f"{block.id} is not {path}"


@pytest.mark.parametrize("block", [b for b in BLOCKS if b.language in {"json", "toml"}], ids=lambda b: b.id)
def test_data(block: Block) -> None:
    assert (json if block.language == "json" else tomllib).loads(block.text)


def test_few_blocks_are_not_run_and_each_says_why() -> None:
    not_run = [block for block in BLOCKS if block.mark.startswith("not run: ")]
    assert len(not_run) <= MOST_NOT_RUN
    assert all(len(block.mark) > 20 for block in not_run)
    assert {block.language for block in BLOCKS} <= {"sh", "text", "python", "json", "toml"}
