"""Names of folders, columns and classes: usual spellings of parts, order, forms that are equal. No files."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence

PART_WORDS = {
    "train": 0,
    "training": 0,
    "trn": 0,
    "val": 1,
    "valid": 1,
    "validation": 1,
    "validate": 1,
    "dev": 1,
    "select": 1,
    "test": 2,
    "testing": 2,
    "tst": 2,
    "holdout": 2,
}
FILLERS = frozenset(
    {
        "data", "dataset", "datasets", "examples", "files", "folder", "image", "images", "img", "imgs", "part",
        "photo", "photos", "pic", "pics", "pictures", "sample", "samples", "set", "sets", "split", "subset",
    }
)  # fmt: skip
# What beside parts holds images without labels.
UNLABELLED = frozenset({"pred", "predict", "unlabeled", "unlabelled", "unlabel", "unsup", "unsupervised"})


def words(name: str) -> list[str]:
    """Return the words of a name in lower case: ``TrainingSet_2`` is training, set. Numbers are left out."""
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", unicodedata.normalize("NFC", name))
    return [word.casefold() for word in re.findall(r"[^\W\d_]+", spaced)]


def part_of(name: str, common: Iterable[str] = ()) -> int | None:
    """Return the part (an index into PARTS) that a name stands for in a usual spelling, or None.

    ``Training_Set``, ``testset``, ``val images`` and ``VALID`` are parts. Words in `common` do not count.
    """
    codes = set()
    for word in words(name):
        if word in FILLERS or word in common:
            continue
        code = PART_WORDS.get(word)
        if code is None:  # written as one word, such as trainset
            code = next(
                (
                    PART_WORDS[word.removesuffix(end)]
                    for end in FILLERS
                    if word.removesuffix(end) in PART_WORDS
                ),
                None,
            )
        if code is None:
            return None
        codes.add(code)
    return codes.pop() if len(codes) == 1 else None


def parts_of(names: Sequence[str]) -> dict[str, int]:
    """Return the parts among the names of folders that lie beside each other.

    What all names have in common does not count: ``seg_train`` beside ``seg_test`` is a part.
    """
    listed = [set(words(name)) for name in names]
    common = set.intersection(*listed) - set(PART_WORDS) if len(listed) > 1 else set()
    found = {name: part_of(name, common) for name in names}
    return {name: code for name, code in found.items() if code is not None}


def is_unlabelled(name: str) -> bool:
    """Return whether a folder says by its name that its images have no labels."""
    return any(word in UNLABELLED for word in words(name))


def natural_key(name: str) -> tuple[list[tuple[str, int]], str]:
    """Return a key that sorts numbers in names by their value: 1, 2, 10 instead of 1, 10, 2."""
    pieces = re.split(r"(\d+)", name)
    return [("0", int(piece)) if piece.isdecimal() else (piece, 0) for piece in pieces if piece], name


def normal_form(label: str) -> str:
    """Return a label without spaces at its ends, composed: a Mac writes é as two characters."""
    return unicodedata.normalize("NFC", label.strip())


def folded(name: str) -> str:
    """Return a form that is equal for names that differ in case or in how accents are encoded alone."""
    return unicodedata.normalize("NFC", name.casefold())


def squeezed(header: str) -> str:
    """Return a column's name without spaces, signs and case: ``Image Index`` is imageindex."""
    return re.sub(r"[\W_]+", "", header).casefold()
