"""From the files of a listing to a data set: which can be read, classes, groups, parts, fingerprint."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np

from autotl import modality
from autotl.builtin.sources import expression, sampling, targets
from autotl.builtin.sources.listing import MODALITY, NO_PART, TEST, Choices, Item, Listing
from autotl.builtin.sources.names import natural_key, squeezed, without_accents
from autotl.builtin.sources.tree import SHOWN
from autotl.errors import DatasetError
from autotl.records import PARTS, Dataset, Fact, Finding, Kind, LeftOut, Target, Unsampled, fact
from autotl.stats import values
from autotl.stats.sides import known_images, on_several

FULL_HASH_BYTES = 2 * 2**30  # of all files; a larger source is identified by size, beginning and end of each
BLOCK = 65536
LFS_POINTER = b"version https://git-lfs.github.com/spec/"

# What to do about files that are left out, where an option or a command brings them back.
REMEDIES = {
    Kind.LFS_POINTER: "run git lfs pull",
    Kind.NEEDS_PACKAGE: "pip install 'autotl[heic]' reads HEIC, 'autotl[dicom]' reads DICOM",
    Kind.LINK_OUTSIDE: "--root FOLDER lets links lead into FOLDER",
    Kind.OUTSIDE_CSV_FOLDER: "--root FOLDER names the folder that paths start from",
    Kind.NO_SUCH_FILE: "--root FOLDER names the folder that paths start from, --path COLUMN their column",
    Kind.ARCHIVE_INSIDE: "unpack the archive, or give it as DATA if it is a zip or a tar",
    Kind.HIDDEN: "--include hidden reads hidden files and folders",
    Kind.MASK: "--include masks reads masks as images",
}


def left_out(files: Iterable[LeftOut]) -> list[Finding]:
    """Return a finding for each reason but `Kind.HIDDEN`: hidden files are overlooked on purpose."""
    by_reason: dict[tuple[str, str], list[LeftOut]] = {}
    for file in sorted(files, key=lambda file: file.name):
        if file.reason.kind is not Kind.HIDDEN:
            by_reason.setdefault((file.reason.kind, repr(file.reason.values)), []).append(file)
    return [
        Finding(
            kind=Kind.LEFT_OUT,
            values={"reason": some[0].reason.kind, "values": some[0].reason.values},
            count=len(some),
            where=tuple(file.name for file in some[:SHOWN]),
            action="left_out",
        )
        for _, some in sorted(by_reason.items())
    ]


def dataset(source: str, listing: Listing, choices: Choices) -> Dataset:
    """Return the data set of a listing. Raises `DatasetError` when it cannot be trained and tested on."""
    if not listing.is_table and choices.target in ("multilabel", "regression"):
        _read_names(listing, choices.target, source)
    items, repeated = _unique(_same_spelling(listing, choices))
    listing.left_out += repeated
    items, outside = _sampled(items, listing, choices)
    if choices.unlabelled is not None:
        listing.left_out = _outside(listing, choices.unlabelled)
    whole = sum(size_of(item.file) for item in items) <= FULL_HASH_BYTES
    with ThreadPoolExecutor(4) as pool:
        contents = list(pool.map(lambda item: checked(item.file, whole), items))
    findings_of_pages = _pages(items, [pages for _, _, pages in contents])
    good = [index for index, (_, problem, _) in enumerate(contents) if problem is None]
    listing.left_out += [
        LeftOut(name=item.name, reason=problem)
        for item, (_, problem, _) in zip(items, contents, strict=True)
        if problem is not None
    ]
    kept = [items[index] for index in good]
    digests = [contents[index][0] for index in good]
    target, findings = _target(source, kept, listing)
    others = _others(source, kept, listing, choices)
    keys = _groups([*kept, *outside], choices.group, is_table=listing.is_table)
    unsampled = _unsampled(outside, listing, target, keys)
    keys = None if keys is None else keys[: len(kept)]
    domain, domains = _domains(kept, choices.domain, is_table=listing.is_table)
    given = np.array([item.part for item in kept], np.int8)
    findings += [
        *_shared_groups(keys, given),
        *listing.findings,
        *findings_of_pages,
        *left_out(listing.left_out),
    ]
    if not whole:
        findings.append(Finding(kind=Kind.LARGE, values={"bytes": FULL_HASH_BYTES}))
    group_numbers = None if keys is None else np.unique(np.array(keys, object), return_inverse=True)[1]
    return Dataset(
        source=source,
        modality="image",
        root=_root(source, listing),
        files=np.array([item.file for item in kept], object),
        names=np.array([item.name for item in kept], object),
        targets=(target, *others),
        given=given,
        group=None if group_numbers is None else group_numbers.astype(np.int64),
        domain=domain,
        domains=domains,
        weight=_weights(source, kept, choices),
        digests=np.array(digests, object),
        left_out=tuple(sorted(listing.left_out, key=lambda out: out.name)),
        findings=tuple(findings),
        reading=tuple(listing.reading),
        fingerprint=_fingerprint(kept, digests, keys),
        unsampled=unsampled,
    )


def _root(source: str, listing: Listing) -> str:
    """Return the folder that names are relative to; "" where it is the source, or the folder of the table."""
    place = os.path.abspath(source)
    root = os.path.abspath(listing.root)
    return "" if root in (place, os.path.dirname(place)) else root


def _outside(listing: Listing, folder: Path) -> list[LeftOut]:
    """Return the files that are left out and do not lie in the folder of images without labels, which names its own."""
    place = os.path.join(os.path.realpath(folder), "")
    return [
        out
        for out in listing.left_out
        if not os.path.join(os.path.realpath(listing.root / out.name), "").startswith(place)
    ]


def _read_names(listing: Listing, target: str, source: str) -> None:
    """Read the names of class folders as numbers. Raises `DatasetError` where they hold none, and for several labels."""
    if target == "multilabel":
        raise DatasetError(
            f"{source} is a folder, where each image lies in one class; expected a table with several labels an image"
            " for --target multilabel; give a CSV with path and label, or leave --target out"
        )
    numbers, guesses = targets.numbers_of(
        [item.label for item in listing.items], f"a class folder of {source}"
    )
    listing.items = [replace(item, label=number) for item, number in zip(listing.items, numbers, strict=True)]
    listing.reading += guesses
    listing.target, listing.column = "regression", "value"


def _same_spelling(listing: Listing, choices: Choices) -> list[Item]:
    """Return the items with one spelling of each class, where case is to be ignored: train's commonest."""
    items = listing.items
    if not choices.ignore_case or listing.target != "multiclass":
        return items
    spellings: dict[str, Counter[tuple[bool, str]]] = {}
    for item in items:
        spellings.setdefault(item.label.casefold(), Counter())[item.part <= 0, item.label] += 1
    chosen = {
        folded: max(counts, key=lambda key: (key[0], counts[key], key[1]))[1]
        for folded, counts in spellings.items()
    }
    return [replace(item, label=chosen[item.label.casefold()]) for item in items]


