"""Tables in files: CSV, TSV, JSON Lines, JSON, Parquet, Excel. Delimiter and encoding are found by the content."""

from __future__ import annotations

import codecs
import csv
import json
import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from autotl.errors import DatasetError
from autotl.records import Fact, Kind, fact

TEXT = (".csv", ".tsv", ".tab", ".txt")
LINES = (".jsonl", ".ndjson")
ARROW = (".parquet", ".pq")
EXCEL = (".xlsx", ".xlsm")
SUFFIXES = (*TEXT, *LINES, ".json", *ARROW, *EXCEL)

DELIMITERS = (",", ";", "\t", "|")
BLOCK = 2**16
LOOKED_AT = 50  # lines that the delimiter is judged by
MARKS = (  # of the beginning of a file; longest first, because UTF-32's begins with UTF-16's
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
NOT_IN_CP1252 = frozenset(b"\x81\x8d\x8f\x90\x9d")

LONGEST_CELL = 4096  # characters of a cell that names a file or a class: the longest path of Linux

Row = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A table: its columns, and its rows as often as they are asked for. A key of a row may be missing."""

    path: Path
    header: tuple[str, ...]
    rows: Callable[[], Iterator[Row]]
    reading: dict[str, str] = field(default_factory=dict)  # what was found out: delimiter, encoding, sheet
    encoding: str = "utf-8"  # of the bytes, where they are text


# Keys of a row that are no columns.
EXTRA = "\0cells beyond the header"
BAD = "\0line that cannot be read"


AGAIN = re.compile(r" \(\d+\)$")  # what `unique` adds to a name


def unique(names: Iterable[str]) -> tuple[str, ...]:
    """Return names of columns, each once: the second ``label`` is ``label (2)``."""
    found: dict[str, None] = {}
    for name in names:
        number, other = 1, name
        while name and other in found:
            number += 1
            other = f"{name} ({number})"
        found[other if name else f"\0{len(found)}"] = None
    return tuple("" if name.startswith("\0") else name for name in found)


def bad_cell(text: str) -> Fact | None:
    """Return why a cell can name neither a file nor a class; None where it can."""
    if "\0" in text:
        return fact(Kind.BAD_ROW, problem="NUL")
    if len(text) > LONGEST_CELL:
        return fact(Kind.BAD_ROW, problem="long", longest=LONGEST_CELL)
    return None


def read(path: Path, encoding: str | None = None) -> Table:
    """Return the table in a file. Raises `DatasetError` for what is none."""
    suffix = path.suffix.lower()
    try:
        if suffix in EXCEL:
            return _excel(path)
        if suffix in ARROW:
            return _parquet(path)
        return _text(path, encoding)
    except OSError as error:
        raise DatasetError(f"{path} cannot be read ({error.strerror or error}); expected a table") from error


def is_text_table(path: Path) -> bool:
    """Return whether a file holds rows of text with several cells, or JSON, whatever its name."""
    try:
        encoding = encoding_of(path)
        with path.open(encoding=encoding, newline="") as file:
            lines = [line for _, line in zip(range(LOOKED_AT), file, strict=False)]
    except (OSError, UnicodeError):
        return False
    text = "".join(lines)
    if "\0" in text or not text.strip():
        return False
    return text.lstrip().startswith(("{", "[")) or _commonest(_widths(lines, delimiter_of(lines, ","))) > 1


def text_of(value: Any) -> str:
    """Return a cell as text; missing values are empty, and 3.0 is 3 where a gap made floats of integers."""
    if value is None or (isinstance(value, float) and math.isnan(value)) or type(value).__name__ in _MISSING:
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).strip()


_MISSING = {"NAType", "NaTType"}  # of pandas, which is not imported for it


# --------------------------------------------------------------------------- text


def encoding_of(path: Path) -> str:
    """Return the encoding of a text file: by its mark, by its zeros, UTF-8 where it is valid, else cp1252."""
    with path.open("rb") as file:
        head = file.read(BLOCK)
        for mark, name in MARKS:
            if head.startswith(mark):
                return name
        even, odd = head[::2].count(0), head[1::2].count(0)
        if max(even, odd) > len(head) // 8:  # ASCII in UTF-16 without its mark has a zero in each pair
            return "utf-16-le" if odd > even else "utf-16-be"
        decoder = codecs.getincrementaldecoder("utf-8")()
        block, foreign = head, set[int]()
        valid = True
        while block:
            if valid:
                try:
                    decoder.decode(block)
                except UnicodeDecodeError:
                    valid = False
            foreign |= NOT_IN_CP1252.intersection(block)
            block = file.read(BLOCK)
    if valid:
        return "utf-8"
    return "latin-1" if foreign else "cp1252"


def _text(path: Path, asked: str | None) -> Table:
    encoding = asked or encoding_of(path)
    try:
        codecs.lookup(encoding)
        with path.open(encoding=encoding, newline="") as file:
            beginning = [line for _, line in zip(range(LOOKED_AT), file, strict=False)]
    except LookupError as error:
        raise DatasetError(
            f"the encoding {encoding!r} is not known; expected a name such as cp1252"
        ) from error
    except (UnicodeError, ValueError) as error:
        raise DatasetError(
            f"{path} is not text in {encoding}; expected a table; name its encoding with --encoding"
        ) from error
    reading = {} if encoding in ("utf-8", "utf-8-sig") or asked else {"encoding": encoding}
    start = "".join(beginning).lstrip()
    if path.suffix.lower() in (*LINES, ".json") or start.startswith("{"):
        return _json(path, encoding, reading, is_lines=path.suffix.lower() != ".json")
    return _csv(path, encoding, beginning, reading)


def delimiter_of(lines: Sequence[str], usual: str) -> str:
    """Return the delimiter by which most lines have equally many cells, two or more; `usual` where several do."""
    best, best_merit = usual, (0.0, 0)
    for delimiter in dict.fromkeys((usual, *DELIMITERS)):
        widths = _widths(lines, delimiter)
        width = _commonest(widths)
        if width < 2:
            continue
        merit = (widths.count(width) / sum(map(bool, widths)), min(width, 3))
        if merit > best_merit:
            best, best_merit = delimiter, merit
    return best


def _widths(lines: Sequence[str], delimiter: str) -> list[int]:
    """Return how many cells each row has, 0 for an empty one; nothing where the lines are no rows."""
    try:
        rows = list(csv.reader(lines, delimiter=delimiter, skipinitialspace=True))
    except csv.Error:
        return []
    return [len(row) if any(cell.strip() for cell in row) else 0 for row in rows]


def _commonest(widths: Sequence[int]) -> int:
    counts = Counter(width for width in widths if width)
    return max(counts, key=lambda width: (counts[width], width), default=0)


def _above_header(lines: Sequence[str], delimiter: str) -> int:
    """Return how many rows come before the header: empty ones, and titles and remarks, which have one cell."""
    widths = _widths(lines, delimiter)
    usual = _commonest(widths)
    if usual < 2:
        return next((number for number, width in enumerate(widths) if width), 0)
    return next((number for number, width in enumerate(widths) if width > 1), 0)


def _csv(path: Path, encoding: str, beginning: list[str], reading: dict[str, str]) -> Table:
    usual = "\t" if path.suffix.lower() in (".tsv", ".tab") else ","
    first = beginning[0].strip().lower() if beginning else ""
    skipped = int(first.startswith("sep=") and len(first) == 5)  # Excel's own line
    lines = beginning[skipped:]
    if len(beginning) == LOOKED_AT:
        lines = lines[:-1]  # a quoted cell may go on
    delimiter = first[4] if skipped else delimiter_of(lines, usual)
    if (
        delimiter == usual
        and path.suffix.lower() == ".txt"
        and not any(d in line for line in lines for d in DELIMITERS)
    ):
        delimiter = " "  # lists such as "cat/0.jpg 3"
    if delimiter != usual:
        reading = reading | {"delimiter": delimiter}
    above = _above_header(lines, delimiter)
    if any(line.strip() for line in lines[:above]):
        reading = reading | {"skipped": str(above)}

    def cells() -> Iterator[list[Any]]:
        with path.open(encoding=encoding, newline="") as file:
            for _ in range(skipped):
                file.readline()
            reader = csv.reader(file, delimiter=delimiter, skipinitialspace=True)
            for _ in range(above):
                next(reader)
            try:
                while True:
                    try:
                        yield next(reader)
                    except csv.Error:  # a cell over `csv.field_size_limit`
                        yield [BAD, reader.line_num]
            except StopIteration:
                return
            except UnicodeError as error:
                raise DatasetError(
                    f"{path} is not text in {encoding}; name its encoding with --encoding"
                ) from error

    header = unique(name.strip() for name in next(cells(), []))
    return Table(
        path=path,
        header=header,
        rows=lambda: _named(header, cells()),
        reading=reading,
        encoding=encoding,
    )


def _named(header: tuple[str, ...], cells: Iterator[list[Any]]) -> Iterator[Row]:
    next(cells, None)
    return rows_of(header, cells)


def rows_of(header: tuple[str, ...], cells: Iterable[list[Any]]) -> Iterator[Row]:
    """Yield rows of cells by column; cells beyond the header are under `EXTRA`, empty rows are skipped."""
    for row in cells:
        if row and row[0] == BAD:
            yield {BAD: row[1]}
        elif any(text_of(cell) for cell in row):
            named: Row = dict(zip(header, row, strict=False))
            beyond = [cell for cell in row[len(header) :] if text_of(cell)]
            if beyond:
                named[EXTRA] = beyond
            yield named


def without_header(table: Table) -> Table:
    """Return a CSV whose first row is data already: its columns are called 1, 2, …"""
    header = tuple(str(number) for number, _ in enumerate(table.header, start=1))
    names = dict(zip(table.header, header, strict=True))

    def rows() -> Iterator[Row]:
        yield dict(zip(header, table.header, strict=True))
        for row in table.rows():
            yield {names.get(name, name): cell for name, cell in row.items()}

    return Table(
        path=table.path,
        header=header,
        rows=rows,
        reading=table.reading | {"header": "none"},
        encoding=table.encoding,
    )


# --------------------------------------------------------------------------- JSON


def _json(path: Path, encoding: str, reading: dict[str, str], *, is_lines: bool) -> Table:
    def rows() -> Iterator[Row]:
        return _json_lines(path, encoding) if is_lines else _json_whole(path, encoding)

    header: dict[str, None] = {}
    for number, row in enumerate(rows()):
        header |= dict.fromkeys(row)
        if number >= 1000:
            break
    return Table(path=path, header=tuple(header), rows=rows, reading=reading, encoding=encoding)


def _json_lines(path: Path, encoding: str) -> Iterator[Row]:
    with path.open(encoding=encoding) as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except ValueError as error:
                raise DatasetError(
                    f"{path}, line {number}: not JSON ({error}); expected one object a line"
                ) from error
            if not isinstance(row, dict):
                raise DatasetError(f"{path}, line {number}: not an object; expected {{...}} in each line")
            yield row


def _json_whole(path: Path, encoding: str) -> Iterator[Row]:
    try:
        content = json.loads(path.read_text(encoding=encoding))
    except ValueError as error:
        raise DatasetError(f"{path} is not JSON ({error}); expected a list of objects") from error
    if isinstance(content, dict) and content:
        content = _rows_of_object(content)
    if not isinstance(content, list) or not all(isinstance(row, dict) for row in content):
        raise DatasetError(
            f"{path} holds something other than rows; expected a list of objects with path and label, or an object"
            " of labels by path"
        )
    yield from content


def _rows_of_object(content: dict[str, Any]) -> Any:
    """Return the rows of an object: labels by path, paths by label, columns, or one list of rows."""
    values = list(content.values())
    if all(isinstance(value, str | int) for value in values):
        return [{"path": name, "label": value} for name, value in content.items()]
    if len(values) == 1 and isinstance(values[0], list) and all(isinstance(row, dict) for row in values[0]):
        return values[0]
    if all(isinstance(value, dict) for value in values) and all(
        value.keys() == values[0].keys() for value in values
    ):
        return [{column: cells[key] for column, cells in content.items()} for key in values[0]]
    if not all(
        isinstance(value, list) and all(isinstance(cell, str | int) for cell in value) for value in values
    ):
        return content
    if "path" in map(str.casefold, content) and len({len(value) for value in values}) == 1:
        return [dict(zip(content, cells, strict=True)) for cells in zip(*values, strict=True)]
    return [{"path": path, "label": name} for name, paths in content.items() for path in paths]


# --------------------------------------------------------------------------- with packages of their own


def _parquet(path: Path) -> Table:
    parquet = needs("pyarrow.parquet", "pyarrow", "parquet", path)
    try:
        schema = parquet.read_schema(path)
    except Exception as error:  # pyarrow has exceptions of its own
        raise DatasetError(f"{path} is not a Parquet file ({error}); expected one") from error
    names = tuple(schema.names)

    def rows() -> Iterator[Row]:
        for batch in parquet.ParquetFile(path).iter_batches():
            yield from batch.to_pylist()

    return Table(path=path, header=names, rows=rows)


def _excel(path: Path) -> Table:
    openpyxl = needs("openpyxl", "openpyxl", "excel", path)
    try:
        names = openpyxl.load_workbook(path, read_only=True).sheetnames
    except Exception as error:  # zipfile's, openpyxl's and XML's
        raise DatasetError(f"{path} is not a workbook ({error}); expected .xlsx") from error

    def cells() -> Iterator[list[Any]]:
        book = openpyxl.load_workbook(path, read_only=True, data_only=True)
        try:
            for row in book.worksheets[0].iter_rows(values_only=True):
                yield list(row)
        finally:
            book.close()

    header = unique(text_of(cell) for cell in next(cells(), []))
    reading = {"sheet": names[0]} if len(names) > 1 else {}
    return Table(path=path, header=header, rows=lambda: _named(header, cells()), reading=reading)


def needs(module: str, package: str, extra: str, path: Path) -> Any:
    """Return an optional module. Raises `DatasetError` that names its package."""
    import importlib

    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise DatasetError(
            f"{path} needs the package {package}, which is not installed; pip install 'autotl[{extra}]', or save"
            " it as CSV"
        ) from error
