"""Names of folders, columns and classes: usual spellings of parts, order, forms that are equal. No files."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence

from autotl.records import Fact, Kind, fact

SHOWN_CLASSES = 4

# Without accents: English, then German, French, Spanish, Portuguese, Italian and Dutch where they differ.
OF_PARTS = (
    (
        "train", "training", "trn", "trainval",
        "trainings", "entrainement", "apprentissage", "entrenamiento", "treino", "treinamento", "addestramento",
    ),
    (
        "val", "valid", "validation", "validate", "dev", "select",
        "validierung", "validierungs", "validacion", "validacao", "validazione", "validatie",
    ),
    ("test", "testing", "tst", "holdout", "tests", "prueba", "pruebas", "teste", "testes"),
)  # fmt: skip
PART_WORDS = {word: code for code, of_part in enumerate(OF_PARTS) for word in of_part}
FILLERS = frozenset(
    {
        "data", "dataset", "datasets", "examples", "files", "folder", "image", "images", "img", "imgs", "part",
        "photo", "photos", "pic", "pics", "pictures", "sample", "samples", "set", "sets", "split", "subset",
        "bilder", "dados", "daten", "datensatz", "dati", "datos", "donnees", "fotos", "imagenes", "imagens",
        "immagini", "menge",
    }
)  # fmt: skip
# What beside parts holds images without labels.
UNLABELLED = frozenset({"pred", "predict", "unlabeled", "unlabelled", "unlabel", "unsup", "unsupervised"})


def words(name: str) -> list[str]:
    """Return the words of a name in lower case: ``TrainingSet_2`` is training, set. Numbers are left out."""
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", unicodedata.normalize("NFC", name))
    return [word.casefold() for word in re.findall(r"[^\W\d_]+", spaced)]


def without_accents(text: str) -> str:
    """Return a text with the plain letter for each with an accent."""
    return "".join(sign for sign in unicodedata.normalize("NFD", text) if not unicodedata.combining(sign))


def part_of(name: str, common: Iterable[str] = ()) -> int | None:
    """Return the part (an index into PARTS) that a name stands for in a usual spelling, or None.

    ``Training_Set``, ``testset``, ``val images`` and ``VALID`` are parts. Words in `common` do not count.
    """
    codes = set()
    for word in words(name):
        if without_accents(word) in FILLERS or word in common:
            continue
        code = _part_of_word(word)
        if code is None:
            return None
        codes.add(code)
    return codes.pop() if len(codes) == 1 else None


def _part_of_word(word: str) -> int | None:
    plain = without_accents(word)
    if plain in PART_WORDS:
        return PART_WORDS[plain]
    # written as one word, such as trainset
    return next(
        (PART_WORDS[plain.removesuffix(end)] for end in FILLERS if plain.removesuffix(end) in PART_WORDS),
        None,
    )


def part_and_rest(name: str) -> tuple[int, str] | None:
    """Return the part that one word of a name stands for, and the rest of the name; None if no word or several do.

    ``train_cat`` is train and cat.
    """
    pieces = [piece for piece in re.split(r"[\W_]+", normal_form(name)) if piece]
    found = [(code, piece) for piece in pieces if (code := _part_of_word(piece.casefold())) is not None]
    if len(found) != 1 or len(pieces) < 2:
        return None
    code, of_part = found[0]
    return code, " ".join(piece.casefold() for piece in pieces if piece != of_part)


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


def several_spellings(labels: Iterable[str]) -> list[Fact]:
    """Return the classes that are written in several ways which `normal_form` takes for one."""
    spellings: dict[str, set[str]] = {}
    for label in set(labels):
        spellings.setdefault(normal_form(label), set()).add(label)
    several = sorted(name for name, written in spellings.items() if len(written) > 1)
    return [fact(Kind.READ_SPELLINGS, classes=several[:SHOWN_CLASSES], count=len(several))] if several else []


def folded(name: str) -> str:
    """Return a form that is equal for names that differ in case or in how accents are encoded alone."""
    return unicodedata.normalize("NFC", name.casefold())


def squeezed(header: str) -> str:
    """Return a column's name without spaces, signs and case: ``Image Index`` is imageindex."""
    return re.sub(r"[\W_]+", "", header).casefold()