def _unique(items: Iterable[Item]) -> tuple[list[Item], list[LeftOut]]:
    seen: dict[str, Item] = {}
    repeated = []
    for item in items:
        if item.name in seen:
            first = seen[item.name].label
            values = {} if first == item.label else {"label": first}
            repeated.append(LeftOut(name=item.name, reason=fact(Kind.NAMED_TWICE, **values)))
        else:
            seen[item.name] = item
    return list(seen.values()), repeated


def _sampled(items: list[Item], listing: Listing, choices: Choices) -> tuple[list[Item], list[Item]]:
    """Return the items that take part, and those outside the sample that may train; a finding says how many are."""
    of_class = listing.target == "multiclass"
    strata = np.array([f"{item.part} {item.label if of_class else ''}" for item in items])
    keys = np.array([sampling.key_of(item.name) for item in items])
    rows = sampling.chosen(strata, keys, choices.sample)
    listed, left_out = len(items) + listing.not_sampled, len(items) - len(rows) + listing.not_sampled
    if left_out:
        about = {"images": listed, "sample": listed - left_out}
        listing.findings.append(Finding(kind=Kind.SAMPLED, values=about, count=left_out, action="left_out"))
    chosen = np.zeros(len(items), bool)
    chosen[rows] = True
    outside = [item for item, kept in zip(items, chosen.tolist(), strict=True) if not kept]
    return [items[row] for row in rows.tolist()], [item for item in outside if item.part != TEST]


