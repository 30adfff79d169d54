"""What holds for every table and every tree of folders, whatever is in it."""

from __future__ import annotations

import csv
import io
import json
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from source_files import picture, read

from autotl.builtin.sources import listing, names, table_files
from autotl.builtin.sources.folders import read as read_folder
from autotl.errors import DatasetError

SOME = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])

# Text without what no table can hold: lone surrogates, control characters.
cells = st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"]), min_size=1, max_size=12).filter(
    lambda text: text.strip() == text
)


@SOME
@given(
    rows=st.lists(st.tuples(cells, cells), min_size=1, max_size=20),
    delimiter=st.sampled_from(table_files.DELIMITERS),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-32"]),
    end=st.sampled_from(["\n", "\r\n"]),
)
def test_a_table_is_read_as_it_was_written(
    rows: list[tuple[str, str]], delimiter: str, encoding: str, end: str
) -> None:
    text = io.StringIO()
    writer = csv.writer(text, delimiter=delimiter, lineterminator=end, quoting=csv.QUOTE_ALL)
    writer.writerows([("path", "label"), *rows])
    with tempfile.TemporaryDirectory() as place:
        file = Path(place) / "t.csv"
        file.write_bytes(text.getvalue().encode(encoding))
        table = table_files.read(file)
        assert [(row["path"], row["label"]) for row in table.rows()] == rows
        assert list(table.rows()) == list(table.rows())


@SOME
@given(rows=st.lists(st.dictionaries(cells, st.one_of(cells, st.integers(), st.none())), max_size=10))
def test_lines_of_json_are_read_as_they_were_written(rows: list[dict[str, object]]) -> None:
    with tempfile.TemporaryDirectory() as place:
        file = Path(place) / "t.jsonl"
        file.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
        assert list(table_files.read(file).rows()) == rows


folder_names = st.sampled_from(
    [
        "train",
        "test",
        "val",
        "Training_Set",
        "cat",
        "dog",
        "café",
        "images",
        "masks",
        ".hidden",
        "a b",
        "10",
        "9",
    ]
)
places = st.lists(folder_names, max_size=4).map(tuple)
files = st.sampled_from(["0.png", "1.png", "0_mask.png", "notes.txt", ".secret.png", "3"])
trees = st.sets(st.tuples(places, files), min_size=1, max_size=16)


def written(root: Path, tree: set[tuple[tuple[str, ...], str]]) -> set[str]:
    """Write a tree, and return the names of its files."""
    found = set()
    for number, (place, name) in enumerate(sorted(tree)):
        path = root.joinpath(*place, name)
        if path.is_dir() or any(parent.is_file() for parent in path.parents if parent != root):
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        if name.endswith(".png"):
            picture(path, number)
        else:
            path.write_text("x")
        found.add(path.relative_to(root).as_posix())
    return found


@SOME
@given(tree=trees, layout=st.sampled_from([None, *listing.LAYOUTS]), hidden=st.booleans())
def test_every_file_of_a_folder_is_accounted_for_once(
    tree: set[tuple[tuple[str, ...], str]], layout: str | None, hidden: bool
) -> None:
    with tempfile.TemporaryDirectory() as place:
        root = Path(place)
        there = written(root, tree)
        choices = listing.Choices(layout=layout, include=frozenset({"hidden"} if hidden else ()))
        try:
            found, problem = read_folder(root, choices), ""
        except DatasetError as refused:
            problem = str(refused)
    if problem:  # a question, which an option answers
        assert layout is None
        assert "--layout" in problem
        return
    items = [item.name for item in found.items]
    left = [out.name for out in found.left_out]
    assert len(set(items)) == len(items) and not set(items) & set(left)
    for name in there:
        above = {f"{'/'.join(name.split('/')[:depth])}/" for depth in range(1, name.count("/") + 1)}
        assert name in items or name in left or above & set(left), name
    assert set(items) <= there


@SOME
@given(
    labels=st.lists(st.sampled_from("abc"), min_size=4, max_size=12),
    parts=st.lists(st.sampled_from(["train", "val", "test", ""]), min_size=12, max_size=12),
)
def test_a_table_and_folders_of_the_same_images_are_the_same_data(
    labels: list[str], parts: list[str]
) -> None:
    labels = ["a", "b", *labels]
    parts = [
        "train",
        "train",
        *("train" if label == "c" else p or "train" for label, p in zip(labels[2:], parts, strict=False)),
    ]
    with tempfile.TemporaryDirectory() as place:
        for number, (label, part) in enumerate(zip(labels, parts, strict=True)):
            picture(Path(place) / "folders" / part / label / f"{number}.png", number)
            picture(Path(place) / "table" / f"{number}.png", number)
        rows = [f"{n},{label},{part}" for n, (label, part) in enumerate(zip(labels, parts, strict=True))]
        (Path(place) / "table" / "t.csv").write_text("\n".join(["id,label,split", *rows]))
        by_folders, by_table = read(Path(place) / "folders"), read(Path(place) / "table" / "t.csv")
    assert by_folders.fingerprint == by_table.fingerprint
    assert by_folders.classes == by_table.classes


@SOME
@given(names_of=st.lists(st.from_regex(r"[a-c]{0,2}[0-9]{0,3}[a-c]?", fullmatch=True), unique=True))
def test_the_order_of_classes_is_total_and_numbers_rise(names_of: list[str]) -> None:
    ordered = sorted(names_of, key=names.natural_key)
    other_way_round = list(reversed(names_of))
    assert ordered == sorted(other_way_round, key=names.natural_key)
    plain = [int(name) for name in ordered if name.isdecimal()]
    assert plain == sorted(plain)


@SOME
@given(
    word=st.sampled_from(sorted(names.PART_WORDS)),
    filler=st.sampled_from(sorted(names.FILLERS)),
    style=st.integers(0, 5),
)
def test_a_part_is_known_in_every_spelling(word: str, filler: str, style: int) -> None:
    capital = f"{word.title()}{filler.title()}"
    spelled = [
        f"{word}_{filler}",
        f"{word} {filler.title()}",
        f"{word}{filler}",
        capital,
        f"{word.upper()}-2",
        word,
    ]
    assert names.part_of(spelled[style]) == names.PART_WORDS[word]
