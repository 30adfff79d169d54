"""Find the classes and the parts among the folders of a tree. What can be read in two ways stops with a question."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from autotl.builtin.sources.listing import NO_PART, TEST, Choices
from autotl.builtin.sources.names import (
    FILLERS,
    is_unlabelled,
    normal_form,
    part_and_rest,
    part_of,
    parts_of,
    several_spellings,
    words,
)
from autotl.builtin.sources.tree import Folder
from autotl.errors import DatasetError
from autotl.records import PARTS, Fact, Kind, fact

SHARED = 0.5  # of the class names of two folders, from which they look like parts
NAMED = 6  # folders that a message names


@dataclass(slots=True)
class Labelled:
    """The images of a tree with their labels, those without one, and what was guessed."""

    images: list[tuple[str, str, int]] = field(default_factory=list)  # place, label, part
    unlabelled: list[tuple[str, Kind]] = field(default_factory=list)  # place
    reading: list[Fact] = field(default_factory=list)
    names: set[str] = field(default_factory=set)  # of class folders, as they are written

    def take(self, folder: Folder, label: str, part: int) -> None:
        """Add all images of a folder to a class."""
        self.add(folder.all_images(), label, part)

    def add(self, images: Iterable[str], label: str, part: int) -> None:
        """Add images to a class."""
        self.images += [(image, normal_form(label), part) for image in images]
        self.names.add(label)

    def leave(self, images: Sequence[str], kind: Kind = Kind.OUTSIDE_CLASS_FOLDERS) -> None:
        """Add images that belong to no class."""
        self.unlabelled += [(image, kind) for image in images]


def label(tree: Folder, choices: Choices, source: str) -> Labelled:
    """Return the labels of the images of a tree, by `choices.layout` or by what the tree looks like.

    Raises `DatasetError` when the tree can be read in two ways.
    """
    found = Labelled()
    root = _unwrapped(tree, found) if choices.layout is None else tree
    layout = choices.layout or _layout(root, source)
    if layout == "part/class":
        _parts(root, found)
    elif layout == "class/part":
        _class_parts(root, found)
    elif layout == "folder/class":
        _innermost(root, found)
    else:
        found.leave(root.images)
        for folder in root.with_images:
            found.take(folder, folder.name, NO_PART)
        if choices.layout is None:
            _mention_parts(root, found)
        _mention_nested(root, found)
    if root is not tree:
        outside = set(root.all_images())
        found.leave([image for image in tree.all_images() if image not in outside])
    found.reading += several_spellings(found.names)
    return found


def _unwrapped(tree: Folder, found: Labelled) -> Folder:
    """Return the first folder that has another beside it, as an unpacked archive makes them.

    Images beside a single folder do not count: one class alone would be an error.
    """
    root = tree
    while len(root.with_images) == 1:
        inner = root.with_images[0]
        is_part = part_of(inner.name) == 0
        if is_part or not inner.with_images:
            break
        root = inner
    if root is not tree:
        found.reading.append(fact(Kind.READ_INSIDE, folder=root.place))
    return root


def _layout(root: Folder, source: str) -> str:
    """Return the layout of a tree. Raises `DatasetError` when there are two."""
    tops = root.with_images
    parts = parts_of([folder.name for folder in tops])
    with_classes = [folder for folder in tops if folder.name in parts and folder.with_images]
    if any(parts[folder.name] == 0 for folder in with_classes):
        others = [f for f in tops if f.name not in parts and not is_unlabelled(f.name)]
        alike = [other for other in others if _holds_classes_of(other, with_classes)]
        if alike and len({parts[folder.name] for folder in with_classes}) > 1:
            raise DatasetError(
                f"{source} can be read in two ways: {_names(alike)} holds the same folders as {_names(with_classes)} and"
                " has no usual name of a part; expected train, val and test; rename it, such as val, or use --layout"
                " part/class to leave it out"
            )
        if others and len({parts[folder.name] for folder in with_classes}) < 2:
            raise DatasetError(
                f"{source} can be read in two ways: {_names(with_classes)} holds folders, and {_names(others)} lie"
                " beside it; expected only parts or only classes there; --layout part/class reads"
                f" {_names(with_classes)} as a part and leaves the others out, --layout class reads all as classes"
            )
        return "part/class"
    if len(tops) > 1 and len(parts) == len(tops) and not with_classes:
        raise DatasetError(
            f"{source} holds {_names(tops)}, which are names of parts, with images and no class folders; expected a"
            " folder for each class in them; give a CSV with path and label, or use --layout class to read"
            " them as classes"
        )
    if _is_class_first(tops, source):
        return "class/part"
    _refuse_alike(tops, source)
    _refuse_parts_in_names(tops, source)
    _refuse_wrapper(tops, source)
    return "class"


def _holds_classes_of(folder: Folder, parts: Sequence[Folder]) -> bool:
    """Return whether most folders inside a folder are also inside those that are parts."""
    inside = {normal_form(name).casefold() for name in _inside(folder)}
    known = {normal_form(name).casefold() for part in parts for name in _inside(_without_wrapper(part))}
    return len(inside & known) >= max(2, SHARED * len(inside))


def _is_class_first(tops: Sequence[Folder], source: str) -> bool:
    """Return whether the parts lie inside the class folders. Raises `DatasetError` when they do in some only."""
    split = [folder for folder in tops if len(set(parts_of(_inside(folder)).values())) > 1]
    trained = [folder for folder in split if 0 in parts_of(_inside(folder)).values()]
    if len(trained) < 2:
        return False
    if len(trained) == len(tops):
        return True
    others = [folder for folder in tops if folder not in trained]
    raise DatasetError(
        f"{source} can be read in two ways: {_names(trained)} hold folders named as parts, {_names(others)} do not;"
        " expected parts in every class folder or in none; --layout class/part reads them as parts, --layout class"
        " ignores them"
    )


def _inside(folder: Folder) -> list[str]:
    return [inner.name for inner in folder.with_images]


def _refuse_alike(tops: Sequence[Folder], source: str) -> None:
    """Raise `DatasetError` when the folders hold the same folders: they may be parts, sessions or classes."""
    if len(tops) < 2 or any(folder.images or len(folder.with_images) < 2 for folder in tops):
        return
    inside = [{normal_form(name).casefold() for name in _inside(folder)} for folder in tops]
    shared, every = set.intersection(*inside), set.union(*inside)
    if len(shared) < max(2, SHARED * len(every)):
        return
    raise DatasetError(
        f"{source} can be read in two ways: {_names(tops)} hold the same folders ({', '.join(sorted(shared)[:4])});"
        " expected parts with usual names, such as train and test, or different classes; rename them, or use"
        f" --layout folder/class, where the classes are {', '.join(sorted(shared)[:3])}, or --layout class, where"
        f" they are {_names(tops)}"
    )


def _refuse_parts_in_names(tops: Sequence[Folder], source: str) -> None:
    """Raise `DatasetError` when the names of all folders hold a part beside a class: train_cat, test_cat."""
    split = [part_and_rest(folder.name) for folder in tops]
    pairs = [each for each in split if each is not None]
    by_class: dict[str, set[int]] = {}
    for code, name in pairs:
        by_class.setdefault(name, set()).add(code)
    of_several = [name for name, codes in by_class.items() if len(codes) > 1]
    if len(pairs) < len(tops) or len(of_several) < max(2, SHARED * len(by_class)):
        return
    raise DatasetError(
        f"{source} can be read in two ways: {_names(tops)} are named by a part and a class; expected a folder for each"
        f" class, inside one for each part; move {tops[0].name}/ to {PARTS[pairs[0][0]]}/{pairs[0][1]}/ and the others"
        " likewise, or use --layout class to read each as a class"
    )


def _refuse_wrapper(tops: Sequence[Folder], source: str) -> None:
    """Raise `DatasetError` when one folder, such as images/, seems to hold the classes, and others lie beside it."""
    around = [
        folder
        for folder in tops
        if not folder.images and len(folder.with_images) > 1 and set(words(folder.name)) <= FILLERS
    ]
    if len(around) != 1 or len(tops) < 2:
        return
    (wrapper,) = around
    others = [folder for folder in tops if folder is not wrapper]
    if any(folder.with_images for folder in others):
        return
    raise DatasetError(
        f"{source} can be read in two ways: {_names(around)} holds the folders {_names(wrapper.with_images)}, and"
        f" {_names(others)} lies beside it; expected the folders of classes beside each other; give"
        f" {os.path.join(source, wrapper.place)} as DATA, or use --layout class, where the classes are {_names(tops)}"
    )


def _parts(root: Folder, found: Labelled) -> None:
    found.leave(root.images)
    parts = parts_of([folder.name for folder in root.with_images])
    wrappers = _shared_wrappers([folder for folder in root.with_images if folder.name in parts])
    by_part: dict[int, list[str]] = {}
    labels = set()
    for folder in root.with_images:
        if folder.name not in parts:
            found.leave(list(folder.all_images()), Kind.BESIDE_PARTS)
            continue
        code = parts[folder.name]
        around = wrappers.get(folder.place, folder)
        inner = _without_wrapper(around)
        wrapped = {image for of_class in inner.with_images for image in of_class.all_images()}
        found.leave([image for image in folder.all_images() if image not in wrapped])
        if not inner.with_images:
            continue
        by_part.setdefault(code, []).append(around.place + "/")
        for of_class in inner.with_images:
            found.take(of_class, of_class.name, code)
            labels.add(normal_form(of_class.name))
    usual = {"train", "val", "valid", "validation", "test"}
    if {place.rstrip("/") for places in by_part.values() for place in places} - usual:
        found.reading.append(fact(Kind.READ_PARTS, classes=len(labels), **_named_parts(by_part)))


def _shared_wrappers(parts: Sequence[Folder]) -> dict[str, Folder]:
    """Return by part the only folder in it, if all have one of the same name with several folders: train/animals/cat.

    Read as a class, it would be the only one.
    """
    around = {part.place: part for part in parts}
    while all(not folder.images and len(folder.with_images) == 1 for folder in around.values()):
        inner = {place: folder.with_images[0] for place, folder in around.items()}
        names = {normal_form(folder.name).casefold() for folder in inner.values()}
        if len(names) != 1 or any(folder.images or not folder.with_images for folder in inner.values()):
            break
        around = inner
    return around


def _without_wrapper(part: Folder) -> Folder:
    """Return the folder with the class folders of a part: seg_train/seg_train/ and train/images/ wrap them."""
    while not part.images and len(part.with_images) == 1:
        inner = part.with_images[0]
        generic = all(word in FILLERS for word in words(inner.name))
        if not inner.with_images or not (
            generic or inner.name == part.name or part_of(inner.name) is not None
        ):
            break
        part = inner
    return part


def _class_parts(root: Folder, found: Labelled) -> None:
    found.leave(root.images)
    by_part: dict[int, list[str]] = {}
    for folder in root.with_images:
        parts = parts_of(_inside(folder))
        found.add(folder.images, folder.name, NO_PART)
        for inner in folder.with_images:
            code = parts.get(inner.name, NO_PART)
            found.take(inner, folder.name, code)
            if code != NO_PART and f"*/{inner.name}/" not in by_part.setdefault(code, []):
                by_part[code].append(f"*/{inner.name}/")
    found.reading.append(fact(Kind.READ_CLASS_PARTS, classes=len(root.with_images), **_named_parts(by_part)))


def _named_parts(by_part: dict[int, list[str]]) -> dict[str, list[str]]:
    return {PARTS[code]: by_part[code] for code in sorted(by_part)}


def _innermost(root: Folder, found: Labelled) -> None:
    found.leave(root.images)
    for folder in _below(root):
        if folder.images:
            found.add(folder.images, folder.name, NO_PART)


def _below(root: Folder) -> Iterator[Folder]:
    return (folder for folder in root.all_folders() if folder is not root)


def _mention_parts(root: Folder, found: Labelled) -> None:
    """State that folders with names of parts are classes, since no class folders lie in them."""
    named = [f"{name}/" for name in parts_of([folder.name for folder in root.with_images])]
    if named:
        found.reading.append(fact(Kind.READ_PART_NAMES, folders=named[:NAMED]))


def _mention_nested(root: Folder, found: Labelled) -> None:
    """State that folders inside class folders do not count, where they could be the classes."""
    inner = [folder for top in root.with_images for folder in top.with_images]
    if inner:
        found.reading.append(
            fact(Kind.READ_NESTED, classes=len(root.with_images), folders=len(inner), example=inner[0].place)
        )


def as_test(tree: Folder, choices: Choices, source: str) -> Labelled:
    """Return the labels of the images of ``--test``: whatever parts it seems to have, all of it tests."""
    found = label(tree, choices, source)
    found.images = [(image, name, TEST) for image, name, _ in found.images]
    return found


def _names(folders: Sequence[Folder]) -> str:
    shown = [f"{folder.name}/" for folder in folders[:NAMED]]
    more = len(folders) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")
