"""Sentences of the data: files that are left out, quality, split, similarity."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from autotl.records.data import Finding, Similarity
from autotl.records.facts import Kind
from autotl.records.specs import Geometry
from autotl.report.format import numbered, percent
from autotl.report.wording.decision import SIMILARITY_LEVELS
from autotl.report.wording.targets import TARGETS, metric_name

ACTIONS = {
    "kept": "nothing left out",
    "left_out": "left out",
    "held_together": "kept in one part",
}  # of `Finding.action`
# Findings of images that could be left out, of which it is said that they are not.
COULD_BE_LEFT_OUT = frozenset(
    {
        Kind.DUPLICATE, Kind.NEAR_DUPLICATE, Kind.LEAK, Kind.CONFLICT, Kind.OUTLIERS, Kind.DARK, Kind.BRIGHT, Kind.FLAT,
        Kind.BLURRED, Kind.TINY, Kind.LONG, Kind.GRAY, Kind.COLOURED, Kind.PAGES_UNUSED,
    }
)  # fmt: skip


def action(finding: Finding) -> str:
    """Return what was done with the items of a finding; "" where that is no question or the sentence says it."""
    if finding.kind is Kind.GROUPS and finding.values.get("shared"):  # kept in one part where parts are made
        return ""
    if finding.kind is Kind.LEFT_OUT or (finding.action == "kept" and finding.kind not in COULD_BE_LEFT_OUT):
        return ""
    return ACTIONS[finding.action]


def similarity_level(level: str) -> str:
    """Return a level of similarity in words."""
    return SIMILARITY_LEVELS.get(level, level)


def similarity(near: Similarity) -> str:
    """Return a similarity as a sentence."""
    return _similarity(near.level, near.domain, near.value, near.low, near.high)


def _similarity(level: str, domain: str, value: float, low: float, high: float) -> str:
    return (
        f"{similarity_level(level)} similarity to {domain}: overlap with its photographs {value:.2f} of 1"
        f" (95% CI {low:.2f}–{high:.2f})"
    )


def _named_twice(label: str | None = None) -> str:
    return "named twice" if label is None else f"named twice, also as {label!r}"


def _bad_row(problem: str, longest: int = 0) -> str:
    return (
        "a cell with a NUL character" if problem == "NUL" else f"a cell of more than {longest:,} characters"
    )


def _large(bytes: int, count: int) -> str:  # noqa: A002 (the fact's name)
    return f"over {bytes / 1e9:.1f} GB of images: equal files are found by size, beginning and end"


def _one_sided_class(part: str, count: int) -> str:
    return f"{numbered(count, 'class', 'classes')} of train without an image in {part}"


def _broken(count: int) -> str:
    return f"{numbered(count, 'image')} could not be decoded"


def _no_time(count: int, images: int | None = None, seconds_per_image: float | None = None) -> str:
    if images is None or seconds_per_image is None:
        return f"{numbered(count, 'image')} not read in the time there is; the others are a stratified sample"
    return (
        f"{count:,} of {images:,} images are not used: the cheapest backbone takes {seconds_per_image * 1e3:.1f} ms"
        " an image, more than the budget allows; the others are a stratified sample"
    )


def _imbalance(ratio: float, count: int) -> str:
    return f"the largest class has {ratio:.1f} times the images of the smallest"


def _few(least: int, classes: int, count: int) -> str:
    have = "has" if count == 1 else "have"
    return f"{count:,} of {numbered(classes, 'class', 'classes')} {have} fewer than {least} images"


def _outliers(low: float, high: float, count: int) -> str:
    numbers = numbered(count, "image has a number", "images have numbers")
    return f"{numbers} far outside the others, below {low:g} or above {high:g}: a slip of the unit or of a digit?"


EXAMINATIONS = {
    "occlusion": "occlusion maps",
    "history": "the record of past runs",
    "learning_curve": "the learning curve of a linear probe",
}


def _not_for_target(what: str, target: str) -> str:
    return f"{EXAMINATIONS[what]}: not available for {TARGETS[target]}"


def _classes_alike(count: int) -> str:
    return f"{numbered(count, 'class', 'classes')} whose names differ only by case, accents, spaces or signs: one class?"


def _geometry(
    geometry: Geometry,
    recognised: Mapping[Geometry, float],
    images: int,
    elongated: float,
    count: int = 0,
    metric: str | None = None,
) -> str:
    short: dict[Geometry, str] = {"crop": "cropped", "squash": "squashed", "pad": "padded"}
    chosen = {**short, "crop": "cropped to their central squares"}[geometry]
    shares = [
        f"{percent(recognised[name])}{f' of {images:,} images' * (n == 0)} {short[name]}"
        for n, name in enumerate(recognised)
    ]
    probe = "recognises" if metric is None else f"has {metric_name(metric)}"
    more = max(recognised.values()) > recognised[geometry]
    clear = ", too little to leave the central square" if more and geometry == "crop" else ""
    return (
        f"{percent(elongated, 0)} of the images are at least 1.5 times as long as wide; they are {chosen}: a linear"
        f" probe {probe} {', '.join(shares[:-1])} and {shares[-1]}{clear}; --geometry sets it"
    )


def _quality(what: str) -> Callable[..., str]:
    def text(count: int) -> str:
        return f"{numbered(count, 'image is', 'images are')} {what}"

    return text


def _odd(what: str) -> Callable[..., str]:
    def text(count: int, label: str | None = None, of_label: int = 0) -> str:
        found = _quality(what)(count)
        if label is None:
            return found
        how_many = "all" if of_label == count else f"{of_label:,}"
        return f"{found}; {how_many} of them are {label}, which may be recognised by that"

    return text


def _split_sizes(**sizes: int) -> str:
    return ", ".join(f"{count:,} {part}" for part, count in sizes.items())


def _no_test_part(too_few: bool) -> str:
    return "no test part: too few images to set one aside" if too_few else "no test part"


def _rare_classes(least: int, select: int = 0, test: int = 0) -> str:
    where = {"to choose by": select, "to test": test}
    parts = [
        f"{numbered(count, 'class has', 'classes have')} fewer than {least} images {name}"
        for name, count in where.items()
        if count
    ]
    return f"{', '.join(parts)}: figures of such a class are unreliable"


def _one_group_classes(classes: int, grouped: bool) -> str:
    unit = "in one group" if grouped else "of one picture (equal files)"
    return (
        f"{numbered(classes, 'class', 'classes')} {unit}: such images are judged by others of the same, and their"
        " scores are too high"
    )


DATA: dict[Kind, Callable[..., str]] = {
    Kind.SIMILARITY: _similarity,
    Kind.HIDDEN: lambda: "hidden",
    Kind.BESIDE_PARTS: lambda: "a folder beside train, val and test",
    Kind.OUTSIDE_CLASS_FOLDERS: lambda: "outside every class folder",
    Kind.NOT_AN_IMAGE: lambda: "not an image",
    Kind.RUN_FOLDER: lambda: "it is a run folder of autotl",
    Kind.LINK_OUTSIDE: lambda: (
        "a link to a folder outside, or to one above itself; --root FOLDER allows links into FOLDER"
    ),
    Kind.BROKEN_LINK: lambda: "a link that leads nowhere",
    Kind.UNREADABLE_FOLDER: lambda error: f"a folder that cannot be listed ({error})",
    Kind.BAD_ROW: _bad_row,
    Kind.OUTSIDE_CSV_FOLDER: lambda: "outside the folder of the table; --root FOLDER names another",
    Kind.NO_LABEL: lambda: "no label",
    Kind.NO_SUCH_FILE: lambda: "no such file",
    Kind.NAMED_TWICE: _named_twice,
    Kind.EMPTY_FILE: lambda: "an empty file",
    Kind.NO_PIXELS: lambda: "an image without pixels",
    Kind.TOO_MANY_PIXELS: lambda: "too many pixels to be decoded safely",
    Kind.UNREADABLE: lambda error: f"not a readable image ({error})",
    Kind.NOT_REACHED: lambda: "no time for it",
    Kind.LARGE: _large,
    Kind.ONE_SIDED_CLASS: _one_sided_class,
    Kind.BROKEN: _broken,
    Kind.NO_TIME: _no_time,
    Kind.IMBALANCE: _imbalance,
    Kind.FEW: _few,
    Kind.CLASSES_ALIKE: _classes_alike,
    Kind.OUTLIERS: _outliers,
    Kind.NOT_FOR_TARGET: _not_for_target,
    Kind.CONTRADICTED: lambda: "the same image under another label: one of the two is wrong",
    Kind.UNLABELLED_NO_TIME: lambda count: (
        f"{numbered(count, 'image')} without a label not read in the time there is"
    ),
    Kind.RELATED_READ: lambda source, classes, of, count: (
        f"{numbered(count, 'image')} of {source} can be learned from besides: it has {classes} of the {of} classes"
    ),
    Kind.RELATED_UNMATCHED: lambda classes, count: (
        f"{numbered(count, 'image')} of the other source left out: the data have no class of the name of"
        f" {numbered(classes, 'class', 'classes')} there"
    ),
    Kind.RELATED_COPIES: lambda count: (
        f"{numbered(count, 'image')} of the other source {'is a copy' if count == 1 else 'are copies'} of images of DATA:"
        " nothing is learned from them"
    ),
    Kind.COPY_OF_LABELLED: lambda name: f"a copy of {name}, which has a label",
    Kind.CLASS_NOT_IN_DATA: lambda label: f"its class {label!r} is none of DATA",
    Kind.IS_LABELLED: lambda: "an image of DATA, which has a label",
    Kind.NOT_EXAMINED: lambda error: f"not examined for groups: {error}",
    Kind.DARK: _quality("almost black"),
    Kind.GRAY: _odd("gray, and the others have colour"),
    Kind.COLOURED: _odd("of colour, and the others are gray"),
    Kind.BRIGHT: _quality("almost white"),
    Kind.FLAT: _quality("without structure"),
    Kind.BLURRED: _quality("blurred"),
    Kind.TINY: _quality("smaller than 16 pixels"),
    Kind.LONG: _quality(
        "more than four times as long as wide: where a central square is taken, it shows less than a quarter of them;"
        " --geometry squash or pad keeps the rest"
    ),
    Kind.GEOMETRY: _geometry,
    Kind.GEOMETRY_NOT_MEASURED: lambda elongated: (
        f"{percent(elongated, 0)} of the images are at least 1.5 times as long as wide, and there was no time to measure"
        " how they are best made square: each backbone does it in its own way, most take the central square;"
        " --geometry squash or pad keeps the whole image"
    ),
    Kind.SPLIT_SIZES: _split_sizes,
    Kind.TEST_HELD_OUT: lambda share: f"{percent(share, 0)} held out as test part",
    Kind.NO_TEST_PART: _no_test_part,
    Kind.SELECT_GIVEN: lambda: "selection on the given validation part",
    Kind.SELECT_OUT_OF_FOLD: lambda folds: (
        f"few images: selection is out-of-fold over {folds} folds of train"
    ),
    Kind.SELECT_HELD_OUT: lambda images: f"{numbered(images, 'image')} of train held out for selection",
    Kind.GROUPS_WHOLE: lambda: "groups kept whole",
    Kind.RARE_CLASSES: _rare_classes,
    Kind.ONE_GROUP_CLASSES: _one_group_classes,
    Kind.COPIES_WHOLE: lambda: "nearly equal images kept on one side",
}
