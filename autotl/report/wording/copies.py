"""Sentences of copies and groups: what belongs together, and what lies on several sides."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from autotl.records.facts import Kind
from autotl.report.format import numbered, percent


def _shared_group(count: int, parts: Mapping[str, Sequence[int]] | None = None) -> str:
    known = f"; {_known(parts)}" if parts else ""
    return f"{numbered(count, 'group')} with images in more than one of the given parts{known}: scores there are too high"


def _known(parts: Mapping[str, Sequence[int]]) -> str:
    return f"{_shares(parts)} show groups that are trained on or chosen by"


def _shares(parts: Mapping[str, Sequence[int]]) -> str:
    """Return how many images of each part something concerns: ``2 of the 40 test images (5.0%)``."""
    return " and ".join(
        f"{images:,} of the {of:,} {part} images ({percent(images / of)})"
        for part, (images, of) in parts.items()
    )


def _duplicate(exact: bool, count: int, turned: bool = False, cropped: bool = False, sets: int = 0) -> str:
    images = f"{count:,} images" + (f" in {numbered(sets, 'set')}" if sets else "")
    if cropped:
        return f"{images} show the same picture as another, or a part of it (cropped, padded or saved again)"
    return f"{images} are {_equal(exact, turned)} to another"


SLIGHT = 0.01  # of the images of a part: with fewer copies its score is hardly too high


def is_slight(parts: Mapping[str, Sequence[int]]) -> bool:
    """Return whether so few images of each given part have a copy in another that scores are hardly too high."""
    return bool(parts) and all(images < SLIGHT * of for images, of in parts.values())


def _leak(
    exact: bool,
    count: int,
    parts: Mapping[str, Sequence[int]],
    turned: bool = False,
    cropped: bool = False,
    images: int = 0,
) -> str:
    """Return how many images of each of the given `parts` have a copy in a part before it."""
    one = sum(images for images, _ in parts.values()) == 1
    copy = f"{'is' if one else 'are'} {_equal(exact, turned)} to images of another given part"
    if cropped:
        copy = (
            f"{'shows' if one else 'show'} the same picture as images of another given part, or a part of it"
        )
    too_high = "slightly too high" if is_slight(parts) else "too high"
    return f"{_shares(parts)} {copy}: scores there are {too_high}; remove the copies"


def leak_title(exact: bool, turned: bool = False, cropped: bool = False, **_about: Any) -> str:
    """Return the title of copies in several parts."""
    return f"{'cropped or padded' if cropped else _equal(exact, turned)} copies in several parts"


def _conflict(
    exact: bool,
    count: int,
    cropped: bool = False,
    best: float | None = None,
    images: int = 0,
    left_out: int = 0,
    stay: Mapping[str, int] | None = None,
    stay_names: Sequence[str] = (),
) -> str:
    if cropped:
        sets = f"{numbered(count, 'set')} of images that show the same picture, or a part of it,"
        return f"{sets} with different labels: look whether both are right"
    text = f"{numbered(count, 'set')} of {_equal(exact)} images with different labels"
    if best is not None:
        return f"{text} (with them no model is right on more than {percent(best)} of all)"
    if not left_out or stay is None:
        return text
    text += f", {images:,} images in all: {left_out:,} {'takes' if left_out == 1 else 'take'} no part"
    return f"{text}{_staying(stay, stay_names)}"


def _staying(stay: Mapping[str, int], names: Sequence[str]) -> str:
    """Return how many contradicted images stay, why, and the first of them."""
    if not (number := sum(stay.values())):
        return ""
    one = number == 1
    reasons = {
        "test": "a given test image" if one else "given test images",
        "train": f"{'an image' if one else 'images'} of {'a class' if one else 'classes'} that would lose too many",
    }
    why = ", and ".join(reason for part, reason in reasons.items() if stay.get(part))
    more = f" and {number - len(names):,} more" if number > len(names) else ""
    return f", {number:,} {'stays' if one else 'stay'} ({', '.join(names)}{more}: {why})"


GROUPED_BY = {  # `Key.by`
    "names": "names show",
    "camera": "the cameras in EXIF show",
    "burst": "the times in EXIF show, by pauses of ten seconds,",
    "session": "the times in EXIF show, by pauses of half an hour,",
}
MEASURABLE = 0.01  # of the accuracy of a linear classifier, from which whole groups are said to cost some


def costs_accuracy(measured: Mapping[str, float]) -> bool:
    """Return whether a random split of groups gives a higher accuracy than whole groups do."""
    return measured["random"] - measured["whole"] >= MEASURABLE


def _groups(
    examples: Sequence[str],
    images: int,
    measured: Mapping[str, float],
    shared: int,
    held: bool,
    safe: bool,
    count: int,
    **about: Any,
) -> str:
    expression, by = about["expression"], about.get("by", "names")
    declared = f"--group '{expression}'" if expression else "a table with a column of them and --group COLUMN"
    text = (
        f"{GROUPED_BY[by]} {numbered(count, 'group')} of images that belong together and are not declared, {images:,}"
        f" images in all ({', '.join(examples)}, …): the nearest image of the class is of the same group for"
        f" {percent(measured['nearest'], 0)} of them (by chance {percent(measured['chance'], 0)})"
    )
    features = (
        f"features of {about['backbone']} ({about['judged']:,} images)"
        if about.get("backbone")
        else "features"
    )
    costly = costs_accuracy(measured)
    scores = (
        f"a linear classifier on {features} scores {percent(measured['random'])} with a random split and"
        f" {percent(measured['whole'])} with whole groups{'' if costly else ', so that they cost no measurable accuracy'}"
    )
    across = f"{numbered(shared, 'group is', 'groups are')} in more than one of the given parts"
    if held and shared:
        known = f"; {_known(about['parts'])}" if about.get("parts") else ""
        hold = "do not hold" if costly else "may not hold"
        return (
            f"{text}. They are kept whole where parts are made here, but {across}{known}. Scores there {hold} for images"
            f" of new groups: {scores}; {declared} declares them, --no-auto-group splits them"
        )
    if held:
        return (
            f"{text}. They are kept whole, so the scores hold for images of new groups: {scores};"
            f" {declared} declares them, --no-auto-group splits them"
        )
    if shared:
        text += f"; {across}"
    if safe:
        return (
            f"{text}. They are split, as --no-auto-group asks, so the scores {'are' if costly else 'may be'} too high for"
            f" images of new groups: {scores}; {declared} keeps them whole"
        )
    return f"{text}; {scores}. Too few groups of each class to split by them; add some, then declare them: {declared}"


def _frames(nearest: float, chance: float, count: int) -> str:
    return (
        f"{count:,} images may be frames of films: for {percent(nearest, 0)} of them the nearest image of the class is"
        f" one of the next by the number in its name (by chance {percent(chance)}). A random split puts frames of one"
        " film on both sides, so that the scores are too high; name the films in the files or in a table, and"
        " declare them with --group"
    )


def _equal(exact: bool, turned: bool = False) -> str:
    return "byte-equal" if exact else "mirrored or turned and then nearly equal" if turned else "nearly equal"


COPIES: dict[Kind, Callable[..., str]] = {
    Kind.SHARED_GROUP: _shared_group,
    Kind.DUPLICATE: _duplicate,
    Kind.NEAR_DUPLICATE: _duplicate,
    Kind.LEAK: _leak,
    Kind.CONFLICT: _conflict,
    Kind.GROUPS: _groups,
    Kind.FRAMES: _frames,
}
