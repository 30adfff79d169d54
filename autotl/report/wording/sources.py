"""Sentences of reading a source: what was guessed, with the option that overrides it, and what is left out."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from autotl.records.facts import Kind
from autotl.report.format import numbered, percent

DELIMITERS = {"\t": "tabs", " ": "spaces", ",": "commas", ";": "semicolons", "|": "bars"}


def _read_inside(folder: str) -> str:
    return (
        f"read as: the folder {folder}/ in DATA, because no other folder with images lies beside it; --layout class reads"
        " the folders of DATA itself as classes"
    )


def _read_part_names(folders: Sequence[str]) -> str:
    are = "is a class and no part" if len(folders) == 1 else "are classes and no parts"
    return (
        f"read as: {', '.join(folders)} {are}, because no class folders lie inside; rename what is a part, and put its"
        " class folders inside"
    )


def _read_parts(
    classes: int, train: Sequence[str] = (), select: Sequence[str] = (), test: Sequence[str] = ()
) -> str:
    return (
        f"read as: {numbered(classes, 'class', 'classes')}{_in_parts(train, select, test)}; --layout class reads these"
        " folders as classes"
    )


def _read_class_parts(
    classes: int, train: Sequence[str] = (), select: Sequence[str] = (), test: Sequence[str] = ()
) -> str:
    return (
        f"read as: {numbered(classes, 'class', 'classes')}, each with its own parts:"
        f"{_in_parts(train, select, test)}; --layout class ignores these parts"
    )


def _in_parts(train: Sequence[str], select: Sequence[str], test: Sequence[str]) -> str:
    clauses = [f" in {' and '.join(train)}"] if train else []
    if select:
        clauses.append(f" selected on {' and '.join(select)}")
    if test:
        clauses.append(f" tested on {' and '.join(test)}")
    return ",".join(clauses)


def _read_nested(classes: int, folders: int, example: str) -> str:
    return (
        f"read as: {numbered(classes, 'class', 'classes')}, the outermost folders; the"
        f" {numbered(folders, 'folder')} inside them, such as {example}/, make no classes; --layout folder/class"
        " takes the innermost folders"
    )


def _read_spellings(classes: Sequence[str], count: int) -> str:
    named = ", ".join(map(repr, classes)) + (
        f" and {count - len(classes)} more" if count > len(classes) else ""
    )
    return (
        f"read as one class{'' if count == 1 else ' each'}: {named}, written in several ways (spaces at the ends, or"
        " accents as one character or two); rename folders or correct the table if these are several classes"
    )


def _read_table(file: str, path: str, **found: object) -> str:
    """Return the columns, and what was found out about the file."""
    columns = [f"path in column {path!r}"]
    columns += [
        f"{role} in {found[role]!r}" for role in ("label", "split", "group", "weight") if role in found
    ]
    if "others" in found:
        columns.append(f"further labels in {', '.join(map(repr, _texts(found['others'])))}")
    if "one_hot" in found:
        columns.append(f"classes in columns of 0 and 1 ({', '.join(_texts(found['one_hot']))})")
    if found.get("one_class"):
        columns.append("one in each row, so one class an image (--target multilabel)")
    if "flag" in found:
        columns.append(f"split by {found['flag']!r}")
    details = []
    if "header" in found:
        details.append("no header")
    if "delimiter" in found:
        delimiter = str(found["delimiter"])
        details.append(f"separated by {DELIMITERS.get(delimiter, repr(delimiter))}")
    if "encoding" in found:
        details.append(f"encoded in {found['encoding']}, --encoding")
    if "sheet" in found:
        details.append(f"the first sheet, {found['sheet']!r}")
    if "extension" in found:
        details.append(f"{found['extension']} added to each path")
    if "instead" in found:
        details.append(f"{found['instead']} in place of the extension of some paths")
    if "zeros" in found:
        details.append("zeros added before the numbers of files")
    if "prefix" in found:
        details.append(f"{' and '.join(map(repr, _texts(found['prefix'])))} taken off each path")
    if "skipped" in found:
        lines = int(str(found["skipped"]))
        details.append("the first line skipped" if lines == 1 else f"the first {lines} lines skipped")
    if "root" in found:
        details.append(f"paths start from {' and '.join(_texts(found['root']))}, --root")
    about = f" ({'; '.join(details)})" if details else ""
    unread = ""
    if "no_parts" in found:
        column, *cells = _texts(found["no_parts"])
        unread = f"; column {column!r} is not read, because {', '.join(map(repr, cells))} are not train, val or test"
    return f"read as: {file}{about}, {', '.join(columns)}{unread}; --path, --label and --split name other columns"


def _read_by_table(file: str) -> str:
    return f"read as: labels in {file}, which lies beside the images; --layout class reads the folders as classes"


def _read_lists(lists: Sequence[str]) -> str:
    return f"read as: parts by {' and '.join(lists)}; --layout class reads the folders without lists"


def _read_embedded(images: str, label: str, folder: str) -> str:
    return (
        f"read as: images in column {images!r}, labels in {label!r}, written to {folder}; --path and --label name"
        " other columns"
    )


def _read_unpacked(archive: str, folder: str) -> str:
    return f"read as: {archive}, unpacked to {folder}"


def _texts(value: object) -> list[str]:
    return [str(item) for item in value] if isinstance(value, list | tuple) else [str(value)]


def _read_joined(label: str) -> str:
    return f"read as: {label!r} and the like are one class each, because their parts are no labels"


def _read_gaps(labels: Sequence[str]) -> str:
    named = ", ".join(map(repr, labels))
    return (
        f"read as: {named} {'is a class' if len(labels) == 1 else 'are classes'}; leave the cells empty if there is no"
        " label"
    )


def _read_numbers(where: str, low: float, high: float, distinct: int, rows: int) -> str:
    return (
        f"read as numbers to predict (regression): {where!r} holds {numbered(distinct, 'value')} from {low:g} to {high:g}"
        f" in {numbered(rows, 'row')}; --target multiclass reads each value as a class"
    )


def _read_numbered(classes: int, example: str) -> str:
    return (
        f"read as {numbered(classes, 'class', 'classes')} that are named by numbers, such as {example!r};"
        " --target regression predicts the numbers"
    )


def _read_grades(label: str, number: float) -> str:
    return f"read as numbers: {label!r} is {number:g}"


def _read_sets(example: str) -> str:
    return (
        f"read as several labels an image (multilabel), such as {example!r}; --target multiclass reads each combination"
        " as one class"
    )


def _hidden_images(count: int) -> str:
    hidden = numbered(count, "hidden file or folder", "hidden files or folders")
    return f"{hidden} with images; --include hidden reads them"


def _extra_cells(cells: Sequence[str]) -> str:
    return f"more cells than the header has columns ({', '.join(cells)})"


def _needs_package(format: str, package: str, extra: str) -> str:  # noqa: A002 (the fact's name)
    return f"{format}, which the package {package} reads; pip install 'autotl[{extra}]'"


def _pages_unused(pages: int, count: int) -> str:
    files = numbered(count, "file has", "files have")
    return f"{files} several pages or frames: the first is used, {numbered(pages, 'page')} are not"


def _read_crops(annotations: str, objects: int, images: int, margin: float, least: int, folder: str) -> str:
    return (
        f"read as: {numbered(objects, 'object')} in {numbered(images, 'image')} by {annotations} annotations, cut out"
        f" with {percent(margin, 0)} of the box on each side, from {least} pixels on, and written to {folder};"
        " objects of one image stay together; without --crops such a set is refused"
    )


def _read_shards(shards: int, images: int, folder: str) -> str:
    return (
        f"read as: {numbered(images, 'image')} with labels in {numbered(shards, 'tar shard')}; those that take part are"
        f" written to {folder}"
    )


def _sampled(images: int, sample: int, count: int) -> str:
    return (
        f"{count:,} of {images:,} images are outside the sample: the {sample:,} in it have the same share of each class,"
        " and everything is chosen and tested by them; --sample N uses more, --sample 0 all"
    )


SOURCES: dict[Kind, Callable[..., str]] = {
    Kind.READ_INSIDE: _read_inside,
    Kind.READ_PARTS: _read_parts,
    Kind.READ_CLASS_PARTS: _read_class_parts,
    Kind.READ_NESTED: _read_nested,
    Kind.READ_SPELLINGS: _read_spellings,
    Kind.READ_PART_NAMES: _read_part_names,
    Kind.READ_TABLE: _read_table,
    Kind.READ_BY_TABLE: _read_by_table,
    Kind.READ_LISTS: _read_lists,
    Kind.READ_EMBEDDED: _read_embedded,
    Kind.READ_UNPACKED: _read_unpacked,
    Kind.READ_JOINED: _read_joined,
    Kind.READ_GAPS: _read_gaps,
    Kind.READ_CROPS: _read_crops,
    Kind.READ_SHARDS: _read_shards,
    Kind.READ_REMOTE: lambda source, place: f"read as: {source}, copied to {place}",
    Kind.SAMPLED: _sampled,
    Kind.SEVERAL_IMAGES: lambda: "a second image of one sample",
    Kind.NO_WEIGHT: lambda: "a weight of 0",
    Kind.NO_BOXES: lambda: "an image in which no object is annotated",
    Kind.UNREADABLE_ANNOTATIONS: lambda error: f"annotations that cannot be read ({error})",
    Kind.BOX_INVALID: lambda: "a box without four numbers, or without width or height",
    Kind.BOX_OUTSIDE: lambda: "a box outside its image",
    Kind.BOX_SMALL: lambda: "a box of too few pixels",
    Kind.BOX_OF_CROWD: lambda: "a box around a crowd, not one object",
    Kind.BOX_OF_NO_IMAGE: lambda: "a box of an image that is not there",
    Kind.BOX_OF_OTHER_SIZE: lambda: "a box of an image with other sides than the file",
    Kind.BOXES_OVERLAP: lambda times: f"an image that its boxes cover more than {times} times",
    Kind.READ_NUMBERS: _read_numbers,
    Kind.READ_NUMBERED: _read_numbered,
    Kind.READ_GRADES: _read_grades,
    Kind.READ_SETS: _read_sets,
    Kind.NEEDS_PACKAGE: _needs_package,
    Kind.PAGES_UNUSED: _pages_unused,
    Kind.HIDDEN_IMAGES: _hidden_images,
    Kind.LFS_POINTER: lambda: "a Git LFS pointer, not the image itself; run git lfs pull",
    Kind.MASK: lambda: "a mask of the image beside it; --include masks reads masks as images",
    Kind.NO_IMAGES: lambda: "a folder without an image",
    Kind.TABLE_BESIDE: lambda: "a table beside class folders; give it as DATA to read it instead",
    Kind.NOT_LISTED: lambda: "an image that no row of the table or list names",
    Kind.SEVERAL_FILES: lambda: "several files fit the path; write the path with its extension",
    Kind.EXTRA_CELLS: _extra_cells,
    Kind.ARCHIVE_INSIDE: lambda: (
        "an archive inside the folder, which is not unpacked; unpack it, or give it as DATA if it is a zip or a tar"
    ),
    Kind.ARCHIVE_OUTSIDE: lambda: (
        "a name in an archive or at an address that leads outside it, or is not usable"
    ),
    Kind.ARCHIVE_LINK: lambda: "a link or device in an archive; only files are unpacked",
    Kind.REMOTE: lambda: "a web address; download it first",
}