def _unsampled(
    outside: list[Item], listing: Listing, target: Target, keys: list[str] | None
) -> Unsampled | None:
    """Return the items that a sample leaves out, with labels that the sample has; None where there are none.

    `keys` are those of the groups of the sampled items, and behind them of these.
    """
    beyond = listing.beyond
    if beyond is not None and len(beyond.file):
        number = {name: place for place, name in enumerate(target.classes)}
        labels = np.array([number.get(text, -1) for text in beyond.labels], np.int64)[beyond.label]
        known = labels >= 0
        return Unsampled(
            files=np.array(beyond.files, object)[beyond.file[known]],
            labels=labels[known],
            offset=beyond.offset[known],
            size=beyond.size[known],
        )
    kind, classes = values.of_kind(target.kind), set(target.classes)
    if target.kind != "regression":
        known_labels = {
            text: classes.issuperset([text] if target.kind == "multiclass" else json.loads(text))
            for text in {item.label for item in outside}
        }
        places = [place for place, item in enumerate(outside) if known_labels[item.label]]
    else:
        places = list(range(len(outside)))
    if not places:
        return None
    items = [outside[place] for place in places]
    same_group = None
    if keys is not None:
        first = len(keys) - len(outside)
        row_of = {key: row for row, key in enumerate(keys[:first])}
        same_group = np.array([row_of.get(keys[first + place], -1) for place in places], np.int64)
    weighted = any(item.weight is not None for item in items)
    return Unsampled(
        files=np.array([item.file for item in items], object),
        labels=kind.read([item.label for item in items], target.classes),
        same_group=same_group,
        weight=np.array([item.weight or 1.0 for item in items]) if weighted else None,
    )


def _pages(items: list[Item], pages: list[int]) -> list[Finding]:
    """Return a finding on files with several pages: a stack of slices is no photograph."""
    several = [(item.name, count) for item, count in zip(items, pages, strict=True) if count > 1]
    if not several:
        return []
    unused = sum(count - 1 for _, count in several)
    names = tuple(name for name, _ in several[:SHOWN])
    return [Finding(kind=Kind.PAGES_UNUSED, values={"pages": unused}, count=len(several), where=names)]


def size_of(file: str) -> int:
    """Return the bytes of a file; 0 where they cannot be asked for, which `checked` reports."""
    try:
        return os.path.getsize(file)
    except OSError:
        return 0


def checked(file: str, whole: bool) -> tuple[str, Fact | None, int]:
    """Return the digest of a file's content, why it is left out (None if it is not), and its number of pages."""
    digest = hashlib.blake2b(digest_size=16)
    kind = modality.get(MODALITY)
    try:
        size = os.path.getsize(file)
        if size == 0:
            return "", fact(Kind.EMPTY_FILE), 1
        with open(file, "rb") as stream:
            if stream.read(len(LFS_POINTER)) == LFS_POINTER:
                return "", fact(Kind.LFS_POINTER), 1
            stream.seek(0)
            if whole:
                digest.update(stream.read())
            else:
                digest.update(size.to_bytes(8, "little") + stream.read(BLOCK))
                stream.seek(max(0, size - BLOCK))
                digest.update(stream.read(BLOCK))
            stream.seek(0)
            problem = kind.check(stream)
            if problem is not None:
                return "", problem, 1
            stream.seek(0)
            return digest.hexdigest(), None, kind.pages(stream)
    except OSError as error:
        return "", fact(Kind.UNREADABLE, error=type(error).__name__), 1


def _classes(
    source: str, kept: list[Item], listing: Listing
) -> tuple[tuple[str, ...], np.ndarray, list[Finding]]:
    classes = tuple(sorted({item.label for item in kept}, key=natural_key))
    if not kept:
        raise _nothing(source, listing)
    if len(classes) < 2:
        raise DatasetError(
            f"{source} holds one class, {classes[0]!r}, with {len(kept)} images{_left_out_of(listing)}; expected at"
            f" least two {'labels' if listing.is_table else 'class folders'}"
        )
    index = {label: number for number, label in enumerate(classes)}
    labels = np.array([index[item.label] for item in kept], np.int64)
    given = np.array([item.part for item in kept])
    trained = set(labels[(given == 0) | (given == NO_PART)].tolist())
    findings = []
    for code in (1, TEST):
        of_part = set(labels[given == code].tolist())
        _refuse_unknown(sorted(of_part - trained), trained, classes, PARTS[code])
        absent = sorted(trained - of_part)
        if of_part and absent:
            findings.append(
                Finding(
                    kind=Kind.ONE_SIDED_CLASS,
                    values={"part": PARTS[code]},
                    count=len(absent),
                    where=tuple(classes[label] for label in absent[:SHOWN]),
                )
            )
    return classes, labels, findings


