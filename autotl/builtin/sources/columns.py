"""Find the columns of a table with the paths, the labels, the parts and the groups."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import islice

from autotl.builtin.sources.listing import Choices
from autotl.builtin.sources.names import part_of, squeezed
from autotl.builtin.sources.table_files import AGAIN, Row, Table, text_of
from autotl.errors import DatasetError

# Usual names without spaces, signs and case, most certain first.
PATHS = (
    "path", "filepath", "imagepath", "imgpath", "relpath", "file", "filename", "imagefile", "imagefilename",
    "imagename", "imgname", "fname", "image", "img", "imageindex", "imageid", "imgid", "photo", "picture", "id",
)  # fmt: skip
LABELS = (
    "label", "labels", "labelname", "class", "classes", "classname", "classlabel", "target", "targets", "category",
    "categories", "categoryname", "findinglabels", "tag", "tags", "species", "breed", "diagnosis", "y",
)  # fmt: skip
NUMBERED = ("labelid", "classid", "categoryid", "classindex", "labelindex")  # of classes that also have names
PARTS = ("split", "part", "partition", "set", "subset", "dataset", "datasplit", "usage")
SPLITS = ("split", "partition", "datasplit")  # of these, those that can hardly mean anything else
FLAGS = {"isvalid": 1, "isval": 1, "isvalidation": 1, "istest": 2, "istrain": 0}
GROUPS = ("group", "groups", "groupid")
LOOKED_AT = 200  # rows that a column is judged by
TRUE, FALSE = {"1", "true", "yes", "t"}, {"0", "false", "no", "f", ""}


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """The columns of a table by their role."""

    path: str
    label: str | None = None  # None where `one_hot` holds the classes
    others: tuple[str, ...] = ()  # further columns of labels
    split: str | None = None
    flag: tuple[str, int] | None = None  # a column that is true for the rows of a part
    group: str | None = None
    domain: str | None = None
    weight: str | None = None
    one_hot: tuple[str, ...] = ()
    no_parts: tuple[str, ...] = ()  # a column that is called split and holds no parts, then values of it
    guessed: tuple[str, ...] = ()  # roles whose column has no usual name


def find(table: Table, choices: Choices, file_of: Callable[[str], str]) -> Columns:
    """Return the columns of a table. Raises `DatasetError` when one is missing or could be either of two.

    `file_of` returns the file that a text is the path of, "" for none.
    """
    sample = list(islice(table.rows(), LOOKED_AT))
    path, guessed_path = path_column(table, sample, choices.path, file_of)
    split, flag = split_column(table, sample, choices, taken={path})
    group = _group(table, choices, taken={path, split})
    weight = None if choices.weight is None else _asked(table, choices.weight, "--weight")
    domain = choices.domain if choices.domain in table.header else None  # else it is an expression
    taken = {path, split, group, domain, weight, flag[0] if flag else None}
    label, guessed_label, one_hot = _label(table, sample, choices.label, taken)
    others = tuple(_asked(table, column, "--label") for column in choices.others)
    twice = next((c for place, c in enumerate(others) if c in {path, label, *one_hot, *others[:place]}), None)
    if twice is not None:
        raise DatasetError(
            f"--label names the column {twice!r} of {table.path}, which holds something else or was named before;"
            " expected different columns of labels; name each once"
        )
    guessed = [role for role, is_guess in (("path", guessed_path), ("label", guessed_label)) if is_guess]
    return Columns(
        path=path,
        label=label,
        others=others,
        split=split,
        flag=flag,
        group=group,
        domain=domain,
        weight=weight,
        one_hot=one_hot,
        no_parts=() if split or flag else _no_parts(table, sample, {path, label, group, weight}),
        guessed=tuple(guessed),
    )


def _usual(header: Sequence[str], names: Iterable[str]) -> list[str]:
    """Return the columns that have a usual name, most certain first."""
    by_name: dict[str, list[str]] = {}
    for column in header:
        by_name.setdefault(squeezed(AGAIN.sub("", column)), []).append(column)
    return [column for name in names for column in by_name.get(name, ())]


def path_column(
    table: Table, sample: Sequence[Row], asked: str | None, file_of: Callable[[str], str]
) -> tuple[str, bool]:
    """Return the column of paths, and whether its name is not a usual one: its values are files.

    Raises `DatasetError` if there is none, and if two with usual names hold the paths of different files.
    """
    if asked is not None:
        return _asked(table, asked, "--path"), False
    usual = _usual(table.header, PATHS)
    others = [column for column in table.header if column and column not in usual]

    def share(column: str) -> float:
        texts = [text for row in sample if (text := text_of(row.get(column)))]
        return sum(bool(file_of(text)) for text in texts) / len(texts) if texts else 0.0

    fitting = [column for column in usual if share(column) > 0]
    if fitting:
        first, *more = fitting
        for other in more:
            pairs = [(file_of(text_of(row.get(first))), file_of(text_of(row.get(other)))) for row in sample]
            differ = [one != two for one, two in pairs if one and two]
            if sum(differ) > len(differ) / 2:
                raise DatasetError(
                    f"{table.path} has two columns that may hold the paths, {first!r} and {other!r}, and they name"
                    " different files; expected one; name it with --path"
                )
        return first, False
    best = next((column for column in others if share(column) >= 0.5), None)
    if best is not None:
        return best, True
    if usual:
        return usual[0], False
    raise _missing(table, "path", "path, file_name or image", "--path")


def _label(
    table: Table, sample: Sequence[Row], asked: str | None, taken: set[str | None]
) -> tuple[str | None, bool, tuple[str, ...]]:
    """Return the column of labels, whether it was guessed, or columns of 0 and 1 for each class."""
    if asked is not None:
        several = tuple(name.strip() for name in asked.split(","))
        if asked not in table.header and len(several) > 1 and set(several) <= set(table.header):
            return None, False, several
        return _asked(table, asked, "--label"), False, ()
    usual = [column for column in _usual(table.header, LABELS) if column not in taken]
    numbered = [column for column in _usual(table.header, NUMBERED) if column not in taken]
    if len(usual) > 1:
        usual = _distinct(table, sample, usual)
    if usual or numbered:
        return (usual or numbered)[0], False, ()
    others = [
        column
        for column in table.header
        if column and column not in taken and not squeezed(column).startswith("unnamed")
    ]
    one_hot = tuple(column for column in others if _is_binary(sample, column))
    if len(one_hot) > 1 and len(one_hot) == len(others):
        return None, False, one_hot
    if len(others) == 1:
        return others[0], True, ()
    raise _missing(table, "label", "label, class or category", "--label")


def _distinct(table: Table, sample: Sequence[Row], columns: Sequence[str]) -> list[str]:
    """Return the first of several columns of labels if all split the rows alike. Raises `DatasetError` if not."""
    first = columns[0]
    for other in columns[1:]:
        pairs = {(text_of(row.get(first)), text_of(row.get(other))) for row in sample}
        if len({a for a, _ in pairs}) != len(pairs) or len({b for _, b in pairs}) != len(pairs):
            raise DatasetError(
                f"{table.path} has two columns that may hold the labels, {first!r} and {other!r}, and they differ;"
                " expected one; name it with --label"
            )
    return [first]


def _is_binary(sample: Sequence[Row], column: str) -> bool:
    values = {text_of(row.get(column)).lower() for row in sample}
    return bool(values) and values <= {"0", "1", "0.0", "1.0", "true", "false"}


def is_true(value: object) -> bool:
    """Return whether a cell of a column of 0 and 1 says yes."""
    return text_of(value).lower() in {*TRUE, "1.0"}


def split_column(
    table: Table, sample: Sequence[Row], choices: Choices, taken: set[str]
) -> tuple[str | None, tuple[str, int] | None]:
    """Return the column of parts, or one that is true for the rows of one part."""
    if choices.split is not None:
        return _asked(table, choices.split, "--split"), None
    for column in _usual(table.header, PARTS):
        # A column with such a name may hold something else, such as the name of a data set.
        if column not in taken and any(part_of(text_of(row.get(column))) is not None for row in sample):
            return column, None
    for column in _usual(table.header, FLAGS):
        if column not in taken and {text_of(row.get(column)).lower() for row in sample} <= TRUE | FALSE:
            return None, (column, FLAGS[squeezed(column)])
    return None, None


def part_by_flag(row: Row, flag: tuple[str, int]) -> int:
    """Return the part of a row by a column that is true for the rows of one part."""
    column, code = flag
    return code if is_true(row.get(column)) else (2 if code == 0 else 0)


def _no_parts(table: Table, sample: Sequence[Row], taken: set[str | None]) -> tuple[str, ...]:
    """Return a column that is called split and what it holds, if that is several values and no part among them."""
    for column in _usual(table.header, SPLITS):
        cells = list(dict.fromkeys(text for row in sample if (text := text_of(row.get(column)))))
        if column not in taken and len(cells) > 1:
            return (column, *cells[:3])
    return ()


def _group(table: Table, choices: Choices, taken: set[str | None]) -> str | None:
    if choices.group is not None:
        return choices.group if choices.group in table.header else None  # else it is an expression
    return next((column for column in _usual(table.header, GROUPS) if column not in taken), None)


def _asked(table: Table, column: str, option: str) -> str:
    if column in table.header:
        return column
    raise _missing(table, column, column, option)


def _missing(table: Table, role: str, names: str, option: str) -> DatasetError:
    header = ", ".join(name for name in table.header if name) or "no header"
    return DatasetError(
        f"{table.path} has no column {role!r}; expected a column such as {names}; it has: {header}; name the"
        f" column with {option}"
    )