def _target(source: str, kept: list[Item], listing: Listing) -> tuple[Target, list[Finding]]:
    """Return the labels of the items as their kind has them. Raises `DatasetError` where nothing can be learned."""
    name = listing.column or "label"
    if listing.target == "multiclass":
        classes, labels, findings = _classes(source, kept, listing)
        return Target(name=name, kind="multiclass", classes=classes, values=labels), findings
    if not kept:
        raise _nothing(source, listing)
    texts = [item.label for item in kept]
    given = np.array([item.part for item in kept])
    if listing.target == "regression":
        numbers = values.of_kind(listing.target).read(texts, ())
        if len(np.unique(numbers)) < 2:
            raise DatasetError(
                f"{source} holds one number, {numbers[0]:g}, for all {len(numbers)} images; expected different numbers;"
                " name another column with --label"
            )
        return Target(name=name, kind="regression", classes=(name,), values=numbers), []
    sets = [json.loads(text) for text in texts]
    classes = tuple(sorted({label for each in sets for label in each}, key=natural_key))
    if len(classes) < 2:
        raise DatasetError(
            f"{source} holds {len(classes)} labels; expected at least two for several an image; use --target multiclass"
        )
    table = values.of_kind(listing.target).read(texts, classes)
    trained = table[(given == 0) | (given == NO_PART)].any(0)
    for code in (1, TEST):
        of_part = table[given == code].any(0)
        _refuse_unknown(
            np.flatnonzero(of_part & ~trained).tolist(), set(np.flatnonzero(trained)), classes, PARTS[code]
        )
    return Target(name=name, kind="multilabel", classes=classes, values=table), []


def _others(source: str, kept: list[Item], listing: Listing, choices: Choices) -> tuple[Target, ...]:
    """Return the further columns of labels. Raises `DatasetError` where one has nothing to learn."""
    if listing.others and listing.target != "multiclass":
        raise DatasetError(
            f"column {listing.column!r} of {source} holds {listing.target} labels; expected one class an image in each of"
            " several --label columns; train on it alone, or use --target multiclass to read its values as classes"
        )
    made = []
    for place, column in enumerate(listing.others):
        texts = [item.others[place] if item.others else "" for item in kept]
        if choices.ignore_case:
            commonest = [text for text, _ in Counter(texts).most_common()]
            spelling = {text.casefold(): text for text in reversed(commonest)}
            texts = [spelling[text.casefold()] for text in texts]
        classes = tuple(sorted(set(texts) - {""}, key=natural_key))
        if len(classes) < 2:
            held = f"one class, {classes[0]!r}" if classes else "no label"
            raise DatasetError(
                f"column {column!r} of {source} holds {held}, for {len(texts)} images; expected at least two classes;"
                " name another column with --label, or leave it out"
            )
        numbers = {label: number for number, label in enumerate(classes)} | {"": -1}
        labels = np.array([numbers[text] for text in texts], np.int64)
        made.append(Target(name=column, kind="multiclass", classes=classes, values=labels))
    return tuple(made)


def _refuse_unknown(unknown: list[int], trained: set[int], classes: tuple[str, ...], part: str) -> None:
    """Raise `DatasetError` for classes of a part that train lacks; it says where only their case differs."""
    if not unknown:
        return
    names = ", ".join(repr(classes[label]) for label in unknown[:5])
    for form, how, option in (
        (str.casefold, "case", ", or use --ignore-case to read them as one class"),
        (lambda name: squeezed(without_accents(name)), "case, spaces, signs or accents", ""),
    ):
        spelled = {form(classes[label]): classes[label] for label in trained}
        alike = [
            (classes[label], spelled[form(classes[label])])
            for label in unknown
            if form(classes[label]) in spelled
        ]
        if alike:
            pairs = ", ".join(f"{one!r} and {other!r}" for one, other in alike[:3])
            raise DatasetError(
                f"the {part} part has classes that train lacks: {names}; expected the classes of train; {pairs} differ in"
                f" {how} alone: rename one{option}"
            )
    raise DatasetError(
        f"the {part} part has classes that train lacks: {names}; expected the classes of train;"
        " add images of them to train, or take them out"
    )


def _nothing(source: str, listing: Listing) -> DatasetError:
    """Return that a source holds nothing to learn from, with the commonest reasons, and what to do about them."""
    wanted = (
        "rows with a label and the path of an image that lies in the folder of the table or below it"
        if listing.is_table
        else "a folder for each class with images in it"
    )
    kinds = {out.reason.kind for out in listing.left_out}
    remedies = [remedy for kind, remedy in REMEDIES.items() if kind in kinds]
    loose = next((o.name for o in listing.left_out if o.reason.kind is Kind.OUTSIDE_CLASS_FOLDERS), None)
    if not remedies and loose is not None:
        remedies = [f"labels in names such as {loose!r} are not read: give a CSV with path and label"]
    todo = "".join(f"; {remedy}" for remedy in remedies[:2])
    return DatasetError(f"{source} holds no labelled image{_left_out_of(listing)}; expected {wanted}{todo}")


def _left_out_of(listing: Listing) -> str:
    """Return in brackets how many files were left out and why."""
    reasons = Counter(out.reason.kind.replace("_", " ") for out in listing.left_out)
    count = reasons.total()
    if not count:
        return ""
    shown = ", ".join(reason for reason, _ in reasons.most_common(3))
    return f" ({count} {'file' if count == 1 else 'files'} left out: {shown})"


def _groups(items: list[Item], group: str | None, *, is_table: bool) -> list[str] | None:
    """Return the key of each item's group, one of its own where it has none; None where there are no groups."""
    if any(item.group is not None for item in items):
        return [item.group if item.group is not None else f"\0{item.name}" for item in items]
    if group is None:
        return None
    found = _searched(items, "--group", group, is_table=is_table)
    return [key if key is not None else f"\0{item.key}" for key, item in zip(found, items, strict=True)]


def _domains(
    items: list[Item], domain: str | None, *, is_table: bool
) -> tuple[np.ndarray | None, tuple[str, ...]]:
    """Return the domain (n,) of each item, -1 where it has none, and the names; None where they are not asked for."""
    if domain is None:
        return None, ()
    found = [item.domain for item in items]
    if not any(found):
        found = _searched(items, "--domain", domain, is_table=is_table)
    texts = [None if key is None else key.replace("\1", "/") for key in found]
    names = tuple(sorted({text for text in texts if text is not None}, key=natural_key))
    place = {name: number for number, name in enumerate(names)}
    return np.array([-1 if text is None else place[text] for text in texts], np.int64), names


def _searched(items: list[Item], option: str, pattern: str, *, is_table: bool) -> list[str | None]:
    """Return what an expression finds in each item's path, None for nothing. Raises `DatasetError` if that is all."""
    try:
        re.compile(pattern)
    except (re.error, RecursionError, OverflowError) as error:
        what = "names no column and is" if is_table else "is"
        raise DatasetError(
            f"{option} {pattern!r} {what} no regular expression ({error}); correct it"
        ) from error
    keys: list[str | None] = []
    matched = False
    for item, texts in zip(items, expression.search(pattern, [item.key for item in items]), strict=True):
        matched = matched or (texts is not None and item.part in (-1, 0))
        keys.append(None if texts is None else "\1".join(texts))
    if not matched:
        raise DatasetError(
            f"{option} {pattern!r} matches no path that trains, such as {items[0].key!r}; expected an expression"
            " listing in paths relative to DATA" + (" or a column of the table" if is_table else "")
        )
    return keys


def _weights(source: str, items: list[Item], choices: Choices) -> np.ndarray | None:
    """Return the weights (n,) of the items, 1 for test images without one; None where none are asked for.

    Raises `DatasetError` for a source that has no columns.
    """
    if choices.weight is None:
        return None
    if all(item.weight is None for item in items):
        raise DatasetError(
            f"{source} is no table, so it has no column {choices.weight!r}; expected a table with a weight for each"
            " image; list the images in a CSV, or leave out --weight"
        )
    return np.array([1.0 if item.weight is None else item.weight for item in items])


def _shared_groups(keys: list[str] | None, given: np.ndarray) -> list[Finding]:
    if keys is None:
        return []
    present, group = np.unique(np.array(keys, object), return_inverse=True)
    shared = [str(present[number]) for number in on_several(given, group)]
    if not shared:
        return []
    names = tuple(key.replace("\1", "/") for key in shared[:SHOWN])
    parts = {"parts": known_images(given, group)}
    return [Finding(kind=Kind.SHARED_GROUP, values=parts, count=len(shared), where=names)]


def _fingerprint(items: list[Item], digests: list[str], keys: list[str] | None) -> str:
    lines = sorted(
        f"{digest} {item.label} {item.part} {'' if keys is None else keys[index]}"
        + ("" if item.weight is None else f" {item.weight!r}")
        + "".join(f" {label!r}" for label in item.others)
        for index, (item, digest) in enumerate(zip(items, digests, strict=True))
    )
    return hashlib.blake2b("\n".join(lines).encode("utf-8", "surrogateescape"), digest_size=16).hexdigest()
